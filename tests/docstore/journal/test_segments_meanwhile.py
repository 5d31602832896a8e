"""Segments that another process begins, trims or retires between two steps of this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from docstore import DocumentStore, Key
from docstore.backends.files.backend import FilesBackend
from docstore.backends.files.publisher import History
from docstore.disk.filesystem import FileSystem, Where
from tests.docstore.layouts import ALICE_NOTES, LAYOUTS

SEGMENT_BYTES = 4096
NO_HISTORY = History(bytes_max=0)


class Hook(FileSystem):
    """A file system that runs `work` before or after the listing of segments number `at`."""

    def __init__(self, at: int, work: Callable[[], None], *, before: bool = False) -> None:
        self._left, self._work, self._before = at, work, before

    def names(self, folder: Where) -> list[str]:
        if Path(folder).name != "journal":
            return super().names(folder)
        self._left -= 1
        if self._before and not self._left:
            self._work()
        names = super().names(folder)
        if not self._before and not self._left:
            self._work()
        return names


def backend_of(folder: Path, files: FileSystem | None = None) -> FilesBackend:
    return FilesBackend(
        folder,
        LAYOUTS,
        files=files,
        background=False,
        history=NO_HISTORY,
        segment_bytes=SEGMENT_BYTES,
    )


def create(store: DocumentStore, key: Key = ALICE_NOTES) -> None:
    store.change(lambda transaction: transaction.create(key, {"notes": []}))


def add(store: DocumentStore) -> int:
    """Add a note and return its id."""
    note = store.change(lambda transaction: transaction.new_id(ALICE_NOTES))
    store.change(lambda transaction: transaction.put(ALICE_NOTES, {"id": note}))
    return note


def ids(store: DocumentStore) -> list[int]:
    document = store.read(ALICE_NOTES)
    return [note["id"] for note in document.content["notes"]] if document else []


@pytest.fixture
def other(tmp_path: Path) -> Iterator[DocumentStore]:
    """Yield the store of another process, which has the folder open and wrote nothing yet."""
    store = DocumentStore(backend_of(tmp_path), LAYOUTS)
    yield store
    store.close()


def replace_segments(store: DocumentStore) -> None:
    """Begin segments until there are several, then retire all but the last."""
    journal = store.backend._journal  # type: ignore[attr-defined]
    first = journal.segments.numbers()[-1]
    while len(journal.segments.numbers()) < 4:
        add(store)
    store.backend.checkpoint()  # type: ignore[attr-defined]
    assert first not in journal.segments.numbers()


@pytest.mark.parametrize("listing", [1, 2])
def test_process_that_opens_while_the_first_segment_begins_reads_it(
    tmp_path: Path, other: DocumentStore, listing: int
) -> None:
    files = Hook(listing, lambda: create(other))
    store = DocumentStore(backend_of(tmp_path, files), LAYOUTS)
    assert store.read(ALICE_NOTES) is not None
    notes = [add(other), add(store), add(other)]
    assert ids(store) == ids(other) == notes
    store.close()
    other.close()
    assert ids(DocumentStore(backend_of(tmp_path), LAYOUTS)) == notes


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("listing", [1, 2])
def test_process_that_opens_while_segments_are_retired_reads_the_rest(
    tmp_path: Path, other: DocumentStore, listing: int, before: bool
) -> None:
    create(other)
    files = Hook(listing, lambda: replace_segments(other), before=before)
    store = DocumentStore(backend_of(tmp_path, files), LAYOUTS)
    assert ids(store) == ids(other) != []
    notes = [*ids(other), add(store), add(other)]
    assert ids(store) == ids(other) == notes
    store.close()
    other.close()
    assert ids(DocumentStore(backend_of(tmp_path), LAYOUTS)) == notes
