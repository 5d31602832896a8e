"""Compare commits and reads in PostgreSQL with psycopg on the same rows.

    python -m benchmarks.database [--seconds S] [--fsync]

*Raw* is psycopg without the engine: for each commit the same two rows and one entry, with a
compare and swap, in one pipeline and so one round trip. Each figure is a rate of all clients
together, of threads of one process. The server is a new one of this machine, with its usual
settings; without `--fsync` the disk is left out.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from benchmarks.peers import task
from docstore import CollectionLayout, DocumentStore, Key, Transaction
from docstore.backends.postgres import PostgresBackend
from docstore.codec import to_json
from tests.postgres import Cluster, cluster

TASKS = CollectionLayout(name="tasks", stem="tasks", records="tasks")
USERS = CollectionLayout(name="users", stem="user", records="activities")
LAYOUTS = {"tasks": TASKS, "users": USERS}
SIZES = (100, 100_000)
CLIENTS = (1, 8, 32)

_RAW = """
CREATE SCHEMA raw;
CREATE TABLE raw.document (owner bigint PRIMARY KEY, version bigint NOT NULL, head text NOT NULL);
CREATE TABLE raw.record (owner bigint, place bigint, version bigint, body text,
                         PRIMARY KEY (owner, place));
CREATE TABLE raw.entry (number bigserial PRIMARY KEY, payload text NOT NULL);
"""


def filled(store: DocumentStore, owner: int, size: int) -> None:
    records = [{"id": number, **task(number)} for number in range(1, size + 1)]
    store.change(
        lambda transaction: [
            transaction.create(Key("tasks", owner), {"tasks": records, "last_id": size}),
            transaction.create(Key("users", owner), {"activities": [], "calls": 0}),
        ]
    )


def edit_of(owner: int, size: int, number: int) -> Callable[[Transaction], None]:
    """Return an edit like that of an API call: a task is changed, and the call is counted."""

    def edit(transaction: Transaction) -> None:
        key, person = Key("tasks", owner), Key("users", owner)
        record = {"id": 1 + number % size, **task(number)}
        transaction.put(key, record)
        transaction.set(person, {"calls": number})

    return edit


def rate(work: Callable[[int, int], object], clients: int, seconds: float) -> float:
    """Return how often per second `work(client, number)` ran, in this many threads."""
    counts = [0] * clients
    end = time.monotonic() + seconds

    def loop(client: int) -> None:
        for number in itertools.count(1):
            if time.monotonic() >= end:
                return
            work(client, number)
            counts[client] += 1

    threads = [threading.Thread(target=loop, args=(client,)) for client in range(clients)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - begin)


class Raw:
    """The same rows by psycopg alone: two compared and swapped, one record, one entry."""

    def __init__(self, server: Cluster, clients: int, size: int) -> None:
        self._connections = [psycopg.connect(server.url(), autocommit=True) for _ in range(clients)]
        self._versions = [1] * clients
        first = self._connections[0]
        first.execute("DROP SCHEMA IF EXISTS raw CASCADE")
        first.execute(_RAW)
        for owner in range(2 * clients):
            first.execute("INSERT INTO raw.document VALUES (%s, 1, %s)", (owner, "{}"))
            if owner < clients:
                first.execute(
                    "INSERT INTO raw.record SELECT %s, n, 1, %s FROM generate_series(1, %s) AS n",
                    (owner, to_json(task(1)).decode(), size),
                )
        self._clients, self._size = clients, size

    def commit(self, client: int, number: int) -> None:
        connection, version = self._connections[client], self._versions[client]
        body = to_json(task(number)).decode()
        head = '{"last_id":1,"updated_at":"2026-11-30T12:00:00.000000Z","revision":1}'
        payload = f'{{"changes":[{{"before":{body},"after":{body}}}]}}'
        with connection.pipeline(), connection.transaction():
            for owner in (client, client + self._clients):
                connection.execute(
                    "UPDATE raw.document SET version = %s, head = %s"
                    " WHERE owner = %s AND version = %s",
                    (version + 1, head, owner, version),
                )
            connection.execute(
                "UPDATE raw.record SET version = %s, body = %s WHERE owner = %s AND place = %s",
                (version + 1, body, client, 1 + number % self._size),
            )
            connection.execute("INSERT INTO raw.entry (payload) VALUES (%s)", (payload,))
        self._versions[client] = version + 1

    def read(self, client: int, number: int) -> None:
        self._connections[client].execute(
            "SELECT version FROM raw.document WHERE owner = %s", (client,)
        ).fetchone()

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


@contextmanager
def opened(server: Cluster, schema: str, clients: int) -> Iterator[DocumentStore]:
    url = server.url(schema=schema, pool=str(clients + 2))
    backend = PostgresBackend(url, LAYOUTS, cache_bytes=1 << 30)
    yield DocumentStore(backend, LAYOUTS)
    backend.close()


def lines(server: Cluster, seconds: float) -> Iterator[str]:
    yield "| what | records | clients | engine/s | raw/s | engine : raw |"
    yield "|---|---|---|---|---|---|"
    for size in SIZES:
        with opened(server, f"size_{size}", max(CLIENTS)) as store:
            owners = max(CLIENTS) if size == min(SIZES) else 1  # large ones take long to fill
            for owner in range(1, owners + 1):
                filled(store, owner, size)
            for clients in CLIENTS:
                if clients > owners:
                    continue
                yield from _commits(server, store, size, clients, seconds)
            yield _busy(store, size, seconds)
            yield from _reads(server, store, size, seconds)


def _commits(
    server: Cluster, store: DocumentStore, size: int, clients: int, seconds: float
) -> Iterator[str]:
    def commit(client: int, number: int) -> None:
        store.change(edit_of(client + 1, size, number))

    raw = Raw(server, clients, size)
    engine, alone = [], []
    for _ in range(3):  # by turns: the machine may be busy with other things
        engine.append(rate(commit, clients, seconds))
        alone.append(rate(raw.commit, clients, seconds))
    raw.close()
    yield _line("commits, own documents", size, clients, engine, alone)


def _busy(store: DocumentStore, size: int, seconds: float) -> str:
    def commit(client: int, number: int) -> None:
        store.change(edit_of(1, size, number))

    rates = [rate(commit, 8, seconds)]
    return _line("commits, one document", size, 8, rates, [])


def _reads(server: Cluster, store: DocumentStore, size: int, seconds: float) -> Iterator[str]:
    key, raw = Key("tasks", 1), Raw(server, 1, 1)
    store.read(key)
    engine, alone, after = [], [], []
    for _ in range(3):
        engine.append(rate(lambda client, number: store.read(key), 1, seconds))
        alone.append(rate(raw.read, 1, seconds))
    yield _line("reads, unchanged", size, 1, engine, alone)
    with opened(server, f"size_{size}", 2) as other:
        other.read(key)

        def change_and_read(client: int, number: int) -> None:
            store.change(edit_of(1, size, number))
            begin = time.perf_counter()
            other.read(key)
            after.append(time.perf_counter() - begin)

        rate(change_and_read, 1, seconds)
    raw.close()
    yield _line("reads after another server's change", size, 1, [1 / statistics.median(after)], [])


def _line(what: str, size: int, clients: int, engine: list[float], raw: list[float]) -> str:
    mine = statistics.median(engine)
    other: Any = statistics.median(raw) if raw else None
    compared = f"{other:,.0f} | {mine / other:.2f}" if other else " | "
    return f"| {what} | {size:,} | {clients} | {mine:,.0f} | {compared} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--fsync", action="store_true", help="with the disk")
    arguments = parser.parse_args()
    settings = {} if arguments.fsync else {"fsync": "off"}
    with cluster(settings) as server:
        for line in lines(server, arguments.seconds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
