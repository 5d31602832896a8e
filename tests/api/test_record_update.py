from typing import Any

import pytest

from tests.api.conftest import Caller
from utils.json_storage import json_storage


@pytest.fixture
def task(alice: Caller) -> dict[str, Any]:
    return json_storage.save_task_data(
        alice.id,
        {
            "title": "Train",
            "description": "Three seeds",
            "due_date": "2026-12-01",
            "tags": ["ml"],
            "metadata": {"seed": 7, "where": {"host": "gpu1", "slot": 2}},
        },
    )


def test_it_works(alice: Caller, task: dict[str, Any]) -> None:
    answer = alice.patch("tasks/1/", {"status": "review"})

    assert answer.status_code == 200
    changed = answer.json()
    assert changed["updated_at"] > task["updated_at"]
    assert changed == task | {"status": "review", "updated_at": changed["updated_at"]}
    assert json_storage.get("tasks", alice.id, 1) == changed
    assert alice.latest["type"] == "task_updated"
    assert alice.latest["metadata"]["id"] == 1
    assert alice.document["api_calls_used"] == 1


@pytest.mark.parametrize("content_type", ["application/json", "application/merge-patch+json"])
def test_a_patch_is_merged_as_rfc_7396_says(
    alice: Caller, task: dict[str, Any], content_type: str
) -> None:
    patch = {
        "due_date": None,
        "tags": ["nlp"],
        "metadata": {"seed": None, "where": {"slot": 3}, "new": {"a": None, "b": 1}},
    }

    changed = alice.patch("tasks/1/", patch, content_type).json()

    assert changed["due_date"] is None
    assert changed["tags"] == ["nlp"]
    assert changed["metadata"] == {"where": {"host": "gpu1", "slot": 3}, "new": {"b": 1}}
    assert changed["description"] == "Three seeds"


@pytest.mark.parametrize("field", ["title", "priority", "tags", "metadata"])
def test_null_is_refused_where_a_field_may_not_be_null(
    alice: Caller, task: dict[str, Any], field: str
) -> None:
    answer = alice.patch("tasks/1/", {field: None})

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{field}"]


def test_completing_is_told_once(alice: Caller, task: dict[str, Any]) -> None:
    completed = alice.patch("tasks/1/", {"status": "completed"}).json()
    assert completed["completed_at"] == completed["updated_at"]
    assert alice.latest["type"] == "task_completed"

    again = alice.patch("tasks/1/", {"status": "completed", "title": "Trained"}).json()
    assert again["completed_at"] == completed["completed_at"]
    assert alice.latest["type"] == "task_updated"

    reopened = alice.patch("tasks/1/", {"status": "pending"}).json()
    assert reopened["completed_at"] is None
    assert alice.latest["type"] == "task_updated"


def test_put_replaces(alice: Caller, task: dict[str, Any]) -> None:
    replaced = alice.put("tasks/1/", {"title": "Evaluate"}).json()

    assert replaced["title"] == "Evaluate"
    assert replaced["description"] == ""
    assert replaced["tags"] == []
    assert replaced["metadata"] == {}
    assert (replaced["id"], replaced["created_at"]) == (1, task["created_at"])


def test_put_needs_what_a_new_record_needs(alice: Caller, task: dict[str, Any]) -> None:
    answer = alice.put("tasks/1/", {"priority": "low"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/title"


def test_put_record_as_read_is_accepted(alice: Caller, task: dict[str, Any]) -> None:
    answer = alice.put("tasks/1/", alice.get("tasks/1/").json() | {"title": "Evaluate"})

    assert answer.status_code == 200
    assert answer.json()["description"] == "Three seeds"


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("field", ["id", "user_id", "created_at"])
def test_update_managed_field_is_refused(
    alice: Caller, task: dict[str, Any], method: str, field: str
) -> None:
    answer = alice.call(method, "tasks/1/", {"title": "A", field: 99})

    assert answer.status_code == 422
    assert json_storage.get("tasks", alice.id, 1) == task


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_missing_record_is_not_made(alice: Caller, method: str) -> None:
    answer = alice.call(method, "tasks/5/", {"title": "A"})

    assert answer.status_code == 404
    assert json_storage.list("tasks", alice.id) == []
    assert alice.document["api_calls_used"] == 0


def test_merge_patch_is_for_patch_only(alice: Caller, task: dict[str, Any]) -> None:
    answer = alice.call("PUT", "tasks/1/", {"title": "A"}, "application/merge-patch+json")

    assert answer.status_code == 415
    unknown = alice.patch("tasks/1/", [], "application/xml-patch+xml")
    assert unknown.status_code == 415
    kinds = ("json", "merge-patch+json", "json-patch+json")
    assert unknown["Accept-Patch"] == ", ".join(f"application/{kind}" for kind in kinds)
    told = alice.client.options("/accounts/api/tasks/1/")
    assert told["Accept-Patch"] == unknown["Accept-Patch"]


JSON_PATCH = "application/json-patch+json"


def test_a_json_patch_is_applied_as_rfc_6902_says(alice: Caller, task: dict[str, Any]) -> None:
    answer = alice.patch(
        "tasks/1/",
        [
            {"op": "test", "path": "/status", "value": "pending"},
            {"op": "replace", "path": "/status", "value": "review"},
            {"op": "add", "path": "/tags/0", "value": "nlp"},
            {"op": "move", "from": "/metadata/where/host", "path": "/metadata/host"},
            {"op": "remove", "path": "/metadata/seed"},
            {"op": "remove", "path": "/description"},
        ],
        JSON_PATCH,
    )

    assert answer.status_code == 200
    changed = answer.json()
    assert changed == task | {
        "status": "review",
        "tags": ["nlp", "ml"],
        "metadata": {"host": "gpu1", "where": {"slot": 2}},
        "description": "",
        "updated_at": changed["updated_at"],
    }
    assert json_storage.get("tasks", alice.id, 1) == changed


@pytest.mark.parametrize(
    ("status", "problem", "pointer", "operation"),
    [
        (409, "patch-failed", "/1/value", {"op": "test", "path": "/status", "value": "review"}),
        (409, "patch-failed", "/1/path", {"op": "remove", "path": "/tags/1"}),
        (422, "invalid-patch", "/1/op", {"op": "increment", "path": "/status"}),
        (422, "invalid-record", "/id", {"op": "replace", "path": "/id", "value": 7}),
        (422, "invalid-record", "/user_id", {"op": "remove", "path": "/user_id"}),
        (422, "invalid-record", "/title", {"op": "remove", "path": "/title"}),
        (422, "invalid-record", "/status", {"op": "replace", "path": "/status", "value": "done"}),
        (422, "invalid-record", "/is_admin", {"op": "add", "path": "/is_admin", "value": True}),
        (422, "invalid-record", "/__proto__", {"op": "add", "path": "/__proto__", "value": {}}),
        (422, "invalid-record", "", {"op": "replace", "path": "", "value": []}),
    ],
)
def test_a_json_patch_that_is_refused_changes_nothing(
    alice: Caller,
    task: dict[str, Any],
    status: int,
    problem: str,
    pointer: str,
    operation: dict[str, Any],
) -> None:
    patch = [{"op": "replace", "path": "/title", "value": "Changed"}, operation]

    answer = alice.patch("tasks/1/", patch, JSON_PATCH)

    assert answer.status_code == status
    told = answer.json()
    assert told["type"] == f"/problems/{problem}"
    assert pointer in [error["pointer"] for error in told["errors"]]
    assert json_storage.get("tasks", alice.id, 1) == task
