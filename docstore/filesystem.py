"""The file operations whose order matters, each named by its step.

The files backend does all its changes through this object, so that a test can stop, fail or
record exactly one of them. Reading needs no steps: it changes nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700


class FileSystem:
    """The real one. Each method raises `OSError` as the system does."""

    def make_folder(self, step: str, path: Path) -> None:
        """Creates a folder and every missing one above it, each made durable in its parent."""
        if path.is_dir():
            return
        self.make_folder(step, path.parent)
        path.mkdir(PRIVATE_FOLDER, exist_ok=True)
        self.sync_folder(step, path.parent)

    def create(self, step: str, path: Path, data: bytes, mtime_ns: int | None = None) -> None:
        """Writes a new file and makes its content durable. Its name is not durable yet."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, PRIVATE_FILE)
        try:
            rest = memoryview(data)
            while rest:  # a short write is the first sign of a full disk
                rest = rest[os.write(descriptor, rest) :]
            if mtime_ns is not None:
                os.utime(descriptor, ns=(mtime_ns, mtime_ns))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_folder(self, step: str, path: Path) -> None:
        """Makes the names in a folder durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def link(self, step: str, source: Path, target: Path) -> None:
        """Gives a file a second name, which must be free."""
        target.hardlink_to(source)

    def rename(self, step: str, source: Path, target: Path) -> None:
        """Gives a file its name, replacing what had it, in one indivisible step."""
        source.replace(target)

    def remove(self, step: str, path: Path) -> None:
        """Takes a name away; a name that is not there is no fault."""
        path.unlink(missing_ok=True)
