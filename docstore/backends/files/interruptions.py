"""Repairs what an exception at any line leaves behind.

It may come from a signal handler, from another thread, or be a `MemoryError`. Each public method
of the backend repairs what an exception that passes through it left behind.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from docstore.backends.files.document_cache import FileDocumentCache
from docstore.backends.files.folder import DataFolder
from docstore.backends.files.group_commit import GroupCommit
from docstore.disk.locks import release_all
from docstore.errors import StoreError
from docstore.journal.change_feed import ChangeFeed
from docstore.journal.log import Journal


class InterruptionRepair:
    """Releases the locks of a thread whose method was interrupted.

    Invariant: after the exception left the backend, the thread holds no lock of the store, leads
    no group and waits in no queue. If an edit, or a caller that holds the lock through
    `exclusive`, called the interrupted method, they retain the lock. A later use discards cached
    documents that are in doubt: see `Journal.is_in_doubt`.
    """

    def __init__(
        self, folder: DataFolder, journal: Journal, cache: FileDocumentCache, feed: ChangeFeed
    ) -> None:
        self._folder, self._journal = folder, journal
        self._cache, self._feed = cache, feed
        self._group: GroupCommit | None = None
        self.opening = threading.RLock()  # held while the folder is opened or closed
        self.session_thread = 0  # the thread that holds the lock through `exclusive`

    def attach(self, group: GroupCommit) -> None:
        """Note the group commit whose leaders retain the lock."""
        self._group = group

    def reset_after_fork(self) -> None:
        """Reset in a forked child: the parent's threads hold nothing in it."""
        self.opening = threading.RLock()

    @property
    def is_in_session(self) -> bool:
        """Return whether this thread holds the lock through `exclusive`."""
        return self.session_thread == threading.get_ident()

    def repair(self) -> None:
        """Release everything that this thread holds, leads or waits for."""
        for mutex in (self._cache.mutex, self._feed.mutex):
            release_all(mutex)
        self._journal.abandon()
        is_leader = self._group is not None and self._group.is_led_here
        if is_leader or self.is_in_session:
            return
        folder = self._folder
        for lock in (folder.lock, folder.publishing_lock, folder.opening_lock):
            lock.abandon()
        release_all(self.opening)

    def repair_after(self, *, inside: bool) -> None:
        """Like `repair`, and release a lock held through `exclusive` unless `inside` its block."""
        if not inside and self.is_in_session:
            self.session_thread = 0
        self.repair()

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Repair the state after an interruption that passes through the block."""
        inside = self.is_in_session
        try:
            yield
        except StoreError:
            raise
        except BaseException:
            self.repair_after(inside=inside)
            raise
