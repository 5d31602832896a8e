"""Several app processes on one PostgreSQL, through proxies that break connections.

    python -m tests.harness.many_servers COMMITS [PLANTED BUG]

Processes of two servers, each with its own address of the database, change their own and shared
documents. Two followers read the change feed. Afterwards the report of every process is compared
with the history: nothing acknowledged is lost, nothing is applied twice, each document is
linearizable, the feed is complete and in order, and every process reads what is stored.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from docstore import Document, DocumentStore, Entry, Key, StoreError, Transaction, id_of
from docstore.backends.postgres import PostgresBackend, history, partitions, schema
from docstore.backends.postgres.connections import Connections
from docstore.journal.replay import replay
from tests.docstore.layouts import LAYOUTS
from tests.harness.database_proxy import proxy
from tests.harness.report import CannotRun, Report
from tests.postgres import Cluster, cluster, why_not

PROJECT: Final = Path(__file__).parents[2]
THREADS: Final = 2
SECONDS_MAX: Final = 600
_BUSY: Final = [Key("notes", owner) for owner in (1, 2)]
_BANKS: Final = [Key("people", owner) for owner in (1, 2, 3)]
_SUM: Final = 1_000


# Planted bugs


def _no_version_check() -> None:
    _replace_in_commit("AND d.version = p_expects[i] AND d.version < number", "")


def _identity_column() -> None:
    """Number commits by a sequence, and follow them up to the newest."""
    _replace_in_commit(
        "number := pg_current_xact_id()::text::bigint"
        " + (SELECT number_offset FROM {schema}.store);",
        "number := nextval('{schema}.numbers'); PERFORM pg_sleep(random() * 0.01);",
    )
    schema.TABLES += "CREATE SEQUENCE IF NOT EXISTS {schema}.numbers;"  # type: ignore[misc]
    history._HORIZON = "9000000000000000000::bigint"  # type: ignore[misc]


def _tombstones_dropped_early() -> None:
    partitions._PURGE = partitions._PURGE.replace(  # type: ignore[misc]
        "SET base = greatest(d.base, least(%(number)s, d.version))", "SET base = d.base"
    )


def _commit_id_not_looked_up() -> None:
    PostgresBackend._found = lambda self, *arguments: None  # type: ignore[method-assign,assignment]


def _pool_shared_over_fork() -> None:
    Connections.forked = lambda self: None  # type: ignore[method-assign]


def _replace_in_commit(text: str, other: str) -> None:
    assert text in schema.COMMIT
    schema.COMMIT = schema.COMMIT.replace(text, other)  # type: ignore[misc]


BUGS: Final[dict[str, Callable[[], None]]] = {
    "no version check": _no_version_check,
    "numbers of an identity column": _identity_column,
    "tombstones dropped early": _tombstones_dropped_early,
    "commit id not looked up": _commit_id_not_looked_up,
    "pool shared over fork": _pool_shared_over_fork,
}


# One app process


class Acknowledged(NamedTuple):
    """A change that returned: its mark in the history, number, document, and begin and end."""

    mark: str
    number: int
    owner: int
    collection: str
    begin: int
    end: int


class Read(NamedTuple):
    """A read: the revision, and begin and end."""

    collection: str
    owner: int
    revision: int
    begin: int
    end: int


def _edit(chance: random.Random, own: Key, transaction: Transaction) -> Key:
    """Make one change, and return the document that counts its changes."""
    kind = chance.random()
    if kind < 0.2:
        giving, taking = chance.sample(_BANKS, 2)
        amount = chance.randint(1, 9)
        for key, difference in ((giving, -amount), (taking, amount)):
            document = transaction.document(key) or {}
            transaction.set(key, {"sum": document["sum"] + difference})
            transaction.append(key, {"difference": difference})
        if len(transaction.records(giving)) > 40:
            transaction.cut(giving, 20)
        return giving
    key = chance.choice(_BUSY) if kind < 0.5 else own
    document = transaction.document(key)
    assert document is not None
    transaction.set(key, {"n": document["n"] + 1})
    ids = [record_id for record in transaction.records(key) if (record_id := id_of(record))]
    if len(ids) > 20 or (ids and chance.random() < 0.3):
        transaction.remove(key, chance.choice(ids))
    else:
        transaction.put(key, {"id": transaction.new_id(key), "text": "ü" * chance.randint(1, 40)})
    return key


def _work(store: DocumentStore, name: str, commits: int, report: list[Any]) -> None:
    chance, own = random.Random(name), Key("notes", 100 + int(name))
    store.change(lambda transaction: transaction.create(own, {"notes": [], "n": 0}))
    for count in range(commits):
        mark, numbers = f"{name}-{count}", [0]
        seed = chance.random()
        begin = time.monotonic_ns()
        try:
            key = store.change(
                lambda transaction, seed=seed: _edit(random.Random(seed), own, transaction),
                request_id=mark,
                note=lambda number, numbers=numbers: numbers.__setitem__(0, number),
            )
        except StoreError as fault:  # perhaps applied: the history shows it
            report.append(["refused", mark, str(fault)])
            continue
        end = time.monotonic_ns()
        report.append(
            ["done", *Acknowledged(mark, numbers[0], key.owner, key.collection, begin, end)]
        )
        looked = chance.choice([*_BUSY, *_BANKS, own])
        begin = time.monotonic_ns()
        with suppress(StoreError):
            document = store.read(looked)
            end = time.monotonic_ns()
            assert document is not None
            report.append(["read", *looked, document.revision, begin, end])


def _app_process(url: str, first: int, commits: int, report_path: str) -> None:
    """Run two processes: this one, and one forked after the store was used."""
    backend = PostgresBackend(url, LAYOUTS, patience=20)
    store = DocumentStore(backend, LAYOUTS)
    store.read(_BUSY[0])
    child = os.fork()
    if not child:
        first, report_path = first + THREADS, f"{report_path}.child"
    report: list[Any] = []
    threads = [
        threading.Thread(target=_guarded, args=(store, str(first + n), commits, report))
        for n in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for collection in LAYOUTS:
        for key in store.keys(collection):
            data = backend.raw(key) or b""
            report.append(["has", *key, data.decode()])
    Path(report_path).write_text(json.dumps(report))
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def _guarded(store: DocumentStore, name: str, commits: int, report: list[Any]) -> None:
    try:
        _work(store, name, commits, report)
    except Exception as fault:
        report.append(["broken", name, repr(fault)])


# All together


@dataclass
class Outcome:
    """The result of a run: what was wrong, and how much was done."""

    wrong: list[str] = field(default_factory=list)
    acknowledged: int = 0
    refused: int = 0
    faults: int = 0

    def __str__(self) -> str:
        return (
            f"{self.acknowledged} commits acknowledged, {self.refused} refused,"
            f" {self.faults} faults injected, {len(self.wrong)} wrong"
        )


def attack(
    server: Cluster,
    commits: int,
    bug: str = "",
    chance: float = 0.03,
    seconds_max: float = SECONDS_MAX,
    seed: int = 0,
) -> Outcome:
    """Have four processes make this many commits, and compare their reports with the history."""
    name = f"test_{uuid.uuid4().hex}"
    outcome = Outcome()
    with ExitStack() as stack:
        stack.callback(server.execute, f"DROP SCHEMA IF EXISTS {name} CASCADE")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        proxies = [stack.enter_context(proxy(server.port, chance, 2 * seed + n)) for n in range(2)]
        urls = [Cluster(server.folder, one.port).url(schema=name) for one in proxies]
        prepared = json.dumps([bug, server.url(schema=name)])
        subprocess.run([*SELF, "prepare", prepared], check=True, cwd=PROJECT, timeout=120)
        backends = [PostgresBackend(url, LAYOUTS, patience=20) for url in urls]
        direct = PostgresBackend(server.url(schema=name), LAYOUTS)
        for backend in (*backends, direct):
            stack.callback(backend.close)
        followers = [FileDocumentCache(backend, bug) for backend in backends]
        for cache in followers:
            cache.start()
        processes = []
        for index, url in enumerate(urls):
            arguments = [bug, url, 2 * THREADS * index, commits // (4 * THREADS)]
            command = [*SELF, "app", json.dumps([*arguments, str(folder / f"report{index}")])]
            processes.append(subprocess.Popen(command, cwd=PROJECT, start_new_session=True))
            stack.callback(_kill, processes[-1])
        _wait(processes, seconds_max, outcome, direct)
        reports = [json.loads(path.read_text()) for path in folder.iterdir()]
        if len(reports) < 4:
            outcome.wrong.append(f"only {len(reports)} of 4 processes reported")
        outcome.faults = sum(sum(one.injected.values()) for one in proxies)
        final = direct.sequence()
        for cache in followers:
            cache.finish(final)
        _compare(outcome, reports, direct, followers)
    return outcome


SELF: Final = [sys.executable, "-m", "tests.harness.many_servers"]


def _wait(
    processes: Sequence[subprocess.Popen[bytes]],
    seconds_max: float,
    outcome: Outcome,
    direct: PostgresBackend,
) -> None:
    """Wait for the processes, and purge tombstones meanwhile, as upkeep does once a day."""
    deadline = time.monotonic() + seconds_max
    while any(process.poll() is None for process in processes):
        if time.monotonic() > deadline:
            outcome.wrong.append("the processes hang")
            for process in processes:
                _kill(process)
            return
        number = direct.sequence()
        direct._connections.run(lambda c, n=number: direct.partitions.purge(c, n))
        time.sleep(0.1)
    for process in processes:
        if process.returncode:
            outcome.wrong.append(f"a process ended with {process.returncode}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process with its child, if one still runs."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class FileDocumentCache(threading.Thread):
    """Follows the change feed of one server from its beginning."""

    def __init__(self, backend: PostgresBackend, bug: str) -> None:
        super().__init__(daemon=True)
        self._backend, self._bug, self._final = backend, bug, -1
        self.entries: list[Entry] = []
        self.fault = ""

    def run(self) -> None:
        through = 0
        try:
            while self._final < 0 or through < self._final:
                entries, through = self._backend.entries(through, lambda key: True, 100_000)
                self.entries += entries
                time.sleep(0.002)
        except StoreError as fault:
            self.fault = str(fault)

    def finish(self, final: int) -> None:
        self._final = final
        self.join(60)


def _history(backend: PostgresBackend) -> list[Entry]:
    entries: list[Entry] = []
    through = 0
    while through < backend.sequence():
        told, through = backend.entries(through, lambda key: True)
        entries += told
    return entries


def _compare(
    outcome: Outcome,
    reports: Sequence[Sequence[Any]],
    direct: PostgresBackend,
    followers: Sequence[FileDocumentCache],
) -> None:
    wrong = outcome.wrong
    done = [Acknowledged(*line[1:]) for report in reports for line in report if line[0] == "done"]
    reads = [Read(*line[1:]) for report in reports for line in report if line[0] == "read"]
    outcome.acknowledged = len(done)
    outcome.refused = sum(line[0] == "refused" for report in reports for line in report)
    wrong += [
        f"{line[1]}: {line[2]}" for report in reports for line in report if line[0] == "broken"
    ]
    entries = _history(direct)
    times = Counter(entry.request_id for entry in entries if entry.request_id)
    numbers = {entry.request_id: entry.sequence for entry in entries}
    wrong += [f"{mark} was applied {count} times" for mark, count in times.items() if count > 1]
    for ack in done:
        if numbers.get(ack.mark) != ack.number:
            wrong.append(
                f"{ack.mark} was acknowledged as {ack.number}, not {numbers.get(ack.mark)}"
            )
    for cache in followers:
        if cache.entries != entries or cache.fault:
            count = len(cache.entries)
            wrong.append(f"a cache has {count} of {len(entries)} entries {cache.fault}")
    wrong += _broken_chains(entries)
    wrong += _not_as_history(entries, direct)
    wrong += _broken_order(done)
    wrong += _stale_reads(done, reads, entries)
    banks = [direct.read(key).document for key in _BANKS]
    if sum(bank.content["sum"] for bank in banks if bank) != _SUM * len(_BANKS):
        wrong.append("the sum of the transfers is not constant")
    for report in reports:
        for line in report:
            if line[0] == "has" and len(line) == 4:
                outcome.wrong += _differs(direct, Key(line[1], line[2]), line[3], len(reports))


def _differs(direct: PostgresBackend, key: Key, data: str, processes: int) -> Iterator[str]:
    """Yield a message if a process that is done read another state than a later one."""
    direct._cache.discard(key)
    stored = (direct.raw(key) or b"").decode()
    revision, final = json.loads(data)["revision"], json.loads(stored)["revision"]
    if revision == final and data != stored:
        yield f"a process reads {key} differently from what is stored"


def _broken_chains(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield documents whose changes do not each begin with the state that the last one left."""
    values: dict[tuple[Key, Any], Any] = {}
    for entry in entries:
        for key, edits in entry.changes:
            for edit in edits:
                if not edit.path:
                    for name, value in (edit.after or {}).items():
                        values[key, name] = value
                elif edit.path in (("n",), ("sum",)):
                    before = values.get((key, edit.path[0]))
                    if edit.before != before:
                        yield f"{key}: {entry.sequence} begins with {edit.before}, not {before}"
                    values[key, edit.path[0]] = edit.after


def _not_as_history(entries: Sequence[Entry], direct: PostgresBackend) -> Iterator[str]:
    """Yield documents that the history, applied from its beginning, leads to another state of."""
    documents: dict[Key, Document | None] = {}
    for entry in entries:
        for key, edits in entry.changes:
            try:
                documents[key] = replay(
                    documents.get(key), edits, "", entry.sequence, LAYOUTS[key.collection]
                )
            except ValueError as fault:
                yield f"{key}: {entry.sequence} {fault}"
                return
    for key, document in documents.items():
        direct._cache.discard(key)
        stored = direct.read(key).document
        name = LAYOUTS[key.collection].records
        if not document or not stored or document.list_of(name) != stored.list_of(name):
            yield f"{key} is not what the history leads to"


def _broken_order(done: Sequence[Acknowledged]) -> Iterator[str]:
    """Yield changes of a document that ended before one with a lower number began."""
    begun: dict[tuple[str, int], int] = {}
    for ack in sorted(done, key=lambda ack: ack.number):
        key = (ack.collection, ack.owner)
        if ack.end < begun.get(key, 0):
            yield f"{ack.mark} ended before one with a lower number began"
        begun[key] = max(begun.get(key, 0), ack.begin)


def _stale_reads(
    done: Sequence[Acknowledged], reads: Sequence[Read], entries: Sequence[Entry]
) -> Iterator[str]:
    """Yield reads that did not return a change which was acknowledged before they began."""
    revisions: dict[tuple[str, Key], int] = {}
    counts: Counter[Key] = Counter()
    for entry in entries:
        for key, _ in entry.changes:
            counts[key] += 1
            revisions[entry.request_id, key] = counts[key]
    events: list[tuple[int, int, Key, int]] = []
    for ack in done:
        key = Key(ack.collection, ack.owner)
        events.append((ack.end, 0, key, revisions.get((ack.mark, key), 0)))
    for read in reads:
        events.append((read.begin, 1, Key(read.collection, read.owner), read.revision))
    newest: dict[Key, int] = {}
    for _, is_read, key, revision in sorted(events):
        if not is_read:
            newest[key] = max(newest.get(key, 0), revision)
        elif revision < newest.get(key, 0):
            yield f"a read of {key} returned revision {revision} after {newest[key]}"


def _prepare(url: str) -> None:
    """Create the store and the shared documents."""
    backend = PostgresBackend(url, LAYOUTS)
    store = DocumentStore(backend, LAYOUTS)

    def begin(transaction: Transaction) -> None:
        for key in _BUSY:
            transaction.create(key, {"notes": [], "n": 0})
        for key in _BANKS:
            transaction.create(key, {"log": [], "sum": _SUM})

    store.change(begin)
    backend.close()


def run(count: int, seed: int) -> Report:
    """Make this many commits; each that is lost, doubled or out of order counts as lost."""
    if reason := why_not():
        raise CannotRun(reason)
    with cluster() as server:
        outcome = attack(server, count, seconds_max=count, seed=seed)
    report = Report("many_servers", outcome.acknowledged + outcome.refused)
    for fault in outcome.wrong:
        report.lose(fault)
    print(f"many_servers: {outcome}")
    return report.finish(count - count % (4 * THREADS))


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["prepare"]:
        bug, url = json.loads(arguments[1])
        BUGS.get(bug, lambda: None)()
        _prepare(url)
        return 0
    if arguments[:1] == ["app"]:
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        bug, url, first, commits, path = json.loads(arguments[1])
        BUGS.get(bug, lambda: None)()
        _app_process(url, first, commits, path)
        return 0
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    commits = int(arguments[0])
    bug = arguments[1] if len(arguments) > 1 else ""
    BUGS.get(bug, lambda: None)()
    with cluster() as server:
        begin = time.monotonic()
        outcome = attack(server, commits, bug, seconds_max=15 if bug else SECONDS_MAX)
        print(f"{outcome} in {time.monotonic() - begin:.0f} s")
        for line in outcome.wrong[:10]:
            print(line)
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
