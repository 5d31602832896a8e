"""The Django project: settings, URLs, and the server configuration.

Programs in this environment can use `from neuralflow import storage`, the storage in the settings.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utils.json_storage import JSONStorageManager

    storage: JSONStorageManager


def __getattr__(name: str) -> "JSONStorageManager":
    """Return `storage` at first access. The settings must not import it."""
    if name != "storage":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neuralflow.settings")
    from utils.json_storage import json_storage

    return json_storage
