"""The store's files have high descriptor numbers, out of reach of numbers that libraries retain."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from docstore import DocumentStore, open_store, take_snapshot
from docstore.disk.descriptors import FLOOR
from tests.docstore.layouts import ALICE_NOTES, LAYOUTS
from tests.server import PROJECT

_WITH_FEW_NUMBERS = """
import os, resource, sys
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
from docstore import Key, open_store
from tests.docstore.layouts import LAYOUTS
store = open_store(sys.argv[1], LAYOUTS.values())
taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(limit // 4)]
for owner in range(1, 6):
    store.change(lambda change: change.create(Key("notes", owner), {"notes": []}))
store.close()
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DocumentStore]:
    store = open_store((tmp_path / "data").as_uri(), LAYOUTS.values())
    yield store
    store.close()


def use(store: DocumentStore, folder: Path) -> None:
    """Run operations that open files of every kind."""
    store.change(lambda change: change.create(ALICE_NOTES, {"notes": []}))
    for _ in range(3):
        store.change(lambda change: change.put(ALICE_NOTES, {"id": change.new_id(ALICE_NOTES)}))
    take_snapshot(store, folder / "backups")


def at_each_sync(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    for name in ("fsync", "fdatasync"):
        sync = getattr(os, name)

        def acting(descriptor: int, sync: Callable[[int], None] = sync) -> None:
            act()
            sync(descriptor)

        monkeypatch.setattr(os, name, acting)


def test_no_file_of_the_store_has_a_low_number(
    store: DocumentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers: dict[str, int] = {}

    def look() -> None:
        for link in Path("/proc/self/fd").iterdir():
            try:
                target = link.readlink()
            except FileNotFoundError:
                continue  # closed by another thread
            if target.is_relative_to(tmp_path):
                name = str(target.relative_to(tmp_path))
                numbers[name] = min(int(link.name), numbers.get(name, 10**9))

    at_each_sync(monkeypatch, look)
    use(store, tmp_path)

    assert {name: number for name, number in numbers.items() if number < FLOOR} == {}
    for kind in (r"notes/\.notes_1.*draft", r"\d{16}\.journal", r"/lock$", r"in-use$", r"/syncing"):
        assert any(re.search(kind, name) for name in numbers), (kind, numbers)


def test_byte_written_to_a_closed_number_meets_no_document(
    store: DocumentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readable, stale = os.pipe()  # as a library does when it closes its pipe
    os.close(stale)
    os.close(readable)

    def write() -> None:
        try:
            os.write(stale, b"\0")
        except OSError:
            return

    at_each_sync(monkeypatch, write)
    use(store, tmp_path)
    store.close()

    written = [path for path in (tmp_path / "data").rglob("*_1.json") if path.is_file()]
    assert [path.read_bytes()[:1] for path in written] == [b"{"]


@pytest.mark.parametrize("limit", [40, 64])
def test_store_works_where_few_files_may_be_open(tmp_path: Path, limit: int) -> None:
    uri = (tmp_path / "data").as_uri()
    subprocess.run(
        [sys.executable, "-c", _WITH_FEW_NUMBERS, uri, str(limit)], cwd=PROJECT, check=True
    )
    assert len(list((tmp_path / "data" / "notes").glob("notes_*.json"))) == 5
