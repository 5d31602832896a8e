"""What Alice shares, on pages: Bob edits, Carol reads, Charlie finds nothing."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.conftest import PASSWORD
from tests.web.pages import text_of, version_in, write_document
from utils.json_storage import json_storage
from workspace.membership.members import Memberships

_MEMBERSHIPS = Memberships(json_storage)


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def carol(db: None) -> User:
    carol = User.objects.create_user("carol", "carol@example.com", PASSWORD)
    json_storage.save_user_data(carol)
    return carol


@pytest.fixture
def project(alice: User, bob: User, carol: User) -> int:
    """Alice's project, with Bob as editor and Carol as viewer."""
    project = int(json_storage.create("projects", alice.pk, {"name": "X-rays"})["id"])
    for person, role in ((bob, "editor"), (carol, "viewer")):
        _MEMBERSHIPS.invite(alice.pk, project, person.username, role)
        (invitation,) = json_storage.list("shared", person.pk)
        _MEMBERSHIPS.accept(person.pk, invitation["id"])
    return project


@pytest.fixture
def private(alice: User) -> int:
    """A project of Alice's that she shares with nobody."""
    return int(json_storage.create("projects", alice.pk, {"name": "Diary"})["id"])


@pytest.fixture
def task(alice: User, project: int, private: int) -> int:
    json_storage.create("tasks", alice.pk, {"title": "Dear diary", "project_id": private})
    data = {"title": "Train", "project_id": project}
    return int(json_storage.create("tasks", alice.pk, data)["id"])


def typed(**values: Any) -> dict[str, Any]:
    return {"title": "Train", "priority": "medium", "status": "pending"} | values


def tasks_of(person: User) -> dict[str, dict[str, Any]]:
    return {task["title"]: task for task in json_storage.list("tasks", person.pk)}


def edited(client: Client, address: str, **values: Any) -> Any:
    page = client.get(address)
    form = page.context["form"]
    held = {bound.name: bound.value() for bound in form}
    hidden = {bound.html_initial_name: bound.value() for bound in form}
    return client.post(address, held | hidden | values | {"version": version_in(page)})


# The editor


def test_an_editor_finds_what_is_shared_and_nothing_else(
    alice: User, bob: User, project: int, task: int
) -> None:
    client = signed_in(bob)
    projects = client.get(f"/shared/{alice.pk}/projects/")
    assert "X-rays" in text_of(projects)
    assert "Diary" not in text_of(projects)
    tasks = client.get(f"/shared/{alice.pk}/tasks/?project={project}")
    assert "Shared by alice" in text_of(tasks)
    assert "In the project X-rays." in text_of(tasks)
    assert "Dear diary" not in text_of(tasks)
    assert 'href="/shared/"' in tasks.content.decode().partition("<main")[2]
    assert f'href="/shared/{alice.pk}/projects/"' in tasks.content.decode()
    assert f'href="/shared/{alice.pk}/tasks/new/?project={project}"' in tasks.content.decode()
    assert f'href="/shared/{alice.pk}/tasks/{task}/edit/?next=' in tasks.content.decode()
    main = projects.content.decode().partition("<main")[2].partition("</main>")[0]
    assert "/projects/new/" not in main
    assert "/delete/" not in projects.content.decode()


def test_an_editor_adds_changes_completes_and_deletes_a_task(
    alice: User, bob: User, project: int
) -> None:
    client, there = signed_in(bob), f"/shared/{alice.pk}/tasks/"
    page = client.get(f"{there}new/")
    assert page.context["form"]["project_id"].value() == str(project)
    answer = client.post(f"{there}new/", typed(project_id=project, assignee=bob.pk))
    assert (answer.status_code, answer["Location"]) == (302, there)
    added = tasks_of(alice)["Train"]
    assert (added["user_id"], added["assignee"]) == (alice.pk, bob.pk)
    assert json_storage.list("tasks", bob.pk) == []

    address = f"{there}{added['id']}/"
    assert edited(client, f"{address}edit/", title="Train twice")["Location"] == there
    client.post(f"{address}complete/", {"next": there})
    assert tasks_of(alice)["Train twice"]["status"] == "completed"

    question = client.get(f"{address}delete/")
    assert "It is removed from alice's file." in text_of(question)
    client.post(f"{address}delete/", {"version": version_in(question)})
    assert tasks_of(alice) == {}
    assert json_storage.activities(bob.pk, 1)[0]["type"] == "task_deleted"


def test_an_editor_changes_the_project_and_does_not_delete_it(
    alice: User, bob: User, project: int
) -> None:
    client, address = signed_in(bob), f"/shared/{alice.pk}/projects/{project}/edit/"
    assert "/delete/" not in client.get(address).content.decode()
    edited(client, address, name="X-rays of lungs")
    assert json_storage.get("projects", alice.pk, project)["name"] == "X-rays of lungs"
    assert client.get(f"/shared/{alice.pk}/projects/{project}/delete/").status_code == 404


def test_shared_edit_of_stale_version_responds_409(alice: User, bob: User, task: int) -> None:
    client, address = signed_in(bob), f"/shared/{alice.pk}/tasks/{task}/edit/"
    before = version_in(client.get(address))
    json_storage.update("tasks", alice.pk, task, {"title": "Hers"})
    page = client.post(address, typed(title="His", version=before))
    assert page.status_code == 409
    assert "Hers" in text_of(page)
    assert "Dear diary" in tasks_of(alice)
    assert "Hers" in tasks_of(alice)


@pytest.mark.parametrize("forged", ["private", "missing", "none"])
def test_a_task_stays_in_what_is_shared(
    alice: User, bob: User, task: int, private: int, forged: str
) -> None:
    client, there = signed_in(bob), f"/shared/{alice.pk}/tasks/"
    chosen = {"private": str(private), "missing": "999", "none": ""}[forged]
    refused = 403 if forged == "none" else 422
    before = tasks_of(alice)
    assert client.post(f"{there}new/", typed(project_id=chosen)).status_code == refused
    assert edited(client, f"{there}{task}/edit/", project_id=chosen).status_code == refused
    assert tasks_of(alice) == before
    assert "Diary" not in client.get(f"{there}{task}/edit/").content.decode()


# The viewer


def test_a_viewer_reads_and_finds_nothing_to_press(
    alice: User, carol: User, project: int, task: int
) -> None:
    client, there = signed_in(carol), f"/shared/{alice.pk}/tasks/"
    json_storage.update("tasks", alice.pk, task, {"description": "Small and honest"})
    page = client.get(there)
    assert "Train" in text_of(page)
    assert "read-only" in text_of(page)
    record = client.get(f"{there}{task}/edit/")
    assert "Small and honest" in text_of(record)
    assert "X-rays" in text_of(record)
    for shown in (page, record, client.get(f"/shared/{alice.pk}/projects/{project}/edit/")):
        main = shown.content.decode().partition("<main")[2].partition("</main>")[0]
        assert not re.search(r'method="post"|/delete/|/new/|/complete/', main)


def test_a_viewer_is_refused_every_change(alice: User, carol: User, task: int) -> None:
    client, there = signed_in(carol), f"/shared/{alice.pk}/tasks/"
    moment = json_storage.store.backend.sequence()
    project = json_storage.get("tasks", alice.pk, task)["project_id"]
    answers = [
        client.get(f"{there}new/"),
        client.post(f"{there}new/", typed(project_id=project)),
        client.post(f"{there}{task}/edit/", typed(project_id=project)),
        client.get(f"{there}{task}/delete/"),
        client.post(f"{there}{task}/delete/", {"version": ""}),
        client.post(f"{there}{task}/complete/"),
        client.post(f"/shared/{alice.pk}/projects/{project}/edit/", {"name": "Mine"}),
    ]
    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert all("shared with you as read-only" in text_of(answer) for answer in answers)
    assert not json_storage.store.entries(moment).told


# The stranger


@pytest.mark.parametrize("path", ["tasks/", "projects/", "tasks/new/", "tasks/{task}/edit/"])
def test_a_stranger_finds_what_is_not_there(
    alice: User, charlie: User, task: int, path: str
) -> None:
    client = signed_in(charlie)
    hidden = client.get(f"/shared/{alice.pk}/{path.format(task=task)}")
    missing = client.get(f"/shared/999/{path.format(task=999)}")
    assert (hidden.status_code, missing.status_code) == (404, 404)
    assert text_of(hidden) == text_of(missing)


def test_pending_invitation_gives_no_access(alice: User, charlie: User, project: int) -> None:
    _MEMBERSHIPS.invite(alice.pk, project, charlie.username, "editor")
    assert signed_in(charlie).get(f"/shared/{alice.pk}/tasks/").status_code == 404


# Assignees


def test_a_task_is_given_to_a_member_of_its_project(
    alice: User, bob: User, carol: User, charlie: User, task: int
) -> None:
    client, address = signed_in(alice), f"/tasks/{task}/edit/"
    choices = client.get(address).context["form"].fields["assignee"].widget.choices
    assert [str(name) for _, name in choices] == ["nobody", "alice", "bob", "carol"]
    assert edited(client, address, assignee=carol.pk).status_code == 302
    assert tasks_of(alice)["Train"]["assignee"] == carol.pk
    assert "Assigned to carol" in text_of(client.get("/tasks/"))
    refused = edited(client, address, assignee=charlie.pk)
    assert refused.status_code == 422
    assert tasks_of(alice)["Train"]["assignee"] == carol.pk


def test_a_task_of_no_project_is_ones_own(alice: User, bob: User, project: int) -> None:
    client = signed_in(alice)
    choices = client.get("/tasks/new/").context["form"].fields["assignee"].widget.choices
    assert [str(name) for _, name in choices] == ["nobody", "alice"]
    assert client.post("/tasks/new/", typed(assignee=bob.pk)).status_code == 422
    assert client.post("/tasks/new/", typed(assignee=alice.pk)).status_code == 302
    assert "Assigned to alice" in text_of(client.get("/tasks/"))


def test_a_refused_form_offers_the_members_of_the_project_that_was_chosen(
    alice: User, bob: User, charlie: User, project: int
) -> None:
    sent = typed(project_id=project, assignee=charlie.pk)
    page = signed_in(alice).post("/tasks/new/", sent)
    choices = page.context["form"].fields["assignee"].widget.choices
    assert "bob" in [str(name) for _, name in choices]


# One's own


def test_ones_own_tasks_are_narrowed_to_a_project(alice: User, task: int, private: int) -> None:
    client = signed_in(alice)
    page = client.get(f"/tasks/?project={private}")
    assert "Dear diary" in text_of(page)
    assert "Train" not in text_of(page)
    assert f'href="/tasks/new/?project={private}"' in page.content.decode()
    for unknown in ("999", "x", "", "9" * 5000, "²"):
        assert "Train" in text_of(client.get("/tasks/", {"project": unknown}))


def test_projects_tell_how_many_share_them(
    alice: User, charlie: User, project: int, private: int
) -> None:
    _MEMBERSHIPS.invite(alice.pk, project, charlie.username, "viewer")  # does not share it yet
    assert text_of(signed_in(alice).get("/projects/")).count("shared with") == 1
    assert "shared with 2 people" in text_of(signed_in(alice).get("/projects/"))


def test_ones_own_are_where_one_looks_for_them(alice: User, task: int) -> None:
    page = signed_in(alice).get(f"/shared/{alice.pk}/tasks/")
    assert "Dear diary" in text_of(page)
    assert f'href="/tasks/{task}/edit/?next=' in page.content.decode()


# What others gave one to do


def give(owner: User, project: int, person: User, title: str, **values: Any) -> int:
    data = {"title": title, "project_id": project, "assignee": person.pk} | values
    return int(json_storage.create("tasks", owner.pk, data)["id"])


@pytest.mark.parametrize("address", ["/dashboard/", "/tasks/agenda/"])
def test_assigned_task_is_shown_to_assignee(
    alice: User, bob: User, project: int, address: str
) -> None:
    late = give(alice, project, bob, "Label the scans", due_date="2024-03-01")
    give(alice, project, bob, "Some day")
    give(alice, project, bob, "Long done", status="completed")
    give(alice, project, alice, "Her own")
    browser = signed_in(bob)
    page = browser.get(address)
    words = text_of(page)
    assert "Assigned to you" in words
    assert "X-rays, by alice" in words
    assert words.index("Label the scans") < words.index("Some day")
    assert "Long done" not in words
    assert "Her own" not in words
    assert f"/shared/{alice.pk}/tasks/{late}/edit/" in page.content.decode()

    browser.post(f"/shared/{alice.pk}/tasks/{late}/complete/", {"next": address})
    assert f"/tasks/{late}/edit/" not in browser.get(address).content.decode()
    assert tasks_of(alice)["Label the scans"]["status"] == "completed"


@pytest.mark.parametrize("address", ["/dashboard/", "/tasks/agenda/"])
def test_a_viewer_sees_what_they_are_to_do_and_has_nothing_to_tick(
    alice: User, carol: User, project: int, address: str
) -> None:
    task = give(alice, project, carol, "Read the report")
    page = signed_in(carol).get(address)
    assert "Read the report" in text_of(page)
    assert f"/tasks/{task}/complete/" not in page.content.decode()


@pytest.mark.parametrize("address", ["/dashboard/", "/tasks/agenda/"])
def test_removed_member_sees_no_assigned_tasks(
    alice: User, bob: User, project: int, address: str
) -> None:
    give(alice, project, bob, "Label the scans")
    _MEMBERSHIPS.remove(alice.pk, project, bob.pk)
    assert "Assigned to you" not in text_of(signed_in(bob).get(address))


@pytest.mark.parametrize("address", ["/dashboard/", "/tasks/agenda/"])
def test_a_file_of_another_that_cannot_be_read_is_told_of(
    alice: User, bob: User, project: int, address: str, data_folder: Path
) -> None:
    give(alice, project, bob, "Label the scans")
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", "{")
    page = signed_in(bob).get(address)
    assert page.status_code == 200
    assert "Some items shared with you cannot be read right now." in text_of(page)


def test_many_that_others_gave_one_are_shown_in_steps(alice: User, bob: User, project: int) -> None:
    for number in range(25):
        give(alice, project, bob, f"Scan {number}")
    browser = signed_in(bob)
    assert "19 more" in text_of(browser.get("/dashboard/"))
    assert "Show 5 more" in text_of(browser.get("/tasks/agenda/"))
    assert "Scan 24" in text_of(browser.get("/tasks/agenda/?assigned=40"))
