"""What a person owns goes out in one archive and comes in again, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docstore import Conflict, Key, NotFound, open_store, take_snapshot
from tests.examples import examples
from tests.folders import contents
from tests.workspace.bombs import honest
from utils.json_storage import JSONStorageManager, json_storage
from workspace.actor import Actor
from workspace.archive import importer
from workspace.archive.importer import ID_KEPT_MAX
from workspace.archive.package import InvalidImport
from workspace.archive.zip_reader import Archive
from workspace.membership.members import Memberships
from workspace.schema.collections import COLLECTIONS

ALICE, BOB = 7, 9
GOLDEN = Path(__file__).parents[1] / "golden" / "old_folder"


def exported(owner: int = ALICE) -> bytes:
    with json_storage.export(owner) as export:
        return b"".join(export)


def imported(data: bytes, into: int = ALICE, **options: Any) -> dict[str, Any]:
    return json_storage.import_archive(into, io.BytesIO(data), **options)


def document(name: str, records: list[dict[str, Any]], owner: int = ALICE, **head: Any) -> bytes:
    return honest([(f"{name}/{name}_{owner}.json", json.dumps({name: records, **head}).encode())])


def workspace(owner: int = ALICE) -> None:
    """Two projects and three tasks of which one is done and one is deleted."""
    for name in ("Vision", "Speech"):
        json_storage.create("projects", owner, {"name": name, "team_members": ["zoë"]})
    for number in range(3):
        json_storage.create("tasks", owner, {"title": f"Task {number}", "project_id": 2})
    json_storage.update(
        "tasks", owner, 1, {"status": "completed", "mood": "my own"}, unknown="keep"
    )
    json_storage.delete("tasks", owner, 3)
    json_storage.create("models", owner, {"name": "baseline", "accuracy": 0.93})


def counts(report: dict[str, Any], collection: str) -> dict[str, Any]:
    return {name: value for name, value in report["collections"][collection].items() if value}


class TestExport:
    def test_it_holds_the_files_as_they_are_and_a_manifest(self, data_folder: Path) -> None:
        workspace()
        json_storage.create("tasks", BOB, {"title": "not alice's"})
        with zipfile.ZipFile(io.BytesIO(exported())) as archive:
            assert archive.testzip() is None
            found = {name: archive.read(name) for name in archive.namelist()}
        manifest = json.loads(found.pop("manifest.json"))
        assert found == {
            name: data for name, data in contents(data_folder).items() if name.endswith("_7.json")
        }
        assert manifest["owner"] == ALICE
        assert manifest["format"] == 1
        told = manifest["files"]["tasks/tasks_7.json"]
        assert told == {
            "bytes": len(found["tasks/tasks_7.json"]),
            "sha256": hashlib.sha256(found["tasks/tasks_7.json"]).hexdigest(),
            "revision": 5,
            "records": 2,
        }

    def test_files_of_old_and_broken_ones_are_in_it_as_they_are(self, data_folder: Path) -> None:
        (data_folder / "tasks").mkdir(parents=True)
        (data_folder / "models").mkdir()
        old = (GOLDEN / "tasks" / "tasks_1.json").read_bytes()
        (data_folder / "tasks" / "tasks_7.json").write_bytes(old)
        (data_folder / "models" / "models_7.json").write_bytes(b'{"models": [')
        with zipfile.ZipFile(io.BytesIO(exported())) as archive:
            assert archive.read("tasks/tasks_7.json") == old
            assert archive.read("models/models_7.json") == b'{"models": ['
            manifest = json.loads(archive.read("manifest.json"))
        assert manifest["files"]["models/models_7.json"]["records"] is None

    def test_export_of_highly_compressible_data_can_be_imported(self) -> None:
        json_storage.create("tasks", ALICE, {"title": "x", "description": "a" * 50_000})
        json_storage.create("tasks", ALICE, {"title": "y", "description": "a" * 50_000})
        data = exported()
        assert imported(data)["collections"]["tasks"]["unchanged"] == 2

    def test_a_file_written_in_place_meanwhile_is_noticed(self, data_folder: Path) -> None:
        workspace()
        with json_storage.export(ALICE) as export:
            path = data_folder / "tasks" / "tasks_7.json"
            path.write_bytes(path.read_bytes().replace(b"Task", b"Tusk"))
            with pytest.raises(Exception, match="written in place"):
                list(export)

    def test_no_more_than_a_piece_is_made_at_a_time(self) -> None:
        for number in range(40):
            noise = hashlib.sha512(str(number).encode()).hexdigest() * 300
            json_storage.create("tasks", ALICE, {"title": "x", "description": noise})
        with json_storage.export(ALICE) as export:
            pieces = list(export)
        assert len(pieces) > 10
        assert max(map(len, pieces)) < 256 * 1024


class TestRoundTrip:
    @pytest.mark.parametrize("mode", ["merge", "replace"])
    def test_a_fresh_account_gets_all_there_was(self, mode: str) -> None:
        workspace()
        report = imported(exported(), BOB, mode=mode)
        for name in ("tasks", "projects", "models"):
            before = [record | {"user_id": BOB} for record in json_storage.list(name, ALICE)]
            assert json_storage.list(name, BOB) == before
            assert counts(report, name) == {"added": len(before)}

    def test_a_second_time_changes_nothing(self, data_folder: Path) -> None:
        workspace()
        data = exported()
        for mode in ("merge", "replace"):
            before = contents(data_folder)
            report = imported(data, mode=mode)
            assert counts(report, "tasks") == {"unchanged": 2}
            assert contents(data_folder) == before

    @pytest.mark.parametrize("mode", ["merge", "replace"])
    @pytest.mark.parametrize("given", [{"id": 1}, {}, {"id": 1, "status": "completed"}])
    def test_importing_a_record_without_times_twice_changes_it_once(
        self, data_folder: Path, mode: str, given: dict[str, Any]
    ) -> None:
        data = document("tasks", [{"title": "Buy milk"} | given])
        assert counts(imported(data, mode=mode), "tasks") == {"added": 1}
        before = contents(data_folder)
        assert counts(imported(data, mode=mode), "tasks") == {"unchanged": 1}
        assert contents(data_folder) == before

    def test_replacing_brings_back_what_was_and_gives_no_id_again(self) -> None:
        workspace()
        data = exported()
        json_storage.delete("projects", ALICE, 2)
        json_storage.update("tasks", ALICE, 1, {"title": "changed since"})
        fresh = json_storage.create("tasks", ALICE, {"title": "since"})
        assert fresh["id"] == 4
        report = imported(data, mode="replace")
        assert counts(report, "tasks") == {"changed": 2, "removed": 1}
        assert counts(report, "projects") == {"added": 1, "unchanged": 1}
        tasks = json_storage.list("tasks", ALICE)
        assert [(task["id"], task["title"], task["project_id"]) for task in tasks] == [
            (1, "Task 0", 2),
            (2, "Task 1", 2),
        ]
        assert json_storage.create("tasks", ALICE, {"title": "next"})["id"] == 5

    def test_replacing_takes_the_ids_given_there_too(self) -> None:
        workspace()
        imported(exported(), BOB, mode="replace")
        assert json_storage.create("tasks", BOB, {"title": "next"})["id"] == 4

    def test_a_collection_that_is_not_in_the_archive_is_left_alone(self) -> None:
        workspace()
        imported(document("projects", []), mode="replace")
        assert json_storage.list("projects", ALICE) == []
        assert [task["project_id"] for task in json_storage.list("tasks", ALICE)] == [None, None]
        assert len(json_storage.list("models", ALICE)) == 1

    def test_nothing_of_the_account_is_taken(self, db: None) -> None:
        json_storage.update_user_activity(ALICE, "login", "Signed in")
        workspace()
        data = exported()
        report = imported(data, BOB)
        assert json_storage.get_user_data(BOB) is None
        assert [note["file"] for note in report["notes"]] == ["users/user_7.json"]

    def test_unknown_fields_of_the_document_come_along(self) -> None:
        data = document("tasks", [{"title": "a", "id": 1}], theme="dark", revision=900)
        imported(data)
        found = json_storage.store.read(Key("tasks", ALICE))
        assert found is not None
        assert found.content["theme"] == "dark"
        assert found.content["revision"] == 1


class TestMerge:
    def test_the_newer_of_two_states_stays(self) -> None:
        workspace()
        old = exported()
        json_storage.update("tasks", ALICE, 1, {"title": "newer"})
        new = exported()
        report = imported(old)
        assert counts(report, "tasks") == {"skipped": 1, "unchanged": 1}
        assert "as new or newer" in report["notes"][-1]["detail"]
        assert json_storage.get("tasks", ALICE, 1)["title"] == "newer"
        imported(old, mode="replace")
        before = json_storage.list("tasks", ALICE)
        assert counts(imported(new), "tasks") == {"changed": 1, "unchanged": 1}
        assert json_storage.get("tasks", ALICE, 1)["title"] == "newer"
        assert json_storage.get("tasks", ALICE, 2) == before[1]

    def test_strangers_with_our_ids_get_ids_of_their_own(self) -> None:
        workspace()
        workspace(BOB)
        data = exported(BOB)
        report = imported(data)
        assert report["collections"]["projects"]["renumbered"] == {"1": 3, "2": 4}
        assert report["collections"]["tasks"]["renumbered"] == {"1": 4, "2": 5}
        tasks = json_storage.list("tasks", ALICE)
        assert [(task["id"], task["project_id"]) for task in tasks] == [
            (1, 2),
            (2, 2),
            (4, 4),
            (5, 4),
        ]
        again = imported(data)
        assert counts(again, "tasks") == {"unchanged": 2, "renumbered": {"1": 4, "2": 5}}

    def test_an_id_that_was_given_here_before_is_not_given_again(self) -> None:
        workspace()
        data = document("tasks", [{"title": "other", "id": 3, "created_at": "2020-01-01"}])
        assert imported(data)["collections"]["tasks"]["renumbered"] == {"3": 4}

    def test_an_archive_cannot_use_up_all_ids(self) -> None:
        data = document("tasks", [{"title": "far", "id": ID_KEPT_MAX + 1}], last_id=2**53 - 1)
        for mode in ("merge", "replace"):
            imported(data, mode=mode)
        assert json_storage.create("tasks", ALICE, {"title": "next"})["id"] < 10

    def test_records_without_an_id_or_with_one_twice_get_their_own(self) -> None:
        tasks = [{"title": "a"}, {"title": "b", "id": 1}, {"title": "c", "id": 1}]
        imported(document("tasks", tasks))
        found = json_storage.list("tasks", ALICE)
        assert [(task["title"], task["id"]) for task in found] == [("a", 2), ("b", 1), ("c", 3)]

    def test_references_that_lead_nowhere_become_null_and_are_told(self) -> None:
        workspace()
        tasks = [{"title": "a", "id": 50, "project_id": 2}, {"title": "b", "id": 51}]
        report = imported(document("tasks", tasks, owner=BOB))
        assert json_storage.get("tasks", ALICE, 50)["project_id"] is None
        assert report["notes"] == [
            {
                "file": "tasks/tasks_9.json",
                "pointer": "/tasks/0/project_id",
                "detail": "2 is not here; it becomes null.",
            }
        ]

    def test_times_without_zone_and_old_forms_are_read(self) -> None:
        task = {
            "title": "old",
            "id": 4,
            "category": None,
            "created_at": "2025-06-30T09:20:00",
            "updated_at": "2025-07-01 10:00:00.5",
            "due_date": "2025-07-09 17:00",
            "user_id": 1,
        }
        data = document("tasks", [task], owner=1, updated_at=None)
        imported(data)
        found = json_storage.get("tasks", ALICE, 4)
        assert found["created_at"] == "2025-06-30T09:20:00.000000Z"
        assert found["updated_at"] == "2025-07-01T10:00:00.500000Z"
        assert found["due_date"] == "2025-07-09T17:00:00.000000Z"
        assert (found["category"], found["user_id"]) == ("", ALICE)
        assert counts(imported(data), "tasks") == {"unchanged": 1}


dates = st.integers(1, 4).map(lambda day: f"2026-01-0{day}T00:00:00.000000Z")
archived = st.fixed_dictionaries(
    {"title": st.sampled_from("abc")},
    optional={
        "id": st.integers(1, 6),
        "created_at": dates,
        "updated_at": dates,
        "status": st.just("completed"),
        "completed_at": dates,
        "project_id": st.integers(1, 4),
    },
)
archives = st.tuples(
    st.lists(archived, max_size=6),
    st.lists(
        st.fixed_dictionaries(
            {"name": st.sampled_from("xyz")},
            optional={"id": st.integers(1, 4), "created_at": dates},
        ),
        max_size=4,
    ),
)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(archives, st.sampled_from(["merge", "replace"])), min_size=1, max_size=4))
def test_random_imports_preserve_invariants(history: list[Any]) -> None:
    """Ids are unique and never given again, references lead somewhere, twice is once."""
    manager = JSONStorageManager(
        open_store("memory:", [one.layout for one in COLLECTIONS.values()])
    )
    last = 0
    for (tasks, projects), mode in history:
        before = {task["id"]: task for task in manager.list("tasks", ALICE)}
        data = honest(
            [
                ("tasks/tasks_7.json", json.dumps({"tasks": tasks}).encode()),
                ("projects/projects_7.json", json.dumps({"projects": projects}).encode()),
            ]
        )
        report = manager.import_archive(ALICE, io.BytesIO(data), mode=mode)
        after = manager.list("tasks", ALICE)
        known = {project["id"] for project in manager.list("projects", ALICE)}
        assert len({task["id"] for task in after}) == len(after)
        assert all(task["project_id"] in {None, *known} for task in after)
        tally = report["collections"]["tasks"]
        told = ("added", "changed", "unchanged", "skipped")
        assert sum(tally[name] for name in told) == len(tasks)
        if mode == "merge":
            now = {task["id"]: task for task in after}
            assert before.keys() <= now.keys()
            for record_id, task in before.items():
                assert now[record_id]["created_at"] == task["created_at"]
                assert now[record_id]["updated_at"] >= task["updated_at"]
        else:
            assert len(after) == len(tasks)
        state = {name: manager.list(name, ALICE) for name in ("tasks", "projects")}
        fresh = manager.create("tasks", ALICE, {"title": "next"})["id"]
        assert fresh > max([last, *(task["id"] for task in after)])
        last = fresh
        manager.delete("tasks", ALICE, last)
        again = manager.import_archive(ALICE, io.BytesIO(data), mode=mode)
        for tally in again["collections"].values():
            assert (tally["added"], tally["changed"], tally["removed"]) == (0, 0, 0)
        assert {name: manager.list(name, ALICE) for name in state} == state


class TestRights:
    ENTRY = {"user_id": 9, "username": "bob", "role": "editor", "status": "member"}

    @pytest.fixture
    def shared(self, db: None) -> bytes:
        """Alice's project 1 is shared with Bob, who has task 1; as exported."""
        workspace()
        members = Memberships(json_storage, lambda who: (BOB, "bob"))
        members.invite(ALICE, 1, "bob", "editor")
        members.accept(BOB, 1)
        json_storage.update("tasks", ALICE, 1, {"project_id": 1, "assignee": BOB})
        return exported()

    def test_member_entries_become_notes_without_rights(self) -> None:
        data = document("projects", [{"name": "a", "id": 1, "team_members": [self.ENTRY, "zoë"]}])
        for _ in range(2):
            imported(data)
            (project,) = json_storage.list("projects", ALICE)
            note = {"user_id": 9, "username": "bob", "role": "editor"}
            assert project["team_members"] == [note, "zoë"]
        assert json_storage.list("shared", BOB) == []

    @pytest.mark.parametrize("mode", ["merge", "replace"])
    def test_members_that_are_here_stay_as_they_are(self, shared: bytes, mode: str) -> None:
        (before,) = json_storage.list("shared", BOB)
        json_storage.update("projects", ALICE, 1, {"name": "Renamed"})
        report = imported(shared, mode=mode)
        assert counts(report, "tasks") == {"unchanged": 2}
        assert [record["id"] for record in json_storage.list("shared", BOB)] == [before["id"]]
        assert json_storage.get("tasks", ALICE, 1)["assignee"] == BOB
        assert json_storage.get("projects", ALICE, 1, caller=Actor(BOB))["id"] == 1

    def test_import_does_not_restore_removed_member(self, shared: bytes) -> None:
        Memberships(json_storage).remove(ALICE, 1, BOB)
        imported(shared, mode="replace")
        assert json_storage.list("shared", BOB) == []
        assert json_storage.get("tasks", ALICE, 1)["assignee"] is None
        with pytest.raises(NotFound):
            json_storage.get("projects", ALICE, 1, caller=Actor(BOB))

    def test_a_stranger_gets_no_members_of_ours(self, shared: bytes) -> None:
        imported(shared, 11)
        assert json_storage.get("tasks", 11, 1)["assignee"] is None
        assert len(json_storage.list("shared", BOB)) == 1
        with pytest.raises(NotFound):
            json_storage.get("projects", 11, 1, caller=Actor(BOB))

    def test_a_project_that_goes_is_shared_with_nobody(self, shared: bytes) -> None:
        imported(document("projects", []), mode="replace")
        assert json_storage.list("shared", BOB) == []
        task = json_storage.get("tasks", ALICE, 1)
        assert (task["project_id"], task["assignee"]) == (None, None)

    def test_another_project_under_its_id_is_not_shared(self, shared: bytes) -> None:
        other = {"name": "b", "id": 1, "created_at": "2020-01-01", "team_members": [self.ENTRY]}
        imported(document("projects", [other]), mode="replace")
        assert json_storage.list("shared", BOB) == []
        with pytest.raises(NotFound):
            json_storage.get("projects", ALICE, 1, caller=Actor(BOB))


class TestFaults:
    def test_all_of_them_are_told_with_file_and_pointer_and_nothing_changes(
        self, data_folder: Path
    ) -> None:
        workspace()
        before = contents(data_folder)
        tasks = [
            {"title": "good"},
            {"title": "", "priority": "urgent", "created_at": "yesterday"},
            "no object",
            {"title": "x", "metadata": {"n": 2**60}, "tags": ["a", 1]},
        ]
        files = [
            ("tasks/tasks_7.json", json.dumps({"tasks": tasks}).encode()),
            ("models/models_7.json", b'{"models": [\n  {"name": "a",}]}'),
        ]
        for dry_run in (True, False):
            with pytest.raises(InvalidImport) as fault:
                imported(honest(files), dry_run=dry_run)
            assert [(one.file, one.pointer, one.line) for one in fault.value.faults] == [
                ("tasks/tasks_7.json", "/tasks/1/title", 0),
                ("tasks/tasks_7.json", "/tasks/1/priority", 0),
                ("tasks/tasks_7.json", "/tasks/1/created_at", 0),
                ("tasks/tasks_7.json", "/tasks/2", 0),
                ("tasks/tasks_7.json", "/tasks/3/metadata/n", 0),
                ("tasks/tasks_7.json", "/tasks/3/tags/1", 0),
                ("models/models_7.json", "", 2),
            ]
        assert contents(data_folder) == before

    def test_import_of_unchanged_records_skips_validation(self, data_folder: Path) -> None:
        (data_folder / "tasks").mkdir(parents=True)
        old = (GOLDEN / "tasks" / "tasks_1.json").read_bytes()
        (data_folder / "tasks" / "tasks_7.json").write_bytes(old)
        data = exported()
        before = contents(data_folder)
        assert imported(data)["collections"]["tasks"]["added"] == 0
        assert contents(data_folder) == before

    def test_a_dry_run_reports_and_changes_nothing(self, data_folder: Path) -> None:
        workspace(BOB)
        data, before = exported(BOB), contents(data_folder)
        report = imported(data, dry_run=True)
        assert contents(data_folder) == before
        assert imported(data) == report

    def test_a_changed_file_is_noticed_by_the_manifest(self) -> None:
        workspace()
        with zipfile.ZipFile(io.BytesIO(exported())) as archive:
            files = [(name, archive.read(name)) for name in archive.namelist()]
        changed = [(name, data.replace(b"Task 1", b"Task !")) for name, data in files]
        with pytest.raises(InvalidImport, match="manifest"):
            imported(honest(changed))
        assert imported(honest(changed[:-1]))["collections"]["tasks"]["skipped"] == 1
        with pytest.raises(InvalidImport, match="not in the archive"):
            imported(honest(files[1:]))


class TestFolders:
    def test_a_zipped_folder_of_the_earlier_release_is_taken_in(self) -> None:
        files = [
            (f"data/{path.relative_to(GOLDEN)}", path.read_bytes())
            for path in sorted(GOLDEN.rglob("*"))
            if path.is_file()
        ]
        with pytest.raises(InvalidImport, match="several people"):
            imported(honest(files))
        with pytest.raises(InvalidImport, match="nothing of owner 3; it holds files of 1, 2, 42"):
            imported(honest(files), owner=3)
        report = imported(honest(files), owner=42)
        assert counts(report, "tasks") == {"added": 1}
        assert {note["file"] for note in report["notes"]} == {
            "data/tasks/tasks_1.json.bak",
            "data/users/user_42.json",
        }
        with pytest.raises(InvalidImport) as fault:
            imported(honest(files), owner=1)
        assert "/projects/0/budget" in {one.pointer for one in fault.value.faults}

    def test_files_with_unusual_names_are_ignored_or_taken(self) -> None:
        task = json.dumps({"tasks": [{"title": "Buy milk"}]}).encode()
        strange = ["./data/Screenshot 9.41\u202fAM.png", "./data/👩\u200d💻 no\u00a0break.txt"]
        files = [("./data/tasks/tasks_7.json", task), *((name, b"x") for name in strange)]
        report = imported(honest(files))
        assert counts(report, "tasks") == {"added": 1}
        assert [note["detail"] for note in report["notes"]] == ["It is no file of NeuralFlow."] * 2

    def test_import_without_known_files_is_refused(self) -> None:
        with pytest.raises(InvalidImport, match="holds no file of NeuralFlow"):
            imported(honest([("notes.txt", b"hello")]))

    def test_two_files_of_one_collection_are_refused(self) -> None:
        files = [("a/tasks/tasks_7.json", b"{}"), ("b/tasks/tasks_7.json", b"{}")]
        with pytest.raises(InvalidImport, match="twice"):
            imported(honest(files))

    def test_a_backup_of_0_1_is_taken_in(self, tmp_path: Path) -> None:
        workspace()
        backup = take_snapshot(json_storage.store, tmp_path / "data/backups").read_bytes()
        assert counts(imported(backup, BOB), "tasks") == {"added": 2}
        assert len(Archive(io.BytesIO(backup)).entries) == 4


def test_archive_is_prepared_without_the_lock_and_taken_in_within_a_second_of_work(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others used to wait while each record of the archive was compared with those here."""
    json_storage.create("tasks", ALICE, {"title": "here before"})
    records = [{"title": f"Task {number}", "tags": ["a"]} for number in range(400)]
    data = document("tasks", records)
    backend = json_storage.store.backend
    inside = {"likenesses": 0}
    likeness = importer._likeness

    def counted(record: Any) -> bytes:
        inside["likenesses"] += backend._folder.lock.held  # type: ignore[attr-defined]
        return likeness(record)

    monkeypatch.setattr(importer, "_likeness", counted)
    assert imported(data)["collections"]["tasks"]["added"] == 400
    assert imported(data)["collections"]["tasks"]["unchanged"] == 400
    report = imported(data, mode="replace")["collections"]["tasks"]
    assert (report["unchanged"], report["removed"]) == (400, 1)
    assert inside["likenesses"] == 0


def test_archive_meets_changes_of_its_owner_and_is_prepared_again(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_to, changes = importer.PreparedImport.apply_to, [1, 2]

    def interrupted(self: Any, transaction: Any, mode: Any) -> Any:
        report = apply_to(self, transaction, mode)
        if changes:
            json_storage.create("tasks", ALICE, {"title": f"meanwhile {changes.pop()}"})
        return report

    monkeypatch.setattr(importer.PreparedImport, "apply_to", interrupted)
    imported(document("tasks", [{"title": "mine"}]))
    titles = [task["title"] for task in json_storage.list("tasks", ALICE)]
    assert titles == ["meanwhile 2", "meanwhile 1", "mine"]
    changes += [3] * 20
    with pytest.raises(Conflict):
        imported(document("tasks", [{"title": "other"}]))
    assert "other" not in [task["title"] for task in json_storage.list("tasks", ALICE)]
