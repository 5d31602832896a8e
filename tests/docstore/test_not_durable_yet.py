"""While a change is written and not durable, another process reads the state before it."""

from __future__ import annotations

import pytest

from docstore.store import DocumentStore, Transaction
from tests.harness.power_cut import KEYS, Trial, path_of
from tests.harness.simulated_disk import Disk

KEY = KEYS[0]


@pytest.fixture
def stores() -> tuple[DocumentStore, DocumentStore]:
    trial = Trial(1)
    return trial._store(trial.disk), trial._store(trial.disk)


def create(store: DocumentStore, n: int) -> None:
    store.change(lambda transaction: transaction.create(KEY, {"n": n}))


def begin_anew(transaction: Transaction) -> None:
    transaction.drop(KEY)
    transaction.create(KEY, {"n": 2})


def read(store: DocumentStore) -> object:
    document = store.read(KEY)
    return document and document.content["n"]


def test_a_document_deleted_and_begun_anew(stores: tuple[DocumentStore, DocumentStore]) -> None:
    writer, reader = stores
    create(writer, 1)
    writer.close()
    with writer.backend.exclusive():
        writer.change(begin_anew)
        assert read(reader) == 1
    assert read(reader) == 2


def test_a_document_begun_where_a_file_was_taken_away(
    stores: tuple[DocumentStore, DocumentStore],
) -> None:
    writer, reader = stores
    create(writer, 1)
    assert read(reader) == 1
    writer.backend.checkpoint()  # type: ignore[attr-defined]
    assert read(reader) == 1
    disk: Disk = writer.backend._folder.files.disk  # type: ignore[attr-defined]
    disk.unlink(path_of(KEY))
    with writer.backend.exclusive():
        create(writer, 2)
        assert read(reader) is None
    assert read(reader) == 2
