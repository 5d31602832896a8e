"""The command `setup_data`: every flag, alone and together, as an operator or a script runs it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.models import User
from tests.accounts_in_db import add_account
from tests.folders import contents, exact, times
from utils.data_initializer import FOLDERS, data_initializer
from utils.json_storage import json_storage
from workspace.schema.validation import COLLECTIONS

pytestmark = pytest.mark.django_db

PROJECT = Path(__file__).resolve().parents[2]
BROKEN = '{\n  "tasks": [\n    {"id": 1,}\n  ]\n}\n'


@dataclass
class Run:
    """What a run printed, and how it ended; `error` is what goes to stderr."""

    out: str
    error: str
    code: int

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def setup_data(*flags: str) -> Run:
    """The command in this process, from a store that nothing has opened yet."""
    json_storage.close()
    out = io.StringIO()
    try:
        call_command("setup_data", *flags, stdout=out, stderr=io.StringIO())
    except CommandError as error:
        return Run(out.getvalue(), str(error), error.returncode)
    return Run(out.getvalue(), "", 0)


@pytest.fixture
def people(data_folder: Path) -> None:
    """Alice and Bob with their documents; Alice has a task, a project and a model."""
    for number, name in enumerate(("alice", "bob"), 1):
        add_account(number, name)
    data_initializer.initialize_data_structure()
    data_initializer.sync_existing_users()
    json_storage.save_task_data(1, {"title": "Train"})
    json_storage.save_project_data(1, {"name": "Vision"})
    json_storage.save_model_data(1, {"name": "baseline"})


def test_bare_it_lays_out_the_folders_once(data_folder: Path) -> None:
    first = setup_data()
    assert first.lines == [
        f"Data folder {data_folder}: made users/, tasks/, projects/, models/, backups/."
    ]
    before = times(data_folder)
    assert setup_data().lines == [f"Data folder {data_folder}: complete."]
    assert times(data_folder) == before
    assert all((data_folder / name).is_dir() for name in FOLDERS)


def test_bare_it_needs_no_database(data_folder: Path, django_db_blocker: Any) -> None:
    with django_db_blocker.block():
        assert setup_data().code == 0


def test_sync_says_how_much_there_was_to_do(data_folder: Path) -> None:
    add_account(1, "alice")
    add_account(2, "bob")
    text = "Synced 2 accounts; {} had something to change."
    assert setup_data("--sync-users").lines[-1] == text.format(2)
    before = times(data_folder)
    assert setup_data("--sync-users").lines[-1] == text.format(0)
    assert times(data_folder) == before


def test_validate_of_a_sound_store(people: None, data_folder: Path) -> None:
    before = times(data_folder)
    run = setup_data("--validate")
    assert (run.lines, run.code) == (["Validated: nothing is wrong."], 0)
    assert times(data_folder) == before


def test_a_broken_document_has_line_and_column_and_stops_nobody_else(
    people: None, data_folder: Path
) -> None:
    exact(data_folder / "tasks/tasks_1.json").write_text(BROKEN)
    place = "tasks/tasks_1.json:3:14: Expecting property name enclosed in double quotes"
    run = setup_data("--validate")
    assert (run.lines, run.code) == ([place, "Validated."], 1)
    assert run.error == "1 finding; docs/troubleshoot.md says what to do about each."

    add_account(3, "carl")
    User.objects.filter(pk=2).update(first_name="Bob")
    run = setup_data("--sync-users", "--stats")
    assert place in run.lines and run.code == 1
    assert "Synced 3 accounts; 2 had something to change." in run.lines
    assert "unreadable_documents: tasks/tasks_1.json" in run.lines
    assert exact(data_folder / "users/user_3.json").exists()
    assert exact(data_folder / "tasks/tasks_1.json").read_text() == BROKEN


def test_backup_and_restore(people: None, data_folder: Path) -> None:
    run = setup_data("--backup")
    (name,) = data_initializer.list_backups()
    assert run.lines[-2] == (
        f"Backup written: {name} in {data_folder}/backups, 8 files"
        f" (8 read, {run.lines[-2].split()[-3]} bytes added)."
    )
    assert run.lines[-1] == "Verified: restored on trial, complete."
    taken = contents(data_folder)
    json_storage.delete("tasks", 1, 1)
    run = setup_data("--restore", name, "--dry-run")
    assert run.lines[1:] == [
        "tasks/tasks_1.json: changed (0 records -> 1 record)",
        f"A restore of {name} would change 1 file.",
    ]
    assert contents(data_folder) != taken
    run = setup_data("--restore", name)
    assert run.lines[-2] == f"Restored 8 files from {name}."
    assert run.lines[-1].startswith("What was there before is in neuralflow_")
    assert contents(data_folder) == taken


def test_one_user_one_record_and_a_moment_are_restored(people: None, data_folder: Path) -> None:
    json_storage.save_task_data(2, {"title": "Bob's"})
    setup_data("--backup", "--no-verify")
    moment = datetime.now(UTC).isoformat()
    json_storage.delete("tasks", 1, 1)
    json_storage.delete("projects", 1, 1)
    json_storage.delete("tasks", 2, 1)
    run = setup_data("--restore", "latest", "--record", "tasks/1/1")
    assert run.lines[1:3] == [
        "tasks/tasks_1.json, record 1: added (0 records -> 1 record)",
        run.lines[2],
    ]
    assert [task["title"] for task in json_storage.list("tasks", 1)] == ["Train"]
    assert json_storage.list("projects", 1) == []
    (first, *_) = data_initializer.list_backups()
    run = setup_data("--restore", first, "--user", "1")
    assert "projects/projects_1.json: changed (0 records -> 1 record)" in run.lines
    assert [one["name"] for one in json_storage.list("projects", 1)] == ["Vision"]
    assert json_storage.list("tasks", 2) == []
    run = setup_data("--restore", first, "--at", moment)
    assert [task["title"] for task in json_storage.list("tasks", 2)] == ["Bob's"]
    for flag, text, words in (
        ("--at", "yesterday", "'yesterday' is no time: write 2026-11-20T09:00Z"),
        ("--record", "tasks/1", "'tasks/1' is no record: write COLLECTION/USER/ID"),
        ("--record", "tasks/1/99", "the backup has no record 99"),
        ("--user", "9", "has no documents of user 9"),
        ("--from", "s4://bucket", "'s4://bucket' is no place for backups"),
    ):
        run = setup_data("--restore", first, flag, text)
        assert run.code == 2 and words in run.error


def test_backup_elsewhere_is_verified_and_restored_from_there(
    people: None, data_folder: Path, tmp_path: Path
) -> None:
    run = setup_data("--backup", "--to", str(tmp_path / "elsewhere"), "--json")
    name = run.json["backup"]["backup"]
    assert data_initializer.list_backups() == []
    json_storage.delete("tasks", 1, 1)
    elsewhere = ("--from", str(tmp_path / "elsewhere"))
    run = setup_data("--verify-backup", "latest", *elsewhere)
    assert run.lines[-1] == f"Verified {name}: restored 8 files on trial, complete."
    setup_data("--restore", "latest", *elsewhere)
    assert len(json_storage.list("tasks", 1)) == 1
    pack = next((tmp_path / "elsewhere/packs").rglob("*.zst"))
    pack.write_bytes(b"")
    run = setup_data("--verify-backup", name, *elsewhere)
    assert run.code == 1 and run.lines[-1].startswith(f"{name} is damaged: packs/")


def test_backup_of_broken_file_is_made_and_named_and_exits_with_1(
    people: None, data_folder: Path
) -> None:
    broken = exact(data_folder / "tasks/tasks_1.json")
    broken.write_text(BROKEN)
    run = setup_data("--backup")
    (name,) = data_initializer.list_backups()
    place = "tasks/tasks_1.json:"
    assert run.code == 1 and [line for line in run.lines if line.startswith(place)]
    assert f"Backup written: {name} in {data_folder}/backups, " in run.lines[-3]
    assert run.lines[-1] == "1 document in it does not read, as above."
    taken = contents(data_folder)
    broken.unlink()
    run = setup_data("--restore", name, "--json")
    assert run.code == 1 and contents(data_folder) == taken
    assert [one["document"] for one in run.json["restore"]["findings"]] == ["tasks/tasks_1.json"]


def test_a_restore_that_is_refused_changes_nothing(people: None, data_folder: Path) -> None:
    setup_data("--backup")
    (name,) = data_initializer.list_backups()
    manifest = data_folder / "backups" / f"{name}.json"
    manifest.write_bytes(manifest.read_bytes()[:-1])
    before = contents(data_folder, but=(".neuralflow",))
    run = setup_data("--restore", name)
    assert run.code == 2 and "is damaged" in run.error
    assert run.error.endswith("Nothing was changed.")
    for wrong in ("nope", "../" + name, ""):
        run = setup_data(f"--restore={wrong}")
        assert run.code == 2
        assert f"in {data_folder}/backups: there are {name}. " in run.error
    assert contents(data_folder, but=(".neuralflow",)) == before


def test_stats_are_listed(people: None) -> None:
    lines = setup_data("--stats").lines
    assert lines[:6] == [
        "Storage statistics:",
        "total_users: 2",
        "total_tasks: 1",
        "total_projects: 1",
        "total_models: 1",
        "total_activities: 0",
    ]
    assert "backups.latest: none" in lines
    assert "unsynced_accounts: 0" in lines
    assert "unreadable_documents: none" in lines
    assert any(line.startswith("size_bytes.total: ") for line in lines)


def test_looking_lays_nothing_out(data_folder: Path) -> None:
    assert "total_users: 0" in setup_data("--stats").lines
    run = setup_data("--stats", "--validate")
    assert run.lines[0] == f"{data_folder}/: the data folder is missing: run setup_data"
    assert "total_users: 0" in run.lines and run.code == 1
    assert not data_folder.exists()


def test_adopted_people_are_synced_in_the_same_run(data_folder: Path) -> None:
    (data_folder / "users").mkdir(parents=True)
    (data_folder / "users/user_42.json").write_text(
        '{"user_id": 42, "username": "dora", "email": "dora@example.com", "theme": "dark"}'
    )
    run = setup_data("--validate", "--sync-users", "--adopt-users", "--stats")
    assert run.code == 0
    assert run.lines[1:4] == [
        "Made 1 account for documents without one: dora. They have no password yet.",
        "Synced 1 account; 1 had something to change.",
        "Validated: nothing is wrong.",
    ]
    stored = json_storage.get_user_data(42)
    assert stored is not None and stored["theme"] == "dark"
    assert User.objects.get(pk=42).username == "dora"


def test_adopt_users_taken_name_is_reported(data_folder: Path) -> None:
    add_account(1, "dora")
    (data_folder / "users").mkdir(parents=True)
    document = data_folder / "users/user_42.json"
    document.write_text('{"username": "dora"}')
    run = setup_data("--adopt-users")
    assert run.code == 1
    assert "users/user_42.json:1:14: 'dora' is taken by another account" in run.lines
    assert document.read_text() == '{"username": "dora"}'


def test_all_flags_at_once_work_in_a_fixed_order(people: None, data_folder: Path) -> None:
    setup_data("--backup")
    (name,) = data_initializer.list_backups()
    flags = ["--stats", "--backup", "--validate", "--sync-users", "--adopt-users", "--json"]
    run = setup_data(*flags, "--restore", name)
    assert run.code == 0
    assert list(run.json) == [
        "structure",
        "restore",
        "adopt_users",
        "sync_users",
        "validate",
        "backup",
        "stats",
    ]
    assert run.json["structure"] == {"folder": str(data_folder), "created": []}
    assert run.json["restore"]["files"] == 8
    assert run.json["sync_users"] == {"accounts": 2, "changed": 0, "removed": 0, "findings": []}
    assert run.json["validate"] == {"findings": []}
    assert run.json["stats"]["backups"]["count"] == 3
    assert run.json["stats"]["backups"]["latest"] == run.json["backup"]["backup"]


def test_json_tells_findings_and_errors_too(people: None, data_folder: Path) -> None:
    exact(data_folder / "tasks/tasks_1.json").write_text(BROKEN)
    run = setup_data("--validate", "--json")
    assert run.code == 1
    assert run.json["validate"]["findings"] == [
        {
            "code": "unreadable",
            "remedy": "Run setup_data --repair.",
            "document": "tasks/tasks_1.json",
            "problem": "Expecting property name enclosed in double quotes",
            "line": 3,
            "column": 14,
        }
    ]
    run = setup_data("--restore", "nope", "--json")
    assert run.code == 2
    assert run.json["error"] == run.error
    assert run.error.startswith("there is no backup nope in ")


@pytest.mark.parametrize("below", ["/", "/backups/"])
def test_a_full_disk_is_answered_with_what_to_do(
    people: None, data_folder: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    fsync = os.fsync

    def full(descriptor: int) -> None:
        if below in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    before = contents(data_folder, but=(".neuralflow",))
    json_storage.close()
    monkeypatch.setattr(os, "fsync", full)
    run = setup_data("--backup", "--stats")
    assert run.code == 2
    assert run.error == (
        "cannot write the backup: No space left on device. "
        "Nothing was lost. Free some space and run this again."
    )
    assert contents(data_folder, but=(".neuralflow",)) == before


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("memory:", "the store is not on files: it has no folder"),
        ("s3://bucket/data", "NEURALFLOW_STORE is not understood"),
    ],
)
def test_a_store_that_is_no_folder(settings: Any, url: str, words: str) -> None:
    settings.NEURALFLOW_STORE = url
    run = setup_data()
    assert run.code == 2 and run.error.startswith(words)


def test_setup_data_escapes_control_characters(data_folder: Path) -> None:
    setup_data()
    (data_folder / "users" / "\x1b[2J\nname").write_text("")
    (data_folder / "users" / os.fsdecode(b"\xff")).write_text("")
    lines = setup_data("--validate").lines
    assert lines[:2] == [
        "users/\\x1b[2J\\x0aname: is not a document and is left alone",
        "users/\\xdcff: is not a document and is left alone",
    ]


# As its own process: exit codes, streams, a terminal, a database without tables.


def manage(*arguments: str, data: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env={
            **os.environ,
            "NEURALFLOW_STORE": data.as_uri(),
            "DATABASE_URL": f"sqlite:///{data.parent / 'db.sqlite3'}",
            "NEURALFLOW_SECRET_KEY": "only for this test",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_as_a_process(tmp_path: Path) -> None:
    data = tmp_path / "own"
    run = manage("setup_data", data=data)
    assert (run.returncode, run.stderr) == (0, "")
    run = manage("setup_data", "--stats", data=data)
    assert run.returncode == 2 and run.stdout == ""
    assert "Has `python manage.py migrate` been run?" in run.stderr
    assert manage("migrate", "-v0", data=data).returncode == 0
    run = manage("setup_data", "--stats", "--json", data=data)
    assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(run.stdout)["stats"]["total_users"] == 0
    (data / "users/größer").write_text("")
    run = manage("setup_data", "--validate", data=data, PYTHONIOENCODING="ascii")
    assert run.returncode == 1
    assert "users/gr\\xf6\\xdfer: is not a document" in run.stdout
    assert run.stderr == (
        "CommandError: 1 finding; docs/troubleshoot.md says what to do about each.\n"
    )


def test_command_publishes_files_before_exit(tmp_path: Path) -> None:
    data = tmp_path / "own"
    documents = [
        data / name / f"{spec.layout.stem}_1.json"
        for name, spec in COLLECTIONS.items()
        if not spec.layout.begun_later
    ]
    assert manage("migrate", "-v0", data=data).returncode == 0
    person = ["--username=alice", "--email=alice@example.com"]
    run = manage(
        "createsuperuser", "--noinput", *person, data=data, DJANGO_SUPERUSER_PASSWORD="Owls-hunt"
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(documents[0].read_bytes())["username"] == "alice"
    for document in documents:
        document.unlink()
    run = manage("setup_data", "--sync-users", data=data)
    assert run.returncode == 0 and "Removed user_1.json" in run.stderr
    assert json.loads(documents[0].read_bytes())["username"] == "alice"
    assert all(document.exists() for document in documents)


def test_on_a_terminal_it_shows_how_far_it_is(tmp_path: Path) -> None:
    """stderr is a terminal, stdout is not: the bar is drawn there and nowhere else."""
    data = tmp_path / "own"
    (data / "users").mkdir(parents=True)
    (data / "users/user_1.json").write_text('{"user_id": 1, "username": "alice"}')
    manage("migrate", "-v0", data=data)
    controller, terminal = os.openpty()
    run = subprocess.run(
        [sys.executable, "manage.py", "setup_data", "--adopt-users", "--json"],
        cwd=PROJECT,
        env={
            **os.environ,
            "NEURALFLOW_STORE": data.as_uri(),
            "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
            "NEURALFLOW_SECRET_KEY": "only for this test",
            "TERM": "xterm",
        },
        stdout=subprocess.PIPE,
        stderr=terminal,
        check=False,
    )
    os.close(terminal)
    drawn = os.read(controller, 100_000).decode()
    os.close(controller)
    assert run.returncode == 0
    assert json.loads(run.stdout)["adopt_users"]["usernames"] == ["alice"]
    assert "Adopting" in drawn and "1/1" in drawn
