"""Interruptions: an exception at every bytecode boundary of the store's operations.

A signal handler's exception, one sent by another thread, or a `MemoryError` may occur between any
two instructions. This harness raises one at each boundary in turn: of a commit, of one that begins
a segment, of a read, a publication, a wait for the lock and the others, in the main thread and in
another. Afterwards the interrupted thread, another thread and another process each write in little
time. All of them and a process that opens the folder again read the same. The interrupted operation
happened as a whole or not at all, and acknowledged commits are there.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import docstore
from docstore import DocumentStore, Key, StoreError, Transaction
from docstore.backends.files.backend import FilesBackend
from docstore.disk.filesystem import FileSystem
from docstore.document import CollectionLayout
from tests.harness.apart import in_own_process, scratch
from tests.harness.report import Report

_NOTES: Final = CollectionLayout(name="notes", stem="notes", records="notes")
_LAYOUTS: Final = {_NOTES.name: _NOTES}
_KEYS: Final = (Key("notes", 1), Key("notes", 2))
_SEGMENT_BYTES: Final = 16 * 1024
_LARGE: Final = "x" * 12_000  # a segment has no room for two of these
# Seconds that a lock is waited for. A thread that waited that long was not woken, whatever the load
# of the machine. It counts as a fault even if the write succeeded.
TIMEOUT: Final = 10.0
HUNG_SECONDS: Final = 120
_TRACED: Final = (str(Path(docstore.__file__).parent), contextlib.__file__)
_REOPEN_EVERY: Final = 16
ERRORS: Final = (KeyboardInterrupt, MemoryError)


class Interruption:
    """A trace function that counts boundaries and raises at one of them.

    `hooks` are called when a function of that name begins. They release other threads before the
    traced thread waits for them.
    """

    def __init__(
        self, at: int, error: type[BaseException], hooks: dict[str, Callable[[], None]]
    ) -> None:
        self.at, self.error, self.hooks = at, error, hooks
        self.count = 0
        self.place = ""
        self.passed: list[tuple[CodeType, int]] | None = None if at else []
        self._known: dict[CodeType, bool] = {}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        is_known = self._known.get(code)
        if is_known is None:
            is_known = self._known[code] = code.co_filename.startswith(_TRACED)
        if not is_known:
            return None
        if code.co_name in self.hooks:
            self.hooks[code.co_name]()
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self._pass(frame)
        return self._inside

    def _inside(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            self._pass(frame)
        return self._inside

    def _pass(self, frame: FrameType) -> None:
        self.count += 1
        if self.passed is not None:
            self.passed.append((frame.f_code, frame.f_lasti))
        if self.count == self.at:
            name = Path(frame.f_code.co_filename).name
            self.place = f"{name}:{frame.f_lineno} {frame.f_code.co_name} +{frame.f_lasti}"
            raise self.error("interrupted by the test")

    def run(self, work: Callable[[], object]) -> bool:
        """Run `work`; return whether it ended without an interruption."""
        before = sys.gettrace()
        sys.settrace(self)
        try:
            work()
        except self.error:
            return False
        except StoreError:  # the store may have replaced the interruption by its own error
            return False
        finally:
            sys.settrace(before)
        return True


class Disk(FileSystem):
    """A file system in which a thread's sync waits until another thread is about to wait for it."""

    def __init__(self) -> None:
        self.in_sync, self.go_on = threading.Event(), threading.Event()
        self.waits_in = 0  # the thread whose syncs wait

    def sync_data(self, step: str, handle: int) -> None:
        if self.waits_in == threading.get_ident():
            self.in_sync.set()
            self.go_on.wait(TIMEOUT)
        super().sync_data(step, handle)


class World:
    """A folder, the store under attack, a peer in the role of another process, and other threads.

    `sure` is how often the documents were certainly changed, and `possible` how often at most.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = Disk()
        self.store, self.peer = self.opened(self.disk), self.opened()
        self.others = ThreadPoolExecutor(3)
        self._counting = threading.Lock()
        self.sure, self.possible = 0, 0
        self.store.change(self._begin)

    def opened(self, files: FileSystem | None = None) -> DocumentStore:
        backend = FilesBackend(
            self.folder,
            _LAYOUTS,
            files=files,
            background=False,
            lock_timeout=TIMEOUT,
            segment_bytes=_SEGMENT_BYTES,
        )
        return DocumentStore(backend, _LAYOUTS)

    @property
    def backend(self) -> FilesBackend:
        assert isinstance(self.store.backend, FilesBackend)
        return self.store.backend

    def _begin(self, transaction: Transaction) -> None:
        for key in _KEYS:
            transaction.create(key, {"notes": [], "count": 0})

    def add(self, store: DocumentStore, *, here: bool = False, large: bool = False) -> None:
        """Change both documents in one commit. It is certain once this returns."""

        def edit(transaction: Transaction) -> None:
            for key in _KEYS:
                content = transaction.document(key) or {}
                count = content["count"] + 1
                transaction.set(key, {"count": count})
                transaction.put(key, {"id": count % 5 + 1, "text": _LARGE if large else "note"})

        with self._counting:
            self.possible += 1
        store.change(edit, here=here)
        with self._counting:
            self.sure += 1

    def close(self) -> None:
        self.others.shutdown()
        for store in (self.store, self.peer):
            with suppress(StoreError):
                store.close()

    # What must hold

    def check(self, *, reopens: bool) -> list[str]:
        """Return what is wrong after an interruption. The interrupted thread calls it."""
        faults = []
        for who, work in (
            ("the thread that was interrupted", lambda: self.add(self.store)),
            ("another thread", lambda: self.others.submit(self.add, self.store).result()),
            ("another process", lambda: self.add(self.peer)),
            ("the thread that was interrupted, later", lambda: self.add(self.store)),
        ):
            began = time.monotonic()
            try:
                work()
            except Exception as fault:
                faults.append(f"{who} cannot write: {fault!r}")
            self._settle_count()
            if time.monotonic() - began >= TIMEOUT:
                faults.append(f"{who} waited {time.monotonic() - began:.1f} s")
        views = {"the store": self._seen(self.store), "another process": self._seen(self.peer)}
        if reopens:
            store = self.opened()
            views["who opens it anew"] = self._seen(store)
            store.close()
        for who, seen in views.items():
            if seen != [self.sure, self.sure]:
                faults.append(f"{who} reads {seen} where {self.sure} changes are acknowledged")
        return faults

    def _seen(self, store: DocumentStore) -> list[object]:
        seen: list[object] = []
        for key in _KEYS:
            try:
                document = store.read(key)
            except StoreError as fault:
                seen.append(repr(fault))
                continue
            assert document is not None
            content = document.content
            is_right = content["revision"] == content["count"] + 1
            seen.append(content["count"] if is_right else f"revision {content['revision']}")
        return seen

    def _settle_count(self) -> None:
        """Determine from the documents whether the interrupted change happened.

        The caller has made a later change durable.
        """
        seen = self._seen(self.peer)[0]
        if isinstance(seen, int) and self.sure <= seen <= self.possible:
            self.sure = seen
        self.possible = self.sure


# The operations. Each prepares the world, and yields the work to interrupt and the hooks.

Work = tuple[Callable[[], object], dict[str, Callable[[], None]]]


@contextmanager
def _commit(world: World) -> Iterator[Work]:
    yield lambda: world.add(world.store), {}


@contextmanager
def _commit_here(world: World) -> Iterator[Work]:
    yield lambda: world.add(world.store, here=True), {}


@contextmanager
def _commit_of_a_new_segment(world: World) -> Iterator[Work]:
    yield lambda: world.add(world.store, large=True), {}


@contextmanager
def _commit_after_another_process(world: World) -> Iterator[Work]:
    world.add(world.peer)
    yield lambda: world.add(world.store), {}


@contextmanager
def _exclusive(world: World) -> Iterator[Work]:
    def work() -> None:
        with world.backend.exclusive():
            world.add(world.store)

    yield work, {}


@contextmanager
def _read(world: World) -> Iterator[Work]:
    yield lambda: world.store.read(_KEYS[0]), {}


@contextmanager
def _read_of_news(world: World) -> Iterator[Work]:
    world.add(world.peer)
    yield lambda: [world.store.read(key) for key in _KEYS], {}


@contextmanager
def _read_of_a_file(world: World) -> Iterator[Work]:
    """Read files that another program has replaced, so that they are parsed again."""
    world.store.publish()
    for key in _KEYS:
        path = world.backend.path(key)
        draft = path.with_name("draft~")
        draft.write_bytes(path.read_bytes())
        draft.replace(path)
    yield lambda: [world.store.read(key) for key in _KEYS], {}


@contextmanager
def _publication(world: World) -> Iterator[Work]:
    world.add(world.store)
    yield world.store.publish, {}


@contextmanager
def _checkpoint(world: World) -> Iterator[Work]:
    world.add(world.store)
    yield world.backend.checkpoint, {}


@contextmanager
def _background(world: World) -> Iterator[Work]:
    """Run what the publishing thread does."""
    world.add(world.store)
    yield world.backend._loop.tick, {}


@contextmanager
def _snapshot(world: World) -> Iterator[Work]:
    def work() -> None:
        with world.backend.pinned():
            pass

    yield work, {}


@contextmanager
def _reopening(world: World) -> Iterator[Work]:
    def work() -> None:
        world.store.close()
        world.store.read(_KEYS[0])
        world.add(world.store)

    yield work, {}


@contextmanager
def _opening_alone(world: World) -> Iterator[Work]:
    world.peer.close()
    with _reopening(world) as (work, hooks):
        yield work, hooks


@contextmanager
def _wait_for_another_leader(world: World) -> Iterator[Work]:
    """Wait for another leader, as a third thread does; both must come to an end."""
    led, go_on = threading.Event(), threading.Event()

    def slow(transaction: Transaction) -> None:
        led.set()
        go_on.wait(TIMEOUT)

    leader = world.others.submit(world.store.change, slow)
    led.wait()
    waiting = []

    def begin_to_wait() -> None:
        if not waiting:
            waiting.append(world.others.submit(world.add, world.store))
            while len(world.backend._group._queue) < 2 and not waiting[0].done():
                time.sleep(0)
            go_on.set()

    try:
        yield lambda: world.add(world.store), {"_wait": begin_to_wait}
    finally:
        go_on.set()
        for future in (leader, *waiting):
            with suppress(StoreError, *ERRORS):  # the leader may have run its change
                future.result()


@contextmanager
def _wait_in_line(world: World) -> Iterator[Work]:
    """Wait for the lock, which another thread holds."""
    has_it, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with world.backend.exclusive():
            has_it.set()
            go_on.wait(TIMEOUT)

    holder = world.others.submit(hold)
    has_it.wait()

    try:
        yield lambda: world.add(world.store, here=True), {"enter": go_on.set}
    finally:
        go_on.set()
        holder.result()


@contextmanager
def _wait_for_a_sync(world: World) -> Iterator[Work]:
    """Wait for the sync of another thread, which also covers later commits."""
    world.disk.in_sync.clear()
    world.disk.go_on.clear()

    def write() -> None:
        world.disk.waits_in = threading.get_ident()
        try:
            world.add(world.store, here=True)
        finally:
            world.disk.waits_in = 0

    writer = world.others.submit(write)
    world.disk.in_sync.wait()
    try:
        yield lambda: world.add(world.store, here=True), {"_settle": world.disk.go_on.set}
    finally:
        world.disk.go_on.set()
        with suppress(StoreError, *ERRORS):
            writer.result()


OPERATIONS: Final = {
    "commit": _commit,
    "commit on its own thread": _commit_here,
    "commit that begins a segment": _commit_of_a_new_segment,
    "commit after another process": _commit_after_another_process,
    "commit under one's own lock": _exclusive,
    "read": _read,
    "read of news": _read_of_news,
    "read of a file": _read_of_a_file,
    "publication": _publication,
    "checkpoint": _checkpoint,
    "background": _background,
    "snapshot": _snapshot,
    "reopening": _reopening,
    "opening alone": _opening_alone,
    "wait for another leader": _wait_for_another_leader,
    "wait in line": _wait_in_line,
    "wait for a sync": _wait_for_a_sync,
}


# The operations with every boundary tried.
_EVERY: Final = frozenset({"commit", "read", "publication", "wait in line", "wait for a sync"})


class Attack:
    """Interrupts operations, each at one boundary after the other."""

    def __init__(self, folder: Path, report: Report) -> None:
        self._folder, self._report = folder, report
        self._worlds = 0
        self.met: Counter[str] = Counter()
        self.worker = ThreadPoolExecutor(1)
        self.world = self._new_world()

    def _new_world(self) -> World:
        self._worlds += 1
        return World(self._folder / str(self._worlds))

    def points(self, name: str) -> list[int]:
        """Return the boundaries of an operation to try.

        These are all, or the first and the last pass of each bytecode. The operation runs twice
        before it is recorded, to warm caches.
        """
        for _ in range(3):
            with OPERATIONS[name](self.world) as (work, hooks):
                interruption = Interruption(0, MemoryError, hooks)
                interruption.run(work)
        passed = interruption.passed or []
        if name in _EVERY:
            return list(range(1, len(passed) + 1))
        last = {place: at for at, place in enumerate(passed, 1)}
        first = {place: at for at, place in reversed([*enumerate(passed, 1)])}
        return sorted({*first.values(), *last.values()})

    def once(self, name: str, at: int, error: type[BaseException], *, worker: bool) -> None:
        """Interrupt the operation at a boundary, and report what is wrong afterwards."""

        def try_it() -> list[str]:
            world = self.world
            with OPERATIONS[name](world) as (work, hooks):
                interruption = Interruption(at, error, hooks)
                is_whole = interruption.run(work)
            self.met[name] += not is_whole
            faults = world.check(reopens=at % _REOPEN_EVERY == 0)
            where = f"{name}, {error.__name__} at boundary {at}, {interruption.place}"
            return [f"{where}: {fault}" for fault in faults]

        faults = self.worker.submit(try_it).result() if worker else try_it()
        self._report.cases += 1
        if faults:
            self._report.lose("; ".join(faults))
            self.world.close()
            self.world = self._new_world()

    def close(self) -> None:
        self.world.close()
        self.worker.shutdown()


def attack(count: int, seed: int) -> Report:
    report = Report("interruptions")
    faulthandler.dump_traceback_later(HUNG_SECONDS, exit=True)
    with scratch("interruptions") as folder, ExitStack() as stack:
        main_attack = Attack(folder, report)
        stack.callback(main_attack.close)
        points = [(name, at) for name in OPERATIONS for at in main_attack.points(name)]
        report.notes.append(f"{len(points)} boundaries of {len(OPERATIONS)} operations")
        for number in range(count):
            # All boundaries, then all again in the other thread, then with the other exception, and
            # so on. For a smaller count, that many of them, spread evenly.
            lap, rest = divmod(number, len(points))
            place = rest if count >= len(points) else number * len(points) // count + seed
            name, at = points[place % len(points)]
            turn = lap if count >= len(points) else number
            faulthandler.dump_traceback_later(HUNG_SECONDS, exit=True)
            main_attack.once(name, at, ERRORS[turn // 2 % 2], worker=turn % 2 == 1)
        for name, met in main_attack.met.items():
            report.notes.append(f"  {name}: {met} interrupted")
        _send(main_attack, report, max(20, count // 100), seed)
    faulthandler.cancel_dump_traceback_later()
    return report


def _send(here: Attack, report: Report, times: int, seed: int) -> None:
    """Raise exceptions from another thread and from a signal, at random lines, while threads write.

    They also occur outside of the engine.
    """
    dice = random.Random(seed)
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    raise_in.argtypes = (ctypes.c_ulong, ctypes.py_object)
    main = threading.get_ident()

    def write() -> None:
        with suppress(MemoryError, StoreError):
            for _ in range(10):
                here.world.add(here.world.store)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupted)
    try:
        for number in range(times):
            faulthandler.dump_traceback_later(HUNG_SECONDS, exit=True)
            thread = threading.Thread(target=write)
            thread.start()
            with suppress(KeyboardInterrupt, StoreError):
                signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.000_2, 0.004))
                for _ in range(10):
                    here.world.add(here.world.store)
                    if dice.random() < 0.2 and thread.ident not in (None, main):
                        raise_in(thread.ident, MemoryError)
            signal.setitimer(signal.ITIMER_REAL, 0)
            with suppress(KeyboardInterrupt):  # raised at the last moment
                thread.join()
            thread.join()
            faults = here.world.check(reopens=True)
            report.cases += 1
            if faults:
                report.lose(f"sent exceptions, round {number}: {'; '.join(faults)}")
                here.world = here._new_world()
    finally:
        signal.signal(signal.SIGALRM, before)


def run(count: int, seed: int) -> Report:
    """Try `count` boundaries, evenly spread; above the number of boundaries, all of them again."""
    return in_own_process(__name__, count, seed).finish(count)
