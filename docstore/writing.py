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

from docstore.errors import StoreError, Unavailable
from docstore.following import Follower
from docstore.locking import FolderLock, is_alive, release_all, ring


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
                self.catch_up()
            except BaseException:
                self.lock.__exit__(None, None, None)
                raise

    def catch_up(self) -> None:
        """Takes in the journal to its end. Under the lock. Raises `Unavailable`."""
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
        elif journal.followed != journal.appended or journal.is_in_doubt:
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
        sequence = self._journal.appended
        self.lock.__exit__(kind, error, trace)
        self._journal.settle(sequence)


Result = TypeVar("Result")

_BATCH_MAX: Final = 32
_GATHER: Final = 0.000_01
_GATHER_LOOKS: Final = 4


class _Job:
    """What one thread wants done. It runs in that thread's context, whoever runs it."""

    __slots__ = (
        "_context",
        "_work",
        "batch",
        "called",
        "error",
        "is_done",
        "leader",
        "leads",
        "result",
        "thread",
    )

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work, self._context = work, copy_context()
        self.thread = threading.get_ident()
        self.called = threading.Lock()  # released when it is done, or when its thread is to lead
        self.called.acquire()
        self.is_done = self.leads = False
        self.leader = 0  # the thread that runs it
        self.batch: list[_Job] = []  # those that this one's thread runs, as the leader
        self.result: Any = None
        self.error: Exception | None = None

    def run(self) -> bool:
        """Runs it; tells whether it ended in order: with a result, or a refusal of the store."""
        try:
            self.result = self._context.run(self._work)
        except StoreError as error:
            self.error = error
        except Exception as error:
            self.error = error
            return False
        return True

    def end(self) -> None:
        """Returns to the thread whose job it is. To do it again changes nothing."""
        self.is_done = True
        ring(self.called)


class Together:
    """Does under the lock what threads want done, and returns to each when it is durable.

    `mend` is called where work ended in an error that is none of the store's: whatever it was, and
    wherever it was raised, the next one is to find everything in order.
    """

    def __init__(
        self,
        writing: Writing,
        follower: Follower,
        timeout: float,
        mend: Callable[[], None] = lambda: None,
    ) -> None:
        self._writing, self._journal, self._timeout = writing, follower.journal, timeout
        self._mend = mend
        self.forked()

    def forked(self) -> None:
        """In a forked child: whoever waits or leads in the parent does not exist here."""
        self._mutex = threading.RLock()
        self._queue: list[_Job] = []
        self._leader = 0  # the thread that leads, or is called to
        self._usual = 1  # how many jobs came together

    @property
    def is_led_here(self) -> bool:
        """Whether this thread is running what it and others want done."""
        return self._leader == threading.get_ident()

    def run(self, work: Callable[[], Result]) -> Result:
        """Runs the work under the lock, on this thread or another; returns what it returns.

        Raises what it raises, and `Unavailable` where it cannot be made durable.
        """
        job = _Job(work)
        try:
            self._run(job)
        except BaseException:
            self._abandon(job)
            raise
        if job.error is not None:
            raise job.error
        result: Result = job.result
        return result

    def _run(self, job: _Job) -> None:
        with self._mutex:
            if self._leader == job.thread:
                self._leader = 0  # it was interrupted twice, the second time in `_abandon`
            self._queue.append(job)
            if not self._leader:
                self._leader, job.leads = job.thread, True
        if not job.leads:
            self._wait(job)
        if not job.is_done:
            self._lead(job)

    def _wait(self, job: _Job) -> None:
        """Until the job is done or is to lead. Raises `Unavailable` if nobody began it in time."""
        while not (job.is_done or job.leads or job.called.acquire(timeout=self._timeout)):
            with self._mutex:
                is_waiting = job in self._queue and not job.leads
                if is_waiting and is_alive(self._leader):
                    self._queue.remove(job)
                    raise Unavailable("other writers hold the store for too long")
                if is_waiting:
                    self._leader, job.leads = job.thread, True
                elif job.leader and not is_alive(job.leader):
                    raise _interrupted()

    def _lead(self, own: _Job) -> None:
        batch = own.batch
        are_in_order = True
        try:
            self._gather()
            with self._writing:
                self._take(own)
                for job in batch:
                    if not job.run():
                        are_in_order = False
                        self._mend()
                        self._writing.catch_up()
                sequence = self._journal.appended
            self._journal.settle(sequence)
        except Exception as error:  # the lock was not to be had, or the disk failed
            are_in_order = are_in_order and isinstance(error, StoreError)
            _refuse(batch or [own], own, error)
        if not are_in_order:
            release_all(self._mutex)
        self._pass_on(own)
        if not are_in_order:
            self._mend()

    def _gather(self) -> None:
        """Waits a moment for those who are about to come, as many as came together last time."""
        for _ in range(_GATHER_LOOKS):
            if len(self._queue) >= self._usual:
                return
            time.sleep(_GATHER)

    def _take(self, own: _Job) -> None:
        with self._mutex:
            own.batch += self._queue[:_BATCH_MAX]
            del self._queue[:_BATCH_MAX]
        for job in own.batch:
            job.leader = own.thread

    def _pass_on(self, own: _Job) -> None:
        """Lets the first who waits lead from now on, and returns to all for whom it is done."""
        with self._mutex:
            if own in self._queue:
                self._queue.remove(own)
            self._usual = len(own.batch)
            self._choose_leader()
        own.is_done = True
        for job in own.batch:
            job.is_done = True
            if job is not own:
                ring(job.called)

    def _choose_leader(self) -> None:
        job = self._queue[0] if self._queue else None
        self._leader = job.thread if job else 0
        if job:
            job.leads = True
            ring(job.called)

    def _abandon(self, own: _Job) -> None:
        """Leaves after an interruption at whatever line: whoever waits for this thread is told that
        it was interrupted, and another thread leads. To do it again changes nothing."""
        release_all(self._mutex)
        with self._mutex:
            taken = [job for job in own.batch if job not in self._queue]
            self._queue = [job for job in self._queue if job is not own]
            if self._leader == own.thread:
                self._choose_leader()
        for job in taken:
            if not job.is_done:
                job.error = _interrupted()
            job.end()


def _interrupted() -> Unavailable:
    return Unavailable("interrupted: read whether the change happened", 0)


def _refuse(jobs: list[_Job], own: _Job, failure: Exception) -> None:
    """Nobody is told that it is done; each gets an error of its own."""
    for job in jobs:
        if job is own:
            job.error = failure
        elif isinstance(failure, Unavailable):
            job.error = type(failure)(failure.reason, failure.retry_after)
        elif isinstance(failure, StoreError):
            job.error = Unavailable(str(failure))
        else:
            job.error = _interrupted()
