"""An offline reader of a folder's journal: it opens, locks and changes nothing.

It needs no shared state. A segment holds an unbroken run of frames. After the run, there are zeros,
a *torn tail*, which was never acknowledged (or is being appended), or, if a later frame recorded
the missing one as durable, *damage*. Intact frames after damage are returned on request.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from docstore.disk.filesystem import FileSystem
from docstore.document import Json
from docstore.journal.entries import decode_payload
from docstore.journal.frames import Frame, Kind, run_of_frames, whole_frames
from docstore.journal.segments import SegmentFolder, SegmentScan, checkpoint_of

JOURNAL: Final = ".neuralflow/journal"
_CHANGES: Final = (Kind.COMMIT, Kind.RELAXED)
_ENDS: Final = {Kind.SEAL: "sealed", Kind.CLOSED: "closed"}


@dataclass(frozen=True)
class Segment:
    """One segment. `first` and `last` are the sequence numbers of its unbroken run of frames.

    `end` is "sealed", "closed", "open", "torn" or "damaged". The run has `used` of the `size`
    bytes. `frames_after_gap` counts the intact frames after the run. `checkpoint` is the highest in
    any intact frame, 0 for none. `gap`: frames between the segment before and this one are missing.
    """

    name: str
    first: int
    last: int
    epoch: int
    size: int
    used: int
    checkpoint: int
    end: str
    frames_after_gap: int = 0
    gap: bool = False

    @property
    def is_whole(self) -> bool:
        """Return whether no acknowledged frame is missing in this segment or directly before it."""
        return self.end != "damaged" and not self.gap


class JournalReader:
    """A reader of the frames in a data folder. Each call reads the files again."""

    def __init__(self, root: Path, files: FileSystem | None = None) -> None:
        self._segments = SegmentFolder(files or FileSystem(), root / JOURNAL)

    def segments(self) -> list[Segment]:
        """Return a description of each segment, oldest first. Raises `OSError`."""
        segments: list[Segment] = []
        numbers = self._segments.numbers()
        for number in numbers:
            before = segments[-1] if segments else None
            try:
                segments.append(self._segment(number, before, is_last=number == numbers[-1]))
            except FileNotFoundError:
                # Pruned meanwhile, and all older ones with it. If they stayed, a gap would seem to
                # follow them.
                segments.clear()
        return segments

    def _segment(self, number: int, before: Segment | None, *, is_last: bool) -> Segment:
        segment = self._described(number, before, is_last=is_last)
        while segment.end == "damaged":  # a writer may have appended during the read: read again
            again = self._described(number, before, is_last=is_last)
            if again.last == segment.last:
                break
            segment = again
        return segment

    def _described(self, number: int, before: Segment | None, *, is_last: bool) -> Segment:
        scan = SegmentScan(self._segments.data(number), number)
        after_gap = list(scan.frames_after_gap())
        return Segment(
            self._segments.path(number).name,
            number,
            scan.sequence,
            scan.epoch,
            len(scan.data),
            scan.offset,
            max([scan.checkpoint, *map(checkpoint_of, after_gap)]),
            _end_of(scan, is_last=is_last),
            len(after_gap),
            gap=before is not None and before.is_whole and before.last + 1 != number,
        )

    def frames(self, since: int = 0, *, damaged: bool = False) -> Iterator[Frame]:
        """Yield the frames after `since`, oldest first, until a frame is missing.

        With `damaged`, yield all intact frames, also after gaps.
        """
        expected = 0
        for number, successor in pairwise([*self._segments.numbers(), sys.maxsize]):
            if successor <= since + 1:
                continue
            if expected and number != expected and not damaged:
                return
            try:
                data = self._segments.data(number)
            except FileNotFoundError:  # deleted meanwhile
                continue
            last, end = 0, 0
            for frame in run_of_frames(data, None, number):
                last, end = frame.sequence, frame.end
                if frame.sequence > since:
                    yield frame
            if damaged:
                yield from (frame for frame in whole_frames(data, end) if frame.sequence > since)
            elif not last:
                return
            expected = last + 1 if last else 0

    def entries(self, since: int = 0, *, damaged: bool = False) -> Iterator[dict[str, Json]]:
        """Yield the payloads of the commits after frame `since`, with `sequence` and `relaxed`."""
        for frame in self.frames(since, damaged=damaged):
            if frame.kind in _CHANGES:
                number: dict[str, Json] = {"sequence": frame.sequence}
                if frame.kind == Kind.RELAXED:
                    number["relaxed"] = True
                yield number | dict(decode_payload(frame.payload))

    def published_sequence(self, since: int = 0) -> dict[tuple[str, int], int]:
        """Return up to which frame each file shows its document, by notes after frame `since`."""
        published: dict[tuple[str, int], int] = {}
        for frame in self.frames(since):
            if frame.kind == Kind.PUBLISHED:
                for note in msgspec.json.decode(frame.payload):
                    published[note["collection"], note["owner"]] = note["sequence"]
        return published


def _end_of(scan: SegmentScan, *, is_last: bool) -> str:
    if scan.frame_that_shows_loss() is not None:
        return "damaged"
    if scan.last is None or not (scan.is_sealed or is_last):
        return "damaged"
    return _ENDS.get(Kind(scan.last.kind), "open") if scan.has_only_zeros_after else "torn"
