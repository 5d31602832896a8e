"""The status of the installation, in constant time however many users it has.

It covers the store, its disk space, its backups, and the last validation and count.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from backups.manifest import SUFFIX, read_manifest
from backups.targets import FolderTarget
from docstore import Corrupt, NotFound, Unavailable
from docstore.stats import Condition
from workspace.installation import installation
from workspace.operations.backups import names_in, place_of
from workspace.operations.run_reports import (
    Counted,
    LastVerified,
    Validated,
    last_backup,
    last_counted,
    last_validated,
    last_verified,
)
from workspace.workspace import Workspace

BACKUPS_TOLD: Final = 10
_TIME_IN_NAME: Final = re.compile(r"_(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)", re.ASCII)


class Backup(NamedTuple):
    """A backup: its name, its size in bytes, and its time."""

    name: str
    size: int
    made_at: datetime


class DiskSpace(NamedTuple):
    """Total and available bytes of the disk."""

    total: int
    free: int


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The status of the installation.

    `unsynced` of the `people` have a document that is older than their account, because mirroring
    failed. `folder` is None for a store in memory, which has none of the other fields. `fault` is
    the reason why the store cannot be opened, and then `condition` is None. `backups` are the
    newest, newest first, and `older` is the number of further ones. `verified` is the last
    verification of a backup.
    """

    people: int
    unsynced: int
    folder: Path | None = None
    fault: str = ""
    condition: Condition | None = None
    room: DiskSpace | None = None
    backups: tuple[Backup, ...] = ()
    older: int = 0
    verified: LastVerified | None = None
    validated: Validated | None = None
    counted: Counted | None = None

    @property
    def refusal(self) -> str:
        """The reason why writes fail, or ""."""
        return self.fault or (self.condition.refusal if self.condition else "")


def overview(manager: Workspace) -> Overview:
    """Return the current status. Changes nothing and creates no folders."""
    people, unsynced = installation.accounts.count()
    values: dict[str, Any] = {"people": people, "unsynced": unsynced}
    try:
        folder = manager.folder
        if folder is None:
            return Overview(**values)
        values |= {"folder": folder, "room": _room(folder)}
        values |= _backups(folder)
        values |= {"validated": last_validated(folder), "counted": last_counted(folder)}
        values["verified"] = last_verified(folder)
        values["condition"] = condition_of(manager)
    except (Unavailable, Corrupt) as fault:
        values["fault"] = str(fault)
    return Overview(**values)


def condition_of(manager: Workspace) -> Condition | None:
    """Return the condition of the store, or None if its documents are not files.

    Raises `Unavailable` and `Corrupt`.
    """
    published = manager.store.backend.published
    return published.condition() if published else None


def latest_backup(manager: Workspace) -> Backup | None:
    """Return the newest backup, or None if there is none or it cannot be read."""
    with suppress(Unavailable):
        if (folder := manager.folder) is not None:
            newest: tuple[Backup, ...] = _backups(folder, 1).get("backups", ())
            return newest[0] if newest else None
    return None


def all_backups(manager: Workspace) -> tuple[Backup, ...]:
    """Return all backups, newest first."""
    folder = manager.folder
    backups: tuple[Backup, ...] = _backups(folder, None).get("backups", ()) if folder else ()
    return backups


def _room(folder: Path) -> DiskSpace | None:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    return DiskSpace(disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize)


def _backups(folder: Path, told: int | None = BACKUPS_TOLD) -> dict[str, Any]:
    try:
        place = place_of(folder)
        if not isinstance(place, FolderTarget):  # no page waits for another machine
            last = last_backup(folder)
            known = (last,) if last else ()
            return {
                "backups": tuple(Backup(one.name, one.size_bytes, _time(one.at)) for one in known)
            }
        names = names_in(place)[::-1]
        backups = [_backup(place, name) for name in names[:told]]
    except (OSError, Unavailable, NotFound):  # unreadable, or deleted at this moment
        return {}
    return {"backups": tuple(backups), "older": len(names) - len(backups)}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _backup(place: FolderTarget, name: str) -> Backup:
    """Return a backup with the moment that it shows.

    For an archive of 0.1 that is the time in its name, because copying changes that of the file.
    """
    path = place.root / name
    if not path.exists():
        path = place.root / (name + SUFFIX)
        with suppress(Corrupt):
            manifest, _ = read_manifest(place, name)
            return Backup(name, sum(manifest.packs.values()), manifest.moment)
    status = path.stat()
    made_at = datetime.fromtimestamp(status.st_mtime, UTC)
    if match := _TIME_IN_NAME.search(path.name):
        with suppress(ValueError):  # the digits are not a valid date
            made_at = datetime.strptime(match[1], "%Y-%m-%dT%H-%M-%S").replace(tzinfo=UTC)
    return Backup(name, status.st_size, made_at)
