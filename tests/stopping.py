"""A file system that stops: at one step everything ends, as if the process had been killed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from docstore.disk.filesystem import FileSystem, Status, Where

STEPS = (
    "make_folder",
    "create_all",
    "create_zeroed",
    "sync_folder",
    "sync_file",
    "link",
    "rename",
    "remove",
    "write_at",
    "sync_data",
)


class Killed(BaseException):
    """Nobody handles it, as nobody handles a kill."""


class StoppingFileSystem(FileSystem):
    """Does `steps` operations, then raises: `Killed`, or the `OSError` with this number."""

    def __init__(self, steps: int, error: int = 0) -> None:
        super().__init__()
        self.left, self.error = steps, error

    def count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(self.error, os.strerror(self.error)) if self.error else Killed

    def create(self, step: str, path: Where, data: bytes, mtime_ns: int | None = None) -> Status:
        if self.left == 0:
            Path(path).write_bytes(data[: len(data) // 2])  # as far as it got
        self.count()
        return super().create(step, path, data, mtime_ns)


def _counted(name: str) -> Callable[..., object]:
    def operation(self: StoppingFileSystem, step: str, *arguments: object) -> object:
        self.count()
        return getattr(FileSystem, name)(self, step, *arguments)

    return operation


for _name in STEPS:
    setattr(StoppingFileSystem, _name, _counted(_name))
