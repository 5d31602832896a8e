"""A failed sync of one process: no other acknowledges what it could not make durable."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from docstore import DocumentStore, Transaction, Unavailable
from docstore.backends.files.backend import FilesBackend
from docstore.disk.filesystem import FileSystem, Status, Where
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


class Dropping(FileSystem):
    """A file system that has lost all of the journal but its first bytes after the failed sync."""

    def __init__(self, left_bytes: int) -> None:
        self._left_bytes = left_bytes

    def read(self, path: Where) -> tuple[bytes, Status]:
        data, status = super().read(path)
        if str(path).endswith(".journal"):
            data = data[: self._left_bytes] + bytes(len(data) - self._left_bytes)
        return data, status


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


def test_change_that_waits_while_a_new_process_recovers_without_it_is_not_acknowledged(
    tmp_path: Path,
) -> None:
    failing, waiting = Failing(), Waiting()
    other, store = opened(tmp_path, failing), opened(tmp_path, waiting)
    other.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    (segment,) = (tmp_path / ".neuralflow/journal").glob("*.journal")
    used = len(segment.read_bytes().rstrip(b"\0"))

    def fail_and_recover() -> None:
        failing.is_broken = True
        with pytest.raises(Unavailable, match="writing stopped"):
            other.change(lambda transaction: transaction.set(ALICE_NOTES, {"by": "other"}))
        new = opened(tmp_path, Dropping(used))
        for number in range(5):
            new.change(partial(Transaction.set, key=ALICE_NOTES, fields={"by": f"{number}"}))

    waiting.syncing.before = fail_and_recover
    with pytest.raises(Unavailable, match="read whether"):
        store.change(lambda transaction: transaction.set(ALICE_NOTES, {"by": "store"}))
    document = store.read(ALICE_NOTES)
    assert document is not None and document.content["by"] == "4"
