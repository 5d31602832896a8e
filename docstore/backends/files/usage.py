"""Disk usage per user in addition to documents: history by actor, set-aside files by owner.

Both take a scan: of the journal, and of the folders of documents. So a background thread counts
them, a few segments at a time, and readers get the last result. Sealed segments are scanned once.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from docstore.disk.filesystem import FileSystem
from docstore.journal.frames import Kind
from docstore.journal.log import Journal

#: Seconds between two counts, of the history and of the folders.
HISTORY_SECONDS: Final = 5.0
FOLDERS_SECONDS: Final = 60.0
# Segments that one step scans. After a restart, a full history takes minutes of small steps.
_SEGMENTS_MAX: Final = 2
_STEP_SECONDS: Final = 1.0
_WITH_ACTOR: Final = (Kind.COMMIT, Kind.RELAXED, Kind.TRIMMED)
_ASIDE: Final = re.compile(r"[a-z]+_([0-9]{1,19})\.set-aside-[-0-9TZ.]+\.(?:json|txt)", re.ASCII)


class _Actor(msgspec.Struct):
    actor: str = ""


_decode: Final = msgspec.json.Decoder(_Actor).decode


class Usage:
    """The counted usage. One thread counts, any thread reads."""

    def __init__(self, files: FileSystem, journal: Journal, folders: list[Path]) -> None:
        self._files, self._journal, self._folders = files, journal, folders
        # By segment: its size and mtime when it was scanned, and bytes by actor.
        self._segments: dict[int, tuple[tuple[int, int], Counter[str]]] = {}
        self._history: Counter[str] = Counter()
        self._asides: Counter[int] = Counter()
        self._next_history = self._next_folders = 0.0

    def history_bytes(self, actor: str) -> int:
        """Return how many bytes of the journal the actor's commits take, by the last count."""
        return self._history[actor]

    def aside_bytes(self, owner: int) -> int:
        """Return how many bytes the owner's files that were set aside take, by the last count."""
        return self._asides[owner]

    def remove_aside(self, owner: int, size: int) -> None:
        """Subtract the bytes of a version that this process discarded, ahead of the next count."""
        self._asides[owner] = max(self._asides[owner] - size, 0)

    def count_some(self) -> None:
        """Count what is due, within some milliseconds."""
        now = time.monotonic()
        if now >= self._next_history:
            is_complete = self._count_history(_SEGMENTS_MAX)
            self._next_history = now + (HISTORY_SECONDS if is_complete else _STEP_SECONDS)
        if now >= self._next_folders:
            self._count_asides()
            self._next_folders = now + FOLDERS_SECONDS

    def count_all(self) -> None:
        """Count everything now."""
        self._count_history(None)
        self._count_asides()

    def _count_history(self, segments_max: int | None) -> bool:
        """Scan new segments, newest first. Return whether none remains to be scanned."""
        segments, scanned, is_complete = {}, 0, True
        for number in reversed(self._journal.segments.numbers()):
            path = self._journal.segments.path(number)
            known = self._segments.get(number)
            with suppress(OSError):  # retired, or replaced just now: the next count sees it
                status = self._files.status(path)
                stamp = status.st_size, status.st_mtime_ns
                if known is None or known[0] != stamp:
                    if scanned == segments_max:
                        is_complete = False
                    else:
                        known = stamp, self._by_actor(number)
                        scanned += 1
                if known is not None:
                    segments[number] = known
        self._segments = segments
        self._history = sum((counts for _stamp, counts in segments.values()), Counter[str]())
        return is_complete

    def _by_actor(self, number: int) -> Counter[str]:
        counts = Counter[str]()
        begin = 0
        for frame in self._journal.segments.frames(number):
            if frame.kind in _WITH_ACTOR:
                with suppress(msgspec.DecodeError):
                    counts[_decode(frame.payload).actor] += frame.end - begin
            begin = frame.end
        return counts

    def _count_asides(self) -> None:
        asides = Counter[int]()
        for folder in self._folders:
            names: list[str] = []
            with suppress(OSError):
                names = self._files.names(folder)
            for name in names:
                if ".set-aside-" in name and (match := _ASIDE.fullmatch(name)):
                    with suppress(OSError):
                        asides[int(match[1])] += self._files.status(folder / name).st_size
        self._asides = asides
