from pathlib import Path

import pytest

from tests.api.conftest import Caller
from tests.folders import contents, exact
from utils.json_storage import json_storage


def test_it_works(alice: Caller) -> None:
    tasks = [json_storage.save_task_data(alice.id, {"title": f"Task {n}"}) for n in range(3)]

    answer = alice.get("tasks/")

    assert answer.status_code == 200
    assert answer.json() == {"tasks": tasks, "total": 3}


def test_answers_are_private_and_are_what_they_say(alice: Caller) -> None:
    answer = alice.get("tasks/")

    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert {"Authorization", "Cookie"} <= {name.strip() for name in answer["Vary"].split(",")}


def test_list_without_document_is_empty(alice: Caller, data_folder: Path) -> None:
    exact(data_folder / "tasks" / f"tasks_{alice.id}.json").unlink()

    assert alice.get("tasks/").json() == {"tasks": [], "total": 0}


def test_head_is_get_without_the_body(alice: Caller) -> None:
    json_storage.save_task_data(alice.id, {"title": "A"})
    length = alice.get("tasks/")["Content-Length"]

    answer = alice.client.head("/accounts/api/tasks/")

    assert answer.status_code == 200
    assert answer.content == b""
    assert answer["Content-Length"] == length
    assert alice.document["api_calls_used"] == 2


def test_options_names_the_methods_and_is_free(alice: Caller) -> None:
    answer = alice.client.options("/accounts/api/tasks/")

    assert answer.status_code == 204
    assert answer["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert "Content-Type" not in answer
    record = alice.client.options("/accounts/api/tasks/1/")
    assert record["Allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
    assert alice.document["api_calls_used"] == 0


def test_reads_are_counted_and_logged_as_one(alice: Caller) -> None:
    for _ in range(3):
        alice.get("tasks/")

    assert alice.document["api_calls_used"] == 3
    reads = [one for one in alice.document["activities"] if one["type"] == "api_call"]
    assert [one["description"] for one in reads] == ["Read 3 times"]
    assert reads[0]["metadata"].items() >= {"via": "api", "count": 3}.items()
    assert reads[0]["metadata"]["token"] in alice.document["api_calls_by_token"]


def test_reads_change_no_file(
    alice: Caller, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_storage.meter, "commit_seconds", 3600.0)
    alice.post("tasks/", {"title": "A"})
    before = contents(exact(data_folder))
    for address in ("tasks/", "tasks/1/", "dashboard/", "activity/", "shared/", "changes/"):
        for _ in range(10):
            assert alice.get(address).status_code == 200
    assert contents(exact(data_folder)) == before


def test_the_last_slash_is_added_for_readers(alice: Caller) -> None:
    answer = alice.get("tasks")

    assert answer.status_code == 301
    assert answer["Location"] == "/accounts/api/tasks/"


def test_a_body_is_not_sent_on_but_told_where_to_go(alice: Caller) -> None:
    answer = alice.post("tasks", {"title": "A"})

    assert answer.status_code == 404
    assert "/accounts/api/tasks/" in answer.json()["detail"]


def test_unknown_parameters_are_named(alice: Caller) -> None:
    answer = alice.get("tasks/?statsu=done&status=done")

    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/unknown-parameter"
    assert "statsu" in answer.json()["detail"]
