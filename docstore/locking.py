"""One lock for all writers of a data folder, over threads and processes.

`flock` and not `lockf`: a POSIX lock vanishes when any descriptor of the file is closed and does
not exclude threads. A flock belongs to the *open file*, so every holder opens the file anew. The
lock file is never removed: whoever removed it would let two holders in.

Under load nobody may wait for ever while others write again and again. The threads of a process
stand in line; whoever is at its head waits among the other processes for the *turn*, a second lock,
and only who has the turn waits for the lock itself. So a writer that has just let go cannot come
before one that was waiting.
"""

from __future__ import annotations

import fcntl
import os
import random
import threading
import time
import weakref
from collections import deque
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


class _Line:
    """Threads that pass one at a time, in the order in which they came."""

    def __init__(self) -> None:
        self._reset()
        _lines.add(self)

    def _reset(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    def enter(self, timeout: float) -> bool:
        """Whether it was one's turn within the timeout (seconds); then `leave` must follow."""
        with self._mutex:
            if not self._taken:
                self._taken = True
                return True
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
        if called.acquire(timeout=max(timeout, 0)):
            return True
        with self._mutex:
            if called in self._waiting:
                self._waiting.remove(called)
                return False
        return True  # called in this very moment

    def leave(self) -> None:
        """Lets the next one pass."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


_lines: weakref.WeakSet[_Line] = weakref.WeakSet()


def _renew_lines() -> None:
    # Those who stood in line in the parent do not exist in a forked child.
    for line in _lines:
        line._reset()


os.register_at_fork(after_in_child=_renew_lines)


class FolderLock:
    """An exclusive lock on a file; the same thread may take it again while it holds it.

    The turn is a file beside it, with `.turn` behind its name.
    """

    def __init__(self, path: Path, timeout: float = 10.0) -> None:
        self._path, self._timeout = path, timeout
        self._turn = path.with_name(f"{path.name}.turn")
        self._line = _Line()
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
                _unlock(descriptor)
                self._line.leave()

    def _acquire(self) -> int:
        deadline = time.monotonic() + self._timeout
        if not self._line.enter(self._timeout):
            raise Unavailable(_TOO_LONG)
        try:
            turn = _lock(self._turn, deadline, _MANY_WAIT)
            try:
                return _lock(self._path, deadline, _ONE_WAITS)
            finally:
                _unlock(turn)
        except BaseException:
            self._line.leave()
            raise


# How long a look at the lock may be put off, in seconds.
_MANY_WAIT = 0.002
_ONE_WAITS = 0.000_3
_TOO_LONG = "other writers hold the store for too long"


def _lock(path: Path, deadline: float, pause: float) -> int:
    """An open file that is locked, and is still the one of that name."""
    while True:
        descriptor = _open(path)
        try:
            _wait(descriptor, deadline, pause)
            if _is_current(descriptor, path):
                return descriptor
        except BaseException:
            _unlock(descriptor)
            raise
        _unlock(descriptor)


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise from_os_error(error, "cannot lock the store") from error
    _held.add(descriptor)
    return descriptor


def _wait(descriptor: int, deadline: float, pause: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Unavailable(_TOO_LONG) from None
            time.sleep(random.uniform(pause / 10, pause))
        else:
            return


def _unlock(descriptor: int) -> None:
    _held.discard(descriptor)
    fcntl.flock(descriptor, fcntl.LOCK_UN)  # a copy of it in a forked child must not count
    os.close(descriptor)


def _is_current(descriptor: int, path: Path) -> bool:
    """Whether the locked file still has its name: a restored folder may have replaced it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
