"""The actor with most of the history loses their own oldest changes, and no other actor's."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from docstore import DocumentStore, HistoryGone, Key, Transaction
from docstore.backends.files.backend import FilesBackend
from docstore.backends.files.publisher import History
from docstore.disk.filesystem import Draft, FileSystem, Status, Where
from docstore.verify import verify
from tests.docstore.layouts import ALICE_NOTES, BOB_NOTES, LAYOUTS

HOUR = 3600


def opened(
    root: Path,
    share: float = 0.25,
    keep_seconds: float = 0.0,
    files: FileSystem | None = None,
) -> DocumentStore:
    history = History(bytes_max=40_000, share=share, keep_seconds=keep_seconds)
    backend = FilesBackend(
        root, LAYOUTS, background=False, segment_bytes=8192, history=history, files=files
    )
    return DocumentStore(backend, LAYOUTS)


def write(store: DocumentStore, key: Key, actor: str, size: int = 20) -> int:
    def edit(transaction: Transaction) -> None:
        if transaction.document(key) is None:
            transaction.create(key, {"notes": []})
        transaction.put(key, {"id": 1, "text": "x" * size})

    numbers: list[int] = []
    store.change(edit, actor=actor, note=numbers.append)
    return numbers[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def bobs(root: Path) -> Iterator[list[int]]:
    """Return the numbers of Bob's changes, among many large ones of Alice's."""
    with closing(opened(root, share=1.0, keep_seconds=HOUR)) as store:
        numbers = []
        for _ in range(10):
            numbers.append(write(store, BOB_NOTES, "bob"))
            for _ in range(5):
                write(store, ALICE_NOTES, "alice", size=1_000)
        yield numbers


def age(root: Path, seconds: float) -> None:
    """Make all segments older."""
    for path in root.glob(".neuralflow/journal/*.journal"):
        status = path.stat()
        os.utime(path, (status.st_atime - seconds, status.st_mtime - seconds))


def told(store: DocumentStore, key: Key, since: int = 0) -> list[int]:
    return [entry.sequence for entry in store.entries(since, lambda each: each == key).told]


def test_largest_actor_loses_oldest_changes_and_others_none(root: Path, bobs: list[int]) -> None:
    with closing(opened(root)) as store, closing(opened(root, share=1.0)) as other:
        assert told(other, BOB_NOTES, bobs[3]) == bobs[4:]  # the position is cached
        last = write(store, ALICE_NOTES, "alice", size=1_000)
        store.backend.checkpoint()  # type: ignore[attr-defined]
        for current in (store, other):
            assert told(current, BOB_NOTES) == bobs
            assert told(current, BOB_NOTES, bobs[3]) == bobs[4:]
            assert current.entry(bobs[0])
            with pytest.raises(HistoryGone):
                told(current, ALICE_NOTES)
            with pytest.raises(HistoryGone):
                current.entry(bobs[0] + 1)
            assert told(current, ALICE_NOTES, last - 1) == [last]
        size = sum(path.stat().st_size for path in root.glob(".neuralflow/journal/*.journal"))
        assert size < 50_000
    with closing(opened(root)) as store:
        write(store, BOB_NOTES, "bob")
        assert told(store, BOB_NOTES)[:-1] == bobs
        assert not list(verify(store.backend, LAYOUTS))


def test_changes_of_the_last_hour_are_kept_however_many(root: Path, bobs: list[int]) -> None:
    with closing(opened(root, keep_seconds=HOUR)) as store:
        write(store, BOB_NOTES, "bob")
        age(root, HOUR - 60)
        store.backend.checkpoint()  # type: ignore[attr-defined]
        assert len(told(store, ALICE_NOTES)) == 50
        age(root, 120)
        write(store, BOB_NOTES, "bob")
        store.backend.checkpoint()  # type: ignore[attr-defined]
        assert told(store, BOB_NOTES)[: len(bobs)] == bobs
        with pytest.raises(HistoryGone):
            told(store, ALICE_NOTES)


class FullOnce(FileSystem):
    """A disk that is full at one step, after other processes did something."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.meanwhile: Callable[[], object] | None = None

    def _at(self, step: str) -> None:
        if step == self.step and self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write_at(self, step: str, handle: int, data: bytes, offset: int) -> None:
        self._at(step)
        super().write_at(step, handle, data, offset)

    def create_all(self, step: str, drafts: Sequence[Draft]) -> list[Status]:
        self._at(step)
        return super().create_all(step, drafts)


class RoomMadeMeanwhile(FileSystem):
    """Another process makes room before the second read of a segment, or while it is rewritten."""

    def __init__(self, moment: str, make_room: Callable[[], object]) -> None:
        self.moment, self.make_room = moment, make_room
        self.read_before: set[str] = set()

    def _at(self, moment: str) -> None:
        if moment == self.moment:
            self.moment = ""
            self.make_room()

    def read(self, path: Where) -> tuple[bytes, Status]:
        if str(path) in self.read_before:
            self._at("second read")
        if str(path).endswith(".journal"):
            self.read_before.add(str(path))
        return super().read(path)

    def create_all(self, step: str, drafts: Sequence[Draft]) -> list[Status]:
        self._at(step)
        return super().create_all(step, drafts)


def segments(root: Path) -> set[str]:
    return {path.name for path in root.glob(".neuralflow/journal/*")} - {"spare"}


def make_room(root: Path) -> Callable[[], None]:
    """Return what a write of another process on a full disk does: it deletes old segments."""
    files = FullOnce("append")
    store = opened(root, share=1.0, keep_seconds=HOUR, files=files)

    def write_on_full_disk() -> None:
        files.meanwhile = lambda: None
        write(store, BOB_NOTES, "bob")

    return write_on_full_disk


@pytest.mark.parametrize("moment", ["second read", "trim-draft"])
def test_room_made_by_another_process_while_trimming_stays(
    root: Path, bobs: list[int], moment: str
) -> None:
    files, before = RoomMadeMeanwhile(moment, make_room(root)), segments(root)
    with closing(opened(root, files=files)) as store:
        write(store, ALICE_NOTES, "alice")
        store.backend.checkpoint()  # type: ignore[attr-defined]
        assert not files.moment
        assert min(before) not in segments(root)
        assert not [name for name in segments(root) if name.endswith(".draft")]
        write(store, ALICE_NOTES, "alice")
        assert not list(verify(store.backend, LAYOUTS))


def test_room_just_made_by_another_process_is_used(root: Path, bobs: list[int]) -> None:
    files, others = FullOnce("draft"), make_room(root)

    def take_all_room() -> None:
        for _ in range(10):
            others()

    with closing(opened(root, share=1.0, keep_seconds=HOUR, files=files)) as store:
        store.backend.checkpoint()  # type: ignore[attr-defined]
        write(store, ALICE_NOTES, "alice")
        files.meanwhile = take_all_room
        store.publish()
        assert not files.meanwhile and not store.backend.condition().refusal
        assert write(store, ALICE_NOTES, "alice")
