"""A file edited by hand while a change was pending is preserved, whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from docstore import Corrupt, DocumentStore, Transaction
from docstore.backends.files.backend import FilesBackend
from docstore.backends.files.publisher import History
from docstore.disk.filesystem import FileSystem, Where
from tests.docstore.layouts import ALICE_NOTES, LAYOUTS


class Killed(BaseException):
    """The end of a process: nothing after it runs."""


class Hook(FileSystem):
    """A file system with a hook before journal syncs, or that dies before publishing."""

    before_sync: Callable[[], object] | None = None
    is_dying = False

    def sync_data(self, step: str, handle: int) -> None:
        if self.before_sync:
            work, self.before_sync = self.before_sync, None
            work()
        super().sync_data(step, handle)

    def rename(self, step: str, source: Where, target: Where) -> None:
        if self.is_dying and step == "publish":
            raise Killed
        super().rename(step, source, target)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes/notes_1.json"


@pytest.fixture
def files() -> Hook:
    return Hook()


@pytest.fixture
def backend(tmp_path: Path, files: Hook) -> FilesBackend:
    """Return a backend with a note in its document's file, and a note that is not in it yet."""
    backend = FilesBackend(tmp_path, LAYOUTS, files=files, background=False)
    store = DocumentStore(backend, LAYOUTS)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": [{"id": 1}]}))
    backend.checkpoint()
    store.change(lambda transaction: transaction.put(ALICE_NOTES, {"id": 2}))
    return backend


def edit_by_hand(path: Path) -> None:
    path.write_text(path.read_text().replace('"id": 1', '"id": 1, "by": "hand"'))


def set_aside(path: Path) -> list[str]:
    return [file.read_text() for file in path.parent.glob("*.set-aside-*.json")]


def ids(backend: FilesBackend) -> list[int]:
    document = backend.read(ALICE_NOTES).document
    assert document is not None
    return [note["id"] for note in document.content["notes"]]


def test_also_when_it_is_changed_while_the_draft_is_made(
    backend: FilesBackend, files: Hook, path: Path
) -> None:
    files.before_sync = lambda: edit_by_hand(path)
    backend.publish()
    (text,) = set_aside(path)
    assert '"by": "hand"' in text and '"id": 2' not in text
    assert '"id": 2' in path.read_text() and "hand" not in path.read_text()


def test_also_when_the_document_is_dropped(backend: FilesBackend, files: Hook, path: Path) -> None:
    def drop(transaction: Transaction) -> None:
        transaction.drop(ALICE_NOTES)

    DocumentStore(backend, LAYOUTS).change(drop)
    files.before_sync = lambda: edit_by_hand(path)
    backend.publish()
    assert len(set_aside(path)) == 1 and not path.exists()


def test_a_publisher_that_dies_then_leaves_a_document_that_reads(
    tmp_path: Path, backend: FilesBackend, files: Hook, path: Path
) -> None:
    edit_by_hand(path)
    files.is_dying = True
    with pytest.raises(Killed):
        backend.publish()
    backend._release()
    assert len(set_aside(path)) == 1 and path.exists()
    assert ids(FilesBackend(tmp_path, LAYOUTS, background=False)) == [1, 2]


def test_nothing_is_done_twice_to_a_file_without_its_revision(
    tmp_path: Path, backend: FilesBackend, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After a kill, the changes that such a file shows are unknown: a person must decide."""
    backend.publish()
    backend._release()
    path.write_text(path.read_text().replace('"revision"', '"Revision"'))
    again = FilesBackend(tmp_path, LAYOUTS, background=False)
    with pytest.raises(Corrupt, match="has revision 0, and the journal goes on from 1"):
        again.read(ALICE_NOTES)
    for _ in range(3):  # as the publisher does, several times per second
        again.publish()
    assert caplog.text.count("cannot publish") == 1
    path.write_text(path.read_text().replace('"Revision"', '"revision"'))
    assert ids(again) == [1, 2]


# Read-only processes


def test_read_only_opening_reports_damage(tmp_path: Path, backend: FilesBackend) -> None:
    backend._release()
    (segment,) = (tmp_path / ".neuralflow/journal").glob("*.journal")
    data = bytearray(segment.read_bytes())
    data[data.index(b'"id":1')] ^= 1
    segment.write_bytes(data)
    with pytest.raises(Corrupt, match="is damaged at byte"):
        FilesBackend(tmp_path, LAYOUTS, lay_out=False)


def test_read_only_process_continues_after_segments_were_retired(tmp_path: Path) -> None:
    nothing_kept = History(bytes_max=1)
    backend = FilesBackend(
        tmp_path, LAYOUTS, background=False, segment_bytes=4096, history=nothing_kept
    )
    store = DocumentStore(backend, LAYOUTS)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    looking = FilesBackend(tmp_path, LAYOUTS, lay_out=False)
    assert ids(looking) == []
    for number in range(1, 40):
        note = {"id": number, "text": "x" * 500}
        store.change(lambda transaction, note=note: transaction.put(ALICE_NOTES, note))
    backend.checkpoint()
    store.change(lambda transaction: transaction.put(ALICE_NOTES, {"id": 99}))
    assert ids(looking) == ids(backend) == [*range(1, 40), 99]


def test_name_of_a_file_set_aside_has_the_time_of_the_clock(tmp_path: Path, path: Path) -> None:
    now = datetime(2020, 2, 29, 12, tzinfo=UTC)
    backend = FilesBackend(tmp_path, LAYOUTS, background=False, clock=lambda: now)
    store = DocumentStore(backend, LAYOUTS)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": [{"id": 1}]}))
    backend.publish()
    names = [backend.set_aside(ALICE_NOTES, ["a remark"]) for _ in range(2)]
    begin = "notes_1.set-aside-2020-02-29T12-00-00."
    assert names == [f"{begin}000000Z.json", f"{begin}000001Z.json"]
    assert [aside.name for aside in backend.aside(ALICE_NOTES)] == names
    backend.close()
