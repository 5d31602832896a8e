"""Backups: created beside writers, incremental, verified, restored completely or not at all."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backups import create
from backups.accounts import SqliteAccounts
from backups.create import create_backup
from backups.manifest import Backup, backup_names, read_verified
from backups.restore import (
    TO_RESTORE,
    differences,
    documents_of,
    finish_accounts,
    newest_backup,
    owner_differences,
    restore_backup,
    restore_documents,
    restore_record,
)
from backups.targets import FolderTarget
from backups.verify import verify_backup
from docstore import Corrupt, DocumentStore, NotFound, Transaction, Unavailable, open_store
from docstore.backends.files.backend import FilesBackend
from tests.backups.conftest import World, put, spoil
from tests.docstore.layouts import ALICE, ALICE_NOTES, BOB_NOTES, LAYOUTS
from tests.stopping import Killed, StoppingFileSystem


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the identity of files at once, not after the time in which a clock may stand still."""
    monkeypatch.setattr(create, "_SETTLED_NS", 0)


def test_backup_restored_brings_back_documents_and_accounts(world: World) -> None:
    taken = world.documents()
    created = world.back_up()
    spoil(world)
    (world.root / "notes/notes_7.json").unlink()
    files = restore_backup(world.store, world.backup(created), accounts=world.accounts)
    assert files == len(taken) == 4
    assert world.documents() == taken
    assert world.names() == ["alice"]
    assert not (world.root / TO_RESTORE).exists()


def test_restored_without_accounts_leaves_the_database(world: World) -> None:
    created = world.back_up()
    world.sign_up("bob")
    restore_backup(world.store, world.backup(created))
    assert world.names() == ["alice", "bob"]


def test_manifest_says_what_the_backup_holds_and_names_broken_files(world: World) -> None:
    created = world.back_up()
    file = world.root / f"backups/{created.name}.json"
    content = json.loads(file.read_text())
    assert created.name == "neuralflow_2026-11-23T12-00-02.000000Z"
    assert content["created_at"] == "2026-11-23T12:00:02.000000Z"
    assert (content["program"], content["files"]) == ("test", 4)
    assert content["counts"]["notes"] == {"documents": 1, "records": 1}
    (finding,) = content["findings"]
    assert (finding["document"], finding["line"]) == ("notes/notes_7.json", 2)
    for path in (world.root / "backups").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)
    listed = {file.name: file.records for file in Backup(world.target, created.name).files()}
    assert listed == {
        "notes/_index.json": None,
        "notes/notes_1.json": 1,
        "notes/notes_7.json": None,
        "people/person_1.json": 0,
    }


def test_second_backup_reads_and_stores_only_what_changed(world: World, settled: None) -> None:
    for owner in range(10, 60):
        world.store.change(
            lambda transaction, owner=owner: transaction.create(  # type: ignore[misc]
                ALICE_NOTES._replace(owner=owner), {"notes": [{"id": 1, "text": str(owner) * 500}]}
            )
        )
    first = world.back_up()
    put(world, 2, "changed")
    second = world.back_up()
    assert (first.read, second.read) == (54, 1)
    assert second.added < first.added / 2
    assert world.back_up().read == 0


def test_file_that_was_just_written_is_read_again(world: World) -> None:
    assert [world.back_up().read for _ in range(2)] == [4, 4]


def test_file_overwritten_with_its_old_size_and_time_is_read_again(
    world: World, settled: None
) -> None:
    path = world.root / "notes/notes_1.json"
    world.back_up()
    status, text = path.stat(), path.read_text()
    path.write_text(text.replace("größer", "kleineXX"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    backup = world.backup(world.back_up())
    (file,) = [file for file in backup.files() if file.name == "notes/notes_1.json"]
    assert b"kleineXX" in backup.content(file)


def test_backup_without_its_index_stores_nothing_twice(world: World) -> None:
    first = world.back_up()
    shutil.rmtree(world.root / ".neuralflow/backups")
    second = world.back_up()
    assert second.read == 4
    assert second.manifest.root == first.manifest.root
    assert set(second.manifest.packs) == set(first.manifest.packs)


def test_packs_that_were_removed_are_written_again(world: World) -> None:
    world.back_up()
    shutil.rmtree(world.root / "backups/packs")
    created = world.back_up()
    result = verify_backup(world.store, world.backup(created), program="test", clock=world.clock)
    assert (result.problem, result.files) == ("", 4)


def test_manifest_with_a_changed_line_is_refused(world: World) -> None:
    created = world.back_up()
    path = world.root / f"backups/{created.name}.json"
    for before, after in (('"files": 4', '"files": 5'), ('"test"', '"tess"'), ("12:00", "13:00")):
        text = path.read_text()
        path.write_text(text.replace(before, after, 1))
        assert path.read_text() != text
        with pytest.raises(Corrupt, match="its checksum differs"):
            world.backup(created)
        path.write_text(text)
    world.backup(created)


def test_verification_is_recorded_beside_the_backup(world: World) -> None:
    created = world.back_up()
    assert read_verified(world.target, created.name) is None
    backup = world.backup(created)
    result = verify_backup(
        world.store, backup, program="test", clock=world.clock, accounts=world.accounts
    )
    assert result == read_verified(world.target, created.name)
    assert (result.complete, result.problem, result.manifest) == (True, "", backup.checksum)
    assert [finding.document for finding in result.findings] == ["notes/notes_7.json"]
    pack = next((world.root / "backups/packs").rglob("*.zst"))
    pack.write_bytes(pack.read_bytes()[:-1])
    result = verify_backup(world.store, backup, program="test", clock=world.clock)
    assert "is damaged" in result.problem
    assert read_verified(world.target, created.name) == result
    assert not list((world.root / ".neuralflow/backups").glob("scratch-*"))


def test_accounts_that_are_no_database_are_not_verified(world: World) -> None:
    database = world.folder / "db.sqlite3"
    created = world.back_up()
    backup = world.backup(created)

    class NoDatabase(type(world.accounts)):  # type: ignore[misc]
        def check(self, path: Path) -> None:
            path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
            super().check(path)

    result = verify_backup(
        world.store, backup, program="test", clock=world.clock, accounts=NoDatabase(database)
    )
    assert "db.sqlite3: cannot be opened" in result.problem


def test_backup_shows_one_moment_when_documents_and_accounts_change_while_it_reads(
    world: World,
) -> None:
    """What changes between two reads is in the backup as a whole."""

    def change(done: int, total: int) -> None:
        if done in (1, 3):
            world.sign_up(f"bob{done}")
            spoil_both(f"while reading {done}")

    def spoil_both(text: str) -> None:
        def edit(transaction: Transaction) -> None:
            transaction.put(ALICE_NOTES, {"id": 1, "text": text})
            transaction.set(ALICE, {"text": text})

        world.store.change(edit)

    def at_the_cut() -> datetime:
        world.sign_up("bob9")  # the writers of documents wait here, and nobody else does
        return world.clock()

    created = world.back_up(progress=change, clock=at_the_cut)
    assert created.read > 4
    backup = world.backup(created)
    texts = [
        json.loads(backup.content(file))
        for file in backup.files()
        if file.name in ("notes/notes_1.json", "people/person_1.json")
    ]
    assert [texts[0]["notes"][0]["text"], texts[1]["text"]] == ["while reading 3"] * 2
    restore_backup(world.store, backup, accounts=world.accounts)
    assert world.names() == ["alice", "bob1", "bob3", "bob9"]


def test_sessions_are_not_in_a_backup(world: World) -> None:
    database = world.folder / "db.sqlite3"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE django_session (session_data TEXT)")
        connection.execute("INSERT INTO django_session VALUES ('unsaved changes')")
        connection.commit()
    accounts = SqliteAccounts(database, ["django_session", "no_such_table"])
    backup = world.backup(world.back_up(accounts=accounts))
    content = b"".join(backup.database_parts())
    assert b"alice" in content and b"unsaved changes" not in content


def test_restore_killed_at_any_step_is_wholly_old_or_wholly_new(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = world.documents()
    created = world.back_up()
    spoil(world)
    spoiled = world.documents()
    world.store.close()
    outcomes = []
    for steps in range(200):
        backend = FilesBackend(world.root, LAYOUTS, background=False)
        stopping = StoppingFileSystem(steps)
        backend._replace._files = stopping
        restore = world.accounts.restore

        def stopped(path: Path, restore=restore, stopping=stopping) -> None:  # type: ignore[no-untyped-def]
            stopping.count()
            restore(path)
            stopping.count()

        monkeypatch.setattr(world.accounts, "restore", stopped)
        try:
            store = DocumentStore(backend, LAYOUTS)
            restore_backup(store, world.backup(created), accounts=world.accounts)
        except Killed:
            backend._release()
        else:
            break
        finally:
            monkeypatch.undo()
        following = open_store(world.root.as_uri(), LAYOUTS.values())
        finish_accounts(world.root, world.accounts)
        following.publish()
        world.store = following
        state = (world.documents(), world.names())
        assert state in ((taken, ["alice"]), (spoiled, ["alice", "bob"]))
        outcomes.append(state[0] == taken)
        if outcomes[-1]:
            spoil(world)
            spoiled = world.documents()
        following.close()
    assert set(outcomes) == {True, False}
    assert len(outcomes) > 30
    world.store = DocumentStore(backend, LAYOUTS)
    assert (world.documents(), world.names()) == (taken, ["alice"])


def test_accounts_that_cannot_be_replaced_now_are_replaced_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = world.back_up()
    spoil(world)

    def refuse(path: Path) -> None:
        raise Unavailable("the accounts database is locked by another program")

    with monkeypatch.context() as patch, pytest.raises(Unavailable):
        patch.setattr(world.accounts, "restore", refuse)
        restore_backup(world.store, world.backup(created), accounts=world.accounts)
    assert world.names() == ["alice", "bob"]
    assert finish_accounts(world.root, world.accounts)
    assert world.names() == ["alice"]
    assert not finish_accounts(world.root, world.accounts)


def test_backup_killed_at_any_step_leaves_earlier_ones_and_nothing_half(world: World) -> None:
    first = world.back_up()
    spoil(world)
    for steps in range(100):
        target = FolderTarget(world.root / "backups", StoppingFileSystem(steps))
        try:
            world.back_up(target=target)
        except Killed:
            assert backup_names(world.target)[0] == first.name
        else:
            break
    assert steps > 8
    names = backup_names(world.target)
    assert len(names) < steps  # most steps come before the manifest has its name
    for name in names:
        result = verify_backup(
            world.store, Backup(world.target, name), program="test", clock=world.clock
        )
        assert result.problem == ""


def test_differences_say_what_a_restore_would_change_and_change_nothing(world: World) -> None:
    created = world.back_up()
    assert differences(world.store, world.backup(created)) == []
    spoil(world)
    before = world.documents()
    assert [
        (one.file, one.change, one.records_before, one.records_after)
        for one in differences(world.store, world.backup(created))
    ] == [
        ("notes/notes_1.json", "changed", 2, 1),
        ("notes/notes_2.json", "removed", 0, None),
        ("people/person_1.json", "added", None, 0),
    ]
    assert world.documents() == before


def test_one_owners_documents_are_restored_and_ids_are_not_given_again(world: World) -> None:
    created = world.back_up()
    spoil(world)
    put(world, 1, "bob writes", BOB_NOTES)
    states = documents_of(world.store, world.backup(created), 1)
    assert [one.change for one in owner_differences(world.store, states)] == ["changed", "added"]
    changed = restore_documents(world.store, states)
    assert changed == ["notes/notes_1.json", "people/person_1.json"]
    document = world.store.read(ALICE_NOTES)
    assert document is not None and document.content["last_id"] == 2
    assert [record["id"] for record in document.content["notes"]] == [1]
    assert len(world.store.records(BOB_NOTES)) == 1
    assert restore_documents(world.store, states) == []
    with pytest.raises(NotFound, match="no documents of user 9"):
        documents_of(world.store, world.backup(created), 9)


def test_broken_file_of_an_owner_is_set_aside_and_replaced(world: World) -> None:
    created = world.back_up()
    world.store.publish()
    path = world.root / "notes/notes_1.json"
    path.write_text("{broken")
    states = documents_of(world.store, world.backup(created), 1)
    restore_documents(world.store, states)
    world.store.publish()
    assert json.loads(path.read_text())["notes"][0]["text"] == "größer 😀"
    assert len(world.store.aside(ALICE_NOTES)) == 1


def test_one_record_is_restored_with_its_id(world: World) -> None:
    created = world.back_up()
    world.store.change(lambda transaction: transaction.remove(ALICE_NOTES, 1))
    document = documents_of(world.store, world.backup(created), 1)[ALICE_NOTES]
    assert document is not None
    record = document.content["notes"][0]
    assert restore_record(world.store, ALICE_NOTES, record)
    assert not restore_record(world.store, ALICE_NOTES, record)
    assert list(world.store.records(ALICE_NOTES)) == [record]


def test_state_of_a_moment_is_the_backup_and_the_changes_after_it(world: World) -> None:
    created = world.back_up()
    put(world, 2, "second")
    put(world, 1, "changed")
    states, moment = world.documents(), world.now
    world.store.change(lambda transaction: transaction.drop(ALICE_NOTES))
    put(world, 1, "x") if world.store.read(ALICE_NOTES) else None
    backup = world.backup(created)
    assert newest_backup(world.target, moment) == created.name
    restore_backup(world.store, backup, until=moment)
    assert world.documents() == states
    with pytest.raises(NotFound):
        newest_backup(world.target, backup.manifest.moment - timedelta(seconds=1))


def test_moment_behind_a_restore_is_refused_and_nothing_changed(world: World) -> None:
    created = world.back_up()
    restore_backup(world.store, world.backup(created))
    put(world, 2, "after the restore")
    before = world.documents()
    with pytest.raises(Unavailable, match="a backup was restored"):
        restore_backup(world.store, world.backup(created), until=datetime.now(UTC))
    assert world.documents() == before


def test_changes_that_do_not_fit_the_backup_are_refused(world: World) -> None:
    """A folder whose journal is of another store: numbers fit by chance, and states do not."""
    created = world.back_up()
    put(world, 1, "one way")
    (world.root / "people/person_1.json").unlink()
    other = open_store((world.folder / "other").as_uri(), LAYOUTS.values(), clock=world.clock)
    other.change(
        lambda transaction: transaction.create(ALICE_NOTES, {"notes": [{"id": 1, "text": "x"}]})
    )
    for number in range(10):
        other.change(
            lambda transaction, number=number: transaction.put(  # type: ignore[misc]
                ALICE_NOTES, {"id": 1, "text": str(number)}
            )
        )
    with pytest.raises(Unavailable, match="does not lead from"):
        restore_backup(other, world.backup(created), until=world.now)
    other.close()


def test_name_that_leads_elsewhere_is_refused(world: World) -> None:
    other = open_store((world.folder / "other").as_uri(), [LAYOUTS["people"]])
    created = world.back_up()
    with pytest.raises(Corrupt, match="is no name of this store"):
        restore_backup(other, world.backup(created))
    other.close()


def test_store_without_a_folder_has_no_backups(world: World) -> None:
    memory = open_store("memory:", LAYOUTS.values())
    with pytest.raises(Unavailable, match="only a store in a folder"):
        create_backup(memory, world.target, program="test", clock=world.clock)


def test_two_names_of_one_content_are_one_object(world: World) -> None:
    (world.root / "notes/copy-a").write_text("same")
    (world.root / "notes/copy-b").write_text("same")
    files = {file.name: file for file in world.backup(world.back_up()).files()}
    assert files["notes/copy-a"].place == files["notes/copy-b"].place
    assert ALICE.owner == 1
