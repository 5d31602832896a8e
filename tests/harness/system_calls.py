"""Failures of every state-changing system call of every operation.

A point is an operation, a way to fail, and the number of the call that fails, counted over all
threads of the process (so with concurrent threads a number may not mean the same call twice). A
forked child runs each point on a copy of a small store, and another child then opens the store and
judges it. A failed operation must have raised or be complete, reads must continue, and the store
must work again as soon as it may.

A small library (`faulty_calls.c`), compiled here and preloaded, intercepts the calls.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from docstore import (
    DocumentStore,
    Key,
    OutOfSpace,
    StoreError,
    Unavailable,
    check_snapshot,
    snapshots,
    take_snapshot,
)
from tests.harness.apart import in_own_process, scratch, start, wait
from tests.harness.report import CannotRun, Report
from tests.harness.stamps import Judge, Writer, opened, verdict

LIBRARY: Final = "FAULTY_CALLS"
ONLY: Final = "FAULTY_CALLS_ONLY"  # the name of the only way to fail to try; all if not set
HUNG_SECONDS: Final = 60
WORKERS: Final = 2
A, B, NEW = Key("notes", 1), Key("notes", 2), Key("notes", 3)
HOST, LONELY = Key("people", 1), Key("people", 2)  # the first one has a guest
DOCUMENTS: Final = [A, B, NEW, HOST, LONELY]
KILLED: Final = -signal.SIGKILL


@dataclass(frozen=True)
class Mode:
    """A way to fail; `how` is the library's number for it."""

    name: str
    how: int
    error: int = 0
    opens: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def kills(self) -> bool:
        return self.how in (1, 2, 5)


MODES: Final = [
    Mode("killed before", 1),
    Mode("killed after", 2),
    Mode("half written, then killed", 5),
    Mode("short write", 6),
    Mode("EIO once", 3, errno.EIO),
    Mode("ENOSPC once", 3, errno.ENOSPC),
    Mode("ENOSPC from then on", 4, errno.ENOSPC),
    Mode("EMFILE once", 3, errno.EMFILE, opens=True),
    Mode("EINTR once", 3, errno.EINTR),
]
OFF: Final = Mode("no fault", 0)


@dataclass(frozen=True)
class Point:
    operation: str
    mode: Mode
    number: int
    template: int

    def __str__(self) -> str:
        return f"{self.operation}, {self.mode.name} at call {self.number}, store {self.template}"


# Operations


def _crowd(writer: Writer, folder: Path) -> None:
    """Write in three threads at once, which may share one sync."""
    faults: list[BaseException] = []

    def work(number: int, key: Key) -> None:
        mine = Writer(writer.store, f"{writer.name}-{number}", writer._mark, random.Random(number))
        try:
            mine.change([key], mine.add)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate([A, B, A])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for fault in sorted(faults, key=lambda fault: isinstance(fault, StoreError)):
        raise fault


def _reopen(writer: Writer, folder: Path) -> None:
    writer.store.close()
    writer.store = opened(folder / "data")
    writer.change([A], writer.add)


def _large(writer: Writer, folder: Path) -> None:
    writer.change([B], lambda transaction, key: transaction.set(key, {"large": "x" * 200_000}))


OPERATIONS: Final[dict[str, Callable[[Writer, Path], None]]] = {
    "create": lambda writer, folder: writer.change([NEW], writer.add),
    "add": lambda writer, folder: writer.change([A], writer.add),
    "update": lambda writer, folder: writer.change([A], writer.update),
    "remove": lambda writer, folder: writer.change([A], writer.remove),
    "append": lambda writer, folder: writer.change([HOST], writer.append),
    "drop": lambda writer, folder: writer.change([HOST], writer.drop_guest),
    "guest": lambda writer, folder: writer.change([LONELY], writer.play_host),
    "pair": lambda writer, folder: writer.change([A, B], writer.add),
    "relaxed": lambda writer, folder: writer.change([A], writer.touch, relaxed=True),
    "relaxed pair": lambda writer, folder: writer.change([A, HOST], writer.touch, relaxed=True),
    "large": _large,
    "crowd": _crowd,
    "reopen": _reopen,
    "snapshot": lambda writer, folder: take_snapshot(writer.store, folder / "backups") and None,
}


# In the process of the tests


@cache
def compiled(folder: Path) -> Path:
    """Compile the library and return its path. Raises `CannotRun` if there is no compiler."""
    library = folder / "faulty_calls.so"
    source = Path(__file__).with_name("faulty_calls.c")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise CannotRun("there is no C compiler to make the failing system calls with")
    options = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([compiler, *options, "-o", library, source, "-ldl"], check=True)
    return library


def run(count: int, seed: int, planted: str = "", only: str = "") -> Report:
    """Try `count` points, spread evenly; above the number of points, again with fresh stores.

    `only` is the name of a mode, and restricts the points to that.
    """
    with scratch("library") as folder:
        library = str(compiled(folder))
        environment = {"LD_PRELOAD": library, LIBRARY: library, ONLY: only}
        report = in_own_process(__name__, count, seed, planted=planted, environment=environment)
    return report.finish(count)


# In the process with the preloaded library


def attack(count: int, seed: int) -> Report:
    report = Report("system calls")
    met: Counter[str] = Counter()
    with scratch("calls") as folder:
        while report.cases < count:
            share = partial(_share, folder, count - report.cases, seed)
            workers = [start(partial(share, worker)) for worker in range(WORKERS)]
            ends = [wait(worker) for worker in workers]
            if any(ends):
                raise AssertionError("system calls: a part failed; see what it printed")
            for worker in range(WORKERS):
                cases, met_there, faults = json.loads((folder / f"{worker}.json").read_text())
                report.cases += cases
                met.update(met_there)
                for fault in faults:
                    report.lose(fault)
            seed += 1
    report.notes.append(f"faults met: {', '.join(f'{met[mode.name]} {mode}' for mode in MODES)}")
    return report


def _share(folder: Path, count: int, seed: int, worker: int) -> None:
    """Run one worker's share of the points of three fresh stores, or of `count` of them."""
    library = ctypes.CDLL(os.environ[LIBRARY])
    place = folder / f"{worker}"
    trials = [_Trial(place / str(template), library, seed, template) for template in range(3)]
    points = [point for trial in trials for point in trial.points()]
    count = min(count, len(points))
    met: Counter[str] = Counter()
    faults = []
    for index in range(worker, count, WORKERS):
        point = points[index * len(points) // count]
        problems = trials[point.template].run(point)
        met[point.mode.name] += trials[point.template].met
        if problems:
            faults.append(f"{point} (seed {seed}): {'; '.join(problems)}")
    cases = len(range(worker, count, WORKERS))
    (folder / f"{worker}.json").write_text(json.dumps([cases, met, faults]))
    shutil.rmtree(place)


class _Trial:
    """The points of one store.

    Store 0 was closed in order, and store 1 left by a killed process. Store 2 was closed in order,
    and another process, the *peer*, has it open all the time.
    """

    def __init__(self, folder: Path, library: Any, seed: int, template: int) -> None:
        self._library, self._seed, self._number = library, seed, template
        self._template, self._copy = folder / "template", folder / "copy"
        self.met = False  # whether the last point's call was made
        self._marks, self._told = folder / "marks", folder / "told"
        self._template.mkdir(parents=True)
        _in_child(self._make)
        self._past = self._marks.read_bytes()

    def _writer(self, store: DocumentStore) -> Writer:
        marks = os.open(self._marks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        dice = random.Random(f"{self._seed} {self._number}")
        return Writer(store, f"w{marks}", lambda mark: os.write(marks, mark) and None, dice)

    def _make(self) -> None:
        store = opened(self._template / "data")
        writer = self._writer(store)
        writer.name = "template"
        for _ in range(3):
            writer.change([A, B], writer.add)
        writer.change([HOST], writer.play_host)
        for _ in range(writer.dice.randrange(6)):
            writer.change([B], writer.add)
        writer.change([LONELY], writer.append)
        if self._number != 1:
            store.close()

    def points(self) -> Iterator[Point]:
        for operation in OPERATIONS:
            calls = self._count(operation)
            for mode in MODES:
                if os.environ.get(ONLY) not in ("", None, mode.name):
                    continue
                for number in range(1, calls[mode.opens] + 1):
                    yield Point(operation, mode, number, self._number)

    def _count(self, operation: str) -> list[int]:
        """Return how many calls an undisturbed run makes: those that change files, and openings."""
        self._restore()

        def count() -> None:
            self._play(Point(operation, OFF, 0, self._number))
            counts = [self._library.faulty_count(opens) for opens in (False, True)]
            self._told.write_text(json.dumps(counts))

        if _in_child(count) != 0:
            raise AssertionError(f"system calls: {operation} fails without a fault")
        return list(json.loads(self._told.read_text()))

    def _restore(self) -> None:
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._template, self._copy, symlinks=True)
        self._marks.write_bytes(self._past)
        self._told.write_bytes(b"")

    def run(self, point: Point) -> list[str]:
        """Run the point and judge the store; return what is wrong."""
        self._restore()
        with self._peer(point) if self._number == 2 else nullcontext():
            status = _in_child(lambda: self._play(point))
        faults = self._told.read_text().splitlines()
        self.met = status == KILLED or "met" in faults
        faults = [fault for fault in faults if fault != "met"]
        if status not in (0, KILLED) or (status == KILLED and not point.mode.kills):
            faults.append(f"the process ended with {status}")
        self._told.write_bytes(b"")
        if _in_child(self._judge) != 0:
            faults.append("the judge did not finish")
        return faults + self._told.read_text().splitlines()

    @contextmanager
    def _peer(self, point: Point) -> Iterator[None]:
        """Run another process that has the store open, and continues with it afterwards."""
        ready, told_ready = os.pipe()
        go, told_go = os.pipe()

        def live() -> None:
            signal.alarm(HUNG_SECONDS)
            writer = self._writer(opened(self._copy / "data"))
            writer.name = "peer"
            self._look(writer)
            os.write(told_ready, b".")
            os.read(go, 1)
            self._look(writer)
            fault = self._try(writer)
            if fault and not (point.mode.error == errno.EIO and isinstance(fault, Unavailable)):
                self._tell(f"another process cannot go on: {fault!r}")
            self._look(writer)
            writer.store.close()

        peer = start(live)
        os.close(told_ready)
        os.read(ready, 1)
        try:
            yield
        finally:
            os.write(told_go, b".")
            if wait(peer) != 0:
                self._tell("the other process failed; see what it printed")
            for end in (ready, go, told_go):
                os.close(end)

    def _tell(self, fault: str) -> None:
        with self._told.open("a") as file:
            file.write(fault.replace("\n", " ") + "\n")

    def _arm(self, point: Point) -> None:
        prefix, mode = os.fsencode(self._copy), point.mode
        self._library.faulty_arm(
            prefix, ctypes.c_long(point.number), mode.how, mode.error, mode.opens
        )

    def _met(self, point: Point) -> bool:
        return 0 < point.number <= self._library.faulty_count(point.mode.opens)

    def _play(self, point: Point) -> None:
        """Run the operation with the fault, then check whether the store still works."""
        writer = self._writer(opened(self._copy / "data"))
        writer.name = "point"
        self._arm(point)
        try:
            OPERATIONS[point.operation](writer, self._copy)
        except StoreError as fault:
            if point.mode.how in (0, 6):
                self._tell(f"raised for nothing: {fault!r}")
        except BaseException as fault:
            self._tell(f"not the store's word: {fault!r}")
        reopened = not self._met(point) or point.mode.how in (0, 6)
        if reopened:
            self._close(writer)
        if self._met(point):
            self._tell("met")
        if point.mode.error:
            self._ask(point, writer, reopened)
            self._close(writer)

    def _close(self, writer: Writer) -> None:
        """Close and open the store again; both may meet the fault."""
        try:
            writer.store.close()
            writer.store = opened(self._copy / "data")
        except StoreError:
            self._library.faulty_disarm()
            writer.store = opened(self._copy / "data")
        except BaseException as fault:
            self._tell(f"closing: not the store's word: {fault!r}")

    def _ask(self, point: Point, writer: Writer, reopened: bool) -> None:
        """Check the promises in a process that met an error."""
        thread = self._library.faulty_thread_of_sync()
        met = self._met(point)
        if point.mode.opens:  # a read opens files, too
            self._library.faulty_disarm()
        self._look(writer)
        if met and point.mode.how == 4 and not reopened:
            fault = self._try(writer)
            if not isinstance(fault, OutOfSpace):
                self._tell(f"on a full disk a write gave {fault!r}")
            self._look(writer)
        self._library.faulty_disarm()
        if point.mode.error != errno.EIO:
            if not self._within(1.0, lambda: self._try(writer) is None):
                self._tell(f"cannot write a second after the fault: {self._try(writer)!r}")
        elif thread and not reopened and point.operation != "snapshot":
            # Another thread that met the fault may still be about to report it. (A snapshot is
            # separate from the store: it may fail alone.)
            wait = 0.0 if thread == threading.get_native_id() else 1.0
            if not self._within(wait, lambda: isinstance(self._try(writer), Unavailable)):
                self._tell("writes go on after a sync that failed")
        self._look(writer)

    @staticmethod
    def _within(seconds: float, holds: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + seconds
        while not (held := holds()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return held

    def _look(self, writer: Writer) -> None:
        for key in DOCUMENTS:
            try:
                writer.look(key)
            except Exception as fault:
                self._tell(f"reading {key} raised {fault!r}")

    def _try(self, writer: Writer) -> Exception | None:
        try:
            writer.change([B], writer.touch)
        except StoreError as fault:
            return fault
        except Exception as fault:
            self._tell(f"not the store's word: {fault!r}")
            return fault
        return None

    def _judge(self) -> None:
        judge = Judge(forgetful=False)
        judge.take(self._marks.read_bytes())
        for fault in verdict(self._copy / "data", judge):
            self._tell(fault)
        try:
            store = opened(self._copy / "data")
            writer = self._writer(store)
            writer.name = "after"
            writer.change([A], writer.add)
            for name in snapshots(self._copy / "backups"):
                check_snapshot(store, self._copy / "backups" / name)
            store.close()
        except StoreError as fault:
            self._tell(f"the next process cannot go on: {fault!r}")


def _in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked process; return its exit code as in `subprocess`."""

    def limited() -> None:
        signal.alarm(HUNG_SECONDS)
        work()

    return wait(start(limited))
