"""The history of maintenance: the state of each job, and the latest runs.

It is one file beside the journal, which the runner replaces after each run. Pages, health and
metrics read it.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from docstore import SharedNotes, Unavailable
from workspace.workspace import Workspace

WORK_FOLDER: Final = ".neuralflow"
FILE: Final = "maintenance.json"
WANTED: Final = "maintenance-wanted-"
RUNS_MAX: Final = 50
_BYTES_MAX: Final = 1024 * 1024
_PRIVATE: Final = 0o600


class JobState(msgspec.Struct):
    """The state of a job. `failures` counts the failures since the last success."""

    seen_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    succeeded_at: datetime | None = None
    seconds: float = 0.0
    failures: int = 0
    is_retried: bool = True  # after a failure, before the next regular start
    result: str = ""  # of the last run, or the reason of its failure


class JobRun(msgspec.Struct, frozen=True):
    """One run of a job, and its result or the reason of its failure."""

    job: str
    started_at: datetime
    seconds: float
    is_ok: bool
    result: str


class MaintenanceHistory(msgspec.Struct):
    """The states of all jobs, and the latest runs, oldest first."""

    jobs: dict[str, JobState] = {}
    runs: list[JobRun] = []

    def state(self, job: str, now: datetime) -> JobState:
        """Return the state of a job, which is first seen now if it is unknown."""
        return self.jobs.setdefault(job, JobState(seen_at=now))

    def add(self, run: JobRun, finished_at: datetime, *, is_retried: bool = True) -> None:
        """Record a run."""
        state = self.state(run.job, run.started_at)
        state.started_at, state.finished_at = run.started_at, finished_at
        state.seconds, state.result = run.seconds, run.result
        state.is_retried = is_retried
        state.failures = 0 if run.is_ok else state.failures + 1
        if run.is_ok:
            state.succeeded_at = finished_at
        self.runs = [*self.runs, run][-RUNS_MAX:]

    @property
    def failing(self) -> dict[str, JobState]:
        """The jobs whose last run failed."""
        return {name: state for name, state in self.jobs.items() if state.failures}


def read_history(folder: Path | None) -> MaintenanceHistory:
    """Return the history, empty if there is none or it cannot be read."""
    if folder is None:
        return MaintenanceHistory()
    try:
        with (folder / WORK_FOLDER / FILE).open("rb") as file:
            if os.fstat(file.fileno()).st_size > _BYTES_MAX:
                return MaintenanceHistory()
            return msgspec.json.decode(file.read(), type=MaintenanceHistory)
    except (OSError, msgspec.MsgspecError):
        return MaintenanceHistory()


def maintenance_of(manager: Workspace) -> MaintenanceHistory:
    """Return the history of a storage, empty if it has none."""
    try:
        if (notes := notes_of(manager)) is not None:
            return read_note(notes)
        return read_history(manager.folder)
    except Unavailable:
        return MaintenanceHistory()


def notes_of(manager: Workspace) -> SharedNotes | None:
    """Return the notes of a store in a database; None for a store in a folder or in memory."""
    if manager.folder is not None:
        return None
    backend = manager.store.backend
    return backend if isinstance(backend, SharedNotes) else None


def read_note(notes: SharedNotes) -> MaintenanceHistory:
    """Return the history in a database, empty if there is none or it cannot be read."""
    try:
        return msgspec.json.decode(notes.note(FILE) or "{}", type=MaintenanceHistory)
    except msgspec.MsgspecError:
        return MaintenanceHistory()


def write_history(folder: Path, history: MaintenanceHistory) -> None:
    """Replace the history. Raises `OSError`."""
    target = folder / WORK_FOLDER / FILE
    # If a crash leaves the draft behind, the next opening of the store removes it.
    draft = target.with_name(f"{FILE}-{secrets.token_hex(8)}.draft")
    try:
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(history), indent=2) + b"\n")
        draft.chmod(_PRIVATE)
        draft.replace(target)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def request_job(folder: Path, job: str) -> None:
    """Ask the scheduler to run a job now. Raises `OSError`."""
    (folder / WORK_FOLDER / f"{WANTED}{job}").touch(_PRIVATE)


def requested_jobs(folder: Path | None) -> set[str]:
    """Return the requested jobs."""
    try:
        names = os.listdir(folder / WORK_FOLDER) if folder else []  # noqa: PTH208 (half the cost)
    except OSError:
        return set()
    return {name.removeprefix(WANTED) for name in names if name.startswith(WANTED)}


def withdraw_request(folder: Path | None, job: str) -> None:
    """Record that a requested job runs now."""
    if folder is not None:
        with suppress(OSError):
            (folder / WORK_FOLDER / f"{WANTED}{job}").unlink(missing_ok=True)
