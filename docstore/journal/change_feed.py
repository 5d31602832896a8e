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
from docstore.journal.entries import entry_of, told
from docstore.journal.frames import Frame, Kind
from docstore.journal.log import Journal
from docstore.journal.segments import SegmentReader, reading_failed
from docstore.journal.trimming import is_missed

PLACES_MAX: Final = 1_000
# How often to look for a position again while segments are trimmed.
_SCANS_MAX: Final = 3


class _Place(NamedTuple):
    """The position after frame `sequence`: a segment, and an offset in it."""

    segment: int
    offset: int
    sequence: int


class Feed:
    """A reader of a journal's commits. Threads may share it; it takes no lock of the folder."""

    def __init__(self, files: FileSystem, journal: Journal) -> None:
        self._files, self._journal, self._segments = files, journal, journal.segments
        self.mutex = threading.RLock()
        self._places: OrderedDict[int, _Place] = OrderedDict()

    def forget(self) -> None:
        """Clear the cached positions, since the journal is opened again."""
        with self.mutex:
            self._places.clear()

    def entries(
        self, since: int, limit: int, wanted: Callable[[Key], bool], bytes_max: int
    ) -> Entries:
        """Return the commits after frame `since` up to `limit`, a durable frame. See the port."""
        for _ in range(_SCANS_MAX):
            with self.mutex:
                place = self._places.get(since)
            try:
                return self._entries(place or self._found(since), limit, wanted, bytes_max)
            except Corrupt:  # the segment may have been trimmed, which changes offsets
                self.forget()
        return self._entries(self._found(since), limit, wanted, bytes_max)

    def _entries(
        self, begin: _Place, limit: int, wanted: Callable[[Key], bool], bytes_max: int
    ) -> Entries:
        entries: list[Entry] = []
        end = begin
        for frame, place in self._frames(begin, limit):
            end = place
            if is_missed(frame, wanted):
                raise HistoryGone(f"what change {frame.sequence} did is no longer kept")
            entry = _told(frame, wanted)
            if entry is not None:
                entries.append(entry)
            bytes_max -= len(frame.payload)
            if bytes_max <= 0:
                break
        self._remember(end)
        return Entries(tuple(entries), end.sequence)

    # Positions

    def _remember(self, place: _Place) -> None:
        with self.mutex:
            self._places[place.sequence] = place
            self._places.move_to_end(place.sequence)
            if len(self._places) > PLACES_MAX:
                self._places.popitem(last=False)

    def _found(self, since: int) -> _Place:
        """Return the position after frame `since` by scanning its segment. Raises `HistoryGone`."""
        numbers = self._segments.numbers()
        before = [number for number in numbers if number <= since + 1]
        if not before:
            first = numbers[0] if numbers else self._journal.appended + 1
            raise HistoryGone(f"the history begins after {first - 1}, and {since} is before it")
        position = begin = _Place(before[-1], 0, before[-1] - 1)
        for _, position in self._frames(begin, since):  # noqa: B007 (the last position is the result)
            pass
        return position

    # Reading

    def _frames(self, place: _Place, limit: int) -> Iterator[tuple[Frame, _Place]]:
        """Yield the frames from a position to number `limit`, each with the position after it."""
        while place.sequence < limit:
            try:
                segment = self._segments.open(place.segment, to_write=False)
            except FileNotFoundError:
                raise HistoryGone(f"what followed on {place.sequence} is no longer kept") from None
            except OSError as error:
                raise reading_failed(error) from error
            reader = SegmentReader(self._files, segment)
            for frame in self._frames_of(reader, place, limit):
                place = _behind(frame, reader.end, place.segment)
                yield frame, place

    def _frames_of(self, reader: SegmentReader, place: _Place, limit: int) -> Iterator[Frame]:
        """Yield the frames of one segment from a position in it."""
        offset, sequence = place.offset, place.sequence
        while sequence < limit:
            frame = reader.frame_at(offset)
            if frame is None or frame.sequence != sequence + 1:
                name = self._segments.path(place.segment).name
                raise Corrupt(f"journal/{name}", f"is damaged at byte {offset}")
            sequence, offset = frame.sequence, reader.end
            yield frame
            if frame.kind == Kind.SEAL:
                return


def _behind(frame: Frame, end: int, segment: int) -> _Place:
    """Return the position after the frame."""
    if frame.kind == Kind.SEAL:
        return _Place(frame.sequence + 1, 0, frame.sequence)
    return _Place(segment, end, frame.sequence)


def _told(frame: Frame, wanted: Callable[[Key], bool]) -> Entry | None:
    if frame.kind in (Kind.COMMIT, Kind.RELAXED):
        return entry_of(frame.sequence, frame.payload, wanted)
    if frame.kind == Kind.RESTORED:
        return Entry(frame.sequence, told(frame.payload)["at"], "", "", (), restored=True)
    return None
