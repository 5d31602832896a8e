"""High descriptor numbers for the files of the store.

A library that closes a descriptor and retains its number may later write to another file that the
system opens under that number. The system assigns the lowest free number, so the files of the store
are moved above the range in use: a stale number then cannot reach them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

FLOOR_MAX: Final = 256
_NO_NUMBER_LEFT: Final = {errno.EINVAL, errno.EMFILE}  # above the limit; all in use


def _floor() -> int:
    """Return the lowest number for files of the store: at most half of the limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return FLOOR_MAX if soft == resource.RLIM_INFINITY else min(FLOOR_MAX, soft // 2)


FLOOR: Final = _floor()


def move_up(descriptor: int) -> int:
    """Move an open file to a high number and return that; close-on-exec is set.

    Returns the descriptor unchanged if it is high already or no high number is free: a process near
    its limit continues without this protection.
    """
    if descriptor >= FLOOR:
        return descriptor
    try:
        high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FLOOR)
    except OSError as error:
        if error.errno in _NO_NUMBER_LEFT:
            return descriptor
        os.close(descriptor)
        raise
    os.close(descriptor)
    return high


def open_high(path: str | os.PathLike[str], flags: int, mode: int = 0o777) -> int:
    """Open a file on a high descriptor that child programs do not inherit.

    Usable as an `opener`.
    """
    return move_up(os.open(path, flags | os.O_CLOEXEC, mode))


@contextmanager
def low_numbers_taken() -> Iterator[None]:
    """Occupy all low numbers during the block, for a call that duplicates a descriptor itself."""
    taken = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)]
    try:
        with suppress(OSError):  # none is left
            while taken[-1] < FLOOR:
                taken.append(os.dup(taken[0]))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
