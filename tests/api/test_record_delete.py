import pytest

from tests.api.conftest import Caller
from utils.json_storage import json_storage


def test_it_works(alice: Caller) -> None:
    json_storage.save_task_data(alice.id, {"title": "Old"})

    answer = alice.delete("tasks/1/")

    assert answer.status_code == 204
    assert answer.content == b""
    assert "Content-Type" not in answer
    assert json_storage.list("tasks", alice.id) == []
    assert alice.latest["type"] == "task_deleted"
    assert alice.latest["description"] == "Deleted task “Old”"
    assert alice.document["api_calls_used"] == 1


def test_delete_deleted_record_responds_404(alice: Caller) -> None:
    json_storage.save_task_data(alice.id, {"title": "Old"})
    alice.delete("tasks/1/")

    assert alice.delete("tasks/1/").status_code == 404
    assert alice.document["api_calls_used"] == 1


def test_tasks_outlive_their_project(alice: Caller) -> None:
    project = json_storage.save_project_data(alice.id, {"name": "Vision"})["id"]
    json_storage.save_task_data(alice.id, {"title": "A", "project_id": project})

    assert alice.delete(f"projects/{project}/").status_code == 204
    assert alice.get("tasks/1/").json()["project_id"] is None


@pytest.mark.parametrize("address", ["tasks/", "dashboard/"])
def test_a_whole_collection_cannot_be_deleted(alice: Caller, address: str) -> None:
    answer = alice.delete(address)

    assert answer.status_code == 405
    assert answer.json()["type"] == "/problems/method-not-allowed"
    assert "DELETE" not in answer["Allow"]
    assert "GET" in answer["Allow"]
