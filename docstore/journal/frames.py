"""Frames: the byte format of entries in the journal. Pure functions without file access.

    offset  bytes  content (numbers are little-endian)
         0      4  magic, 0xF7 'N' 'F' 'J': its first byte occurs in no UTF-8 text
         4      4  CRC-32 (ISO 3309, as in zlib) of everything after it, up to the newline
         8      8  epoch: the incarnation of the journal that wrote it
        16      8  sequence: counts the frames of the journal, without a gap
        24      8  durable: every frame up to this one was synced when this one was written
        32      4  length of the payload
        36      4  kind
        40    ...  payload: JSON, UTF-8
       ...      1  newline

A power cut can leave any mixture of the frames that were not synced yet: some intact, some not, and
a later one without an earlier one. So only an unbroken run of sequence numbers of one epoch counts.
An invalid frame is a *torn tail*, which was never acknowledged, unless a later intact frame says in
`durable` that it had been synced. Then the disk has lost acknowledged data.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

MAGIC: Final = b"\xf7NFJ"
_HEADER: Final = struct.Struct("<4sIQQQII")
_CHECKED: Final = struct.Struct("<QQQII")
_CRC: Final = struct.Struct("<4sI")
HEADER_BYTES: Final = _HEADER.size
OVERHEAD_BYTES: Final = HEADER_BYTES + 1
_CHECKED_FROM: Final = _CRC.size


class Kind(IntEnum):
    """The kind of a frame."""

    HEAD = 1  # begins a segment
    COMMIT = 2
    RELAXED = 3  # a commit that no writer waits for
    PUBLISHING = 4  # the files that are about to appear
    PUBLISHED = 5  # the files that have appeared
    CHECKPOINT = 6  # the sequence up to which the files are durable
    SEAL = 7  # ends a segment; the next segment follows
    CLOSED = 8  # the last process closed the journal
    RESTORED = 9  # a backup was restored, or was about to be
    TRIMMED = 10  # a commit reduced to the names of the documents it changed


class Frame(NamedTuple):
    """A frame as read. `end` is the offset after it."""

    epoch: int
    sequence: int
    durable: int
    kind: int
    payload: bytes
    end: int


def encode_frame(epoch: int, sequence: int, durable: int, kind: int, payload: bytes) -> bytes:
    """Return the bytes of a frame."""
    checked = _CHECKED.pack(epoch, sequence, durable, len(payload), kind)
    crc = zlib.crc32(b"\n", zlib.crc32(payload, zlib.crc32(checked)))
    return b"".join((_CRC.pack(MAGIC, crc), checked, payload, b"\n"))


def decode_frame(data: bytes, offset: int = 0) -> Frame | None:
    """Return the frame at the offset; None if there is no complete, valid one."""
    if len(data) < offset + HEADER_BYTES:
        return None
    magic, crc, epoch, sequence, durable, length, kind = _HEADER.unpack_from(data, offset)
    end = offset + OVERHEAD_BYTES + length
    if magic != MAGIC or end > len(data):
        return None
    if not _is_intact(memoryview(data)[offset + _CHECKED_FROM : end], crc):
        return None
    payload = data[offset + HEADER_BYTES : end - 1]
    return Frame(epoch, sequence, durable, kind, payload, end)


def _is_intact(checked: memoryview, crc: int) -> bool:
    return zlib.crc32(checked) == crc


def frame_bytes(header: bytes) -> int:
    """Return the length of the frame that begins with these bytes; 0 if no frame does."""
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        return 0
    length: int = _HEADER.unpack_from(header)[5]
    return OVERHEAD_BYTES + length


def whole_frames(data: bytes, offset: int = 0) -> Iterator[Frame]:
    """Yield every intact frame from the offset on, also behind damage."""
    offset = data.find(MAGIC, offset)
    while offset >= 0:
        frame = decode_frame(data, offset)
        if frame:
            yield frame
        offset = data.find(MAGIC, frame.end if frame else offset + 1)


def run_of_frames(
    data: bytes, epoch: int | None, sequence: int, offset: int = 0
) -> Iterator[Frame]:
    """Yield the unbroken run of frames at the offset, beginning with this sequence number.

    If `epoch` is None, the first frame sets the epoch of the run.
    """
    while (frame := decode_frame(data, offset)) is not None:
        epoch = frame.epoch if epoch is None else epoch
        if frame.epoch != epoch or frame.sequence != sequence:
            return
        yield frame
        sequence, offset = sequence + 1, frame.end
