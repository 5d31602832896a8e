"""Published files: complete at every moment, never going back, and soon up to date."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from docstore import DocumentStore, Key, Transaction, open_store
from docstore.codec import encode
from tests.docstore.layouts import LAYOUTS

PATIENCE = 60  # seconds, for a busy machine; benchmarks/lag.py measures the delay of files
READS_MIN = 100

SMALL, LARGE, OTHER = Key("notes", 1), Key("notes", 2), Key("people", 1)
KEYS = [SMALL, LARGE, OTHER]


def opened(root: Path) -> DocumentStore:
    return open_store(root.as_uri(), LAYOUTS.values())


def path_of(root: Path, key: Key) -> Path:
    return root / key.collection / f"{LAYOUTS[key.collection].stem}_{key.owner}.json"


def begin(transaction: Transaction) -> None:
    transaction.create(SMALL, {"notes": [{"id": note} for note in range(1, 101)]})
    texts = [{"id": note, "text": "x" * 900} for note in range(1, 1001)]
    transaction.create(LARGE, {"notes": texts})
    transaction.create(OTHER, {"log": []})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(root: Path) -> Iterator[DocumentStore]:
    store = opened(root)
    store.change(begin)
    store.close()  # so that there are files
    store = opened(root)
    yield store
    store.close()


def alter(store: DocumentStore, key: Key, number: int, relaxed: bool = False) -> int:
    """Change a note; return the new revision."""

    def edit(transaction: Transaction) -> int:
        note = number % 100 + 1
        transaction.put(key, {**transaction.record(key, note), "number": number})
        content = transaction.document(key)
        assert content is not None
        return int(content["revision"]) + 1

    return store.change(edit, relaxed=relaxed)


def revision_in_file(root: Path, key: Key) -> int:
    return int(json.loads(path_of(root, key).read_bytes())["revision"])


# A continuous reader


def watch(root: Path, pipe: Connection, reads: Any) -> None:
    """Read the files repeatedly, count the reads, and finally send what was wrong."""
    seen = dict.fromkeys(KEYS, 0)
    faults: list[str] = []
    pipe.send("ready")
    while not pipe.poll():
        for key in KEYS:
            reads.value += 1
            try:
                revision = revision_in_file(root, key)
            except (ValueError, OSError) as fault:
                faults.append(f"{key}: {fault!r}")
                continue
            if revision < seen[key]:
                faults.append(f"{key}: {revision} after {seen[key]}")
            seen[key] = revision
    pipe.send(faults[:10])


def watched(root: Path, work: Callable[[], None]) -> list[str]:
    """Do the work while the files are read often enough; return what was wrong."""
    fork = multiprocessing.get_context("fork")
    parent_end, child_end = fork.Pipe()
    reads = fork.Value("q", 0)
    watcher = fork.Process(target=watch, args=(root, child_end, reads))
    watcher.start()
    assert parent_end.poll(PATIENCE) and parent_end.recv() == "ready"
    deadline = time.monotonic() + 10 * PATIENCE
    work()
    while reads.value < READS_MIN and time.monotonic() < deadline:
        work()
    assert reads.value >= READS_MIN
    parent_end.send("enough")
    assert parent_end.poll(PATIENCE)
    faults: list[str] = parent_end.recv()
    watcher.join(PATIENCE)
    return faults


def write(root: Path, changes: int) -> None:
    """Write with two threads to all documents, some commits to two at once."""
    store = opened(root)

    def both(transaction: Transaction) -> None:
        transaction.set(SMALL, {"at": transaction.now.isoformat()})
        transaction.append(OTHER, "both")

    def work(first: int) -> None:
        for number in range(first, first + changes):
            alter(store, LARGE if number % 8 == 0 else SMALL, number)
            store.change(both, relaxed=number % 3 == 0)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()


def test_a_reader_of_files_never_sees_a_torn_or_an_older_one(
    root: Path, store: DocumentStore
) -> None:
    def work() -> None:
        fork = multiprocessing.get_context("fork")
        writers = [fork.Process(target=write, args=(root, 40)) for _ in range(2)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(PATIENCE * 2)
            assert writer.exitcode == 0

    assert watched(root, work) == []
    store.close()
    newcomer = opened(root)
    for key in KEYS:
        document = newcomer.read(key)
        assert document is not None
        assert path_of(root, key).read_bytes() == encode(document)
    newcomer.close()


def _in_place(root: Path, content: dict[str, Any]) -> None:
    path_of(root, LARGE).write_text(json.dumps(content))


def _older_now_and_then(root: Path, content: dict[str, Any]) -> None:
    draft = root / "draft"
    draft.write_text(json.dumps({**content, "revision": content["revision"] % 5}))
    draft.replace(path_of(root, LARGE))


@pytest.mark.parametrize("publish", [_in_place, _older_now_and_then])
def test_the_reader_notices_files_that_are_published_badly(
    root: Path, store: DocumentStore, publish: Callable[[Path, dict[str, Any]], None]
) -> None:
    content = json.loads(path_of(root, LARGE).read_bytes())
    store.close()

    def work() -> None:
        for revision in range(2, 200):
            publish(root, {**content, "revision": revision})

    assert watched(root, work)


# The delay


def wait_for(root: Path, key: Key, revision: int) -> None:
    begin = time.monotonic()
    while revision_in_file(root, key) < revision:
        took = time.monotonic() - begin
        assert took < PATIENCE, f"{key} has not come up to {revision} within {took:.1f} s"
        time.sleep(0.005)


@pytest.mark.parametrize("key", [SMALL, LARGE])
def test_a_file_shows_soon_what_was_acknowledged(
    root: Path, store: DocumentStore, key: Key
) -> None:
    for number in range(10):
        wait_for(root, key, alter(store, key, number))


@pytest.mark.parametrize("relaxed", [False, True])
def test_a_file_keeps_up_while_its_document_is_changed_all_the_time(
    root: Path, store: DocumentStore, relaxed: bool
) -> None:
    enough = threading.Event()

    def work() -> None:
        number = 0
        while not enough.is_set():
            number += 1
            alter(store, SMALL, number, relaxed)
            alter(store, LARGE, number, relaxed)

    writer = threading.Thread(target=work)
    writer.start()
    try:
        for _ in range(5):
            document = store.read(SMALL)
            assert document is not None
            wait_for(root, SMALL, document.revision)
    finally:
        enough.set()
        writer.join()


def test_new_and_dropped_documents_come_and_go(root: Path, store: DocumentStore) -> None:
    for _ in range(3):
        store.change(lambda transaction: transaction.drop(OTHER))
        begin = time.monotonic()
        while path_of(root, OTHER).exists():
            assert time.monotonic() - begin < PATIENCE
            time.sleep(0.005)
        store.change(lambda transaction: transaction.create(OTHER, {"log": []}))
        begin = time.monotonic()
        while not path_of(root, OTHER).exists():
            assert time.monotonic() - begin < PATIENCE
            time.sleep(0.005)
        assert json.loads(path_of(root, OTHER).read_bytes())["log"] == []
