import json
import uuid
from pathlib import Path

import pytest

from tests.api.conftest import Caller
from tests.folders import exact


def test_it_works(alice: Caller, data_folder: Path) -> None:
    answer = alice.post("tasks/", {"title": "Train the baseline", "priority": "high"})

    assert answer.status_code == 201
    assert answer["Content-Type"] == "application/json"
    task = answer.json()
    assert answer["Location"] == f"/accounts/api/tasks/{task['id']}/"
    assert task["title"] == "Train the baseline"
    assert task["priority"] == "high"
    assert task["status"] == "pending"
    assert task["user_id"] == alice.id
    file = exact(data_folder / "tasks" / f"tasks_{alice.id}.json")
    stored = json.loads(file.read_bytes())
    assert stored["tasks"] == [task]


def test_the_task_is_found_at_its_location(alice: Caller) -> None:
    answer = alice.post("tasks/", {"title": "Read the paper"})
    found = alice.client.get(answer["Location"])

    assert found.status_code == 200
    assert found.json() == answer.json()


def test_ids_count_up_and_are_never_used_again(alice: Caller) -> None:
    first, second = (alice.post("tasks/", {"title": "One"}).json()["id"] for _ in range(2))
    alice.delete(f"tasks/{second}/")

    assert alice.post("tasks/", {"title": "Three"}).json()["id"] == second + 1 == first + 2


def test_the_call_is_counted_and_logged_with_the_task_in_one_commit(alice: Caller) -> None:
    revision = alice.document["revision"]
    answer = alice.client.post(
        "/accounts/api/tasks/",
        {"title": "Tune it"},
        content_type="application/json",
        headers={"user-agent": "a browser\t" + "x" * 400},
    )

    document = alice.document
    assert document["revision"] == revision + 1
    assert document["api_calls_used"] == 1
    activity = document["activities"][-1]
    assert activity["type"] == "task_created"
    assert activity["description"] == "Added task “Tune it”"
    assert activity["metadata"] == {
        "id": answer.json()["id"],
        "via": "api",
        "token": "1",
        "method": "POST",
        "path": "/accounts/api/tasks/",
        "ip_address": "127.0.0.1",
        "user_agent": "a browser " + "x" * 290,
    }


def test_a_task_may_be_created_completed(alice: Caller) -> None:
    task = alice.post("tasks/", {"title": "Done before", "status": "completed"}).json()

    assert task["completed_at"] == task["created_at"]
    assert alice.latest["type"] == "task_created"


def test_text_is_stored_verbatim(alice: Caller) -> None:
    title = "<script>alert('{{7*7}}')</script> =cmd 漢字 🧠"

    assert alice.post("tasks/", {"title": title}).json()["title"] == title
    assert alice.get("tasks/1/").json()["title"] == title


def test_all_faults_are_named_at_once(alice: Caller) -> None:
    answer = alice.post("tasks/", {"priority": "urgent", "tags": ["ml", 7], "titel": "Misspelt"})

    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "/problems/invalid-record"
    assert problem["status"] == 422
    assert uuid.UUID(problem["instance"].removeprefix("urn:uuid:"))
    assert problem["instance"].endswith(answer["X-Request-ID"])
    pointers = {error["pointer"] for error in problem["errors"]}
    assert pointers == {"/title", "/priority", "/tags/1", "/titel"}
    assert all(error["detail"] for error in problem["errors"])


@pytest.mark.parametrize("field", ["id", "user_id", "created_at", "updated_at", "completed_at"])
def test_create_managed_field_is_refused(alice: Caller, field: str) -> None:
    answer = alice.post("tasks/", {"title": "Mine", field: 7})

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{field}"]


def test_a_project_must_be_ones_own(alice: Caller, charlie: Caller) -> None:
    project = alice.post("projects/", {"name": "Vision"}).json()["id"]

    assert alice.post("tasks/", {"title": "A", "project_id": project}).status_code == 201
    strange, missing = (
        charlie.post("tasks/", {"title": "A", "project_id": other}) for other in (project, 99)
    )
    assert strange.status_code == missing.status_code == 422
    assert strange.json()["errors"] == missing.json()["errors"]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        'application/json;charset="utf-8"',
        "application/json; charset=utf8",
        'application/json; CHARSET="UTF8"',
        "application/json;",
    ],
)
def test_json_may_say_its_encoding(alice: Caller, content_type: str) -> None:
    assert alice.call("POST", "tasks/", {"title": "A"}, content_type).status_code == 201
