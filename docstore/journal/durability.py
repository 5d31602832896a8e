"""Makes appended frames durable: one sync for all threads and processes that wait (group commit).

After a failed sync, the system may report later syncs as successful although the data is lost
(Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). So the journal
*fails*, for all processes at once. Only a process that opens it again recovers it, from what is
still readable, into new files.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
import time
from typing import Final

from docstore.disk.filesystem import FileSystem
from docstore.disk.locks import FolderLock, release_all, ring
from docstore.errors import Unavailable, from_os_error
from docstore.journal.cursor import Cursor
from docstore.journal.open_files import OpenFiles
from docstore.journal.segments import OpenSegment, SegmentFolder
from docstore.journal.state import JournalState
from docstore.observer import IGNORING, Observer

log = logging.getLogger(__name__)

SYNC_SECONDS_MAX: Final = 60.0
_RECOVERED: Final = (
    "the journal was recovered by a new process while a change was written: read whether the change"
    " happened"
)
_TOO_SLOW: Final = "the disk takes too long to make the change durable"
# While another process syncs: how many times to yield the processor between looks, and how many
# seconds to sleep between the looks after those.
_YIELDS: Final = 60
_PAUSE: Final = 0.000_1


class Durability:
    """The syncs of a journal, and its failure.

    Invariant: `synced` is raised only after a sync succeeded, of a file that still has its name,
    and by a holder of `sync_lock`. Once a sync failed, it is never raised again.
    """

    def __init__(
        self,
        files: FileSystem,
        segments: SegmentFolder,
        state: JournalState,
        cursor: Cursor,
        open_files: OpenFiles,
    ) -> None:
        self._files, self._segments, self._state = files, segments, state
        self._cursor, self._open_files = cursor, open_files
        self.lock = files.lock(segments.folder / "syncing", SYNC_SECONDS_MAX)
        self.failure = ""
        self.observer: Observer = IGNORING

    def sync(self) -> None:
        """Make all appended frames durable.

        Raises `Unavailable`; if the disk failed, the journal fails.
        """
        self.refuse_failed()
        with self.lock.hold():
            if self._state.synced < self._state.appended:
                self.sync_locked()

    def sync_locked(self) -> None:
        """Make all appended frames durable. Requires `lock`. Raises `Unavailable`."""
        # While this thread waited for the lock, the sync of another process may have failed. A
        # second sync would report what that one lost as durable.
        self.refuse_failed()
        state = self._state
        while True:
            # A writer may begin a segment between these reads. Then `target` would count frames
            # that a sync of the old segment does not make durable, so both are read again.
            number, target = state.segment, state.appended
            segment = self._segment_to_sync(number)
            if state.segment == number:
                break
        if segment is None:
            return
        begun = time.perf_counter()
        self.sync_segment("commit", segment)
        self.observer.on_sync(time.perf_counter() - begun, target - state.synced)
        # Without this check, commits in a file that lost its name would be acknowledged.
        self._open_files.require_names(segment)
        self.refuse_failed()  # a process that seals the segment syncs it without this lock
        if target > state.synced:
            state.synced = target

    def sync_sealed(self, number: int) -> None:
        """Make a segment durable after its last frame. Requires the folder lock."""
        segment = self._segment_to_sync(number)
        assert segment is not None
        self.sync_segment("seal", segment)
        self._open_files.require_names(segment)
        with self.lock.hold():
            self.refuse_failed()
            self._state.synced = self._state.appended

    def sync_segment(self, step: str, segment: OpenSegment) -> None:
        """Make a segment durable.

        A failure fails the journal, and no later commit is acknowledged: `fail`.
        """
        try:
            self._files.sync_data(step, segment.handle)
        except OSError as error:
            raise self.fail(error) from error

    def _segment_to_sync(self, number: int) -> OpenSegment | None:
        segment = self._cursor.segment
        if segment is not None and segment.number == number:
            return segment
        if not number:
            return None  # sealed segments were synced before
        try:
            return self._segments.open(number, to_write=not self._open_files.is_read_only)
        except OSError as error:
            raise from_os_error(error, "cannot open the journal") from error

    # Failure

    def fail(self, error: OSError) -> Unavailable:
        """Stop all writing, in all processes, until a new process recovers the journal."""
        self.failure = f"the disk failed a write ({error.strerror or error})"
        self._state.failed = error.errno or errno.EIO
        log.error("the store is read-only until a restart: %s", self.failure)
        return Unavailable(f"writing stopped until a restart: {self.failure}", retry_after=60)

    @property
    def has_failed(self) -> bool:
        """Return whether a sync failed, in this or another process."""
        return bool(self.failure) or self._state.has_failed

    def refuse_failed(self) -> None:
        """Raise `Unavailable` if a sync failed, in this or another process."""
        if self.has_failed:
            reason = self.failure or f"the disk failed a write ({os.strerror(self._state.failed)})"
            raise Unavailable(f"writing stopped until a restart: {reason}", retry_after=60)


class SyncGroup:
    """The threads of this process that wait until their frames are visible.

    Invariant: if a thread waits, one thread leads or is awake to lead. The leader syncs for all,
    then wakes the threads whose frames are visible, and one more to lead next.
    """

    def __init__(self, state: JournalState, durability: Durability) -> None:
        self._state, self._durability = state, durability
        self._lock: FolderLock = durability.lock
        self._gate = threading.RLock()
        self._leader = 0  # the thread that syncs for all; 0 for none
        self._waiting: list[tuple[int, threading.Lock, int]] = []  # frame, bell and thread

    def reset(self) -> None:
        """Reset in a forked child, where the parent's threads do not exist."""
        self._gate = threading.RLock()
        self._leader = 0
        self._waiting = []

    def wait(self, sequence: int) -> None:
        """Return once the frame is visible: see `Journal.wait_durable`."""
        generation = self._state.generation
        while self._state.visible < sequence:
            self._durability.refuse_failed()
            try:
                self._wait(sequence)
            except BaseException:
                self.abandon()
                raise
            # After a failed sync, a new process may have recovered the journal without this frame.
            # Without this check, the next frame with its number would acknowledge it.
            if self._state.generation != generation:
                raise Unavailable(_RECOVERED, 1)

    def _wait(self, sequence: int) -> None:
        """Sync for all, or wait until another thread has synced or hands the lead to this one."""
        me = threading.get_ident()
        with self._gate:
            leads = not self._leader
            if leads:
                self._leader = me
            else:
                turn = threading.Lock()
                turn.acquire()
                self._waiting.append((sequence, turn, me))
        if leads:
            self._lead(sequence)
        elif not turn.acquire(timeout=SYNC_SECONDS_MAX):
            raise Unavailable(_TOO_SLOW)

    def _lead(self, sequence: int) -> None:
        """Sync for the threads of this process, unless another process syncs first."""
        state = self._state
        tries, deadline = 0, time.monotonic() + SYNC_SECONDS_MAX
        while state.visible < sequence:
            if self._lock.try_lock():
                try:
                    if state.visible < sequence:
                        self._durability.sync_locked()
                finally:
                    self._lock.release()
                break
            tries += 1
            if tries < _YIELDS:
                os.sched_yield()
            elif time.monotonic() < deadline:
                time.sleep(_PAUSE)
            else:
                raise Unavailable(_TOO_SLOW)
        self._wake()

    def _wake(self) -> None:
        """Wake the threads whose frames are visible, and one more as the next leader."""
        with self._gate:
            self._leader = 0
            visible = self._state.visible if not self._durability.has_failed else sys.maxsize
            left = []
            for place in self._waiting:
                if place[0] <= visible:
                    ring(place[1])
                else:
                    left.append(place)
            if left:
                ring(left.pop(0)[1])
            self._waiting = left

    def abandon(self) -> None:
        """Release what this thread holds, leads or waits for, after an interruption at any line.

        If it led, one of the waiting threads leads next.
        """
        me = threading.get_ident()
        # The exception may have struck while this thread held these. Others would wait for ever.
        release_all(self._gate)
        self._lock.abandon()
        with self._gate:
            self._waiting = [place for place in self._waiting if place[2] != me]
            if self._leader in (0, me):
                self._wake()
