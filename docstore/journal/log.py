"""The journal: the write-ahead log that every process of a data folder appends to and follows.

    journal/0000000000000001.journal    a segment; its name is the number of its first frame
    journal/spare                       a segment of zeros, written ahead of need
    journal/torn-...                    a half-written tail, set aside by recovery
    journal/state                       numbers that processes share; meaningless after a crash

A writer takes the folder lock, follows the journal to its end and appends a frame. The frame is
then in the file, in order, but not durable. One sync of the segment, by any process, makes all
frames durable that were appended before the sync began. So writers release the lock first and then
call `wait_durable`, where one thread, the leader, syncs for all (group commit). Readers may see the
*visible* frames: those that are durable, and a relaxed frame that was appended when all frames
before it were visible.

What a crash leaves, by case:

- A process killed during an append leaves `writing` set in the shared numbers. The next writer
  scans the segment for the end of the journal (`recover_tail`).
- A power cut leaves the shared numbers meaningless and perhaps a torn last segment. The first
  process to open the journal *recovers* it (`recovery`): it writes the intact frames of the last
  segment and a seal into a new file, durably, and replaces the segment by it. The next frame begins
  a new segment of a new epoch. So no frame follows bytes that an earlier incarnation had not made
  durable, and a recovery that is repeated or interrupted changes nothing.
- A journal that was closed in order is continued without recovery.
- After a failed sync, nothing is acknowledged until the journal is opened again (`durability`).
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from docstore.disk.filesystem import FileSystem
from docstore.disk.shared_words import Words
from docstore.errors import Corrupt, Unavailable
from docstore.journal.appender import Appender
from docstore.journal.cursor import Cursor
from docstore.journal.durability import Durability, SyncGroup
from docstore.journal.frames import Frame, Kind
from docstore.journal.open_files import OpenFiles
from docstore.journal.pruning import Pruner
from docstore.journal.recovery import Recovery
from docstore.journal.segments import SegmentFolder, reading_failed
from docstore.journal.state import JournalState, clean_shutdown_marker, must_recover
from docstore.observer import Observer

SEGMENT_BYTES: Final = 4 * 1024 * 1024


class Journal:
    """One process's view of the journal. The caller serializes `follow`, `append` and the like.

    It consists of the shared numbers (`state`), the position of this process (`Cursor`), the end
    that is written (`Appender`), the syncs (`Durability`, `SyncGroup`), the old segments
    (`Pruner`), and `Recovery`.
    """

    def __init__(self, files: FileSystem, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._files = files
        self.segments = SegmentFolder(files, folder)
        self.state = JournalState()
        self._open_files = OpenFiles(files, self.segments, self.state)
        self.cursor = Cursor(files, self.segments, self.state, self._open_files)
        common = files, self.segments
        self._durability = Durability(*common, self.state, self.cursor, self._open_files)
        self._group = SyncGroup(self.state, self._durability)
        self._pruner = Pruner(*common, self.state, self._durability.sync)
        self._appender = Appender(
            *common,
            segment_bytes,
            self.state,
            self.cursor,
            self._open_files,
            self._durability,
            self._pruner,
        )
        self._recovery = Recovery(*common)
        self._closed_at = -1

    def __repr__(self) -> str:
        return f"<Journal {self.segments.folder}, {self.visible} of {self.appended} frames visible>"

    def observe(self, observer: Observer) -> None:
        """Report the syncs of this process to the observer."""
        self._durability.observer = observer

    # The shared numbers

    @property
    def appended(self) -> int:
        """Return the sequence number of the last frame."""
        return self.state.appended

    @property
    def visible(self) -> int:
        """Return the sequence number up to which frames are visible."""
        return self.state.visible

    @property
    def synced(self) -> int:
        """Return the sequence number up to which frames are durable."""
        return self.state.synced

    @property
    def checkpointed(self) -> int:
        """Return the sequence number up to which the files are durable without the journal."""
        return self.state.checkpoint

    @property
    def epoch(self) -> int:
        """Return the epoch of the frames that are written now."""
        return self.state.epoch

    @property
    def blocked(self) -> int:
        """Return the errno that prevents publishing files at present; 0 if nothing does."""
        return self.state.blocked

    @blocked.setter
    def blocked(self, error: int) -> None:
        self.state.blocked = error

    @property
    def is_restoring(self) -> bool:
        """Return whether a restore is replacing files, or died doing so.

        Requires the folder lock.
        """
        return self.state.restoring != 0

    @is_restoring.setter
    def is_restoring(self, is_so: bool) -> None:
        self.state.restoring = is_so

    # The position of this process

    @property
    def followed(self) -> int:
        """Return the sequence number up to which this process has applied the frames."""
        return self.cursor.followed

    @property
    def is_stale(self) -> bool:
        """Return whether this process must open the journal again.

        That is so if another process recovered it, if segments that this process had not followed
        were deleted, or if the journal was deleted, moved or replaced.
        """
        return self.cursor.is_stale

    @property
    def is_in_doubt(self) -> bool:
        """Return whether an interruption left a frame half applied, or the position undefined.

        The caller checks this before it applies frames. If so, it discards what it knows of the
        documents and calls `begin_again`.
        """
        return self.cursor.is_in_doubt

    def leave(self) -> None:
        """Mark the journal as stale: the next use opens it again."""
        self.cursor.is_cut_off = True

    # Files that lost their names

    def find_lost(self) -> bool:
        """Return whether a file being written has lost its name; then the journal is stale."""
        return self._open_files.find_lost(self.cursor.segment)

    @property
    def is_replaced(self) -> bool:
        """Return whether the name of the shared numbers leads to another file."""
        return self._open_files.is_replaced

    @property
    def has_segments(self) -> bool:
        """Return whether only the shared numbers may be missing: recovery can rebuild those."""
        return self._open_files.has_segment(self.cursor.segment) and bool(self.segments.numbers())

    def release_page(self) -> None:
        """Remove the name of the shared numbers.

        All other processes notice, and the next process to open the journal recovers it.
        """
        self._open_files.release_page()

    def rescue(self) -> None:
        """Write the current segment under its name again, for `recover`.

        Requires all locks, all frames followed, and files that are durable without the journal.
        Raises `OSError`.
        """
        self.release_page()
        self._recovery.write_again(self.state, self.cursor.segment)

    # Opening

    @staticmethod
    def must_recover(words: Words) -> bool:
        """Return whether to recover the journal even if other processes have it open."""
        return must_recover(words)

    def open_readonly(self) -> None:
        """Open the journal for reading only: nothing is changed on disk."""
        self.state.words = JournalState().words
        self._open_files.is_read_only = True
        while True:
            numbers = self.segments.numbers()
            try:
                self._scan(repair=False)
            except (FileNotFoundError, Corrupt):
                if self.segments.numbers() == numbers:
                    raise
            else:
                return  # otherwise writers began or deleted segments during the scan

    def recover(self, words: Words) -> None:
        """Open the journal as its first process, or again after it failed.

        Rebuilds the shared numbers. Requires the folder lock. Raises `Corrupt`.
        """
        self._share(words)
        self.segments.remove_temporary_files()
        self._scan(repair=True)

    def attach(self, words: Words) -> None:
        """Open a journal that other processes have open."""
        self._share(words)
        self.cursor.reset()
        self._begin_at_checkpoint()

    def begin_again(self) -> None:
        """Follow from the checkpoint again.

        The caller has discarded what it knew of the documents.
        """
        self.cursor.is_in_doubt = True  # until this has succeeded
        if self._open_files.is_read_only:
            self.open_readonly()
            return
        try:
            self._begin_at_checkpoint()
        except OSError as error:
            raise reading_failed(error) from error
        self.cursor.is_in_doubt = False

    def _share(self, words: Words) -> None:
        self._open_files.watch()
        self.state.words = words

    def _scan(self, *, repair: bool) -> None:
        """Find the end of the journal, repair it if `repair`, and set the shared numbers."""
        recovered = self._recovery.scan(self.state, repair=repair)
        self._closed_at = recovered.closed_at
        self.state.replace(recovered.state)
        self.cursor.reset()
        self._begin_at(recovered.needed[:1], self.state.checkpoint)

    def _begin_at_checkpoint(self) -> None:
        start = self.state.checkpoint + 1
        numbers = [number for number in self.segments.numbers() if number <= start]
        self._begin_at(numbers[-1:], start - 1)

    def _begin_at(self, segment: list[int], skip: int) -> None:
        self._pruner.reset()
        self.cursor.begin_at(segment, skip)

    # Reading

    def follow(self) -> Iterator[Frame]:
        """Yield the frames from the position to the last one; the position moves with them."""
        if not self._open_files.is_read_only:
            yield from self.cursor.frames_until(self.state.appended)
            return
        for frame in self.cursor.frames_until(None):
            self.state.appended = self.state.synced = frame.sequence
            yield frame

    def frames_since(self, sequence: int) -> Iterator[Frame]:
        """Yield the commits after a frame, oldest first, independently of the position.

        Raises `FileNotFoundError` if a segment was deleted meanwhile: frames would be missing.
        """
        for number, successor in itertools.pairwise([*self.segments.numbers(), sys.maxsize]):
            if successor <= sequence + 1:
                continue
            for frame in self.segments.frames(number):
                if frame.sequence > sequence and frame.kind in (Kind.COMMIT, Kind.RELAXED):
                    yield frame

    @property
    def has_torn_append(self) -> bool:
        """Return whether a writer died during an append. Requires the folder lock."""
        return self.state.writing != 0

    @property
    def is_behind(self) -> bool:
        """Return whether frames must be followed before one can be appended.

        Requires the folder lock.
        """
        return self._appender.is_behind

    def recover_tail(self) -> Iterator[Frame]:
        """Like `follow`, after a writer died during an append: scan for the end of the journal.

        Requires the folder lock. The caller must exhaust the iterator.
        """
        yield from self.cursor.frames_until(None)
        state, segment = self.state, self.cursor.segment
        state.appended = self.cursor.followed
        if segment is not None:  # otherwise the last segment is sealed, perhaps not durably
            try:  # the writer may have died before the segment's name was durable
                self._files.sync_folder("segment-names", self.segments.folder)
            except OSError as error:
                raise self._appender.failed(error) from error
            state.segment, state.end = segment.number, self.cursor.offset
        state.writing = 0

    # WriterSession

    def append(self, kind: Kind, payload: bytes) -> int:
        """Append a frame and return its sequence number.

        Requires the folder lock and all frames followed: see `is_behind`.

        Call `mark_applied` when it is applied. The frame is not durable yet: see `wait_durable`.
        Raises `Unavailable` and `OutOfSpace`. Then the frame does not exist, now or later.
        """
        return self._appender.append(kind, payload)

    def mark_applied(self, sequence: int, *, relaxed: bool) -> None:
        """Note that the frame appended last is applied, so that this process may show it.

        A relaxed frame becomes visible at once if all frames before it are visible.
        """
        self._appender.mark_applied(sequence, relaxed=relaxed)

    @property
    def needs_spare(self) -> bool:
        """Return whether the segment is half full and no spare is prepared."""
        return self._appender.needs_spare

    def prepare_spare(self) -> None:
        """Write the zeros of the next segment ahead, so that no writer waits for them."""
        self._appender.prepare_spare()

    # Making durable

    def wait_durable(self, sequence: int) -> None:
        """Return once the frame is visible. One thread syncs for all that wait (group commit).

        Raises `Unavailable` if the disk failed or is too slow. Then the frame may or may not become
        durable.
        """
        self._group.wait(sequence)

    def abandon(self) -> None:
        """Release what this thread holds, leads or waits for, after an interruption at any line."""
        self._group.abandon()

    def sync(self) -> None:
        """Make all appended frames durable.

        Raises `Unavailable`; if the disk failed, the journal fails.
        """
        self._durability.sync()

    @property
    def failure(self) -> str:
        """Return why this process stopped writing; "" if it did not."""
        return self._durability.failure

    def fail(self, error: OSError) -> Unavailable:
        """Stop all writing, in all processes, until a new process recovers the journal."""
        return self._durability.fail(error)

    @property
    def has_failed(self) -> bool:
        """Return whether a sync failed, in this or another process."""
        return self._durability.has_failed

    def refuse_failed(self) -> None:
        """Raise `Unavailable` if a sync failed, in this or another process."""
        self._durability.refuse_failed()

    # Pruning

    def checkpoint(self, sequence: int) -> None:
        """Append the checkpoint: the files durably hold all frames up to `sequence`.

        Requires the folder lock. The appended frame is not durable yet.
        """
        note = self.append(Kind.CHECKPOINT, msgspec.json.encode({"sequence": sequence}))
        self.mark_applied(note, relaxed=True)
        self.state.checkpoint = sequence

    def prune(self, keep_from: float, bytes_max: int, young_from: float = math.inf) -> list[int]:
        """Delete the segments that are no longer needed, and return their numbers.

        These are the segments last written before `keep_from` and, while all segments together
        exceed `bytes_max`, the oldest of those last written before `young_from`. Times are a file's
        mtime in seconds. Segments with frames after the checkpoint stay. Requires a durable
        checkpoint. Raises `OSError`.
        """
        return self._pruner.prune(keep_from, bytes_max, young_from)

    def make_room(self, error: OSError) -> bool:
        """Remove the oldest history if `error` means a full disk; return whether that freed room.

        A few segments go at a time, the oldest first: new changes matter more than old history.
        Raises `Unavailable`.
        """
        return self._pruner.make_room(error)

    # Closing

    @property
    def is_closed_cleanly(self) -> bool:
        """Return whether no frame follows the last clean close."""
        return not self.state.segment or self.state.appended == self._closed_at

    def close_cleanly(self) -> None:
        """Append the frame of a clean close, so that the next opener continues without recovery.

        Requires the folder lock. Raises `Unavailable`, `OutOfSpace`.
        """
        sequence = self.append(Kind.CLOSED, b"{}")
        self.mark_applied(sequence, relaxed=True)
        self.sync()
        # Only after the sync: the mark lets the next process continue without recovery, behind a
        # frame that a later power cut could remove if it was not durable.
        self.state.closed = clean_shutdown_marker(sequence)

    def reset_after_fork(self) -> None:
        """Reset, in a forked child, what belongs to threads of the parent."""
        self._group.reset()
        self.cursor.release()
        self._durability.failure = ""

    def close(self) -> None:
        """Close the open files. Retain a copy of the shared numbers."""
        self.cursor.release()
        self._durability.lock.close()
        self.state.detach()
