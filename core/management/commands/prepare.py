"""Prepare everything that the server needs. `make run` runs it at every start."""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from utils.data_initializer import data_initializer


class Command(BaseCommand):
    help = "Brings database, cache table, static files and data folder up to date."

    def handle(self, *args: Any, **options: Any) -> None:
        _make_databases()
        data_initializer.finish_restore()  # the accounts of a restore that was interrupted
        call_command("migrate", interactive=False, verbosity=0)
        call_command("createcachetable", verbosity=0)
        call_command("clearsessions")
        call_command("collectstatic", interactive=False, verbosity=0)
        call_command("setup_data", stdout=self.stdout)
        call_command("reserve_ids")


def _make_databases() -> None:
    """Create missing SQLite files so that only their owner can read them.

    SQLite itself would create them by the umask. Its journal files get the mode of the database.
    """
    for database in settings.DATABASES.values():
        name = str(database.get("NAME") or "")
        is_file = database["ENGINE"].endswith("sqlite3") and name not in {"", ":memory:"}
        if is_file and Path(name).parent.is_dir():
            os.close(os.open(name, os.O_RDWR | os.O_CREAT, 0o600))
