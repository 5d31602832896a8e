"""The commits of a folder in their order, for those who follow them.

Read from the segments of the journal, from where the reader left off: where the frame after a
number stands is remembered for the numbers that readers were told last. So whoever follows reads
what is new and nothing else, and whoever comes back after a long time one segment from its
beginning.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from docstore.backend import Entries, Entry
from docstore.document import Key
from docstore.entries import entry_of, told
from docstore.errors import Corrupt, HistoryGone, from_os_error
from docstore.filesystem import FileSystem
from docstore.frames import Frame, Kind, decode_frame, frame_bytes
from docstore.journal import READ_BYTES, Journal

PLACES_MAX: Final = 1_000


class _Place(NamedTuple):
    """Where the frame after number `sequence` stands: a segment, and the offset in it."""

    segment: int
    offset: int
    sequence: int


class Feed:
    """Tells the commits of a journal. Threads may share it; it takes no lock of the folder."""

    def __init__(self, files: FileSystem, journal: Journal) -> None:
        self._files, self._journal = files, journal
        self.mutex = threading.RLock()
        self._places: OrderedDict[int, _Place] = OrderedDict()

    def forget(self) -> None:
        """Forgets where frames stand: the journal is opened anew."""
        with self.mutex:
            self._places.clear()

    def entries(
        self, since: int, limit: int, wanted: Callable[[Key], bool], bytes_max: int
    ) -> Entries:
        """The commits after frame `since` and up to `limit`, which is durable; see the port."""
        found: list[Entry] = []
        end = begin = self._place(since)
        for frame, place in self._frames(begin, limit):
            end = place
            entry = _told(frame, wanted)
            if entry is not None:
                found.append(entry)
            bytes_max -= len(frame.payload)
            if bytes_max <= 0:
                break
        self._remember(end)
        return Entries(tuple(found), end.sequence)

    # Where a reader left off

    def _place(self, since: int) -> _Place:
        with self.mutex:
            known = self._places.get(since)
        return known or self._found(since)

    def _remember(self, place: _Place) -> None:
        with self.mutex:
            self._places[place.sequence] = place
            self._places.move_to_end(place.sequence)
            if len(self._places) > PLACES_MAX:
                self._places.popitem(last=False)

    def _found(self, since: int) -> _Place:
        """The same, looked for in the segment that has it. Raises `HistoryGone`."""
        numbers = self._journal.segments()
        before = [number for number in numbers if number <= since + 1]
        if not before:
            first = numbers[0] if numbers else self._journal.appended + 1
            raise HistoryGone(f"the history begins after {first - 1}, and {since} is before it")
        found = begin = _Place(before[-1], 0, before[-1] - 1)
        for _, found in self._frames(begin, since):  # noqa: B007 (the last one is meant)
            pass
        return found

    # Reading

    def _frames(self, place: _Place, limit: int) -> Iterator[tuple[Frame, _Place]]:
        """The frames from a place on, up to number `limit`, each with the place behind it."""
        while place.sequence < limit:
            try:
                handle = self._files.open(self._journal.path(place.segment), to_write=False)
            except FileNotFoundError:
                raise HistoryGone(f"what followed on {place.sequence} is no longer kept") from None
            except OSError as error:
                raise from_os_error(error, "cannot read the journal") from error
            try:
                for frame in self._frames_of(handle, place, limit):
                    place = _behind(frame, place.segment)
                    yield frame, place
            finally:
                self._files.close(handle)

    def _frames_of(self, handle: int, place: _Place, limit: int) -> Iterator[Frame]:
        """The frames of one segment, from a place in it on."""
        data, start, offset, sequence = b"", place.offset, place.offset, place.sequence
        while sequence < limit:
            frame = decode_frame(data, offset - start) if data else None
            if frame is None:
                data, start = self._data_at(handle, offset), offset
                frame = decode_frame(data)
            if frame is None or frame.sequence != sequence + 1:
                name = self._journal.path(place.segment).name
                raise Corrupt(f"journal/{name}", f"is damaged at byte {offset}")
            sequence, offset = frame.sequence, start + frame.end
            yield frame._replace(end=offset)
            if frame.kind == Kind.SEAL:
                return

    def _data_at(self, handle: int, offset: int) -> bytes:
        """Some bytes from the offset on, and at least the frame that begins there."""
        try:
            data = self._files.read_at(handle, READ_BYTES, offset)
            size = frame_bytes(data)
            return data if size <= len(data) else self._files.read_at(handle, size, offset)
        except OSError as error:
            raise from_os_error(error, "cannot read the journal") from error


def _behind(frame: Frame, segment: int) -> _Place:
    """The place of the frame after this one."""
    if frame.kind == Kind.SEAL:
        return _Place(frame.sequence + 1, 0, frame.sequence)
    return _Place(segment, frame.end, frame.sequence)


def _told(frame: Frame, wanted: Callable[[Key], bool]) -> Entry | None:
    if frame.kind in (Kind.COMMIT, Kind.RELAXED):
        return entry_of(frame.sequence, frame.payload, wanted)
    if frame.kind == Kind.RESTORED:
        return Entry(frame.sequence, told(frame.payload)["at"], "", "", (), restored=True)
    return None
