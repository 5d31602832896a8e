"""The segment files of a journal, and the frames in each."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from docstore.disk.filesystem import FileSystem
from docstore.errors import Unavailable, from_os_error
from docstore.journal.frames import (
    Frame,
    Kind,
    decode_frame,
    frame_bytes,
    run_of_frames,
    whole_frames,
)

READ_BYTES: Final = 64 * 1024
SPARE: Final = "spare"
FORMAT: Final = 1
_NAME: Final = re.compile(r"([0-9]{16})\.journal", re.ASCII)


class OpenSegment:
    """An open segment file. It closes with its last reference, on whichever thread that is."""

    def __init__(self, files: FileSystem, path: Path, number: int, *, to_write: bool) -> None:
        self._files, self.number = files, number
        self.handle = files.open(path, to_write=to_write)
        # Not by the name: trimming may have given it to a shorter file since, and the frames beyond
        # its size would seem to be missing.
        status = files.status_of(self.handle)
        self.size, self.identity = status.st_size, (status.st_dev, status.st_ino)

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            self._files.close(self.handle)


class SegmentReader:
    """Reads the frames of an open segment in order, through a buffer.

    A reader serves one pass: its buffer may lack frames that were appended after it was filled.
    """

    def __init__(self, files: FileSystem, segment: OpenSegment) -> None:
        self._files, self._segment = files, segment
        self._data, self._start = b"", 0  # `_start` is the offset of the data in the segment
        self.end = 0  # the offset after the frame read last

    def frame_at(self, offset: int, ahead: int = READ_BYTES) -> Frame | None:
        """Return the frame at an offset of the segment; None if no intact one begins there.

        If the buffer does not have it, read `ahead` bytes, and more for a longer frame. Raises
        `Unavailable`.
        """
        frame = decode_frame(self._data, offset - self._start) if self._data else None
        if frame is None:
            self._fill(offset, ahead)
            frame = decode_frame(self._data)
        if frame is None:
            size = min(frame_bytes(self._data), self._segment.size - offset)
            if size > len(self._data):
                self._fill(offset, size)
                frame = decode_frame(self._data)
        if frame is not None:
            self.end = self._start + frame.end
        return frame

    def _fill(self, offset: int, size: int) -> None:
        try:
            self._data = self._files.read_at(self._segment.handle, size, offset)
        except OSError as error:
            raise reading_failed(error) from error
        self._start = offset


class SegmentScan:
    """A segment's unbroken run of frames, and what follows it.

    `last` is the last frame of the run, None for an empty run, and `offset` its end. `checkpoint`
    is the last one that a frame of the run records, 0 for none.
    """

    def __init__(self, data: bytes, number: int) -> None:
        self.data, self.number = data, number
        self.last: Frame | None = None
        self.checkpoint = 0
        for frame in run_of_frames(data, None, number):
            self.last = frame
            self.checkpoint = checkpoint_of(frame, self.checkpoint)
        self.offset = self.last.end if self.last else 0

    @property
    def sequence(self) -> int:
        """Return the sequence number of the last frame; the one before the segment for none."""
        return self.last.sequence if self.last else self.number - 1

    @property
    def epoch(self) -> int:
        """Return the epoch of the run; 0 for an empty one."""
        return self.last.epoch if self.last else 0

    @property
    def is_sealed(self) -> bool:
        """Return whether a seal ends the run."""
        return self.last is not None and self.last.kind == Kind.SEAL

    @property
    def has_only_zeros_after(self) -> bool:
        """Return whether only zeros follow the run."""
        return self.data.count(0, self.offset) == len(self.data) - self.offset

    @property
    def is_closed(self) -> bool:
        """Return whether a clean close ends the run, and nothing follows it."""
        is_closed = self.last is not None and self.last.kind == Kind.CLOSED
        return is_closed and self.has_only_zeros_after

    def frames_after_gap(self) -> Iterator[Frame]:
        """Yield the intact frames behind the run."""
        return whole_frames(self.data, self.offset)

    def frame_that_shows_loss(self) -> Frame | None:
        """Return an intact frame that recorded a broken one before it as durable, if any."""
        for frame in self.frames_after_gap():
            if (not self.last or frame.epoch == self.epoch) and frame.durable > self.sequence:
                return frame
        return None


def checkpoint_of(frame: Frame, otherwise: int = 0) -> int:
    """Return the sequence up to which files are durable, if the frame records it."""
    if frame.kind not in (Kind.HEAD, Kind.CHECKPOINT):
        return otherwise
    content = msgspec.json.decode(frame.payload)
    checkpoint: int = content.get("checkpoint", content.get("sequence", 0))
    return checkpoint


def head(epoch: int, checkpoint: int) -> bytes:
    """Return the payload of the frame that begins a segment."""
    return msgspec.json.encode({"format": FORMAT, "epoch": epoch, "checkpoint": checkpoint})


def reading_failed(error: OSError) -> Unavailable:
    """Return the error to raise if the system cannot read the journal."""
    return from_os_error(error, "cannot read the journal")


class SegmentFolder:
    """The segment files in a journal's folder.

    Invariant: the name of a segment is the sequence number of its first frame, and only a file
    whose beginning is durable gets such a name.
    """

    def __init__(self, files: FileSystem, folder: Path) -> None:
        self._files, self.folder = files, folder

    def path(self, number: int) -> Path:
        """Return the path of the segment that begins with this frame."""
        return self.folder / f"{number:016d}.journal"

    def name(self, number: int) -> str:
        """Return the segment's name for messages: `.neuralflow/journal/...`."""
        return f"{self.folder.parent.name}/{self.folder.name}/{self.path(number).name}"

    def numbers(self) -> list[int]:
        """Return the numbers of all segments, oldest first."""
        try:
            names = self._files.names(self.folder)
        except FileNotFoundError:  # nothing was written yet
            return []
        matches = map(_NAME.fullmatch, names)
        return sorted(int(match[1]) for match in matches if match)

    def sizes(self, numbers: list[int]) -> dict[int, int]:
        """Return the sizes of these segments, without those that another process removed."""
        return {number: size for number, (size, _) in self.stamps(numbers).items()}

    def stamps(self, numbers: list[int]) -> dict[int, tuple[int, int]]:
        """Return size and mtime in nanoseconds of these segments that still exist."""
        stamps = {}
        for number in numbers:
            with suppress(FileNotFoundError):  # another process removed it meanwhile
                status = self._files.status(self.path(number))
                stamps[number] = (status.st_size, status.st_mtime_ns)
        return stamps

    def open(self, number: int, *, to_write: bool) -> OpenSegment:
        """Open a segment. Raises `OSError`."""
        return OpenSegment(self._files, self.path(number), number, to_write=to_write)

    def data(self, number: int) -> bytes:
        """Return the bytes of a segment that others may be appending to. Raises `OSError`."""
        return self._files.read_unstable(self.path(number))

    def frames(self, number: int) -> Iterator[Frame]:
        """Return the unbroken run of a segment's frames. Raises `OSError`."""
        return run_of_frames(self.data(number), None, number)

    def create_zeros(self, size: int) -> Path:
        """Write a temporary file of zeros; return its path. Raises `OSError`."""
        path = self.temporary()
        try:
            self._files.create_zeroed("segment-zeros", path, size)
        except BaseException:
            with suppress(OSError):
                self._files.remove("segment-zeros", path)
            raise
        return path

    def temporary(self) -> Path:
        """Return a new name that `remove_temporary_files` recognizes."""
        return self.folder / f"{secrets.token_hex(8)}.draft"

    def remove_temporary_files(self) -> None:
        """Remove the spare, and the temporary files of dead processes."""
        for name in self._files.names(self.folder):
            if name == SPARE or name.endswith(".draft"):
                self._files.remove("sweep", self.folder / name)

    @property
    def spare(self) -> Path:
        """Return the path of the file of zeros that is written ahead."""
        return self.folder / SPARE
