"""An offline reader of a folder's journal: it opens, locks and changes nothing.

It needs no shared state. A segment holds an unbroken run of frames. After the run, there are zeros,
a *torn tail*, which was never acknowledged (or is being appended), or, if a later frame recorded
the missing one as durable, *damage*. Intact frames after damage are returned on request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

import msgspec

from docstore.disk.filesystem import FileSystem
from docstore.document import Json
from docstore.journal.entries import told
from docstore.journal.frames import Frame, Kind, run_of_frames, whole_frames

JOURNAL: Final = ".neuralflow/journal"
_NAME: Final = re.compile(r"([0-9]{16})\.journal", re.ASCII)
_CHANGES: Final = (Kind.COMMIT, Kind.RELAXED)
_ENDS: Final = {Kind.SEAL: "sealed", Kind.CLOSED: "closed"}


@dataclass(frozen=True)
class Segment:
    """One segment. `first` and `last` are the sequence numbers of its unbroken run of frames.

    `end` is "sealed", "closed", "open", "torn" or "damaged". The run has `used` of the `size`
    bytes. `behind` counts the intact frames after the run. `checkpoint` is the highest in any
    intact frame, 0 for none. `gap`: frames between the segment before and this one are missing.
    """

    name: str
    first: int
    last: int
    epoch: int
    size: int
    used: int
    checkpoint: int
    end: str
    behind: int = 0
    gap: bool = False

    @property
    def is_whole(self) -> bool:
        """Return whether no acknowledged frame is missing in this segment or directly before it."""
        return self.end != "damaged" and not self.gap


class History:
    """A reader of the frames in a data folder. Each call reads the files again."""

    def __init__(self, root: Path, files: FileSystem | None = None) -> None:
        self._folder = root / JOURNAL
        self._files = files or FileSystem()

    def names(self) -> list[str]:
        """Return the segments' names, oldest first. Raises `OSError` if they cannot be listed."""
        try:
            return sorted(filter(_NAME.fullmatch, self._files.names(self._folder)))
        except FileNotFoundError:  # nothing was written yet
            return []

    def segments(self) -> list[Segment]:
        """Return a description of each segment, oldest first."""
        segments: list[Segment] = []
        names = self.names()
        for name in names:
            with suppress(FileNotFoundError):  # retired meanwhile
                before = segments[-1] if segments else None
                segments.append(self._segment(name, before, is_last=name == names[-1]))
        return segments

    def _segment(self, name: str, before: Segment | None, *, is_last: bool) -> Segment:
        segment = self._looked_at(name, before, is_last=is_last)
        while segment.end == "damaged":  # a writer may have appended during the read: read again
            again = self._looked_at(name, before, is_last=is_last)
            if again.last == segment.last:
                break
            segment = again
        return segment

    def _looked_at(self, name: str, before: Segment | None, *, is_last: bool) -> Segment:
        data, number = self._files.glance(self._folder / name), _number(name)
        run = list(run_of_frames(data, None, number))
        last = run[-1] if run else None
        used = last.end if last else 0
        behind = list(whole_frames(data, used))
        gap = before is not None and before.is_whole and before.last + 1 != number
        return Segment(
            name,
            number,
            last.sequence if last else number - 1,
            last.epoch if last else 0,
            len(data),
            used,
            max(map(_checkpoint_of, [*run, *behind]), default=0),
            _end_of(last, behind, is_last=is_last, rest=data[used:]),
            len(behind),
            gap,
        )

    def frames(self, since: int = 0, *, damaged: bool = False) -> Iterator[Frame]:
        """Yield the frames after `since`, oldest first, until a frame is missing.

        With `damaged`, yield all intact frames, also after gaps.
        """
        names, expected = self.names(), 0
        for name, successor in zip_longest(names, names[1:], fillvalue=""):
            if successor and _number(successor) <= since + 1:
                continue
            number = _number(name)
            if expected and number != expected and not damaged:
                return
            try:
                data = self._files.glance(self._folder / name)
            except FileNotFoundError:  # retired meanwhile
                continue
            frame, end = None, 0
            for frame in run_of_frames(data, None, number):
                end = frame.end
                if frame.sequence > since:
                    yield frame
            if damaged:
                yield from (
                    frame_behind
                    for frame_behind in whole_frames(data, end)
                    if frame_behind.sequence > since
                )
            if frame is None and not damaged:
                return
            expected = frame.sequence + 1 if frame else 0

    def entries(self, since: int = 0, *, damaged: bool = False) -> Iterator[dict[str, Json]]:
        """Yield the payloads of the commits after frame `since`, with `sequence` and `relaxed`."""
        for frame in self.frames(since, damaged=damaged):
            if frame.kind in _CHANGES:
                number: dict[str, Json] = {"sequence": frame.sequence}
                if frame.kind == Kind.RELAXED:
                    number["relaxed"] = True
                yield number | dict(told(frame.payload))

    def shown(self, since: int = 0) -> dict[tuple[str, int], int]:
        """Return up to which frame each file shows its document, by notes after frame `since`."""
        shown: dict[tuple[str, int], int] = {}
        for frame in self.frames(since):
            if frame.kind == Kind.PUBLISHED:
                for note in msgspec.json.decode(frame.payload):
                    shown[note["collection"], note["owner"]] = note["sequence"]
        return shown


def _number(name: str) -> int:
    return int(name.partition(".")[0])


def _checkpoint_of(frame: Frame) -> int:
    """Return the sequence up to which files are durable, if the frame says so; otherwise 0."""
    if frame.kind == Kind.HEAD:
        return int(told(frame.payload)["checkpoint"])
    return int(told(frame.payload)["sequence"]) if frame.kind == Kind.CHECKPOINT else 0


def _end_of(last: Frame | None, behind: list[Frame], *, is_last: bool, rest: bytes) -> str:
    sequence = last.sequence if last else 0
    epoch = last.epoch if last else None
    if any(frame.durable > sequence and epoch in (None, frame.epoch) for frame in behind):
        return "damaged"
    if last is None or (last.kind != Kind.SEAL and not is_last):
        return "damaged"
    if rest.count(0) != len(rest):
        return "torn"
    return _ENDS.get(Kind(last.kind), "open")
