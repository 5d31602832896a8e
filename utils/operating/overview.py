"""What whoever runs this place is told, in work that does not grow with it: how the store does, the
room on its disk, its backups, and what the last validation and the last count said."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from django.contrib.auth import get_user_model

from docstore import Corrupt, Unavailable, snapshots
from docstore.backends.files import FilesBackend
from docstore.condition import Condition
from utils.data_initializer import BACKUPS
from utils.json_storage import JSONStorageManager
from utils.operating.last_runs import Counted, Validated, last_counted, last_validated

BACKUPS_TOLD: Final = 10
_TIME_IN_NAME: Final = re.compile(r"_(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)", re.ASCII)


class Backup(NamedTuple):
    """A backup: its name, its bytes, and when it was made."""

    name: str
    size: int
    made_at: datetime


class Room(NamedTuple):
    """Bytes of the disk, and those that may still be written."""

    total: int
    free: int


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Of `people`, the store could not be told the newest of some, who are `unsynced`.

    `folder` is None of a store in memory, which has nothing of the rest. `fault` is why the store
    cannot be opened; then there is no `condition`. Of the `backups` the newest are told, newest
    first, and how many `older` ones there are.
    """

    people: int
    unsynced: int
    folder: Path | None = None
    fault: str = ""
    condition: Condition | None = None
    room: Room | None = None
    backups: tuple[Backup, ...] = ()
    older: int = 0
    validated: Validated | None = None
    counted: Counted | None = None

    @property
    def refusal(self) -> str:
        """Why nothing can be written; "" when it can."""
        return self.fault or (self.condition.refusal if self.condition else "")


def overview(manager: JSONStorageManager) -> Overview:
    """How things are now. Changes nothing, and lays nothing out."""
    users = get_user_model()._default_manager.all()
    unsynced = users.filter(mirror_faults__gt=0).count()
    told: dict[str, Any] = {"people": users.count(), "unsynced": unsynced}
    try:
        folder = manager.folder
        if folder is None:
            return Overview(**told)
        told |= {"folder": folder, "room": _room(folder)}
        told |= _backups(folder)
        told |= {"validated": last_validated(folder), "counted": last_counted(folder)}
        backend = manager.store.backend
        assert isinstance(backend, FilesBackend)
        told["condition"] = backend.condition()
    except (Unavailable, Corrupt) as fault:
        told["fault"] = str(fault)
    return Overview(**told)


def latest_backup(manager: JSONStorageManager) -> Backup | None:
    """The newest backup, if there is one and it can be read."""
    with suppress(Unavailable):
        if (folder := manager.folder) is not None:
            found: tuple[Backup, ...] = _backups(folder, 1).get("backups", ())
            return found[0] if found else None
    return None


def _room(folder: Path) -> Room | None:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    return Room(disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize)


def _backups(folder: Path, told: int = BACKUPS_TOLD) -> dict[str, Any]:
    try:
        names = snapshots(folder / BACKUPS)[::-1]
        found = [_backup(folder / BACKUPS / name) for name in names[:told]]
    except OSError:  # cannot be read, or went in this moment
        return {}
    return {"backups": tuple(found), "older": len(names) - len(found)}


def _backup(path: Path) -> Backup:
    """Copies get new times, and keep their names: those tell when a backup was made."""
    status = path.stat()
    made_at = datetime.fromtimestamp(status.st_mtime, UTC)
    if match := _TIME_IN_NAME.search(path.name):
        with suppress(ValueError):  # no day of the calendar
            made_at = datetime.strptime(match[1], "%Y-%m-%dT%H-%M-%S").replace(tzinfo=UTC)
    return Backup(path.name, status.st_size, made_at)
