"""The journal: one sequence of frames that every process of a data folder appends to and follows.

    journal/0000000000000001.journal    a segment; its name is the number of its first frame
    journal/spare                       a segment's worth of zeros, made ahead
    journal/torn-...                    what a power cut left half written, set aside for a person
    journal/state                       numbers that processes share; worth nothing after a crash

A writer holds the lock of the folder, follows the journal to its end and appends a frame. The frame
is then in the file, in order, but not durable. It becomes durable when any process has synced the
segment, and one sync does that for all frames that were appended before it began: so writers leave
the lock first and then `settle`, and one of them, the leader, syncs for all. *Visible* is what may
be shown: whatever is durable, and relaxed frames behind it, which nobody waits for.

By cases, what a crash leaves. A process killed amid an append leaves the mark WRITING in the shared
state: the next writer looks for itself where the journal ends. A power cut leaves the shared state
worthless and the last segment torn: whoever opens the journal alone *recovers* it. That writes the
whole frames of the last segment into a new file, durably, in the place of the old one, and ends it
with a seal; the next frame begins a new segment, of a new epoch. So nothing is ever appended to
what an earlier incarnation had not made durable, and recovering twice, or dying in it, changes
nothing. A journal that was closed in order is simply continued.

After a failed sync the system may say that later ones succeed although the data is gone. So the
journal *fails*, for all processes at once, and only a process that opens it anew recovers it, from
what it can still read, into new files.
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

from docstore.errors import Corrupt, Unavailable, from_os_error
from docstore.filesystem import FileSystem
from docstore.frames import (
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
from docstore.locking import release_all, ring
from docstore.words import Words

log = logging.getLogger(__name__)

SEGMENT_BYTES: Final = 4 * 1024 * 1024
READ_BYTES: Final = 64 * 1024
SYNC_SECONDS_MAX: Final = 60.0
FULL: Final = {errno.ENOSPC, errno.EDQUOT}
_ROOM_SEGMENTS: Final = 2  # how many are given up at a time where the disk is full
_SETTLED_NS: Final = 50_000_000
_TOO_SLOW: Final = "the disk takes too long to make the change durable"
_SEAL_ROOM: Final = 128  # bytes that are kept free for the frame that ends a segment
_HEAD_ROOM: Final = 512
_FORMAT: Final = 1
# While another process syncs: how often it is looked at while the processor is merely offered to
# others, and how long the looks after that are apart, in seconds.
_YIELDS: Final = 60
_PAUSE: Final = 0.000_1
_STATE_MAGIC: Final = 0x4A464E_01

# The shared numbers.
(
    _MAGIC,
    _GENERATION,  # counts recoveries, so that those who live through one notice
    _EPOCH,
    _SEGMENT,  # the one that is appended to; 0 when the next frame begins a new one
    _END,  # where in it the next frame goes
    _APPENDED,  # the last frame
    _SYNCED,  # the last that is durable; written by leaders
    _RELAXED,  # the last of those that nobody waits for; written under the lock
    _WRITING,  # not 0 while a writer is between two states
    _FAILED,  # the error of a failed sync
    _BLOCKED,  # the error for which files cannot be published just now
    _RESTORING,  # not 0 while files are replaced by those of a snapshot
    _CHECKPOINT,  # all up to here is durable in the files
    _CLOSED,  # the mark of an end in order, made when its sync had succeeded
    _WORDS,
) = range(15)
STATE_WORDS: Final = _WORDS


class _Segment:
    """An open segment. Closed when the last one who uses it, on whatever thread, is done."""

    def __init__(self, files: FileSystem, path: Path, number: int, *, to_write: bool) -> None:
        self._files, self.number = files, number
        self.handle = files.open(path, to_write=to_write)
        status = files.status(path)
        self.size, self.identity = status.st_size, (status.st_dev, status.st_ino)

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            self._files.close(self.handle)


class Journal:
    """One process's view of the journal. Its user serialises `follow`, `append` and the like."""

    def __init__(self, files: FileSystem, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._files, self._folder = files, folder
        self._segment_bytes = max(segment_bytes, 4 * _HEAD_ROOM)
        self._state: Words = [0] * _WORDS
        self._looking = True
        self._page: tuple[int, int] | None = None  # the file of the shared numbers
        self._names: tuple[int, int] | None = None  # number and time of the folder, looked at
        self.failure = ""
        self._closed_at = -1
        self._sync_lock = files.lock(folder / "syncing", SYNC_SECONDS_MAX)
        self._gate = threading.RLock()
        self._syncer = 0  # the thread that syncs for all
        self._waiting: list[tuple[int, threading.Lock, int]] = []  # frame, bell and thread
        self._reset()

    def __repr__(self) -> str:
        return f"<Journal {self._folder}, {self.visible} of {self.appended} frames visible>"

    def _reset(self) -> None:
        self._generation = self._state[_GENERATION]
        self._current: _Segment | None = None  # of the position
        self._segment = 0  # the position: the segment, the offset of the next frame in it,
        self._offset = 0
        self.followed = 0  # and the last frame before it
        self._began_at = 0  # the frames after this one are followed
        self._segment_epoch = 0
        self._is_cut_off = False  # the segment after the position was retired
        self._is_lost = False  # somebody deleted, moved or replaced what is written to
        self._is_taking = False

    # What is where

    @property
    def appended(self) -> int:
        """The sequence number of the last frame."""
        return self._state[_APPENDED]

    @property
    def visible(self) -> int:
        """The sequence number up to which frames may be shown."""
        synced, relaxed = self._state[_SYNCED], self._state[_RELAXED]
        return synced if synced > relaxed else relaxed

    @property
    def synced(self) -> int:
        """The sequence number up to which frames are durable."""
        return self._state[_SYNCED]

    @property
    def checkpointed(self) -> int:
        """The sequence number up to which the files are durable without the journal."""
        return self._state[_CHECKPOINT]

    @property
    def epoch(self) -> int:
        """The incarnation that frames are written by now."""
        return self._state[_EPOCH]

    @property
    def blocked(self) -> int:
        """The number of the error for which files cannot be published now; 0 when they can."""
        return self._state[_BLOCKED]

    @blocked.setter
    def blocked(self, error: int) -> None:
        self._state[_BLOCKED] = error

    @property
    def is_restoring(self) -> bool:
        """Whether files are being replaced, or whoever did that died in it. Under the lock."""
        return self._state[_RESTORING] != 0

    @is_restoring.setter
    def is_restoring(self, is_so: bool) -> None:
        self._state[_RESTORING] = is_so

    @property
    def is_outdated(self) -> bool:
        """Whether the journal is to be opened anew: somebody recovered it since this process opened
        it, or this process slept until segments that it had not followed yet were retired, or the
        journal was deleted, moved or replaced."""
        is_gone = self._is_cut_off or self._is_lost
        return is_gone or self._state[_GENERATION] != self._generation

    # A journal that somebody deletes, moves or replaces while processes have it open. What they
    # write then goes into files that no name leads to: nothing of it may be acknowledged.

    @property
    def has_page(self) -> bool:
        """Whether the name of the shared numbers leads to those that this process shares."""
        return self._looking or self._files.identity(self._folder / "state") == self._page

    @property
    def is_replaced(self) -> bool:
        """Whether the name of the shared numbers leads to others."""
        return self._files.identity(self._folder / "state") not in (None, self._page)

    def leave(self) -> None:
        """From now on it is outdated."""
        self._is_cut_off = True

    def find_lost(self) -> bool:
        """Whether what is written to has lost its name; then the journal is outdated."""
        self._is_lost = not self.has_page or not self._has_segment(self._current)
        return self._is_lost

    def _has_segment(self, segment: _Segment | None) -> bool:
        if self._looking or segment is None or segment.number != self._state[_SEGMENT]:
            return True
        return self._files.identity(self.path(segment.number)) == segment.identity

    def _refuse_lost(self, segment: _Segment) -> None:
        """Raises `Unavailable` where what was synced is what no name leads to."""
        try:
            folder = self._files.status(self._folder)
        except OSError:
            names = None
        else:
            names = folder.st_ino, folder.st_mtime_ns
            if names == self._names:
                return  # nothing got or lost a name in the folder since it was looked at
        if names and self.has_page and self._has_segment(segment):
            # A second change within a tick of the clock would leave the folder's time as it is.
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
        """Raises `OSError` where the shared numbers are no longer those of all. Under the lock.

        Asked before a segment is entered or begun: one that others recovered has another file, and
        what is opened by its name must not be written by numbers of before.
        """
        if not self.has_page:
            self._is_lost = True
            raise FileNotFoundError(errno.ENOENT, "the shared numbers were deleted or replaced")

    @property
    def has_segments(self) -> bool:
        """Whether all is there but the shared numbers, which can be recovered from it."""
        return self._has_segment(self._current) and bool(self.segments())

    def release_page(self) -> None:
        """Takes the name of the shared numbers away: whoever opens the journal then recovers it,
        and all other processes notice."""
        self._files.remove("rescue", self._folder / "state")

    def rescue(self) -> None:
        """Puts the segment that is appended to back under its name, for `recover`.

        Under all locks, all followed, and the files durable without the journal. Raises `OSError`.
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
        if self._files.exists(path):  # another file in its place, which is no business of ours
            self._files.rename("rescue", path, path.with_name(f"replaced-{number:016d}-{mark}.bin"))
        draft = self._folder / f"{mark}.draft"
        self._files.create("rescue", draft, data)
        self._files.rename("rescue", draft, path)
        self._files.sync_folder("rescue", self._folder)

    @property
    def is_in_doubt(self) -> bool:
        """Whether somebody was interrupted while taking in a frame: half of it may be known, or its
        place may be. Asked by whoever may take in frames, before doing so; then `begin_again`."""
        return self._is_taking

    def path(self, number: int) -> Path:
        """Where the segment is that begins with this frame."""
        return self._folder / f"{number:016d}.journal"

    def segments(self) -> list[int]:
        """The numbers of all segments, oldest first."""
        try:
            names = self._files.names(self._folder)
        except FileNotFoundError:  # nothing was ever written here
            return []
        matches = map(_NAME.fullmatch, names)
        return sorted(int(match[1]) for match in matches if match)

    # Opening

    def look(self) -> None:
        """Opens the journal for reading, and changes nothing."""
        self._state, self._looking = [0] * _WORDS, True
        self._take_stock(repair=False)

    @staticmethod
    def must_recover(sharing: Words) -> bool:
        """Whether the journal is to be recovered although other processes have it open."""
        return sharing[_MAGIC] != _STATE_MAGIC or sharing[_FAILED] != 0

    def recover(self, sharing: Words) -> None:
        """Opens the journal as the first of the processes that share the numbers, which are worth
        nothing yet; or anew after it failed. Under the lock. Raises `Corrupt`."""
        self._share(sharing)
        self._sweep()
        self._take_stock(repair=True)

    def join(self, sharing: Words) -> None:
        """Opens the journal that other processes have open."""
        self._share(sharing)
        self._reset()
        self._begin_at_checkpoint()

    def _share(self, sharing: Words) -> None:
        self._page, self._names = self._files.identity(self._folder / "state"), None
        self._state, self._looking = sharing, False

    def begin_again(self) -> None:
        """Follows from the checkpoint once more; nothing is to be known of the documents."""
        self._is_taking = True  # until it is done
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
        self._segment = segment[0] if segment else self._state[_APPENDED] + 1
        self._offset, self.followed, self._began_at = 0, self._segment - 1, skip
        self._current = None

    def _take_stock(self, *, repair: bool) -> None:
        """Finds out where the journal ends, mends its end, and sets the shared numbers."""
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
        state[_MAGIC], magic = 0, state[_MAGIC]
        for index, value in enumerate(state):
            self._state[index] = value
        self._state[_MAGIC] = magic
        self._reset()
        self._begin_at(needed[:1], state[_CHECKPOINT])

    def _goes_on_from(self, end: _End, *, repair: bool) -> bool:
        """Return whether the journal ends in order, known to be durable, and is simply continued.

        Without the mark, the frame of the end may be one that a killed process had not synced.
        """
        is_durable = not repair or self._state[_CLOSED] == _mark(end.sequence)
        return end.is_closed and is_durable

    def _looked_at_end(self, number: int) -> _End:
        """The end of a segment that others may be writing in. Raises `Corrupt`."""
        while True:
            end = _End(self, number)
            try:
                end.refuse_loss()
            except Corrupt:
                if _End(self, number).sequence == end.sequence:
                    raise
                continue  # a writer was faster than the reading
            return end

    def _check_chain(self, numbers: list[int], start: int) -> list[int]:
        """The segments from frame `start` on; raises `Corrupt` where one does not lead on."""
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
                    " docs/operations.md tells what to do",
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
        """Makes what is whole durable, under a seal; returns the seal's sequence number.

        An end that is there already is written anew, too: whoever made it may have been killed
        before it was durable, or its sync may have failed, and then no other sync would help.
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
        log.warning("the journal ended in %d torn bytes; they are in %s", len(data), name)
        with suppress(FileExistsError):  # a recovery before this one was cut short
            self._files.create("recover-torn", self._folder / name, data)

    # Reading

    def follow(self) -> Iterator[Frame]:
        """The frames behind the position, up to the last; the position moves with them."""
        if not self._looking:
            yield from self._frames_until(self._state[_APPENDED])
            return
        for frame in self._frames_until(None):
            self._state[_APPENDED] = self._state[_SYNCED] = frame.sequence
            yield frame

    def frames_since(self, sequence: int) -> Iterator[Frame]:
        """Yield the commits after a frame, oldest first, wherever the position is."""
        for number, successor in itertools.pairwise([*self.segments(), sys.maxsize]):
            if successor <= sequence + 1:
                continue
            with suppress(FileNotFoundError):  # retired meanwhile
                for frame in run_of_frames(self._files.glance(self.path(number)), None, number):
                    if frame.sequence > sequence and frame.kind in (Kind.COMMIT, Kind.RELAXED):
                        yield frame

    def find_end(self) -> Iterator[Frame]:
        """Like `follow`, after a writer has died amid an append: looks for the end itself.

        To be called under the lock, and read to its end.
        """
        yield from self._frames_until(None)
        state = self._state
        state[_APPENDED] = self.followed
        if self._current is not None:  # or else the last one is sealed, perhaps not durably
            try:  # the writer may have died before the segment's name was durable
                self._files.sync_folder("segment-names", self._folder)
            except OSError as error:
                raise self._failed_append(error) from error
            state[_SEGMENT], state[_END] = self._segment, self._offset
        state[_WRITING] = 0

    @property
    def is_broken_off(self) -> bool:
        """Whether a writer has died amid an append. Under the lock."""
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
            # Only now: who reads without a lock takes what was followed for taken in.
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
        """The frame at the position, from the buffer or, where it is not whole in it, the file."""
        segment = self._current
        assert segment is not None
        for size in (0, self._bytes_ahead(segment), -1):
            if size:
                if size < 0:  # longer than what was read: as long as its header says
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
        """How much to read at once: what is known to be there, where that is known."""
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
        """Appends a frame and returns its sequence number. Under the lock, with all followed.

        Call `took` when it is taken in. It is not durable yet: see `settle`. Raises `Unavailable`,
        `OutOfSpace`; then nothing of it counts, now or later.
        """
        self.refuse_failed()
        self._is_taking = True
        while True:
            try:
                segment = self._room_for(len(payload) + OVERHEAD_BYTES)
                sequence = self._write(segment, kind, payload)
            except OSError as error:
                self._is_taking = False
                # A frame cut short is written again in its place; a segment half begun is not.
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
        """Notes that what was appended last is taken in: it may now be shown to this process.

        A relaxed frame is visible at once where all before it is.
        """
        self.followed = sequence
        self._is_taking = False
        if relaxed and self.visible >= sequence - 1:
            self._state[_RELAXED] = sequence

    def _write(self, segment: _Segment, kind: Kind, payload: bytes) -> int:
        state = self._state
        sequence = state[_APPENDED] + 1
        frame = encode_frame(state[_EPOCH], sequence, state[_SYNCED], kind, payload)
        state[_WRITING] = 1
        self._files.write_at("append", segment.handle, frame, state[_END])
        state[_END] += len(frame)
        state[_APPENDED] = sequence
        state[_WRITING] = 0
        return sequence

    def _room_for(self, size: int) -> _Segment:
        """The segment that a frame of so many bytes goes to; a new one where it does not fit."""
        state = self._state
        segment = self._current
        if segment is not None and state[_END] + size + _SEAL_ROOM <= segment.size:
            return segment
        return self._begin_segment(size)

    def _begin_segment(self, size: int) -> _Segment:
        self._refuse_lost_page()
        draft = self._zeros(size + _HEAD_ROOM + _SEAL_ROOM)  # may find the disk full: so first
        try:
            return self._begin_segment_in(draft)
        except BaseException:
            with suppress(OSError):  # each try would leave another one
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
        """Seals the segment, unless a writer that died did, and makes it durable."""
        if self._current is not None:
            self._write(self._current, Kind.SEAL, b"{}")
        segment = self._segment_to_sync(number)
        assert segment is not None
        self._sync_segment("seal", segment)
        self._refuse_lost(segment)
        with self._sync_lock.hold():
            self._state[_SYNCED] = self._state[_APPENDED]

    def _zeros(self, size: int) -> Path:
        """A file of zeros for a segment that has room for so many bytes."""
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
        """Whether the segment is half full, and no next one is prepared."""
        segment = self._current
        half = segment is not None and self._state[_END] > segment.size // 2
        return half and not self._files.exists(self._folder / "spare")

    def prepare_spare(self) -> None:
        """Makes the next segment's zeros ahead, so that no writer has to wait for them."""
        if self.needs_spare:
            draft = self._folder / f"{secrets.token_hex(8)}.draft"
            self._make_zeros(draft, self._segment_bytes)
            self._files.rename("segment-spare", draft, self._folder / "spare")

    # Making durable

    def settle(self, sequence: int) -> None:
        """Returns once the frame is visible. One thread syncs for all that wait.

        Raises `Unavailable` when the disk failed: then the frame may count later, or not.
        """
        while self.visible < sequence:
            self.refuse_failed()
            try:
                self._settle(sequence)
            except BaseException:
                self.abandon()
                raise

    def _settle(self, sequence: int) -> None:
        """Syncs, or waits until another thread has done so or wants this one to."""
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
        """Syncs for the threads of this process, unless another process does it first."""
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
        """Wakes those for whom it is done, and one more: it will lead."""
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
        """Lets go, after an interruption at whatever line, of what this thread has or leads.

        Of those who wait, one leads then.
        """
        me = threading.get_ident()
        release_all(self._gate)
        self._sync_lock.abandon()
        with self._gate:
            self._waiting = [place for place in self._waiting if place[2] != me]
            if self._syncer in (0, me):
                self._wake()

    def sync(self) -> None:
        """Makes durable all that was appended before. Raises `Unavailable`; then all is failed."""
        self.refuse_failed()
        with self._sync_lock.hold():
            if self.synced < self.appended:
                self._sync()

    def _sync(self) -> None:
        state = self._state
        while True:
            number, target = state[_SEGMENT], state[_APPENDED]
            segment = self._segment_to_sync(number)
            if state[_SEGMENT] == number:
                break
        if segment is None:
            return
        self._sync_segment("commit", segment)
        self._refuse_lost(segment)
        if target > state[_SYNCED]:
            state[_SYNCED] = target

    def _sync_segment(self, step: str, segment: _Segment) -> None:
        """Makes a segment durable. After a failure nothing more is acknowledged: see `fail`."""
        try:
            self._files.sync_data(step, segment.handle)
        except OSError as error:
            raise self.fail(error) from error

    def _segment_to_sync(self, number: int) -> _Segment | None:
        segment = self._current
        if segment is not None and segment.number == number:
            return segment
        if not number:
            return None  # what is sealed was synced before
        try:
            return self._opened(number)
        except OSError as error:
            raise from_os_error(error, "cannot open the journal") from error

    def fail(self, error: OSError) -> Unavailable:
        """Stops all writing, in all processes, until a new process recovers the journal."""
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
        """Whether a sync failed, here or in another process."""
        return bool(self.failure or self._state[_FAILED])

    def refuse_failed(self) -> None:
        """Raises `Unavailable` after a failed sync, here or in another process."""
        if self.has_failed:
            reason = (
                self.failure or f"the disk failed a write ({os.strerror(self._state[_FAILED])})"
            )
            raise Unavailable(f"writing stopped until a restart: {reason}", retry_after=60)

    # Forgetting

    def checkpoint(self, sequence: int) -> None:
        """Notes that the files hold all up to this frame, durably. Under the lock."""
        note = self.append(Kind.CHECKPOINT, msgspec.json.encode({"sequence": sequence}))
        self.took(note, relaxed=True)
        self._state[_CHECKPOINT] = sequence

    def retire(self, keep_from: float, bytes_max: int) -> list[int]:
        """Deletes segments that are no longer needed: of before `keep_from` (seconds, as a file's
        time), and the oldest while all have more than `bytes_max` bytes. Returns which.

        The checkpoint must be durable.
        """
        numbers = self.segments()
        status = {}
        for number in numbers:
            with suppress(FileNotFoundError):  # another process needed its room
                status[number] = self._files.status(self.path(number))
        numbers = list(status)
        total = sum(status[number].st_size for number in numbers)
        retired = []
        for number, successor in itertools.pairwise(numbers):
            is_old = status[number].st_mtime_ns < keep_from * 1e9
            if successor > self._state[_CHECKPOINT] + 1 or not (is_old or total > bytes_max):
                break
            self._files.remove("retire", self.path(number))
            total -= status[number].st_size
            retired.append(number)
        return retired

    def make_room(self, error: OSError) -> bool:
        """After an error: whether the disk is full, and some history was given up to make room.

        The oldest goes first, a few segments at a time: changes matter more than what is behind
        them. Raises `Unavailable`.
        """
        if error.errno not in FULL:
            return False
        try:
            self.sync()  # as for `retire`
            sizes = [self._files.status(self.path(number)).st_size for number in self.segments()]
            retired = self.retire(-math.inf, max(sum(sizes) - _ROOM_SEGMENTS * max(sizes), 0))
        except (OSError, ValueError):  # another process was quicker, or there is nothing yet
            return False
        if retired:
            log.warning(
                "the disk is full: %d segments of the journal's history were given up, up to change"
                " %d. Free some space, or lower NEURALFLOW_HISTORY_BYTES",
                len(retired),
                self.segments()[0] - 1,
            )
        return bool(retired)

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing behind an end in order."""
        return not self._state[_SEGMENT] or self._state[_APPENDED] == self._closed_at

    def finish(self) -> None:
        """Ends the journal in order, so that the next one to open it can go on. Under the lock."""
        sequence = self.append(Kind.CLOSED, b"{}")
        self.took(sequence, relaxed=True)
        self.sync()
        self._state[_CLOSED] = _mark(sequence)

    def forked(self) -> None:
        """In a forked child: lets go of what belongs to the parent's threads."""
        self._gate = threading.RLock()
        self._syncer = 0
        self._waiting = []
        self._current = None
        self.failure = ""

    def close(self) -> None:
        """Lets go of what is open."""
        self._current = None
        self._sync_lock.close()
        if not isinstance(self._state, list):
            self._state = self._state.tolist()


def _mark(sequence: int) -> int:
    """A number that no garbage is: of an end in order at this frame, known to be durable."""
    return sequence * 0x9E3779B97F4A7C15 % 2**64 ^ _STATE_MAGIC


class _End:
    """Where a segment's unbroken run of frames ends."""

    def __init__(self, journal: Journal, number: int) -> None:
        self.number, self._name = number, journal._name(number)
        self.data, _ = journal._files.read(journal.path(number))
        self.checkpoint = 0
        frame = None
        for frame in run_of_frames(self.data, None, number):
            if frame.kind in (Kind.HEAD, Kind.CHECKPOINT):
                told = msgspec.json.decode(frame.payload)
                self.checkpoint = told.get("checkpoint", told.get("sequence", 0))
        if frame is None:
            raise Corrupt(self._name, "has no beginning; docs/operations.md tells what to do")
        self.epoch, self.sequence, self.offset = frame.epoch, frame.sequence, frame.end
        self.is_sealed = frame.kind == Kind.SEAL
        rest = self.data[frame.end :]
        self.is_closed = frame.kind == Kind.CLOSED and not rest.strip(b"\0")

    def refuse_loss(self) -> None:
        """Raises `Corrupt` where a frame is broken that a later one knew to be durable."""
        for frame in whole_frames(self.data, self.offset):
            if frame.epoch == self.epoch and frame.durable > self.sequence:
                raise Corrupt(
                    self._name,
                    f"is damaged at byte {self.offset}: frame {self.sequence + 1} is broken, and"
                    f" frame {frame.sequence} behind it is whole and knew it to be durable."
                    " docs/operations.md tells what to do",
                )


_NAME: Final = re.compile(r"([0-9]{16})\.journal", re.ASCII)
