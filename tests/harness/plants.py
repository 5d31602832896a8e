"""Bugs that break system guarantees below the engine, to check that a harness finds losses."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from docstore.disk.filesystem import FileSystem


def no_sync() -> None:
    """Make every sync do nothing."""
    os.fsync = os.fdatasync = lambda descriptor: None


def swallowed_sync_errors() -> None:
    """Make a failed sync look successful."""
    fsync, fdatasync = os.fsync, os.fdatasync

    def swallowing_fsync(descriptor: int) -> None:
        with suppress(OSError):
            fsync(descriptor)

    def swallowing_fdatasync(descriptor: int) -> None:
        with suppress(OSError):
            fdatasync(descriptor)

    os.fsync, os.fdatasync = swallowing_fsync, swallowing_fdatasync


def no_write_loop() -> None:
    """Make a short write report that it wrote everything."""
    write, pwrite = os.write, os.pwrite

    def lying_write(descriptor: int, data: bytes) -> int:
        write(descriptor, data)
        return len(data)

    def lying_pwrite(descriptor: int, data: bytes, offset: int) -> int:
        pwrite(descriptor, data, offset)
        return len(data)

    os.write, os.pwrite = lying_write, lying_pwrite


def no_lock() -> None:
    """Let all processes hold every lock at once, unnoticed by the check at opening."""
    fcntl.flock = lambda descriptor, operation: None
    FileSystem.lock_excludes = lambda files, path: True  # type: ignore[method-assign]
