"""The change feed: commits in order, each exactly once, and none that a crash can undo."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from docstore import (
    DocumentStore,
    Entries,
    Entry,
    HistoryGone,
    OutOfSpace,
    Transaction,
    open_store,
    restore_snapshot,
    take_snapshot,
)
from docstore.backends.files.backend import FilesBackend
from docstore.backends.files.publisher import History
from docstore.disk.filesystem import FileSystem, Where
from tests.docstore.layouts import ALICE, ALICE_NOTES, LAYOUTS
from tests.harness.power_cut import KEYS, Trial
from tests.stopping import Killed, StoppingFileSystem


class Counting(FileSystem):
    """A file system that counts what following costs, and has a hook for the files of a restore."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.bytes = 0
        self.before_showing: Callable[[], None] | None = None

    def names(self, folder: Where) -> list[str]:
        self.asked.append("names")
        return super().names(folder)

    def open(self, path: Where, *, to_write: bool = True) -> int:
        self.asked.append("open")
        return super().open(path, to_write=to_write)

    def read_at(self, handle: int, size: int, offset: int) -> bytes:
        data = super().read_at(handle, size, offset)
        self.bytes += len(data)
        return data

    def rename(self, step: str, source: Where, target: Where) -> None:
        if step == "publish-swap" and self.before_showing:
            self.before_showing()
        super().rename(step, source, target)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


def opened(root: Path, files: FileSystem | None = None) -> DocumentStore:
    backend = FilesBackend(root, LAYOUTS, files=files, background=False, segment_bytes=8192)
    return DocumentStore(backend, LAYOUTS)


@pytest.fixture
def store(root: Path) -> Iterator[DocumentStore]:
    store = opened(root)
    store.change(begin)
    yield store
    store.close()


def begin(transaction: Transaction) -> None:
    transaction.create(ALICE_NOTES, {"notes": []})
    transaction.create(ALICE, {"log": []})


def add(transaction: Transaction, text: str = "") -> int:
    note = transaction.new_id(ALICE_NOTES)
    transaction.put(ALICE_NOTES, {"id": note, "text": text})
    transaction.append(ALICE, f"added {note}")
    return note


def notes(entries: tuple[Entry, ...]) -> list[int]:
    """Return the ids of the notes that the entries create."""
    return [
        edit.path[1]
        for entry in entries
        for key, edits in entry.changes
        for edit in edits
        if key == ALICE_NOTES and edit.path[:1] == ("notes",)
    ]


def test_it_is_told_over_the_ends_of_segments(root: Path, store: DocumentStore) -> None:
    start = store.sequence()
    for _ in range(100):
        store.change(lambda transaction: add(transaction, "x" * 300))
    assert len(list(root.glob(".neuralflow/journal/*.journal"))) > 3
    with closing(opened(root)) as other:
        for since in range(start, store.sequence(), 7):
            entries, through = other.entries(since)
            assert through == store.sequence()
            ids = notes(entries)
            assert ids == list(range(101 - len(ids), 101))
    assert notes(store.entries(0).told) == list(range(1, 101))


def test_follower_reads_only_new_frames(root: Path) -> None:
    files = Counting()
    with closing(opened(root, files)) as store:
        store.change(begin)
        for _ in range(30):
            add_one = store.change(add)
        through = store.entries(0).through
        store.change(add)
        store.sequence()
        files.asked.clear()
        entries, after = store.entries(through)
        assert notes(entries) == [add_one + 1]
        assert files.asked == ["open"]
        files.asked.clear()
        assert store.entries(after).told == ()
        assert store.sequence() == after
        assert files.asked == []


def test_retired_entries_raise_history_gone(root: Path) -> None:
    backend = FilesBackend(
        root, LAYOUTS, background=False, segment_bytes=8192, history=History(bytes_max=20_000)
    )
    with closing(DocumentStore(backend, LAYOUTS)) as store:
        store.change(begin)
        early = store.entries(0).through
        for _ in range(100):
            store.change(lambda transaction: add(transaction, "x" * 300))
        available = store.sequence()
        store.change(add)
        backend.checkpoint()
        for since in (0, early):  # not cached, and cached
            with pytest.raises(HistoryGone):
                store.entries(since)
        assert notes(store.entries(available).told) == [101]


def test_a_folder_that_knows_less_says_so(root: Path, store: DocumentStore, tmp_path: Path) -> None:
    for _ in range(10):
        store.change(add)
    with closing(opened(tmp_path / "other")) as other:
        other.change(begin)
        with pytest.raises(HistoryGone):
            other.entries(store.sequence())


def test_commit_that_is_not_durable_has_no_entry() -> None:
    trial = Trial(1)
    writer, reader = trial._store(trial.disk), trial._store(trial.disk)
    start = reader.sequence()
    with writer.backend.exclusive():
        writer.change(lambda transaction: transaction.create(KEYS[0], {"n": 1}))
        for store in (writer, reader):
            assert store.entries(start).told == ()
    for store in (writer, reader):
        assert len(store.entries(start).told) == 1


def test_read_only_process_gets_entries(root: Path, store: DocumentStore) -> None:
    store.change(add)
    looking = DocumentStore(FilesBackend(root, LAYOUTS, lay_out=False), LAYOUTS)
    assert notes(looking.entries(0).told) == [1]
    store.change(add)
    assert notes(looking.entries(0).told) == [1, 2]


def test_a_restore_is_told_and_numbers_go_on(root: Path, store: DocumentStore) -> None:
    store.change(add)
    snapshot = take_snapshot(store, root / "backups")
    store.change(add)
    since = store.sequence()
    restore_snapshot(store, snapshot)
    store.change(add)
    restored, added = store.entries(since).told
    assert restored.restored and not restored.changes and restored.at.endswith("Z")
    assert not added.restored and notes((added,)) == [2]
    assert since < restored.sequence < added.sequence


def test_a_restore_is_not_told_before_it_is_done(root: Path) -> None:
    files = Counting()
    with closing(opened(root, files)) as store, closing(opened(root)) as reader:
        store.change(begin)
        snapshot = take_snapshot(store, root / "backups")
        store.change(add)
        since = reader.entries(0).through
        seen: list[Entries] = []

        def look() -> None:
            seen.append(reader.entries(since))
            assert reader.entries(seen[-1].through).told == ()

        files.before_showing = look
        restore_snapshot(store, snapshot)
        assert seen and not any(entries.told for entries in seen)
        through = max(entries.through for entries in seen)
        assert [entry.restored for entry in reader.entries(through).told] == [True]


def test_a_restore_that_a_crash_cut_short_is_told_if_it_happened(
    root: Path, store: DocumentStore
) -> None:
    snapshot = take_snapshot(store, root / "backups")
    for steps in range(100):
        store.change(add)
        since, before = store.sequence(), len(store.records(ALICE_NOTES))
        backend = FilesBackend(root, LAYOUTS, background=False)
        backend._replace._files = StoppingFileSystem(steps)
        try:
            restore_snapshot(DocumentStore(backend, LAYOUTS), snapshot)
        except Killed:
            backend._release()
            with closing(opened(root)) as next_one:
                count = len(next_one.records(ALICE_NOTES))
                next_one.change(add)  # the next writer finds that the restore is over
                is_told = any(entry.restored for entry in next_one.entries(since).told)
                assert is_told or count == before
            continue
        return
    raise AssertionError("no restore was ever done")


def test_a_restore_that_cannot_be_told_does_not_happen(
    root: Path, store: DocumentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = take_snapshot(store, root / "backups")
    store.change(add)
    backend = store.backend
    assert isinstance(backend, FilesBackend)
    append = backend._journal.append

    def full(kind: int, payload: bytes) -> int:
        if b'"at"' in payload[:5]:
            raise OutOfSpace("the disk is full")
        return append(kind, payload)  # type: ignore[arg-type]

    monkeypatch.setattr(backend._journal, "append", full)
    with pytest.raises(OutOfSpace):
        restore_snapshot(store, snapshot)
    monkeypatch.undo()
    assert len(store.records(ALICE_NOTES)) == 1
    assert store.change(add) == 2


def test_following_writers_that_are_killed(root: Path) -> None:
    """The feed has every commit once, in order, while writers die during any operation."""
    dice = random.Random(4)
    with closing(open_store(root.as_uri(), LAYOUTS.values())) as store:
        store.change(begin)
        ids: list[int] = []
        through = 0
        for _ in range(8):
            writers = [_writer(root) for _ in range(3)]
            for _ in range(12):
                time.sleep(dice.uniform(0.001, 0.03))
                entries, through = store.entries(through)
                ids += notes(entries)
                if writers and dice.random() < 0.3:
                    _end(writers.pop())
            for writer in writers:
                _end(writer)
        store.change(add)
        entries, through = store.entries(through)
        ids += notes(entries)
        assert ids == [note["id"] for note in store.records(ALICE_NOTES)]
        assert ids == list(range(1, len(ids) + 1)) and len(ids) > 50


def _writer(root: Path) -> int:
    child = os.fork()
    if child == 0:
        try:
            store = open_store(root.as_uri(), LAYOUTS.values())
            while True:
                store.change(add)
        finally:
            os._exit(1)
    return child


def _end(writer: int) -> None:
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
