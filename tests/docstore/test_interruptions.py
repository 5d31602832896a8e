"""After an exception at any line, the next write works: a sample; all lines in `make soak`."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from docstore import DocumentStore, Transaction
from docstore.backends.files.backend import FilesBackend
from docstore.backends.files.document_cache import FileDocumentCache
from docstore.backends.files.group_commit import GroupCommit
from tests.docstore.layouts import ALICE_NOTES, LAYOUTS
from tests.harness import interruptions

CASES = 34


@pytest.mark.xdist_group("interruptions")
def test_write_after_any_interruption_succeeds() -> None:
    report = interruptions.run(CASES, seed=20_261_130)
    assert report.lost == 0, report.notes


@pytest.fixture
def store(tmp_path: Path) -> DocumentStore:
    backend = FilesBackend(tmp_path, LAYOUTS, background=False, lock_timeout=1)
    store = DocumentStore(backend, LAYOUTS)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    return store


def add(transaction: Transaction) -> None:
    transaction.append(ALICE_NOTES, "note")


def count(store: DocumentStore) -> int:
    document = store.read(ALICE_NOTES)
    assert document is not None
    return len(document.content["notes"])


def test_write_after_memory_error_in_cache_counts_each_change_once(
    store: DocumentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_pending = FileDocumentCache.add_pending

    def fail(cache: FileDocumentCache, *arguments: object, **named: object) -> None:
        add_pending(cache, *arguments, **named)  # type: ignore[arg-type]
        raise MemoryError

    monkeypatch.setattr(FileDocumentCache, "add_pending", fail)
    with pytest.raises(MemoryError):
        store.change(add)
    monkeypatch.undo()
    store.change(add)
    assert count(store) == 2
    anew = DocumentStore(FilesBackend(store.backend.root, LAYOUTS), LAYOUTS)  # type: ignore[attr-defined]
    assert count(anew) == 2


def test_interrupted_waiter_leaves_the_others_their_turn(
    store: DocumentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three writing threads, the second is interrupted while it waits; the third is not."""
    led, go_on, waits = threading.Event(), threading.Event(), threading.Event()
    wait, ends = GroupCommit._wait, []

    def slow(transaction: Transaction) -> None:
        led.set()
        go_on.wait(30)

    def interrupted_wait(together: GroupCommit, job: object) -> None:
        if threading.current_thread().name != "interrupted":
            wait(together, job)  # type: ignore[arg-type]
            return
        waits.set()
        go_on.wait(30)
        while not job.leads:  # type: ignore[attr-defined]
            pass
        raise KeyboardInterrupt  # raised by a signal, at the moment it is chosen to lead

    def interrupted() -> None:
        with pytest.raises(KeyboardInterrupt):
            store.change(add)
        ends.append("interrupted")

    monkeypatch.setattr(GroupCommit, "_wait", interrupted_wait)
    threads = [
        threading.Thread(target=store.change, args=(slow,)),
        threading.Thread(target=interrupted, name="interrupted"),
        threading.Thread(target=lambda: ends.append(store.change(add))),
    ]
    threads[0].start()
    led.wait(30)
    threads[1].start()
    waits.wait(30)
    threads[2].start()
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert "interrupted" in ends and None in ends
    store.change(add)
    assert count(store) == 2
