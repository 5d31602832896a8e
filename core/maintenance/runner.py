"""Run the jobs that are due, one by one, under the store's maintenance lock."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from datetime import time as time_of_day
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec
from django.conf import settings
from django.db import DatabaseError

from core.maintenance.jobs import JOBS, Job, JobFailed
from core.maintenance.schedule import is_due, next_start, parse_time_of_day, retry_pause
from docstore import StoreError, Unavailable
from utils.json_storage import JSONStorageManager, json_storage
from workspace.operations.maintenance_history import (
    FILE,
    WORK_FOLDER,
    JobRun,
    JobState,
    MaintenanceHistory,
    notes_of,
    read_history,
    read_note,
    requested_jobs,
    withdraw_request,
    write_history,
)

log = logging.getLogger("neuralflow.maintenance")

LOCK: Final = "maintenance.lock"
_RUNNING: Final = "maintenance of this store is running already: wait until it has finished"


class AlreadyRunning(Exception):
    """Another process runs maintenance on this store."""


@contextmanager
def locked(folder: Path, name: str = LOCK) -> Iterator[None]:
    """Hold a lock of the store, or raise `AlreadyRunning`.

    It ends with its process. Raises `Unavailable` if there is no store yet.
    """
    try:
        file = (folder / WORK_FOLDER / name).open("ab")
    except OSError as error:
        raise Unavailable(f"the data folder cannot be used: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(_RUNNING) from None
        yield


class Runner:
    """Runs jobs on a storage. `clock` and `zone` come from outside, so that tests can set them."""

    def __init__(
        self,
        manager: JSONStorageManager | None = None,
        *,
        jobs: Sequence[Job] | None = None,
        clock: Callable[[], datetime] | None = None,
        zone: tzinfo | None = None,
        at: time_of_day | None = None,
    ) -> None:
        self._manager = manager or json_storage
        self._given_jobs = jobs
        self._clock = clock or self._manager.clock
        self._zone = zone
        self._at = at or parse_time_of_day(settings.NEURALFLOW_MAINTENANCE_AT)

    @property
    def folder(self) -> Path:
        """The data folder. Raises `Unavailable` if the store is not a folder."""
        folder = self._manager.folder
        if folder is None:
            raise Unavailable("only a store in a folder has maintenance")
        return folder

    @cached_property
    def _jobs(self) -> dict[str, Job]:
        jobs = self._given_jobs
        if jobs is None:
            in_folder = notes_of(self._manager) is None
            jobs = [job for job in JOBS if (job.in_folders if in_folder else job.in_databases)]
        return {job.name: job for job in jobs}

    def history(self) -> MaintenanceHistory:
        """Return what maintenance did so far."""
        notes = notes_of(self._manager)
        return read_history(self.folder) if notes is None else read_note(notes)

    def _replace(self, history: MaintenanceHistory) -> None:
        notes = notes_of(self._manager)
        if notes is None:
            write_history(self.folder, history)
        else:
            notes.set_note(FILE, msgspec.json.encode(history).decode())

    @contextmanager
    def locked(self, name: str = LOCK) -> Iterator[None]:
        """Hold a lock of the store, or raise `AlreadyRunning`. It ends with its process."""
        notes = notes_of(self._manager)
        if notes is None:
            with locked(self.folder, name):
                yield
            return
        with notes.only_one(name) as is_alone:
            if not is_alone:
                raise AlreadyRunning(_RUNNING)
            yield

    @property
    def names(self) -> list[str]:
        """The names of the jobs, in the order in which they run."""
        return list(self._jobs)

    def requested(self) -> set[str]:
        """Return the jobs that staff asked for on the page."""
        return requested_jobs(self._manager.folder)

    def due(self) -> list[str]:
        """Return the names of the jobs that are due, in order. Notes jobs that are new."""
        history, now = self.history(), self._clock()
        known, requested = len(history.jobs), self.requested()
        due = [
            name
            for name, job in self._jobs.items()
            if name in requested
            or is_due(history.state(name, now), now, job.every(), self._at, self._zone)
        ]
        if len(history.jobs) > known:
            self._replace(history)
        return due

    def upcoming(self) -> dict[str, datetime]:
        """Return when each job runs next."""
        history, now = self.history(), self._clock()
        return {
            name: next_start(history.state(name, now), now, job.every(), self._at, self._zone)
            for name, job in self._jobs.items()
        }

    def run_due(self) -> list[JobRun]:
        """Run the jobs that are due. Raises `AlreadyRunning`."""
        with self.locked():
            return [self._run(self._jobs[name]) for name in self.due()]

    def run(self, names: Sequence[str]) -> list[JobRun]:
        """Run these jobs now, in order. Raises `AlreadyRunning`."""
        with self.locked():
            return [self._run(self._jobs[name]) for name in names]

    def _run(self, job: Job) -> JobRun:
        withdraw_request(self._manager.folder, job.name)
        begun, started_at, is_retried = time.monotonic(), self._clock(), True
        try:
            result, is_ok = job.run(self._manager, started_at), True
        except JobFailed as failure:
            result, is_ok, is_retried = str(failure), False, False
        except (StoreError, DatabaseError, OSError) as fault:
            result, is_ok = str(fault) or type(fault).__name__, False
        except Exception as fault:  # a fault in a job must not end the jobs after it
            log.exception("Maintenance: %s failed unexpectedly", job.name)
            result, is_ok = f"{type(fault).__name__}: {fault}", False
        run = JobRun(job.name, started_at, round(time.monotonic() - begun, 3), is_ok, result)
        history = self.history()
        history.add(run, max(self._clock(), started_at), is_retried=is_retried)
        self._write(history)
        self._log(run, history.jobs[job.name])
        return run

    def _write(self, history: MaintenanceHistory) -> None:
        try:
            self._replace(history)
        except (OSError, StoreError) as error:
            log.error("Maintenance: its history cannot be written: %s", error)

    @staticmethod
    def _log(run: JobRun, state: JobState) -> None:
        if run.is_ok:
            log.info("Maintenance: %s, %.1f s: %s", run.job, run.seconds, run.result)
            return
        pause = retry_pause(state.failures).total_seconds() // 60
        again = f", again in {pause:.0f} min" if state.is_retried else ""
        log.error(
            "Maintenance: %s failed (%d in a row%s): %s",
            run.job,
            state.failures,
            again,
            run.result,
        )
