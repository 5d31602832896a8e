"""Writing to the journal: the lock that all writers share, and the promise made on leaving it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from docstore.errors import Unavailable
from docstore.following import Follower
from docstore.locking import FolderLock


class Writing:
    """For `with`: one writer at a time, who knows the journal to its end. May be nested.

    Nothing is promised on leaving it: see `Exclusive`.
    """

    def __init__(self, lock: FolderLock, follower: Follower, is_lost: Callable[[], None]) -> None:
        self.lock, self._follower, self._journal = lock, follower, follower.journal
        self._is_lost = is_lost
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
        sequence = 0 if self.lock.is_nested else self._journal.followed
        self.lock.__exit__(kind, error, trace)
        if sequence:
            self._journal.settle(sequence)
