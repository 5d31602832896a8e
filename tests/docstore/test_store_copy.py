"""A store is copied from files to PostgreSQL and back, with its history, while it is written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from docstore import DocumentStore, Entry, HistoryGone, Key, Transaction, Unavailable
from docstore.factory import open_loader, open_source
from docstore.store_copy import Copied, Source, copy_store, root_hash, store_digests
from tests.docstore.backends.conformance import NOW
from tests.docstore.layouts import ALICE, ALICE_NOTES, LAYOUTS


@contextmanager
def opened(url: str) -> Iterator[DocumentStore]:
    backend = open_source(url, LAYOUTS)
    yield DocumentStore(backend, LAYOUTS, lambda: NOW)
    backend.close()


def copy(source_url: str, target_url: str) -> Copied:
    source = open_source(source_url, LAYOUTS)
    loader = open_loader(target_url, LAYOUTS)
    try:
        return copy_store(source, loader, LAYOUTS)
    finally:
        loader.close()
        source.close()


def write(store: DocumentStore, first: int, count: int = 20) -> None:
    """Change several documents of each kind: create, change, remove, cut and delete."""
    for owner in range(first, first + count):
        notes, person = Key("notes", owner), Key("people", owner)

        def begin(transaction: Transaction, notes: Key = notes, person: Key = person) -> None:
            records = [{"id": n, "text": f"größer\n{n}", "x": 1.5e300} for n in range(1, 9)]
            transaction.create(
                notes, {"before": None, "notes": records, "after": [1, {"a": 10**30}]}
            )
            transaction.create(person, {"log": [], "name": "ü"})

        def edit(transaction: Transaction, notes: Key = notes, person: Key = person) -> None:
            transaction.remove(notes, 3)
            transaction.put(notes, {"id": 5, "text": "changed"})
            for n in range(4):
                transaction.append(person, {"n": n})
            transaction.cut(person, 2)

        store.change(begin, actor=str(owner))
        store.change(edit, actor=str(owner), request_id=f"request {owner}")
        if owner % 5 == 0:
            store.change(lambda transaction, notes=notes: transaction.drop(notes))


def history(store: DocumentStore) -> list[Entry]:
    entries: list[Entry] = []
    through = 0
    while through < store.sequence():
        told, through = store.entries(through)
        entries += told
    return entries


def unnumbered(entries: list[Entry]) -> list[Entry]:
    return [entry._replace(sequence=0) for entry in entries]


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("[a-z]*/*.json")}


def test_copy_to_postgresql_and_back_is_identical(tmp_path: Path, postgres_url: str) -> None:
    first, second = (tmp_path / "first").as_uri(), (tmp_path / "second").as_uri()
    with opened(first) as store:
        write(store, 1)
        store.publish()
        entries, number = history(store), store.sequence()
    there = copy(first, postgres_url)
    assert (there.documents, there.written, there.entries) == (36, 36, len(entries))
    with opened(postgres_url) as store:
        assert history(store) == entries
        assert store.sequence() >= number, "clients of the feed go on from their number"
        assert store.entries(number).told == ()
        digests = store_digests(store.backend, LAYOUTS)
        assert root_hash(digests) == there.root_hash
    back = copy(postgres_url, second)
    assert back.root_hash == there.root_hash
    assert files_of(tmp_path / "second") == files_of(tmp_path / "first")
    with opened(second) as store:
        assert unnumbered(history(store)) == unnumbered(entries)
        assert list(store.backend.check()) == []
        write(store, 100, 1)
        assert len(history(store)) == len(entries) + 3
    assert files_of(tmp_path / "second").items() > files_of(tmp_path / "first").items()


def test_copied_store_goes_on_with_higher_numbers(tmp_path: Path, postgres_url: str) -> None:
    with opened(tmp_path.as_uri()) as store:
        write(store, 1, 3)
        last = store.sequence()
    copy(tmp_path.as_uri(), postgres_url)
    numbers: list[int] = []
    with opened(postgres_url) as store:
        store.change(lambda t: t.put(Key("notes", 1), {"id": 5, "n": 1}), note=numbers.append)
        assert numbers[0] > last
        assert [entry.sequence for entry in store.entries(last).told] == numbers
        with pytest.raises(HistoryGone):
            store.entries(numbers[0] + 1)


@pytest.mark.parametrize("to_files", [False, True])
def test_copy_is_continued_until_somebody_changes_it(
    tmp_path: Path, postgres_url: str, to_files: bool
) -> None:
    folder = (tmp_path / "data").as_uri()
    source, target = (postgres_url, folder) if to_files else (folder, postgres_url)
    with opened(source) as store:
        write(store, 1, 5)
    copy(source, target)
    with opened(source) as store:
        write(store, 10, 2)
        store.change(lambda transaction: transaction.drop(Key("people", 1)))
    again = copy(source, target)
    assert again.written == 3, "two people with notes each, of which one was deleted"
    with opened(source) as one, opened(target) as other:
        assert unnumbered(history(one)) == unnumbered(history(other))
        assert store_digests(one.backend, LAYOUTS) == store_digests(other.backend, LAYOUTS)
        other.change(lambda transaction: transaction.create(ALICE, {"log": []}))
    with pytest.raises(Unavailable, match="was changed since it was copied"):
        copy(source, target)


def test_target_with_other_documents_is_refused(tmp_path: Path, postgres_url: str) -> None:
    one, other = (tmp_path / "one").as_uri(), (tmp_path / "other").as_uri()
    for url in (one, other, postgres_url):
        with opened(url) as store:
            store.change(lambda transaction: transaction.create(ALICE, {"log": []}))
    for source, target in ((one, other), (one, postgres_url), (postgres_url, one)):
        with pytest.raises(Unavailable, match="is not empty"):
            copy(source, target)


def test_interrupted_copy_is_no_store_and_is_finished_later(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path.as_uri()) as store:
        write(store, 1, 8)
    source, loader = open_source(tmp_path.as_uri(), LAYOUTS), open_loader(postgres_url, LAYOUTS)
    load, loaded = loader.load, []

    def breaks(key: Key, *arguments: object) -> None:
        if len(loaded) == 5:
            raise KeyboardInterrupt
        loaded.append(key)
        load(key, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loader, "load", breaks)
    with pytest.raises(KeyboardInterrupt):
        copy_store(source, loader, LAYOUTS)
    loader.close()
    with pytest.raises(Unavailable, match="was not finished"), opened(postgres_url) as store:
        store.read(ALICE)
    rest = copy(tmp_path.as_uri(), postgres_url)
    assert rest.written == rest.documents - 5
    with opened(postgres_url) as store:
        assert root_hash(store_digests(store.backend, LAYOUTS)) == rest.root_hash


def test_copy_while_others_write_is_of_one_moment(tmp_path: Path, postgres_url: str) -> None:
    """The sum over two documents, which every commit leaves unchanged, is that of the copy, too."""
    with opened(tmp_path.as_uri()) as store:
        store.change(lambda transaction: _begin(transaction))
        write(store, 10, 10)
        stop = threading.Event()
        writer = threading.Thread(target=_transfer, args=(store, stop))
        writer.start()
        try:
            copied = copy(tmp_path.as_uri(), postgres_url)
        finally:
            stop.set()
            writer.join()
    with opened(postgres_url) as store:
        documents = [store.read(key) for key in (ALICE_NOTES, ALICE)]
        assert sum(document.content["sum"] for document in documents if document) == 100
        entries = history(store)
        document = documents[0]
        assert document is not None and document.revision == sum(
            change.key == ALICE_NOTES for entry in entries for change in entry.changes
        )
        assert len(entries) == copied.entries


def _begin(transaction: Transaction) -> None:
    transaction.create(ALICE_NOTES, {"notes": [], "sum": 50})
    transaction.create(ALICE, {"log": [], "sum": 50})


def _transfer(store: DocumentStore, stop: threading.Event) -> None:
    def edit(transaction: Transaction) -> None:
        for key, difference in ((ALICE_NOTES, 1), (ALICE, -1)):
            document = transaction.document(key)
            assert document is not None
            transaction.set(key, {"sum": document["sum"] + difference})

    while not stop.is_set():
        store.change(edit)


def test_copy_that_differs_is_refused(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path.as_uri()) as store:
        write(store, 1, 2)
    source: Source = open_source(tmp_path.as_uri(), LAYOUTS)
    loader = open_loader(postgres_url, LAYOUTS)
    load = loader.load
    monkeypatch.setattr(
        loader, "load", lambda key, document, number: key.owner == 1 or load(key, document, number)
    )
    with pytest.raises(Unavailable, match=r"the copy differs in 2 documents: notes/notes_1\.json"):
        copy_store(source, loader, LAYOUTS)
    loader.close()
    source.close()
