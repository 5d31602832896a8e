"""A float without a fraction is an integer (JSON Schema), at every door that takes one."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import Caller
from tests.workspace.bombs import honest
from utils.json_storage import json_storage

HUGE = 1e300  # beyond 2^53, where a float stands for many integers


def _created(alice: Caller, number: float) -> Any:
    return alice.post("tasks/", {"title": "B", "project_id": number})


def _replaced(alice: Caller, number: float) -> Any:
    return alice.put("tasks/1/", {"title": "A", "project_id": number})


def _patched(alice: Caller, number: float) -> Any:
    changes = [{"op": "replace", "path": "/project_id", "value": number}]
    return alice.patch("tasks/1/", changes, "application/json-patch+json")


def _changed_in_bulk(alice: Caller, number: float) -> Any:
    changes = {"op": "update", "id": number, "changes": {"title": "B"}}
    return alice.post("tasks/bulk/", {"operations": [changes]})


def _deleted_in_bulk(alice: Caller, number: float) -> Any:
    return alice.post("tasks/bulk/", {"operations": [{"op": "delete", "id": number}]})


def _undone(alice: Caller, number: float) -> Any:
    if number != 1:
        return alice.post("undo/", {"sequence": number})
    done = alice.post("tasks/", {"title": "B"})
    return alice.post("undo/", {"sequence": float(done["NeuralFlow-Sequence"])})


def _handed_over(alice: Caller, number: float) -> Any:
    return alice.post("projects/1/transfer/", {"to": number})


DOORS: dict[Callable[[Caller, float], Any], set[int]] = {
    _created: {201},
    _replaced: {200},
    _patched: {200},
    _changed_in_bulk: {200},
    _deleted_in_bulk: {200},
    _undone: {200},
    _handed_over: {409, 422},  # the number was understood: it is no member's
}


@pytest.fixture(autouse=True)
def one_of_each(alice: Caller) -> None:
    alice.post("projects/", {"name": "Vision"})
    alice.post("tasks/", {"title": "A"})


@pytest.mark.parametrize("door", DOORS)
def test_whole_float_is_taken_as_an_integer(
    alice: Caller, door: Callable[[Caller, float], Any]
) -> None:
    answer = door(alice, 1.0)
    assert answer.status_code in DOORS[door], answer.content
    assert b"whole number" not in answer.content
    ids = [task["project_id"] for task in json_storage.list("tasks", alice.id)]
    assert {type(number) for number in ids} <= {int, type(None)}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("number", [HUGE, 1.5])
def test_float_that_is_no_one_integer_is_refused(
    alice: Caller, door: Callable[[Caller, float], Any], number: float
) -> None:
    before = json_storage.list("tasks", alice.id)
    answer = door(alice, number)
    assert answer.status_code == 422, answer.content
    assert json_storage.list("tasks", alice.id) == before


def test_import_takes_whole_floats_as_ids_and_references(alice: Caller) -> None:
    archive = honest(
        [
            (
                "projects/projects_7.json",
                b'{"last_id": 40.0, "projects": [{"id": 40.0, "name": "Sound"}]}',
            ),
            (
                "tasks/tasks_7.json",
                b'{"tasks": [{"id": 3e1, "title": "Listen", "project_id": 40.0}]}',
            ),
        ]
    )
    answer = alice.call("POST", "import/?mode=merge", archive, "application/zip")
    assert answer.status_code == 200, answer.content
    task, project = (
        json_storage.get("tasks", alice.id, 30),
        json_storage.get("projects", alice.id, 40),
    )
    assert json.dumps([task["id"], task["project_id"], project["id"]]) == "[30, 40, 40]"
    assert answer.json()["collections"]["tasks"]["renumbered"] == {}


def test_moment_that_was_set_may_be_sent_back_in_another_form(alice: Caller) -> None:
    task = alice.get("tasks/1/").json()
    moment = task["created_at"].replace("Z", "+00:00")
    answer = alice.put("tasks/1/", task | {"created_at": moment, "title": "B"})
    assert answer.status_code == 200, answer.content
    assert answer.json()["created_at"] == task["created_at"]
    other = alice.put("tasks/1/", task | {"created_at": "2026-01-01T00:00:00+00:00"})
    assert other.status_code == 422
