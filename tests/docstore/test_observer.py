"""What an observer learns of a store's work."""

import shutil
import threading
from pathlib import Path

import pytest

from docstore import Observer, Transaction
from docstore.backends.files.backend import FilesBackend
from docstore.store import DocumentStore
from tests.docstore.layouts import ALICE_NOTES, LAYOUTS


class Recording(Observer):
    """Records what it is told."""

    def __init__(self) -> None:
        self.reads: list[bool] = []
        self.commits: list[int] = []
        self.syncs: list[tuple[float, int]] = []
        self.conflicts = 0

    def on_read(self, *, is_cached: bool) -> None:
        self.reads.append(is_cached)

    def on_commit(self, changes: int) -> None:
        self.commits.append(changes)

    def on_sync(self, seconds: float, frames: int) -> None:
        self.syncs.append((seconds, frames))

    def on_conflict(self) -> None:
        self.conflicts += 1


def _add(transaction: Transaction) -> None:
    if transaction.document(ALICE_NOTES) is None:
        transaction.create(ALICE_NOTES, {"notes": []})
    transaction.append(ALICE_NOTES, {"text": "a"})


@pytest.fixture
def recording() -> Recording:
    return Recording()


@pytest.fixture
def store(tmp_path: Path, recording: Recording) -> DocumentStore:
    backend = FilesBackend(tmp_path / "data", LAYOUTS, background=False)
    store = DocumentStore(backend, LAYOUTS)
    store.observe(recording)
    return store


def test_commit_reports_its_changes_and_the_sync_that_made_it_durable(
    store: DocumentStore, recording: Recording
) -> None:
    store.change(_add)
    assert recording.commits == [1]
    assert sum(frames for _seconds, frames in recording.syncs) >= 1
    assert all(seconds > 0 for seconds, _frames in recording.syncs)


def test_writers_at_once_share_syncs_and_miss_no_frame(
    store: DocumentStore, recording: Recording
) -> None:
    store.change(_add)
    recording.syncs.clear()
    threads = [threading.Thread(target=store.change, args=(_add,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(recording.commits) == 17
    assert sum(frames for _seconds, frames in recording.syncs) == 16


def test_read_reports_whether_the_cache_had_the_document(
    store: DocumentStore, recording: Recording, tmp_path: Path
) -> None:
    store.change(_add)
    other = DocumentStore(FilesBackend(tmp_path / "data", LAYOUTS, background=False), LAYOUTS)
    other.observe(recording)  # another process, which has read nothing yet
    recording.reads.clear()
    other.read(ALICE_NOTES)
    other.read(ALICE_NOTES)
    assert recording.reads == [False, True]


def test_writer_that_lost_the_race_reports_the_conflict(
    store: DocumentStore, recording: Recording, tmp_path: Path
) -> None:
    store.change(_add)
    attempts = []

    def edit(transaction: Transaction) -> None:
        _add(transaction)
        if not attempts:  # a person saves the file between the read and the commit
            path = tmp_path / "data" / "notes" / "notes_1.json"
            store.backend.publish()
            copy = shutil.copy(path, path.with_suffix(".new"))
            Path(copy).write_text(path.read_text().replace('"a"', '"b"'))
            Path(copy).replace(path)
        attempts.append(1)

    store.change(edit)
    assert len(attempts) == 2
    assert recording.conflicts == 1
