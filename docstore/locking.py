"""One lock for all writers of a data folder, over threads and processes.

`flock` and not `lockf`: a POSIX lock vanishes when any descriptor of the file is closed and does
not exclude threads. A flock belongs to the *open file*, so every holder opens the file anew. The
lock file is never removed: whoever removed it would let two holders in.
"""

from __future__ import annotations

import fcntl
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docstore.errors import Unavailable, from_os_error

_held: set[int] = set()


@contextmanager
def in_use(path: Path) -> Iterator[None]:
    """Marks a file or folder as in use, for as long as this process lives at most."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_in_use(path: Path) -> bool:
    """Whether somebody has marked it. What is not there is not in use."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _close_inherited() -> None:
    # A forked child shares the parent's open files, and so would keep the parent's lock alive.
    # It must close them, and never unlock: unlocking would release the parent's lock.
    for descriptor in tuple(_held):
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_inherited)


class FolderLock:
    """An exclusive lock on a file; the same thread may take it again while it holds it."""

    def __init__(self, path: Path, timeout: float = 10.0) -> None:
        self._path, self._timeout = path, timeout
        self._local = threading.local()

    @contextmanager
    def hold(self) -> Iterator[bool]:
        """Holds the lock; yields whether it was taken now, and not held by this thread before.

        Raises `Unavailable` when other writers keep it for longer than the timeout (seconds).
        """
        process = os.getpid()
        if getattr(self._local, "holder", None) == process:
            yield False
            return
        descriptor = self._acquire()
        self._local.holder = process
        try:
            yield True
        finally:
            if os.getpid() == process:  # a child forked meanwhile has closed its copy already
                self._local.holder = None
                _held.discard(descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # a copy of it in a child must not count
                os.close(descriptor)

    def _acquire(self) -> int:
        deadline = time.monotonic() + self._timeout
        descriptor = self._open()
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self._drop(descriptor)
                    raise Unavailable("other writers hold the store for too long") from None
                time.sleep(random.uniform(0.000_2, 0.002))
                continue
            if self._is_current(descriptor):
                return descriptor
            self._drop(descriptor)
            descriptor = self._open()

    def _open(self) -> int:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise from_os_error(error, "cannot lock the store") from error
        _held.add(descriptor)
        return descriptor

    def _drop(self, descriptor: int) -> None:
        _held.discard(descriptor)
        os.close(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        """Whether the locked file still has its name: a restored folder may have replaced it."""
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False
