"""The PostgreSQL backend: the port's contract, and what applies to a database only."""

from __future__ import annotations

import multiprocessing
import random
import threading
from collections.abc import Iterator
from functools import partial

import psycopg
import pytest

from docstore import (
    Change,
    Commit,
    Conflict,
    DocumentStore,
    HistoryGone,
    Key,
    NotFound,
    Transaction,
    Unavailable,
    id_of,
)
from docstore.backends.memory import MemoryBackend
from docstore.backends.postgres import PostgresBackend
from tests.docstore.backends.conformance import (
    NOW,
    BackendConformance,
    change,
    commit,
    everything,
    written,
)
from tests.docstore.layouts import ALICE, ALICE_NOTES, BOB_NOTES, LAYOUTS
from tests.harness.database_proxy import Fault, Proxy, proxy
from tests.postgres import Cluster


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


def _random_edit(seed: float, transaction: Transaction) -> None:
    """Do one to four of everything that an edit can do to the two documents of Alice."""
    chance = random.Random(seed)  # the edit may run several times
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
            store.change(partial(_random_edit, edit_seed))
        if step == 60:
            number = backend.sequence()
            backend._connections.run(lambda c: backend.partitions.purge(c, number))  # noqa: B023
        for key in (ALICE_NOTES, ALICE):
            if chance.random() < 0.5:
                reader = chance.choice((backend, other))
                assert reader.raw(key) == memory.backend.raw(key), (step, key)
    for key in (ALICE_NOTES, ALICE):
        fresh = backend.raw(key)
        backend._cache.clear()
        assert fresh == backend.raw(key) == other.raw(key) == memory.backend.raw(key)


# What an edit reads


def test_cached_document_that_another_server_changed_is_never_the_base_of_a_result(
    backend: PostgresBackend, other: PostgresBackend
) -> None:
    """Neither of a change, nor of an edit that only reads, nor of one that is refused."""
    here, there = DocumentStore(backend, LAYOUTS), DocumentStore(other, LAYOUTS)
    here.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": [], "n": 0}))
    here.change(lambda transaction: transaction.create(ALICE, {"log": []}))

    def copy_n(transaction: Transaction) -> object:
        n = (transaction.document(ALICE_NOTES) or {}).get("n")
        transaction.append(ALICE, n)
        return n

    def only_read(transaction: Transaction) -> object:
        return (transaction.document(ALICE_NOTES) or {}).get("n")

    def refuse_zero(transaction: Transaction) -> object:
        if only_read(transaction) != 4:
            raise NotFound("there is no four")
        return 4

    edits = (_count_up, copy_n, only_read, refuse_zero)
    for n, (edit, expected) in enumerate(zip(edits, (2, 2, 3, 4), strict=True), 1):
        assert here.read(ALICE_NOTES) is not None
        there.change(lambda transaction, n=n: transaction.set(ALICE_NOTES, {"n": n}))
        assert here.change(edit) == expected


def test_two_edits_that_each_read_what_the_other_changes_do_not_both_see_the_past(
    backend: PostgresBackend, other: PostgresBackend
) -> None:
    """Of two people on duty one may leave: both check, and only one of them does (write skew)."""
    stores = [DocumentStore(one, LAYOUTS) for one in (backend, other)]
    for _ in range(15):
        for key in (ALICE_NOTES, BOB_NOTES):
            stores[0].change(partial(_set_on_duty, key))
        barrier = threading.Barrier(2)
        threads = [
            threading.Thread(target=_leave, args=(store, own, others, barrier))
            for store, own, others in zip(
                stores, (ALICE_NOTES, BOB_NOTES), (BOB_NOTES, ALICE_NOTES), strict=True
            )
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        documents = [backend.read(key).document for key in (ALICE_NOTES, BOB_NOTES)]
        assert [document.content["duty"] for document in documents if document].count(True) == 1


def _set_on_duty(key: Key, transaction: Transaction) -> None:
    if transaction.document(key) is None:
        transaction.create(key, {"notes": []})
    transaction.set(key, {"duty": True})


def _leave(store: DocumentStore, own: Key, others: Key, barrier: threading.Barrier) -> None:
    def edit(transaction: Transaction) -> None:
        if (transaction.document(others) or {})["duty"]:
            transaction.set(own, {"duty": False})

    barrier.wait()
    store.change(edit)


# A connection that is lost


@pytest.fixture
def between(postgres_cluster: Cluster) -> Iterator[Proxy]:
    with proxy(postgres_cluster.port) as between:
        yield between


@pytest.fixture
def unsteady(
    postgres_url: str, postgres_cluster: Cluster, between: Proxy
) -> Iterator[DocumentStore]:
    """Yield a store whose connection leads through the proxy."""
    url = postgres_url.replace(f":{postgres_cluster.port}/", f":{between.port}/")
    backend = PostgresBackend(url, LAYOUTS)
    yield DocumentStore(backend, LAYOUTS)
    backend.close()


def _count_up(transaction: Transaction) -> int:
    document = transaction.document(ALICE_NOTES)
    if document is None:
        transaction.create(ALICE_NOTES, {"notes": [], "n": 0})
    n = int((document or {}).get("n", 0)) + 1
    transaction.set(ALICE_NOTES, {"n": n})
    transaction.put(ALICE_NOTES, {"id": transaction.new_id(ALICE_NOTES), "n": n})
    return n


@pytest.mark.parametrize("fault", Fault)
def test_commit_whose_connection_is_lost_is_applied_once(
    unsteady: DocumentStore, between: Proxy, backend: PostgresBackend, fault: Fault
) -> None:
    numbers: list[int] = []
    for n in range(1, 6):
        between.faults.put(fault)
        assert unsteady.change(_count_up, note=numbers.append) == n
    assert between.injected[fault] >= 5
    document = backend.read(ALICE_NOTES).document
    assert document is not None and [note["n"] for note in document.content["notes"]] == [
        1, 2, 3, 4, 5,
    ]  # fmt: skip
    entries = backend.entries(0, everything).told
    assert [entry.sequence for entry in entries] == numbers


def test_reader_whose_connections_break_reads_on_another(
    unsteady: DocumentStore, between: Proxy, backend: PostgresBackend
) -> None:
    commit(backend, change(backend, ALICE_NOTES, {"n": 1}))
    for _ in range(5):
        document = unsteady.read(ALICE_NOTES)
        assert document is not None and document.content["n"] == 1
        between.reset_all()


def test_database_that_does_not_answer_is_reported_within_patience(between: Proxy) -> None:
    backend = PostgresBackend(f"postgres://x@127.0.0.1:{between.port}/x", LAYOUTS, patience=0.2)
    between.close()
    for attempt in (lambda: backend.read(ALICE_NOTES), backend.sequence):
        with pytest.raises(Unavailable, match="database") as caught:
            attempt()
        assert caught.value.retry_after > 0
    backend.close()


# Several writers


def test_busy_document_serves_every_writer(
    backend: PostgresBackend, other: PostgresBackend
) -> None:
    """Twelve threads of two servers change one document: nobody runs out of attempts."""
    stores = [DocumentStore(one, LAYOUTS) for one in (backend, other)]
    results: list[int] = []
    faults: list[Exception] = []

    def work(store: DocumentStore) -> None:
        try:
            for _ in range(10):
                results.append(store.change(_count_up))
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(stores[n % 2],)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert sorted(results) == list(range(1, 121))


def test_lock_that_a_stuck_process_holds_is_a_delay_and_no_deadlock(
    backend: PostgresBackend, postgres_cluster: Cluster
) -> None:
    store = DocumentStore(backend, LAYOUTS)
    stuck = psycopg.connect(postgres_cluster.url())
    stuck.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))", ALICE_NOTES)
    stuck.execute("SET LOCAL idle_in_transaction_session_timeout = '300ms'")
    assert store.change(_count_up) == 1
    stuck.close()


def test_commit_of_a_forked_child_and_its_parent_do_not_mix(backend: PostgresBackend) -> None:
    commit(backend, change(backend, ALICE_NOTES, {"n": 0}))
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(target=_write_and_read, args=(backend, Key("notes", owner)))
        for owner in (11, 12)
    ]
    for child in children:
        child.start()
    _write_and_read(backend, Key("notes", 10))
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    for owner in (10, 11, 12):
        document = backend.read(Key("notes", owner)).document
        assert document is not None and document.content["n"] == 59


def _write_and_read(backend: PostgresBackend, key: Key) -> None:
    for n in range(60):
        commit(backend, change(backend, key, {"n": n}))
        document = backend.read(key).document
        assert document is not None and document.content["n"] == n


# History


def test_commit_that_is_slower_than_a_later_one_is_not_skipped(
    backend: PostgresBackend, postgres_cluster: Cluster
) -> None:
    commit(backend, change(backend, ALICE_NOTES, {"n": 0}))
    begin = backend.sequence()
    with psycopg.connect(postgres_cluster.url()) as slow:
        slow.execute("SELECT pg_current_xact_id()")
        number = backend.commit(_commit_of(change(backend, BOB_NOTES, {"n": 1})))
        assert backend.sequence() == begin
        assert backend.entries(begin, everything).told == ()
        assert backend.entries(number, everything).told == ()
        entry = backend.entry(number)
        assert entry is not None and written(entry) == 1
    assert backend.sequence() == number
    assert [written(entry) for entry in backend.entries(begin, everything).told] == [1]


def _commit_of(*changes: Change) -> Commit:
    return Commit(changes, NOW)


def test_history_beyond_its_days_is_dropped_and_reported(
    backend: PostgresBackend, postgres_cluster: Cluster
) -> None:
    numbers = [backend.commit(_commit_of(change(backend, ALICE_NOTES, {"n": n}))) for n in range(5)]
    schema = backend.schema_name
    postgres_cluster.execute(
        f"CREATE TABLE {schema}.entry_20200101 PARTITION OF {schema}.entry"
        " FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')"
    )
    postgres_cluster.execute(
        f"UPDATE {schema}.entry SET made = '2020-01-01' WHERE number <= {numbers[2]}"
    )
    assert backend.upkeep()
    for since in (0, numbers[0], numbers[1]):
        with pytest.raises(HistoryGone):
            backend.entries(since, everything)
    with pytest.raises(HistoryGone):
        backend.entry(numbers[1])
    told = backend.entries(numbers[2], everything).told
    assert [written(entry) for entry in told] == [3, 4]
    document = backend.read(ALICE_NOTES).document
    assert document is not None and document.content["n"] == 4


def test_upkeep_begins_by_itself_while_there_are_commits(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    monkeypatch.setattr(backend.partitions, "upkeep", lambda connection: done.set())
    commit(backend, change(backend, ALICE_NOTES, {"n": 1}))
    assert not done.is_set()
    backend._upkeep_at = 0.0
    commit(backend, change(backend, ALICE_NOTES, {"n": 2}))
    assert done.wait(30)


def test_partition_that_is_missing_is_added_by_the_commit(
    backend: PostgresBackend, postgres_cluster: Cluster
) -> None:
    backend.sequence()
    schema = backend.schema_name
    for (name,) in postgres_cluster.execute(
        f"SELECT inhrelid::regclass::text FROM pg_inherits"
        f" WHERE inhparent = '{schema}.entry'::regclass"
    ):
        postgres_cluster.execute(f"DROP TABLE {name}")
    commit(backend, change(backend, ALICE_NOTES, {"n": 1}))
    assert len(backend.entries(0, everything).told) == 1


def test_numbers_grow_after_a_move_to_another_cluster(
    backend: PostgresBackend, other: PostgresBackend, postgres_cluster: Cluster
) -> None:
    first = backend.commit(_commit_of(change(backend, ALICE_NOTES, {"n": 1})))
    postgres_cluster.execute(
        f"UPDATE {backend.schema_name}.store SET cluster = 'another', number_offset = -2000000000"
    )
    second = other.commit(_commit_of(change(other, ALICE_NOTES, {"n": 2})))
    assert second > first
    assert [written(entry) for entry in other.entries(first, everything).told] == [2]


# Cost


def test_commit_writes_as_much_to_a_large_document_as_to_a_small_one(
    backend: PostgresBackend, postgres_cluster: Cluster
) -> None:
    store = DocumentStore(backend, LAYOUTS, lambda: NOW)
    written_bytes = {}
    for owner, count in ((21, 100), (22, 20_000)):
        key = Key("notes", owner)
        notes = [{"id": n, "text": "x" * 50} for n in range(1, count + 1)]
        store.change(lambda t, key=key, notes=notes: t.create(key, {"notes": notes}))
        postgres_cluster.execute("CHECKPOINT")
        begin = postgres_cluster.execute("SELECT pg_current_wal_lsn()::text")[0][0]
        for n in range(20):
            store.change(lambda t, key=key, n=n: t.put(key, {"id": 50 + n, "text": "changed"}))
        row = postgres_cluster.execute(f"SELECT pg_current_wal_lsn() - '{begin}'::pg_lsn")
        written_bytes[count] = int(str(row[0][0]))
    assert written_bytes[20_000] < 3 * written_bytes[100]


def test_conflict_changes_nothing_of_a_commit(backend: PostgresBackend) -> None:
    commit(backend, change(backend, ALICE_NOTES, {"notes": [{"id": 1}], "n": 1}))
    stale = change(backend, ALICE_NOTES, {"notes": [{"id": 2}], "n": 2})
    commit(backend, change(backend, ALICE_NOTES, {"notes": [{"id": 3}], "n": 3}))
    with pytest.raises(Conflict):
        commit(backend, change(backend, ALICE, {"log": [1]}), stale)
    backend._cache.clear()
    document = backend.read(ALICE_NOTES).document
    assert document is not None and document.content["notes"] == [{"id": 3}]
    assert backend.read(ALICE).document is None
