"""Locks that exclude both threads and processes of a data folder.

`flock` and not `lockf`: a POSIX lock vanishes when any descriptor of the file closes, and does not
exclude threads. A flock belongs to the *open file*. So a lock object opens its file once a process,
admits one thread at a time, and opens the file again after a fork: a child that shared its parent's
open file would share, and could release, the parent's lock. The lock file is never removed:
removing it would admit two holders.

The lock is fair: no waiter starves while others write continuously. The threads of a process queue
in order. The first of them competes with other processes for the *turn*, a second lock, and only
the holder of the turn waits for the lock itself. A process that finds the lock free may take it
without the turn, but only `_STREAK_MAX` times in a row. That saves most of the cost where no other
process writes, and bounds the wait where others do.

An exception may occur at any line: from a signal handler, sent by another thread, or a
`MemoryError`. So `abandon` undoes each step: it releases whatever the thread holds of the lock. The
code that catches the exception calls it. It is idempotent.
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

from docstore.disk.descriptors import open_high
from docstore.errors import Unavailable, from_os_error


@contextmanager
def in_use(path: Path) -> Iterator[None]:
    """Mark a file or folder as in use until the block ends or the process dies."""
    descriptor = open_high(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_in_use(path: Path) -> bool:
    """Return whether a process has marked it as in use; False if it does not exist."""
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
    """Wake the thread that waits to acquire the lock. Idempotent."""
    if bell is not None:
        try:
            bell.release()
        except RuntimeError:
            return


def release_all(mutex: threading.RLock) -> None:
    """Release a reentrant lock as often as this thread has acquired it."""
    try:
        while True:
            mutex.release()
    except RuntimeError:
        return


def is_alive(thread: int) -> bool:
    """Return whether a thread with this identifier exists."""
    return thread in sys._current_frames()


class _FairQueue:
    """A fair queue of threads that pass one at a time; the first has the turn."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._mutex = threading.RLock()
        self._waiting: deque[tuple[int, threading.Lock | None]] = deque()

    @property
    def first(self) -> int:
        """Return the thread that has the turn; 0 for none."""
        try:
            return self._waiting[0][0] if self._waiting else 0
        except IndexError:  # it left between the two lookups
            return 0

    def enter(self, timeout: float) -> bool:
        """Wait for the turn; return whether it came within `timeout` seconds.

        Then `leave` must follow.
        """
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
        return True  # called just now

    def leave(self) -> None:
        """Pass the turn to the next thread."""
        with self._mutex:
            self._waiting.popleft()
            if self._waiting:
                ring(self._waiting[0][1])

    def forget(self, thread: int) -> None:
        """Remove a thread from the queue, wherever it stands."""
        release_all(self._mutex)
        with self._mutex:
            self._waiting = deque(place for place in self._waiting if place[0] != thread)
            if self._waiting:
                ring(self._waiting[0][1])


_TOO_LONG: Final = "other writers hold the store for too long"
# How many times to yield the processor between attempts, and how many seconds to sleep between the
# attempts after those.
_YIELDS: Final = 60
_STREAK_MAX: Final = 4
_ONE_WAITS: Final = 0.000_1
_MANY_WAIT: Final = 0.000_5


class _File:
    """A lock file that this process has open. `_number` identifies it: device and inode."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = open_high(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise from_os_error(error, "cannot lock the store") from error
        self._path = str(path)
        status = os.fstat(self._descriptor)
        self._number = status.st_dev, status.st_ino

    def is_current(self) -> bool:
        """Return whether the name still leads to this file: another folder may have replaced it."""
        try:
            status = os.stat(self._path)  # noqa: PTH116
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._number

    def lock(self, deadline: float, pause: float) -> None:
        """Wait for the lock. Raises `Unavailable` at the deadline, in monotonic seconds."""
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
        """Take the lock if it is free; return whether it was."""
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
        """Close the file, which releases the lock.

        A later use of this object raises an error and cannot reach another file that reuses the
        descriptor.
        """
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            self.close()


class FolderLock:
    """An exclusive lock on a file, reentrant on the thread that holds it.

    The turn is a second file, with `.turn` appended to the name.
    """

    def __init__(self, path: Path, timeout: float = 10.0) -> None:
        self._path, self._timeout = path, timeout
        self._line = _FairQueue()
        self.times_opened = 0  # counts openings, also of another file with the name
        self._reset()
        _locks.add(self)

    def __repr__(self) -> str:
        return f"<FolderLock {self._path}>"

    def _reset(self) -> None:
        self._line.reset()
        self._files: tuple[_File, _File] | None = None  # the lock and the turn
        self._streak = 0  # how often the lock was taken in a row without the turn
        self._owner = 0  # the thread that holds it; 0 for none
        self._depth = 0

    def hold(self) -> FolderLock:
        """Return the lock for `with`, which yields True if this thread did not hold it before.

        Entering raises `Unavailable` when others hold it for longer than the timeout (seconds).
        """
        return self

    @property
    def held(self) -> bool:
        """Return whether this thread holds the lock."""
        return self._owner == threading.get_ident()

    def __enter__(self) -> bool:
        me = threading.get_ident()
        if self._owner == me:
            self._depth += 1
            return False
        if self._line.first == me:
            self.abandon()  # this thread was interrupted and still holds the turn
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
            # The thread with the turn died without releasing it. It would block all others for
            # ever.
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
            return  # a child forked meanwhile: it never held the lock
        if self._depth:
            self._depth -= 1
        else:
            self.release()

    def abandon(self, thread: int = 0) -> None:
        """Release the lock that a thread, by default this one, holds, or end its wait for it."""
        thread = thread or threading.get_ident()
        if self._line.first == thread:  # then what this process has locked is that thread's
            self._owner = self._depth = 0
            for file in self._files or ():
                file.unlock()
        self._line.forget(thread)

    def release(self) -> None:
        """Release the lock after `try_lock`."""
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
            # A person may have replaced the folder. A lock on the old file excludes no one who
            # opened the new one.
            if lock.is_current():
                return
            lock.unlock()
            self._renew(deadline)

    def _opened(self) -> tuple[_File, _File]:
        """Return the open files of the lock and the turn."""
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
        """Open the files that have the names now, and wait for the holder of the old lock.

        That holder took the lock while its file still had the name. If the new files cannot be
        opened, the old ones remain: their folder may come back. The old files stay open until the
        new ones are, so that the new ones cannot reuse their inode numbers.
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
        """Take the lock if no thread or process holds or awaits it; return whether it was taken.

        Call `release` afterwards.
        """
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
        """Close the files; the next holder opens them again."""
        files, self._files = self._files, None
        for file in files or ():
            file.close()


class OpenProcesses:
    """The set of processes that have something open, each holding a shared lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: _File | None = None
        _locks.add(self)

    def _reset(self) -> None:
        self._file = None

    def join(self) -> bool:
        """Become a member; return whether there is no other.

        The caller holds a lock that `join` requires of all. Raises `Unavailable`.
        """
        if self._file and not self._file.is_current():
            self.leave()
        self._file = self._file or _File(self._path)
        alone = self._file.try_lock(fcntl.LOCK_EX)
        if not self._file.try_lock(fcntl.LOCK_SH):
            raise Unavailable("another process is opening the store")
        return alone

    def alone(self) -> bool:
        """Return whether this process is the only member.

        Call it only before leaving: asking may end the membership, whatever the answer, since a
        failed conversion loses the lock (flock(2)).
        """
        return self._file is not None and self._file.try_lock(fcntl.LOCK_EX)

    def leave(self) -> None:
        """Stop being a member."""
        file, self._file = self._file, None
        if file:
            file.close()


_locks: weakref.WeakSet[FolderLock | OpenProcesses] = weakref.WeakSet()


def _renew_after_fork() -> None:
    # The child must close the open files that it shares with its parent, or it would prolong the
    # parent's locks. It must not unlock them: that would release the parent's locks. The threads
    # that queued in the parent do not exist in the child.
    for lock in tuple(_locks):
        files = lock._files if isinstance(lock, FolderLock) else (lock._file,)
        for file in files or ():
            if file:
                file.close()
        lock._reset()


os.register_at_fork(after_in_child=_renew_after_fork)
