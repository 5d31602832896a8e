"""Finds the end of a journal when its first process opens it, and repairs what a crash left.

It writes the intact frames of the last segment and a seal into a new file, durably, and replaces
the segment by it. The next frame begins a new segment of a new epoch. A recovery that is repeated
or interrupted changes nothing.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec

from docstore.disk.filesystem import FileSystem
from docstore.errors import Corrupt
from docstore.journal.frames import Kind, encode_frame
from docstore.journal.segments import OpenSegment, SegmentFolder, SegmentScan, head
from docstore.journal.state import JournalState, clean_shutdown_marker

log = logging.getLogger(__name__)

_HELP: Final = "docs/troubleshoot.md tells what to do"


class Recovered(NamedTuple):
    """The end of a journal: its numbers, the segments that the documents still need, oldest first.

    `closed_at` is the frame of a clean close at the end; -1 for none.
    """

    state: JournalState
    needed: list[int]
    closed_at: int


class Recovery:
    """The scan of a journal's segments.

    Invariant: no frame will follow bytes that an earlier incarnation had not made durable, and no
    acknowledged frame is passed over in silence: `Corrupt` says where it is missing.
    """

    def __init__(self, files: FileSystem, segments: SegmentFolder) -> None:
        self._files, self._segments = files, segments

    def scan(self, known: JournalState, *, repair: bool) -> Recovered:
        """Find the end of the journal, and repair it if `repair`.

        `known` are the numbers that were shared last. Raises `Corrupt`.
        """
        numbers = self._segments.numbers()
        state = JournalState()
        state.generation = (known.generation + 1) % 2**32
        state.epoch = 1
        needed, closed_at = numbers[-1:], -1
        if numbers:
            tail = self._tail(numbers[-1], is_changing=not repair)
            state.epoch, state.appended = tail.epoch, tail.sequence
            state.checkpoint = tail.checkpoint
            closed_at = tail.sequence if tail.is_closed else -1
            if self._goes_on_from(tail, known.closed, repair=repair):
                state.closed = known.closed
                state.segment, state.end = tail.number, tail.offset
            elif repair:
                state.appended = self._repair(tail)
                state.epoch = tail.epoch + 1
            needed = self._check_chain(numbers, tail.checkpoint + 1)
        state.synced = state.relaxed = state.appended
        return Recovered(state, needed, closed_at)

    def _tail(self, number: int, *, is_changing: bool) -> SegmentScan:
        """Return the scan of the last segment, which others may be appending to if `is_changing`.

        Raises `Corrupt`.
        """
        tail = self._scan(number)
        while is_changing:
            try:
                self._refuse_loss(tail)
            except Corrupt:
                again = self._scan(number)
                if again.sequence == tail.sequence:
                    raise
                tail = again  # a writer appended between the two reads
            else:
                break
        return tail

    def _scan(self, number: int) -> SegmentScan:
        data, _ = self._files.read(self._segments.path(number))
        scan = SegmentScan(data, number)
        if scan.last is None:
            raise Corrupt(self._segments.name(number), f"has no beginning; {_HELP}")
        return scan

    def _refuse_loss(self, scan: SegmentScan) -> None:
        """Raise `Corrupt` if an intact frame recorded a broken one before it as durable."""
        frame = scan.frame_that_shows_loss()
        if frame is not None:
            raise Corrupt(
                self._segments.name(scan.number),
                f"is damaged at byte {scan.offset}: frame {scan.sequence + 1} is broken, and"
                f" frame {frame.sequence} behind it is whole and knew it to be durable. {_HELP}",
            )

    @staticmethod
    def _goes_on_from(tail: SegmentScan, marker: int, *, repair: bool) -> bool:
        """Return whether the journal was closed in order, durably, and is continued as it is.

        Without the marker in the shared numbers, a killed process may not have synced its last
        frame.
        """
        is_durable = not repair or marker == clean_shutdown_marker(tail.sequence)
        return tail.is_closed and is_durable

    def _check_chain(self, numbers: list[int], start: int) -> list[int]:
        """Return the segments that hold the frames from `start` on.

        Raises `Corrupt` if a frame is missing.
        """
        needed = numbers[-1:]
        for number in reversed(numbers[:-1]):
            if needed[0] <= start:
                break
            scan = self._scan(number)
            if not scan.is_sealed or scan.sequence + 1 != needed[0]:
                raise Corrupt(
                    self._segments.name(number),
                    f"is damaged at byte {scan.offset}, and {self._segments.name(needed[0])} goes"
                    f" on after it: acknowledged changes are in the damaged part. {_HELP}",
                )
            needed.insert(0, number)
        if needed[0] > start:
            raise Corrupt(
                self._segments.name(needed[0]),
                f"begins after frame {start}, which the documents still need:"
                " a segment before it is missing",
            )
        return needed

    def _repair(self, tail: SegmentScan) -> int:
        """Make the intact frames durable, followed by a seal; return the seal's sequence number.

        An existing seal is rewritten, too: its writer may have died before it was durable, or its
        sync may have failed, and then syncing the same file again would prove nothing.
        """
        self._refuse_loss(tail)
        torn = tail.data[tail.offset :].rstrip(b"\0")
        if torn:
            self._set_aside(f"torn-{tail.number:016d}-{tail.offset}.bin", torn)
        last, seal = tail.sequence, b""
        if not tail.is_sealed:
            last = tail.sequence + 1
            seal = encode_frame(tail.epoch, last, tail.sequence, Kind.SEAL, b"{}")
        draft = self._segments.temporary()
        self._files.create("recover-draft", draft, tail.data[: tail.offset] + seal)
        self._files.rename("recover-segment", draft, self._segments.path(tail.number))
        self._files.sync_folder("recover-names", self._segments.folder)
        return last

    def write_again(self, state: JournalState, segment: OpenSegment | None) -> None:
        """Write the current segment under its name again, for the next recovery.

        Requires all locks, all frames followed, and files that are durable without the journal.
        Raises `OSError`.
        """
        number, epoch = state.appended + 1, state.epoch + 1
        data = encode_frame(epoch, number, number - 1, Kind.HEAD, head(epoch, state.appended))
        if segment is not None and segment.number == state.segment:
            note = msgspec.json.encode({"sequence": state.appended})
            data = self._files.read_at(segment.handle, state.end, 0)
            data += encode_frame(state.epoch, number, state.synced, Kind.CHECKPOINT, note)
            number = segment.number
        path, draft = self._segments.path(number), self._segments.temporary()
        if self._files.exists(path):  # a foreign file in its place: preserve it under another name
            other_name = f"replaced-{number:016d}-{draft.stem}.bin"
            self._files.rename("rescue", path, path.with_name(other_name))
        self._files.create("rescue", draft, data)
        self._files.rename("rescue", draft, path)
        self._files.sync_folder("rescue", self._segments.folder)

    def _set_aside(self, name: str, data: bytes) -> None:
        log.warning(
            "the journal ended in %d torn bytes, which are preserved in %s", len(data), name
        )
        with suppress(FileExistsError):  # an earlier recovery was interrupted
            self._files.create("recover-torn", self._segments.folder / name, data)
