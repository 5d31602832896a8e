"""Gunicorn's configuration for a server with a slow disk whose requests end late.

    gunicorn --config python:tests.harness.slow_server neuralflow.wsgi

Each sync takes longer, and a stopping worker's threads wait before they wake its loop. So a race at
the end of a worker shows every few stops instead of every few thousand. The file that LATE_BYTES
names records the target of each wake-up byte written after the loop has ended.

With CLOSES_PIPE, the worker closes its pipe as gunicorn's own does: a planted bug.
"""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gunicorn.workers import gthread

from neuralflow.gunicorn_conf import *  # noqa: F403
from neuralflow.gunicorn_conf import Worker
from neuralflow.worker import LastingQueue

# On a busy machine, slow workers end late: the master must not kill them, which logs an error.
graceful_timeout = 45  # seconds
SYNC_SECONDS: Final = 0.02
DAWDLE_SECONDS: Final = 0.06


class LateWrites:
    """The module `os` as gunicorn's worker sees it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._ended = False
        self._run, worker.run = worker.run, self.run  # type: ignore[method-assign]

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def run(self) -> None:
        """Run the worker's loop."""
        self._run()
        self._ended = True

    def write(self, descriptor: int, data: bytes) -> int:
        """Write a wake-up byte, late if the worker is stopping or about to."""
        if not self._worker.alive or os.getppid() != self._worker.ppid:
            time.sleep(random.uniform(0, DAWDLE_SECONDS))
        if self._ended:
            with open(os.environ["LATE_BYTES"], "a", opener=_append_high) as file:
                print(_target(descriptor), file=file)
        return os.write(descriptor, data)


def _append_high(path: str, flags: int) -> int:
    """Open a file on a high descriptor: it must not take the number that is examined."""
    low = os.open(path, flags, 0o600)
    os.dup2(low, 1000, inheritable=False)
    os.close(low)
    return 1000


def _target(descriptor: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except FileNotFoundError:
        return "a closed descriptor"


def _slow(call: Callable[[int], None]) -> Callable[[int], None]:
    def sync(descriptor: int) -> None:
        time.sleep(SYNC_SECONDS)
        call(descriptor)

    return sync


def post_worker_init(worker: Worker) -> None:
    """Make this worker slow, now that it has loaded everything."""
    os.fsync, os.fdatasync = _slow(os.fsync), _slow(os.fdatasync)  # type: ignore[assignment]
    gthread.os = LateWrites(worker)  # type: ignore[attr-defined]
    if os.environ.get("CLOSES_PIPE"):
        LastingQueue.close = gthread.PollableMethodQueue.close  # type: ignore[method-assign]
