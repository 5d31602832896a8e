"""Trim the history: the actors who wrote most of it lose their oldest changes first.

One bound applies to the history of all actors. Without a share for each actor, an actor who writes
much would displace the history of all others. So when the history exceeds the bound, the oldest
changes of actors above their share are reduced to frames that only name the changed documents
(`Kind.TRIMMED`).
All frames retain their sequence numbers. Only segments that the files do not need are rewritten,
each into a new file that replaces the old one.
"""

from __future__ import annotations

import itertools
import logging
import secrets
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final

import msgspec

from docstore.disk.filesystem import Draft, FileSystem
from docstore.document import Key
from docstore.journal.frames import Frame, Kind, encode_frame, run_of_frames
from docstore.journal.log import Journal

log = logging.getLogger(__name__)

_COMMITS: Final = (Kind.COMMIT, Kind.RELAXED)
# An actor above the share retains this part of it. Otherwise each further change would rewrite a
# segment.
_KEPT_OF_SHARE: Final = 0.75


class _Change(msgspec.Struct):
    collection: str
    owner: int
    revision: int = 0


class _Entry(msgspec.Struct, omit_defaults=True):
    """The part of a commit that remains after trimming."""

    at: str
    changes: list[_Change]
    actor: str = ""
    request: str = ""


_decode: Final = msgspec.json.Decoder(_Entry).decode


def trimmed_keys(payload: bytes) -> list[Key]:
    """Return the keys of the documents that a trimmed commit changed."""
    return [Key(change.collection, change.owner) for change in _decode(payload).changes]


class Trimmer:
    """The trimmer of a journal's segments. The caller holds the publishing lock.

    `writing` admits one writer at a time.
    """

    def __init__(
        self, files: FileSystem, journal: Journal, writing: AbstractContextManager[object]
    ) -> None:
        self._files, self._writing = files, writing
        self._journal, self._segments = journal, journal.segments
        # By segment: its size and mtime when it was read, and the payload bytes of each actor's
        # commits.
        self._read: dict[int, tuple[tuple[int, int], Counter[str]]] = {}

    def trim(self, bytes_max: int, share: float, before: float) -> int:
        """Trim until all segments together have at most `bytes_max` bytes; return the bytes saved.

        Each actor retains their share of `bytes_max`, and everything since `before` (a file's mtime
        in seconds). Raises `OSError`.
        """
        stamps = self._segments.stamps(self._segments.numbers())
        excess = sum(size for size, _time in stamps.values()) - bytes_max
        if excess <= 0 or share >= 1:
            return 0
        numbers = [
            number
            for number, successor in itertools.pairwise(stamps)
            if successor <= self._journal.checkpointed + 1
        ]
        owned = {number: self._owned(number, stamps[number]) for number in numbers}
        self._read = {number: self._read[number] for number in numbers if number in self._read}
        totals = sum(owned.values(), Counter[str]())
        surplus = Counter(
            {
                actor: int(total - _KEPT_OF_SHARE * share * bytes_max)
                for actor, total in totals.items()
                if total > share * bytes_max
            }
        )
        saved = 0
        for number in numbers:
            if saved >= excess or not surplus or stamps[number][1] >= before * 1e9:
                break
            if surplus.keys() & owned[number].keys():
                saved += self._trim_segment(number, stamps[number][1], surplus)
                surplus = +surplus
        if saved:
            log.info("%d bytes of the largest actors' history were trimmed", saved)
        return saved

    def _owned(self, number: int, stamp: tuple[int, int]) -> Counter[str]:
        known = self._read.get(number)
        if known is None or known[0] != stamp:
            owned = Counter[str]()
            with suppress(FileNotFoundError):
                for frame in self._frames(number)[1]:
                    if frame.kind in _COMMITS:
                        owned[_decode(frame.payload).actor] += len(frame.payload)
            known = self._read[number] = stamp, owned
        return known[1]

    def _frames(self, number: int) -> tuple[bytes, list[Frame]]:
        data, _status = self._files.read(self._segments.path(number))
        return data, list(run_of_frames(data, None, number))

    def _trim_segment(self, number: int, mtime_ns: int, surplus: Counter[str]) -> int:
        try:
            data, frames = self._frames(number)
        except FileNotFoundError:  # another process made room meanwhile
            return 0
        if not frames or frames[-1].kind != Kind.SEAL:
            return 0
        pieces, begin = [], 0
        for frame in frames:
            pieces.append(self._trimmed(frame, surplus) or data[begin : frame.end])
            begin = frame.end
        content = b"".join(pieces)
        self._read.pop(number, None)
        is_replaced = self._replace_segment(self._segments.path(number), content, mtime_ns)
        return len(data) - len(content) if is_replaced else 0

    def _replace_segment(self, path: Path, content: bytes, mtime_ns: int) -> bool:
        """Replace a segment; return False if another process removed it meanwhile."""
        draft = path.with_name(f"{secrets.token_hex(8)}.draft")
        try:
            self._files.create_all("trim-draft", [Draft(str(draft), content, mtime_ns)])
            # Without this lock, a writer that makes room on a full disk could remove the segment
            # before the rename, which would then bring it back, behind a gap.
            with self._writing:
                if is_there := self._files.exists(path):
                    self._files.rename("trim-segment", draft, path)
            if is_there:
                self._files.sync_folder("trim-names", path.parent)
                return True
        except BaseException:
            with suppress(OSError):
                self._files.remove("trim-take-back", draft)
            raise
        self._files.remove("trim-take-back", draft)
        return False

    @staticmethod
    def _trimmed(frame: Frame, surplus: Counter[str]) -> bytes | None:
        """Return the replacement of a frame, or None to retain it. Reduce the actor's surplus."""
        if frame.kind not in _COMMITS:
            return None
        entry = _decode(frame.payload)
        if surplus[entry.actor] <= 0:
            return None
        payload = msgspec.json.encode(entry)
        surplus[entry.actor] -= len(frame.payload) - len(payload)
        return encode_frame(frame.epoch, frame.sequence, frame.durable, Kind.TRIMMED, payload)


def is_missed(frame: Frame, wanted: Callable[[Key], bool]) -> bool:
    """Return whether the frame is a trimmed commit that changed a wanted document."""
    return frame.kind == Kind.TRIMMED and any(map(wanted, trimmed_keys(frame.payload)))
