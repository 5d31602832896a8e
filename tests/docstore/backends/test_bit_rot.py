"""A bit that flipped on the disk is told from an edit by hand, and never served."""

import os
from pathlib import Path

import pytest

from docstore import Corrupt, DocumentStore, Finding, Transaction, examine
from docstore.backends.files.backend import FilesBackend
from docstore.merging import merge_file
from tests.docstore.layouts import ALICE_NOTES, LAYOUTS, NOTES


def _opened(root: Path) -> DocumentStore:
    store = DocumentStore(FilesBackend(root, LAYOUTS, background=False), LAYOUTS)
    store.merge_files_with(merge_file)
    return store


def _flip(path: Path, before: bytes, after: bytes) -> None:
    """Change bytes as a disk does: the file's inode, size and time stay."""
    status = path.stat()
    data = path.read_bytes()
    assert data.count(before) == 1 and len(before) == len(after)
    path.write_bytes(data.replace(before, after))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    store = _opened(root)

    def edit(transaction: Transaction) -> None:
        transaction.create(ALICE_NOTES, {"notes": []})
        transaction.append(ALICE_NOTES, {"text": "amount 100"})

    store.change(edit)
    store.close()
    return root


@pytest.fixture
def file(root: Path) -> Path:
    return root / "notes" / "notes_1.json"


def _text(store: DocumentStore) -> object:
    document = store.read(ALICE_NOTES)
    assert document is not None
    return document.content["notes"][0]["text"]  # type: ignore[index]


def _findings(store: DocumentStore) -> list[Finding]:
    return examine(store.backend, ALICE_NOTES, NOTES).findings


def test_flipped_bit_that_parses_is_found_and_the_last_good_state_served(
    root: Path, file: Path
) -> None:
    _flip(file, b"100", b"900")
    store = _opened(root)
    (finding,) = _findings(store)
    assert finding.document == "notes/notes_1.json" and "checksum" in finding.problem
    assert _text(store) == "amount 100"
    with pytest.raises(Corrupt, match="checksum"):
        store.change(lambda transaction: transaction.append(ALICE_NOTES, {"text": "more"}))
    assert b"900" in file.read_bytes()  # nothing is overwritten


def test_edit_by_hand_of_the_same_size_is_merged_and_no_finding(root: Path, file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"100", b"900"))
    store = _opened(root)
    assert _text(store) == "amount 900"
    store.close()
    assert _findings(_opened(root)) == []


def test_damaged_checksum_beside_a_whole_file_is_no_damage_of_the_file(
    root: Path, file: Path
) -> None:
    image = next((root / ".neuralflow/images").rglob("*.image"))
    data = image.read_bytes()
    start = data.index(b'"digest":"') + 10
    flipped = b"0" if data[start : start + 1] != b"0" else b"1"
    image.write_bytes(data[:start] + flipped + data[start + 1 :])
    store = _opened(root)
    assert _findings(store) == []
    assert _text(store) == "amount 100"


def test_file_and_image_both_damaged_are_not_served(root: Path, file: Path) -> None:
    _flip(file, b"100", b"900")
    image = next((root / ".neuralflow/images").rglob("*.image"))
    data = bytearray(image.read_bytes())
    data[-6] ^= 1
    image.write_bytes(data)
    store = _opened(root)
    with pytest.raises(Corrupt, match="checksum"):
        store.read(ALICE_NOTES)


def test_changes_in_the_journal_apply_to_the_state_before_the_flip(root: Path, file: Path) -> None:
    store = _opened(root)
    store.change(lambda transaction: transaction.append(ALICE_NOTES, {"text": "in the journal"}))
    _flip(file, b"100", b"900")
    other = _opened(root)  # beside the first, which has not published yet
    document = other.read(ALICE_NOTES)
    assert document is not None
    assert [note["text"] for note in document.list_of("notes")] == ["amount 100", "in the journal"]
