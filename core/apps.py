from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "core"

    def ready(self) -> None:
        from core import checks  # noqa: F401  registers the system checks
        from core.tally import tally
        from utils.json_storage import json_storage

        json_storage.observe(tally)
