"""The change feed: a folder's commits in order.

It reads the journal's segments from the reader's position. Positions of recently returned numbers
are cached. So a reader that follows reads only new frames, and one that returns after a long time
scans one segment from its beginning.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from docstore.backend import Entries, Entry
from docstore.disk.filesystem import FileSystem
from docstore.document import Key
from docstore.errors import Corrupt, HistoryGone
from docstore.journal.entries import decode_payload, entry_of
from docstore.journal.frames import Frame, Kind
from docstore.journal.log import Journal
from docstore.journal.segments import SegmentReader, reading_failed
from docstore.journal.trimming import is_missed

POSITIONS_MAX: Final = 1_000
# How often to look for a position again while segments are trimmed.
_SCANS_MAX: Final = 3


class _Position(NamedTuple):
    """The position after frame `sequence`: a segment, and an offset in it."""

    segment: int
    offset: int
    sequence: int


class ChangeFeed:
    """A reader of a journal's commits. Threads may share it; it takes no lock of the folder."""

    def __init__(self, files: FileSystem, journal: Journal) -> None:
        self._files, self._journal, self._segments = files, journal, journal.segments
        self.mutex = threading.RLock()
        self._positions: OrderedDict[int, _Position] = OrderedDict()

    def forget(self) -> None:
        """Clear the cached positions, since the journal is opened again."""
        with self.mutex:
            self._positions.clear()

    def entries(
        self, since: int, limit: int, wanted: Callable[[Key], bool], bytes_max: int
    ) -> Entries:
        """Return the commits after frame `since` up to `limit`, a durable frame. See the port."""
        for _ in range(_SCANS_MAX):
            with self.mutex:
                position = self._positions.get(since)
            try:
                return self._entries(position or self._found(since), limit, wanted, bytes_max)
            except Corrupt:  # the segment may have been trimmed, which changes offsets
                self.forget()
        return self._entries(self._found(since), limit, wanted, bytes_max)

    def _entries(
        self, begin: _Position, limit: int, wanted: Callable[[Key], bool], bytes_max: int
    ) -> Entries:
        entries: list[Entry] = []
        end = begin
        for frame, position in self._frames(begin, limit):
            end = position
            if is_missed(frame, wanted):
                raise HistoryGone(f"what change {frame.sequence} did is no longer kept")
            entry = _to_entry(frame, wanted)
            if entry is not None:
                entries.append(entry)
            bytes_max -= len(frame.payload)
            if bytes_max <= 0:
                break
        self._remember(end)
        return Entries(tuple(entries), end.sequence)

    # Positions

    def _remember(self, position: _Position) -> None:
        with self.mutex:
            self._positions[position.sequence] = position
            self._positions.move_to_end(position.sequence)
            if len(self._positions) > POSITIONS_MAX:
                self._positions.popitem(last=False)

    def _found(self, since: int) -> _Position:
        """Return the position after frame `since` by scanning its segment. Raises `HistoryGone`."""
        numbers = self._segments.numbers()
        before = [number for number in numbers if number <= since + 1]
        if not before:
            first = numbers[0] if numbers else self._journal.appended + 1
            raise HistoryGone(f"the history begins after {first - 1}, and {since} is before it")
        position = begin = _Position(before[-1], 0, before[-1] - 1)
        for _, position in self._frames(begin, since):  # noqa: B007 (the last position is the result)
            pass
        return position

    # Reading

    def _frames(self, position: _Position, limit: int) -> Iterator[tuple[Frame, _Position]]:
        """Yield the frames from a position to number `limit`, each with the position after it."""
        while position.sequence < limit:
            try:
                segment = self._segments.open(position.segment, to_write=False)
            except FileNotFoundError:
                raise HistoryGone(
                    f"what followed on {position.sequence} is no longer kept"
                ) from None
            except OSError as error:
                raise reading_failed(error) from error
            reader = SegmentReader(self._files, segment)
            for frame in self._frames_of(reader, position, limit):
                position = _behind(frame, reader.end, position.segment)
                yield frame, position

    def _frames_of(self, reader: SegmentReader, position: _Position, limit: int) -> Iterator[Frame]:
        """Yield the frames of one segment from a position in it."""
        offset, sequence = position.offset, position.sequence
        while sequence < limit:
            frame = reader.frame_at(offset)
            if frame is None or frame.sequence != sequence + 1:
                name = self._segments.path(position.segment).name
                raise Corrupt(f"journal/{name}", f"is damaged at byte {offset}")
            sequence, offset = frame.sequence, reader.end
            yield frame
            if frame.kind == Kind.SEAL:
                return


def _behind(frame: Frame, end: int, segment: int) -> _Position:
    """Return the position after the frame."""
    if frame.kind == Kind.SEAL:
        return _Position(frame.sequence + 1, 0, frame.sequence)
    return _Position(segment, end, frame.sequence)


def _to_entry(frame: Frame, wanted: Callable[[Key], bool]) -> Entry | None:
    if frame.kind in (Kind.COMMIT, Kind.RELAXED):
        return entry_of(frame.sequence, frame.payload, wanted)
    if frame.kind == Kind.RESTORED:
        return Entry(frame.sequence, decode_payload(frame.payload)["at"], "", "", (), restored=True)
    return None
