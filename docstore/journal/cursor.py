"""The position of a process in the journal, and the frames from there on."""

from __future__ import annotations

from collections.abc import Iterator

from docstore.disk.filesystem import FileSystem
from docstore.errors import Unavailable
from docstore.journal.frames import HEADER_BYTES, Frame, Kind
from docstore.journal.open_files import OpenFiles
from docstore.journal.segments import (
    READ_BYTES,
    OpenSegment,
    SegmentFolder,
    SegmentReader,
    reading_failed,
)
from docstore.journal.state import JournalState


class Cursor:
    """The position up to which this process has applied the journal: frame `followed`.

    Invariant: `followed` moves only after the caller applied the frame, since readers without a
    lock take every frame up to it as applied. While a frame is being applied, `is_in_doubt`.
    """

    def __init__(
        self,
        files: FileSystem,
        segments: SegmentFolder,
        state: JournalState,
        open_files: OpenFiles,
    ) -> None:
        self._files, self._segments, self._state = files, segments, state
        self._open_files = open_files
        self.reset()

    def reset(self) -> None:
        """Forget the position. Requires `begin_at` before the next use."""
        self._generation = self._state.generation  # the recovery that the position belongs to
        self.segment: OpenSegment | None = None  # the open segment at the position
        self._number = 0  # the position: the segment, the offset of the next frame in it,
        self.offset = 0
        self.followed = 0  # and the last frame before it
        self._began_at = 0  # frames up to this one are skipped
        self._epoch = 0  # of the segment
        self.is_cut_off = False  # the next segment to follow was retired, or the backend left
        self._open_files.is_lost = False
        self.is_in_doubt = False

    @property
    def is_stale(self) -> bool:
        """Return whether this process must open the journal again: see `Journal.is_stale`."""
        is_gone = self.is_cut_off or self._open_files.is_lost
        return is_gone or not self._state.is_of_generation(self._generation)

    def begin_at(self, segment: list[int], skip: int) -> None:
        """Set the position to the beginning of a segment; skip the frames up to number `skip`.

        Without a segment, wait for the one that begins after `skip`. Never begin after the last
        frame instead: another process may have begun a segment since they were listed, and this one
        would never read its frames.
        """
        self._number = segment[0] if segment else skip + 1
        self.offset, self.followed, self._began_at = 0, self._number - 1, skip
        self.segment = None

    def begin_segment(self, segment: OpenSegment, offset: int, sequence: int) -> None:
        """Set the position behind the first frame of a segment that this process began."""
        self.segment, self._number, self.offset = segment, segment.number, offset
        self._epoch, self.followed = self._state.epoch, sequence

    def leave_incomplete(self) -> Unavailable:
        """Leave a journal in which frames seem to be missing, and return the error to raise.

        If they are there, the next use finds them: it opens the journal at its checkpoint.
        """
        self.is_cut_off = True
        return Unavailable("a part of the journal is missing: was the data folder changed?")

    def release(self) -> None:
        """Close the open segment."""
        self.segment = None

    def frames_until(self, last: int | None) -> Iterator[Frame]:
        """Yield the frames after the position up to frame `last`; the position moves with them.

        If `last` is None, up to the last valid frame. The caller applies each frame before it asks
        for the next one. Raises `Unavailable`.
        """
        reader = None
        while last is None or self.followed < last:
            if self.segment is None:
                if not self._enter_segment():
                    return
                reader = None
            reader = reader or SegmentReader(self._files, self._opened())
            frame = self._next_frame(reader)
            if frame is None:
                return
            self.is_in_doubt = True
            if frame.sequence > self._began_at:
                yield frame
            self.offset = reader.end
            if frame.kind == Kind.SEAL:
                self._leave_segment(frame.sequence + 1)
            self.followed = frame.sequence
            self.is_in_doubt = False

    def _opened(self) -> OpenSegment:
        assert self.segment is not None
        return self.segment

    def _next_frame(self, reader: SegmentReader) -> Frame | None:
        """Return the next frame if it continues the segment's unbroken run."""
        frame = reader.frame_at(self.offset, self._bytes_ahead())
        if frame is None or frame.sequence != self.followed + 1:
            return None
        if self.offset == 0:
            self._epoch = frame.epoch
        return frame if frame.epoch == self._epoch else None

    def _bytes_ahead(self) -> int:
        """Return how many bytes to read: those known to follow, at most READ_BYTES."""
        state = self._state
        if self._open_files.is_read_only or self._number != state.segment:
            return READ_BYTES
        return min(max(state.end - self.offset, HEADER_BYTES), READ_BYTES)

    def _leave_segment(self, successor: int) -> None:
        self.segment, self._number, self.offset = None, successor, 0

    def _enter_segment(self) -> bool:
        """Open the segment at the position; return False if it does not exist."""
        is_read_only = self._open_files.is_read_only
        try:
            self.segment = self._segments.open(self._number, to_write=not is_read_only)
            self._open_files.require_page()
        except FileNotFoundError:
            if self._open_files.is_lost:
                self.segment = None
                return False
            self.is_cut_off = self._number <= self._state.checkpoint or (
                is_read_only and any(number > self._number for number in self._segments.numbers())
            )
            return False
        except OSError as error:
            raise reading_failed(error) from error
        return True
