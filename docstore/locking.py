"""Locks for all who use a data folder, over threads and processes.

`flock` and not `lockf`: a POSIX lock vanishes when any descriptor of the file is closed and does
not exclude threads. A flock belongs to the *open file*: a lock object opens its file once for each
process, lets one thread at a time pass, and opens it anew after a fork, for a child that shared the
parent's open file would share, and could release, the parent's lock. The lock file is never
removed: whoever removed it would let two holders in.

Under load nobody may wait for ever while others write again and again. The threads of a process
stand in line; whoever is at its head waits among the other processes for the *turn*, a second lock,
and only who has the turn waits for the lock itself. A process that finds the lock free may take it
without the turn, but only a few times one after the other: that saves most of the cost where nobody
else writes, and where others do, they wait for a few writes at most.

An exception may come at any line: a signal's, one that another thread sends, a `MemoryError`. So
each step can be undone by `abandon`, which the code that catches it calls: the thread lets go
of whatever it has of the lock. Calling it twice, or in vain, changes nothing.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from docstore.descriptors import open_high
from docstore.errors import Unavailable, from_os_error


@contextmanager
def in_use(path: Path) -> Iterator[None]:
    """Marks a file or folder as in use, for as long as this process lives at most."""
    descriptor = open_high(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_in_use(path: Path) -> bool:
    """Whether somebody has marked it. What is not there is not in use."""
    try:
        descriptor = open_high(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def ring(bell: threading.Lock | None) -> None:
    """Wakes whoever waits to acquire the lock. Ringing again changes nothing."""
    if bell is not None:
        try:
            bell.release()
        except RuntimeError:
            return


def release_all(mutex: threading.RLock) -> None:
    """Releases a reentrant lock as often as this thread has acquired it."""
    try:
        while True:
            mutex.release()
    except RuntimeError:
        return


def is_alive(thread: int) -> bool:
    """Whether there is a thread with this identifier."""
    return thread in sys._current_frames()


class _Line:
    """Threads that pass one at a time, in the order in which they came; the first has the turn."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._mutex = threading.RLock()
        self._waiting: deque[tuple[int, threading.Lock | None]] = deque()

    @property
    def first(self) -> int:
        """The thread that has the turn; 0 for none."""
        try:
            return self._waiting[0][0] if self._waiting else 0
        except IndexError:  # it left in this moment
            return 0

    def enter(self, timeout: float) -> bool:
        """Whether it was one's turn within the timeout (seconds); then `leave` must follow."""
        me = threading.get_ident()
        with self._mutex:
            if not self._waiting:
                self._waiting.append((me, None))
                return True
            called = threading.Lock()
            called.acquire()
            place = me, called
            self._waiting.append(place)
        if called.acquire(timeout=max(timeout, 0)):
            return True
        with self._mutex:
            if self._waiting[0] is not place:
                self._waiting.remove(place)
                return False
        return True  # called in this very moment

    def leave(self) -> None:
        """Lets the next one pass."""
        with self._mutex:
            self._waiting.popleft()
            if self._waiting:
                ring(self._waiting[0][1])

    def forget(self, thread: int) -> None:
        """Takes a thread out of the line, wherever it stands in it."""
        release_all(self._mutex)
        with self._mutex:
            self._waiting = deque(place for place in self._waiting if place[0] != thread)
            if self._waiting:
                ring(self._waiting[0][1])


_TOO_LONG: Final = "other writers hold the store for too long"
# How often a lock is looked at while the processor is merely offered to others, and how long the
# looks after that are apart, in seconds.
_YIELDS: Final = 60
_STREAK_MAX: Final = 4
_ONE_WAITS: Final = 0.000_1
_MANY_WAIT: Final = 0.000_5


class _File:
    """A lock file, open in this process. `number` tells whether the name still leads to it."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = open_high(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise from_os_error(error, "cannot lock the store") from error
        self._path = str(path)
        status = os.fstat(self._descriptor)
        self._number = status.st_dev, status.st_ino

    def is_current(self) -> bool:
        """Whether this is still the file of that name: a restored folder may have replaced it."""
        try:
            status = os.stat(self._path)  # noqa: PTH116
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._number

    def lock(self, deadline: float, pause: float) -> None:
        """Waits for the lock. Raises `Unavailable` at the deadline, in monotonic seconds."""
        tries = 0
        while not self.try_lock():
            tries += 1
            if tries <= _YIELDS:
                os.sched_yield()
            elif time.monotonic() > deadline:
                raise Unavailable(_TOO_LONG)
            else:
                time.sleep(pause)

    def try_lock(self, mode: int = fcntl.LOCK_EX) -> bool:
        """Takes the lock if it is free, and says whether it was."""
        try:
            fcntl.flock(self._descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise from_os_error(error, "cannot lock the store") from error
        return True

    def unlock(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file, and so give the lock back. What still uses this object gets an error, and
        no other file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            self.close()


class FolderLock:
    """An exclusive lock on a file; the same thread may take it again while it holds it.

    The turn is a file beside it, with `.turn` behind its name.
    """

    def __init__(self, path: Path, timeout: float = 10.0) -> None:
        self._path, self._timeout = path, timeout
        self._line = _Line()
        self.times_opened = 0  # it grows when the file of that name is another one
        self._reset()
        _locks.add(self)

    def __repr__(self) -> str:
        return f"<FolderLock {self._path}>"

    def _reset(self) -> None:
        self._line.reset()
        self._files: tuple[_File, _File] | None = None  # the lock and the turn
        self._streak = 0  # how often the lock was taken without awaiting the turn
        self._owner = 0  # the thread that has it
        self._depth = 0

    def hold(self) -> FolderLock:
        """For `with`, which yields whether the lock was taken now, and not held before.

        Entering raises `Unavailable` when others keep it for longer than the timeout (seconds).
        """
        return self

    @property
    def held(self) -> bool:
        """Whether this thread holds it."""
        return self._owner == threading.get_ident()

    def __enter__(self) -> bool:
        me = threading.get_ident()
        if self._owner == me:
            self._depth += 1
            return False
        if self._line.first == me:
            self.abandon()  # it was interrupted, and nobody has let go of it since
        deadline = time.monotonic() + self._timeout
        try:
            self._enter(deadline)
            self._owner = me
        except BaseException:
            self.abandon()
            raise
        return True

    def _enter(self, deadline: float) -> None:
        if not self._line.enter(self._timeout):
            first = self._line.first
            if not first or is_alive(first):
                raise Unavailable(_TOO_LONG)
            self.abandon(first)
            if not self._line.enter(0):
                raise Unavailable(_TOO_LONG)
        self._lock(deadline)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._owner != threading.get_ident():
            return  # a child forked meanwhile: it never had the lock
        if self._depth:
            self._depth -= 1
        else:
            self.release()

    def abandon(self, thread: int = 0) -> None:
        """Lets go of whatever a thread, by default this one, has of the lock or waits for."""
        thread = thread or threading.get_ident()
        if self._line.first == thread:  # so what this process has locked is locked for that thread
            self._owner = self._depth = 0
            for file in self._files or ():
                file.unlock()
        self._line.forget(thread)

    def release(self) -> None:
        """Lets go of a lock that was taken once."""
        self._owner = 0
        if self._files:
            self._files[0].unlock()
        self._line.leave()

    def _lock(self, deadline: float) -> None:
        while True:
            lock, turn = self._opened()
            if self._streak < _STREAK_MAX and lock.try_lock():
                self._streak += 1
            else:
                self._wait_for_turn(lock, turn, deadline)
            if lock.is_current():
                return
            lock.unlock()
            self._renew(deadline)

    def _opened(self) -> tuple[_File, _File]:
        """The lock and the turn."""
        if self._files is None:
            self._files = self._open()
            self.times_opened += 1
        return self._files

    def _open(self) -> tuple[_File, _File]:
        turn = _File(self._path.with_name(f"{self._path.name}.turn"))
        try:
            return _File(self._path), turn
        except BaseException:
            turn.close()
            raise

    def _renew(self, deadline: float) -> None:
        """Opens the files that have the names now, and waits for whoever holds the old lock: it was
        taken while that still had the name.

        As long as there are none it keeps those it has: their folder may come back. They are open
        until others are, so that these cannot have the same numbers.
        """
        files, self._files = self._files, self._open()
        self.times_opened += 1
        if files:
            files[0].lock(deadline, _ONE_WAITS)
        for file in files or ():
            file.close()

    def _wait_for_turn(self, lock: _File, turn: _File, deadline: float) -> None:
        self._streak = 0
        turn.lock(deadline, _MANY_WAIT)
        try:
            lock.lock(deadline, _ONE_WAITS)
        finally:
            turn.unlock()

    def try_lock(self) -> bool:
        """Takes the lock if nobody has or awaits it, and says whether it did; then `release`."""
        me = threading.get_ident()
        if self._line.first == me and self._owner != me:
            self.abandon()
        if not self._line.enter(0):
            return False
        try:
            is_taken = self._opened()[0].try_lock()
            if is_taken:
                self._owner = me
            else:
                self._line.leave()
        except BaseException:
            self.abandon()
            raise
        return is_taken

    def close(self) -> None:
        """Lets go of the files; the next holder opens them anew."""
        files, self._files = self._files, None
        for file in files or ():
            file.close()


class Membership:
    """The processes that have something open, each holding a share of one lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: _File | None = None
        _locks.add(self)

    def _reset(self) -> None:
        self._file = None

    def join(self) -> bool:
        """Becomes a member; says whether there is no other. Under a lock that joining needs."""
        if self._file and not self._file.is_current():
            self.leave()
        self._file = self._file or _File(self._path)
        alone = self._file.try_lock(fcntl.LOCK_EX)
        if not self._file.try_lock(fcntl.LOCK_SH):
            raise Unavailable("another process is opening the store")
        return alone

    def alone(self) -> bool:
        """Whether there is no other. For whoever is about to leave: asking may end the share."""
        return self._file is not None and self._file.try_lock(fcntl.LOCK_EX)

    def leave(self) -> None:
        """Is a member no more."""
        file, self._file = self._file, None
        if file:
            file.close()


_locks: weakref.WeakSet[FolderLock | Membership] = weakref.WeakSet()


def _renew_after_fork() -> None:
    # The child must close the open files that it shares with its parent, or it would keep the
    # parent's locks alive; and never unlock: unlocking would release them. Those who stood in line
    # in the parent do not exist here.
    for lock in tuple(_locks):
        files = lock._files if isinstance(lock, FolderLock) else (lock._file,)
        for file in files or ():
            if file:
                file.close()
        lock._reset()


os.register_at_fork(after_in_child=_renew_after_fork)
