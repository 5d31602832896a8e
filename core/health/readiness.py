"""The checks of `/readyz`: whether the server can answer requests and store changes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from django.conf import settings
from django.db import DatabaseError, connection

from docstore import Corrupt, Unavailable
from docstore.stats import Condition
from utils.json_storage import JSONStorageManager, json_storage
from workspace.operations.status import condition_of

FREE_BYTES_MIN: Final = 64 * 1024 * 1024
LAG_SECONDS_MAX: Final = 30.0
_ANSWER_SECONDS: Final = 1.0


class Check(NamedTuple):
    """A check and its problem, or "" without one."""

    name: str
    problem: str


@dataclass(frozen=True)
class Readiness:
    """The results of all checks, with the figures that they read."""

    checks: tuple[Check, ...]
    condition: Condition | None = None
    free: int | None = None

    @property
    def is_ready(self) -> bool:
        return not any(check.problem for check in self.checks)


def readiness(manager: JSONStorageManager | None = None) -> Readiness:
    """Check store, database, disk and publishing lag now."""
    manager = manager or json_storage
    condition, refusal = _condition(manager)
    free, full = _disk(manager)
    checks = (
        Check("store", refusal),
        Check("database", _database()),
        Check("disk", full),
        Check("publishing", _lag(condition)),
    )
    return Readiness(checks, condition, free)


def _condition(manager: JSONStorageManager) -> tuple[Condition | None, str]:
    try:
        condition, folder = condition_of(manager), manager.folder
        if condition is None or folder is None:
            return None, ""
        return condition, condition.refusal or _read_only(folder)
    except (Unavailable, Corrupt, ValueError, OSError) as fault:
        return None, str(fault)


def _read_only(folder: Path) -> str:
    """Return the problem if the disk was mounted read-only since the last write, or ""."""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return "the disk of the data folder is mounted read-only"
    return "" if os.access(folder, os.W_OK | os.X_OK) else "the data folder cannot be written"


def _database() -> str:
    try:
        with closing(connection.cursor()) as cursor:
            # A table: `SELECT 1` would not even open the file of an SQLite database.
            cursor.execute("SELECT 1 FROM django_migrations LIMIT 1")
            cursor.fetchone()
    except DatabaseError as fault:
        return f"the database does not answer: {fault}"
    return ""


def _folders(manager: JSONStorageManager) -> Iterator[tuple[str, Path]]:
    """Yield the folders whose disk must have room, each with its name for people."""
    try:
        folder = manager.folder
    except Unavailable:
        folder = None
    if folder is not None:
        yield "the data folder", folder
    database = settings.DATABASES["default"]
    name = str(database.get("NAME") or "")
    is_file = database["ENGINE"].endswith("sqlite3") and "memory" not in name
    if is_file and name:
        yield "the database", Path(name).parent


def _disk(manager: JSONStorageManager) -> tuple[int | None, str]:
    """Return the smallest number of free bytes, and the problem if it is too small."""
    smallest: int | None = None
    problem = ""
    for name, folder in _folders(manager):
        try:
            disk = os.statvfs(folder)
        except OSError:
            continue  # reported as a problem of the store or the database
        free = disk.f_bavail * disk.f_frsize
        if smallest is None or free < smallest:
            smallest = free
        if free < FREE_BYTES_MIN and not problem:
            problem = f"the disk of {name} has only {free // 1024**2} MiB free"
    return smallest, problem


def _lag(condition: Condition | None) -> str:
    if condition is None or condition.behind <= LAG_SECONDS_MAX:
        return ""
    return f"the files of {condition.waiting} documents are {condition.behind:.0f} s behind"


class Recent:
    """The latest result, checked again after a second.

    Without it, a flood of probes, which need no log-in, would cost as much as real requests.
    """

    def __init__(
        self,
        check: Callable[[], Readiness] = readiness,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check, self._clock = check, clock
        self._lock = threading.Lock()
        self._latest: tuple[float, Readiness] | None = None

    def get(self) -> Readiness:
        """Return a result that is at most a second old."""
        with self._lock:
            now = self._clock()
            if self._latest is None or not 0 <= now - self._latest[0] < _ANSWER_SECONDS:
                self._latest = now, self._check()
            return self._latest[1]


recent: Final = Recent()
