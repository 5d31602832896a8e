"""One writer at a time, across threads, processes, forks and deaths."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from docstore import DocumentStore, Transaction, Unavailable
from docstore.backends.files.backend import FilesBackend
from docstore.disk.filesystem import FileSystem
from docstore.disk.locks import FolderLock, _FairQueue
from docstore.document import CollectionLayout
from tests.docstore.layouts import ALICE_NOTES, LAYOUTS

fork = multiprocessing.get_context("fork")


def test_a_second_holder_waits_and_then_is_told(tmp_path: Path) -> None:
    holder, other = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock", timeout=0.05)
    with holder.hold(), pytest.raises(Unavailable), other.hold():
        pass
    with other.hold() as taken:
        assert taken


def test_the_same_thread_may_take_it_again(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "lock", timeout=0.05)
    with lock.hold() as outer, lock.hold() as inner:
        assert outer and not inner
        refused: list[Exception] = []

        def take() -> None:
            try:
                with lock.hold():
                    pass
            except Unavailable as fault:
                refused.append(fault)

        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
        assert refused, "another thread got in"


def test_a_holder_who_dies_lets_go(tmp_path: Path) -> None:
    def die_holding() -> None:
        with FolderLock(tmp_path / "lock").hold():
            os.kill(os.getpid(), signal.SIGKILL)

    process = fork.Process(target=die_holding)
    process.start()
    process.join()
    with FolderLock(tmp_path / "lock", timeout=1).hold():
        pass


def test_a_forked_child_neither_keeps_nor_breaks_the_lock(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "lock", timeout=0.2)
    go_on, done = fork.Event(), fork.Event()

    def child() -> None:
        go_on.wait(30)
        done.set()

    with lock.hold():
        process = fork.Process(target=child)
        process.start()
        with pytest.raises(Unavailable), FolderLock(tmp_path / "lock", timeout=0.05).hold():
            pass  # the fork did not release it
    with lock.hold():  # the child, still alive, does not hold it
        pass
    go_on.set()
    process.join()
    assert done.is_set()


def test_a_lock_file_that_was_replaced_is_taken_anew(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "lock", timeout=1)
    with lock.hold():
        pass
    (tmp_path / "lock").unlink()
    with lock.hold(), pytest.raises(Unavailable), FolderLock(tmp_path / "lock", 0.05).hold():
        pass


WAITING = 3, 6  # processes, and threads in each
TURNS = 25


def take_turns(path: Path, sending: int, process: int) -> None:
    lock = FolderLock(path, timeout=60)

    def work(thread: int) -> None:
        for _ in range(TURNS):
            with lock.hold():
                time.sleep(0.002)  # about the time of a commit
                os.write(sending, bytes([process * WAITING[1] + thread]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(WAITING[1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_nobody_starves_while_others_write_again_and_again(tmp_path: Path) -> None:
    receiving, sending = os.pipe()
    processes = [
        fork.Process(target=take_turns, args=(tmp_path / "lock", sending, number))
        for number in range(WAITING[0])
    ]
    for process in processes:
        process.start()
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        order = pipe.read()
    for process in processes:
        process.join()
    everyone = WAITING[0] * WAITING[1]
    assert len(order) == everyone * TURNS
    waits = []
    for waiter in range(everyone):
        places = [place for place, who in enumerate(order) if who == waiter]
        waits += [after - before for before, after in itertools.pairwise(places)]
    print(f"turns of others before one's own: fair {everyone}, at most {max(waits)}")
    assert max(waits) <= 20 * everyone  # a process may pass a few times without queueing


def test_threads_pass_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    lock, passed = FolderLock(tmp_path / "lock"), list[int]()

    def work(number: int) -> None:
        with lock.hold():
            passed.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    with lock.hold():
        for waiting, thread in enumerate(threads):
            thread.start()
            while len(lock._line._waiting) <= waiting + 1:  # with the first one
                pass
    for thread in threads:
        thread.join()
    assert passed == list(range(20))


def test_waiter_after_timeout_is_not_woken(tmp_path: Path) -> None:
    line = _FairQueue()
    assert line.enter(1) and not line.enter(0.01)
    line.leave()
    assert line.enter(0)


# Writers in several processes and threads, and the bugs that they detect.

PROCESSES, THREADS, EACH = 4, 4, 12


def add(transaction: Transaction) -> int:
    note = transaction.new_id(ALICE_NOTES)
    transaction.put(ALICE_NOTES, {"id": note})
    return note


def write(root: Path, backend_class: type[FilesBackend], sending: int) -> None:
    store = DocumentStore(backend_class(root, LAYOUTS, lock_timeout=60), LAYOUTS)

    def work() -> None:
        for _ in range(EACH):
            os.write(sending, b"%d\n" % store.change(add))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def outcome_of_many_writers(root: Path, backend_class: type[FilesBackend]) -> list[str]:
    """Return what went wrong when all of them wrote into one document; "" in a correct store."""
    store = DocumentStore(FilesBackend(root, LAYOUTS), LAYOUTS)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    receiving, sending = os.pipe()
    writers = [
        fork.Process(target=write, args=(root, backend_class, sending)) for _ in range(PROCESSES)
    ]
    for writer in writers:
        writer.start()
    os.close(sending)
    with os.fdopen(receiving) as lines:
        acknowledged = sorted(map(int, lines))
    for writer in writers:
        writer.join()
    document = store.read(ALICE_NOTES)
    assert document is not None
    stored = sorted(note["id"] for note in document.content["notes"])
    faults = []
    if len(set(acknowledged)) != PROCESSES * THREADS * EACH:
        faults.append("an id was given twice, or a writer failed")
    if stored != acknowledged:
        faults.append("an acknowledged record is missing")
    if document.revision != len(stored) + 1:
        faults.append("the revision does not count the changes")
    return faults


def test_writers_of_many_processes_and_threads_lose_nothing(tmp_path: Path) -> None:
    assert outcome_of_many_writers(tmp_path, FilesBackend) == []


class OwnLocks(FileSystem):
    def lock(self, path: Path, timeout: float) -> FolderLock:
        return super().lock(path.with_name(f"{path.name}-{os.getpid()}"), timeout)


class TakesNoLock(FilesBackend):
    """A store whose processes have separate locks."""

    def __init__(self, root: Path, layouts: Mapping[str, CollectionLayout]) -> None:
        super().__init__(root, layouts, files=OwnLocks())


class TrustsItsMemory(FilesBackend):
    """A store that ignores what other processes append."""

    def __init__(self, root: Path, layouts: Mapping[str, CollectionLayout]) -> None:
        super().__init__(root, layouts)
        self._cache._apply_frame = lambda frame: None  # type: ignore[method-assign]


@pytest.mark.parametrize("bug", [TakesNoLock, TrustsItsMemory])
def test_the_writers_find_a_planted_bug(tmp_path: Path, bug: type[FilesBackend]) -> None:
    for attempt in range(5):
        if outcome_of_many_writers(tmp_path / str(attempt), bug):
            return
    pytest.fail(f"{bug.__name__} survived")
