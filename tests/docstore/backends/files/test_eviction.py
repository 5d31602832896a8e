"""The cache of parsed documents: its cost follows its size, without a cliff at the limit."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from docstore import DocumentStore, Key
from docstore.backends.files.backend import FilesBackend
from docstore.disk.filesystem import FileSystem, Status, Where
from tests.docstore.layouts import LAYOUTS

CACHE_BYTES = 16 * 1024
LARGE, SMALL = 24 * 1024, 1024


class Parses(FileSystem):
    """A file system that counts the reads of each document's file, one for each parse."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: Counter[str] = Counter()

    def read(self, path: Where) -> tuple[bytes, Status]:
        self.reads[Path(path).name] += 1
        return super().read(path)

    def of(self, *owners: int) -> list[int]:
        return [self.reads[f"notes_{owner}.json"] for owner in owners]


class Folder:
    """A folder of documents written long ago, and a backend with a small cache."""

    def __init__(self, root: Path) -> None:
        self.root, self.files = root, Parses()
        (root / "notes").mkdir()

    def write(self, size: int, *owners: int) -> None:
        note = {"id": 1, "text": "x" * size}
        content = json.dumps({"notes": [note], "last_id": 1, "revision": 1}).encode()
        for owner in owners:
            path = self.root / "notes" / f"notes_{owner}.json"
            path.write_bytes(content)
            os.utime(path, (1_700_000_000, 1_700_000_000))

    def open(self, cache_bytes: int = CACHE_BYTES) -> FilesBackend:
        self.backend = FilesBackend(
            self.root, LAYOUTS, files=self.files, background=False, cache_bytes=cache_bytes
        )
        return self.backend

    def read(self, *owners: int, times: int = 1) -> None:
        for owner in owners * times:
            assert self.backend.read(Key("notes", owner)).document is not None


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path)
    yield folder
    folder.backend.close()


def test_document_larger_than_the_cache_is_parsed_once(folder: Folder) -> None:
    folder.write(LARGE, 1)
    folder.open()
    folder.read(1, times=10)
    assert folder.files.of(1) == [1]


def test_document_larger_than_the_cache_leaves_room_for_others(folder: Folder) -> None:
    folder.write(LARGE, 1)
    folder.write(SMALL, 2, 3, 4, 5)
    folder.open()
    folder.read(1, 2, 3, 4, 5, times=10)
    assert folder.files.of(1, 2, 3, 4, 5) == [1, 1, 1, 1, 1]


def test_documents_larger_than_the_cache_used_in_turn_are_parsed_once(folder: Folder) -> None:
    folder.write(LARGE, 1, 2)
    folder.open()
    folder.read(1, 2, times=10)
    assert folder.files.of(1, 2) == [1, 1]


def test_document_that_grows_over_the_limit_by_writes_is_not_parsed_again(folder: Folder) -> None:
    folder.write(LARGE, 1)
    folder.write(SMALL, 2)
    backend = folder.open()
    store = DocumentStore(backend, LAYOUTS)
    for number in range(2, 6):
        store.change(lambda t, n=number: t.put(Key("notes", 1), {"id": n}))  # type: ignore[misc]
        backend.publish()
        folder.read(1, 2)
    assert folder.files.of(1, 2) == [1, 1]
    assert len(store.records(Key("notes", 1))) == 5


def test_document_in_use_outlives_a_walk_over_all_others(folder: Folder) -> None:
    folder.write(SMALL, *range(1, 101))
    folder.open()
    for owner in range(2, 101):
        folder.read(1, owner)
    assert folder.files.of(1) == [1]
    assert max(folder.files.reads.values()) == 1


def test_documents_not_used_make_room_for_new_ones(folder: Folder) -> None:
    folder.write(SMALL, *range(1, 101))
    folder.open()
    folder.read(*range(1, 101))
    folder.read(*range(100, 87, -1))  # thirteen of 1.1 KB are within 16 KB
    assert folder.files.of(*range(88, 101)) == [1] * 13
    folder.read(1)
    assert folder.files.of(1) == [2]


def test_cache_of_no_bytes_caches_nothing(folder: Folder) -> None:
    folder.write(SMALL, 1)
    folder.open(cache_bytes=0)
    folder.read(1, times=3)
    assert folder.files.of(1) == [3]


@pytest.mark.parametrize("are_pending", [False, True], ids=["published", "pending"])
def test_cold_read_costs_the_same_however_many_documents_are_cached(
    folder: Folder, are_pending: bool
) -> None:
    """Measured in memory: a copy of the list of 1,000 documents takes 8 KB."""
    folder.write(100, *range(1, 1_101))
    size = (folder.root / "notes" / "notes_1.json").stat().st_size
    store = DocumentStore(folder.open(cache_bytes=1_000 * size), LAYOUTS)

    def peak(*owners: int) -> int:
        highest = 0
        for owner in owners:
            tracemalloc.start()
            folder.read(owner)
            highest = max(highest, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        return highest

    few = peak(*range(1, 11))
    if are_pending:
        store.change(
            lambda t: [t.put(Key("notes", owner), {"id": 2}) for owner in range(11, 1_001)]
        )
    folder.read(*range(11, 1_001))
    many = peak(*range(1_001, 1_101))
    assert max(folder.files.reads.values()) == 1
    assert many < few + 2_048


def test_cache_is_emptied_while_others_read_from_it(folder: Folder) -> None:
    """Four threads read the same documents while each cold read removes one from the cache."""
    folder.write(SMALL, *range(1, 41))
    folder.open()
    faults: list[BaseException] = []

    def read_all() -> None:
        try:
            folder.read(*range(1, 41), times=25)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
