"""JSONStorageManager: the storage of an installation, as its settings say.

    from utils.json_storage import json_storage

    task = json_storage.save_task_data(7, {"title": "Train the baseline", "priority": "high"})
    json_storage.update("tasks", 7, task["id"], {"status": "completed"})

`workspace.workspace` has the methods of all collections, and says what they raise.
"""

from __future__ import annotations

import atexit
import builtins
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from docstore import DocumentStore, History, Unavailable, folder_of, has_folder, id_of, open_store
from utils.backup_options import backup_options
from workspace.bounds import HISTORY_KEEP_SECONDS, HISTORY_SHARE
from workspace.installation import installation
from workspace.schema.validation import COLLECTIONS, Record
from workspace.users.call_counts import COMMIT_SECONDS
from workspace.workspace import Workspace


class SettingsLimits:
    """The limits in the settings."""

    @property
    def burst(self) -> tuple[int, int]:
        value: tuple[int, int] = settings.NEURALFLOW_BURST
        return value

    @property
    def api_calls(self) -> int | None:
        value: int | None = settings.NEURALFLOW_API_CALLS_LIMIT
        return value

    @property
    def activity_days(self) -> float:
        value: float = settings.NEURALFLOW_ACTIVITY_DAYS
        return value

    @property
    def activity_max(self) -> int:
        value: int = settings.NEURALFLOW_ACTIVITY_MAX
        return value

    @property
    def storage_bytes(self) -> int:
        value: int = settings.NEURALFLOW_STORAGE_BYTES
        return value

    @property
    def history_bytes(self) -> int:
        return int(settings.NEURALFLOW_HISTORY_BYTES)


installation.limits = SettingsLimits()
installation.backups = backup_options
installation.time_zone = timezone.get_current_timezone


class JSONStorageManager(Workspace):
    """The workspace in the given store, or in the one that the settings name.

    Thread-safe and fork-safe.
    """

    def __init__(
        self, store: DocumentStore | None = None, *, commit_seconds: float = COMMIT_SECONDS
    ) -> None:
        super().__init__(store, commit_seconds=commit_seconds)
        _managers.add(self)

    def open_store(self) -> DocumentStore:
        return open_store(
            settings.NEURALFLOW_STORE,
            [spec.layout for spec in COLLECTIONS.values()],
            clock=lambda: self.clock(),
            history=History(
                settings.NEURALFLOW_HISTORY_DAYS,
                settings.NEURALFLOW_HISTORY_BYTES,
                HISTORY_SHARE,
                HISTORY_KEEP_SECONDS,
            ),
            cache_bytes=settings.NEURALFLOW_CACHE_BYTES,
        )

    @property
    def folder(self) -> Path | None:
        """The data folder, or None if documents are not files. Does not open the store.

        Raises `Unavailable` if NEURALFLOW_STORE is not understood.
        """
        if self._store is not None:
            return super().folder
        url: str = settings.NEURALFLOW_STORE
        try:
            return folder_of(url) if has_folder(url) else None
        except ValueError as fault:
            raise Unavailable(f"NEURALFLOW_STORE is not understood: {fault}") from fault

    def save_task_data(self, user_id: int, data: Mapping[str, Any]) -> Record:
        """Create a task, or update the one with the given `id`."""
        return self._save("tasks", user_id, data)

    def save_project_data(self, user_id: int, data: Mapping[str, Any]) -> Record:
        """Create a project, or update the one with the given `id`."""
        return self._save("projects", user_id, data)

    def save_model_data(self, user_id: int, data: Mapping[str, Any]) -> Record:
        """Create a model, or update the one with the given `id`."""
        return self._save("models", user_id, data)

    def get_user_tasks(self, user_id: int) -> builtins.list[Record]:
        """Return all tasks of the user."""
        return self.list("tasks", user_id)

    def get_user_projects(self, user_id: int) -> builtins.list[Record]:
        """Return all projects of the user."""
        return self.list("projects", user_id)

    def get_user_models(self, user_id: int) -> builtins.list[Record]:
        """Return all models of the user."""
        return self.list("models", user_id)

    def _save(self, collection: str, owner: int, data: Mapping[str, Any]) -> Record:
        record_id = id_of(data)
        if record_id is None:  # `create` refuses an invalid id
            return self.create(collection, owner, data)
        return self.update(collection, owner, record_id, data)


_managers: weakref.WeakSet[JSONStorageManager] = weakref.WeakSet()


def _commit_all_counts() -> None:
    for manager in tuple(_managers):
        manager.commit_counts()


atexit.register(_commit_all_counts)  # handlers run in reverse order, so before stores close

json_storage = JSONStorageManager()
"""The storage in the settings, opened at first use."""
