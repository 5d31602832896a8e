"""Filters, search, order and fields of lists, by their addresses."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Caller
from tests.folders import exact, forget_journal
from utils.json_storage import json_storage

TASKS: list[dict[str, Any]] = [
    {"title": "Apples", "priority": "low", "due_date": "2026-11-27", "tags": ["ML", "a,b"]},
    {"title": "bread", "status": "review", "due_date": "2026-11-27T10:00:00Z", "category": "x"},
    {"title": "Cheese", "priority": "critical", "due_date": "2026-11-28", "tags": ["vision"]},
    {"title": "Däcker", "description": "Über alles", "metadata": {"hidden": "sesame"}},
    {"title": 'says "hi", often', "priority": "high", "category": "a, b"},
]


@pytest.fixture
def tasks(alice: Caller) -> Caller:
    json_storage.save_project_data(alice.id, {"name": "X-rays"})
    for task in TASKS:
        json_storage.save_task_data(alice.id, task)
    json_storage.update("tasks", alice.id, 2, {"project_id": 1})
    return alice


def ids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [record["id"] for record in answer.json()["tasks"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=pending", [1, 3, 4, 5]),
        ("status=pending,review", [1, 2, 3, 4, 5]),
        ("status=pending&status=review", [1, 2, 3, 4, 5]),
        ("priority=low,high", [1, 5]),
        ("status=review&priority=high", []),
        ("title=APPLES", [1]),
        ("title=Apples,BREAD", [1, 2]),
        ("title=says+%22hi%22%2C+often", []),
        ("title=%22says+%22%22hi%22%22%2C+often%22", [5]),
        ("category=%22a%2C+b%22", [5]),
        ("category=", [1, 3, 4]),
        ("category=,x", [1, 2, 3, 4]),
        ("tags=ml", [1]),
        ("tags=ml,vision", [1, 3]),
        ("tags=%22a%2Cb%22", [1]),
        ("tags=", [2, 4, 5]),
        ("project_id=1", [2]),
        ("project_id=", [1, 3, 4, 5]),
        ("project_id=,1", [1, 2, 3, 4, 5]),
        ("id=5,1,77", [1, 5]),
        ("due_date=2026-11-27", [1, 2]),
        ("due_date=2026-11-27T10:00:00Z", [1, 2]),  # 1 is due the whole day
        ("due_date=2026-11-27T12:00:00%2B02:00", [1, 2]),
        ("due_date=2026-11-27T11:00:00Z", [1]),
        ("due_date=", [4, 5]),
        ("due_date_before=2026-11-28", [1, 2]),
        ("due_before=2026-11-28", [1, 2]),
        ("due_before=2026-11-27T11:00:00Z", [2]),
        ("due_after=2026-11-27", [3]),
        ("due_after=2026-11-26&due_before=2026-11-28", [1, 2]),
        ("created_after=2020-01-01", [1, 2, 3, 4, 5]),
        ("completed_at=", [1, 2, 3, 4, 5]),
        ("q=CHEE", [3]),
        ("q=d%C3%84ck", [4]),
        ("q=vis", [3]),
        ("q=sesame", []),
        ("q=:", [2]),  # times that NeuralFlow sets are not searched
        ("q=", [1, 2, 3, 4, 5]),
        ("sort=-id", [5, 4, 3, 2, 1]),
        ("sort=title", [1, 2, 3, 4, 5]),
        ("sort=-title", [5, 4, 3, 2, 1]),
        ("sort=due_date", [1, 2, 3, 4, 5]),
        ("sort=-due_date", [3, 2, 1, 4, 5]),
        ("sort=-due_date,-id", [3, 2, 1, 5, 4]),
        ("sort=-priority,title", [3, 5, 2, 4, 1]),
        ("sort=category", [5, 2, 1, 3, 4]),
    ],
)
def test_a_query_finds(tasks: Caller, query: str, found: list[int]) -> None:
    assert ids(tasks.get(f"tasks/?{query}")) == found


def test_filters_of_other_kinds_of_field(alice: Caller) -> None:
    members = ["Zoë", 7, {"username": "bob", "role": "viewer"}]
    json_storage.save_project_data(alice.id, {"name": "A", "team_members": members, "budget": 10.5})
    json_storage.save_project_data(alice.id, {"name": "B", "technologies": ["Django"]})
    json_storage.save_model_data(
        alice.id, {"name": "M", "is_public": True, "accuracy": 1, "training_data_size": 10}
    )
    json_storage.save_model_data(alice.id, {"name": "N", "model_type": "our own"})

    def found(collection: str, query: str) -> list[str]:
        answer = alice.get(f"{collection}/?{query}")
        assert answer.status_code == 200, answer.content
        return [record["name"] for record in answer.json()[collection]]

    for query, names in {
        "team_members=bob": ["A"],
        "team_members=7": ["A"],
        "team_members=zo%C3%AB": ["A"],
        "team_members=viewer": [],
        "team_members=": ["B"],
        "q=BOB": ["A"],
        "q=viewer": [],
        "technologies=django": ["B"],
        "budget=10.5": ["A"],
        "budget=1.05e1": ["A"],
        "budget=": ["B"],
        "budget_min=10.5&budget_max=10.5": ["A"],
        "budget_min=10.6": [],
        "budget_max=-1": [],
    }.items():
        assert found("projects", query) == names, query
    for query, names in {
        "is_public=true": ["M"],
        "is_public=false": ["N"],
        "is_public=true,false": ["M", "N"],
        "accuracy=1": ["M"],
        "accuracy=": ["N"],
        "training_data_size=10": ["M"],
        "training_data_size_max=9": [],
        "model_type=OUR+OWN": ["N"],
        "sort=is_public": ["N", "M"],
        "sort=-accuracy": ["M", "N"],
    }.items():
        assert found("models", query) == names, query


def test_records_of_old_folders_count_as_having_the_defaults(
    alice: Caller, old_tasks: list[dict[str, Any]]
) -> None:
    assert len(old_tasks) == 3
    assert ids(alice.get("tasks/?status=pending")) == [1, 3]
    assert ids(alice.get("tasks/?due_before=2025-01-02")) == [1]
    assert ids(alice.get("tasks/?sort=-due_date")) == [2, 1, 3]
    assert ids(alice.get("tasks/?priority=medium")) == [1, 2, 3]


@pytest.fixture
def old_tasks(alice: Caller, data_folder: Path) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = [
        {"id": 1, "title": "Naive time", "due_date": "2025-01-01T10:00:00.5", "tags": None},
        {"id": 2, "title": "Odd", "status": "was", "due_date": "2026-01-01T10:00:00+05:00"},
        {"id": 3, "title": "Bare", "status": None, "due_date": "soon", "id_of_mine": 1},
    ]
    path = exact(data_folder / "tasks" / f"tasks_{alice.id}.json")
    forget_journal(data_folder)
    path.write_text(json.dumps({"tasks": tasks}))
    return tasks


def test_fields_leave_out_the_others(tasks: Caller) -> None:
    answer = tasks.get("tasks/?fields=title,id&id=3,4")
    assert answer.json() == {
        "tasks": [{"title": "Cheese", "id": 3}, {"title": "Däcker", "id": 4}],
    }


def test_the_total_is_told_where_nothing_filters_or_somebody_asks(tasks: Caller) -> None:
    assert tasks.get("tasks/?sort=title").json()["total"] == 5
    assert tasks.get("tasks/?limit=2").json()["total"] == 5
    assert "total" not in tasks.get("tasks/?priority=low").json()
    assert "total" not in tasks.get("tasks/?priority=low&total=false").json()
    assert tasks.get("tasks/?status=pending&total=true&limit=1").json()["total"] == 4
    assert tasks.get("tasks/?q=e&total=true").json()["total"] == 5


@pytest.mark.parametrize(
    ("query", "parameter", "says"),
    [
        ("statsu=pending", "statsu", "status is meant"),
        ("metadata=x", "metadata", "no parameter"),
        ("nested.key=x", "nested.key", "no parameter"),
        ("status=done", "status", "pending, in_progress, review, completed"),
        ("status=", "status", "one of"),
        ("project_id=x", "project_id", "whole number, or empty for none"),
        ("id=", "id", "whole number"),
        ("id=%D9%A3", "id", "whole number"),  # an Arabic 3
        ("id=" + "9" * 5000, "id", "whole number"),
        ("id=" + ",".join(["1"] * 101), "id", "at most 100"),
        ("due_before=tomorrow", "due_before", "2026-11-23"),
        ("due_before=", "due_before", "2026-11-23"),
        ("due_date=2026-02-30", "due_date", "2026-11-23"),
        ("due_before=2026-01-01&due_before=2026-01-02", "due_before", "once"),
        ("q=a&q=b", "q", "once"),
        ("q=" + "a" * 201, "q", "200"),
        ("sort=metadata", "sort", "title, description"),
        ("sort=", "sort", "must name"),
        ("sort=id,id,id,id,id", "sort", "at most 4"),
        ("fields=secret", "fields", "must name"),
        ("fields=", "fields", "must name"),
        ("limit=0", "limit", "from 1 to 1000"),
        ("limit=1001", "limit", "from 1 to 1000"),
        ("limit=-1", "limit", "from 1 to 1000"),
        ("limit=1e2", "limit", "from 1 to 1000"),
        ("limit=01", "limit", "from 1 to 1000"),
        ("total=yes", "total", "true or false"),
        ("include=everything", "include", "shared"),
    ],
)
def test_a_fault_is_named(tasks: Caller, query: str, parameter: str, says: str) -> None:
    answer = tasks.get(f"tasks/?{query}")

    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["parameter"] == parameter
    assert says in error["detail"]
    assert tasks.document["api_calls_used"] == 0


def test_all_faults_are_told_at_once(alice: Caller) -> None:
    answer = alice.get("tasks/?statsu=x&limit=0&status=done&sort=nothing&cursor=x")

    told = answer.json()
    assert answer.status_code == 400
    assert told["type"] == "/problems/unknown-parameter"
    assert [error["parameter"] for error in told["errors"]] == [
        "statsu", "sort", "status", "limit", "cursor",
    ]  # fmt: skip
    assert "4 more" in told["detail"]
    assert alice.get("tasks/?limit=0").json()["type"] == "/problems/bad-parameter"
