"""The services over the whole store: layout, sync, adoption, integrity, backups, statistics."""

from __future__ import annotations

import json
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from docstore import (
    Corrupt,
    DocumentStore,
    Finding,
    InvalidValue,
    Key,
    NotFound,
    Unavailable,
    take_snapshot,
)
from docstore.backends.files.backend import FilesBackend
from tests.accounts_in_db import add_account
from tests.folders import contents, exact, times
from tests.stopping import Killed, StoppingFileSystem
from utils.data_initializer import COUNTED, FOLDERS, DataInitializer, data_initializer
from utils.json_storage import JSONStorageManager, json_storage
from workspace.operations.backups import Scope
from workspace.schema.validation import COLLECTIONS

pytestmark = pytest.mark.django_db

LAYOUTS = {name: spec.layout for name, spec in COLLECTIONS.items()}


def write(path: Path, content: Any) -> None:
    exact(path).parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content, indent=2)
    path.write_text(text, encoding="utf-8")


def texts(findings: list[Finding]) -> list[str]:
    return [str(finding) for finding in findings]


def validated() -> list[str]:
    return texts(data_initializer.validate_data_integrity())


# Layout


def test_the_folders_are_made_once_and_are_private(data_folder: Path) -> None:
    assert data_initializer.initialize_data_structure() == list(FOLDERS)
    for name in FOLDERS:
        assert (data_folder / name).stat().st_mode & 0o777 == 0o700
    before = times(data_folder)
    json_storage.close()
    assert data_initializer.initialize_data_structure() == []
    assert times(data_folder) == before


def test_a_folder_that_went_missing_is_made_again(data_folder: Path) -> None:
    data_initializer.initialize_data_structure()
    (data_folder / "backups").rmdir()
    (data_folder / "models").rmdir()
    json_storage.close()
    assert data_initializer.initialize_data_structure() == ["models", "backups"]


@pytest.mark.parametrize("name", ["tasks", "backups"])
def test_a_file_in_the_place_of_a_folder_is_told(data_folder: Path, name: str) -> None:
    write(data_folder / name, "no folder")
    with pytest.raises(Unavailable, match=f"cannot make the folder .*{name}: File exists"):
        data_initializer.initialize_data_structure()
    assert (data_folder / name).read_text() == "no folder"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("memory:", "is not on files: it has no folder"),
        ("s3://bucket/data", "NEURALFLOW_STORE is not understood: .* write file:///path/to/data"),
        ("data", "NEURALFLOW_STORE is not understood"),
    ],
)
def test_a_store_that_is_no_folder_is_answered_in_words(
    settings: Any, url: str, words: str
) -> None:
    settings.NEURALFLOW_STORE = url
    for method in (data_initializer.initialize_data_structure, data_initializer.create_backup):
        with pytest.raises(Unavailable, match=words):
            method()


def test_a_store_in_memory_is_checked_and_counted_all_the_same(settings: Any) -> None:
    settings.NEURALFLOW_STORE = "memory:"
    add_account(1, "alice")
    data_initializer.sync_existing_users()
    json_storage.save_task_data(1, {"title": "Train"})
    assert validated() == []
    stats = data_initializer.get_storage_stats()
    assert stats["total_users"] == stats["total_tasks"] == 1
    assert stats["backups"] == {"count": 0, "size_bytes": 0, "latest": None}


# Sync


def test_each_account_gets_its_documents(data_folder: Path) -> None:
    add_account(1, "alice", skill_level="expert", mirror_faults=3)
    add_account(2, "bob")
    told: list[tuple[int, int]] = []
    result = data_initializer.sync_existing_users(lambda *count: told.append(count))
    assert (result.accounts, result.changed, result.findings) == (2, 2, [])
    assert told == [(1, 2), (2, 2)]
    assert sorted(contents(data_folder)) == sorted(
        f"{name}/{spec.layout.stem}_{user_id}.json"
        for name, spec in COLLECTIONS.items()
        if not spec.layout.begun_later
        for user_id in (1, 2)
    )
    stored = json_storage.get_user_data(1)
    assert stored is not None and stored["skill_level"] == "expert"
    assert stored["activities"] == []
    assert User.objects.get(pk=1).mirror_faults == 0


def test_syncing_again_changes_nothing(data_folder: Path) -> None:
    add_account(1, "alice", last_login=datetime(2026, 11, 1, tzinfo=UTC))
    data_initializer.sync_existing_users()
    before = times(data_folder)
    result = data_initializer.sync_existing_users()
    assert (result.accounts, result.changed) == (1, 0)
    assert times(data_folder) == before


def test_syncing_repairs_the_mirror_and_keeps_the_rest(data_folder: Path) -> None:
    user = add_account(1, "alice")
    json_storage.save_user_data(user)
    json_storage.update_user_activity(1, "login", "Signed in")
    json_storage.save_task_data(1, {"title": "Train"})
    User.objects.filter(pk=1).update(company_name="Owls & Co", mirror_faults=1)
    assert data_initializer.sync_existing_users().changed == 1
    stored = json_storage.get_user_data(1)
    assert stored is not None and stored["company_name"] == "Owls & Co"
    assert [activity["type"] for activity in stored["activities"]] == ["login"]
    assert len(json_storage.list("tasks", 1)) == 1


@pytest.mark.parametrize("name", ["users/user_1.json", "tasks/tasks_1.json"])
def test_a_document_that_does_not_read_is_reported_and_the_others_go_on(
    data_folder: Path, name: str
) -> None:
    add_account(1, "alice", mirror_faults=2)
    add_account(2, "bob", mirror_faults=2)
    write(data_folder / name, '{\n  "broken": [}\n')
    result = data_initializer.sync_existing_users()
    assert texts(result.findings) == [f"{name}:2:14: Expecting value"]
    assert (data_folder / name).read_text() == '{\n  "broken": [}\n'
    assert json_storage.get_user_data(2) is not None
    faults = dict(User.objects.values_list("pk", "mirror_faults"))
    assert faults == {1: 2, 2: 0}  # what is not mended still counts


def test_another_persons_document_is_not_overwritten(data_folder: Path) -> None:
    """A folder from elsewhere, beside a database in which the id is someone else's."""
    add_account(1, "admin")
    document = {"user_id": 1, "username": "alice", "email": "alice@example.org"}
    write(data_folder / "users/user_1.json", document)
    before = contents(data_folder)
    result = data_initializer.sync_existing_users()
    problem = (
        "is the document of 'alice', but account 1 is 'admin': one of the two needs another id"
    )
    assert texts(result.findings) == [f"users/user_1.json: {problem}"]
    assert f"users/user_1.json:3:15: {problem}" in validated()
    assert contents(data_folder) == before


def test_a_changed_name_alone_is_the_same_person(data_folder: Path) -> None:
    user = add_account(1, "alice")
    json_storage.save_user_data(user)
    User.objects.filter(pk=1).update(username="alicia")
    assert data_initializer.sync_existing_users().findings == []
    stored = json_storage.get_user_data(1)
    assert stored is not None and stored["username"] == "alicia"


# Adoption


def test_a_document_without_an_account_is_given_one(data_folder: Path) -> None:
    write(
        data_folder / "users/user_42.json",
        {
            "user_id": 42,
            "username": "dora",
            "email": "Dora@Example.com",
            "first_name": "Dora",
            "user_type": "business",
            "api_calls_limit": 5000,
            "website": "dora.example.com",
            "bio": None,
            "profile": {"skills": ["nlp"]},
            "date_joined": "2025-07-01T09:00:00",
            "is_superuser": True,
            "is_staff": True,
            "password": "plain",
        },
    )
    before, then = contents(data_folder), times(data_folder / "users")
    result = data_initializer.adopt_users()
    assert (result.usernames, result.findings) == (["dora"], [])
    dora = User.objects.get(pk=42)
    assert (dora.username, dora.email, dora.first_name) == ("dora", "dora@example.com", "Dora")
    assert (dora.user_type, dora.api_calls_limit, dora.bio) == ("business", 5000, "")
    assert dora.website == "dora.example.com"
    assert dora.profile == {"skills": ["nlp"]}
    assert dora.date_joined == datetime(2025, 7, 1, 9, tzinfo=UTC)
    assert dora.is_active and not dora.is_superuser and not dora.is_staff
    assert not dora.has_usable_password()
    assert contents(data_folder) == before and times(data_folder / "users") == then
    assert data_initializer.adopt_users().usernames == []


@pytest.mark.parametrize(
    ("document", "finding"),
    [
        ('{"username": "Alice"}', ":1:14: 'Alice' is taken by another account"),
        ("{}", ':1:1: "username": This field cannot be blank.'),
        ('{"username": "a b"}', ':1:14: "username": Use letters, digits and . + - _ only'),
        ('{"username": 7}', ':1:14: "username" must be a text of at most 200 characters'),
        ('{"username": "al", "email": "x"}', ':1:29: "email": Enter a valid email address.'),
        ('{"username": "al", "bio": []}', ':1:27: "bio" must be a text'),
        ('{"username": "al", "group_id": -1}', ':1:32: "group_id": Ensure this value is'),
        ('{"username": "al", "user_id": 3}', ':1:31: "user_id" must be 7'),
        ('{"username": "al"', ":1:18: Expecting"),
    ],
)
def test_adoption_of_unfit_user_is_reported(data_folder: Path, document: str, finding: str) -> None:
    add_account(1, "alice")
    write(data_folder / "users/user_7.json", document)
    write(data_folder / "users/user_8.json", {"username": "zoe"})
    result = data_initializer.adopt_users()
    assert result.usernames == ["zoe"]
    assert texts(result.findings)[0].startswith(f"users/user_7.json{finding}")
    assert not User.objects.filter(pk=7).exists()
    assert (data_folder / "users/user_7.json").read_text() == document


def test_adopted_address_opens_one_account(data_folder: Path) -> None:
    for user_id, name in ((7, "zoe"), (8, "al")):
        document = {"username": name, "email": "Both@example.com"}
        write(data_folder / f"users/user_{user_id}.json", document)
    assert data_initializer.adopt_users().usernames == ["zoe", "al"]
    assert [user.username for user in User.objects.meant_by("both@example.com")] == ["zoe"]
    assert data_initializer.get_storage_stats()["unproved_addresses"] == 1


def test_adoption_of_duplicate_name_takes_first_document(data_folder: Path) -> None:
    for user_id, name in ((7, "zoe"), (8, "Zoe")):
        write(data_folder / f"users/user_{user_id}.json", {"username": name})
    result = data_initializer.adopt_users()
    assert (result.usernames, len(result.findings)) == (["zoe"], 1)


def test_thousands_are_adopted_in_batches(data_folder: Path) -> None:
    for user_id in range(1, 1202):
        write(data_folder / f"users/user_{user_id}.json", {"username": f"u{user_id}"})
    assert len(data_initializer.adopt_users().usernames) == User.objects.count() == 1201


# Integrity


def test_a_sound_store_has_no_findings_and_is_not_touched(data_folder: Path) -> None:
    data_initializer.initialize_data_structure()
    add_account(1, "alice")
    data_initializer.sync_existing_users()
    project = json_storage.save_project_data(1, {"name": "Vision"})
    json_storage.save_task_data(1, {"title": "Train", "project_id": project["id"]})
    before = times(data_folder)
    json_storage.close()
    assert validated() == []
    assert times(data_folder) == before


def test_a_missing_data_folder_is_a_finding_and_is_not_made(data_folder: Path) -> None:
    add_account(1, "alice")
    assert validated() == [f"{data_folder}/: the data folder is missing: run setup_data"]
    assert not data_folder.exists()


def test_a_missing_folder_is_a_finding_and_is_not_made(data_folder: Path) -> None:
    data_initializer.initialize_data_structure()
    json_storage.close()
    (data_folder / "tasks").rmdir()
    (data_folder / "backups").rmdir()
    assert validated() == [
        "tasks/: the folder is missing: run setup_data",
        "backups/: the folder is missing: run setup_data",
    ]
    assert not (data_folder / "tasks").exists()


RECORDS = """\
{
  "tasks": [
    {"id": 1, "title": "a", "user_id": 2},
    {"id": 1, "title": "b"},
    {"title": "c", "status": "done"},
    7,
    {"id": 4, "title": " ", "project_id": 9, "due_date": "tomorrow"}
  ],
  "updated_at": "yesterday",
  "last_id": 2,
  "revision": "x"
}
"""


def test_every_fault_is_found_with_its_place(data_folder: Path) -> None:
    data_initializer.initialize_data_structure()
    add_account(1, "alice")
    data_initializer.sync_existing_users()
    write(data_folder / "tasks/tasks_1.json", RECORDS)
    write(
        data_folder / "users/user_1.json",
        '{"user_id": 3,\n "username": "alicia", "email": "Alice@example.com",\n'
        ' "activities": [{"type": "login"}, "x", {"timestamp": 5}]}',
    )
    here = "tasks/tasks_1.json"
    time = "must be a date (2026-11-23) or a date-time (2026-11-23T12:00:00Z), or null"
    sync = "run setup_data --sync-users"
    person = "users/user_1.json"
    assert validated() == [
        f'{person}:1:13: "user_id" is 3, but the name of the file says 1',
        f"{person}:2:14: \"username\" differs from the account's, 'alice': {sync}",
        f"{person}:3:36: a record must be an object: {{ ... }}",
        f'{person}:3:41: "activities/2/type" is missing; it must be a text of 1 to 200 characters',
        f'{person}:3:55: "activities/2/timestamp" {time}',
        f'{here}:3:40: task 1: "user_id" is 2, but the name of the file says 1',
        f"{here}:4:12: the id 1 is taken by an earlier record",
        f'{here}:5:5: task without an id: "id" is missing; it must be a positive whole number',
        f'{here}:5:30: task without an id: "status" must be one of pending, in_progress, review, '
        "completed",
        f"{here}:6:5: a record must be an object: {{ ... }}",
        f'{here}:7:24: task 4: "title" must be a text of 1 to 200 characters',
        f'{here}:7:43: task 4: "project_id" is 9, but there is no project 9',
        f'{here}:7:58: task 4: "due_date" {time}',
        f'{here}:9:17: "updated_at" {time}',
        f'{here}:10:14: "last_id" is below the highest id, 4',
        f'{here}:11:15: "revision" must be a whole number, 0 or more',
    ]


def test_documents_and_accounts_are_compared_both_ways(data_folder: Path) -> None:
    data_initializer.initialize_data_structure()
    add_account(1, "alice")
    json_storage.save_task_data(2, {"title": "of nobody"})
    write(data_folder / "users/user_3.json", {"user_id": 3, "username": "carl"})
    missing = "is missing; account 1 should have it: run setup_data --sync-users"
    assert validated() == [
        f"users/user_1.json: {missing}",
        f"tasks/tasks_1.json: {missing}",
        f"projects/projects_1.json: {missing}",
        f"models/models_1.json: {missing}",
        "tasks/tasks_2.json: user 2 has no account in the database",
        "users/user_3.json: user 3 has no account in the database: run setup_data --adopt-users",
    ]


def test_validation_with_unreadable_projects_skips_references(data_folder: Path) -> None:
    data_initializer.initialize_data_structure()
    add_account(1, "alice")
    data_initializer.sync_existing_users()
    project = json_storage.save_project_data(1, {"name": "Vision"})
    json_storage.save_task_data(1, {"title": "Train", "project_id": project["id"]})
    write(data_folder / "projects/projects_1.json", "[1,\n 2,")
    assert validated() == ["projects/projects_1.json:2:4: Expecting value"]


def test_strays_and_what_dead_writers_left_are_reported(data_folder: Path) -> None:
    data_initializer.initialize_data_structure()
    json_storage.close()
    for name in (
        "users/notes.txt",
        "users/_index.json",
        "tasks/.8f00.draft",
        ".neuralflow/drafts/8f00.draft",
        "backups/.snapshot-8f00.draft",
    ):
        write(data_folder / name, "")
    assert validated() == [
        "users/notes.txt: is not a document and is left alone",
        "tasks/.8f00.draft: is a draft that a writer left when it died: remove it",
        ".neuralflow/drafts/8f00.draft: was left by a writer that died: the next start removes it",
        "backups/.snapshot-8f00.draft: is a backup that was not finished: "
        "the next backup removes it",
    ]


def test_validation_includes_commits_of_dead_writer(data_folder: Path) -> None:
    """Whether it got as far as the file or not; to look is not to finish it."""
    data_initializer.initialize_data_structure()
    add_account(1, "alice")
    data_initializer.sync_existing_users()
    acknowledged = 0
    for steps in range(40):
        files = StoppingFileSystem(1000)
        backend = FilesBackend(data_folder, LAYOUTS, files=files, background=False)
        storage = JSONStorageManager(DocumentStore(backend, LAYOUTS))
        files.left = steps
        try:
            acknowledged = storage.save_project_data(1, {"name": f"p{steps}"})["id"]
            storage.publish()
        except Killed:
            backend._release()
            left = "is a draft that a writer left", "is what a writer that died was replacing"
            assert [text for text in validated() if not any(part in text for part in left)] == []
            stats = data_initializer.get_storage_stats()
            assert acknowledged <= stats["total_projects"] <= steps + 1
        else:
            return
    pytest.fail("the writer was always killed")


def test_validation_during_commit_raises_no_false_alarm(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two reads of the check, one commit deletes a project and its tasks' references."""
    data_initializer.initialize_data_structure()
    add_account(1, "alice")
    data_initializer.sync_existing_users()
    json_storage.save_project_data(1, {"name": "Vision"})
    json_storage.save_task_data(1, {"title": "Train", "project_id": 1})
    raw, deleted = FilesBackend.raw, []

    def read_while_others_write(self: FilesBackend, key: Key) -> bytes | None:
        data = raw(self, key)
        if key.collection == "tasks" and not deleted:
            deleted.append(json_storage.delete("projects", 1, 1))
        return data

    monkeypatch.setattr(FilesBackend, "raw", read_while_others_write)
    assert validated() == []
    assert deleted


# Backups


def test_a_backup_is_restored_byte_for_byte(data_folder: Path) -> None:
    json_storage.save_task_data(1, {"title": "größer 😀"})
    write(data_folder / "users/user_2.json", "{broken")
    taken = contents(data_folder)
    name = data_initializer.create_backup().stem
    json_storage.save_task_data(1, {"title": "later"})
    json_storage.save_task_data(5, {"title": "new person"})
    later = contents(data_folder)
    restored = data_initializer.restore_backup(name)
    assert (restored.backup, restored.files) == (name, 2)
    assert contents(data_folder) == taken
    assert data_initializer.list_backups() == [name, restored.before]
    data_initializer.restore_backup(restored.before)
    assert contents(data_folder) == later
    assert [task["title"] for task in json_storage.list("tasks", 1)] == ["größer 😀", "later"]


def test_a_backup_may_be_named_in_several_ways(data_folder: Path, monkeypatch: Any) -> None:
    json_storage.save_task_data(1, {"title": "Train"})
    path = data_initializer.create_backup()
    monkeypatch.chdir(data_folder)
    for name in (path.name, path.stem, str(path), f"backups/{path.name}", f"./backups/{path.stem}"):
        assert data_initializer.restore_backup(name).backup == path.stem
    assert data_initializer.restore_backup("latest").backup > path.stem


@pytest.mark.parametrize("name", ["before-upgrade.zip", "neuralflow_2026 (1).zip", "Été.ZIP"])
def test_renamed_archive_of_0_1_is_listed_by_its_moment_and_restored(
    data_folder: Path, name: str
) -> None:
    json_storage.save_task_data(1, {"title": "Train"})
    path = take_snapshot(json_storage.store, data_folder / "backups")
    renamed = path.rename(path.with_name(name))
    json_storage.save_task_data(1, {"title": "later"})
    later = data_initializer.create_backup().stem
    (data_folder / "backups" / "holiday.zip").write_bytes(b"no archive")
    assert data_initializer.list_backups() == [name, later]
    for given in (name, renamed.stem if name.endswith(".zip") else name, str(renamed)):
        assert data_initializer.restore_backup(given).backup == name
    assert [task["title"] for task in json_storage.list("tasks", 1)] == ["Train"]
    with pytest.raises(Corrupt, match=r"holiday\.zip: is not a whole snapshot"):
        data_initializer.restore_backup("holiday")


def test_archive_that_0_1_wrote_is_restored_byte_for_byte(data_folder: Path) -> None:
    archive = Path(__file__).parents[1] / "golden/backup_0_1"
    name = "neuralflow_2026-11-23T12-00-00.000000Z.zip"
    data_initializer.initialize_data_structure()
    json_storage.save_task_data(9, {"title": "of later"})
    shutil.copy(archive / name, data_folder / "backups")
    restored = data_initializer.restore_backup(name)
    assert (restored.backup, restored.findings, restored.accounts) == (name, [], False)
    with zipfile.ZipFile(archive / name) as file:
        names = set(file.namelist()) - {"manifest.json"}
        assert contents(data_folder) == {name: file.read(name) for name in names}
    assert [task["title"] for task in json_storage.list("tasks", 7)] == ["größer 😀"]
    data_initializer.restore_backup(restored.before)
    assert [task["title"] for task in json_storage.list("tasks", 9)] == ["of later"]
    with pytest.raises(InvalidValue, match="as a whole only"):
        data_initializer.restore_backup(name, scope=Scope(user=7))


@pytest.mark.parametrize("name", ["before-upgrade", "neuralflow_2026 (1)", "Été"])
def test_renamed_backup_is_listed_by_its_moment_and_restored(data_folder: Path, name: str) -> None:
    json_storage.save_task_data(1, {"title": "Train"})
    path = data_initializer.create_backup()
    renamed = path.rename(path.with_name(f"{name}.json"))
    json_storage.save_task_data(1, {"title": "later"})
    later = data_initializer.create_backup().stem
    assert data_initializer.list_backups() == [name, later]
    for given in (name, renamed.name, str(renamed)):
        assert data_initializer.restore_backup(given).backup == name
    assert [task["title"] for task in json_storage.list("tasks", 1)] == ["Train"]


@pytest.mark.parametrize("name", ["", "x", "../x", "/etc/passwd", "..", "backups", "x\0y"])
def test_a_wrong_name_is_answered_with_those_that_there_are(data_folder: Path, name: str) -> None:
    json_storage.save_task_data(1, {"title": "Train"})
    with pytest.raises(NotFound, match="there is none yet"):
        data_initializer.restore_backup(name)
    backup = data_initializer.create_backup().stem
    with pytest.raises(NotFound, match=backup):
        data_initializer.restore_backup(name)
    assert data_initializer.list_backups() == [backup]


def test_a_backup_elsewhere_is_not_taken_for_the_one_here(
    data_folder: Path, tmp_path: Path
) -> None:
    json_storage.save_task_data(1, {"title": "Train"})
    path = data_initializer.create_backup()
    elsewhere = tmp_path / path.name
    elsewhere.write_bytes(path.read_bytes())
    with pytest.raises(NotFound):
        data_initializer.restore_backup(str(elsewhere))


@pytest.mark.parametrize("pattern", ["*.json", "packs/*/*"])
def test_a_damaged_backup_changes_nothing(data_folder: Path, pattern: str) -> None:
    json_storage.save_task_data(1, {"title": "Train"})
    name = data_initializer.create_backup().stem
    for path in (data_folder / "backups").glob(pattern):
        path.write_bytes(path.read_bytes()[:-30])
    before = contents(data_folder, but=(".neuralflow",))
    with pytest.raises(Corrupt, match="is damaged"):
        data_initializer.restore_backup(name)
    assert contents(data_folder, but=(".neuralflow",)) == before


# Statistics


def test_everything_is_counted_and_nothing_unreadable_is_zero_silently(data_folder: Path) -> None:
    data_initializer.initialize_data_structure()
    add_account(1, "alice")
    add_account(2, "bob", mirror_faults=2)
    add_account(3, "carl", mirror_faults=1)
    data_initializer.sync_existing_users()
    User.objects.filter(pk__gt=1).update(mirror_faults=2)
    json_storage.update_user_activity(1, "login", "Signed in")
    for title in "abc":
        json_storage.save_task_data(1, {"title": title})
    json_storage.save_project_data(42, {"name": "of someone without an account"})
    write(data_folder / "tasks/tasks_2.json", "{")
    write(data_folder / "shared/shared_1.json", '{"shared": [{"id": 1}]}')  # readable
    write(data_folder / "requests/requests_1.json", '{"requests": [{"id": 1}, {"id": 1}]}')
    backup = data_initializer.create_backup()
    stored = sum(path.stat().st_size for path in backup.parent.rglob("*.*"))
    files = contents(data_folder)
    write(data_folder / "tasks/tasks_1.set-aside-2026-11-28T12-00-00.000000Z.json", "{ }")
    write(data_folder / "tasks/tasks_1.set-aside-2026-11-28T12-00-00.000000Z.txt", "why")
    sizes = {
        name: sum(len(data) for file, data in files.items() if file.startswith(f"{name}/"))
        for name in COLLECTIONS
    }
    assert data_initializer.get_storage_stats() == {
        "total_users": 3,
        "total_tasks": 3,
        "total_projects": 1,
        "total_models": 0,
        "total_activities": 1,
        "size_bytes": {**sizes, "total": sum(map(len, files.values()))},
        "set_aside": {"count": 1, "size_bytes": 3},
        "backups": {"count": 1, "size_bytes": stored, "latest": backup.stem},
        "unsynced_accounts": 2,
        "unproved_addresses": 0,
        "mirror_faults": 4,
        "unreadable_documents": ["tasks/tasks_2.json"],
    }


def test_counting_changes_nothing(data_folder: Path) -> None:
    json_storage.save_task_data(1, {"title": "Train"})
    json_storage.close()
    before = times(data_folder)
    data_initializer.get_storage_stats()
    assert times(data_folder) == before


def test_validation_reads_each_file_once(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_initializer.initialize_data_structure()
    people = [User(pk=pk, username=f"u{pk}", email="") for pk in range(1, 301)]
    User.objects.bulk_create(people)
    data_initializer.sync_existing_users()
    reads: list[str] = []
    raw = FilesBackend.raw

    def counted(self: FilesBackend, key: Any) -> bytes | None:
        reads.append(self.name(key))
        return raw(self, key)

    monkeypatch.setattr(FilesBackend, "raw", counted)
    for look, documents in (
        (data_initializer.validate_data_integrity, len(COLLECTIONS)),  # looks for all there may be
        (data_initializer.get_storage_stats, len(COUNTED)),
    ):
        reads.clear()
        look()
        assert len(reads) == len(set(reads)) == documents * len(people)


def test_a_store_may_be_given(tmp_path: Path) -> None:
    backend = FilesBackend(tmp_path / "own", LAYOUTS)
    own = DataInitializer(JSONStorageManager(DocumentStore(backend, LAYOUTS)), User.objects.none())
    assert own.initialize_data_structure() == ["backups"]
    assert own.folder == tmp_path / "own"
    assert own.get_storage_stats()["total_users"] == 0
