"""A file that is published at an inconvenient moment is still read correctly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from docstore import DocumentStore, Key, Transaction
from docstore.backends.files.backend import FilesBackend
from docstore.disk.filesystem import FileSystem, Status, Where
from tests.docstore.layouts import ALICE, ALICE_NOTES, LAYOUTS

Work = Callable[[], None]


class Hook(FileSystem):
    """A file system with one-time hooks before a document's file is published or read."""

    before_publishing: Work | None = None
    before_reading: Work | None = None
    before_drafting: Work | None = None

    def status(self, path: Where) -> Status:
        if str(path).endswith("_2.json") and self.before_drafting:
            work, self.before_drafting = self.before_drafting, None
            work()
        return super().status(path)

    def rename(self, step: str, source: Where, target: Where) -> None:
        if step == "publish" and self.before_publishing:
            work, self.before_publishing = self.before_publishing, None
            work()
        super().rename(step, source, target)

    def read(self, path: Where) -> tuple[bytes, Status]:
        if str(path).endswith("_1.json") and self.before_reading:
            work, self.before_reading = self.before_reading, None
            work()
        return super().read(path)


def add_a_record(transaction: Transaction) -> None:
    transaction.put(ALICE_NOTES, {"id": transaction.new_id(ALICE_NOTES)})


def add_a_line(transaction: Transaction) -> None:
    transaction.append(ALICE, f"line {len(transaction.records(ALICE))}")


class Two:
    """A writer and a reader of one folder. Both publish on request only."""

    def __init__(self, root: Path, key: Key) -> None:
        self.root, self.key = root, key
        self.edit = add_a_record if key == ALICE_NOTES else add_a_line
        self.writing, self.reading = Hook(), Hook()
        self.writer = FilesBackend(root, LAYOUTS, files=self.writing, background=False)
        content: dict[str, Any] = {LAYOUTS[key.collection].records: []}
        self.write(lambda transaction: transaction.create(key, content))

    def open_reader(self) -> None:
        self.reader = FilesBackend(self.root, LAYOUTS, files=self.reading, background=False)

    def write(self, edit: Callable[[Transaction], None] | None = None) -> None:
        DocumentStore(self.writer, LAYOUTS).change(edit or self.edit)

    def count(self, backend: FilesBackend) -> int:
        """Return the number of records that the backend finds, after checking them."""
        document = backend.read(self.key).document
        assert document is not None
        records = list(document.content[LAYOUTS[self.key.collection].records])
        if self.key == ALICE:
            assert records == [f"line {number}" for number in range(len(records))]
        else:
            assert records == [{"id": number} for number in range(1, len(records) + 1)]
        assert document.revision == len(records) + 1
        return len(records)

    def expect(self, count: int) -> None:
        """Check repeatedly that both find this number of records."""
        for _ in range(2):
            for backend in (self.reader, self.writer):
                assert self.count(backend) == count


@pytest.fixture(params=[ALICE_NOTES, ALICE], ids=["records", "lines"])
def two(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Two]:
    two = Two(tmp_path, request.param)
    yield two
    two.reader.close()
    two.writer.close()


def test_published_while_changes_are_pending(two: Two) -> None:
    two.writing.before_publishing = two.write  # a change that the file will not show
    two.writer.publish()
    two.open_reader()
    two.reading.before_reading = two.writer.publish
    assert two.count(two.reader) == 1
    two.expect(1)


@pytest.mark.parametrize("pending", [0, 1, 2])
def test_written_and_published_between_following_and_reading(two: Two, pending: int) -> None:
    two.writer.publish()
    two.open_reader()
    for _ in range(pending):
        two.write()

    def meanwhile() -> None:
        two.write()
        two.write()
        two.writer.publish()
        time.sleep(0.06)  # until the file is old enough to be cached

    two.reading.before_reading = meanwhile
    assert two.count(two.reader) >= pending  # some may have come too late
    two.expect(pending + 2)
    two.write()
    two.expect(pending + 3)


def test_published_twice_between_following_and_reading(two: Two) -> None:
    two.writer.publish()
    two.open_reader()

    def meanwhile() -> None:
        two.write()
        two.writer.publish()
        two.writing.before_publishing = two.write
        two.write()
        two.writer.publish()
        time.sleep(0.06)  # until the file is old enough to be cached

    two.reading.before_reading = meanwhile
    assert two.count(two.reader) <= 3
    two.expect(3)
    two.writer.publish()
    two.expect(3)


def test_reader_builds_on_a_file_published_meanwhile(two: Two) -> None:
    two.writer.publish()
    two.open_reader()

    def meanwhile() -> None:
        two.write()
        two.writer.publish()
        time.sleep(0.06)  # until the file is old enough to be cached

    two.reading.before_reading = meanwhile
    assert two.count(two.reader) <= 1
    DocumentStore(two.reader, LAYOUTS).change(two.edit)
    two.expect(2)
    two.reader.publish()
    two.expect(2)


def test_written_again_and_again_while_another_document_is_drafted(two: Two) -> None:
    """The note has the state that the file shows, even if the document has changed meanwhile."""
    two.writer.publish()
    other = Key("notes", 2)  # drafted first
    two.write(lambda transaction: transaction.create(other, {"notes": []}))
    two.write()

    def meanwhile() -> None:
        two.write()
        two.write()

    two.writing.before_drafting = meanwhile  # when the other document's file is examined
    two.writer.publish()
    two.open_reader()
    two.expect(3)
    two.writer.publish()
    two.expect(3)
