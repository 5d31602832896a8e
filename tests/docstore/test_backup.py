"""Snapshots: complete or absent, checked before use, restored completely or not at all."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from docstore import (
    Corrupt,
    DocumentStore,
    Key,
    NotFound,
    Transaction,
    Unavailable,
    check_snapshot,
    open_store,
    restore_snapshot,
    snapshots,
    take_snapshot,
)
from docstore.backends.files.backend import FilesBackend
from docstore.disk.filesystem import FileSystem, Where
from tests.docstore.layouts import ALICE, ALICE_NOTES, BOB_NOTES, LAYOUTS
from tests.folders import contents
from tests.stopping import Killed, StoppingFileSystem


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(root: Path) -> DocumentStore:
    store = open_store(root.as_uri(), LAYOUTS.values())

    def fill(transaction: Transaction) -> None:
        transaction.create(ALICE_NOTES, {"notes": [{"id": 1, "text": "größer 😀"}]})
        transaction.create(ALICE, {"log": []})

    store.change(fill)
    store.publish()
    (root / "notes/notes_7.json").write_text('{"notes": [')  # preserved as it is, though unreadable
    (root / "notes/_index.json").write_text("{}")
    return store


def spoil(store: DocumentStore) -> None:
    """Change one document, delete one and add one."""

    def edit(transaction: Transaction) -> None:
        transaction.put(ALICE_NOTES, {"id": 2})
        transaction.drop(ALICE)
        transaction.create(BOB_NOTES, {"notes": []})

    store.change(edit)
    store.publish()


def test_a_snapshot_brings_back_every_byte(root: Path, store: DocumentStore) -> None:
    before = contents(root)
    snapshot = take_snapshot(store, root / "backups")
    spoil(store)
    (root / "notes/notes_7.json").unlink()
    assert restore_snapshot(store, snapshot) == len(before)
    assert contents(root) == before
    assert snapshot.stat().st_mode & 0o777 == 0o600
    assert snapshots(root / "backups") == [snapshot.name]


def test_a_snapshot_says_what_it_holds(root: Path, store: DocumentStore) -> None:
    with zipfile.ZipFile(take_snapshot(store, root / "backups")) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert archive.namelist()[-1] == "manifest.json"
        assert {name: archive.read(name) for name in manifest["files"]} == contents(root)
    assert manifest["format"] == 1


def test_names_that_no_archive_can_carry_are_left_out(root: Path, store: DocumentStore) -> None:
    (root / os.fsdecode(b"notes/\xff.json")).write_text("{}")
    (root / "notes/a\nb").write_text("{}")
    take_snapshot(store, root / "backups")


@pytest.mark.parametrize("first", range(3))
def test_a_damaged_archive_changes_nothing(
    root: Path, store: DocumentStore, tmp_path: Path, first: int
) -> None:
    """Truncated anywhere or with any byte changed: refused, or equal if the byte is irrelevant."""
    archive = take_snapshot(store, root / "backups").read_bytes()
    taken = contents(root)
    spoil(store)
    spoiled = contents(root)
    damaged = tmp_path / "damaged.zip"
    for place in range(first, len(archive), 13):
        for data in (archive[:place], archive[:place] + b"\xaa" + archive[place + 1 :]):
            if data == archive:
                continue
            damaged.write_bytes(data)
            try:
                check_snapshot(store, damaged)
            except Corrupt:
                continue
            restore_snapshot(store, damaged)
            assert contents(root) == taken
            (root / "people/person_1.json").unlink()
            for name, content in spoiled.items():
                (root / name).write_bytes(content)
    damaged.write_bytes(archive[: len(archive) // 2])
    with pytest.raises(Corrupt):
        restore_snapshot(store, damaged)
    assert contents(root) == spoiled


def rebuilt(source: Path, target: Path, changed: dict[str, bytes], listed: bool = True) -> Path:
    """Return an archive with other contents; those `listed` in its manifest have right sums."""
    from hashlib import sha256

    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        files = {name: old.read(name) for name in old.namelist() if name != "manifest.json"}
        manifest = json.loads(old.read("manifest.json"))
        for name, content in (files | changed).items():
            new.writestr(name, content)
            if listed:
                digest = sha256(content).hexdigest()
                manifest["files"][name] = {"sha256": digest, "bytes": len(content)}
        new.writestr("manifest.json", json.dumps(manifest))
    return target


@pytest.mark.parametrize(
    "name", ["../outside.json", "/etc/x", "notes/../../x", "elsewhere/x.json", "notes/.hidden", "x"]
)
def test_a_name_that_leads_elsewhere_is_refused(
    root: Path, store: DocumentStore, tmp_path: Path, name: str
) -> None:
    snapshot = take_snapshot(store, root / "backups")
    before = contents(tmp_path, but=())
    forged = rebuilt(snapshot, root / "backups/forged.zip", {name: b"{}"})
    with pytest.raises(Corrupt, match="is no name of this store"):
        restore_snapshot(store, forged)
    forged.unlink()
    assert contents(tmp_path, but=()) == before


@pytest.mark.parametrize("name", ["notes/notes_1.json", "notes/notes_9.json"])
def test_archive_file_missing_in_manifest_is_refused(
    root: Path, store: DocumentStore, name: str
) -> None:
    snapshot = take_snapshot(store, root / "backups")
    before = contents(root)
    forged = rebuilt(snapshot, root / "backups/forged.zip", {name: b'{"notes": []}'}, listed=False)
    with pytest.raises(Corrupt, match="manifest"):
        restore_snapshot(store, forged)
    assert contents(root) == before


def test_a_restore_stopped_at_any_step_is_whole_or_has_not_happened(
    root: Path, store: DocumentStore
) -> None:
    taken = contents(root)
    snapshot = take_snapshot(store, root / "backups")
    spoil(store)
    spoiled = contents(root)
    outcomes = []
    for steps in range(100):
        backend = FilesBackend(root, LAYOUTS, background=False)
        backend._replace._files = StoppingFileSystem(steps)
        try:
            restore_snapshot(DocumentStore(backend, LAYOUTS), snapshot)
        except Killed:
            backend._release()
            with FilesBackend(root, LAYOUTS, background=False).exclusive():
                pass  # the next writer finds it finished, by itself or by another process
            outcomes.append(contents(root) == taken)
            assert contents(root) in (taken, spoiled)
            if outcomes[-1]:
                restore_snapshot(store, snapshot)
                spoil(store)
                spoiled = contents(root)
        else:
            break
    assert contents(root) == taken
    assert set(outcomes) == {True, False}, "it was never stopped on both sides of the commit point"


class FailingTakeBack(FileSystem):
    """A disk on which a restore fails after its commit point, and cannot be rolled back."""

    def __init__(self, failing: str) -> None:
        self.failing = failing

    def _at(self, operation: str, step: str) -> None:
        if (operation, step) == (self.failing, "take-back"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def link(self, step: str, source: Where, target: Where) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def remove(self, step: str, path: Where) -> None:
        self._at("remove", step)
        super().remove(step, path)

    def sync_folder(self, step: str, path: Where) -> None:
        self._at("sync", step)
        super().sync_folder(step, path)


@pytest.mark.parametrize("failing", ["remove", "sync"])
def test_restore_that_cannot_be_rolled_back_admits_no_change_before_the_next_start(
    root: Path, store: DocumentStore, failing: str
) -> None:
    taken = contents(root)
    snapshot = take_snapshot(store, root / "backups")
    spoil(store)
    spoiled = contents(root)
    backend = FilesBackend(root, LAYOUTS, background=False)
    backend._replace._files = FailingTakeBack(failing)
    failed = DocumentStore(backend, LAYOUTS)
    with pytest.raises(Unavailable):
        restore_snapshot(failed, snapshot)
    for other in (failed, store):
        with pytest.raises(Unavailable):
            other.change(lambda transaction: transaction.put(ALICE_NOTES, {"id": 3}))
    backend._release()
    store.backend._release()  # type: ignore[attr-defined]
    with FilesBackend(root, LAYOUTS, background=False).exclusive():
        pass
    assert contents(root) == (taken if failing == "remove" else spoiled)


KILLED_AT = """
import os, sys
from pathlib import Path
from docstore import open_store, take_snapshot
from tests.docstore.layouts import LAYOUTS

def kill(done, total):
    if done == int(sys.argv[2]):
        os._exit(9)

root = Path(sys.argv[1])
take_snapshot(open_store(root.as_uri(), LAYOUTS.values()), root / "backups", kill)
"""


def test_a_backup_killed_midway_leaves_no_archive_and_the_next_one_sweeps_up(
    root: Path, store: DocumentStore
) -> None:
    for file in range(1, len(contents(root)) + 1):
        command = [sys.executable, "-c", KILLED_AT, str(root), str(file)]
        assert subprocess.run(command, check=False).returncode == 9
        assert snapshots(root / "backups") == []
        assert all(entry.name.startswith(".") for entry in (root / "backups").iterdir())
    snapshot = take_snapshot(store, root / "backups")
    assert [entry.name for entry in (root / "backups").iterdir()] == [snapshot.name]
    open_store(root.as_uri(), LAYOUTS.values())
    assert not list((root / ".neuralflow").glob("pins-*"))


def test_a_backup_names_the_file_that_it_cannot_read(
    root: Path, store: DocumentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(Corrupt, match=r"\.json: cannot be read: Permission denied"):
        take_snapshot(store, root / "backups")
    assert list((root / "backups").iterdir()) == []


def test_a_backup_that_fails_midway_leaves_nothing(root: Path, store: DocumentStore) -> None:
    def full(done: int, total: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(Unavailable, match="No space left"):
        take_snapshot(store, root / "backups", full)
    assert list((root / "backups").iterdir()) == []
    assert not list((root / ".neuralflow").glob("pins-*"))


def test_two_backups_at_once_do_not_touch_each_other(root: Path, store: DocumentStore) -> None:
    inner: list[Path] = []

    def another(done: int, total: int) -> None:
        if done == 1:
            inner.append(take_snapshot(store, root / "backups"))

    outer = take_snapshot(store, root / "backups", another)
    assert sorted([*inner, outer]) == sorted((root / "backups").iterdir())
    for path in (*inner, outer):
        assert check_snapshot(store, path) == len(contents(root))


def test_a_snapshot_shows_one_moment(root: Path, store: DocumentStore) -> None:
    before = contents(root)
    spoiled: list[bool] = []

    def change(done: int, total: int) -> None:
        if not spoiled:
            spoiled.append(True)
            spoil(store)

    snapshot = take_snapshot(store, root / "backups", change)
    restore_snapshot(store, snapshot)
    assert contents(root) == before


def test_only_folders_have_snapshots(tmp_path: Path) -> None:
    memory = open_store("memory:", LAYOUTS.values())
    with pytest.raises(Unavailable):
        take_snapshot(memory, tmp_path)


def test_a_folder_that_was_taken_away_comes_back(root: Path, store: DocumentStore) -> None:
    (root / "people/person_1.json").unlink()
    (root / "people").rmdir()
    store.change(lambda transaction: transaction.create(ALICE, {"log": []}))
    store.publish()
    assert (root / "people/person_1.json").exists()


def test_there_must_be_a_backup_to_restore(root: Path, store: DocumentStore) -> None:
    with pytest.raises(NotFound):
        restore_snapshot(store, root / "backups/none.zip")


def test_looking_makes_no_folder_and_reports_what_the_dead_left(tmp_path: Path) -> None:
    root = tmp_path / "data"
    looking = FilesBackend(root, LAYOUTS, lay_out=False)
    assert [finding.document for finding in looking.check()] == ["notes/", "people/"]
    with pytest.raises(Unavailable):
        looking.read(Key("notes", 1))
    assert not root.exists()
    FilesBackend(root, LAYOUTS)
    (root / ".neuralflow/drafts").mkdir()
    for left in (".neuralflow/drafts/abc.draft", ".neuralflow/pins-1", "notes/.abc.draft"):
        (root / left).write_text("")
    assert [finding.document for finding in looking.check()] == [
        "notes/.abc.draft",
        ".neuralflow/drafts/abc.draft",
        ".neuralflow/pins-1",
    ]
