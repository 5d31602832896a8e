"""Shared numbers on file systems that copy a block on write.

A store instruction writes to memory that is mapped to a file. If the file system then needs a new
block and the disk is full, its only answer is the signal SIGBUS, which kills the process. So here a
system call, which can fail, writes a number, and mapped memory is only read. The file is marked so
that its blocks are written in place where that is possible (btrfs): then such a write also succeeds
on a full disk.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import sys
from contextlib import suppress
from typing import Final

from docstore.disk.descriptors import low_numbers_taken
from docstore.errors import from_os_error

COPY_ON_WRITE: Final = frozenset({"btrfs", "bcachefs", "zfs", "overlay", "nilfs2"})
_NUMBER_BYTES: Final = 8
_GET_FLAGS: Final = 0x80086601
_SET_FLAGS: Final = 0x40086602
_NO_COPY: Final = 0x0080_0000


def write_in_place(descriptor: int) -> None:
    """Ask the file system not to copy blocks of this empty file, if it supports that (NOCOW)."""
    with suppress(OSError):
        answer = fcntl.ioctl(descriptor, _GET_FLAGS, struct.pack("l", 0))
        flags = struct.unpack("l", answer)[0] | _NO_COPY
        fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("l", flags))


class WrittenWords:
    """A file's first `count` 64-bit numbers: read from memory, written by a system call.

    Writing raises `Unavailable`, and `OutOfSpace` on a full disk. The object owns the descriptor.
    """

    def __init__(self, descriptor: int, count: int) -> None:
        self._descriptor, self._count = descriptor, count
        size = count * _NUMBER_BYTES
        with low_numbers_taken():  # the mapping duplicates the descriptor
            mapped = mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)
        self._numbers = memoryview(mapped).cast("Q")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> int:
        numbers = self._numbers
        number = numbers[index]
        while (again := numbers[index]) != number:  # it is being written
            number = again
        return number

    def __setitem__(self, index: int, number: int) -> None:
        offset = index % self._count * _NUMBER_BYTES
        try:
            os.pwrite(self._descriptor, number.to_bytes(_NUMBER_BYTES, sys.byteorder), offset)
        except OSError as error:
            raise from_os_error(error, "cannot write what processes share") from error

    def tolist(self) -> list[int]:
        """Return a copy of the numbers."""
        return [self[index] for index in range(self._count)]

    def __del__(self) -> None:
        descriptor, self._descriptor = getattr(self, "_descriptor", -1), -1
        if descriptor >= 0:
            os.close(descriptor)


Words = memoryview | WrittenWords | list[int]
