"""A history of concurrent writers and readers, and whether one order explains it.

Four processes of four threads work on the same few documents and on some of their own. They read,
add, change and remove records, transfer sums between two documents, create and delete whole
documents, with relaxed commits or not. Some share a store that was opened and used before the fork,
others open their own. What each operation saw is recorded and judged in `observations` (a
linearizability check, after Herlihy and Wing 1990).
"""

from __future__ import annotations

import logging
import multiprocessing
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from docstore import CollectionLayout, DocumentStore, Key, StoreError, Transaction, open_store
from tests.harness.observations import GONE, History, Operation, Sight, absent, version
from tests.harness.report import Report

LAYOUTS: Final = [
    CollectionLayout(name="notes", stem="notes", records="notes"),
    CollectionLayout(name="people", stem="person", records="log"),
]
PROCESSES, THREADS = 4, 4
HOT: Final = [Key("notes", owner) for owner in (1, 2, 3, 4)]
ACCOUNTS: Final = [Key("people", owner) for owner in (1, 2, 3, 4)]
MORTAL: Final = [Key("notes", owner) for owner in (11, 12)]
REGISTER: Final = Key("people", 9)  # counts the lives of the mortal documents
BALANCE: Final = 1000
RECORDS_MAX: Final = 40
TIMEOUT: Final = 3600  # seconds, for a full run
ORDINARY: Final = 20_000  # operations of a history without another count

Opening = Callable[[Path], DocumentStore]
Edit = Callable[[Transaction], list[Sight]]


def opened(folder: Path) -> DocumentStore:
    """Open the store of a history as the harness does by default."""
    return open_store(folder.as_uri(), LAYOUTS)


class _Complaints(logging.Handler):
    """A handler for the store's warnings. None are expected: nothing is edited, killed, or full."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def run(count: int, seed: int, opening: Opening = opened) -> Report:
    """Record a history of `count` operations and judge it. The notes list what it lost."""
    with TemporaryDirectory() as folder:
        history = record(Path(folder), count, seed, opening)
        faults = list(history.faults())
    return Report("history", history.operations, len(faults), faults[:20]).finish(count)


def record(folder: Path, count: int, seed: int, opening: Opening = opened) -> History:
    """Return the history of `count` operations, and of the state after all stores were closed."""
    complaints = _Complaints()
    logging.getLogger("docstore").addHandler(complaints)
    try:
        history = _record(folder, count, seed, opening, complaints)
    finally:
        logging.getLogger("docstore").removeHandler(complaints)
    if complaints.said:
        raise AssertionError(f"the store complained: {complaints.said[:5]}")
    return history


def _record(
    folder: Path, count: int, seed: int, opening: Opening, complaints: _Complaints
) -> History:
    data, records = folder / "data", folder / "records"
    records.mkdir()
    store = opening(data)
    history = History()
    try:
        history.add(_Observer("beginning", store).change(_begin))
        _run_workers(records, data, store, count, seed, opening, complaints)
    except BaseException:
        with suppress(StoreError):  # a planted bug may have left what cannot be published
            store.close()
        raise
    for path in sorted(records.iterdir()):
        with path.open("rb") as lines:
            for line in lines:
                history.add(msgspec.json.decode(line, type=Operation))
    store.close()
    for operation in _ending(data, opening):
        history.add(operation)
    return history


def _run_workers(
    records: Path,
    data: Path,
    store: DocumentStore,
    count: int,
    seed: int,
    opening: Opening,
    complaints: _Complaints,
) -> None:
    fork = multiprocessing.get_context("fork")
    processes = [
        fork.Process(
            target=_work,
            args=(
                records,
                number,
                _share(count, number, PROCESSES),
                seed,
                store,
                data,
                opening,
                complaints,
            ),
        )
        for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    deadline = time.monotonic() + TIMEOUT
    for process in processes:
        process.join(max(deadline - time.monotonic(), 0))
        process.kill()  # if it hangs
    if any(process.exitcode for process in processes):
        raise AssertionError(f"workers ended with {[process.exitcode for process in processes]}")


def _share(count: int, number: int, workers: int) -> int:
    """Return how many of `count` operations the worker with this number does."""
    return count // workers + (number < count % workers)


def _begin(transaction: Transaction) -> list[Sight]:
    keys = [*HOT, *ACCOUNTS, REGISTER]
    for process in range(PROCESSES):
        keys += [_own(process, thread) for thread in range(THREADS)]
    for key in keys:
        content: dict[str, Any] = {"notes": []} if key.collection == "notes" else {"log": []}
        transaction.create(key, content | ({"balance": BALANCE} if key in ACCOUNTS else {}))
    return [_sight(transaction, key, 0) for key in keys]


def _own(process: int, thread: int) -> Key:
    return Key("notes", 100 + process * THREADS + thread)


def _ending(data: Path, opening: Opening) -> Iterator[Operation]:
    """Yield what the files hold after closing, and what a store shows that is opened then."""
    names = {_name(key): key for key in [*HOT, *ACCOUNTS, *MORTAL, REGISTER]}
    now = time.monotonic_ns()
    sights = []
    for name, key in names.items():
        stem = "notes" if key.collection == "notes" else "person"
        path = data / key.collection / f"{stem}_{key.owner}.json"
        content = msgspec.json.decode(path.read_bytes()) if path.exists() else None
        sights.append(_seen(name, content))
    yield Operation("the files in the end", now, time.monotonic_ns(), tuple(sights))
    with closing(opening(data)) as store:
        observer = _Observer("the reopened store", store)
        yield from (observer.read(key) for key in names.values())


# Observations


def _name(key: Key) -> str:
    return f"{key.collection} {key.owner}"


def _digest(content: Any) -> int:
    """Return a digest of the content without what a commit itself adds; never `GONE`."""
    own = {name: content[name] for name in content.keys() - {"revision", "updated_at"}}
    own |= {name: list(own[name]) for name in ("notes", "log") if name in own}
    data = msgspec.json.encode(own, order="sorted")
    return int.from_bytes(blake2b(data, digest_size=7).digest()) + 1


def _seen(name: str, content: Any) -> Sight:
    """Return what a read saw of a document."""
    if content is None:
        return absent(name)
    return Sight(name, version(content.get("life", 1), content["revision"]), _digest(content))


def _sight(transaction: Transaction, key: Key, revision: int) -> Sight:
    """Return what the edit made of a document that had this revision."""
    content = transaction.document(key)
    assert content is not None
    number = version(content.get("life", 1), revision + 1)
    return Sight(_name(key), number, _digest(content), wrote=True)


def _revision(transaction: Transaction, key: Key) -> int:
    content = transaction.document(key)
    return content["revision"] if content else 0


class _Observer:
    """Performs operations and returns what they saw, and when."""

    def __init__(self, who: str, store: DocumentStore) -> None:
        self.who, self.store = who, store

    def read(self, key: Key) -> Operation:
        invoked = time.monotonic_ns()
        document = self.store.read(key)
        returned = time.monotonic_ns()
        sight = _seen(_name(key), document.content if document else None)
        return Operation(self.who, invoked, returned, (sight,))

    def change(self, edit: Edit, relaxed: bool = False) -> Operation:
        invoked = time.monotonic_ns()
        sights = self.store.change(edit, relaxed=relaxed)
        return Operation(self.who, invoked, time.monotonic_ns(), tuple(sights), together=True)

    def sum(self) -> Operation:
        """Read all accounts in one transaction."""
        contents: list[Any] = []

        def look(transaction: Transaction) -> list[Sight]:
            contents[:] = [transaction.document(key) for key in ACCOUNTS]
            return [_seen(_name(key), transaction.document(key)) for key in ACCOUNTS]

        operation = self.change(look)
        total = sum(content["balance"] for content in contents)
        return msgspec.structs.replace(operation, total=total)


# Operations


def _work(
    records: Path,
    process: int,
    count: int,
    seed: int,
    inherited: DocumentStore,
    data: Path,
    opening: Opening,
    complaints: _Complaints,
) -> None:
    own = opening(data)
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        store = own if (process + thread) % 2 else inherited
        try:
            with (records / f"{process}.{thread}").open("wb") as file:
                for operation in _operations(store, process, thread, seed, count):
                    file.write(msgspec.json.encode(operation) + b"\n")
        except BaseException as fault:
            failures.append(fault)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if process % 2:
        own.close()
    if failures:
        raise failures[0]
    if complaints.said:
        raise AssertionError(f"the store complained: {complaints.said[:5]}")


def _operations(
    store: DocumentStore, process: int, thread: int, seed: int, count: int
) -> Iterator[Operation]:
    chance = random.Random(f"{seed} {process} {thread}")
    observer = _Observer(f"thread {process}.{thread}", store)
    own = _own(process, thread)
    for _ in range(_share(count, thread, THREADS)):
        key = chance.choice([*HOT, *MORTAL, own])
        what = chance.random()
        relaxed = chance.random() < 0.2
        if what < 0.45:
            yield observer.read(chance.choice([*HOT, *ACCOUNTS, *MORTAL, own, REGISTER]))
        elif what < 0.55:
            yield observer.sum()
        elif what < 0.70:
            yield observer.change(_if_there(key, _add(key, chance)), relaxed)
        elif what < 0.80:
            yield observer.change(_if_there(key, _alter(key, chance)), relaxed)
        elif what < 0.85:
            yield observer.change(_if_there(key, _remove(key, chance)), relaxed)
        elif what < 0.95:
            yield observer.change(_transfer(chance), relaxed)
        else:
            yield observer.change(_live_or_die(chance.choice(MORTAL)), relaxed)


def _if_there(key: Key, edit: Edit) -> Edit:
    def careful(transaction: Transaction) -> list[Sight]:
        if transaction.document(key) is None:
            return [absent(_name(key))]
        return edit(transaction)

    return careful


def _add(key: Key, chance: random.Random) -> Edit:
    text = "x" * chance.randrange(60)

    def edit(transaction: Transaction) -> list[Sight]:
        revision = _revision(transaction, key)
        records = transaction.records(key)
        if len(records) >= RECORDS_MAX:
            transaction.remove(key, records[0]["id"])
        transaction.put(key, {"id": transaction.new_id(key), "text": text})
        return [_sight(transaction, key, revision)]

    return edit


def _alter(key: Key, chance: random.Random) -> Edit:
    place, value = chance.random(), chance.randrange(10**9)

    def edit(transaction: Transaction) -> list[Sight]:
        revision = _revision(transaction, key)
        records = transaction.records(key)
        if records:
            record = records[int(place * len(records))]
            transaction.put(key, {**record, "value": value})
        else:
            transaction.set(key, {"value": [value]})
        return [_sight(transaction, key, revision)]

    return edit


def _remove(key: Key, chance: random.Random) -> Edit:
    place = chance.random()

    def edit(transaction: Transaction) -> list[Sight]:
        revision = _revision(transaction, key)
        records = transaction.records(key)
        if not records:
            return [_seen(_name(key), transaction.document(key))]
        transaction.remove(key, records[int(place * len(records))]["id"])
        return [_sight(transaction, key, revision)]

    return edit


def _transfer(chance: random.Random) -> Edit:
    keys, amount = chance.sample(ACCOUNTS, 2), chance.randrange(1, 100)

    def edit(transaction: Transaction) -> list[Sight]:
        revisions = [_revision(transaction, key) for key in keys]
        for key, change in zip(keys, (-amount, amount), strict=True):
            content = transaction.document(key)
            assert content is not None
            transaction.set(key, {"balance": content["balance"] + change})
        pairs = zip(keys, revisions, strict=True)
        return [_sight(transaction, key, revision) for key, revision in pairs]

    return edit


def _live_or_die(key: Key) -> Edit:
    """Return an edit that creates or deletes the document, and counts its lives in another one."""

    def edit(transaction: Transaction) -> list[Sight]:
        register = transaction.document(REGISTER)
        content = transaction.document(key)
        assert register is not None
        field = f"life of {key.owner}"
        revision = register["revision"]
        if content is None:
            life = register.get(field, [0, ""])[0] + 1
            transaction.create(key, {"notes": [{"id": 1}], "life": life})
            changed = _sight(transaction, key, 0)
        else:
            life = content["life"]
            transaction.drop(key)
            changed = Sight(_name(key), version(life, content["revision"] + 1), GONE, wrote=True)
        transaction.set(REGISTER, {field: [life, "over" if content else "begun"]})
        return [changed, _sight(transaction, REGISTER, revision)]

    return edit
