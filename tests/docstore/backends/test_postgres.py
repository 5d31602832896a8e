"""The PostgreSQL backend: the port's contract, and what applies to a database only."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial

import pytest

from docstore import DocumentStore, Transaction, id_of
from docstore.backends.memory import MemoryBackend
from docstore.backends.postgres import PostgresBackend
from tests.docstore.backends.conformance import NOW, BackendConformance
from tests.docstore.layouts import ALICE, ALICE_NOTES, LAYOUTS


@pytest.fixture
def backend(postgres_url: str) -> Iterator[PostgresBackend]:
    backend = PostgresBackend(postgres_url, LAYOUTS)
    yield backend
    backend.close()


class TestPostgresBackend(BackendConformance):
    @pytest.fixture
    def backend(self, postgres_url: str) -> Iterator[PostgresBackend]:
        backend = PostgresBackend(postgres_url, LAYOUTS)
        yield backend
        backend.close()


@pytest.fixture
def other(postgres_url: str, backend: PostgresBackend) -> Iterator[PostgresBackend]:
    """Yield another server's backend on the same store."""
    other = PostgresBackend(postgres_url, LAYOUTS)
    yield other
    other.close()


def _random_edit(chance: random.Random, transaction: Transaction) -> None:
    """Do one to four of everything that an edit can do to the two documents of Alice."""
    for key in (ALICE_NOTES, ALICE):
        if transaction.document(key) is None:
            transaction.create(key, {LAYOUTS[key.collection].records: [], "n": 0})
    for _ in range(chance.randint(1, 4)):
        ids = [id_of(item) for item in transaction.records(ALICE_NOTES) if id_of(item)]
        length = len(transaction.records(ALICE))
        kind = chance.randrange(9)
        if kind <= 2 or not ids:
            new = {
                "id": transaction.new_id(ALICE_NOTES),
                "text": "ü\u2028\0" * chance.randint(0, 9),
            }
            transaction.put(ALICE_NOTES, new)
        elif kind == 3:
            transaction.put(ALICE_NOTES, {"id": chance.choice(ids), "n": chance.random()})
        elif kind == 4:
            transaction.remove(ALICE_NOTES, chance.choice(ids))
        elif kind == 5:
            transaction.append(ALICE, {"at": chance.randrange(2**60)})
            transaction.append(ALICE, ["no", None, 1.5, 10**20])
        elif kind == 6:
            transaction.cut(ALICE, chance.randint(0, length))
        elif kind == 7:
            transaction.set(chance.choice((ALICE, ALICE_NOTES)), {"n": chance.random()})
        elif chance.random() < 0.2:
            transaction.drop(chance.choice((ALICE, ALICE_NOTES)))
            return
        elif chance.random() < 0.3:
            transaction.set(ALICE_NOTES, {"notes": [{"id": 3}, {"id": 9, "x": 1}, {"no": "id"}]})
            return


@pytest.mark.parametrize("seed", range(4))
def test_random_edits_read_as_in_memory_on_every_server(
    backend: PostgresBackend, other: PostgresBackend, seed: int
) -> None:
    chance = random.Random(seed)
    clock = lambda: NOW  # noqa: E731
    memory = DocumentStore(MemoryBackend(LAYOUTS), LAYOUTS, clock)
    stores = [DocumentStore(one, LAYOUTS, clock) for one in (backend, other)]
    for step in range(120):
        edit_seed = chance.random()
        for store in (memory, chance.choice(stores)):
            edit = partial(_random_edit, random.Random(edit_seed))
            store.change(edit)
        if step == 60:
            number = backend.sequence()
            backend._connections.run(lambda c: backend._partitions.purge(c, number))  # noqa: B023
        for key in (ALICE_NOTES, ALICE):
            if chance.random() < 0.5:
                reader = chance.choice((backend, other))
                assert reader.raw(key) == memory.backend.raw(key), (step, key)
    for key in (ALICE_NOTES, ALICE):
        fresh = backend.raw(key)
        backend._cache.clear()
        assert fresh == backend.raw(key) == other.raw(key) == memory.backend.raw(key)
