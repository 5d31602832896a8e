"""Writing to the journal: the lock that all writers share, and the promise made on leaving it.

What several threads want done under the lock at the same time, one of them does for all, one after
the other: that saves the others from being woken twice, once to write and once when the sync is
done, and it saves the lock. While it syncs, the next one does what came meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from types import TracebackType
from typing import Any, Final, TypeVar

from docstore.errors import Unavailable
from docstore.following import Follower
from docstore.locking import FolderLock


class Writing:
    """For `with`: one writer at a time, who knows the journal to its end. May be nested.

    Nothing is promised on leaving it: see `Exclusive`.
    """

    def __init__(
        self,
        lock: FolderLock,
        follower: Follower,
        is_lost: Callable[[], None],
        finish_restore: Callable[[], None],
    ) -> None:
        self.lock, self._follower, self._journal = lock, follower, follower.journal
        self._is_lost, self._finish_restore = is_lost, finish_restore
        self.times_opened = 0  # of the lock, when the journal was opened

    def __enter__(self) -> None:
        if self.lock.__enter__():
            try:
                self._catch_up()
            except BaseException:
                self.lock.__exit__(None, None, None)
                raise

    def _catch_up(self) -> None:
        journal = self._journal
        if self.lock.times_opened != self.times_opened:
            self._is_lost()
            raise Unavailable("the data folder was replaced by another one: try again", 1)
        if journal.is_outdated:
            raise Unavailable("the journal was opened anew by another process: try again", 1)
        if journal.is_restoring:  # whoever did has died
            self._finish_restore()
        if journal.is_broken_off:
            self._follower.find_end()
        elif journal.followed != journal.appended:
            self._follower.follow()
        if journal.is_outdated:
            raise Unavailable("the journal went on without this process: try again", 1)
        if journal.followed != journal.appended:
            raise Unavailable("a part of the journal is missing: was the data folder changed?")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.lock.__exit__(kind, error, trace)


class Exclusive(Writing):
    """The same, and whoever leaves it waits until all that was written or read is durable.

    The lock is let go of first, so that the next writer appends while this one waits, and one sync
    is for both.
    """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sequence = self._journal.followed
        self.lock.__exit__(kind, error, trace)
        self._journal.settle(sequence)


Result = TypeVar("Result")

_BATCH_MAX: Final = 32
_GATHER: Final = 0.000_01
_GATHER_LOOKS: Final = 4


class _Job:
    """What one thread wants done. It runs in that thread's context, whoever runs it."""

    __slots__ = ("_context", "_work", "called", "error", "is_done", "leads", "result")

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work, self._context = work, copy_context()
        self.called = threading.Lock()  # released when it is done, or when its thread is to lead
        self.called.acquire()
        self.is_done = self.leads = False
        self.result: Any = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.result = self._context.run(self._work)
        except Exception as error:
            self.error = error


class Together:
    """Does under the lock what threads want done, and returns to each when it is durable."""

    def __init__(self, writing: Writing, follower: Follower, timeout: float) -> None:
        self._writing, self._journal, self._timeout = writing, follower.journal, timeout
        self.forked()

    def forked(self) -> None:
        """In a forked child: whoever waits or leads in the parent does not exist here."""
        self._mutex = threading.Lock()
        self._queue: list[_Job] = []
        self._is_led = False
        self._usual = 1  # how many jobs came together

    def run(self, work: Callable[[], Result]) -> Result:
        """Runs the work under the lock, on this thread or another; returns what it returns.

        Raises what it raises, and `Unavailable` where it cannot be made durable.
        """
        job = _Job(work)
        with self._mutex:
            self._queue.append(job)
            job.leads, self._is_led = not self._is_led, True
        if not job.leads:
            self._wait(job)
        if not job.is_done:
            self._lead(job)
        if job.error is not None:
            raise job.error
        result: Result = job.result
        return result

    def _wait(self, job: _Job) -> None:
        """Until the job is done or is to lead. Raises `Unavailable` if nobody began it in time."""
        if job.called.acquire(timeout=self._timeout):
            return
        with self._mutex:
            is_waiting = job in self._queue and not job.leads
            if is_waiting:
                self._queue.remove(job)
        if is_waiting:
            raise Unavailable("other writers hold the store for too long")
        job.called.acquire()  # it was begun, or is to lead, in this very moment

    def _lead(self, own: _Job) -> None:
        batch: list[_Job] = []
        failure: Exception | None = Unavailable("interrupted: read whether the change happened", 0)
        try:
            self._gather()
            with self._writing:
                self._take(batch)
                for job in batch:
                    job.run()
                sequence = self._journal.followed
            self._journal.settle(sequence)
            failure = None
        except Exception as error:  # the lock was not to be had, or the disk failed
            failure = error
        finally:
            if failure is not None:
                _refuse(batch or [own], own, failure)
            self._pass_on(own, batch)

    def _gather(self) -> None:
        """Waits a moment for those who are about to come, as many as came together last time."""
        for _ in range(_GATHER_LOOKS):
            if len(self._queue) >= self._usual:
                return
            time.sleep(_GATHER)

    def _take(self, batch: list[_Job]) -> None:
        with self._mutex:
            batch += self._queue[:_BATCH_MAX]
            del self._queue[:_BATCH_MAX]

    def _pass_on(self, own: _Job, batch: list[_Job]) -> None:
        """Lets the first who waits lead from now on, and returns to all for whom it is done."""
        with self._mutex:
            if own in self._queue:
                self._queue.remove(own)
            self._usual = len(batch)
            self._is_led = bool(self._queue)
            if self._queue:
                self._queue[0].leads = True
                self._queue[0].called.release()
        for job in batch:
            job.is_done = True
            if job is not own:
                job.called.release()


def _refuse(jobs: list[_Job], own: _Job, failure: Exception) -> None:
    """Nobody is told that it is done; each gets an error of its own."""
    for job in jobs:
        if job is own:
            job.error = failure
        elif isinstance(failure, Unavailable):
            job.error = type(failure)(failure.reason, failure.retry_after)
        else:
            job.error = Unavailable(str(failure))
