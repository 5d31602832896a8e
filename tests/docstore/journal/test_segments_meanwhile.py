"""Segments that begin or are pruned between two steps of a process, or begin only half."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from docstore import DocumentStore, HistoryGone, Key, OutOfSpace, Unavailable
from docstore.backends.files.backend import FilesBackend
from docstore.backends.files.publisher import History
from docstore.disk.filesystem import FileSystem, Status, Where
from docstore.disk.locks import FolderLock
from docstore.journal.reader import JournalReader
from docstore.merging import merge_file
from tests.docstore.layouts import ALICE_NOTES, BOB_NOTES, LAYOUTS

SEGMENT_BYTES = 4096
NO_HISTORY = History(bytes_max=0)


class Hook(FileSystem):
    """A file system that runs `work` before or after the listing of segments number `at`."""

    def __init__(self, at: int, work: Callable[[], None], *, before: bool = False) -> None:
        self._left, self._work, self._before = at, work, before

    def names(self, folder: Where) -> list[str]:
        if Path(folder).name != "journal":
            return super().names(folder)
        self._left -= 1
        if self._before and not self._left:
            self._work()
        names = super().names(folder)
        if not self._before and not self._left:
            self._work()
        return names


def backend_of(
    folder: Path, files: FileSystem | None = None, history: History = NO_HISTORY
) -> FilesBackend:
    return FilesBackend(
        folder,
        LAYOUTS,
        files=files,
        background=False,
        history=history,
        segment_bytes=SEGMENT_BYTES,
    )


def create(store: DocumentStore, key: Key = ALICE_NOTES) -> None:
    store.change(lambda transaction: transaction.create(key, {"notes": []}))


def add(store: DocumentStore, key: Key = ALICE_NOTES) -> int:
    """Add a note and return its id."""
    note = store.change(lambda transaction: transaction.new_id(key))
    store.change(lambda transaction: transaction.put(key, {"id": note}))
    return note


def ids(store: DocumentStore) -> list[int]:
    document = store.read(ALICE_NOTES)
    return [note["id"] for note in document.content["notes"]] if document else []


@pytest.fixture
def other(tmp_path: Path) -> Iterator[DocumentStore]:
    """Yield the store of another process, which has the folder open and wrote nothing yet."""
    store = DocumentStore(backend_of(tmp_path), LAYOUTS)
    yield store
    store.close()


def replace_segments(store: DocumentStore, key: Key = ALICE_NOTES) -> None:
    """Begin three segments, then prune all before the last."""
    journal = store.backend._journal  # type: ignore[attr-defined]
    last = journal.segments.numbers()[-1]
    while len([number for number in journal.segments.numbers() if number > last]) < 3:
        add(store, key)
    store.backend.checkpoint()  # type: ignore[attr-defined]
    assert last not in journal.segments.numbers()


@pytest.mark.parametrize("listing", [1, 2])
def test_process_that_opens_while_the_first_segment_begins_reads_it(
    tmp_path: Path, other: DocumentStore, listing: int
) -> None:
    files = Hook(listing, lambda: create(other))
    store = DocumentStore(backend_of(tmp_path, files), LAYOUTS)
    assert store.read(ALICE_NOTES) is not None
    notes = [add(other), add(store), add(other)]
    assert ids(store) == ids(other) == notes
    store.close()
    other.close()
    assert ids(DocumentStore(backend_of(tmp_path), LAYOUTS)) == notes


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("listing", [1, 2])
def test_process_that_opens_while_segments_are_retired_reads_the_rest(
    tmp_path: Path, other: DocumentStore, listing: int, before: bool
) -> None:
    create(other)
    files = Hook(listing, lambda: replace_segments(other), before=before)
    store = DocumentStore(backend_of(tmp_path, files), LAYOUTS)
    assert ids(store) == ids(other) != []
    notes = [*ids(other), add(store), add(other)]
    assert ids(store) == ids(other) == notes
    store.close()
    other.close()
    assert ids(DocumentStore(backend_of(tmp_path), LAYOUTS)) == notes


class Between(FileSystem):
    """A file system that runs `work` at pass number `passes` of a step with a segment's file."""

    def __init__(self) -> None:
        self.step, self.passes, self.work = "", 1, lambda: None

    def _pass(self, step: str, path: Where) -> None:
        if step == self.step and str(path).endswith(".journal"):
            self.passes -= 1
            if not self.passes:
                self.step = ""
                self.work()

    def open(self, path: Where, *, to_write: bool = True) -> int:
        self._pass("before opening", path)
        handle = super().open(path, to_write=to_write)
        self._pass("after opening", path)
        return handle

    def identity(self, path: Where) -> tuple[int, int] | None:
        self._pass("before looking", path)
        return super().identity(path)

    def read(self, path: Where) -> tuple[bytes, Status]:
        self._pass("before reading", path)
        return super().read(path)

    def read_unstable(self, path: Where) -> bytes:
        self._pass("before reading", path)
        return super().read_unstable(path)


def test_segment_trimmed_while_it_is_opened_is_followed_to_its_end(
    tmp_path: Path, other: DocumentStore
) -> None:
    create(other)
    files = Between()
    store = DocumentStore(backend_of(tmp_path, files), LAYOUTS)
    write(other, "y" * 100_000)  # longer than what is read at a time
    for number in range(20):
        write(other, f"{number}")
    trimming = backend_of(tmp_path, history=History(bytes_max=8192, share=0.01))
    files.step, files.work = "after opening", trimming.checkpoint
    document = store.read(ALICE_NOTES)
    assert files.step == ""
    assert document is not None and document.content["text"] == "19"
    write(store, "acknowledged")
    judge(tmp_path, store)


def test_segment_pruned_while_its_name_is_examined_is_not_lost(
    tmp_path: Path, other: DocumentStore
) -> None:
    create(other)
    files = Between()
    backend = backend_of(tmp_path, files)
    files.step, files.work = "before looking", lambda: replace_segments(other)
    assert not backend._journal.find_lost()
    assert files.step == ""
    write(DocumentStore(backend, LAYOUTS), "acknowledged")
    judge(tmp_path, other)


def test_reader_that_opens_while_segments_are_pruned_reads_the_rest(
    tmp_path: Path, other: DocumentStore
) -> None:
    create(other)
    for number in range(60):
        write(other, f"{number}")
    files = Between()
    files.step, files.work = "before reading", lambda: replace_segments(other)
    reader = FilesBackend(tmp_path, LAYOUTS, files=files, lay_out=False)
    assert files.step == ""
    assert ids(DocumentStore(reader, LAYOUTS)) == ids(other) != []


def test_offline_reader_reports_no_gap_where_segments_are_pruned_meanwhile(
    tmp_path: Path, other: DocumentStore
) -> None:
    create(other)
    for number in range(60):
        write(other, f"{number}")
    files = Between()
    files.step, files.passes, files.work = "before reading", 2, lambda: replace_segments(other)
    segments = JournalReader(tmp_path, files).segments()
    assert files.step == ""
    assert segments == JournalReader(tmp_path).segments()[: len(segments)]
    assert all(segment.is_whole for segment in segments)


def test_feed_that_reads_while_its_segment_is_trimmed_finds_no_damage(
    tmp_path: Path, other: DocumentStore
) -> None:
    create(other)
    since = 0
    for number in range(60):
        write(other, f"{number}" + "x" * 300)
        since = other.sequence() if number == 10 else since
    files = Between()
    store = DocumentStore(backend_of(tmp_path, files), LAYOUTS)
    trimming = backend_of(tmp_path, history=History(bytes_max=16_384, share=0.01))
    files.step, files.passes, files.work = "before opening", 2, trimming.checkpoint
    with pytest.raises(HistoryGone, match="what change"):
        store.entries(since)
    assert files.step == ""


def test_manual_edit_read_while_its_history_is_pruned_is_merged(
    tmp_path: Path, other: DocumentStore
) -> None:
    create(other, BOB_NOTES)
    create(other)
    write(other, "of the store")
    files = Between()
    store = DocumentStore(backend_of(tmp_path, files), LAYOUTS)
    for either in (store, other):
        either.merge_files_with(merge_file)
    other.publish()
    path = tmp_path / "notes/notes_1.json"
    path.write_text(path.read_text().replace("of the store", "of a person"))
    files.step, files.work = "before reading", lambda: replace_segments(other, BOB_NOTES)
    document = store.read(ALICE_NOTES)
    assert files.step == ""
    assert document is not None and document.content["text"] == "of a person"
    assert document.revision == 3  # merged, not taken as the store's own


@pytest.mark.parametrize("first", ["read", "write"])
def test_process_that_misses_frames_which_are_there_starts_again(
    tmp_path: Path, other: DocumentStore, first: str
) -> None:
    create(other)
    backend = backend_of(tmp_path)
    store = DocumentStore(backend, LAYOUTS)
    backend._journal.cursor.begin_at([], backend._journal.appended)  # no segment begins there
    note = add(other)
    if first == "read":
        assert ids(store) == [note]
    else:
        assert [note, add(store)] == ids(other)
    write(store, "acknowledged")
    judge(tmp_path, other)


def test_process_that_misses_a_deleted_segment_acknowledges_nothing(
    tmp_path: Path, other: DocumentStore
) -> None:
    create(other)
    store = DocumentStore(backend_of(tmp_path), LAYOUTS)
    for number in range(60):
        write(other, f"{number}")
    (tmp_path / ".neuralflow/journal").joinpath(f"{7:016d}.journal").unlink()
    for _ in range(3):
        with pytest.raises(Unavailable, match="a part of the journal is missing"):
            store.read(ALICE_NOTES)
        with pytest.raises(Unavailable, match="a part of the journal is missing"):
            write(store, "acknowledged")


class FullOnce(FileSystem):
    """A file system on which one step of a change fails once, as on a full disk, when armed."""

    def __init__(self, step: str) -> None:
        self._step, self.is_armed = step, False

    def _pass(self, step: str) -> None:
        if self.is_armed and step == self._step:
            self.is_armed = False
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write_at(self, step: str, handle: int, data: bytes, offset: int) -> None:
        self._pass(step)
        super().write_at(step, handle, data, offset)

    def rename(self, step: str, source: Where, target: Where) -> None:
        self._pass(step)
        super().rename(step, source, target)

    def sync_folder(self, step: str, path: Where) -> None:
        self._pass(step)
        super().sync_folder(step, path)

    def lock(self, path: Path, timeout: float) -> FolderLock:
        return super().lock(path, 0.01 if path.name == "syncing" else timeout)


def write(store: DocumentStore, text: str) -> None:
    store.change(lambda transaction: transaction.set(ALICE_NOTES, {"text": text}))


def room_in(folder: Path) -> int:
    """Return the bytes that are left in the last segment."""
    data = max((folder / ".neuralflow/journal").glob("*.journal")).read_bytes()
    return len(data) - len(data.rstrip(b"\0"))


def fill(store: DocumentStore, folder: Path) -> None:
    """Write until a change of 2000 bytes needs a new segment, and a small one does not."""
    create(store)
    for number in itertools.count():
        if 1000 < room_in(folder) < 2000:
            return
        write(store, f"{number}")


@pytest.mark.parametrize("step", ["segment-head", "segment-name", "segment-names"])
def test_change_after_a_segment_began_half_under_one_lock_is_not_lost(
    tmp_path: Path, step: str
) -> None:
    files = FullOnce(step)
    backend = backend_of(tmp_path, files)
    store = DocumentStore(backend, LAYOUTS)
    fill(store, tmp_path)
    with backend.exclusive():
        files.is_armed = True
        with pytest.raises(OutOfSpace):
            write(store, "y" * 2000)
        write(store, "acknowledged")
    judge(tmp_path, store)


def test_change_after_a_segment_was_only_sealed_under_one_lock_is_not_lost(tmp_path: Path) -> None:
    backend = backend_of(tmp_path, FullOnce(""))
    store = DocumentStore(backend, LAYOUTS)
    fill(store, tmp_path)
    hanging = FolderLock(tmp_path / ".neuralflow/journal/syncing")  # of another process
    with backend.exclusive():
        with hanging.hold(), pytest.raises(Unavailable, match="too long"):
            write(store, "y" * 2000)
        write(store, "acknowledged")
    judge(tmp_path, store)


def judge(folder: Path, store: DocumentStore, text: str = "acknowledged") -> None:
    """Check that the last change is there for another process, and after a crash."""
    other = DocumentStore(backend_of(folder), LAYOUTS)
    for reader in (store, other):
        document = reader.read(ALICE_NOTES)
        assert document is not None and document.content["text"] == text
    for dying in (store, other):
        dying.backend._release()  # type: ignore[attr-defined]  (as if killed)
    document = DocumentStore(backend_of(folder), LAYOUTS).read(ALICE_NOTES)
    assert document is not None and document.content["text"] == text
