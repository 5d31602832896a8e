"""Sharing over the API: who invites, who joins, who may do what, who sees nothing."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from accounts.tokens import create_token
from tests.api.conftest import Caller
from tests.api.test_bad_input import check_problem
from tests.folders import contents


@pytest.fixture
def project(alice: Caller) -> int:
    """A project of Alice's with one task."""
    project_id: int = alice.post("projects/", {"name": "X-rays"}).json()["id"]
    alice.post("tasks/", {"title": "Label", "project_id": project_id})
    alice.post("tasks/", {"title": "Her own"})
    return project_id


@pytest.fixture
def there(alice: Caller, charlie: Caller, project: int) -> str:
    """Where Charlie, an editor, finds what is Alice's."""
    join(alice, charlie, project, "editor")
    return f"users/{alice.id}"


def join(alice: Caller, other: Caller, project: int, role: str) -> None:
    invited = {"who": other.user.username, "role": role}
    assert alice.post(f"projects/{project}/members/", invited).status_code == 201
    invitation = other.get("shared/").json()["shared"][-1]
    accepted = other.patch(f"shared/{invitation['id']}/", {"status": "member"})
    assert accepted.status_code == 200, accepted.content


def test_it_works(alice: Caller, charlie: Caller, project: int) -> None:
    invited = {"who": "charlie", "role": "editor"}
    entry = alice.post(f"projects/{project}/members/", invited)
    assert entry.status_code == 201
    assert entry["Location"] == f"/accounts/api/projects/{project}/members/{charlie.id}/"
    assert entry.json()["status"] == "invited"
    there = f"users/{alice.id}"
    assert charlie.get(f"{there}/projects/{project}/").status_code == 404

    (invitation,) = charlie.get("shared/").json()["shared"]
    assert invitation["project_name"] == "X-rays"
    accepted = charlie.patch(f"shared/{invitation['id']}/", {"status": "member"})
    assert accepted.json()["status"] == "member"

    tasks = charlie.get(f"{there}/tasks/").json()["tasks"]
    assert [task["title"] for task in tasks] == ["Label"]
    changed = charlie.patch(f"{there}/tasks/1/", {"status": "review", "assignee": charlie.id})
    assert changed.status_code == 200
    added = charlie.post(f"{there}/tasks/", {"title": "Train", "project_id": project})
    assert added.status_code == 201
    assert added["Location"] == f"/accounts/api/{there}/tasks/3/"
    assert added.json()["user_id"] == alice.id
    assert alice.get("tasks/3/").json() == added.json()
    assert alice.get("tasks/1/").json()["assignee"] == charlie.id


def test_the_caller_pays_and_not_the_owner(alice: Caller, charlie: Caller, there: str) -> None:
    before = alice.document["api_calls_used"], charlie.document["api_calls_used"]

    charlie.get(f"{there}/tasks/")
    charlie.patch(f"{there}/tasks/1/", {"status": "review"})

    assert alice.document["api_calls_used"] == before[0]
    assert charlie.document["api_calls_used"] == before[1] + 2


def test_lists_and_records_of_others_have_tags_too(
    alice: Caller, charlie: Caller, there: str
) -> None:
    for path in (f"{there}/tasks/1/", f"{there}/tasks/", f"{there}/projects/"):
        known = {"if-none-match": charlie.get(path)["ETag"]}
        assert charlie.get(path, headers=known).status_code == 304, path
    tag = charlie.get(f"{there}/tasks/1/")["ETag"]
    assert tag == alice.get("tasks/1/")["ETag"]
    alice.patch("tasks/1/", {"title": "Label all"})
    stale = charlie.call("PATCH", f"{there}/tasks/1/", {"title": "L"}, headers={"if-match": tag})
    assert check_problem(stale, 412)["current"]["title"] == "Label all"


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        ("POST", "tasks/", {"title": "B", "project_id": 1}),
        ("PUT", "tasks/1/", {"title": "B", "project_id": 1}),
        ("PATCH", "tasks/1/", {"title": "B"}),
        ("DELETE", "tasks/1/", {}),
        ("PATCH", "projects/1/", {"name": "B"}),
        ("DELETE", "projects/1/", {}),
        ("POST", "projects/1/members/", {"who": "alice", "role": "viewer"}),
        ("PATCH", "projects/1/members/1/", {"role": "editor"}),
        ("POST", "projects/1/transfer/", {"to": 1}),
    ],
)
def test_a_viewer_reads_and_does_no_more(
    alice: Caller,
    charlie: Caller,
    project: int,
    data_folder: Path,
    method: str,
    path: str,
    data: Any,
) -> None:
    join(alice, charlie, project, "viewer")
    assert charlie.get(f"users/{alice.id}/tasks/1/").status_code == 200
    before = contents(data_folder)

    answer = charlie.call(method, f"users/{alice.id}/{path}", data)

    assert check_problem(answer, 403)["type"] == "/problems/forbidden"
    assert contents(data_folder) == before


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "tasks/",
        "tasks/1/",
        "projects/",
        "projects/1/",
        "projects/1/members/",
        "projects/1/members/1/",
        "projects/1/transfer/",
    ],
)
def test_a_stranger_cannot_tell_what_there_is(
    alice: Caller, charlie: Caller, project: int, method: str, path: str
) -> None:
    bodies = {
        "members/": {"who": "alice", "role": "viewer"},
        "transfer/": {"to": 1},
        "/1/members/1/": {"role": "viewer"},
    }
    body = next((bodies[end] for end in bodies if path.endswith(end)), {"title": "B", "name": "B"})

    told = []
    for owner in (alice.id, 999_999):
        answer = charlie.call(method, f"users/{owner}/{path}", body)
        told.append(
            (answer.status_code, {**answer.json(), "instance": ""} if answer.content else 0)
        )

    assert told[0] == told[1] or told[0][0] == 405
    assert told[0][0] in {404, 405, 422}
    assert told[0][0] != 422 or "name" in str(told[0][1])  # of the body, which is judged first


def test_models_are_shared_with_nobody(alice: Caller, charlie: Caller, there: str) -> None:
    alice.post("models/", {"name": "net"})

    assert (
        check_problem(charlie.get(f"{there}/models/"), 404)["type"] == "/problems/no-such-address"
    )


def test_a_member_leaves_or_is_removed(alice: Caller, charlie: Caller, project: int) -> None:
    members = f"projects/{project}/members/"
    join(alice, charlie, project, "viewer")
    assert [entry["username"] for entry in alice.get(members).json()["members"]] == ["charlie"]
    assert charlie.delete(f"users/{alice.id}/{members}{charlie.id}/").status_code == 204
    assert charlie.get(f"users/{alice.id}/projects/{project}/").status_code == 404
    assert alice.get(members).json() == {"members": [], "total": 0}

    join(alice, charlie, project, "viewer")
    changed = alice.patch(f"{members}{charlie.id}/", {"role": "editor"})
    assert changed.json()["role"] == "editor"
    assert alice.delete(f"{members}{charlie.id}/").status_code == 204
    assert charlie.get("shared/").json() == {"shared": [], "total": 0}
    assert alice.delete(f"{members}{charlie.id}/").status_code == 404


def test_former_member_repeating_a_call_hears_the_earlier_answer_and_nothing_since(
    alice: Caller, charlie: Caller, project: int, there: str
) -> None:
    key = {"idempotency-key": "k"}
    call = (f"{there}/tasks/", {"title": "Train", "project_id": project})
    first = charlie.call("POST", *call, headers=key)
    assert first.status_code == 201
    number = first.json()["id"]
    alice.delete(f"projects/{project}/members/{charlie.id}/")
    alice.patch(f"tasks/{number}/", {"title": "Secret since"})
    total = alice.get("tasks/").json()["total"]

    again = charlie.call("POST", *call, headers=key)
    assert again.content == first.content
    assert again["Idempotency-Replayed"] == "true"
    assert charlie.post(*call).status_code == 404
    assert charlie.get(f"{there}/tasks/{number}/").status_code == 404
    assert alice.get("tasks/").json()["total"] == total


def test_an_invitation_is_declined(alice: Caller, charlie: Caller, project: int) -> None:
    alice.post(f"projects/{project}/members/", {"who": "charlie", "role": "viewer"})
    (invitation,) = charlie.get("shared/").json()["shared"]
    place = f"shared/{invitation['id']}/"
    assert charlie.get(place).json() == invitation
    check_problem(alice.get(place), 404)

    assert charlie.delete(place).status_code == 204
    assert alice.get(f"projects/{project}/members/").json()["members"] == []


def test_address_is_invited_and_answers(
    alice: Caller, charlie: Caller, project: int, sends_mail: None
) -> None:
    members = f"projects/{project}/members/"
    entries = []
    for who in ("charlie@example.com", "nobody@example.com"):
        answer = alice.post(members, {"who": who, "role": "editor"})
        entries.append(answer.json())
        number = answer.json()["invitation"]
        place = f"projects/{project}/invitations/{number}/"
        assert (answer.status_code, answer["Location"]) == (201, f"/accounts/api/{place}")
    assert entries[0].keys() == entries[1].keys() and "user_id" not in entries[0]
    assert alice.get(members).json() == {"members": entries, "total": 2}
    assert alice.delete(place).status_code == 204
    check_problem(alice.delete(place), 404)
    assert charlie.get("shared/").json()["total"] == 0
    (invitation,) = charlie.get("invitations/").json()["invitations"]
    assert (invitation["owner_name"], invitation["role"]) == ("alice", "editor")
    mine = f"invitations/{invitation['id']}/"
    check_problem(alice.patch(mine, {"status": "member"}), 404)
    check_problem(charlie.patch(mine, {"status": "viewer"}), 422)
    joined = charlie.patch(mine, {"status": "member"})
    assert charlie.client.get(joined["Content-Location"]).json() == joined.json()
    assert [one["user_id"] for one in alice.get(members).json()["members"]] == [charlie.id]
    check_problem(charlie.delete(mine), 404)


def test_invitations_are_declined_all_at_once_and_an_inviter_is_blocked(
    alice: Caller, bob: User, sends_mail: None
) -> None:
    bobs = Caller(bob)
    projects = [alice.post("projects/", {"name": str(n)}).json()["id"] for n in range(3)]
    for project, who in zip(projects, ("bob", "bob@example.com", "bob"), strict=True):
        asked = {"who": who, "role": "viewer"}
        assert alice.post(f"projects/{project}/members/", asked).status_code == 201
    used = bobs.get("quota/").json()["used"]
    assert bobs.delete("invitations/").json() == {"declined": 3}
    assert bobs.get("quota/").json()["used"] == used + 1
    assert bobs.get("shared/").json()["total"] == bobs.get("invitations/").json()["total"] == 0
    there = f"blocked-inviters/{alice.id}/"
    put = partial(bobs.client.put, f"/accounts/api/{there}")
    assert put().status_code == 404  # no invitation is open
    invite = partial(alice.post, f"projects/{projects[0]}/members/", asked)
    assert invite().status_code == 201
    assert [put().json() for _ in range(2)] == [{"declined": 1}, {"declined": 0}]
    blocked = {"blocked": [{"user_id": alice.id, "username": "alice"}], "total": 1}
    assert bobs.get("blocked-inviters/").json() == blocked
    assert invite().status_code == 422
    assert bobs.delete(there).status_code == 204
    assert invite().status_code == 201


def test_refused_invitations_take_from_the_burst(
    alice: Caller, project: int, sends_mail: None, settings: Settings
) -> None:
    settings.NEURALFLOW_BURST = (5, 60)
    sent = {"who": "no@address", "role": "viewer"}
    answers = [alice.post(f"projects/{project}/members/", sent).status_code for _ in range(9)]
    assert 422 in answers and answers[-1] == 429


def offered(alice: Caller, charlie: Caller, project: int) -> str:
    """Offer the project to charlie; return the address where it is answered."""
    join(alice, charlie, project, "viewer")
    entry = alice.post(f"projects/{project}/transfer/", {"to": charlie.id})
    assert entry.status_code == 200 and entry.json()["offered_at"]
    (record,) = charlie.get("shared/").json()["shared"]
    assert record["offered_at"] == entry.json()["offered_at"]
    return f"shared/{record['id']}/ownership/"


def test_project_is_taken_over_once_its_new_owner_accepts(
    alice: Caller, charlie: Caller, project: int
) -> None:
    place = offered(alice, charlie, project)
    assert alice.get(f"projects/{project}/").status_code == 200
    check_problem(alice.post(place, {}), 404)
    check_problem(charlie.post(place, {"former_owner": "owner"}), 422)
    headers = {"idempotency-key": "k"}
    answers = [charlie.call("POST", place, {}, headers=headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    moved = answers[0].json()
    assert moved == answers[1].json()
    assert moved["user_id"] == charlie.id
    assert charlie.client.get(answers[0]["Content-Location"]).json() == moved
    assert alice.get(f"projects/{project}/").status_code == 404
    assert [task["title"] for task in charlie.get("tasks/").json()["tasks"]] == ["Label"]
    theirs = f"users/{charlie.id}/projects/{moved['id']}/"
    assert alice.get(theirs).json() == moved
    check_problem(alice.patch(theirs, {"name": "x"}), 403)


def test_offer_of_a_project_is_withdrawn_and_refused(
    alice: Caller, charlie: Caller, project: int
) -> None:
    place = offered(alice, charlie, project)
    check_problem(charlie.delete(f"users/{alice.id}/projects/{project}/transfer/"), 403)
    assert alice.delete(f"projects/{project}/transfer/").status_code == 204
    check_problem(alice.delete(f"projects/{project}/transfer/"), 404)
    check_problem(charlie.post(place, {}), 404)
    alice.post(f"projects/{project}/transfer/", {"to": charlie.id})
    assert charlie.delete(place).status_code == 204
    check_problem(charlie.post(place, {}), 404)
    assert charlie.get("shared/").json()["shared"][0]["status"] == "member"


def test_token_for_projects_takes_no_tasks_over(
    alice: Caller, charlie: Caller, project: int
) -> None:
    place = offered(alice, charlie, project)
    narrow = create_token(charlie.user, scopes=["projects:write", "tasks:read"])[1]
    client = Client(headers={"Authorization": f"Bearer {narrow}"})
    for method in ("post", "delete"):
        answer = getattr(client, method)(f"/accounts/api/{place}", "{}", "application/json")
        assert check_problem(answer, 403)["type"] == "/problems/insufficient-scope"
    assert alice.get(f"projects/{project}/").status_code == 200


def test_token_for_projects_gives_no_tasks_to_others(
    alice: Caller, charlie: Caller, project: int
) -> None:
    offered(alice, charlie, project)
    before = alice.get(f"projects/{project}/members/").json()
    narrow = create_token(alice.user, scopes=["projects:write"])[1]
    client = Client(headers={"Authorization": f"Bearer {narrow}"})
    place = f"/accounts/api/projects/{project}"
    for method, path, body in (
        ("post", "members/", {"who": "charlie", "role": "viewer"}),
        ("patch", f"members/{charlie.id}/", {"role": "viewer"}),
        ("post", "transfer/", {"to": charlie.id}),
    ):
        answer = getattr(client, method)(f"{place}/{path}", json.dumps(body), "application/json")
        assert check_problem(answer, 403)["type"] == "/problems/insufficient-scope"
    assert alice.get(f"projects/{project}/members/").json() == before


@pytest.mark.parametrize(
    ("path", "data", "pointers"),
    [
        ("members/", [], [""]),
        ("members/", {}, ["/role", "/who"]),
        ("members/", {"who": 7, "role": None}, ["/role", "/who"]),
        ("members/", {"who": "charlie", "role": "editor", "status": "member"}, ["/status"]),
        ("members/", {"who": "charlie", "role": "owner"}, ["/role"]),
        ("members/", {"who": "nobody", "role": "editor"}, ["/who"]),
        ("members/", {"who": "alice", "role": "editor"}, ["/who"]),
        ("transfer/", {"to": True}, ["/to"]),
        ("transfer/", {"to": "9"}, ["/to"]),
        ("transfer/", {"to": 999_999}, ["/to"]),
    ],
)
def test_sharing_invalid_request_reports_pointers(
    alice: Caller,
    charlie: Caller,
    project: int,
    data_folder: Path,
    path: str,
    data: Any,
    pointers: list[str],
) -> None:
    before = contents(data_folder)

    problem = check_problem(alice.post(f"projects/{project}/{path}", data), 422)

    assert sorted(error["pointer"] for error in problem["errors"]) == pointers
    assert contents(data_folder) == before


def test_nobody_writes_themself_into_a_project(alice: Caller, charlie: Caller, there: str) -> None:
    project = charlie.get(f"{there}/projects/1/").json()
    (entry,) = project["team_members"]

    for members in ([], [{**entry, "role": "viewer"}], [entry, {**entry, "user_id": 5}]):
        answer = charlie.patch(f"{there}/projects/1/", {"team_members": members})
        problem = check_problem(answer, 422)
        assert [error["pointer"] for error in problem["errors"]] == ["/team_members"]
    kept = charlie.patch(f"{there}/projects/1/", {"team_members": [entry, "Dora"]})
    assert kept.status_code == 200
