"""Admits one writer at a time, over threads and processes, and many in one batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from types import TracebackType
from typing import Final, TypeVar

from docstore.backends.files.folder import DataFolder
from docstore.backends.files.group_commit import DurableWriterSession, GroupCommit
from docstore.backends.files.interruptions import InterruptionRepair
from docstore.backends.files.lifecycle import Lifecycle
from docstore.backends.files.parts import FolderParts
from docstore.backends.files.publisher import RETRY_SECONDS
from docstore.document import Key
from docstore.errors import StoreError, Unavailable

Result = TypeVar("Result")

# How many documents may have outdated files before writers help to publish.
BACKLOG_MAX: Final = 20_000
# How often to merge a file that an editor is saving before waiting for it under the lock.
_MERGES_MAX: Final = 5


class UnsettledFile(StoreError):
    """Work under the lock read a file that an editor may be saving: merge it, and repeat the work.

    Raised to leave the lock. An edit reads before its one commit, so nothing was changed.
    """

    def __init__(self, key: Key) -> None:
        super().__init__(f"{key} is being saved")
        self.key = key


class _HandedOut:
    """The lock as handed to a caller of `exclusive`.

    If an interruption hits the caller between the steps of `with`, dropping the last reference to
    this releases the lock.
    """

    _holder = 0  # on the class, for an object that is interrupted in `__init__`

    def __init__(
        self, folder: DataFolder, repair: InterruptionRepair, exclusive: DurableWriterSession
    ) -> None:
        self._lock, self._repair, self._exclusive = folder.lock, repair, exclusive

    def __enter__(self) -> None:
        try:
            self._exclusive.__enter__()
            self._holder = self._repair.session_thread = threading.get_ident()
        except BaseException:
            self._holder = 0
            self._repair.repair_after(inside=False)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._holder = self._repair.session_thread = 0
            self._exclusive.__exit__(kind, error, trace)
        except StoreError:
            raise
        except BaseException:
            self._repair.repair_after(inside=False)
            raise

    def __del__(self) -> None:
        if self._holder and self._holder == self._repair.session_thread:
            self._repair.session_thread = 0
            self._lock.abandon(self._holder)


class WriterAccess:
    """The way to the folder lock.

    Invariant: work runs with the folder open and the journal applied to its end, and its caller
    continues when everything that it read and wrote is durable.
    """

    def __init__(
        self,
        parts: FolderParts,
        lifecycle: Lifecycle,
        exclusive: DurableWriterSession,
        group: GroupCommit,
    ) -> None:
        self._folder, self._journal, self._cache = parts.folder, parts.journal, parts.cache
        self._publisher, self._repair = parts.publisher, parts.repair
        self._lifecycle, self._exclusive, self._group = lifecycle, exclusive, group
        self._tried_to_publish = 0.0

    @property
    def is_held(self) -> bool:
        """Return whether this thread holds the lock."""
        return self._folder.lock.held

    @property
    def is_leading(self) -> bool:
        """Return whether this thread runs a batch, so that others wait for it."""
        return self.is_held and self._group.is_led_here

    def exclusive(self) -> AbstractContextManager[object]:
        """Admit one writer: see `Backend.exclusive`. Raises `Unavailable`."""
        if self.is_held:
            return nullcontext()  # the outer block does everything
        with self._repair.guard():
            self._prepare()
        if self._lifecycle.is_read_only:
            is_there = self._folder.files.exists(self._folder.work / "lock")
            return self._folder.lock if is_there else nullcontext()
        return _HandedOut(self._folder, self._repair, self._exclusive)

    def run(
        self, work: Callable[[], Result], merge: Callable[[Key], None], *, same_thread: bool
    ) -> Result:
        """Run the work in a batch of several threads, or on this one if `same_thread`.

        `merge` merges a file that the work met while an editor may have been saving it.
        """
        if self.is_held:
            return work()
        for _ in range(_MERGES_MAX):
            try:
                return self._run_again(work, same_thread=same_thread)
            except UnsettledFile as unsettled:
                with self._repair.guard():
                    merge(unsettled.key)
        return self._run_again(work, same_thread=True)  # it waits under the lock

    def _run_again(self, work: Callable[[], Result], *, same_thread: bool) -> Result:
        """Run the work, again if the folder was to be opened again before the work began."""
        begun = []

        def begin() -> Result:
            begun.append(True)
            return work()

        try:
            try:
                return self._run(begin, same_thread=same_thread)
            except Unavailable:
                if begun or not self._lifecycle.must_open_again:
                    raise
                return self._run(work, same_thread=same_thread)  # nothing was done yet
        except StoreError:
            raise
        except BaseException:
            self._repair.repair_after(inside=False)
            raise

    def _run(self, work: Callable[[], Result], *, same_thread: bool) -> Result:
        if same_thread:
            with self.exclusive():
                return work()
        self._prepare()
        return work() if self._lifecycle.is_read_only else self._group.run(work)

    def _prepare(self) -> None:
        self._lifecycle.ensure_open()
        self._lifecycle.reopen_to_write()
        if self._journal.blocked or len(self._cache.pending) > BACKLOG_MAX:
            self._apply_backpressure()

    def _apply_backpressure(self) -> None:
        """Publish before more is written, since the reason why it failed may be gone."""
        if time.monotonic() < self._tried_to_publish + RETRY_SECONDS / 2:
            return
        with suppress(Unavailable):
            self._cache.follow()
            if self._journal.blocked:
                self._publisher.unblock()
            else:
                self._publisher.publish()
        self._tried_to_publish = time.monotonic()
