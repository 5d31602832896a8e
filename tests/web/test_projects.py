"""The page of a project, one's own and another's; and models that belong to one."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.folders import exact
from tests.web.pages import OLD_PROJECTS, OLD_TASKS, text_of, write_document
from utils.json_storage import json_storage
from web.progress import progress_of
from workspace.actor import Actor
from workspace.membership.members import Memberships


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def made(user: User, collection: str, **record: Any) -> int:
    return int(json_storage.create(collection, user.pk, record)["id"])


def share(alice: User, project: int, bob: User, role: str) -> None:
    memberships = Memberships(json_storage)
    memberships.invite(alice.pk, project, bob.username, role)
    memberships.accept(bob.pk, json_storage.list("shared", bob.pk)[-1]["id"])


def test_a_page_shows_all_that_belongs_to_a_project(browser: Client, alice: User) -> None:
    project = made(alice, "projects", name="X-rays", description="Read them.", budget=12)
    made(alice, "projects", name="Other")
    for title, status in (("Train", "in_progress"), ("Read", "completed"), ("Ask", "pending")):
        made(alice, "tasks", title=title, status=status, project_id=project, due_date="2024-03-01")
    made(alice, "tasks", title="Elsewhere", project_id=2)
    made(alice, "models", name="resnet", project_id=project, status="active")
    made(alice, "models", name="alone")
    page = browser.get(f"/projects/{project}/")
    words = text_of(page)
    for text in (
        "Read them.",
        "1 of 3 tasks done, 33 per cent",
        "Completed 1 In review 0 In progress 1 Pending 1 Overdue 2",
        "Members Share",
        "alice (you) Owner",
        "resnet Classification Active",
        "Budget 12",
    ):
        assert text in words, text
    assert "Elsewhere" not in words and "alone" not in words
    assert words.index("In progress 1 Complete Train") < words.index("Pending 1 Complete Ask")
    body = page.content.decode()
    assert 'action="/tasks/1/complete/"' in body and f"?project={project}" in body


def test_team_members_that_were_typed_are_shown_with_their_project(
    browser: Client, alice: User, bob: User
) -> None:
    form = {"name": "X-rays", "status": "active", "priority": "low"}
    browser.post("/projects/new/", form | {"team_members": 'Dora, "Grace, Lab", Dora'})
    json_storage.update(
        "projects",
        alice.pk,
        1,
        lambda before: {
            "team_members": [*before["team_members"], 7, {"name": "Zoe"}, {"role": "none"}]
        },
    )
    share(alice, 1, bob, "viewer")
    told = "Also on the team (name only): Dora , Grace, Lab , #7 , Zoe"
    for address in ("/projects/1/", "/projects/1/members/"):
        words = text_of(browser.get(address))
        assert told in words
        assert "bob" in words.partition(told)[0]
    browser.force_login(bob)
    assert told in text_of(browser.get(f"/shared/{alice.pk}/projects/1/"))


def test_a_list_of_one_status_is_cut_and_leads_on(browser: Client, alice: User) -> None:
    project = made(alice, "projects", name="X-rays")
    for number in range(9):
        made(alice, "tasks", title=f"Step {number}", project_id=project)
    page = browser.get(f"/projects/{project}/")
    assert "3 more" in text_of(page)
    assert f'/tasks/?project={project}&amp;status=pending"' in page.content.decode()


def test_a_tick_comes_back_to_the_project(browser: Client, alice: User) -> None:
    project = made(alice, "projects", name="X-rays")
    task = made(alice, "tasks", title="Train", project_id=project)
    here = f"/projects/{project}/"
    answer = browser.post(f"/tasks/{task}/complete/", {"next": here}, follow=True)
    assert answer.redirect_chain == [(here, 302)]
    assert "1 of 1 tasks done" in text_of(answer)
    assert "Completed a task: Train" in text_of(answer)


def test_an_empty_project_says_what_to_do(browser: Client, alice: User) -> None:
    project = made(alice, "projects", name="X-rays")
    words = text_of(browser.get(f"/projects/{project}/"))
    assert "No tasks yet." in words and "This project has no models yet." in words


@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("editor", True)])
def test_shared_project_page_depends_on_role(
    client: Client, alice: User, bob: User, role: str, may: bool
) -> None:
    project, hidden = made(alice, "projects", name="X-rays"), made(alice, "projects", name="Mine")
    made(alice, "tasks", title="Not for bob", project_id=hidden)
    task = made(alice, "tasks", title="Train", project_id=project)
    made(alice, "models", name="secret", project_id=project)
    share(alice, project, bob, role)
    client.force_login(bob)
    here = f"/shared/{alice.pk}/projects/{project}/"
    page = client.get(here)
    words, body = text_of(page), page.content.decode()
    assert "Shared by alice" in words and "Train" in words and "bob (you)" in words
    assert "secret" not in words and "Latest changes" not in words
    assert (f"/shared/{alice.pk}/tasks/{task}/complete/" in body) is may
    assert (f"/shared/{alice.pk}/tasks/new/?project={project}" in body) is may
    assert f"/shared/{alice.pk}/tasks/{task}/edit/" in body and "Not for bob" not in words
    assert client.get(f"/shared/{alice.pk}/projects/{hidden}/").status_code == 404
    assert client.get(f"/projects/{project}/").status_code == 404
    assert here in client.get("/shared/").content.decode()
    assert here in client.get(f"{here}members/").content.decode()


def test_old_records_are_shown(browser: Client, alice: User, data_folder: Any) -> None:
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", OLD_TASKS)
    write_document(data_folder, f"projects/projects_{alice.pk}.json", OLD_PROJECTS)
    assert "No tasks yet." in text_of(browser.get("/projects/5/"))


def test_project_page_unreadable_document_costs_its_panel(
    browser: Client, alice: User, data_folder: Any
) -> None:
    project = made(alice, "projects", name="X-rays")
    made(alice, "models", name="resnet", project_id=project)
    json_storage.close()
    exact(data_folder / f"tasks/tasks_{alice.pk}.json").write_text('{"tasks": [,]}')
    words = text_of(browser.get(f"/projects/{project}/"))
    assert "cannot be read" in words and "resnet" in words


def test_a_model_gets_its_project_in_the_form(browser: Client, alice: User) -> None:
    project = made(alice, "projects", name="X-rays")
    form = browser.get(f"/models/new/?project={project}").context["form"]
    assert form["project_id"].initial == str(project)
    typed = {"name": "vit", "status": "draft", "model_type": "nlp", "project_id": str(project)}
    answer = browser.post(f"/models/new/?project={project}", typed)
    assert answer["Location"] == f"/projects/{project}/"
    assert json_storage.get("models", alice.pk, 1)["project_id"] == project
    refused = browser.post("/models/new/", typed | {"project_id": "99"})
    assert refused.status_code == 422


def test_a_project_that_goes_is_let_go_by_its_models(alice: User, bob: User) -> None:
    project = made(alice, "projects", name="X-rays")
    model = made(alice, "models", name="vit", project_id=project)
    json_storage.delete("projects", alice.pk, project)
    assert json_storage.get("models", alice.pk, model)["project_id"] is None
    project = made(alice, "projects", name="X-rays")
    json_storage.update("models", alice.pk, model, {"project_id": project})
    share(alice, project, bob, "editor")
    memberships = Memberships(json_storage)
    memberships.offer(alice.pk, project, bob.pk, caller=Actor(alice.pk))
    memberships.take_over(bob.pk, json_storage.list("shared", bob.pk)[-1]["id"])
    assert json_storage.get("models", alice.pk, model)["project_id"] is None


def test_project_is_handed_over_without_tasks_that_have_no_valid_id(
    alice: User, bob: User, data_folder: Path
) -> None:
    project = made(alice, "projects", name="X-rays")
    odd = [{"title": "Odd", "project_id": project} | more for more in ({"id": "x"}, {"id": [1]})]
    tasks = {"tasks": [*odd, {"title": "Read", "id": 5, "project_id": project}]}
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", tasks)
    share(alice, project, bob, "editor")
    memberships = Memberships(json_storage)
    memberships.offer(alice.pk, project, bob.pk, caller=Actor(alice.pk))
    memberships.take_over(bob.pk, json_storage.list("shared", bob.pk)[-1]["id"])
    assert [task["title"] for task in json_storage.list("tasks", bob.pk)] == ["Read"]
    assert [task["title"] for task in json_storage.list("tasks", alice.pk)] == ["Odd", "Odd"]


def test_progress_has_its_parts_side_by_side() -> None:
    tasks = [{"status": "completed"}, {"status": "completed"}, {"status": "stuck"}, {}]
    progress = progress_of(tasks, datetime.now(UTC))
    assert (progress.done, progress.total, progress.share, progress.open) == (2, 4, 50, 2)
    shown = [(part.status, part.start, part.width) for part in progress.parts if part.count]
    assert shown == [("completed", 0, 50), ("pending", 50, 25), ("stuck", 75, 25)]


def test_progress_orders_unknown_statuses_by_name() -> None:
    unknown = [f"mine {letter}" for letter in "hcafbdge"]
    progress = progress_of([{"status": status} for status in unknown], datetime.now(UTC))
    assert [part.status for part in progress.parts if part.count] == sorted(unknown)
