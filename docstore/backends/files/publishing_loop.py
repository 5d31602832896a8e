"""Publishes in the background, and merges the edits that a publication meets."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Final

from docstore.backends.files.hand_edits import HandEdits
from docstore.backends.files.lifecycle import Lifecycle
from docstore.backends.files.parts import FolderParts
from docstore.backends.files.publisher import RETRY_SECONDS, PublisherThread
from docstore.errors import StoreError, Unavailable

log = logging.getLogger(__name__)

# How often to publish again after merging edits that the publication met.
_ROUNDS_MAX: Final = 5


class PublishingLoop:
    """The publications of a process: on request, and in a thread that lives as long as needed.

    Invariant: a file that a person edited is merged before a publication replaces it. With
    `in_background`, news that are noted with `wake` are published without further calls.
    """

    def __init__(self, parts: FolderParts, *, in_background: bool) -> None:
        self._journal, self._cache, self._publisher = parts.journal, parts.cache, parts.publisher
        self._session, self._lock, self._repair = parts.session, parts.folder.lock, parts.repair
        self.in_background = in_background
        self._thread: PublisherThread | None = None
        self._complaint = ""

    def attach(self, lifecycle: Lifecycle, hand_edits: HandEdits) -> None:
        """Set the parts that are made later, since these wake this one."""
        self._lifecycle, self._hand_edits = lifecycle, hand_edits

    # The thread

    @property
    def is_running(self) -> bool:
        """Return whether there is a thread: a process that wrote nothing has nothing to finish."""
        return self._thread is not None

    def wake(self) -> None:
        """Notify the thread that there is something to publish; start it if it does not run."""
        if not self.in_background:
            return
        thread = self._thread
        if thread is None or not thread.is_alive:
            with self._repair.opening:
                thread = self._thread
                if thread is None or not thread.is_alive:
                    thread = self._thread = PublisherThread(self.tick)
        thread.wake()

    def stop(self) -> None:
        """End the thread after its current step."""
        if self._thread is not None:
            self._thread.stop()
            self._thread = None

    def reset_after_fork(self) -> None:
        """Reset in a forked child: it has no threads of its parent."""
        self._thread = None

    def tick(self) -> float:
        """Do what is due, and return the seconds until the next time."""
        try:
            return self._tick()
        except StoreError:
            raise
        except BaseException:
            self._repair.repair()
            raise

    def _tick(self) -> float:
        lifecycle = self._lifecycle
        if lifecycle.is_open and not lifecycle.is_read_only:
            self._journal.find_lost()
        try:
            lifecycle.ensure_open()
        except StoreError as fault:
            if str(fault) != self._complaint:  # log it once and not each second
                log.error("%s", fault)
            self._complaint = str(fault)
            return 1.0
        self._complaint = ""
        if lifecycle.is_read_only:
            return 1.0
        if self._journal.is_restoring and self._lock.try_lock():
            self._lock.release()  # the lock is free: the process that restored has died
            with suppress(Unavailable), self._session:
                pass
        pause = self._publisher.work()
        return min(pause, RETRY_SECONDS / 4) if self.merge_edited() else pause

    # On request

    def publish(self) -> None:
        """Bring every file up to date. Raises `Unavailable`, `OutOfSpace`."""
        self._lifecycle.ensure_open()
        if self._lifecycle.is_read_only:
            return
        self._cache.follow()
        self._publisher.publish()
        for _ in range(_ROUNDS_MAX):
            if not self.merge_edited():
                break
            self._publisher.publish()

    def merge_edited(self) -> bool:
        """Merge the edited files that the publication noted; return whether there were any."""
        edited = self._publisher.take_edited()
        for key in edited:
            self._hand_edits.merge(key)
        return bool(edited)
