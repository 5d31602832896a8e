"""Journal files that are deleted, moved or replaced under a running server.

No write to a file without a name is acknowledged, and what memory has is written again.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from docstore import DocumentStore, Transaction, Unavailable
from docstore.backends.files.backend import FilesBackend
from docstore.disk.filesystem import FileSystem
from tests.docstore.layouts import ALICE_NOTES, BOB_NOTES, LAYOUTS


def opened(folder: Path, files: FileSystem | None = None) -> DocumentStore:
    backend = FilesBackend(folder, LAYOUTS, files=files, background=False, lock_timeout=5)
    return DocumentStore(backend, LAYOUTS)


def add(store: DocumentStore) -> int:
    def edit(transaction: Transaction) -> int:
        note = transaction.new_id(ALICE_NOTES)
        transaction.put(ALICE_NOTES, {"id": note})
        return note

    return store.change(edit)


def ids(store: DocumentStore) -> list[int]:
    document = store.read(ALICE_NOTES)
    return [note["id"] for note in document.content["notes"]] if document else []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def stores(folder: Path) -> Iterator[list[DocumentStore]]:
    """Yield two processes' stores of one folder; one document is not in a file yet."""
    stores = [opened(folder) for _ in range(2)]
    stores[0].change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    stores[0].publish()
    stores[1].change(lambda transaction: transaction.create(BOB_NOTES, {"notes": []}))
    yield stores
    for store in stores:
        store.close()


def segment(folder: Path) -> Path:
    return max((folder / ".neuralflow/journal").glob("*.journal"))


TAKEN: dict[str, Callable[[Path], Path]] = {
    "the shared page": lambda folder: folder / ".neuralflow/journal/state",
    "the segment": segment,
    "the journal": lambda folder: folder / ".neuralflow/journal",
    "the work folder": lambda folder: folder / ".neuralflow",
    "the lock": lambda folder: folder / ".neuralflow/lock",
    "the lock of publishing": lambda folder: folder / ".neuralflow/publishing",
    "the lock of opening": lambda folder: folder / ".neuralflow/opening",
    "the membership": lambda folder: folder / ".neuralflow/in-use",
}


def delete(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}.moved"))


def replace(path: Path) -> None:
    """Replace a file or folder by a copy, as in a manual restore."""
    copy = path.with_name(f"{path.name}.copy")
    (shutil.copytree if path.is_dir() else shutil.copy2)(path, copy)
    delete(path)
    copy.rename(path)


def judge(folder: Path, stores: list[DocumentStore], acknowledged: list[int]) -> None:
    """Check that the next write works and everything acknowledged is there for all processes.

    Each process may be refused once, when it has written and detects the change.
    """
    refused = 0
    for store in stores:
        try:
            acknowledged.append(add(store))
        except Unavailable as fault:
            assert "read whether the change happened" in str(fault)
            refused += 1
    acknowledged += [add(store) for store in stores * 2]
    fresh = opened(folder)
    views = [ids(store) for store in (*stores, fresh)]
    assert views == [views[0]] * 3
    assert set(acknowledged) <= set(views[0]) and len(set(acknowledged)) == len(acknowledged)
    assert len(views[0]) <= len(acknowledged) + refused
    assert fresh.read(BOB_NOTES) is not None
    fresh.close()
    assert not list((folder / "notes").glob("*.set-aside-*"))


@pytest.mark.parametrize("how", [delete, move, replace])
@pytest.mark.parametrize("what", TAKEN)
def test_journal_taken_away_loses_no_acknowledged_write(
    folder: Path, stores: list[DocumentStore], what: str, how: Callable[[Path], None]
) -> None:
    acknowledged = [add(store) for store in stores * 2]
    how(TAKEN[what](folder))
    judge(folder, stores, acknowledged)


class TakenDuringSync(FileSystem):
    """A file system on which the journal is removed during a sync."""

    def __init__(self) -> None:
        self.take: Callable[[], None] | None = None

    def sync_data(self, step: str, handle: int) -> None:
        super().sync_data(step, handle)
        take, self.take = self.take, None
        if take:
            take()


@pytest.mark.parametrize("what", ["the shared page", "the segment", "the journal"])
def test_write_synced_into_a_deleted_journal_is_not_acknowledged(folder: Path, what: str) -> None:
    disk = TakenDuringSync()
    store = opened(folder, disk)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    acknowledged = [add(store)]
    disk.take = lambda: delete(TAKEN[what](folder))
    with pytest.raises(Unavailable, match="deleted, moved or replaced"):
        add(store)
    acknowledged.append(add(store))
    fresh = opened(folder)
    assert set(acknowledged) <= set(ids(fresh))
    assert ids(store) == ids(fresh)
    fresh.close()


def test_missing_data_folder_refuses_writes_until_it_is_back(
    folder: Path, stores: list[DocumentStore]
) -> None:
    acknowledged = [add(store) for store in stores]
    folder.rename(folder.with_name("elsewhere"))
    for store in stores * 2:
        with pytest.raises(Unavailable):
            add(store)
    assert not folder.exists()
    folder.with_name("elsewhere").rename(folder)
    acknowledged += [add(store) for store in stores]
    assert ids(stores[0]) == ids(stores[1]) == acknowledged == [1, 2, 3, 4]


def test_acknowledged_write_of_many_threads_survives_repeated_deletion(folder: Path) -> None:
    store = opened(folder)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    acknowledged: list[int] = []

    def work() -> None:
        for _ in range(40):
            try:
                acknowledged.append(add(store))
            except Unavailable:
                continue

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    taken = list(TAKEN.values())
    for number in range(24):
        try:
            delete(taken[number % len(taken)](folder))
        except (OSError, ValueError):  # it is being written again
            continue
    for thread in threads:
        thread.join()
    fresh = opened(folder)
    assert set(acknowledged) <= set(ids(fresh))
    assert len(set(acknowledged)) == len(acknowledged) > 0
    fresh.close()
    store.close()
