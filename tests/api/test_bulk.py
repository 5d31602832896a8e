"""Many changes in one call: one commit, one counted call, all or nothing."""

from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from tests.api.conftest import Caller
from tests.api.test_bad_input import check_problem
from tests.folders import contents
from utils.json_storage import json_storage


def bulk(caller: Caller, *operations: Any, **headers: str) -> Any:
    return caller.call("POST", "tasks/bulk/", {"operations": operations}, headers=headers)


@pytest.fixture
def task(alice: Caller) -> dict[str, Any]:
    alice.post("tasks/", {"title": "A", "metadata": {"a": 1, "b": 2}})
    alice.post("tasks/", {"title": "B"})
    return alice.get("tasks/1/").json()  # type: ignore[no-any-return]


def test_it_works(alice: Caller, task: dict[str, Any]) -> None:
    used = alice.document["api_calls_used"]
    answer = bulk(
        alice,
        {"op": "create", "record": {"title": "C"}},
        {"op": "update", "id": 1, "changes": {"status": "review", "metadata": {"a": None}}},
        {"op": "delete", "id": 2},
        {"op": "update", "id": 3, "changes": {"priority": "high"}},
    )

    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [(one["op"], one["id"]) for one in results] == [
        ("create", 3),
        ("update", 1),
        ("delete", 2),
        ("update", 3),
    ]
    assert [task["title"] for task in json_storage.list("tasks", alice.id)] == ["A", "C"]
    assert json_storage.get("tasks", alice.id, 1)["metadata"] == {"b": 2}
    assert results[1]["etag"] == alice.get("tasks/1/")["ETag"]
    assert results[3]["etag"] == alice.get("tasks/3/")["ETag"]
    assert results[2]["etag"] is None
    assert alice.document["api_calls_used"] == used + 3  # this one, and two to look
    told = next(a for a in alice.document["activities"] if a["type"] == "tasks_changed")
    assert told["description"] == "Many tasks at once: 1 created, 2 updated, 1 deleted"


def test_all_or_nothing_and_every_fault_is_told(
    alice: Caller, task: dict[str, Any], data_folder: Path
) -> None:
    before = contents(data_folder)

    answer = bulk(
        alice,
        {"op": "create", "record": {"title": "C"}},
        {"op": "create", "record": {"titel": "D", "tags": [1]}},
        {"op": "update", "id": 1, "changes": {"status": "done"}},
        {"op": "delete", "id": 2},
    )

    problem = check_problem(answer, 422)
    assert sorted(error["pointer"] for error in problem["errors"]) == [
        "/operations/1/record/tags/0",
        "/operations/1/record/titel",
        "/operations/1/record/title",
        "/operations/2/changes/status",
    ]
    assert contents(data_folder) == before


@pytest.mark.parametrize(
    ("operations", "pointers"),
    [
        ([], ["/operations"]),
        ([{"op": "delete", "id": 1}] * 1001, ["/operations"]),
        ({}, ["/operations"]),
        ([7, None], ["/operations/0/op", "/operations/1/op"]),
        ([{}, {"op": ["create"]}], ["/operations/0/op", "/operations/1/op"]),
        ([{"op": "create"}], ["/operations/0/record"]),
        ([{"op": "create", "record": []}], ["/operations/0/record"]),
        ([{"op": "create", "record": {}, "id": 7}], ["/operations/0/id"]),
        ([{"op": "update"}], ["/operations/0/changes", "/operations/0/id"]),
        ([{"op": "update", "id": True, "changes": {}}], ["/operations/0/id"]),
        ([{"op": "update", "id": 1, "changes": 1}], ["/operations/0/changes"]),
        ([{"op": "delete", "id": "1"}], ["/operations/0/id"]),
        ([{"op": "delete", "id": 1, "if_match": 7}], ["/operations/0/if_match"]),
        (
            [{"op": "delete", "id": -1}, {"op": "delete", "id": 0}],
            [f"/operations/{n}/id" for n in (0, 1)],
        ),
    ],
)
def test_bulk_invalid_operations_report_pointers(
    alice: Caller, task: dict[str, Any], data_folder: Path, operations: Any, pointers: list[str]
) -> None:
    before = contents(data_folder)

    problem = check_problem(alice.post("tasks/bulk/", {"operations": operations}), 422)

    assert sorted(error["pointer"] for error in problem["errors"]) == pointers
    assert contents(data_folder) == before


@pytest.mark.parametrize("body", [[], None, 7, {"operation": []}, {"operations": [], "x": 1}])
def test_bodies_that_are_none(alice: Caller, body: Any) -> None:
    check_problem(alice.post("tasks/bulk/", body), 422)


def test_a_stale_state_stops_all(alice: Caller, task: dict[str, Any], data_folder: Path) -> None:
    tag = alice.get("tasks/1/")["ETag"]
    good = {"op": "update", "id": 1, "changes": {"title": "A2"}, "if_match": tag}
    assert bulk(alice, good, {"op": "delete", "id": 2, "if_match": "*"}).status_code == 200
    before = contents(data_folder)

    answer = bulk(alice, {"op": "create", "record": {"title": "C"}}, good)

    assert check_problem(answer, 412)["current"]["title"] == "A2"
    assert contents(data_folder) == before


def test_it_is_made_once_under_a_key(alice: Caller) -> None:
    create = {"op": "create", "record": {"title": "C"}}
    answers = [bulk(alice, create, create, idempotency_key="k") for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert answers[1]["Idempotency-Replayed"] == "true"
    assert len(json_storage.list("tasks", alice.id)) == 2
    assert alice.document["api_calls_used"] == 1


def test_a_thousand_at_once(alice: Caller) -> None:
    operations = [{"op": "create", "record": {"title": f"Task {n}"}} for n in range(1000)]

    assert len(bulk(alice, *operations).json()["results"]) == 1000
    assert len(json_storage.list("tasks", alice.id)) == 1000


def test_references_hold_within_one_call(alice: Caller) -> None:
    alice.post("projects/", {"name": "P"})
    made = alice.post(
        "projects/bulk/",
        {"operations": [{"op": "delete", "id": 1}, {"op": "create", "record": {"name": "Q"}}]},
    )
    assert made.status_code == 200
    refused = bulk(alice, {"op": "create", "record": {"title": "C", "project_id": 1}})
    (error,) = check_problem(refused, 422)["errors"]
    assert error["pointer"] == "/operations/0/record/project_id"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_it_takes_post_only(alice: Caller, method: str) -> None:
    answer = alice.call(method, "tasks/bulk/", {})

    check_problem(answer, 405)
    assert answer["Allow"] == "OPTIONS, POST"


def test_the_operator_may_want_every_change_to_say_its_state(
    alice: Caller, task: dict[str, Any], data_folder: Path
) -> None:
    before = contents(data_folder)
    create = {"op": "create", "record": {"title": "C"}}
    stated = {"op": "delete", "id": 2, "if_match": "*"}
    with override_settings(NEURALFLOW_REQUIRE_IF_MATCH=True):
        for change in ({"op": "update", "id": 1, "changes": {}}, {"op": "delete", "id": 1}):
            problem = check_problem(bulk(alice, create, stated, change), 428)
            assert problem["type"] == "/problems/precondition-required"
        assert contents(data_folder) == before
        assert bulk(alice, create, stated).status_code == 200
