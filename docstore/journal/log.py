"""The journal: the write-ahead log that every process of a data folder appends to and follows.

    journal/0000000000000001.journal    a segment; its name is the number of its first frame
    journal/spare                       a segment of zeros, written ahead of need
    journal/torn-...                    a half-written tail, set aside by recovery
    journal/state                       numbers that processes share; meaningless after a crash

A writer takes the folder lock, follows the journal to its end and appends a frame. The frame is
then in the file, in order, but not durable. One sync of the segment, by any process, makes all
frames durable that were appended before the sync began. So writers release the lock first and then
call `settle`, where one thread, the leader, syncs for all (group commit). Readers may see the
*visible* frames: those that are durable, and a relaxed frame that was appended when all frames
before it were visible.

What a crash leaves, by case:

- A process killed during an append leaves WRITING set in the shared numbers. The next writer scans
  the segment for the end of the journal.
- A power cut leaves the shared numbers meaningless and perhaps a torn last segment. The first
  process to open the journal *recovers* it: it writes the intact frames of the last segment and a
  seal into a new file, durably, and replaces the segment by it. The next frame begins a new segment
  of a new epoch. So no frame follows bytes that an earlier incarnation had not made durable, and a
  recovery that is repeated or interrupted changes nothing.
- A journal that was closed in order is continued without recovery.

After a failed sync, the system may report later syncs as successful although the data is lost
(Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). So the journal
*fails*, for all processes at once. Only a process that opens it again recovers it, from what is
still readable, into new files.
"""

from __future__ import annotations

import errno
import itertools
import logging
import math
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from docstore.disk.filesystem import FileSystem
from docstore.disk.locks import release_all, ring
from docstore.disk.shared_words import Words
from docstore.errors import Corrupt, Unavailable, from_os_error
from docstore.journal.frames import (
    HEADER_BYTES,
    OVERHEAD_BYTES,
    Frame,
    Kind,
    decode_frame,
    encode_frame,
    frame_bytes,
    run_of_frames,
    whole_frames,
)
from docstore.observer import IGNORING, Observer

log = logging.getLogger(__name__)

SEGMENT_BYTES: Final = 4 * 1024 * 1024
READ_BYTES: Final = 64 * 1024
SYNC_SECONDS_MAX: Final = 60.0
FULL: Final = {errno.ENOSPC, errno.EDQUOT}
_ROOM_SEGMENTS: Final = 2  # segments to remove at a time when the disk is full
_SETTLED_NS: Final = 50_000_000
_TOO_SLOW: Final = "the disk takes too long to make the change durable"
_SEAL_ROOM: Final = 128  # bytes reserved for the frame that ends a segment
_HEAD_ROOM: Final = 512
_FORMAT: Final = 1
# While another process syncs: how many times to yield the processor between looks, and how many
# seconds to sleep between the looks after those.
_YIELDS: Final = 60
_PAUSE: Final = 0.000_1
_STATE_MAGIC: Final = 0x4A464E_01

# The shared numbers.
(
    _MAGIC,
    _GENERATION,  # counts recoveries, so that other processes notice one
    _EPOCH,
    _SEGMENT,  # the segment to append to; 0 if the next frame begins one
    _END,  # the offset of the next frame in it
    _APPENDED,  # sequence number of the last frame
    _SYNCED,  # of the last durable frame; written by leaders
    _RELAXED,  # of the last visible relaxed frame; written under the lock
    _WRITING,  # not 0 while a writer is changing these numbers
    _FAILED,  # errno of a failed sync
    _BLOCKED,  # errno that prevents publishing at present
    _RESTORING,  # not 0 while a backup's files replace those of the store
    _CHECKPOINT,  # sequence number up to which the files are durable
    _CLOSED,  # the mark of a clean close, set after its sync succeeded
    _WORDS,
) = range(15)
STATE_WORDS: Final = _WORDS


class _Segment:
    """An open segment file. It closes with its last reference, on whichever thread that is."""

    def __init__(self, files: FileSystem, path: Path, number: int, *, to_write: bool) -> None:
        self._files, self.number = files, number
        self.handle = files.open(path, to_write=to_write)
        status = files.status(path)
        self.size, self.identity = status.st_size, (status.st_dev, status.st_ino)

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            self._files.close(self.handle)


class Journal:
    """One process's view of the journal. The caller serializes `follow`, `append` and the like."""

    def __init__(self, files: FileSystem, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._files, self._folder = files, folder
        self._segment_bytes = max(segment_bytes, 4 * _HEAD_ROOM)
        self._state: Words = [0] * _WORDS
        self._looking = True
        self._page: tuple[int, int] | None = None  # identity of the file of the shared numbers
        self._names: tuple[int, int] | None = None  # inode and mtime of the folder when checked
        self.failure = ""
        self.observer: Observer = IGNORING
        self._closed_at = -1
        self._sync_lock = files.lock(folder / "syncing", SYNC_SECONDS_MAX)
        self._gate = threading.RLock()
        self._syncer = 0  # the thread that syncs for all; 0 for none
        self._waiting: list[tuple[int, threading.Lock, int]] = []  # frame, bell and thread
        self._reset()

    def __repr__(self) -> str:
        return f"<Journal {self._folder}, {self.visible} of {self.appended} frames visible>"

    def _reset(self) -> None:
        self._generation = self._state[_GENERATION]
        self._current: _Segment | None = None  # the open segment at the position
        self._segment = 0  # the position: the segment, the offset of the next frame in it,
        self._offset = 0
        self.followed = 0  # and the last frame before it
        self._began_at = 0  # frames up to this one are skipped
        self._segment_epoch = 0
        self._is_cut_off = False  # the next segment to follow was retired, or the backend left
        self._is_lost = False  # the file written to was deleted, moved or replaced
        self._is_taking = False

    # What is where

    @property
    def appended(self) -> int:
        """Return the sequence number of the last frame."""
        return self._state[_APPENDED]

    @property
    def visible(self) -> int:
        """Return the sequence number up to which frames are visible."""
        synced, relaxed = self._state[_SYNCED], self._state[_RELAXED]
        return synced if synced > relaxed else relaxed

    @property
    def synced(self) -> int:
        """Return the sequence number up to which frames are durable."""
        return self._state[_SYNCED]

    @property
    def checkpointed(self) -> int:
        """Return the sequence number up to which the files are durable without the journal."""
        return self._state[_CHECKPOINT]

    @property
    def epoch(self) -> int:
        """Return the epoch of the frames that are written now."""
        return self._state[_EPOCH]

    @property
    def blocked(self) -> int:
        """Return the errno that prevents publishing files at present; 0 if nothing does."""
        return self._state[_BLOCKED]

    @blocked.setter
    def blocked(self, error: int) -> None:
        self._state[_BLOCKED] = error

    @property
    def is_restoring(self) -> bool:
        """Return whether a restore is replacing files, or died doing so.

        Requires the folder lock.
        """
        return self._state[_RESTORING] != 0

    @is_restoring.setter
    def is_restoring(self, is_so: bool) -> None:
        self._state[_RESTORING] = is_so

    @property
    def is_outdated(self) -> bool:
        """Return whether this process must open the journal again.

        That is so if another process recovered it, if segments that this process had not followed
        were retired, or if the journal was deleted, moved or replaced.
        """
        is_gone = self._is_cut_off or self._is_lost
        return is_gone or self._state[_GENERATION] != self._generation

    # A person may delete, move or replace the journal while processes have it open. Their writes
    # then go into files without a name: acknowledging one would lose it.

    @property
    def has_page(self) -> bool:
        """Return whether the name of the shared numbers leads to the file that is in use."""
        return self._looking or self._files.identity(self._folder / "state") == self._page

    @property
    def is_replaced(self) -> bool:
        """Return whether the name of the shared numbers leads to another file."""
        return self._files.identity(self._folder / "state") not in (None, self._page)

    def leave(self) -> None:
        """Mark the journal as outdated: the next use opens it again."""
        self._is_cut_off = True

    def find_lost(self) -> bool:
        """Return whether a file being written has lost its name; then mark the journal outdated."""
        self._is_lost = not self.has_page or not self._has_segment(self._current)
        return self._is_lost

    def _has_segment(self, segment: _Segment | None) -> bool:
        if self._looking or segment is None or segment.number != self._state[_SEGMENT]:
            return True
        return self._files.identity(self.path(segment.number)) == segment.identity

    def _refuse_lost(self, segment: _Segment) -> None:
        """Raise `Unavailable` if the segment just synced, or the shared numbers, lost its name."""
        try:
            folder = self._files.status(self._folder)
        except OSError:
            names = None
        else:
            names = folder.st_ino, folder.st_mtime_ns
            if names == self._names:
                return  # no name in the folder changed since the last check
        if names and self.has_page and self._has_segment(segment):
            # Within a tick of the clock, a second change leaves the folder's mtime as it is.
            # Remembering such an mtime would hide that change from the next check.
            if time.time_ns() - names[1] > _SETTLED_NS:
                self._names = names
            return
        self._is_lost = True
        raise Unavailable(
            "the journal was deleted, moved or replaced while a change was written: read whether"
            " the change happened",
            1,
        )

    def _refuse_lost_page(self) -> None:
        """Raise `OSError` if other processes no longer share this process's numbers.

        Requires the folder lock. Called before entering or beginning a segment: after a recovery by
        others, the segment of that name is another file. Without this check, outdated offsets would
        overwrite it.
        """
        if not self.has_page:
            self._is_lost = True
            raise FileNotFoundError(errno.ENOENT, "the shared numbers were deleted or replaced")

    @property
    def has_segments(self) -> bool:
        """Return whether only the shared numbers may be missing: recovery can rebuild those."""
        return self._has_segment(self._current) and bool(self.segments())

    def release_page(self) -> None:
        """Remove the name of the shared numbers.

        All other processes notice, and the next process to open the journal recovers it.
        """
        self._files.remove("rescue", self._folder / "state")

    def rescue(self) -> None:
        """Write the current segment under its name again, for `recover`.

        Requires all locks, all frames followed, and files that are durable without the journal.
        Raises `OSError`.
        """
        state, segment = self._state, self._current
        self.release_page()
        number, epoch = state[_APPENDED] + 1, state[_EPOCH] + 1
        head = {"format": _FORMAT, "epoch": epoch, "checkpoint": state[_APPENDED]}
        data = encode_frame(epoch, number, number - 1, Kind.HEAD, msgspec.json.encode(head))
        if segment is not None and segment.number == state[_SEGMENT]:
            note = msgspec.json.encode({"sequence": state[_APPENDED]})
            data = self._files.read_at(segment.handle, state[_END], 0)
            data += encode_frame(state[_EPOCH], number, state[_SYNCED], Kind.CHECKPOINT, note)
            number = segment.number
        path, mark = self.path(number), secrets.token_hex(8)
        if self._files.exists(path):  # a foreign file in its place: preserve it under another name
            self._files.rename("rescue", path, path.with_name(f"replaced-{number:016d}-{mark}.bin"))
        draft = self._folder / f"{mark}.draft"
        self._files.create("rescue", draft, data)
        self._files.rename("rescue", draft, path)
        self._files.sync_folder("rescue", self._folder)

    @property
    def is_in_doubt(self) -> bool:
        """Return whether an interruption left a frame half applied, or the position undefined.

        The caller checks this before it applies frames. If so, it discards what it knows of the
        documents and calls `begin_again`.
        """
        return self._is_taking

    def path(self, number: int) -> Path:
        """Return the path of the segment that begins with this frame."""
        return self._folder / f"{number:016d}.journal"

    def segments(self) -> list[int]:
        """Return the numbers of all segments, oldest first."""
        try:
            names = self._files.names(self._folder)
        except FileNotFoundError:  # nothing was written yet
            return []
        matches = map(_NAME.fullmatch, names)
        return sorted(int(match[1]) for match in matches if match)

    # Opening

    def look(self) -> None:
        """Open the journal for reading only: nothing is changed on disk."""
        self._state, self._looking = [0] * _WORDS, True
        self._take_stock(repair=False)

    @staticmethod
    def must_recover(sharing: Words) -> bool:
        """Return whether to recover the journal even if other processes have it open."""
        return sharing[_MAGIC] != _STATE_MAGIC or sharing[_FAILED] != 0

    def recover(self, sharing: Words) -> None:
        """Open the journal as its first process, or again after it failed.

        Rebuilds the shared numbers. Requires the folder lock. Raises `Corrupt`.
        """
        self._share(sharing)
        self._sweep()
        self._take_stock(repair=True)

    def join(self, sharing: Words) -> None:
        """Open a journal that other processes have open."""
        self._share(sharing)
        self._reset()
        self._begin_at_checkpoint()

    def _share(self, sharing: Words) -> None:
        self._page, self._names = self._files.identity(self._folder / "state"), None
        self._state, self._looking = sharing, False

    def begin_again(self) -> None:
        """Follow from the checkpoint again.

        The caller has discarded what it knew of the documents.
        """
        self._is_taking = True  # until this has succeeded
        if self._looking:
            self.look()
            return
        try:
            self._begin_at_checkpoint()
        except OSError as error:
            raise from_os_error(error, "cannot read the journal") from error
        self._is_taking = False

    def _begin_at_checkpoint(self) -> None:
        start = self._state[_CHECKPOINT] + 1
        self._begin_at([number for number in self.segments() if number <= start][-1:], start - 1)

    def _sweep(self) -> None:
        for name in self._files.names(self._folder):
            if name == "spare" or name.endswith(".draft"):
                self._files.remove("sweep", self._folder / name)

    def _begin_at(self, segment: list[int], skip: int) -> None:
        """Set the position to the beginning of a segment; skip the frames up to number `skip`.

        Without a segment, wait for the one that begins after `skip`. Never begin after the last
        frame instead: another process may have begun a segment since they were listed, and this one
        would never read its frames.
        """
        self._oldest = min(self.segments(), default=0)  # as of the last look for room
        self._segment = segment[0] if segment else skip + 1
        self._offset, self.followed, self._began_at = 0, self._segment - 1, skip
        self._current = None

    def _take_stock(self, *, repair: bool) -> None:
        """Find the end of the journal, repair it if `repair`, and set the shared numbers."""
        numbers = self.segments()
        state = [0] * _WORDS
        state[_GENERATION] = (self._state[_GENERATION] + 1) % 2**32
        state[_MAGIC], state[_EPOCH] = _STATE_MAGIC, 1
        needed = numbers[-1:]
        if numbers:
            end = _End(self, numbers[-1]) if repair else self._looked_at_end(numbers[-1])
            state[_EPOCH], state[_APPENDED] = end.epoch, end.sequence
            state[_CHECKPOINT] = end.checkpoint
            self._closed_at = end.sequence if end.is_closed else -1
            if self._goes_on_from(end, repair=repair):
                state[_CLOSED] = self._state[_CLOSED]
                state[_SEGMENT], state[_END] = end.number, end.offset
            elif repair:
                state[_APPENDED] = self._repair(end)
                state[_EPOCH] = end.epoch + 1
            needed = self._check_chain(numbers, end.checkpoint + 1)
        state[_SYNCED] = state[_RELAXED] = state[_APPENDED]
        # MAGIC is written last: if this process dies in between, the next one does not trust the
        # numbers and recovers again.
        state[_MAGIC], magic = 0, state[_MAGIC]
        for index, value in enumerate(state):
            self._state[index] = value
        self._state[_MAGIC] = magic
        self._reset()
        self._begin_at(needed[:1], state[_CHECKPOINT])

    def _goes_on_from(self, end: _End, *, repair: bool) -> bool:
        """Return whether the journal was closed in order, durably, and is continued as it is.

        Without the mark in the shared numbers, a killed process may not have synced its last frame.
        """
        is_durable = not repair or self._state[_CLOSED] == _mark(end.sequence)
        return end.is_closed and is_durable

    def _looked_at_end(self, number: int) -> _End:
        """Return the end of a segment that others may be appending to. Raises `Corrupt`."""
        while True:
            end = _End(self, number)
            try:
                end.refuse_loss()
            except Corrupt:
                if _End(self, number).sequence == end.sequence:
                    raise
                continue  # a writer appended between the two reads
            return end

    def _check_chain(self, numbers: list[int], start: int) -> list[int]:
        """Return the segments that hold the frames from `start` on.

        Raises `Corrupt` if a frame is missing.
        """
        needed = numbers[-1:]
        for number in reversed(numbers[:-1]):
            if needed[0] <= start:
                break
            end = _End(self, number)
            if not end.is_sealed or end.sequence + 1 != needed[0]:
                raise Corrupt(
                    self._name(number),
                    f"is damaged at byte {end.offset}, and {self._name(needed[0])} goes on after"
                    " it: acknowledged changes are in the damaged part."
                    " docs/troubleshoot.md tells what to do",
                )
            needed.insert(0, number)
        if needed[0] > start:
            raise Corrupt(
                self._name(needed[0]),
                f"begins after frame {start}, which the documents still need:"
                " a segment before it is missing",
            )
        return needed

    def _name(self, number: int) -> str:
        return f"{self._folder.parent.name}/{self._folder.name}/{self.path(number).name}"

    def _repair(self, end: _End) -> int:
        """Make the intact frames durable, followed by a seal; return the seal's sequence number.

        An existing seal is rewritten, too: its writer may have died before it was durable, or its
        sync may have failed, and then syncing the same file again would prove nothing.
        """
        end.refuse_loss()
        torn = end.data[end.offset :].rstrip(b"\0")
        if torn:
            self._set_aside(f"torn-{end.number:016d}-{end.offset}.bin", torn)
        last, seal = end.sequence, b""
        if not end.is_sealed:
            last = end.sequence + 1
            seal = encode_frame(end.epoch, last, end.sequence, Kind.SEAL, b"{}")
        draft = self._folder / f"{secrets.token_hex(8)}.draft"
        self._files.create("recover-draft", draft, end.data[: end.offset] + seal)
        self._files.rename("recover-segment", draft, self.path(end.number))
        self._files.sync_folder("recover-names", self._folder)
        return last

    def _set_aside(self, name: str, data: bytes) -> None:
        log.warning(
            "the journal ended in %d torn bytes, which are preserved in %s", len(data), name
        )
        with suppress(FileExistsError):  # an earlier recovery was interrupted
            self._files.create("recover-torn", self._folder / name, data)

    # Reading

    def follow(self) -> Iterator[Frame]:
        """Yield the frames from the position to the last one; the position moves with them."""
        if not self._looking:
            yield from self._frames_until(self._state[_APPENDED])
            return
        for frame in self._frames_until(None):
            self._state[_APPENDED] = self._state[_SYNCED] = frame.sequence
            yield frame

    def frames_since(self, sequence: int) -> Iterator[Frame]:
        """Yield the commits after a frame, oldest first, independently of the position."""
        for number, successor in itertools.pairwise([*self.segments(), sys.maxsize]):
            if successor <= sequence + 1:
                continue
            with suppress(FileNotFoundError):  # retired meanwhile
                for frame in run_of_frames(self._files.glance(self.path(number)), None, number):
                    if frame.sequence > sequence and frame.kind in (Kind.COMMIT, Kind.RELAXED):
                        yield frame

    def find_end(self) -> Iterator[Frame]:
        """Like `follow`, after a writer died during an append: scan for the end of the journal.

        Requires the folder lock. The caller must exhaust the iterator.
        """
        yield from self._frames_until(None)
        state = self._state
        state[_APPENDED] = self.followed
        if self._current is not None:  # otherwise the last segment is sealed, perhaps not durably
            try:  # the writer may have died before the segment's name was durable
                self._files.sync_folder("segment-names", self._folder)
            except OSError as error:
                raise self._failed_append(error) from error
            state[_SEGMENT], state[_END] = self._segment, self._offset
        state[_WRITING] = 0

    @property
    def is_broken_off(self) -> bool:
        """Return whether a writer died during an append. Requires the folder lock."""
        return self._state[_WRITING] != 0

    def _frames_until(self, last: int | None) -> Iterator[Frame]:
        buffer, start = b"", 0  # `start` is the offset of the buffer in the segment
        while last is None or self.followed < last:
            if self._current is None:
                if not self._enter_segment():
                    return
                buffer = b""
            frame, buffer, start = self._next_frame(buffer, start)
            if frame is None:
                return
            self._is_taking = True
            if frame.sequence > self._began_at:
                yield frame
            # Advance only after the caller applied the frame. Readers without a lock take every
            # frame up to `followed` as applied.
            self._offset = start + frame.end
            if frame.kind == Kind.SEAL:
                self._leave_segment(frame.sequence + 1)
            self.followed = frame.sequence
            self._is_taking = False

    def _leave_segment(self, successor: int) -> None:
        self._current, self._segment, self._offset = None, successor, 0

    def _opened(self, number: int) -> _Segment:
        return _Segment(self._files, self.path(number), number, to_write=not self._looking)

    def _enter_segment(self) -> bool:
        try:
            self._current = self._opened(self._segment)
            self._refuse_lost_page()
        except FileNotFoundError:
            if self._is_lost:
                self._current = None
                return False
            self._is_cut_off = self._segment <= self._state[_CHECKPOINT] or (
                self._looking and any(number > self._segment for number in self.segments())
            )
            return False
        except OSError as error:
            raise from_os_error(error, "cannot read the journal") from error
        return True

    def _next_frame(self, buffer: bytes, start: int) -> tuple[Frame | None, bytes, int]:
        """Return the frame at the position, from the buffer or else from the file.

        Returns the frame, or None if there is no valid one, with the buffer and its offset in the
        segment.
        """
        segment = self._current
        assert segment is not None
        for size in (0, self._bytes_ahead(segment), -1):
            if size:
                if size < 0:  # longer than the buffer: read as many bytes as its header says
                    size = min(frame_bytes(buffer), segment.size - self._offset)
                    if size <= len(buffer):
                        return None, buffer, start
                buffer, start = self._read_at(segment, size, self._offset), self._offset
            frame = decode_frame(buffer, self._offset - start) if buffer else None
            if frame is not None:
                break
        if frame is None or frame.sequence != self.followed + 1:
            return None, buffer, start
        if self._offset == 0:
            self._segment_epoch = frame.epoch
        elif frame.epoch != self._segment_epoch:
            return None, buffer, start
        return frame, buffer, start

    def _bytes_ahead(self, segment: _Segment) -> int:
        """Return how many bytes to read: those known to follow, at most READ_BYTES."""
        if self._looking or segment.number != self._state[_SEGMENT]:
            return READ_BYTES
        return min(max(self._state[_END] - self._offset, HEADER_BYTES), READ_BYTES)

    def _read_at(self, segment: _Segment, size: int, offset: int) -> bytes:
        try:
            return self._files.read_at(segment.handle, size, offset)
        except OSError as error:
            raise from_os_error(error, "cannot read the journal") from error

    # Writing

    def append(self, kind: Kind, payload: bytes) -> int:
        """Append a frame and return its sequence number.

        Requires the folder lock and all frames followed.

        Call `took` when it is applied. The frame is not durable yet: see `settle`. Raises
        `Unavailable` and `OutOfSpace`. Then the frame does not exist, now or later.
        """
        self.refuse_failed()
        self._is_taking = True
        while True:
            try:
                segment = self._room_for(len(payload) + OVERHEAD_BYTES)
                sequence = self._write(segment, kind, payload)
            except OSError as error:
                self._is_taking = False
                # A partial frame is overwritten by the retry. A segment that was half begun is not.
                is_again = self._state[_SEGMENT] or not self.is_broken_off
                if not (is_again and self.make_room(error)):
                    raise self._failed_append(error) from error
                self._is_taking = True
            except Unavailable:
                self._is_taking = False
                raise
            else:
                self._offset = self._state[_END]
                return sequence

    def took(self, sequence: int, *, relaxed: bool) -> None:
        """Note that the frame appended last is applied, so that this process may show it.

        A relaxed frame becomes visible at once if all frames before it are visible.
        """
        self.followed = sequence
        self._is_taking = False
        if relaxed and self.visible >= sequence - 1:
            self._state[_RELAXED] = sequence

    def _write(self, segment: _Segment, kind: Kind, payload: bytes) -> int:
        state = self._state
        sequence = state[_APPENDED] + 1
        frame = encode_frame(state[_EPOCH], sequence, state[_SYNCED], kind, payload)
        # A writer killed between these steps leaves WRITING set, so that the next one scans for the
        # end. It would otherwise trust END and APPENDED, which may disagree, and repeat a sequence
        # number.
        state[_WRITING] = 1
        self._files.write_at("append", segment.handle, frame, state[_END])
        state[_END] += len(frame)
        state[_APPENDED] = sequence
        state[_WRITING] = 0
        return sequence

    def _room_for(self, size: int) -> _Segment:
        """Return the segment to append `size` bytes to; begin one if the current has no room."""
        state = self._state
        segment = self._current
        if segment is not None and state[_END] + size + _SEAL_ROOM <= segment.size:
            return segment
        return self._begin_segment(size)

    def _begin_segment(self, size: int) -> _Segment:
        self._refuse_lost_page()
        draft = self._zeros(size + _HEAD_ROOM + _SEAL_ROOM)  # first: the disk may be full
        try:
            return self._begin_segment_in(draft)
        except BaseException:
            with suppress(OSError):  # otherwise each attempt leaves a file behind
                self._files.remove("segment-zeros", draft)
            raise

    def _begin_segment_in(self, draft: Path) -> _Segment:
        state = self._state
        if state[_SEGMENT]:
            self._end_segment(state[_SEGMENT])
        state[_WRITING] = 1
        number = state[_APPENDED] + 1
        head = {"format": _FORMAT, "epoch": state[_EPOCH], "checkpoint": state[_CHECKPOINT]}
        state[_SEGMENT] = state[_END] = 0
        segment = _Segment(self._files, draft, number, to_write=True)
        frame = encode_frame(
            state[_EPOCH], number, number - 1, Kind.HEAD, msgspec.json.encode(head)
        )
        # Content first, then its name, both durable before the first commit in it. Otherwise a
        # power cut could leave acknowledged commits in a file without a name.
        self._files.write_at("segment-head", segment.handle, frame, 0)
        self._sync_segment("segment-data", segment)
        self._files.rename("segment-name", draft, self.path(number))
        self._files.sync_folder("segment-names", self._folder)
        state[_SEGMENT], state[_END], state[_APPENDED] = number, len(frame), number
        self._refuse_lost(segment)
        with self._sync_lock.hold():
            state[_SYNCED] = number
        state[_WRITING] = 0
        self._current, self._segment, self._offset = segment, number, len(frame)
        self._segment_epoch, self.followed = state[_EPOCH], number
        return segment

    def _end_segment(self, number: int) -> None:
        """Seal the segment, unless a writer that died did so, and make it durable."""
        if self._current is not None:
            self._write(self._current, Kind.SEAL, b"{}")
        segment = self._segment_to_sync(number)
        assert segment is not None
        self._sync_segment("seal", segment)
        self._refuse_lost(segment)
        with self._sync_lock.hold():
            self._state[_SYNCED] = self._state[_APPENDED]

    def _zeros(self, size: int) -> Path:
        """Return the path of a file of zeros for a segment with room for `size` bytes."""
        spare = self._folder / "spare"
        if size <= self._segment_bytes and self._files.exists(spare):
            return spare
        draft = self._folder / f"{secrets.token_hex(8)}.draft"
        usual = self._segment_bytes if self._state[_APPENDED] else self._segment_bytes // 4
        self._make_zeros(draft, max(size, usual))
        return draft

    def _make_zeros(self, draft: Path, size: int) -> None:
        try:
            self._files.create_zeroed("segment-zeros", draft, size)
        except BaseException:
            with suppress(OSError):
                self._files.remove("segment-zeros", draft)
            raise

    @property
    def needs_spare(self) -> bool:
        """Return whether the segment is half full and no spare is prepared."""
        segment = self._current
        half = segment is not None and self._state[_END] > segment.size // 2
        return half and not self._files.exists(self._folder / "spare")

    def prepare_spare(self) -> None:
        """Write the zeros of the next segment ahead, so that no writer waits for them."""
        if self.needs_spare:
            draft = self._folder / f"{secrets.token_hex(8)}.draft"
            self._make_zeros(draft, self._segment_bytes)
            self._files.rename("segment-spare", draft, self._folder / "spare")

    # Making durable

    def settle(self, sequence: int) -> None:
        """Return once the frame is visible. One thread syncs for all that wait (group commit).

        Raises `Unavailable` if the disk failed or is too slow. Then the frame may or may not become
        durable.
        """
        while self.visible < sequence:
            self.refuse_failed()
            try:
                self._settle(sequence)
            except BaseException:
                self.abandon()
                raise

    def _settle(self, sequence: int) -> None:
        """Sync for all, or wait until another thread has synced or hands the lead to this one."""
        me = threading.get_ident()
        with self._gate:
            leads = not self._syncer
            if leads:
                self._syncer = me
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
        tries, deadline = 0, time.monotonic() + SYNC_SECONDS_MAX
        while self.visible < sequence:
            if self._sync_lock.try_lock():
                try:
                    if self.visible < sequence:
                        self._sync()
                finally:
                    self._sync_lock.release()
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
            self._syncer = 0
            visible = self.visible if not self.has_failed else sys.maxsize
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
        self._sync_lock.abandon()
        with self._gate:
            self._waiting = [place for place in self._waiting if place[2] != me]
            if self._syncer in (0, me):
                self._wake()

    def sync(self) -> None:
        """Make all appended frames durable.

        Raises `Unavailable`; if the disk failed, the journal fails.
        """
        self.refuse_failed()
        with self._sync_lock.hold():
            if self.synced < self.appended:
                self._sync()

    def _sync(self) -> None:
        state = self._state
        while True:
            # A writer may begin a segment between these reads. Then `target` would count frames
            # that a sync of the old segment does not make durable, so both are read again.
            number, target = state[_SEGMENT], state[_APPENDED]
            segment = self._segment_to_sync(number)
            if state[_SEGMENT] == number:
                break
        if segment is None:
            return
        begun = time.perf_counter()
        self._sync_segment("commit", segment)
        self.observer.on_sync(time.perf_counter() - begun, target - state[_SYNCED])
        # Without this check, commits in a file that lost its name would be acknowledged.
        self._refuse_lost(segment)
        if target > state[_SYNCED]:
            state[_SYNCED] = target

    def _sync_segment(self, step: str, segment: _Segment) -> None:
        """Make a segment durable.

        A failure fails the journal, and no later commit is acknowledged: `fail`.
        """
        try:
            self._files.sync_data(step, segment.handle)
        except OSError as error:
            raise self.fail(error) from error

    def _segment_to_sync(self, number: int) -> _Segment | None:
        segment = self._current
        if segment is not None and segment.number == number:
            return segment
        if not number:
            return None  # sealed segments were synced before
        try:
            return self._opened(number)
        except OSError as error:
            raise from_os_error(error, "cannot open the journal") from error

    def fail(self, error: OSError) -> Unavailable:
        """Stop all writing, in all processes, until a new process recovers the journal."""
        self.failure = f"the disk failed a write ({error.strerror or error})"
        self._state[_FAILED] = error.errno or errno.EIO
        log.error("the store is read-only until a restart: %s", self.failure)
        return Unavailable(f"writing stopped until a restart: {self.failure}", retry_after=60)

    def _failed_append(self, error: OSError) -> Unavailable:
        if error.errno in (errno.EIO, errno.EROFS):
            return self.fail(error)
        return from_os_error(error, "cannot write the journal")

    @property
    def has_failed(self) -> bool:
        """Return whether a sync failed, in this or another process."""
        return bool(self.failure or self._state[_FAILED])

    def refuse_failed(self) -> None:
        """Raise `Unavailable` if a sync failed, in this or another process."""
        if self.has_failed:
            reason = (
                self.failure or f"the disk failed a write ({os.strerror(self._state[_FAILED])})"
            )
            raise Unavailable(f"writing stopped until a restart: {reason}", retry_after=60)

    # Retiring

    def checkpoint(self, sequence: int) -> None:
        """Append the checkpoint: the files durably hold all frames up to `sequence`.

        Requires the folder lock. The appended frame is not durable yet.
        """
        note = self.append(Kind.CHECKPOINT, msgspec.json.encode({"sequence": sequence}))
        self.took(note, relaxed=True)
        self._state[_CHECKPOINT] = sequence

    def retire(self, keep_from: float, bytes_max: int, young_from: float = math.inf) -> list[int]:
        """Delete the segments that are no longer needed, and return their numbers.

        These are the segments last written before `keep_from` and, while all segments together
        exceed `bytes_max`, the oldest of those last written before `young_from`. Times are a file's
        mtime in seconds. Segments with frames after the checkpoint stay. Requires a durable
        checkpoint. Raises `OSError`.
        """
        numbers = self.segments()
        status = {}
        for number in numbers:
            with suppress(FileNotFoundError):  # another process retired it meanwhile
                status[number] = self._files.status(self.path(number))
        numbers = list(status)
        total = sum(status[number].st_size for number in numbers)
        retired = []
        for number, successor in itertools.pairwise(numbers):
            time_ns = status[number].st_mtime_ns
            is_spare = total > bytes_max and time_ns < young_from * 1e9
            is_needed = successor > self._state[_CHECKPOINT] + 1
            if is_needed or not (time_ns < keep_from * 1e9 or is_spare):
                break
            self._files.remove("retire", self.path(number))
            total -= status[number].st_size
            retired.append(number)
        return retired

    def make_room(self, error: OSError) -> bool:
        """Remove the oldest history if `error` means a full disk; return whether that freed room.

        A few segments go at a time, the oldest first: new changes matter more than old history.
        Raises `Unavailable`.
        """
        if error.errno not in FULL:
            return False
        try:
            self.sync()  # a durable checkpoint, as `retire` requires
            numbers = self.segments()
            oldest, self._oldest = self._oldest, min(numbers, default=0)
            if 0 < oldest < self._oldest:
                return True  # another process made room since this one looked last
            sizes = self._sizes(numbers)
            most = max(sizes.values(), default=0)
            retired = self.retire(-math.inf, max(sum(sizes.values()) - _ROOM_SEGMENTS * most, 0))
        except OSError:
            return False
        if retired:
            log.warning(
                "the disk is full: %d segments of the journal's history were given up, up to change"
                " %d. Free some space, or lower NEURALFLOW_HISTORY_BYTES",
                len(retired),
                self.segments()[0] - 1,
            )
        # A segment without a size was removed by another process, which made room, too.
        return bool(retired) or len(sizes) < len(numbers)

    def _sizes(self, numbers: list[int]) -> dict[int, int]:
        """Return the sizes of these segments, without those that another process retired."""
        sizes = {}
        for number in numbers:
            with suppress(FileNotFoundError):
                sizes[number] = self._files.status(self.path(number)).st_size
        return sizes

    @property
    def is_finished(self) -> bool:
        """Return whether no frame follows the last clean close."""
        return not self._state[_SEGMENT] or self._state[_APPENDED] == self._closed_at

    def finish(self) -> None:
        """Append the frame of a clean close, so that the next opener continues without recovery.

        Requires the folder lock. Raises `Unavailable`, `OutOfSpace`.
        """
        sequence = self.append(Kind.CLOSED, b"{}")
        self.took(sequence, relaxed=True)
        self.sync()
        # Only after the sync: the mark lets the next process continue without recovery, behind a
        # frame that a later power cut could remove if it was not durable.
        self._state[_CLOSED] = _mark(sequence)

    def forked(self) -> None:
        """Reset, in a forked child, what belongs to threads of the parent."""
        self._gate = threading.RLock()
        self._syncer = 0
        self._waiting = []
        self._current = None
        self.failure = ""

    def close(self) -> None:
        """Close the open files. Retain a copy of the shared numbers."""
        self._current = None
        self._sync_lock.close()
        if not isinstance(self._state, list):
            self._state = self._state.tolist()


def _mark(sequence: int) -> int:
    """Return a number that marks a durable clean close at this frame; garbage never equals it."""
    return sequence * 0x9E3779B97F4A7C15 % 2**64 ^ _STATE_MAGIC


class _End:
    """The end of a segment's unbroken run of frames."""

    def __init__(self, journal: Journal, number: int) -> None:
        self.number, self._name = number, journal._name(number)
        self.data, _ = journal._files.read(journal.path(number))
        self.checkpoint = 0
        frame = None
        for frame in run_of_frames(self.data, None, number):
            if frame.kind in (Kind.HEAD, Kind.CHECKPOINT):
                content = msgspec.json.decode(frame.payload)
                self.checkpoint = content.get("checkpoint", content.get("sequence", 0))
        if frame is None:
            raise Corrupt(self._name, "has no beginning; docs/troubleshoot.md tells what to do")
        self.epoch, self.sequence, self.offset = frame.epoch, frame.sequence, frame.end
        self.is_sealed = frame.kind == Kind.SEAL
        rest = self.data[frame.end :]
        self.is_closed = frame.kind == Kind.CLOSED and not rest.strip(b"\0")

    def refuse_loss(self) -> None:
        """Raise `Corrupt` if an intact frame recorded a broken one before it as durable."""
        for frame in whole_frames(self.data, self.offset):
            if frame.epoch == self.epoch and frame.durable > self.sequence:
                raise Corrupt(
                    self._name,
                    f"is damaged at byte {self.offset}: frame {self.sequence + 1} is broken, and"
                    f" frame {frame.sequence} behind it is whole and knew it to be durable."
                    " docs/troubleshoot.md tells what to do",
                )


_NAME: Final = re.compile(r"([0-9]{16})\.journal", re.ASCII)
