from tests.api.conftest import Caller


def test_it_works(alice: Caller) -> None:
    answer = alice.post("projects/", {"name": "Vision", "technologies": ["torch"], "budget": 12.5})

    assert answer.status_code == 201
    project = answer.json()
    assert answer["Location"] == "/accounts/api/projects/1/"
    assert project["status"] == "active"
    assert alice.get("projects/").json() == {"projects": [project], "total": 1}
    assert alice.get("projects/1/").json() == project
    assert alice.patch("projects/1/", {"status": "completed"}).json()["status"] == "completed"
    assert alice.latest["type"] == "project_updated"
    assert alice.delete("projects/1/").status_code == 204
    assert alice.latest["type"] == "project_deleted"


def test_it_ends_after_it_starts(alice: Caller) -> None:
    dates = {"name": "Vision", "start_date": "2026-12-01", "end_date": "2026-11-01"}
    answer = alice.post("projects/", dates)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/end_date"]
