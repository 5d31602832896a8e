"""Appends frames to the journal, and begins the segments that they are in."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path
from typing import Final

from docstore.disk.filesystem import FileSystem
from docstore.errors import Unavailable, from_os_error
from docstore.journal.cursor import Cursor
from docstore.journal.durability import Durability
from docstore.journal.frames import OVERHEAD_BYTES, Kind, encode_frame
from docstore.journal.open_files import OpenFiles
from docstore.journal.pruning import Pruner
from docstore.journal.segments import OpenSegment, SegmentFolder, head
from docstore.journal.state import JournalState

HEAD_ROOM: Final = 512
_SEAL_ROOM: Final = 128  # bytes reserved for the frame that ends a segment


class Appender:
    """The writer of frames. Its methods require the folder lock and all frames followed.

    Invariants: a frame whose append raised an error does not exist, now or later. While a writer
    changes the shared numbers, `writing` is set, so no other trusts numbers that a killed writer
    left half changed. No frame follows a seal, or the beginning of a segment that failed half way.
    """

    def __init__(
        self,
        files: FileSystem,
        segments: SegmentFolder,
        segment_bytes: int,
        state: JournalState,
        cursor: Cursor,
        open_files: OpenFiles,
        durability: Durability,
        pruner: Pruner,
    ) -> None:
        self._files, self._segments = files, segments
        self._segment_bytes = max(segment_bytes, 4 * HEAD_ROOM)
        self._state, self._cursor, self._open_files = state, cursor, open_files
        self._durability, self._pruner = durability, pruner

    @property
    def is_behind(self) -> bool:
        """Return whether frames must be followed before one can be appended.

        An append that failed may have sealed the segment, or begun one half. Without this check,
        the next change under the same lock would be written into the sealed segment.
        """
        return self._state.is_beyond(self._cursor.followed)

    def append(self, kind: Kind, payload: bytes) -> int:
        """Append a frame and return its sequence number: see `Journal.append`."""
        cursor, state = self._cursor, self._state
        self._durability.refuse_failed()
        if self.is_behind:
            raise Unavailable("an earlier change failed while it was written: try again", 1)
        cursor.is_in_doubt = True
        while True:
            try:
                segment = self._room_for(len(payload) + OVERHEAD_BYTES)
                sequence = self._write(segment, kind, payload)
            except OSError as error:
                cursor.is_in_doubt = False
                # A partial frame is overwritten by the retry. A segment that was half begun is not.
                is_again = state.segment or not state.writing
                if not (is_again and self._pruner.make_room(error)):
                    raise self.failed(error) from error
                cursor.is_in_doubt = True
            except Unavailable:
                cursor.is_in_doubt = False
                raise
            else:
                cursor.offset = state.end
                return sequence

    def mark_applied(self, sequence: int, *, relaxed: bool) -> None:
        """Note that the frame appended last is applied: see `Journal.mark_applied`."""
        self._cursor.followed = sequence
        self._cursor.is_in_doubt = False
        if relaxed and self._state.visible >= sequence - 1:
            self._state.relaxed = sequence

    def failed(self, error: OSError) -> Unavailable:
        """Return the error to raise if writing the journal failed."""
        if error.errno in (errno.EIO, errno.EROFS):
            return self._durability.fail(error)
        return from_os_error(error, "cannot write the journal")

    def _write(self, segment: OpenSegment, kind: Kind, payload: bytes) -> int:
        state = self._state
        epoch, sequence, offset, synced = state.next_frame()
        frame = encode_frame(epoch, sequence, synced, kind, payload)
        # A writer killed between these steps leaves WRITING set, so that the next one scans for the
        # end. It would otherwise trust END and APPENDED, which may disagree, and repeat a sequence
        # number.
        state.writing = 1
        self._files.write_at("append", segment.handle, frame, offset)
        state.complete_frame(sequence, offset + len(frame))
        return sequence

    def _room_for(self, size: int) -> OpenSegment:
        """Return the segment to append `size` bytes to; begin one if the current has no room."""
        segment = self._cursor.segment
        if segment is not None and self._state.end + size + _SEAL_ROOM <= segment.size:
            return segment
        return self._begin_segment(size)

    def _begin_segment(self, size: int) -> OpenSegment:
        self._open_files.require_page()
        draft = self._zeros(size + HEAD_ROOM + _SEAL_ROOM)  # first: the disk may be full
        try:
            return self._begin_segment_in(draft)
        except BaseException:
            with suppress(OSError):  # otherwise each attempt leaves a file behind
                self._files.remove("segment-zeros", draft)
            raise

    def _begin_segment_in(self, draft: Path) -> OpenSegment:
        state = self._state
        if state.segment:
            self._end_segment(state.segment)
        state.writing = 1
        number = state.appended + 1
        payload = head(state.epoch, state.checkpoint)
        state.segment = state.end = 0
        segment = OpenSegment(self._files, draft, number, to_write=True)
        frame = encode_frame(state.epoch, number, number - 1, Kind.HEAD, payload)
        # Content first, then its name, both durable before the first commit in it. Otherwise a
        # power cut could leave acknowledged commits in a file without a name.
        self._files.write_at("segment-head", segment.handle, frame, 0)
        self._durability.sync_segment("segment-data", segment)
        self._files.rename("segment-name", draft, self._segments.path(number))
        self._files.sync_folder("segment-names", self._segments.folder)
        state.segment, state.end, state.appended = number, len(frame), number
        self._open_files.require_names(segment)
        with self._durability.lock.hold():
            self._durability.refuse_failed()
            state.synced = number
        state.writing = 0
        self._cursor.begin_segment(segment, len(frame), number)
        return segment

    def _end_segment(self, number: int) -> None:
        """Seal the segment, unless a writer that died did so, and make it durable."""
        if self._cursor.segment is not None:
            self._write(self._cursor.segment, Kind.SEAL, b"{}")
        self._durability.sync_sealed(number)

    # Space written ahead

    def _zeros(self, size: int) -> Path:
        """Return the path of a file of zeros for a segment with room for `size` bytes."""
        if size <= self._segment_bytes and self._files.exists(self._segments.spare):
            return self._segments.spare
        usual = self._segment_bytes if self._state.appended else self._segment_bytes // 4
        return self._segments.create_zeros(max(size, usual))

    @property
    def needs_spare(self) -> bool:
        """Return whether the segment is half full and no spare is prepared."""
        segment = self._cursor.segment
        half = segment is not None and self._state.end > segment.size // 2
        return half and not self._files.exists(self._segments.spare)

    def prepare_spare(self) -> None:
        """Write the zeros of the next segment ahead, so that no writer waits for them."""
        if self.needs_spare:
            draft = self._segments.create_zeros(self._segment_bytes)
            self._files.rename("segment-spare", draft, self._segments.spare)
