"""A failed sync of one process: no other acknowledges what it could not make durable."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from docstore import DocumentStore, Unavailable
from docstore.backends.files.backend import FilesBackend
from docstore.disk.filesystem import FileSystem
from docstore.disk.locks import FolderLock
from tests.docstore.layouts import ALICE_NOTES, LAYOUTS


class _Lock(FolderLock):
    before: Callable[[], None] | None = None

    def try_lock(self) -> bool:
        work, self.before = self.before, None
        if work:
            work()
        return super().try_lock()


class Waiting(FileSystem):
    """A file system that runs `work` when a thread is about to take the lock of the syncs."""

    def lock(self, path: Path, timeout: float) -> FolderLock:
        if path.name != "syncing":
            return super().lock(path, timeout)
        self.syncing = _Lock(path, timeout)
        return self.syncing


class Failing(FileSystem):
    is_broken = False

    def sync_data(self, step: str, handle: int) -> None:
        if self.is_broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync_data(step, handle)


def opened(folder: Path, files: FileSystem) -> DocumentStore:
    return DocumentStore(FilesBackend(folder, LAYOUTS, files=files, background=False), LAYOUTS)


def test_change_that_waits_while_another_process_fails_to_sync_is_not_acknowledged(
    tmp_path: Path,
) -> None:
    failing, waiting = Failing(), Waiting()
    other, store = opened(tmp_path, failing), opened(tmp_path, waiting)
    other.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))

    def fail() -> None:
        failing.is_broken = True
        with pytest.raises(Unavailable, match="writing stopped"):
            other.change(lambda transaction: transaction.set(ALICE_NOTES, {"by": "other"}))

    waiting.syncing.before = fail
    with pytest.raises(Unavailable, match="writing stopped"):
        store.change(lambda transaction: transaction.set(ALICE_NOTES, {"by": "store"}))
    assert waiting.syncing.before is None
