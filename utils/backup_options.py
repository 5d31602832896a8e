"""The options of backups, from the settings and the database of the accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import connection

from backups.accounts import Accounts, PostgresAccounts, SqliteAccounts
from workspace.installation import BackupOptions
from workspace.workspace import BACKUPS

# Sessions are not in backups: they hold unsaved changes, and a restore must log nobody in.
WITHOUT: Final = ("django_session",)


def backup_options() -> BackupOptions:
    """Return the options as the settings say at this moment."""
    return BackupOptions(
        place=settings.NEURALFLOW_BACKUPS or BACKUPS,
        recipients=tuple(settings.NEURALFLOW_BACKUP_RECIPIENTS),
        identity=settings.NEURALFLOW_BACKUP_IDENTITY,
        accounts=_accounts(),
    )


def _accounts() -> Accounts | None:
    """Return the database of the accounts; None if it is in memory."""
    options = connection.settings_dict
    if connection.vendor == "postgresql":
        names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
        parameters = {name: str(options[key] or "") for name, key in names.items()}
        return PostgresAccounts(parameters | {"dbname": str(options["NAME"])}, WITHOUT)
    name = str(options["NAME"])
    if connection.vendor != "sqlite" or ":memory:" in name or "mode=memory" in name:
        return None
    return SqliteAccounts(Path(name), WITHOUT)
