"""Frames: how entries stand in the journal, byte by byte. Pure: no file is touched here.

    offset  bytes  what (numbers are little-endian)
         0      4  magic, 0xF7 'N' 'F' 'J': its first byte stands in no JSON text
         4      4  CRC-32 (ISO 3309, as in zlib) of all that follows up to the newline
         8      8  epoch: which incarnation of the journal wrote it
        16      8  sequence: counts the frames of the journal, without a gap
        24      8  durable: every frame up to this sequence was synced when this one was written
        32      4  length of the payload
        36      4  kind
        40    ...  payload: JSON, UTF-8
       ...      1  newline

A power cut can leave frames that were not synced yet in any mixture: some whole, some not, a later
one without the one before. So only an unbroken run of sequence numbers counts, of one epoch. And a
frame that does not check is a *torn tail*, which nobody was told about, unless some later whole
frame says, by its `durable`, that it had been synced: then the disk has lost what it had promised.
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
    """What a frame holds."""

    HEAD = 1  # begins a segment
    COMMIT = 2
    RELAXED = 3  # a commit that nobody waits for
    PUBLISHING = 4  # which files are about to appear
    PUBLISHED = 5  # which files have appeared
    CHECKPOINT = 6  # up to where the files are durable
    SEAL = 7  # ends a segment; the next one follows
    CLOSED = 8  # the last process closed the journal
    RESTORED = 9  # a backup was put back, or was about to be


class Frame(NamedTuple):
    """One frame as read. `end` is the offset behind it."""

    epoch: int
    sequence: int
    durable: int
    kind: int
    payload: bytes
    end: int


def encode_frame(epoch: int, sequence: int, durable: int, kind: int, payload: bytes) -> bytes:
    """The bytes of a frame."""
    checked = _CHECKED.pack(epoch, sequence, durable, len(payload), kind)
    crc = zlib.crc32(b"\n", zlib.crc32(payload, zlib.crc32(checked)))
    return b"".join((_CRC.pack(MAGIC, crc), checked, payload, b"\n"))


def decode_frame(data: bytes, offset: int = 0) -> Frame | None:
    """The frame at the offset; None where there is no whole one."""
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
    """How long the frame is that begins with these bytes; 0 where none does."""
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        return 0
    length: int = _HEADER.unpack_from(header)[5]
    return OVERHEAD_BYTES + length


def whole_frames(data: bytes, offset: int = 0) -> Iterator[Frame]:
    """Every whole frame that lies anywhere behind the offset, whatever lies between."""
    offset = data.find(MAGIC, offset)
    while offset >= 0:
        frame = decode_frame(data, offset)
        if frame:
            yield frame
        offset = data.find(MAGIC, frame.end if frame else offset + 1)


def run_of_frames(
    data: bytes, epoch: int | None, sequence: int, offset: int = 0
) -> Iterator[Frame]:
    """The unbroken run of frames from the offset on, the first having this sequence number.

    Without an epoch, the first frame's is that of all.
    """
    while (frame := decode_frame(data, offset)) is not None:
        epoch = frame.epoch if epoch is None else epoch
        if frame.epoch != epoch or frame.sequence != sequence:
            return
        yield frame
        sequence, offset = sequence + 1, frame.end
