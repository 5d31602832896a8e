"""The journal of a folder as it lies there, for whoever wants to look: nothing is opened, locked or
changed, and nothing of what processes share is needed.

What a segment holds is an unbroken run of frames. What lies behind the run is zeros, or a *torn
tail*, which nobody was told about (or which a writer is just appending), or, where a later frame
knew better, *damage*: then whole frames behind it are still told, by those who ask for them.
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

from docstore.document import Json
from docstore.entries import told
from docstore.filesystem import FileSystem
from docstore.frames import Frame, Kind, run_of_frames, whole_frames

JOURNAL: Final = ".neuralflow/journal"
_NAME: Final = re.compile(r"([0-9]{16})\.journal", re.ASCII)
_CHANGES: Final = (Kind.COMMIT, Kind.RELAXED)
_ENDS: Final = {Kind.SEAL: "sealed", Kind.CLOSED: "closed"}


@dataclass(frozen=True)
class Segment:
    """One segment. `first` and `last` are the sequence numbers of its unbroken run of frames.

    `end` is "sealed", "closed", "open", "torn" or "damaged", and `used` how many of its `size`
    bytes the run has. `behind` counts whole frames that lie behind the run; `checkpoint` is the
    last that is told, also there; `gap` says that frames between the segment before and this one
    are missing.
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
        """Whether nothing that was acknowledged is missing in it or before it."""
        return self.end != "damaged" and not self.gap


class History:
    """The frames that lie in a data folder, read anew each time."""

    def __init__(self, root: Path, files: FileSystem | None = None) -> None:
        self._folder = root / JOURNAL
        self._files = files or FileSystem()

    def names(self) -> list[str]:
        """The segments' names, oldest first. Raises `OSError` where they cannot be listed."""
        try:
            return sorted(filter(_NAME.fullmatch, self._files.names(self._folder)))
        except FileNotFoundError:  # nothing was ever written here
            return []

    def segments(self) -> list[Segment]:
        """What each segment holds, oldest first."""
        found: list[Segment] = []
        names = self.names()
        for name in names:
            with suppress(FileNotFoundError):  # retired meanwhile
                before = found[-1] if found else None
                found.append(self._segment(name, before, is_last=name == names[-1]))
        return found

    def _segment(self, name: str, before: Segment | None, *, is_last: bool) -> Segment:
        found = self._looked_at(name, before, is_last=is_last)
        while found.end == "damaged":  # or a writer was faster than the reading: look again
            again = self._looked_at(name, before, is_last=is_last)
            if again.last == found.last:
                break
            found = again
        return found

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
        """The frames after `since`, oldest first, up to the first that is missing.

        With `damaged`, everything that is whole is told, whatever is missing before it.
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
                yield from (each for each in whole_frames(data, end) if each.sequence > since)
            if frame is None and not damaged:
                return
            expected = frame.sequence + 1 if frame else 0

    def entries(self, since: int = 0, *, damaged: bool = False) -> Iterator[dict[str, Json]]:
        """The commits after frame `since`: each its payload, with `sequence` and `relaxed`."""
        for frame in self.frames(since, damaged=damaged):
            if frame.kind in _CHANGES:
                number: dict[str, Json] = {"sequence": frame.sequence}
                if frame.kind == Kind.RELAXED:
                    number["relaxed"] = True
                yield number | dict(told(frame.payload))

    def shown(self, since: int = 0) -> dict[tuple[str, int], int]:
        """Up to which frame the files show the documents of which the frames after `since` tell."""
        found: dict[tuple[str, int], int] = {}
        for frame in self.frames(since):
            if frame.kind == Kind.PUBLISHED:
                for note in msgspec.json.decode(frame.payload):
                    found[note["collection"], note["owner"]] = note["sequence"]
        return found


def _number(name: str) -> int:
    return int(name.partition(".")[0])


def _checkpoint_of(frame: Frame) -> int:
    """Up to which frame the files are durable, if this one tells."""
    if frame.kind == Kind.HEAD:
        return int(told(frame.payload)["checkpoint"])
    return int(told(frame.payload)["sequence"]) if frame.kind == Kind.CHECKPOINT else 0


def _end_of(last: Frame | None, behind: list[Frame], *, is_last: bool, rest: bytes) -> str:
    sequence = last.sequence if last else 0
    epoch = last.epoch if last else None
    if any(each.durable > sequence and epoch in (None, each.epoch) for each in behind):
        return "damaged"
    if last is None or (last.kind != Kind.SEAL and not is_last):
        return "damaged"
    if rest.count(0) != len(rest):
        return "torn"
    return _ENDS.get(Kind(last.kind), "open")
