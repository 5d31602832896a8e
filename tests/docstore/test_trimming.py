"""The actor with most of the history loses their own oldest changes, and no other actor's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from docstore import DocumentStore, HistoryGone, Key, Transaction
from docstore.backends.files import FilesBackend
from docstore.publishing import History
from docstore.verify import verify
from tests.docstore.layouts import ALICE_NOTES, BOB_NOTES, LAYOUTS

HOUR = 3600


def opened(root: Path, share: float = 0.25, keep_seconds: float = 0.0) -> DocumentStore:
    history = History(bytes_max=40_000, share=share, keep_seconds=keep_seconds)
    backend = FilesBackend(root, LAYOUTS, background=False, segment_bytes=8192, history=history)
    return DocumentStore(backend, LAYOUTS)


def write(store: DocumentStore, key: Key, actor: str, size: int = 20) -> int:
    def edit(transaction: Transaction) -> None:
        if transaction.document(key) is None:
            transaction.create(key, {"notes": []})
        transaction.put(key, {"id": 1, "text": "x" * size})

    numbers: list[int] = []
    store.change(edit, actor=actor, note=numbers.append)
    return numbers[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def bobs(root: Path) -> Iterator[list[int]]:
    """Return the numbers of Bob's changes, among many large ones of Alice's."""
    with closing(opened(root, share=1.0, keep_seconds=HOUR)) as store:
        numbers = []
        for _ in range(10):
            numbers.append(write(store, BOB_NOTES, "bob"))
            for _ in range(5):
                write(store, ALICE_NOTES, "alice", size=1_000)
        yield numbers


def age(root: Path, seconds: float) -> None:
    """Make all segments older."""
    for path in root.glob(".neuralflow/journal/*.journal"):
        status = path.stat()
        os.utime(path, (status.st_atime - seconds, status.st_mtime - seconds))


def told(store: DocumentStore, key: Key, since: int = 0) -> list[int]:
    return [entry.sequence for entry in store.entries(since, lambda each: each == key).told]


def test_largest_actor_loses_oldest_changes_and_others_none(root: Path, bobs: list[int]) -> None:
    with closing(opened(root)) as store, closing(opened(root, share=1.0)) as other:
        assert told(other, BOB_NOTES, bobs[3]) == bobs[4:]  # the position is cached
        last = write(store, ALICE_NOTES, "alice", size=1_000)
        store.backend.checkpoint()  # type: ignore[attr-defined]
        for current in (store, other):
            assert told(current, BOB_NOTES) == bobs
            assert told(current, BOB_NOTES, bobs[3]) == bobs[4:]
            assert current.entry(bobs[0])
            with pytest.raises(HistoryGone):
                told(current, ALICE_NOTES)
            with pytest.raises(HistoryGone):
                current.entry(bobs[0] + 1)
            assert told(current, ALICE_NOTES, last - 1) == [last]
        size = sum(path.stat().st_size for path in root.glob(".neuralflow/journal/*.journal"))
        assert size < 50_000
    with closing(opened(root)) as store:
        write(store, BOB_NOTES, "bob")
        assert told(store, BOB_NOTES)[:-1] == bobs
        assert not list(verify(store.backend, LAYOUTS))


def test_changes_of_the_last_hour_are_kept_however_many(root: Path, bobs: list[int]) -> None:
    with closing(opened(root, keep_seconds=HOUR)) as store:
        write(store, BOB_NOTES, "bob")
        age(root, HOUR - 60)
        store.backend.checkpoint()  # type: ignore[attr-defined]
        assert len(told(store, ALICE_NOTES)) == 50
        age(root, 120)
        write(store, BOB_NOTES, "bob")
        store.backend.checkpoint()  # type: ignore[attr-defined]
        assert told(store, BOB_NOTES)[: len(bobs)] == bobs
        with pytest.raises(HistoryGone):
            told(store, ALICE_NOTES)
