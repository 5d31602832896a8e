"""A disk that fails while the store is opened: it is readable, and this process writes no more.

After a failed sync, another may succeed without having written anything. So a second try in the
same process would acknowledge what is not durable.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from docstore import DocumentStore, Transaction, Unavailable
from docstore.backends.files.backend import FilesBackend
from docstore.disk.filesystem import FileSystem
from tests.docstore.layouts import ALICE_NOTES, LAYOUTS


class FailsOnce(FileSystem):
    """A file system on which one sync of a folder fails."""

    def __init__(self, number: int, error: int) -> None:
        self.left, self.error = number, error

    def sync_folder(self, step: str, path: Path) -> None:  # type: ignore[override]
        self.left -= 1
        if self.left == 0:
            raise OSError(self.error, os.strerror(self.error))
        super().sync_folder(step, path)


def opened(folder: Path, files: FileSystem | None = None) -> DocumentStore:
    return DocumentStore(FilesBackend(folder, LAYOUTS, files=files, background=False), LAYOUTS)


def touch(store: DocumentStore) -> None:
    def edit(transaction: Transaction) -> None:
        count = (transaction.document(ALICE_NOTES) or {}).get("count", 0)
        transaction.set(ALICE_NOTES, {"count": count + 1})

    store.change(edit)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = opened(tmp_path)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": [], "count": 1}))
    store.close()
    return tmp_path


@pytest.mark.parametrize("number", [1, 2, 3])
def test_after_a_failed_sync_this_process_does_not_write(folder: Path, number: int) -> None:
    store = opened(folder, FailsOnce(number, errno.EIO))
    for _ in range(3):
        with pytest.raises(Unavailable):
            touch(store)
        document = store.read(ALICE_NOTES)
        assert document is not None
        assert document.content["count"] == 1
    child = os.fork()
    if child == 0:  # another process may write
        try:
            touch(store)
            store.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    document = store.read(ALICE_NOTES)
    assert document is not None
    assert document.content["count"] == 2


def test_after_a_full_disk_it_does_as_soon_as_there_is_room(folder: Path) -> None:
    store = opened(folder, FailsOnce(1, errno.ENOSPC))
    touch(store)
    document = store.read(ALICE_NOTES)
    assert document is not None
    assert document.content["count"] == 2
