"""Bugs that break the system's promises below the engine, to see a harness find losses."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from docstore.filesystem import FileSystem


def no_sync() -> None:
    """Nothing is ever made durable."""
    os.fsync = os.fdatasync = lambda descriptor: None


def swallowed_sync_errors() -> None:
    """A sync that failed looks like one that did not."""
    fsync, fdatasync = os.fsync, os.fdatasync

    def swallowing_fsync(descriptor: int) -> None:
        with suppress(OSError):
            fsync(descriptor)

    def swallowing_fdatasync(descriptor: int) -> None:
        with suppress(OSError):
            fdatasync(descriptor)

    os.fsync, os.fdatasync = swallowing_fsync, swallowing_fdatasync


def no_write_loop() -> None:
    """A write that did less than it was asked for says that it did all."""
    write, pwrite = os.write, os.pwrite

    def lying_write(descriptor: int, data: bytes) -> int:
        write(descriptor, data)
        return len(data)

    def lying_pwrite(descriptor: int, data: bytes, offset: int) -> int:
        pwrite(descriptor, data, offset)
        return len(data)

    os.write, os.pwrite = lying_write, lying_pwrite


def no_lock() -> None:
    """Everybody has every lock at once, and the store does not notice when it is opened."""
    fcntl.flock = lambda descriptor, operation: None
    FileSystem.excludes = lambda files, path: True  # type: ignore[method-assign]
