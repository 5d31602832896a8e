"""Power cuts after every operation on a simulated disk, and during recovery.

A workload of several processes, interleaved in one thread, changes a few documents. After each
elementary operation of the disk, the harness makes several images that a cut at this moment could
leave, and opens a store on every image not seen before. The store must show the state after one of
the commits: no earlier than the last one that a caller was told of or has read, and no later than
the last one begun. A second recovery and the files must show the same. Sometimes the workload
continues on such a recovered image.

Every other workload merges manual edits. There, a person also saves a document in the moment in
which its file is replaced, once or twice. Each save must be merged or set aside.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import msgspec

from docstore import CollectionLayout, HistoryGone, Key, Transaction
from docstore.backends.files.backend import FilesBackend
from docstore.backends.files.publisher import History
from docstore.merging import merge_file
from docstore.store import DocumentStore
from tests.harness.report import Report
from tests.harness.simulated_disk import WAYS, Disk, SimulatedFileSystem

ROOT: Final = Path("/sim/data")
NOTES: Final = CollectionLayout(name="notes", stem="notes", records="notes")
PEOPLE: Final = CollectionLayout(name="people", stem="person", records="log")
LAYOUTS: Final = {layout.name: layout for layout in (NOTES, PEOPLE)}
KEYS: Final = (Key("notes", 1), Key("notes", 2), Key("people", 1))
SEGMENT_BYTES: Final = 4096
# The kinds of cut at each moment: see `Disk.crash`.
CUTS: Final = ("none", "all", "random", "random", "torn", "torn")

_ALONE_MAX: Final = 100_000  # states in one process
_DEPTH_MAX: Final = 3  # nested cuts of recoveries

State = dict[Key, Any]  # the content of each existing document


class Lost(AssertionError):
    """The store broke a promise."""


@dataclass
class Trial:
    """A workload with its cuts. Raises `Lost` at the first broken promise."""

    seed: int
    states_max: int = 1 << 60
    merges: bool = False
    operations: int = 60
    states: int = 0
    in_recovery: int = 0
    cuts_again: float = 0.1  # the share of recoveries that are cut, too
    ends: float = 0.01  # the share of disk operations that end the workload, to continue

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.disk = Disk(str(ROOT))
        self.history: list[State] = [{}]  # the state after each commit
        self.relaxed: list[bool] = [False]
        self.sure = 0  # the last commit that no cut may undo
        self.known: set[object] = set()
        self.doing = "opening"
        self.stores: list[DocumentStore] = []
        self.acting: DocumentStore | None = None
        self.told: dict[int, str] = {}  # what the change feed returned: the request of each number
        self.through = 0
        self.saved: tuple[Key, int] | None = None  # in the moment of a publication, and its number
        self.displaced: list[int] = []  # saves that another one followed before they were merged
        # The image to continue on, with the bounds and what the feed had returned by then.
        self.left: tuple[Disk, int, int, dict[int, str], int] | None = None

    # The workload

    def run(self) -> None:
        self.disk.watch = self.cut
        self.open()
        for _ in range(self.operations):
            if self.states >= self.states_max:
                return
            self.doing, operation = self._choose()
            operation()
            while self.left:
                self._go_on(*self.left)

    def _choose(self) -> tuple[str, Callable[[], None]]:
        names = list(_OPERATIONS)
        name = self.dice.choices(names, [_OPERATIONS[name] for name in names])[0]
        return name, getattr(self, f"do_{name}")

    def open(self) -> None:
        self.stores = []
        for _ in range(self.dice.choice((1, 1, 2))):
            self.stores.append(self._store(self.disk))

    def _store(self, disk: Disk) -> DocumentStore:
        backend = FilesBackend(
            ROOT,
            LAYOUTS,
            files=SimulatedFileSystem(disk),
            background=False,
            segment_bytes=SEGMENT_BYTES,
            history=History(bytes_max=3 * SEGMENT_BYTES),
        )
        store = DocumentStore(backend, LAYOUTS, self._clock)
        if self.merges:
            store.merge_files_with(merge_file)
        return store

    def _clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    @property
    def store(self) -> DocumentStore:
        """Choose the store that acts next."""
        self.acting = self.dice.choice(self.stores)
        return self.acting

    @property
    def backend(self) -> Any:
        return self.store.backend

    def do_commit(self) -> None:
        self._change(self.store, relaxed=False)
        self.sure = len(self.history) - 1

    def do_relaxed(self) -> None:
        self._change(self.store, relaxed=True)

    def do_together(self) -> None:
        """Make some commits under one lock: leaving it waits for all of them."""
        store = self.store
        with store.backend.exclusive():
            for _ in range(self.dice.randrange(2, 5)):
                self._change(store, relaxed=self.dice.random() < 0.3)
        self._rely_on(len(self.history) - 1)

    def do_read(self) -> None:
        """Read. No cut may undo a commit from now on that a reader has seen."""
        self._note_seen(self.store)

    def do_publish(self) -> None:
        if self.merges:
            self.saved, self.disk.before_exchange = None, self._save_by_hand
        self.backend.publish()
        self.disk.before_exchange = None

    def _save_by_hand(self, path: str) -> None:
        """Save the document as a person does, in the moment in which its file is replaced."""
        key = next(key for key in KEYS if str(path_of(key)) == path)
        content = msgspec.json.decode(self.disk.content(path))
        ours = self.history[-1].get(key)
        if self.left or ours is None or content["birth"] != ours["birth"]:
            return  # of a document that was deleted meanwhile
        images = self.disk.folders.get(f"{ROOT}/.neuralflow/images/{key.collection}")
        if images is None or f"{key.owner}.image" not in images.durable:
            return  # without an image, the save is not merged but accepted as it is
        if self.saved is None:
            if self.dice.random() < 0.5:
                return
            self.saved = key, self.dice.randrange(1 << 40)
        else:
            self.disk.before_exchange = None
            if key != self.saved[0] or content.get("by hand") == self.saved[1]:
                return  # the first save is being merged
            self.displaced.append(self.saved[1])
            self.saved = key, self.dice.randrange(1 << 40)
        fields = {"by hand": self.saved[1]}
        self.disk.put(path, msgspec.json.encode(content | fields))
        is_first = self.disk.before_exchange is not None
        self._begin(self.history[-1] | {key: ours | fields}, relaxed=False)
        if is_first:
            self.sure = len(self.history) - 1

    def do_checkpoint(self) -> None:
        store = self.store
        store.backend.checkpoint()
        self.sure = self._shown(store, self.sure, len(self.history) - 1)

    def do_reopen(self) -> None:
        self._close()
        self.sure = len(self.history) - 1
        self._check_files(self.disk, self.history[-1])
        self.open()

    def do_hand_edit(self) -> None:
        self.do_checkpoint()
        present = sorted(self.history[-1])
        if not present:
            return
        key = self.dice.choice(present)
        if self.merges:
            self._merge_by_hand(key)
            return
        content = self.history[-1][key] | {"by hand": self.dice.randrange(1000)}
        if self.dice.random() < 0.5:
            content.pop("revision", None)
        self._begin(self.history[-1] | {key: content}, relaxed=False)
        self.disk.put(path_of(key), msgspec.json.encode(content))
        self.sure = len(self.history) - 1

    def _merge_by_hand(self, key: Key) -> None:
        ours, fields = self.history[-1][key], {"by hand": self.dice.randrange(1 << 40)}
        content = msgspec.json.decode(self.disk.content(path_of(key))) | fields
        self._begin(self.history[-1] | {key: ours | fields}, relaxed=False)
        self.disk.put(path_of(key), msgspec.json.encode(content))
        self.sure = len(self.history) - 1
        self._note_seen(self.store)

    def do_restore(self) -> None:
        """Restore the files of an earlier state, all or none."""
        self.do_checkpoint()
        old = self.history[self.dice.randrange(len(self.history))]
        contents = {
            str(path_of(key).relative_to(ROOT)): msgspec.json.encode(old[key])
            if key in old
            else None
            for key in KEYS
        }
        self._begin(old, relaxed=False)
        self.backend.replace(contents)
        self.sure = len(self.history) - 1

    def do_cut(self) -> None:
        """Cut the power; the workload continues with what is left."""
        self._end_with(self.disk.crash(self.dice, self.dice.choice(WAYS)))

    def do_kill(self) -> None:
        """Kill all processes; the system goes on."""
        self._end_with(self.disk.kill())

    def _end_with(self, disk: Disk) -> None:
        if self.left is None:
            self.left = disk, self.sure, len(self.history) - 1, dict(self.told), self.through

    def _go_on(self, disk: Disk, least: int, most: int, told: dict[int, str], through: int) -> None:
        self.disk.watch, self.left = None, None
        self.disk, self.told, self.through = disk, told, through
        self.known.clear()
        del self.history[most + 1 :], self.relaxed[most + 1 :]
        self.sure = least
        disk.watch = self.cut
        self.open()
        if self.left is None:
            store = self.store
            if self.merges:
                store.publish()
            last = self._shown(store, least, most)
            del self.history[last + 1 :], self.relaxed[last + 1 :]
            self.sure = last

    def _close(self) -> None:
        self.dice.shuffle(self.stores)
        while self.stores:
            self.acting = self.stores.pop()
            self.acting.close()

    # Changes

    def _begin(self, state: State, relaxed: bool) -> None:
        self.history.append(state)
        self.relaxed.append(relaxed)

    def _change(self, store: DocumentStore, relaxed: bool) -> None:
        keys = self.dice.sample(KEYS, self.dice.choice((1, 1, 1, 2, 3)))

        def edit(transaction: Transaction) -> None:
            self._forget_what_is_not_there(transaction)
            before = self.history[-1]
            state = dict(before)
            for key in keys:
                self._alter(transaction, key)
                state.pop(key, None)
                content = transaction.document(key)
                if content is not None:
                    state[key] = self._expected(before.get(key), content, transaction)
            self._begin(state, relaxed)

        store.change(edit, relaxed=relaxed, actor="7", request_id=str(len(self.history)))

    def _forget_what_is_not_there(self, transaction: Transaction) -> None:
        """Drop commits from the history that did not happen, after an error or before a retry."""
        documents = {key: transaction.document(key) for key in KEYS}
        shown = {
            key: self._compared(_plain(content))
            for key, content in documents.items()
            if content is not None
        }
        number = self._number_of(shown, self.sure, len(self.history) - 1)
        del self.history[number + 1 :], self.relaxed[number + 1 :]

    def _expected(self, before: Any, content: Any, transaction: Transaction) -> Any:
        revision = (before or {}).get("revision", 0) + 1  # not compared where saves are merged
        stamp = transaction.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return self._compared(_plain(content) | {"updated_at": stamp, "revision": revision})

    def _compared(self, content: Any) -> Any:
        """Return the predictable part of a document, whether a save was merged or accepted."""
        if not self.merges:
            return content
        varying = ("updated_at", "revision")
        return {name: value for name, value in content.items() if name not in varying}

    def _alter(self, transaction: Transaction, key: Key) -> None:
        content, dice = transaction.document(key), self.dice
        if content is None:
            birth = {"n": dice.random(), "birth": dice.random()}
            transaction.create(key, {LAYOUTS[key.collection].records: [], **birth})
            return
        records = transaction.records(key)
        if dice.random() < 0.1:
            transaction.drop(key)
            if dice.random() < 0.5:
                birth = {"again": True, "birth": dice.random()}
                transaction.create(key, {LAYOUTS[key.collection].records: [], **birth})
        elif key.collection == "people":
            transaction.append(key, {"text": self._text()})
            transaction.set(key, {"n": dice.random()})
        elif len(records) > 6 or (records and dice.random() < 0.2):
            transaction.remove(key, dice.choice(records)["id"])
            transaction.set(key, {"n": dice.random()})
        elif records and dice.random() < 0.4:
            transaction.put(key, dice.choice(records) | {"text": self._text(), "n": dice.random()})
        else:
            transaction.put(key, {"id": transaction.new_id(key), "text": self._text()})

    def _text(self) -> str:
        size = self.dice.choice(
            (3, 30, 30, 300, 900, 2 * SEGMENT_BYTES * (self.dice.random() < 0.1))
        )
        return f"{self.dice.random():.17f}" + "x" * size

    # The cuts

    def cut(self, operation: str) -> None:
        """Try what a cut could leave after this operation of the disk."""
        self.disk.watch = None
        try:
            for way in self._ways():
                self._try(way)
        except Exception as fault:  # what the engine does with the error is irrelevant
            where = f"{way} after {operation!r} while {self.doing}"
            raise Lost(f"seed {self.seed}, {self.states} states: {where}: {fault!r}") from fault
        if self.dice.random() < self.ends:
            self.do_kill() if self.dice.random() < 0.5 else self.do_cut()
        self.disk.watch = self.cut

    def _ways(self) -> list[str]:
        ways = list(CUTS) if not self.disk.is_settled() else ["none"]
        return ways + ["kill"] * (self.dice.random() < 0.2) + ["read"] * (self.dice.random() < 0.2)

    def _try(self, way: str) -> None:
        if way == "read":
            readers = [store for store in self.stores if store is not self.acting]
            # A restore shows the files one after the other, and a save is shown once it is merged.
            if readers and self.doing not in ("restore", "hand_edit", "publish"):
                self._note_seen(self.dice.choice(readers))
            return
        disk = self.disk.kill() if way == "kill" else self.disk.crash(self.dice, way)
        bounds = self.sure, len(self.history) - 1
        identity = hash((way == "kill", disk.state(), bounds))
        if identity not in self.known:
            self.known.add(identity)
            self.judge(disk, *bounds)

    def judge(self, disk: Disk, least: int, most: int, depth: int = 0) -> None:
        """Open a store on an image and check its promises."""
        self.states += 1
        self.in_recovery += depth > 0
        is_cut = depth < _DEPTH_MAX and self.dice.random() < self.cuts_again
        again = [self.dice.randrange(40)] if is_cut else []
        images: list[Disk] = []

        def cut_recovery(_: str) -> None:
            if disk.operations in again:
                images.append(disk.crash(self.dice, self.dice.choice(WAYS)))

        disk.watch = cut_recovery if again else None
        store = self._store(disk)
        if self.merges:  # while a change is pending, reads do not look for saves
            store.publish()
        shown = self._shown(store, least, most)
        self._check_told(store)
        if again:  # what was recovered and read is durable
            images.append(disk.crash(self.dice, "none"))
        store.close()
        disk.watch = None
        self._check_files(disk, self.history[shown])
        for image in images:
            self.judge(image, least, most, depth + 1)
        if self.dice.random() < 0.1:
            self._check_idempotent(disk, shown)

    def _check_idempotent(self, disk: Disk, shown: int) -> None:
        before = {path: disk.content(ROOT / path) for path in disk.paths() if path[0] != "."}
        store = self._store(disk)
        self._shown(store, shown, shown)
        store.close()
        after = {path: disk.content(ROOT / path) for path in disk.paths() if path[0] != "."}
        if before != after:
            raise Lost("a second recovery changed documents")

    def _shown(self, store: DocumentStore, least: int, most: int) -> int:
        """Return the commit that the store shows.

        Raises `Lost` if it is none, or not an allowed one.
        """
        state: State = {}
        for key in KEYS:
            document = store.read(key)
            if document is not None:
                state[key] = self._compared(document.content)
        return self._number_of(state, least, most)

    def _number_of(self, found: State, least: int, most: int) -> int:
        for number in range(most, least - 1, -1):
            if self.history[number] == found:
                return number
        others = [number for number, state in enumerate(self.history) if state == found]
        raise Lost(f"shows {others or found}, may show {least} to {most}: {self.history[least:]}")

    def _follow(self, store: DocumentStore) -> None:
        """Read the change feed: no cut may undo a returned commit, relaxed or not."""
        with suppress(HistoryGone):  # retired: much was written between two calls
            entries, self.through = store.entries(self.through)
            self.told |= {entry.sequence: entry.request_id for entry in entries}
            return
        self.told, self.through = {}, store.sequence()

    def _check_told(self, store: DocumentStore) -> None:
        """Check that the feed returns the same again as before the cut, and nothing in between."""
        if store.sequence() < self.through:
            raise Lost(f"told to {self.through}, and now there is {store.sequence()}")
        latest = sorted(self.told)[-5:]
        if not latest:
            return
        try:
            again = store.entries(latest[0] - 1).told
        except HistoryGone:
            return
        requests = {
            entry.sequence: entry.request_id for entry in again if entry.sequence <= self.through
        }
        if requests != {number: self.told[number] for number in latest}:
            raise Lost(f"told {self.told} up to {self.through}, and now {requests}")

    def _note_seen(self, store: DocumentStore) -> None:
        self._follow(store)
        self._rely_on(self._shown(store, self.sure, len(self.history) - 1))

    def _rely_on(self, shown: int) -> None:
        """Note that a caller saw this commit. Only relaxed ones may be undone after that."""
        while self.relaxed[shown]:
            shown -= 1
        self.sure = max(self.sure, shown)

    def _check_files(self, disk: Disk, state: State) -> None:
        """Check that every file equals what reads return, and that no other file is left."""
        files = set(disk.paths())
        for key in KEYS:
            path = path_of(key)
            name = str(path.relative_to(ROOT))
            if key not in state:
                if name in files:
                    raise Lost(f"{name} is still there")
            elif self._compared(msgspec.json.decode(disk.content(path))) != state[key]:
                raise Lost(f"{name} is not what reads show")
            files.discard(name)
        aside = [name for name in files if _ASIDE in name and self.merges]
        strays = [name for name in files if not _is_own(name) and name not in aside]
        if strays:
            raise Lost(f"left behind: {strays}")
        self._check_displaced(disk, state, aside)

    def _check_displaced(self, disk: Disk, state: State, aside: list[str]) -> None:
        """Check that each save that another one displaced was merged or set aside."""
        names = [name for name in aside if name.endswith(".json")]
        saves = {msgspec.json.decode(disk.content(ROOT / name)).get("by hand") for name in names}
        saves |= {content.get("by hand") for content in state.values()}
        if missing := [number for number in self.displaced[-1:] if number not in saves]:
            raise Lost(f"saves are neither merged nor set aside: {missing}")


_ASIDE: Final = ".set-aside-"
_OPERATIONS: Final = {
    "commit": 40,
    "relaxed": 12,
    "together": 6,
    "read": 8,
    "publish": 12,
    "checkpoint": 6,
    "reopen": 4,
    "hand_edit": 2,
    "restore": 4,
    "cut": 4,
    "kill": 3,
}


def _plain(content: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(content, enc_hook=list))


def path_of(key: Key) -> Path:
    return ROOT / key.collection / f"{LAYOUTS[key.collection].stem}_{key.owner}.json"


def _is_own(name: str) -> bool:
    """Return whether a file belongs to the journal, including those set aside."""
    return name.startswith(".neuralflow/") and not name.endswith(".draft")


def run(count: int, seed: int) -> Report:
    """Try at least `count` different states. Raises `Lost` at the first wrong one."""
    shares = [(count, seed)]
    if count > _ALONE_MAX:
        shares = [(count - count // 2, seed), (count // 2, seed + _ALONE_MAX)]
    if len(shares) == 1:
        parts = [_run(*shares[0])]
    else:
        with ProcessPoolExecutor(len(shares), get_context("spawn")) as processes:
            parts = list(processes.map(_run, *zip(*shares, strict=True)))
    report = Report("power_cut", cases=sum(cases for cases, _ in parts))
    in_recovery = sum(cut for _, cut in parts)
    report.notes.append(f"power_cut: {in_recovery} of the cuts were in the middle of recovery")
    if in_recovery * 20 < count:
        raise AssertionError(f"power_cut: only {in_recovery} of {count} cuts were in recovery")
    return report.finish(count)


def _run(count: int, seed: int) -> tuple[int, int]:
    """Return the number of states tried, and of those that come from cuts in recovery."""
    states = in_recovery = 0
    logging.disable(logging.CRITICAL)  # recovery logs each torn tail
    try:
        while states < count:
            trial = Trial(seed, states_max=count - states, merges=seed % 2 > 0)
            trial.run()
            states, in_recovery = states + trial.states, in_recovery + trial.in_recovery
            seed += 1
    finally:
        logging.disable(logging.NOTSET)
    return states, in_recovery
