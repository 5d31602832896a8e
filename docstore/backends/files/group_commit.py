"""Write access to the journal: the lock of all writers, and group commit.

Under contention, one thread runs the queued work of several threads under the lock, one after the
other (group commit). That saves the other threads two wake-ups each, for the lock and for the sync,
and saves lock operations. While it syncs, the next leader runs what was queued meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from types import TracebackType
from typing import Any, Final, TypeVar

from docstore.backends.files.document_cache import FileDocumentCache
from docstore.disk.locks import FolderLock, is_alive, release_all, ring
from docstore.errors import StoreError, Unavailable


class WriterSession:
    """A writer session for `with`: one writer at a time, with the journal applied to its end.

    It may be nested. Leaving it does not make anything durable: see `DurableWriterSession`.
    """

    def __init__(
        self,
        lock: FolderLock,
        cache: FileDocumentCache,
        is_lost: Callable[[], None],
        finish_restore: Callable[[], None],
    ) -> None:
        self.lock, self._cache, self._journal = lock, cache, cache.journal
        self._is_lost, self._finish_restore = is_lost, finish_restore
        self.times_opened = 0  # the lock's count when the journal was opened

    def __enter__(self) -> None:
        if self.lock.__enter__():
            try:
                self.catch_up()
            except BaseException:
                self.lock.__exit__(None, None, None)
                raise

    def catch_up(self) -> None:
        """Apply the journal to its end. Requires the lock. Raises `Unavailable`."""
        cursor, state = self._journal.cursor, self._journal.state
        if self.lock.times_opened != self.times_opened:
            self._is_lost()
            raise Unavailable("the data folder was replaced by another one: try again", 1)
        if cursor.is_stale:
            raise Unavailable("the journal was opened anew by another process: try again", 1)
        if state.restoring:  # the process that restored has died
            self._finish_restore()
        if state.writing:  # a writer died during an append
            self._cache.recover_tail()
        elif cursor.followed != state.appended or cursor.is_in_doubt:
            self._cache.follow()
        if cursor.is_stale:
            raise Unavailable("the journal went on without this process: try again", 1)
        if cursor.followed != state.appended:
            raise cursor.leave_incomplete()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.lock.__exit__(kind, error, trace)


class DurableWriterSession(WriterSession):
    """A writer session that, on leaving, waits until everything written or read in it is durable.

    The lock is released first. So the next writer appends while this one waits, and one sync serves
    both.
    """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Read before the release: this writer need not wait for the frames of the next one.
        sequence = self._journal.appended
        self.lock.__exit__(kind, error, trace)
        self._journal.wait_durable(sequence)


Result = TypeVar("Result")

_BATCH_MAX: Final = 32
_GATHER: Final = 0.000_01
_GATHER_LOOKS: Final = 4


class _QueuedEdit:
    """The queued work of one thread.

    It runs in that thread's context, on whichever thread runs it.
    """

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
        self.called = threading.Lock()  # released when done, or when its thread is to lead
        self.called.acquire()
        self.is_done = self.leads = False
        self.leader = 0  # the thread that runs it
        self.batch: list[_QueuedEdit] = []  # if its thread leads: the jobs that it runs
        self.result: Any = None
        self.error: Exception | None = None

    def run(self) -> bool:
        """Run the work; return False if it raised an error that is not a `StoreError`."""
        try:
            self.result = self._context.run(self._work)
        except StoreError as error:
            self.error = error
        except Exception as error:
            self.error = error
            return False
        return True

    def end(self) -> None:
        """Mark the job as done and wake its thread. Idempotent."""
        self.is_done = True
        ring(self.called)


class GroupCommit:
    """Group commit: run the queued work of threads under the lock; return when it is durable.

    `mend` is called after work raised an error that is not a `StoreError`. It was raised at an
    unknown line: the next job must find consistent state.
    """

    def __init__(
        self,
        writing: WriterSession,
        cache: FileDocumentCache,
        timeout: float,
        mend: Callable[[], None] = lambda: None,
    ) -> None:
        self._writing, self._journal, self._timeout = writing, cache.journal, timeout
        self._mend = mend
        self.forked()

    def forked(self) -> None:
        """Reset in a forked child, where the parent's waiting and leading threads do not exist."""
        self._mutex = threading.RLock()
        self._queue: list[_QueuedEdit] = []
        self._leader = 0  # the thread that leads or is chosen to; 0 for none
        self._usual = 1  # the size of the last batch

    @property
    def is_led_here(self) -> bool:
        """Return whether this thread is the leader."""
        return self._leader == threading.get_ident()

    def run(self, work: Callable[[], Result]) -> Result:
        """Run the work under the lock, on this or another thread; return its result once durable.

        Raises the error of the work, and `Unavailable` if the result cannot be made durable.
        """
        job = _QueuedEdit(work)
        try:
            self._run(job)
        except BaseException:
            self._abandon(job)
            raise
        if job.error is not None:
            raise job.error
        result: Result = job.result
        return result

    def _run(self, job: _QueuedEdit) -> None:
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

    def _wait(self, job: _QueuedEdit) -> None:
        """Wait until the job is done or is to lead.

        Raises `Unavailable` if no leader took it in time, or if its leader died.
        """
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

    def _lead(self, own: _QueuedEdit) -> None:
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
            # Outside the lock, so that the next leader appends during this sync.
            self._journal.wait_durable(sequence)
        except Exception as error:  # the lock timed out, or the disk failed
            are_in_order = are_in_order and isinstance(error, StoreError)
            _refuse(batch or [own], own, error)
        if not are_in_order:
            release_all(self._mutex)
        self._pass_on(own)
        if not are_in_order:
            self._mend()

    def _gather(self) -> None:
        """Wait briefly until as many jobs are queued as came together last time."""
        for _ in range(_GATHER_LOOKS):
            if len(self._queue) >= self._usual:
                return
            time.sleep(_GATHER)

    def _take(self, own: _QueuedEdit) -> None:
        with self._mutex:
            own.batch += self._queue[:_BATCH_MAX]
            del self._queue[:_BATCH_MAX]
        for job in own.batch:
            job.leader = own.thread

    def _pass_on(self, own: _QueuedEdit) -> None:
        """Hand the lead to the first waiting thread, and wake the threads whose jobs are done."""
        with self._mutex:
            if own in self._queue:
                self._queue.remove(own)
            self._usual = len(own.batch)
            self._choose_leader()
        own.is_done = True
        for job in own.batch:
            # Set before the wake-up: a woken thread whose job is not done would lead.
            job.is_done = True
            if job is not own:
                ring(job.called)

    def _choose_leader(self) -> None:
        job = self._queue[0] if self._queue else None
        self._leader = job.thread if job else 0
        if job:
            job.leads = True
            ring(job.called)

    def _abandon(self, own: _QueuedEdit) -> None:
        """Leave after an interruption at any line. Idempotent.

        The threads that wait for this one get an error that says so, and another thread leads.
        """
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


def _refuse(jobs: list[_QueuedEdit], own: _QueuedEdit, failure: Exception) -> None:
    """Set an error on each job, as a separate exception object: none of them is durable."""
    for job in jobs:
        if job is own:
            job.error = failure
        elif isinstance(failure, Unavailable):
            job.error = type(failure)(failure.reason, failure.retry_after)
        elif isinstance(failure, StoreError):
            job.error = Unavailable(str(failure))
        else:
            job.error = _interrupted()
