from typing import Any

import pytest

from tests.accounts.api.conftest import Caller
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


def test_what_was_read_can_be_sent_back(alice: Caller, task: dict[str, Any]) -> None:
    answer = alice.put("tasks/1/", alice.get("tasks/1/").json() | {"title": "Evaluate"})

    assert answer.status_code == 200
    assert answer.json()["description"] == "Three seeds"


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("field", ["id", "user_id", "created_at"])
def test_what_neuralflow_sets_cannot_be_changed(
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
    unknown = alice.patch("tasks/1/", [], "application/json-patch+json")
    assert unknown.status_code == 415
    assert unknown["Accept-Patch"] == "application/json, application/merge-patch+json"
