"""The storage manager: records, people, activities and quota, over real files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from docstore import Conflict, Corrupt, DocumentStore, NotFound, open_store
from docstore.backends.files.backend import FilesBackend
from tests.accounts_in_db import add_account
from tests.folders import contents, exact, times
from tests.workspace.clocks import Clock
from utils.json_storage import JSONStorageManager, json_storage
from workspace.actor import Actor
from workspace.idempotency import IdempotencyKey
from workspace.schema.validation import (
    COLLECTIONS,
    RECORD_COLLECTIONS,
    InvalidRecord,
    record_version,
)
from workspace.users.document import Activity
from workspace.users.quota import QuotaExceeded, StoredCounts

TITLE = {"tasks": "title", "projects": "name", "models": "name"}
LAYOUTS = {name: spec.layout for name, spec in COLLECTIONS.items()}


def file(data_folder: Path, name: str, storage: JSONStorageManager = json_storage) -> Any:
    return json.loads(exact(data_folder / name, storage).read_text("utf-8"))


def person(user_id: int = 7, **fields: Any) -> User:
    """An account that is in no database: mirroring asks for nothing but its fields."""
    fields = {"username": "alice", "email": "alice@example.com", **fields}
    return User(pk=user_id, **fields)


# Records


@pytest.mark.parametrize("collection", RECORD_COLLECTIONS)
def test_a_record_from_beginning_to_end(data_folder: Path, collection: str) -> None:
    title = TITLE[collection]
    json_storage.save_user_data(person())
    created = json_storage.create(collection, 7, {title: " one "})
    assert created[title] == "one"
    assert (created["id"], created["user_id"]) == (1, 7)
    assert json_storage.get(collection, 7, 1) == created
    assert json_storage.list(collection, 7) == [created]
    name = f"{collection}/{collection}_7.json"
    assert file(data_folder, name)[collection] == [created]
    changed = json_storage.update(collection, 7, 1, {title: "two"})
    assert changed[title] == "two" and changed["created_at"] == created["created_at"]
    assert json_storage.delete(collection, 7, 1) == changed
    assert json_storage.list(collection, 7) == []
    with pytest.raises(NotFound):
        json_storage.get(collection, 7, 1)
    document = file(data_folder, name)
    assert (document["revision"], document["last_id"]) == (3, 1)


@pytest.mark.parametrize("collection", RECORD_COLLECTIONS)
def test_an_id_is_never_given_twice(collection: str) -> None:
    title, given = TITLE[collection], []
    for _ in range(3):
        for _ in range(2):
            given.append(json_storage.create(collection, 7, {title: "x"})["id"])
        json_storage.delete(collection, 7, given[-1])
        json_storage.delete(collection, 7, given[-2])
        json_storage.close()
    assert given == [1, 2, 3, 4, 5, 6]


def test_record_of_other_owner_raises_not_found() -> None:
    task = json_storage.create("tasks", 7, {"title": "mine"})
    for forbidden in (
        lambda: json_storage.get("tasks", 8, task["id"]),
        lambda: json_storage.update("tasks", 8, task["id"], {"title": "yours"}),
        lambda: json_storage.delete("tasks", 8, task["id"]),
        lambda: json_storage.get("tasks", 0, 1),
        lambda: json_storage.get("tasks", True, 1),
        lambda: json_storage.create("tasks", "7", {"title": "x"}),  # type: ignore[arg-type]
    ):
        with pytest.raises(NotFound):
            forbidden()
    assert json_storage.list("tasks", 8) == []


def test_the_thin_names_create_and_change() -> None:
    for save, read, title in (
        (json_storage.save_task_data, json_storage.get_user_tasks, "title"),
        (json_storage.save_project_data, json_storage.get_user_projects, "name"),
        (json_storage.save_model_data, json_storage.get_user_models, "name"),
    ):
        first = save(7, {title: "one", "metadata": {"a": 1}})
        second = save(7, {"id": first["id"], title: "two"})
        assert read(7) == [second]
        assert (second["id"], second[title], second["metadata"]) == (1, "two", {"a": 1})
        with pytest.raises(NotFound):
            save(7, {"id": 9, title: "there is none"})


def test_invalid_data_is_refused_with_all_faults_and_changes_nothing(data_folder: Path) -> None:
    json_storage.create("tasks", 7, {"title": "x"})
    before = contents(data_folder)
    with pytest.raises(InvalidRecord) as caught:
        json_storage.create("tasks", 7, {"title": "", "priority": "x", "tags": "y"})
    assert [error.pointer for error in caught.value.errors] == ["/title", "/priority", "/tags"]
    with pytest.raises(InvalidRecord):
        json_storage.update("tasks", 7, 1, {"due_date": "tomorrow"})
    assert contents(data_folder) == before


def test_unknown_keys_are_kept_or_refused_as_asked() -> None:
    colour = {"title": "x", "colour": {"r": 1}}
    task = json_storage.create("tasks", 7, colour, unknown="keep")
    assert json_storage.update("tasks", 7, 1, {"title": "y"})["colour"] == task["colour"]
    assert json_storage.update("tasks", 7, 1, {"title": "z"}, replace=True)["colour"] == {"r": 1}
    with pytest.raises(InvalidRecord, match="/titel is not a field of a task; title is meant"):
        json_storage.save_task_data(7, {"title": "x", "titel": "y"})
    with pytest.raises(InvalidRecord):
        json_storage.update("tasks", 7, 1, {"colour": 1})
    assert json_storage.save_task_data(7, task | {"title": "w"})["colour"] == {"r": 1}


def test_write_for_unknown_person_is_refused_and_leaves_no_file(
    data_folder: Path, db: None
) -> None:
    json_storage.save_user_data(person())
    before = contents(data_folder)
    writes: list[Callable[[], object]] = [
        lambda: json_storage.save_task_data(999, {"title": "x"}),
        lambda: json_storage.save_project_data(999, {"name": "x"}),
        lambda: json_storage.save_model_data(999, {"name": "x"}),
        lambda: json_storage.update_user_activity(999, "login", "Signed in"),
        lambda: json_storage.create("tasks", 999, {"title": "x"}, activity=Activity("a", "b")),
        lambda: json_storage.create("tasks", 999, {"title": "x"}, metered=True),
        lambda: json_storage.create("tasks", 999, {"title": "x"}, once=IdempotencyKey("k", "f")),
        lambda: json_storage.bulk("tasks", 999, [{"op": "create", "record": {"title": "x"}}]),
        lambda: json_storage.change_preferences(999, {"theme": "dark"}),
        lambda: json_storage.count_call(999, Activity("a", "b")),
        lambda: json_storage.record_read(Actor(999)),
    ]
    for write in writes:
        with pytest.raises(NotFound, match="there is no person 999"):
            write()
    assert contents(data_folder) == before


@pytest.mark.parametrize("collection", ["task", "users", "shared", "", None, 3, ["tasks"]])
def test_write_to_unknown_collection_names_those_there_are(collection: Any) -> None:
    json_storage.create("tasks", 7, {"title": "x"})
    calls: list[Callable[[], object]] = [
        lambda: json_storage.create(collection, 7, {"title": "x"}),
        lambda: json_storage.update(collection, 7, 1, {"title": "x"}),
        lambda: json_storage.delete(collection, 7, 1),
        lambda: json_storage.bulk(collection, 7, [{"op": "delete", "id": 1}]),
    ]
    for call in calls:
        with pytest.raises(
            ValueError, match=r"is no collection.*: use one of tasks, projects, mod"
        ):
            call()


def test_read_of_unknown_collection_names_those_there_are() -> None:
    reads: list[Callable[[], object]] = [
        lambda: json_storage.get("task", 7, 1),
        lambda: json_storage.list("task", 7),
        lambda: json_storage.view("task", 7, caller=Actor(9)),
        lambda: json_storage.access("task", 7),
        lambda: json_storage.owners("task"),
    ]
    for read in reads:
        with pytest.raises(ValueError, match="'task' is no collection; 'tasks' is meant, perhaps"):
            read()


def test_another_id_or_owner_is_refused_and_the_same_is_none() -> None:
    task = json_storage.create("tasks", 7, {"title": "x"})
    for wrong, pointer in (({"id": 5}, "/id"), ({"user_id": 8}, "/user_id"), ({"id": True}, "/id")):
        with pytest.raises(InvalidRecord) as refused:
            json_storage.update("tasks", 7, 1, {"title": "y"} | wrong)
        assert [error.pointer for error in refused.value.errors] == [pointer]
        with pytest.raises(InvalidRecord):
            json_storage.create("tasks", 7, {"title": "y"} | wrong)
    for no_id in ("1", 0, 1.5, None):
        with pytest.raises(InvalidRecord, match="/id is given by NeuralFlow"):
            json_storage.save_task_data(7, {"title": "y", "id": no_id})
    again = json_storage.save_task_data(7, task | {"title": "y"})
    assert json_storage.save_task_data(7, task | {"title": "z"})["title"] == "z"  # older times
    assert (again["title"], again["id"]) == ("y", 1)
    assert len(json_storage.list("tasks", 7)) == 1


@pytest.mark.parametrize("record_id", ["1", True, 0, -1, 1.0, None, [1]])
def test_invalid_id_raises_not_found(record_id: Any) -> None:
    json_storage.create("tasks", 7, {"title": "x"})
    calls: list[Callable[[], object]] = [
        lambda: json_storage.get("tasks", 7, record_id),
        lambda: json_storage.update("tasks", 7, record_id, {"title": "y"}),
        lambda: json_storage.delete("tasks", 7, record_id),
    ]
    for call in calls:
        with pytest.raises(NotFound, match="an id is a whole number from 1"):
            call()


def test_activity_that_no_file_could_hold_is_refused() -> None:
    json_storage.save_user_data(person())
    bad: list[tuple[Any, Any, Any]] = [
        ("", "x", {}),
        (3, "x", {}),
        ("x", 3, {}),
        ("x", "y", [1]),
        ("x", "y", {"at": object()}),
    ]
    for arguments in bad:
        with pytest.raises(InvalidRecord):
            json_storage.update_user_activity(7, *arguments)


def test_returned_records_are_independent_copies() -> None:
    json_storage.save_user_data(person())
    given = {"title": "x", "tags": ["a"], "metadata": {"deep": [1]}}
    returned = [
        json_storage.create("tasks", 7, given),
        json_storage.get("tasks", 7, 1),
        json_storage.list("tasks", 7)[0],
        json_storage.update("tasks", 7, 1, {"category": "c"}),
    ]
    for record in returned:
        record["tags"].append("b")
        record["metadata"]["deep"].clear()
    given["tags"].append("c")  # type: ignore[attr-defined]
    stored = json_storage.get("tasks", 7, 1)
    assert (stored["tags"], stored["metadata"]) == (["a"], {"deep": [1]})
    user = json_storage.get_user_data(7)
    assert user is not None
    user["activities"].append("x")
    json_storage.dashboard(7)["user"]["profile"]["skills"].append("x")
    json_storage.update_user_activity(7, "t", "d", {"a": 1})["metadata"]["b"] = 2
    assert json_storage.activities(7)[0]["metadata"] == {"a": 1}
    assert json_storage.get_user_data(7)["profile"]["skills"] == []  # type: ignore[index]


def test_a_view_is_what_a_list_copies() -> None:
    assert json_storage.view("tasks", 7) == []
    json_storage.create("tasks", 7, {"title": "x"})
    seen = json_storage.view("tasks", 7)
    assert seen == json_storage.list("tasks", 7)
    json_storage.update("tasks", 7, 1, {"title": "y"})
    assert (seen[0]["title"], json_storage.view("tasks", 7)[0]["title"]) == ("x", "y")


def test_a_view_costs_no_copy_and_leaves_out_what_is_no_record(data_folder: Path) -> None:
    json_storage.create("tasks", 7, {"title": "x"})
    path = exact(data_folder / "tasks/tasks_7.json")
    content = json.loads(path.read_text())
    os.utime(path, (1, 1))  # so old that it is remembered
    assert json_storage.view("tasks", 7) is json_storage.view("tasks", 7)
    path.write_text(json.dumps(content | {"tasks": [None, *content["tasks"], 5]}))
    assert json_storage.view("tasks", 7) == content["tasks"]
    assert json_storage.get("tasks", 7, 1) == content["tasks"][0]
    assert json_storage.create("tasks", 7, {"title": "y"})["id"] == 2
    assert [task["id"] for task in json_storage.list("tasks", 7)] == [1, 2]


# References


def test_a_reference_must_lead_somewhere(data_folder: Path) -> None:
    project = json_storage.create("projects", 7, {"name": "Vision"})
    other = json_storage.create("projects", 8, {"name": "another person's"})
    json_storage.create("projects", 8, {"name": "another"})
    task = json_storage.create("tasks", 7, {"title": "x", "project_id": project["id"]})
    before = contents(data_folder)
    for wrong in (2, 99):
        with pytest.raises(InvalidRecord) as caught:
            json_storage.update("tasks", 7, task["id"], {"project_id": wrong})
        assert [error.pointer for error in caught.value.errors] == ["/project_id"]
        with pytest.raises(InvalidRecord):
            json_storage.create("tasks", 7, {"title": "y", "project_id": wrong})
    assert other["id"] == 1 and contents(data_folder) == before
    assert json_storage.update("tasks", 7, 1, {"project_id": None})["project_id"] is None


def test_deleting_a_project_clears_it_from_its_tasks_in_the_same_commit(
    data_folder: Path,
) -> None:
    json_storage.save_user_data(person())
    for name in ("one", "two"):
        json_storage.create("projects", 7, {"name": name})
    for project in (1, 2, 1, None):
        json_storage.create("tasks", 7, {"title": "x", "project_id": project})
    before = file(data_folder, "tasks/tasks_7.json")
    gone = json_storage.delete(
        "projects", 7, 1, activity=lambda record: Activity("project_deleted", record["name"])
    )
    assert gone["name"] == "one"
    after = file(data_folder, "tasks/tasks_7.json")
    assert [task["project_id"] for task in after["tasks"]] == [None, 2, None, None]
    assert after["tasks"][1] == before["tasks"][1]
    assert after["revision"] == before["revision"] + 1
    assert json_storage.activities(7)[0]["description"] == "one"


# Someone else wrote first


def test_a_stale_form_does_not_overwrite(data_folder: Path) -> None:
    seen = record_version(json_storage.create("tasks", 7, {"title": "x"}))
    json_storage.create("tasks", 7, {"title": "another task changes nothing for this one"})
    changed = json_storage.update("tasks", 7, 1, {"title": "first"}, expect=seen)
    before = contents(data_folder)
    with pytest.raises(Conflict):
        json_storage.update("tasks", 7, 1, {"title": "second"}, expect=seen)
    with pytest.raises(Conflict):
        json_storage.delete("tasks", 7, 1, expect=seen)
    assert contents(data_folder) == before
    json_storage.delete("tasks", 7, 1, expect=record_version(changed))


def test_the_version_of_a_record_does_not_depend_on_the_order_of_its_keys() -> None:
    assert record_version({"a": 1, "b": {"c": 2, "d": 3}}) == record_version(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )
    assert record_version({"a": 1}) != record_version({"a": 2})


# People


def test_saving_a_person_never_drops_what_the_store_knows(data_folder: Path) -> None:
    user = person(date_joined=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    json_storage.save_user_data(
        user, lay_out=True, activity=Activity("account_created", "Account created")
    )
    json_storage.update_user_activity(7, "login", "Signed in")
    json_storage.count_call(7, Activity("api_call", "GET"))
    path = data_folder / "users/user_7.json"
    document = file(data_folder, "users/user_7.json")
    exact(path).write_text(json.dumps(document | {"theme": "dark"}))
    user.first_name, user.last_login = "Alice", datetime(2026, 11, 23, tzinfo=UTC)
    saved = json_storage.save_user_data(user)
    assert saved == file(data_folder, "users/user_7.json")
    types = [activity["type"] for activity in saved["activities"]]
    assert types == ["account_created", "login", "api_call", "file_merged"]
    assert (saved["theme"], saved["api_calls_used"], saved["first_name"]) == ("dark", 1, "Alice")
    assert saved["date_joined"] == "2026-01-02T03:04:05.000000Z"
    assert saved["last_login"] == "2026-11-23T00:00:00.000000Z"
    assert saved["revision"] == 5  # the edit by hand is a change, too


def test_saving_a_person_unchanged_writes_nothing(data_folder: Path) -> None:
    user = person()
    json_storage.save_user_data(user)
    before = times(data_folder)
    again = json_storage.save_user_data(user)
    assert times(data_folder) == before
    assert again == file(data_folder, "users/user_7.json")


def test_nothing_secret_is_in_any_file(data_folder: Path) -> None:
    user = person()
    user.set_password("Owls-hunt-at-dusk")
    json_storage.save_user_data(
        user, lay_out=True, activity=Activity("account_created", "Account created")
    )
    json_storage.save_task_data(7, {"title": "x"})
    json_storage.close()  # of the journal, too, nothing is on its way any more
    everything = b"".join(contents(data_folder, but=()).values())
    assert user.password.encode() not in everything
    assert not re.search(rb"password|argon2|pbkdf2|md5\$|token|Owls", everything)


def test_registering_is_one_commit_and_keeps_what_exists(data_folder: Path) -> None:
    json_storage.save_task_data(7, {"title": "was there before"})
    document = {"user_id": 7, "username": "old", "activities": [{"type": "x"}], "theme": "dark"}
    exact(data_folder / "users/user_7.json").write_text(json.dumps(document))
    stored = json_storage.save_user_data(
        person(), lay_out=True, activity=Activity("account_created", "Account created")
    )
    assert [activity["type"] for activity in stored["activities"]] == ["x", "account_created"]
    assert (stored["theme"], stored["username"]) == ("dark", "alice")
    assert len(json_storage.list("tasks", 7)) == 1
    assert sorted(contents(data_folder)) == [
        "models/models_7.json",
        "projects/projects_7.json",
        "tasks/tasks_7.json",
        "users/user_7.json",
    ]
    assert file(data_folder, "models/models_7.json")["models"] == []


def test_a_person_unknown_to_the_store_has_nothing() -> None:
    assert json_storage.get_user_data(7) is None
    assert json_storage.activities(7) == []
    assert json_storage.dashboard(7)["statistics"]["total_tasks"] == 0


# Activities and quota


def test_the_newest_activities_come_first() -> None:
    json_storage.save_user_data(person())
    for number in range(12):
        json_storage.update_user_activity(7, "x", str(number))
    told = [activity["description"] for activity in json_storage.activities(7)]
    assert told == [str(number) for number in range(11, 1, -1)]
    assert len(json_storage.activities(7, latest=100)) == 12
    assert json_storage.activities(7, latest=0) == []
    assert json_storage.dashboard(7)["recent_activities"] == json_storage.activities(7)


def test_activities_are_never_cut(data_folder: Path) -> None:
    json_storage.save_user_data(person())
    for number in range(150):
        json_storage.update_user_activity(7, "x", str(number))
    assert len(file(data_folder, "users/user_7.json")["activities"]) == 150


def test_a_change_its_activity_and_its_count_are_one_commit(data_folder: Path) -> None:
    json_storage.save_user_data(person())
    task = json_storage.create(
        "tasks",
        7,
        {"title": "x"},
        activity=lambda record: Activity("task_created", "made", {"task_id": record["id"]}),
        metered=True,
    )
    user = file(data_folder, "users/user_7.json")
    assert user["activities"][0]["metadata"] == {"task_id": task["id"]}
    assert (user["api_calls_used"], user["revision"]) == (1, 2)
    before = contents(data_folder)
    with pytest.raises(InvalidRecord):
        json_storage.create("tasks", 7, {}, activity=Activity("x", "never"), metered=True)
    assert contents(data_folder) == before


@pytest.mark.django_db
def test_an_activity_of_someone_without_a_document_begins_it() -> None:
    add_account(7, "alice")
    json_storage.update_user_activity(7, "login", "Signed in")
    json_storage.update_user_activity(8, "login", "Signed in")
    assert json_storage.get_user_data(7)["username"] == "alice"  # type: ignore[index]
    assert json_storage.get_user_data(8)["username"] == ""  # type: ignore[index]


@pytest.mark.parametrize("url", ["memory:", "another"])
def test_closed_manager_reopens_the_store_it_was_given(
    data_folder: Path, tmp_path: Path, url: str
) -> None:
    if url == "another":
        url = (tmp_path / url).as_uri()
    storage = JSONStorageManager(open_store(url, LAYOUTS.values()))
    storage.save_user_data(person())
    folder = storage.folder
    for title in ("before", "after"):
        storage.close()
        assert storage.folder == folder
        storage.create("tasks", 7, {"title": title})
        storage.dashboard(7)
    assert storage.list("tasks", 7)[-1]["title"] == "after"
    storage.close()
    assert not data_folder.exists(), "it wrote where the settings point"


def test_manager_takes_the_time_from_its_store(data_folder: Path) -> None:
    clock = Clock(datetime(2031, 5, 31, 23, 59, 59, tzinfo=UTC))
    storage = JSONStorageManager(open_store(data_folder.as_uri(), LAYOUTS.values(), clock=clock))
    storage.save_user_data(person())
    storage.create("tasks", 7, {"title": "late", "due_date": "2031-06-01"}, metered=True)
    assert storage.quota(7).used == 1
    figures = storage.dashboard(7)
    assert figures["user"]["api_calls_period"] == "2031-05-31T23"
    assert figures["statistics"]["overdue_tasks"] == 0
    with storage.export(7) as export:
        assert "2031-05-31" in export.name
    clock.now = datetime(2031, 6, 2, tzinfo=UTC)
    assert storage.quota(7).used == 0
    figures = storage.dashboard(7)
    assert figures["user"]["api_calls_period"] == "2031-06-02T00"
    assert figures["statistics"]["overdue_tasks"] == 1
    storage.close()


def test_manager_over_the_settings_takes_an_injected_clock(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for year in (2031, 2032):  # the second while the store is open
        monkeypatch.setattr(json_storage, "clock", Clock(datetime(year, 5, 31, tzinfo=UTC)))
        task = json_storage.create("tasks", 7, {"title": "x"})
        assert task["created_at"].startswith(f"{year}-05-31T00:00:00")


def test_count_of_calls_starts_again_each_hour(data_folder: Path) -> None:
    clock = Clock(datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC))
    backend = FilesBackend(data_folder, LAYOUTS)
    storage = JSONStorageManager(DocumentStore(backend, LAYOUTS, clock))
    storage.save_user_data(person(api_calls_limit=2))
    call = Activity("api_call", "GET")
    assert storage.count_call(7, call).remaining == 1
    storage.create("tasks", 7, {"title": "x"}, metered=True)
    before = contents(exact(data_folder, storage))
    refused: list[Callable[[], Any]] = [
        lambda: storage.count_call(7, call),
        lambda: storage.create("tasks", 7, {"title": "y"}, metered=True),
        lambda: storage.delete("tasks", 7, 1, metered=True),
    ]
    for over in refused:
        with pytest.raises(QuotaExceeded) as caught:
            over()
        assert (caught.value.quota.limit, caught.value.quota.used) == (2, 2)
        assert caught.value.quota.resets_in == 2
    assert contents(exact(data_folder, storage)) == before
    storage.create("tasks", 7, {"title": "not metered"})
    clock.now = datetime(2026, 12, 1, tzinfo=UTC)
    assert storage.count_call(7, call).used == 1
    user = file(data_folder, "users/user_7.json", storage)
    assert (user["api_calls_used"], user["api_calls_period"]) == (1, "2026-12-01T00")


OLD_COUNT = {
    "user_id": 7,
    "username": "alice",
    "email": "alice@example.com",
    "api_calls_limit": 2,
    "api_calls_used": 2,
    "activities": [],
}


@pytest.mark.parametrize(
    ("updated_at", "period"),
    [
        ("2026-11-30T22:59:59.123456", "2026-11-30T22"),
        ("2026-11-30T18:30:00-05:00", "2026-11-30T23"),
        (None, ""),
        ("long ago", ""),
    ],
)
def test_old_count_stays_in_its_hour_whatever_changes_the_document(
    data_folder: Path, updated_at: str | None, period: str
) -> None:
    clock = Clock(datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC))
    storage = JSONStorageManager(DocumentStore(FilesBackend(data_folder, LAYOUTS), LAYOUTS, clock))
    path = data_folder / "users/user_7.json"
    used = 2 if period == "2026-11-30T23" else 0
    changes: list[Callable[[], Any]] = [
        lambda: storage.update_user_activity(7, "login", "Signed in"),
        lambda: storage.save_user_data(person(api_calls_limit=2, first_name="Alice")),
    ]
    for change in changes:
        exact(path, storage).write_text(json.dumps(OLD_COUNT | {"updated_at": updated_at}))
        change()
        document = file(data_folder, "users/user_7.json", storage)
        assert (document["api_calls_used"], document["api_calls_period"]) == (2, period)
        change()
        assert StoredCounts.of(document).quota(clock.now, (120, 60)).used == used


# Documents that do not read


def test_a_corrupt_document_is_never_overwritten_and_stops_nobody_else(
    data_folder: Path,
) -> None:
    for user_id in (7, 8):
        json_storage.save_user_data(person(user_id))
        json_storage.create("tasks", user_id, {"title": "x"})
        json_storage.create("projects", user_id, {"name": "x"})
    broken = exact(data_folder / "tasks/tasks_7.json")
    broken.write_text('{"tasks": [{"id": 1, "title": "x"}')
    before = contents(data_folder)
    assert json_storage.get("tasks", 7, 1) == json_storage.list("tasks", 7)[0]
    assert json_storage.dashboard(7)["statistics"]["total_tasks"] == 1
    attempts: list[Callable[[], Any]] = [
        lambda: json_storage.create("tasks", 7, {"title": "y"}),
        lambda: json_storage.update("tasks", 7, 1, {"title": "y"}),
        lambda: json_storage.delete("tasks", 7, 1),
    ]
    for attempt in attempts:
        with pytest.raises(Corrupt) as caught:
            attempt()
        assert caught.value.document == "tasks/tasks_7.json"
        assert (caught.value.line, caught.value.column) == (1, 35)
    assert contents(data_folder) == before
    json_storage.create("tasks", 8, {"title": "y"})
    json_storage.create("projects", 7, {"name": "y"})
    json_storage.save_user_data(person(7, first_name="new"))
    assert exact(broken).read_bytes() == before["tasks/tasks_7.json"]


def test_a_broken_person_is_never_taken_for_a_new_one(data_folder: Path) -> None:
    json_storage.save_user_data(person())
    broken = exact(data_folder / "users/user_7.json")
    broken.write_text("")
    for attempt in (
        lambda: json_storage.save_user_data(person()),
        lambda: json_storage.save_user_data(
            person(), lay_out=True, activity=Activity("account_created", "x")
        ),
        lambda: json_storage.update_user_activity(7, "login", "Signed in"),
        lambda: json_storage.count_call(7, Activity("api_call", "GET")),
        lambda: json_storage.create("tasks", 7, {"title": "x"}, metered=True),
    ):
        with pytest.raises(Corrupt):
            attempt()
    assert exact(broken).read_bytes() == b""
    assert json_storage.list("tasks", 7) == []
