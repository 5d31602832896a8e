"""Taking changes back over the API: one's own, within an hour, whole or not at all."""

from datetime import timedelta

import pytest

from accounts.models import User
from api.views import undo
from tests.api.conftest import Caller
from utils.json_storage import json_storage


def test_a_change_is_taken_back_by_its_number(alice: Caller) -> None:
    made = alice.post("tasks/", {"title": "Train"})
    task = made.json()["id"]
    changed = alice.patch(f"tasks/{task}/", {"title": "Rest", "status": "completed"})
    assert int(changed["NeuralFlow-Sequence"]) > int(made["NeuralFlow-Sequence"])
    undone = alice.post("undo/", {"sequence": int(changed["NeuralFlow-Sequence"])})
    assert undone.status_code == 200
    assert undone.json() == {
        "description": "Completed task “Rest”",
        "collection": "tasks",
        "id": task,
    }
    assert alice.get(f"tasks/{task}/").json()["title"] == "Train"
    again = alice.post("undo/", {"sequence": int(undone["NeuralFlow-Sequence"])})
    assert again.status_code == 200
    assert alice.get(f"tasks/{task}/").json()["title"] == "Rest"


def test_the_number_is_that_of_the_feed(alice: Caller) -> None:
    since = alice.get("changes/").json()["next"]
    made = alice.post("tasks/", {"title": "Train"})
    (entry,) = alice.get(f"changes/?since={since}").json()["changes"]
    assert made["NeuralFlow-Sequence"] == str(entry["sequence"])


def test_undo_restores_deleted_record_and_bulk_call(alice: Caller) -> None:
    made = alice.post(
        "tasks/bulk/",
        {"operations": [{"op": "create", "record": {"title": title}} for title in "ab"]},
    )
    task = made.json()["results"][0]["record"]["id"]
    deleted = alice.delete(f"tasks/{task}/")
    assert deleted.status_code == 204
    assert alice.post("undo/", {"sequence": int(deleted["NeuralFlow-Sequence"])}).status_code == 200
    assert alice.get(f"tasks/{task}/").json()["title"] == "a"


def test_reading_tells_no_number(alice: Caller) -> None:
    assert "NeuralFlow-Sequence" not in alice.get("tasks/")
    refused = alice.post("tasks/", {})
    assert refused.status_code == 422 and "NeuralFlow-Sequence" not in refused


def test_undo_of_record_changed_since_is_refused(alice: Caller) -> None:
    made = alice.post("tasks/", {"title": "Train"})
    task = made.json()["id"]
    alice.patch(f"tasks/{task}/", {"title": "Rest"})
    refused = alice.post("undo/", {"sequence": int(made["NeuralFlow-Sequence"])})
    assert refused.status_code == 409
    assert refused.json()["type"] == "/problems/changed-since"
    assert refused.json()["names"] == ["Rest"]
    assert alice.get(f"tasks/{task}/").status_code == 200


def test_anothers_change_and_one_that_never_was_are_not_found(alice: Caller, bob: User) -> None:
    made = int(alice.post("tasks/", {"title": "Train"})["NeuralFlow-Sequence"])
    assert Caller(bob).post("undo/", {"sequence": made}).status_code == 404
    assert alice.post("undo/", {"sequence": made + 1000}).status_code == 404
    assert len(json_storage.list("tasks", alice.id)) == 1


def test_after_an_hour_it_is_too_late(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    made = int(alice.post("tasks/", {"title": "Train"})["NeuralFlow-Sequence"])
    monkeypatch.setattr(undo, "OFFERED_FOR", timedelta(seconds=-1))
    assert alice.post("undo/", {"sequence": made}).status_code == 404
    assert len(json_storage.list("tasks", alice.id)) == 1


def test_it_is_one_call_and_told_with_its_token(alice: Caller) -> None:
    made = int(alice.post("tasks/", {"title": "Train"})["NeuralFlow-Sequence"])
    before = alice.get("quota/").json()["used"]
    key = {"Idempotency-Key": "undo-it"}
    for _ in range(2):
        answer = alice.call("POST", "undo/", {"sequence": made}, headers=key)
        assert answer.status_code == 200
    assert answer["Idempotency-Replayed"] == "true"
    assert alice.get("quota/").json()["used"] == before + 1
    assert alice.latest["type"] == "change_undone"
    assert alice.latest["metadata"]["via"] == "api"


@pytest.mark.parametrize("body", [{}, {"sequence": "1"}, {"sequence": True}, {"commit": 1}, []])
def test_undo_invalid_body_is_refused(alice: Caller, body: object) -> None:
    assert alice.post("undo/", body).status_code == 422


@pytest.mark.parametrize("number", [0, -1, 10**15])
def test_a_number_that_no_change_has_is_not_found(alice: Caller, number: int) -> None:
    assert alice.post("undo/", {"sequence": number}).status_code == 404
