"""A file that a person edits is merged: nothing acknowledged is lost, and nothing of theirs."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from docstore import (
    Corrupt,
    DocumentStore,
    Key,
    Transaction,
    Unavailable,
    read_from_snapshots,
    restore_snapshot,
    take_snapshot,
)
from docstore.backends.files.backend import FilesBackend
from docstore.backends.files.publisher import History
from docstore.disk.filesystem import FileSystem, Where
from docstore.merging import FILE_ACTOR, merge_file
from tests.docstore.layouts import ALICE_NOTES, LAYOUTS

WRITERS = 8


def opened(root: Path, **options: Any) -> DocumentStore:
    """A store that publishes when it is told to, and merges files."""
    backend = FilesBackend(root, LAYOUTS, background=False, **options)
    store = DocumentStore(backend, LAYOUTS)
    store.merge_files_with(merge_file)
    return store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def path(root: Path) -> Path:
    return root / "notes/notes_1.json"


@pytest.fixture
def store(root: Path) -> Iterator[DocumentStore]:
    """A document of five notes, published."""
    store = opened(root)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    for number in range(1, 6):
        add(store, f"note {number}")
    store.publish()
    yield store
    store.close()


def add(store: DocumentStore, text: str) -> int:
    def edit(transaction: Transaction) -> int:
        note = transaction.new_id(ALICE_NOTES)
        transaction.put(ALICE_NOTES, {"id": note, "text": text, "tag": ""})
        return note

    return store.change(edit)


def change(store: DocumentStore, note: int, **fields: object) -> None:
    store.change(lambda t: t.put(ALICE_NOTES, {**t.record(ALICE_NOTES, note), **fields}))


def remove(store: DocumentStore, note: int) -> None:
    store.change(lambda transaction: transaction.remove(ALICE_NOTES, note))


def notes(store: DocumentStore) -> dict[int, str]:
    """The notes' texts, once what is on its way to the file met what a person made of it."""
    store.publish()
    document = store.read(ALICE_NOTES)
    assert document is not None
    return {note["id"]: note["text"] for note in document.content["notes"]}


def revision(store: DocumentStore) -> int:
    document = store.read(ALICE_NOTES)
    assert document is not None
    return document.revision


def remarks(store: DocumentStore) -> str:
    return "\n".join(line for aside in store.aside(ALICE_NOTES) for line in aside.remarks)


class Buffer:
    """What an editor has of the file: it is saved again and again with the same revision."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = json.loads(path.read_bytes())

    def note(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = next(n for n in self.content["notes"] if n.get("id") == number)
        return found

    def save(self) -> None:
        draft = self.path.with_name("4913")
        draft.write_text(json.dumps(self.content))
        draft.replace(self.path)


# What was acknowledged stays


def test_stale_buffer_keeps_what_others_changed_meanwhile(store: DocumentStore, path: Path) -> None:
    buffer = Buffer(path)
    change(store, 3, text="by the API")
    assert add(store, "new") == 6
    remove(store, 5)
    store.publish()
    before = revision(store)
    buffer.note(2)["text"] = "by hand"
    buffer.save()
    expected = {1: "note 1", 2: "by hand", 3: "by the API", 4: "note 4", 6: "new"}
    assert notes(store) == expected
    assert revision(store) == before + 1
    assert add(store, "next") == 7
    store.publish()
    assert json.loads(path.read_bytes())["revision"] == before + 2
    assert store.aside(ALICE_NOTES) == []


def test_fields_of_one_record_merge_one_by_one(store: DocumentStore, path: Path) -> None:
    buffer = Buffer(path)
    change(store, 2, tag="by the API")
    buffer.note(2)["text"] = "by hand"
    buffer.save()
    store.publish()
    document = store.read(ALICE_NOTES)
    assert document is not None
    (note,) = document.list_of("notes").find(2)
    assert note == {"id": 2, "text": "by hand", "tag": "by the API"}


def test_save_under_a_change_on_its_way_merges(store: DocumentStore, path: Path) -> None:
    buffer = Buffer(path)
    change(store, 1, text="not published yet")
    buffer.note(2)["text"] = "by hand"
    buffer.save()
    store.publish()
    shown = {note["id"]: note["text"] for note in json.loads(path.read_bytes())["notes"]}
    assert shown == notes(store)
    assert shown[1] == "not published yet" and shown[2] == "by hand"


def test_old_buffer_saved_again_changes_nothing_twice(store: DocumentStore, path: Path) -> None:
    buffer = Buffer(path)
    buffer.note(2)["text"] = "by hand"
    buffer.save()
    assert notes(store)[2] == "by hand"
    change(store, 2, text="by the API, later")
    store.publish()
    buffer.save()
    assert notes(store)[2] == "by the API, later"
    store.publish()
    buffer.note(4)["text"] = "by hand, too"
    buffer.save()
    assert notes(store)[2] == "by the API, later" and notes(store)[4] == "by hand, too"


def test_value_taken_back_in_an_old_buffer_is_reported(store: DocumentStore, path: Path) -> None:
    buffer = Buffer(path)
    buffer.note(2)["text"] = "by hand"
    buffer.note(4)["text"] = "by hand"
    buffer.save()
    assert notes(store)[2] == "by hand"
    store.publish()
    buffer.note(2)["text"] = "note 2"
    buffer.note(3)["text"] = "by hand"
    buffer.save()
    assert notes(store)[2] == "by hand" and notes(store)[3] == "by hand"
    assert '2: "text" has the value again' in remarks(store)


def test_all_changes_taken_back_in_an_old_buffer_are_reported(
    store: DocumentStore, path: Path
) -> None:
    buffer = Buffer(path)
    opened = json.dumps(buffer.content)
    buffer.note(2)["text"] = "by hand"
    buffer.save()
    assert notes(store)[2] == "by hand"
    buffer.content = json.loads(opened)
    change(store, 1, text="on its way to the file")
    buffer.save()
    assert notes(store)[2] == "by hand"
    assert "it is again as revision 6 was" in remarks(store)


def test_record_that_came_back_in_an_old_buffer_is_reported(
    store: DocumentStore, path: Path
) -> None:
    buffer = Buffer(path)
    removed = buffer.content["notes"].pop(1)
    buffer.note(4)["text"] = "by hand"
    buffer.save()
    assert 2 not in notes(store)
    buffer.content["notes"].insert(1, removed)
    buffer.save()
    assert 2 not in notes(store) and "2 is in the file again" in remarks(store)


def test_two_editors_of_one_revision_merge_both(store: DocumentStore, path: Path) -> None:
    """What the one changed or added is nothing that the other took back or removed."""
    one, other = Buffer(path), Buffer(path)
    one.note(1)["text"] = "by the one"
    one.content["notes"].append({"text": "of the one", "tag": ""})
    one.save()
    assert notes(store)[6] == "of the one"
    other.note(2)["text"] = "by the other"
    other.content["notes"].append({"text": "from the other", "tag": ""})
    other.save()
    expected = {1: "by the one", 2: "by the other", 6: "of the one", 7: "from the other"}
    assert notes(store) == {3: "note 3", 4: "note 4", 5: "note 5"} | expected
    one.save()  # again, as it is
    assert notes(store)[7] == "from the other"
    one.note(3)["text"] = "by the one"
    one.save()
    assert notes(store) == {4: "note 4", 5: "note 5", 3: "by the one"} | expected
    other.content["notes"][-1]["text"] += ", too"
    other.save()
    assert notes(store)[7] == "from the other, too" and len(notes(store)) == 7
    assert store.aside(ALICE_NOTES) == []


def test_save_of_one_editor_keeps_what_the_other_made_of_the_same_field(
    store: DocumentStore, path: Path
) -> None:
    one, other = Buffer(path), Buffer(path)
    one.note(1)["text"] = "by the one"
    one.save()
    assert notes(store)[1] == "by the one"
    other.note(1)["text"] = "by the other"
    other.save()
    assert notes(store)[1] == "by the other"
    one.note(2)["text"] = "by the one"
    one.save()
    assert notes(store)[1] == "by the other" and notes(store)[2] == "by the one"
    assert store.aside(ALICE_NOTES) == []


def test_older_save_put_back_is_reported(store: DocumentStore, path: Path) -> None:
    """It may be an editor that took its last change back."""
    buffer = Buffer(path)
    for text in ("first", "second", "first"):
        buffer.note(1)["text"] = text
        buffer.save()
        notes(store)
    assert notes(store)[1] == "second"
    assert "this version of the file was merged before" in remarks(store)


def test_new_record_that_was_edited_twice_keeps_what_others_made_of_it(
    store: DocumentStore, path: Path
) -> None:
    buffer = Buffer(path)
    buffer.content["notes"].append({"text": "new", "tag": ""})
    for text in ("new", "new one"):
        buffer.content["notes"][-1]["text"] = text
        buffer.save()
        assert notes(store)[6] == text
    change(store, 6, text="by the API, later")
    store.publish()
    buffer.note(1)["text"] = "by hand"
    buffer.save()
    assert notes(store)[6] == "by the API, later" and notes(store)[1] == "by hand"
    assert len(notes(store)) == 6 and store.aside(ALICE_NOTES) == []


def test_new_record_removed_again_stays_and_is_reported(store: DocumentStore, path: Path) -> None:
    buffer = Buffer(path)
    buffer.note(1)["text"] = "by hand"
    buffer.content["notes"].append({"text": "new"})
    buffer.save()
    assert notes(store)[6] == "new"
    removed = buffer.content["notes"].pop()
    buffer.save()
    assert notes(store)[6] == "new"
    assert "6, which an earlier save of this file added, was kept" in remarks(store)
    buffer.content["notes"].append(removed)
    buffer.note(2)["text"] = "by hand"
    buffer.save()
    assert len(notes(store)) == 6 and len(store.aside(ALICE_NOTES)) == 1


def test_last_id_and_revision_never_fall(store: DocumentStore, path: Path) -> None:
    buffer = Buffer(path)
    assert add(store, "new") == 6
    remove(store, 6)
    buffer.content["last_id"] = 2
    buffer.note(1)["text"] = "by hand"
    buffer.save()
    before = revision(store)
    assert add(store, "next") == 7
    assert revision(store) == before + 1


# What the person added and removed


def test_record_without_an_id_gets_the_next_one_and_keeps_it(
    store: DocumentStore, path: Path
) -> None:
    buffer = Buffer(path)
    assert add(store, "by the API") == 6
    buffer.content["notes"].append({"text": "by ha"})
    buffer.save()
    assert notes(store)[7] == "by ha"
    store.publish()
    buffer.content["notes"][-1]["text"] = "by hand"
    buffer.content["notes"].append({"text": "another"})
    buffer.save()
    assert notes(store)[7] == "by hand" and notes(store)[8] == "another"
    assert len(notes(store)) == 8


def test_id_that_is_taken_or_repeated_is_given_anew(store: DocumentStore, path: Path) -> None:
    buffer = Buffer(path)
    assert add(store, "by the API") == 6
    buffer.content["notes"].append({"id": 6, "text": "mine"})
    buffer.content["notes"].append({"id": 3, "text": "copied from 3"})
    buffer.content["notes"].append({"id": 12, "text": "twelve"})
    buffer.save()
    found = notes(store)
    assert found[6] == "by the API" and found[3] == "note 3" and found[12] == "twelve"
    assert (
        sorted(found.values())[:2] == ["by the API", "copied from 3"] and "mine" in found.values()
    )
    assert len(found) == 9
    assert "the id 6 is taken" in remarks(store) and "the id 3 stands twice" in remarks(store)


def test_id_of_a_deleted_record_is_never_given_again(store: DocumentStore, path: Path) -> None:
    remove(store, 5)
    store.publish()
    buffer = Buffer(path)
    buffer.content["notes"].append({"id": 5, "text": "five again"})
    buffer.save()
    assert notes(store)[6] == "five again" and 5 not in notes(store)


def test_removed_record_goes_unless_it_was_changed_since(store: DocumentStore, path: Path) -> None:
    buffer = Buffer(path)
    change(store, 2, text="changed since")
    buffer.content["notes"] = [note for note in buffer.content["notes"] if note["id"] not in (1, 2)]
    buffer.save()
    assert notes(store) == {2: "changed since", 3: "note 3", 4: "note 4", 5: "note 5"}
    assert "2 was changed meanwhile, so it was not removed" in remarks(store)


def test_change_of_a_record_deleted_since_is_reported(store: DocumentStore, path: Path) -> None:
    buffer = Buffer(path)
    remove(store, 2)
    buffer.note(2)["text"] = "by hand"
    buffer.save()
    assert 2 not in notes(store)
    assert "2 was deleted meanwhile" in remarks(store)
    assert b"by hand" in store.aside(ALICE_NOTES)[0].content


# Where the base is not known


@pytest.mark.parametrize("named", [None, 10_000, 3])
def test_edit_without_a_base_is_set_aside(
    store: DocumentStore, path: Path, named: object, root: Path
) -> None:
    """Whether the revision is missing, yet to come, or not that of the text."""
    change(store, 1, text="by the API")
    store.publish()
    shown = path.read_bytes()
    buffer = Buffer(path)
    buffer.content["revision"] = named
    if named is None:
        del buffer.content["revision"], buffer.content["updated_at"]
    buffer.note(2)["text"] = "by hand"
    buffer.save()
    assert notes(store)[1] == "by the API" and notes(store)[2] == "note 2"
    (aside,) = store.aside(ALICE_NOTES)
    assert b"by hand" in aside.content and "nothing was taken" in aside.remarks[-1]
    store.publish()
    before, after = json.loads(shown), json.loads(path.read_bytes())
    assert after["notes"] == before["notes"] and after["revision"] == before["revision"] + 1
    findings = [str(finding) for finding in store.backend.check()]
    assert any(aside.name in finding and "nothing was taken" in finding for finding in findings)
    store.discard_aside(ALICE_NOTES, aside.name)
    assert [name for name in os.listdir(root / "notes") if "set-aside" in name] == []  # noqa: PTH208


@pytest.mark.parametrize("named", [None, "6"])
def test_revision_that_is_no_number_is_found_by_the_time(
    store: DocumentStore, path: Path, named: object
) -> None:
    buffer = Buffer(path)
    change(store, 1, text="by the API")
    buffer.content["revision"] = named
    buffer.note(2)["text"] = "by hand"
    buffer.save()
    assert notes(store)[1] == "by the API" and notes(store)[2] == "by hand"


def test_additions_are_taken_without_a_base(store: DocumentStore, path: Path) -> None:
    buffer = Buffer(path)
    del buffer.content["revision"], buffer.content["updated_at"]
    buffer.content["notes"].append({"text": "by hand"})
    buffer.save()
    assert notes(store)[6] == "by hand" and store.aside(ALICE_NOTES) == []


def test_edit_of_a_state_that_the_history_has_forgotten_is_set_aside(root: Path) -> None:
    store = opened(root, history=History(bytes_max=1), segment_bytes=4096)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    add(store, "note 1")
    store.publish()
    buffer = Buffer(root / "notes/notes_1.json")
    for number in range(40):
        change(store, 1, text=f"{number} " + "x" * 500)
    store.backend.checkpoint()  # type: ignore[attr-defined]
    buffer.note(1)["text"] = "by hand"
    buffer.save()
    assert notes(store)[1].startswith("39 ")
    assert "is not in the history any more" in remarks(store)


def test_document_of_an_old_folder_is_edited_by_hand(root: Path) -> None:
    path = root / "notes/notes_1.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"notes": [{"id": 1, "text": "old"}, {"text": "without"}], "updated_at": "x"}')
    store = opened(root)
    assert store.read(ALICE_NOTES) is not None
    buffer = Buffer(path)
    add(store, "by the API")
    store.publish()
    buffer.note(1)["text"] = "by hand"
    buffer.save()
    store.publish()
    document = store.read(ALICE_NOTES)
    assert document is not None
    texts = [note["text"] for note in document.content["notes"]]
    assert texts == ["by hand", "without", "by the API"]
    store.close()


# While nobody runs


def test_edit_while_nobody_runs_merges_and_tells_what_was_before(
    root: Path, store: DocumentStore, path: Path
) -> None:
    buffer = Buffer(path)
    change(store, 1, text="by the API")
    store.close()
    buffer.note(2)["text"] = "by hand"
    buffer.save()
    store = opened(root)
    assert notes(store)[1] == "by the API" and notes(store)[2] == "by hand"
    (entry,) = [entry for entry in store.entries(0).told if entry.actor == FILE_ACTOR]
    ((path_, before, after),) = entry.changes[0].edits
    assert (path_, before["text"], after["text"]) == (("notes", 2), "note 2", "by hand")
    store.close()


def test_edit_waits_for_an_image_that_cannot_be_read_now(
    root: Path, store: DocumentStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(store, 1, text="by the API")
    store.close()
    buffer = Buffer(path)
    buffer.note(2)["text"] = "by hand"
    buffer.save()
    opening = FileSystem.open

    def open_no_image(files: FileSystem, name: Any, **options: Any) -> int:
        if str(name).endswith(".image"):
            raise OSError(errno.EMFILE, "too many open files")
        return opening(files, name, **options)

    store = opened(root)
    with monkeypatch.context() as patch:
        patch.setattr(FileSystem, "open", open_no_image)
        with pytest.raises(Unavailable):
            notes(store)
    assert notes(store)[2] == "by hand"
    assert [entry.actor for entry in store.entries(0).told].count(FILE_ACTOR) == 1
    store.close()


def test_merge_is_done_once_though_nobody_published_it(
    root: Path, store: DocumentStore, path: Path
) -> None:
    buffer = Buffer(path)
    buffer.content["notes"].append({"text": "by hand"})
    buffer.note(2)["text"] = "by hand"
    buffer.save()
    assert notes(store)[6] == "by hand"
    change(store, 2, text="by the API, later")
    store.backend._release()  # type: ignore[attr-defined]  # as a kill does
    again = opened(root)
    again.publish()
    expected = {1: "note 1", 2: "by the API, later", 3: "note 3", 4: "note 4", 5: "note 5"}
    assert notes(again) == expected | {6: "by hand"}
    again.close()


def test_edit_met_first_by_a_process_that_never_read_the_document(
    root: Path, store: DocumentStore, path: Path
) -> None:
    """Its document is the image and what the journal has since, though the file was published."""
    store.backend.checkpoint()  # type: ignore[attr-defined]
    buffer, other = Buffer(path), opened(root)
    change(store, 1, text="by the API")
    store.publish()
    buffer.note(2)["text"] = "by hand"
    buffer.save()
    found = notes(other)
    assert found[1] == "by the API" and found[2] == "by hand" and found == notes(store)
    other.close()


def test_copied_folder_holds_no_edits(root: Path, store: DocumentStore) -> None:
    store.close()
    copy = root.with_name("copy")
    shutil.copytree(root, copy)
    again = opened(copy)
    assert revision(again) == 6 and notes(again)[5] == "note 5"
    again.close()


def test_touched_file_is_no_edit(store: DocumentStore, path: Path) -> None:
    os.utime(path, (1, 1))
    assert revision(store) == 6
    path.write_bytes(path.read_bytes())
    assert revision(store) == 6


def test_restored_files_are_no_edits(root: Path, store: DocumentStore) -> None:
    snapshot = take_snapshot(store, root.with_name("backups"))
    other = opened(root)
    change(store, 1, text="after the backup")
    assert notes(other)[1] == "after the backup"
    restore_snapshot(store, snapshot)
    assert notes(store)[1] == "note 1" and notes(other)[1] == "note 1"
    assert store.aside(ALICE_NOTES) == []
    other.close()
    store.close()
    assert notes(opened(root))[1] == "note 1"


# Files that cannot be read


@pytest.mark.parametrize("is_cold", [False, True])
def test_broken_file_is_served_from_the_last_good_state(
    root: Path, store: DocumentStore, path: Path, is_cold: bool
) -> None:
    text = path.read_text()
    if is_cold:
        store.close()
    path.write_text(text[: text.index('"note 3"')])
    if is_cold:
        store = opened(root)
    assert notes(store)[5] == "note 5"
    fault = store.fault(ALICE_NOTES)
    assert fault is not None and (fault.line, fault.column) == (15, 15)
    with pytest.raises(Corrupt, match="line 15, column 15"):
        change(store, 1, text="refused")
    store.publish()
    assert path.read_text() == text[: text.index('"note 3"')]
    assert store.backend.raw(ALICE_NOTES) == path.read_bytes()
    path.write_text(text.replace("note 3", "repaired"))
    assert notes(store)[3] == "repaired" and store.fault(ALICE_NOTES) is None
    change(store, 1, text="accepted")
    store.close()


def test_cold_read_of_a_file_of_the_store_reads_one_line_of_its_image(
    root: Path, store: DocumentStore
) -> None:
    store.close()
    assert (root / ".neuralflow/images/notes/1.image").stat().st_size > 0
    files = Reads()
    store = opened(root, files=files)
    assert len(notes(store)) == 5
    assert files.files_read.count("notes_1.json") == 1 and "1.image" not in files.files_read
    store.close()


class Reads(FileSystem):
    """Notes which files are read as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.files_read: list[str] = []

    def read(self, path: Where) -> tuple[bytes, Any]:
        self.files_read.append(Path(path).name)
        return super().read(path)


def test_broken_file_that_only_a_backup_has_is_served_from_it(root: Path) -> None:
    path = root / "notes/notes_1.json"
    path.parent.mkdir(parents=True)
    text = '{"notes": [{"id": 1, "text": "old"}]}'
    path.write_text(text)
    store = opened(root)
    read_from_snapshots(store, "backups")
    take_snapshot(store, root / "backups")
    store.close()
    path.write_text(text[:-1])
    take_snapshot(store, root / "backups")  # has the broken file: an older one has the last state
    for _ in range(2):
        assert notes(store) == {1: "old"}
    fault = store.fault(ALICE_NOTES)
    assert fault is not None and (fault.line, fault.column) == (1, 37)
    with pytest.raises(Corrupt, match="line 1, column 37"):
        change(store, 1, text="refused")
    assert path.read_text() == text[:-1]
    path.write_text(text.replace("old", "newer than the backup"))
    assert notes(store) == {1: "newer than the backup"} and store.aside(ALICE_NOTES) == []
    change(store, 1, text="accepted")
    assert notes(store) == {1: "accepted"}
    store.close()


@pytest.mark.parametrize("is_same", [True, False], ids=["same document", "begun anew"])
def test_state_of_a_backup_is_brought_forward_by_the_history(
    root: Path, store: DocumentStore, path: Path, is_same: bool
) -> None:
    read_from_snapshots(store, "backups")
    take_snapshot(store, root / "backups")
    if not is_same:
        store.change(lambda transaction: transaction.drop(ALICE_NOTES))
        store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
        for number in range(1, 8):
            add(store, f"another {number}")
    change(store, 2, text="after the backup")
    assert add(store, "new") in (6, 8)
    store.close()
    (root / ".neuralflow/images/notes/1.image").unlink()
    path.write_text("{")
    expected = {number: f"note {number}" for number in range(1, 6)}
    assert notes(store) == (expected | {2: "after the backup", 6: "new"} if is_same else expected)
    store.close()


def test_broken_file_under_a_change_on_its_way_waits_for_the_person(
    store: DocumentStore, path: Path
) -> None:
    text = path.read_text()
    change(store, 1, text="acknowledged")
    path.write_text(text[:50])
    store.publish()
    assert path.read_text() == text[:50] and notes(store)[1] == "acknowledged"
    with pytest.raises(Corrupt):
        change(store, 2, text="refused")
    path.write_text(text.replace("note 2", "by hand"))
    store.publish()
    found = notes(store)
    assert found[1] == "acknowledged" and found[2] == "by hand"


def test_file_that_is_gone_for_a_moment_is_not_a_deletion(
    root: Path, store: DocumentStore, path: Path
) -> None:
    backup = path.with_name("notes_1.json~")
    path.rename(backup)
    editor = threading.Timer(0.05, backup.rename, [path])
    editor.start()
    change(store, 1, text="meanwhile")
    editor.join()
    store.publish()
    assert json.loads(path.read_bytes())["notes"][0]["text"] == "meanwhile"
    assert json.loads(path.read_bytes())["revision"] == 7


def test_file_that_is_removed_takes_its_document_along(root: Path, store: DocumentStore) -> None:
    store.close()
    store = opened(root)
    assert notes(store)
    (root / "notes/notes_1.json").unlink()
    assert store.read(ALICE_NOTES) is None
    entry = store.entry(store.sequence())
    assert entry is not None and entry.actor == FILE_ACTOR
    store.close()
    assert opened(root).read(ALICE_NOTES) is None


# How editors save


def _renames(path: Path, data: bytes) -> None:
    """vim, with a file beside it: written, then renamed."""
    draft = path.with_name(".notes_1.json.swp")
    draft.write_bytes(data)
    draft.replace(path)


def _writes_in_place(path: Path, data: bytes) -> None:
    """VS Code, nano."""
    path.write_bytes(data)


def _writes_in_pieces(path: Path, data: bytes) -> None:
    """An editor that is seen while it writes."""
    with path.open("wb", buffering=0) as file:
        for start in range(0, len(data), 100):
            file.write(data[start : start + 100])
            time.sleep(0.001)


def _backs_up_first(path: Path, data: bytes) -> None:
    """emacs: the old file gets another name, and the new one is written."""
    path.replace(path.with_name("notes_1.json~"))
    path.write_bytes(data)


def _copies_first(path: Path, data: bytes) -> None:
    """vim with backupcopy=yes."""
    shutil.copy2(path, path.with_name("notes_1.json~"))
    path.write_bytes(data)


def _with_older_time(path: Path, data: bytes) -> None:
    """A copy from another machine: rsync -t, cp -p."""
    _renames(path, data)
    os.utime(path, (1_000_000_000, 1_000_000_000))


def _through_a_link(path: Path, data: bytes) -> None:
    """A file of the person's own that is linked into the folder."""
    own = path.with_name("own.json")
    own.write_bytes(data)
    path.unlink()
    path.hardlink_to(own)


def _with_bom(path: Path, data: bytes) -> None:
    """Notepad."""
    path.write_bytes(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))


EDITORS = [
    _renames,
    _writes_in_place,
    _writes_in_pieces,
    _backs_up_first,
    _copies_first,
    _with_older_time,
    _through_a_link,
    _with_bom,
]


@pytest.mark.parametrize("save", EDITORS)
def test_every_way_of_saving_merges(
    store: DocumentStore, path: Path, save: Callable[[Path, bytes], None]
) -> None:
    for round_ in range(3):
        buffer = Buffer(path)
        change(store, 1, text=f"by the API {round_}")
        buffer.note(2)["text"] = f"by hand {round_}"
        save(path, json.dumps(buffer.content, indent=4).encode())
        store.publish()
        found = notes(store)
        assert found[1] == f"by the API {round_}" and found[2] == f"by hand {round_}"
    assert store.aside(ALICE_NOTES) == []
    assert sorted(found) == [1, 2, 3, 4, 5]


def test_sync_conflict_copy_beside_the_file_is_left_alone(store: DocumentStore, path: Path) -> None:
    copy = path.with_name("notes_1 (conflicted copy 2026-11-30).json")
    copy.write_text('{"notes": []}')
    assert len(notes(store)) == 5
    store.publish()
    assert copy.read_text() == '{"notes": []}'
    assert any("conflicted copy" in str(finding) for finding in store.backend.check())


@pytest.mark.parametrize("save", [_renames, _writes_in_place, _backs_up_first])
def test_saves_while_writers_work_lose_nothing(
    root: Path, save: Callable[[Path, bytes], None]
) -> None:
    """Each writer counts in a record of its own; the person changes another one each time."""
    backend = FilesBackend(root, LAYOUTS)
    store = DocumentStore(backend, LAYOUTS)
    store.merge_files_with(merge_file)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    for _ in range(WRITERS + 1):
        add(store, "0")
    store.publish()
    path, enough = root / "notes/notes_1.json", threading.Event()
    counted = dict.fromkeys(range(1, WRITERS + 1), 0)

    def write(note: int) -> None:
        while not enough.is_set():
            change(store, note, text=str(counted[note] + 1))
            counted[note] += 1

    threads = [threading.Thread(target=write, args=(note,)) for note in counted]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, 13):
            content = _whole(path)
            person = next(note for note in content["notes"] if note["id"] == WRITERS + 1)
            person["text"] = f"by hand {number}"
            save(path, json.dumps(content).encode())
            _until(lambda text=person["text"]: notes(store)[WRITERS + 1] == text)
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    store.publish()
    assert notes(store) == {note: str(count) for note, count in counted.items()} | {
        WRITERS + 1: "by hand 12"
    }
    assert store.aside(ALICE_NOTES) == []
    store.close()


def _whole(path: Path) -> dict[str, Any]:
    """The file as the store shows it, not as the person left it."""
    deadline = time.monotonic() + 20
    while True:
        try:
            content: dict[str, Any] = json.loads(path.read_bytes())
        except FileNotFoundError:
            content = {}
        if "last_id" in content:
            return content
        assert time.monotonic() < deadline


def _until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Killed(BaseException):
    """The process is killed at this point."""


class SavesAtExchange(FileSystem):
    """An editor that saves just before names are exchanged, by the step of the exchange."""

    def __init__(self) -> None:
        self.saves: dict[str, list[Callable[[], None]]] = {}
        self.killed_before = self.killed_after = ""

    def exchange(self, step: str, one: Where, other: Where) -> bool:
        if self.saves.get(step):
            self.saves[step].pop(0)()
        if step == self.killed_before:
            raise Killed
        is_exchanged = super().exchange(step, one, other)
        if step == self.killed_after:
            raise Killed
        return is_exchanged


@pytest.fixture
def files() -> SavesAtExchange:
    return SavesAtExchange()


@pytest.fixture
def pending(root: Path, path: Path, files: SavesAtExchange) -> Iterator[DocumentStore]:
    """A document with a published note and one that is not in the file yet."""
    store = opened(root, files=files)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    add(store, "note 1")
    store.publish()
    add(store, "by the API")
    yield store
    store.close()


def save_of(path: Path, text: str) -> Callable[[], None]:
    """A save of the present file with another note."""
    buffer = Buffer(path)
    buffer.content["notes"].append({"text": text})
    return buffer.save


def test_save_in_the_very_moment_of_publication_is_kept(
    pending: DocumentStore, path: Path, files: SavesAtExchange
) -> None:
    files.saves["publish"] = [save_of(path, "by hand")]
    pending.publish()
    assert sorted(notes(pending).values()) == ["by hand", "by the API", "note 1"]
    assert not files.saves["publish"] and pending.aside(ALICE_NOTES) == []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_saves_around_both_exchanges_keep_the_displaced_save(
    pending: DocumentStore, path: Path, files: SavesAtExchange, count: int
) -> None:
    saves = [save_of(path, f"by hand {number}") for number in range(count + 1)]
    files.saves = {"publish": saves[:1], "publish-back": saves[1:]}
    pending.publish()
    assert sorted(notes(pending).values()) == [f"by hand {count}", "by the API", "note 1"]
    (aside,) = pending.aside(ALICE_NOTES)
    assert f"by hand {count - 1}".encode() in aside.content
    assert not list(path.parent.glob(".*"))


@pytest.mark.parametrize("step", ["publish", "publish-back"])
def test_save_displaced_by_a_killed_process_is_merged_by_the_next(
    pending: DocumentStore, root: Path, path: Path, files: SavesAtExchange, step: str
) -> None:
    files.saves["publish"], files.killed_after = [save_of(path, "by hand")], step
    with pytest.raises(Killed):
        pending.publish()
    pending.backend._release()  # type: ignore[attr-defined]
    files.killed_after = ""
    store = opened(root)
    assert sorted(notes(store).values()) == ["by hand", "by the API", "note 1"]
    assert store.aside(ALICE_NOTES) == [] and not list(path.parent.glob(".*"))
    store.close()


def test_exchange_of_a_killed_process_without_a_save_leaves_nothing(
    pending: DocumentStore, root: Path, path: Path, files: SavesAtExchange
) -> None:
    files.killed_after = "publish"
    with pytest.raises(Killed):
        pending.publish()
    pending.backend._release()  # type: ignore[attr-defined]
    files.killed_after = ""
    store = opened(root)
    assert sorted(notes(store).values()) == ["by the API", "note 1"]
    assert store.aside(ALICE_NOTES) == [] and not list(path.parent.glob(".*"))
    store.close()


def test_draft_of_a_killed_process_is_no_save_after_a_newer_publication(
    pending: DocumentStore, root: Path, path: Path, files: SavesAtExchange
) -> None:
    other = opened(root)
    files.killed_before = "publish"
    with pytest.raises(Killed):
        pending.publish()
    pending.backend._release()  # type: ignore[attr-defined]
    files.killed_before = ""
    assert list(path.parent.glob(".*.exchange"))
    add(other, "by another process")
    other.publish()
    other.close()
    store = opened(root)
    store.publish()
    assert sorted(notes(store).values()) == ["by another process", "by the API", "note 1"]
    assert FILE_ACTOR not in {entry.actor for entry in store.entries(0, lambda key: True)[0]}
    assert store.aside(ALICE_NOTES) == [] and not list(path.parent.glob(".*"))
    store.close()


@pytest.mark.parametrize("reads", ["raw", "copies"])
def test_bytes_of_a_file_edited_meanwhile_are_read_beside_a_writer(
    root: Path,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    reads: str,
) -> None:
    """The writer needs the cache while the reader, which merges the edit, waits for its lock."""
    store, other = opened(root, lock_timeout=2), opened(root)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    store.backend.checkpoint()  # type: ignore[attr-defined]
    add(store, "by the API")
    has_lock = threading.Event()
    writers: list[threading.Thread] = []

    def write() -> None:
        with store.backend.exclusive():
            has_lock.set()
            time.sleep(0.2)
            store.read(Key("notes", 2))

    def meanwhile() -> None:
        other.publish()
        save_of(path, "by hand")()
        writers.append(threading.Thread(target=write))
        writers[0].start()
        assert has_lock.wait(10)

    backend: Any = store.backend
    fault = backend._cache.fault

    def fault_after_publication(key: Key) -> Corrupt | None:
        if not writers:
            meanwhile()
        return fault(key)

    monkeypatch.setattr(backend._loop, "publish", lambda: None)  # as on a full disk
    monkeypatch.setattr(backend._cache, "fault", fault_after_publication)
    if reads == "raw":
        assert b"by the API" in (store.backend.raw(ALICE_NOTES) or b"")
    else:
        with store.backend.copies([ALICE_NOTES]) as copies:
            assert b"by the API" in copies[ALICE_NOTES].file.read()
    writers[0].join()
    monkeypatch.undo()
    assert "cannot be merged" not in caplog.text
    assert sorted(notes(store).values()) == ["by hand", "by the API"]
    store.close()
    other.close()


def test_change_waits_for_an_editor_without_the_lock_of_all_writers(
    store: DocumentStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is missing for a moment may be about to be saved."""
    content, lock = path.read_text().replace("note 2", "by hand"), store.backend._folder.lock  # type: ignore[attr-defined]
    waited: list[bool] = []

    def sleep(seconds: float) -> None:
        waited.append(lock.held)
        if len(waited) == 3:
            path.write_text(content)
        sleep_as_usual(seconds)

    sleep_as_usual = time.sleep
    monkeypatch.setattr(time, "sleep", sleep)
    path.unlink()
    change(store, 1, text="by the API")
    monkeypatch.undo()
    assert len(waited) >= 3 and not any(waited)
    assert (notes(store)[1], notes(store)[2]) == ("by the API", "by hand")


def test_copy_of_a_file_that_cannot_be_merged_has_no_parsed_form(
    store: DocumentStore, path: Path
) -> None:
    path.write_text('{"notes": [')
    assert notes(store)[5] == "note 5"
    with store.backend.copies([ALICE_NOTES]) as copies:
        assert copies[ALICE_NOTES].file.read() == path.read_bytes()
        assert copies[ALICE_NOTES].document is None


def test_version_set_aside_that_cannot_be_read_is_unavailable(
    store: DocumentStore, path: Path
) -> None:
    path.with_name("notes_1.set-aside-2026-11-30T00-00-00Z.json").mkdir()
    with pytest.raises(Unavailable, match="set-aside"):
        store.aside(ALICE_NOTES)


def test_two_documents_keep_their_own_images(root: Path, store: DocumentStore) -> None:
    other = Key("notes", 2)
    store.change(lambda transaction: transaction.create(other, {"notes": [{"id": 1}]}))
    store.close()
    (root / "notes/notes_2.json").write_text("{")
    store = opened(root)
    document = store.read(other)
    assert document is not None and list(document.content["notes"]) == [{"id": 1}]
    assert notes(store)[5] == "note 5"
    store.close()


def test_file_put_where_a_document_was_just_deleted_begins_another(
    store: DocumentStore, path: Path
) -> None:
    store.change(lambda transaction: transaction.drop(ALICE_NOTES))
    path.write_text('{"notes": [{"id": 3, "text": "by hand"}], "revision": 90}')
    assert notes(store) == {3: "by hand"} and revision(store) == 1
    store.close()
    assert json.loads(path.read_bytes())["notes"] == [{"id": 3, "text": "by hand"}]
