"""Many processes on one folder, however they start and however they end.

Processes only signal each other that they have a result; the store alone makes them agree. Waits
have a generous limit and poll until the expected state is there.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from docstore import DocumentStore, Transaction, open_store
from tests.docstore.layouts import ALICE, ALICE_NOTES, LAYOUTS
from tests.server import PROJECT, prepared_server, started

PATIENCE = 30  # seconds, for a busy machine

Edit = Callable[[Transaction], int]


def opened(root: Path) -> DocumentStore:
    return open_store(root.as_uri(), LAYOUTS.values())


def begin(transaction: Transaction) -> None:
    transaction.create(ALICE_NOTES, {"notes": []})
    transaction.create(ALICE, {"log": [], "count": 0})


def add(transaction: Transaction) -> int:
    """Add a note, and count it in another document."""
    note = transaction.new_id(ALICE_NOTES)
    transaction.put(ALICE_NOTES, {"id": note, "by": os.getpid()})
    person = transaction.document(ALICE)
    assert person is not None
    transaction.set(ALICE, {"count": person["count"] + 1})
    return note


def look(store: DocumentStore) -> tuple[list[int], int]:
    """Return the ids of the notes, and the count of notes."""
    notes, person = store.read(ALICE_NOTES), store.read(ALICE)
    assert notes is not None and person is not None
    assert notes.revision == person.revision
    return [note["id"] for note in notes.content["notes"]], person.content["count"]


def in_file(root: Path) -> list[int]:
    """Return the ids of the notes in the published file; none if it does not exist yet."""
    try:
        content = json.loads((root / "notes/notes_1.json").read_bytes())
    except FileNotFoundError:
        return []
    return [note["id"] for note in content["notes"]]


def expect_ids(root: Path, count: int) -> None:
    """Check that everything acknowledged is there, for open and new processes, and in the file."""
    everything = list(range(1, count + 1))
    newcomer = opened(root)
    assert look(newcomer) == (everything, count)
    newcomer.close()
    assert in_file(root) == everything


def until(happened: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def until_in_file(root: Path, count: int) -> None:
    """Wait until the published file shows this number of notes."""
    until(lambda: in_file(root) == list(range(1, count + 1)), "the file does not come up")


@contextmanager
def forked(work: Callable[[], None]) -> Iterator[int]:
    """Run `work` in a child of this process, which must end in order and in time."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as fault:
            sys.stderr.write(f"child: {fault!r}\n")
            os._exit(1)
        os._exit(0)
    try:
        yield child
        assert ended(child) == 0
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def ended(child: int) -> int:
    """Return how a child ended, as `os.waitstatus_to_exitcode` returns it."""
    codes: list[int] = []

    def looked() -> bool:
        process, status = os.waitpid(child, os.WNOHANG)
        if process:
            codes.append(os.waitstatus_to_exitcode(status))
        return bool(codes)

    until(looked, f"the child {child} hangs")
    return codes[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(root: Path) -> Iterator[DocumentStore]:
    """Open a store, and read and write with it, before anything else happens."""
    store = opened(root)
    store.change(begin)
    assert look(store) == ([], 0)
    yield store
    store.close()


# Forks

EACH = 40


@pytest.mark.parametrize("end", ["by itself", "killed", "closing first"])
def test_parent_and_child_use_one_store_at_once(root: Path, store: DocumentStore, end: str) -> None:
    def work() -> None:
        for _ in range(EACH):
            note = store.change(add)
            assert note in look_in_transaction(store)
        if end == "closing first":
            store.close()
        elif end == "killed":
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(int(sys.exc_info()[0] is not None))
    for _ in range(EACH):
        note = store.change(add)
        assert note in look_in_transaction(store)
    assert ended(child) == (-signal.SIGKILL if end == "killed" else 0)
    everything = list(range(1, 2 * EACH + 1))
    assert look(store) == (everything, 2 * EACH)
    assert store.change(add) == 2 * EACH + 1
    expect_ids(root, 2 * EACH + 1)


def look_in_transaction(store: DocumentStore) -> list[int]:
    """Return the ids and the count of the notes, read in one transaction."""

    def edit(transaction: Transaction) -> list[int]:
        notes, person = transaction.document(ALICE_NOTES), transaction.document(ALICE)
        assert notes is not None and person is not None
        assert notes["revision"] == person["revision"]
        return [note["id"] for note in notes["notes"]]

    return store.change(edit)


def _nothing(store: DocumentStore) -> None:
    """Do nothing."""


def _close(store: DocumentStore) -> None:
    store.close()


def _kill(store: DocumentStore) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("what", [_nothing, _close, _kill])
def test_a_child_does_not_let_go_of_what_its_parent_holds(
    root: Path, store: DocumentStore, what: Callable[[DocumentStore], None]
) -> None:
    context = multiprocessing.get_context("spawn")
    parent_end, child_end = context.Pipe()
    rival = context.Process(target=add_when_told, args=(root, child_end))
    rival.start()
    assert parent_end.poll(PATIENCE) and parent_end.recv() == "ready"
    runs: list[int] = []

    def edit(transaction: Transaction) -> int:
        note = add(transaction)
        if not runs:
            child = os.fork()
            if child == 0:
                try:
                    what(store)
                finally:
                    os._exit(0)
            ended(child)
            parent_end.send("go")
            # Nothing may arrive. If the rival were admitted, its message would be here long before.
            assert not parent_end.poll(0.3)
        runs.append(note)
        return note

    assert store.change(edit) == 1
    assert runs == [1], "another writer came in between"
    assert parent_end.poll(PATIENCE) and parent_end.recv() == 2
    rival.join(PATIENCE)
    expect_ids(root, 2)


def add_when_told(root: Path, pipe: Connection) -> None:
    store = opened(root)
    pipe.send("ready")
    assert pipe.recv() == "go"
    pipe.send(store.change(add))


def test_a_child_that_outlives_its_parents_change_does_not_keep_the_lock(
    root: Path, store: DocumentStore
) -> None:
    receiving, sending = os.pipe()

    def wait() -> None:
        os.close(sending)
        os.read(receiving, 1)

    children: list[int] = []

    def edit(transaction: Transaction) -> int:
        if not children:
            child = os.fork()
            if child == 0:
                try:
                    wait()
                finally:
                    os._exit(0)
            children.append(child)
        return add(transaction)

    assert store.change(edit) == 1
    assert store.change(add) == 2
    newcomer = opened(root)
    assert newcomer.change(add) == 3
    newcomer.close()
    os.close(sending)
    assert ended(children[0]) == 0
    os.close(receiving)
    expect_ids(root, 3)


@pytest.mark.parametrize("used", [False, True], ids=["forked unused", "used by the child"])
def test_a_child_may_go_on_when_its_parent_has_closed_the_store(root: Path, used: bool) -> None:
    store = opened(root)
    store.change(begin)
    parent_end, child_end = multiprocessing.Pipe()

    def work() -> None:
        done = [store.change(add)] if used else []
        child_end.send("forked")
        assert child_end.recv() == "closed"
        for number in range(len(done) + 1, 11):
            assert store.change(add) == number
        assert look(store) == (list(range(1, 11)), 10)
        store.close()

    with forked(work):
        assert parent_end.poll(PATIENCE) and parent_end.recv() == "forked"
        store.close()
        parent_end.send("closed")
    expect_ids(root, 10)


def test_forks_while_threads_are_writing(root: Path, store: DocumentStore) -> None:
    threads, commits, forks = 4, 30, 12
    acknowledged: list[int] = []

    def write() -> None:
        for _ in range(commits):
            acknowledged.append(store.change(add))

    def work() -> None:
        note = store.change(add)
        assert note in look_in_transaction(store)
        document = store.read(ALICE_NOTES)
        assert document is not None and document.content["notes"][note - 1]["id"] == note

    writers = [threading.Thread(target=write) for _ in range(threads)]
    for writer in writers:
        writer.start()
    for _ in range(forks):
        with forked(work):
            pass
    for writer in writers:
        writer.join(PATIENCE)
        assert not writer.is_alive()
    assert len(set(acknowledged)) == threads * commits
    expect_ids(root, threads * commits + forks)


def write_some(root: Path, inherited: DocumentStore | None, receiver: Connection) -> None:
    store = inherited or opened(root)
    receiver.send([store.change(add) for _ in range(EACH // 2)])


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_every_kind(root: Path, store: DocumentStore, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    pairs = [context.Pipe(duplex=False) for _ in range(4)]
    processes = [
        context.Process(
            target=write_some,
            args=(root, store if method == "fork" and number % 2 else None, sending),
        )
        for number, (_, sending) in enumerate(pairs)
    ]
    for process in processes:
        process.start()
    mine = [store.change(add) for _ in range(EACH // 2)]
    for receiving, _ in pairs:
        assert receiving.poll(PATIENCE)
        mine += receiving.recv()
    for process in processes:
        process.join(PATIENCE)
        assert process.exitcode == 0
    count = EACH // 2 * 5
    assert sorted(mine) == list(range(1, count + 1))
    # Processes made by `fork` end without closing: a live one shows what they left behind.
    until_in_file(root, count)
    expect_ids(root, count)


# Two independent processes

EXCHANGES = 1000


def answer(root: Path, pipe: Connection) -> None:
    """Wait for what the other one has written and write the next, repeatedly."""
    store = opened(root)
    for number in range(2, EXCHANGES + 1, 2):
        assert pipe.recv() == number - 1
        assert look(store) == (list(range(1, number)), number - 1)
        pipe.send(store.change(add))
    store.close()


def test_acknowledged_change_is_read_at_once_by_another_process(
    root: Path, store: DocumentStore
) -> None:
    context = multiprocessing.get_context("spawn")
    parent_end, child_end = context.Pipe()
    other = context.Process(target=answer, args=(root, child_end))
    other.start()
    child_end.close()
    for number in range(1, EXCHANGES, 2):
        assert store.change(add) == number
        parent_end.send(number)
        assert parent_end.poll(PATIENCE) and parent_end.recv() == number + 1
        assert look(store) == (list(range(1, number + 2)), number + 1)
    other.join(PATIENCE)
    assert other.exitcode == 0
    expect_ids(root, EXCHANGES)


def add_and_sleep(root: Path, pipe: Connection) -> None:
    """Read at the beginning, then after a long time; then write."""
    store = opened(root)
    assert look(store) == ([], 0)
    pipe.send("slept in")
    count, text = pipe.recv()
    assert look(store) == (list(range(1, count + 1)), count)
    for key in (ALICE, ALICE_NOTES):
        document = store.read(key)
        assert document is not None and document.content["text"] == text
    pipe.send(store.change(add))
    store.close()


def test_process_after_long_sleep_agrees(root: Path, store: DocumentStore) -> None:
    """So much was written meanwhile that the state that it saw last is gone."""
    context = multiprocessing.get_context("spawn")
    parent_end, child_end = context.Pipe()
    sleeper = context.Process(target=add_and_sleep, args=(root, child_end))
    sleeper.start()
    assert parent_end.poll(PATIENCE) and parent_end.recv() == "slept in"
    count = 120
    for number in range(count):
        other = opened(root) if number % 40 == 39 else store
        text = f"{number}".zfill(30_000)

        def edit(transaction: Transaction, text: str = text) -> None:
            transaction.set(ALICE, {"text": text})
            transaction.set(ALICE_NOTES, {"text": text})

        other.change(edit)
        assert other.change(add) == number + 1
        if other is not store:
            other.close()
    parent_end.send((count, text))
    assert parent_end.poll(PATIENCE) and parent_end.recv() == count + 1
    sleeper.join(PATIENCE)
    assert sleeper.exitcode == 0
    expect_ids(root, count + 1)


def come_and_go(root: Path, number: int, sending: int) -> None:
    """Open, write and close repeatedly, sometimes without closing."""
    for turn in range(TURNS):
        store = opened(root)
        os.write(sending, b"%d\n" % store.change(add, relaxed=turn % 3 == 2))
        if (turn + number) % 4:
            store.close()
    os.kill(os.getpid(), signal.SIGKILL)


TURNS, VISITORS = 12, 5


def test_stores_come_and_go_all_the_time(root: Path) -> None:
    first = opened(root)
    first.change(begin)
    first.close()
    receiving, sending = os.pipe()
    fork = multiprocessing.get_context("fork")
    visitors = [
        fork.Process(target=come_and_go, args=(root, number, sending)) for number in range(VISITORS)
    ]
    for visitor in visitors:
        visitor.start()
    os.close(sending)
    with os.fdopen(receiving) as lines:
        acknowledged = sorted(map(int, lines))
    for visitor in visitors:
        visitor.join(PATIENCE)
        assert visitor.exitcode == -signal.SIGKILL
    assert acknowledged == list(range(1, TURNS * VISITORS + 1))
    expect_ids(root, TURNS * VISITORS)


# Ends


def write_and_wait(root: Path, pipe: Connection, relaxed: bool) -> None:
    store = opened(root)
    for _ in range(3):
        note = store.change(add, relaxed=relaxed)
    pipe.send(note)
    pipe.recv()  # for ever


@pytest.mark.parametrize("relaxed", [False, True])
@pytest.mark.parametrize("used", [False, True], ids=["opened only", "used before"])
def test_live_process_publishes_changes_of_killed_process(
    root: Path, relaxed: bool, used: bool
) -> None:
    first = opened(root)
    first.change(begin)
    first.close()
    store = opened(root)
    if used:
        store.change(lambda transaction: transaction.set(ALICE, {"seen": True}))
        store.change(lambda transaction: transaction.set(ALICE_NOTES, {"seen": True}))
    context = multiprocessing.get_context("fork")
    for number in range(3, 13, 3):
        parent_end, child_end = context.Pipe()
        victim = context.Process(target=write_and_wait, args=(root, child_end, relaxed))
        victim.start()
        assert parent_end.poll(PATIENCE) and parent_end.recv() == number
        victim.kill()
        victim.join()
        # Nothing is opened and nothing requested: the running process must be enough.
        until_in_file(root, number)
    store.close()
    expect_ids(root, 12)


def test_closing_makes_the_files_exact(root: Path, store: DocumentStore) -> None:
    other = opened(root)
    for number in range(0, EACH, 2):
        assert store.change(add, relaxed=bool(number % 4)) == number + 1
        assert other.change(add) == number + 2
    store.close()
    assert in_file(root) == list(range(1, EACH + 1))  # what the other one wrote as well
    assert other.change(add) == EACH + 1
    other.close()
    expect_ids(root, EACH + 1)


_SCRIPT = """
import os, signal, sys, threading
from pathlib import Path
from tests.docstore.test_processes import EACH, add, begin, opened
store = opened(Path(sys.argv[1]))
store.change(begin)
for number in range(EACH):
    store.change(add, relaxed=number % 3 == 1)
"""

_ENDS = {
    "normally": "",
    "by sys.exit": "sys.exit(0)",
    "by an error": "raise ValueError('an error of the script')",
    "by SIGTERM, handled": """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
os.kill(os.getpid(), signal.SIGTERM)
signal.pause()
""",
    # A process started in the background ignores this signal by default.
    "by Ctrl-C": "signal.signal(signal.SIGINT, signal.default_int_handler);"
    " os.kill(os.getpid(), signal.SIGINT); signal.pause()",
    "while a thread still writes": """
def more():
    for _ in range(EACH):
        store.change(add)
threading.Thread(target=more).start()
""",
    "while a daemon waits": """
threading.Thread(target=threading.Event().wait, daemon=True).start()
""",
    "dropping the store": "del store",
    "leaving a reference cycle": "store.itself = store; del store",
}
_DEATHS = {
    "by os._exit": "os._exit(0)",
    "by SIGTERM": "os.kill(os.getpid(), signal.SIGTERM)",
    "by SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "by os.abort": "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.abort()",
    "replaced by another program": "os.execv('/bin/true', ['true'])",
}


def run_to_its_end(root: Path, end: str) -> None:
    command = [sys.executable, "-c", _SCRIPT + end, str(root)]
    subprocess.run(command, cwd=PROJECT, timeout=PATIENCE * 2, capture_output=True)


@pytest.mark.parametrize("end", _ENDS)
def test_files_are_exact_after_a_process_that_ended(root: Path, end: str) -> None:
    run_to_its_end(root, _ENDS[end])
    count = 2 * EACH if "thread" in end else EACH
    assert in_file(root) == list(range(1, count + 1))
    expect_ids(root, count)


@pytest.mark.parametrize("end", _DEATHS)
def test_next_process_publishes_changes_of_dead_process(root: Path, end: str) -> None:
    run_to_its_end(root, _DEATHS[end])
    expect_ids(root, EACH)


# Servers

WORKERS, CLIENTS, REQUESTS = 3, 12, 20


@contextmanager
def small_server(root: Path, folder: Path, *options: str) -> Iterator[int]:
    """Return the port of a gunicorn with some workers on `small_server`."""
    command = ["-m", "gunicorn", "--workers", f"{WORKERS}", "--worker-class", "gthread"]
    command += ["--threads", "4", "--bind", "127.0.0.1:0", "--no-control-socket", *options]
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *command, "tests.docstore.small_server:application"],
            cwd=PROJECT,
            env={**os.environ, "SMALL_SERVER_STORE": root.as_uri()},
            stderr=output,
        )
    try:
        until(lambda: "Listening at: http" in log.read_text(), "gunicorn does not start")
        yield int(log.read_text().partition("Listening at: http://127.0.0.1:")[2].split()[0])
        process.terminate()
        assert process.wait(PATIENCE) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def post(port: int) -> dict[str, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("POST", "/", b"")
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["by itself", "preloaded"])
def test_all_workers_of_a_server_write_at_once(
    root: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    answers: list[dict[str, Any]] = []

    def ask() -> None:
        for _ in range(REQUESTS):
            answers.append(post(port))

    with small_server(root, tmp_path, *options) as port:
        clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    count = CLIENTS * REQUESTS
    assert sorted(answer["id"] for answer in answers) == list(range(1, count + 1))
    assert all(answer["seen"] for answer in answers)
    assert len({answer["process"] for answer in answers}) > 1
    assert in_file(root) == list(range(1, count + 1))  # up to date once the server has stopped


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["by itself", "preloaded"])
def test_a_killed_worker_takes_nothing_with_it(
    root: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with small_server(root, tmp_path, *options) as port:
        for number in range(1, 6):
            answer = post(port)
            assert answer["id"] == number and answer["seen"]
            os.kill(answer["process"], signal.SIGKILL)
            until_in_file(root, number)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["by itself", "preloaded"])
def test_neuralflow_serves_many_at_once(tmp_path: Path, options: tuple[str, ...]) -> None:
    server = prepared_server(tmp_path)
    ids: list[int] = []
    with started(server, options=options) as process:
        try:
            person = server.person("alice")

            def ask() -> None:
                for number in range(8):
                    status, task = person.call("POST", "tasks/", {"title": f"Run {number}"})
                    assert status == 201, task
                    ids.append(task["id"])

            clients = [threading.Thread(target=ask) for _ in range(8)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
        finally:
            process.terminate()
            process.wait(PATIENCE)
    assert sorted(ids) == list(range(1, 65))
    assert sorted(task["id"] for task in person.document("tasks", "tasks")["tasks"]) == sorted(ids)
