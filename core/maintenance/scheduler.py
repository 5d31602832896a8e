"""Start maintenance from the server: one of its workers starts a process when a job is due.

The jobs run in a process of their own, at a low priority: they read the whole store, which would
slow down the requests of a worker and grow its memory.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import IO, Final

from django.conf import settings

from core.maintenance.runner import AlreadyRunning, Runner
from docstore import StoreError

log = logging.getLogger("neuralflow.maintenance")

LOCK: Final = "scheduler.lock"
LOOK_SECONDS: Final = 30.0
_FIRST_LOOK_SECONDS: Final = 10.0  # requests come first after a start
_STOP_SECONDS: Final = 5.0
_FAILED_PAUSE_SECONDS: Final = 300.0
COMMAND: Final = (sys.executable, "-m", "django", "maintenance", "--once", "--watch-stdin")


class Scheduler:
    """Looks for jobs that are due, in the worker that holds the scheduler's lock of the store."""

    def __init__(
        self,
        runner: Runner | None = None,
        *,
        command: Sequence[str] = COMMAND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._given, self._command, self._clock = runner, command, clock
        self._look_at = clock() + _FIRST_LOOK_SECONDS
        self._held = ExitStack()
        self._is_mine = False
        self._process: subprocess.Popen[bytes] | None = None
        self._complaint = ""

    def tick(self) -> None:
        """Start maintenance if it is due. Cheap enough to be called each second."""
        if self._process is not None and self._process.poll() is not None:
            self._end(self._process.returncode)
        now = self._clock()
        if self._process is not None or not (now >= self._look_at or self._is_requested()):
            return
        self._look_at = now + LOOK_SECONDS
        try:
            if self._lead() and self._runner.due():
                self._start()
        except (StoreError, OSError) as fault:
            if str(fault) != self._complaint:  # log it once and not at each look
                log.error("Maintenance cannot run: %s", fault)
            self._complaint = str(fault)
        else:
            self._complaint = ""

    def _is_requested(self) -> bool:
        """Return whether this process schedules and a job was requested."""
        return self._is_mine and bool(self._runner.requested())

    @property
    def _runner(self) -> Runner:
        if self._given is None:
            self._given = Runner()
        return self._given

    def _lead(self) -> bool:
        """Try to become the scheduling process, and return whether this process is it."""
        if not self._is_mine:
            try:
                self._held.enter_context(self._runner.locked(LOCK))
            except AlreadyRunning:
                return False
            self._is_mine = True
        return True

    def _start(self) -> None:
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "neuralflow.settings"}
        # In a session of its own, so that Ctrl-C stops it through the server only. Its standard
        # input ends with this process, however that ends.
        self._process = subprocess.Popen(
            self._command,
            cwd=settings.BASE_DIR,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _end(self, status: int) -> None:
        stdin: IO[bytes] | None = self._process.stdin if self._process else None
        if stdin is not None:
            stdin.close()
        self._process = None
        if status > 1:  # 1: a job failed, which it logged
            log.error("The maintenance process ended with status %d", status)
        if status:
            self._look_at = self._clock() + _FAILED_PAUSE_SECONDS

    def stop(self) -> None:
        """Stop a running process, and let another one schedule."""
        process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()
            self._process = None
        self._held.close()
        self._is_mine = False
