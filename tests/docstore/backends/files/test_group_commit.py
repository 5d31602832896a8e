"""Threads that write at the same time: one writes for all, and each gets its own result."""

from __future__ import annotations

import errno
import threading
import time
from contextvars import ContextVar
from pathlib import Path

import pytest

from docstore import DocumentStore, NotFound, Transaction, Unavailable
from docstore.backends.files.backend import FilesBackend
from docstore.disk.filesystem import FileSystem
from tests.docstore.layouts import ALICE_NOTES, LAYOUTS

THREADS = 8
who: ContextVar[str] = ContextVar("who")


class SlowDisk(FileSystem):
    """A disk whose syncs take long, so that other threads arrive. It counts syncs, and may fail."""

    def __init__(self) -> None:
        self.syncs = 0
        self.fails = False

    def sync_data(self, step: str, handle: int) -> None:
        self.syncs += 1
        time.sleep(0.02)
        if self.fails:
            raise OSError(errno.EIO, "Input/output error")
        super().sync_data(step, handle)


@pytest.fixture
def disk() -> SlowDisk:
    return SlowDisk()


@pytest.fixture
def store(tmp_path: Path, disk: SlowDisk) -> DocumentStore:
    backend = FilesBackend(tmp_path, LAYOUTS, files=disk, background=False)
    store = DocumentStore(backend, LAYOUTS)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    return store


def at_once(store: DocumentStore, times: int = 5) -> tuple[list[object], list[Exception]]:
    """Return the results and errors of many threads' changes. Every fourth changes nothing."""
    returned: list[object] = []
    raised: list[Exception] = []

    def work(number: int) -> None:
        who.set(f"thread {number}")

        def edit(transaction: Transaction) -> object:
            if number % 4 == 3:
                transaction.record(ALICE_NOTES, 10**6)
            transaction.append(ALICE_NOTES, who.get())
            return number, who.get()

        for _ in range(times):
            try:
                returned.append(store.change(edit))
            except Exception as error:
                raised.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return returned, raised


def test_each_gets_its_own_result_context_and_error(store: DocumentStore) -> None:
    returned, raised = at_once(store)
    writers = [number for number in range(THREADS) if number % 4 != 3]
    assert sorted(map(str, returned)) == sorted(
        str((number, f"thread {number}")) for number in writers for _ in range(5)
    )
    assert [type(error) for error in raised] == [NotFound] * 5 * (THREADS - len(writers))
    document = store.read(ALICE_NOTES)
    assert document is not None and len(document.content["notes"]) == len(returned)


def test_they_share_their_syncs(store: DocumentStore, disk: SlowDisk) -> None:
    disk.syncs = 0
    returned, _ = at_once(store)
    assert disk.syncs < len(returned) / 2


def test_a_failed_sync_is_told_to_all_whom_it_was_for(store: DocumentStore, disk: SlowDisk) -> None:
    disk.fails = True
    returned, raised = at_once(store, times=1)
    assert not returned
    assert all(isinstance(error, Unavailable) for error in raised) and len(raised) == THREADS
    assert len(set(map(id, raised))) == len(raised), "an error is one thread's own"


def test_waiter_after_timeout_fails_and_does_not_write_later(tmp_path: Path) -> None:
    backend = FilesBackend(tmp_path, LAYOUTS, background=False, lock_timeout=0.1)
    store = DocumentStore(backend, LAYOUTS)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    with backend.exclusive():
        _, raised = at_once(store, times=1)
    assert len(raised) == THREADS and all(isinstance(error, Unavailable) for error in raised)
    returned, _ = at_once(store, times=1)
    document = store.read(ALICE_NOTES)
    assert document is not None and len(document.content["notes"]) == len(returned)


def test_an_interrupt_is_told_to_those_who_waited_and_the_next_goes_on(
    store: DocumentStore,
) -> None:
    def interrupted(transaction: Transaction) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.change(interrupted)
    assert store.change(lambda transaction: 7) == 7


def test_an_edit_may_be_kept_on_its_own_thread(store: DocumentStore) -> None:
    elsewhere = []

    def work() -> None:
        me = threading.get_ident()
        for _ in range(20):
            where = store.change(lambda transaction: threading.get_ident(), here=True)
            elsewhere.append(where != me)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(elsewhere)
