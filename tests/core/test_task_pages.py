"""What the list of tasks can do beside what every list does."""

import html
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.core.pages import text_of, version_in
from tests.core.test_record_pages import sent_by
from utils.json_storage import json_storage

HTMX = {"HX-Request": "true"}


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def add(owner: User, **values: Any) -> int:
    return int(json_storage.create("tasks", owner.pk, {"title": "Train"} | values)["id"])


def stored(owner: User, record_id: int) -> dict[str, Any]:
    return json_storage.get("tasks", owner.pk, record_id)


# A line for a new task


def test_a_line_becomes_a_task_and_leads_back(browser: Client, alice: User) -> None:
    back = "/tasks/?status=pending"
    answer = browser.post("/tasks/quick/", {"text": "  Train the baseline ", "next": back})
    assert answer["Location"] == back
    assert stored(alice, 1)["title"] == "Train the baseline"
    assert json_storage.activities(alice.pk, 1)[0]["type"] == "task_created"


def test_a_line_goes_to_the_project_that_the_list_is_narrowed_to(
    browser: Client, alice: User
) -> None:
    project = json_storage.create("projects", alice.pk, {"name": "X-rays"})["id"]
    page = browser.get(f"/tasks/?project={project}").content.decode()
    assert f'<input type="hidden" name="project" value="{project}">' in page
    browser.post("/tasks/quick/", {"text": "Train", "project": str(project)})
    browser.post("/tasks/quick/", {"text": "Train", "project": "77"})
    assert [stored(alice, n)["project_id"] for n in (1, 2)] == [project, None]


def test_an_empty_line_comes_back_with_the_reason(browser: Client, alice: User) -> None:
    answer = browser.post("/tasks/quick/", {"text": " ", "next": "/tasks/?page=2"})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.content.decode()
    assert 'name="next" value="/tasks/?page=2"' in answer.content.decode()
    assert json_storage.get_user_tasks(alice.pk) == []


# An edit within the row


def test_a_row_is_edited_by_a_few_of_its_fields(browser: Client, alice: User) -> None:
    number = add(alice, description="Two lines", tags=["vision"])
    form = browser.get(f"/tasks/{number}/edit/?quick=1&next=/tasks/%3Fpage=1")
    assert [bound.name for bound in form.context["form"]] == [
        "title",
        "priority",
        "status",
        "due_date",
    ]
    typed = sent_by(form) | {"title": "Trained", "due_date": "2026-12-01", "next": "/tasks/?page=1"}
    answer = browser.post(f"/tasks/{number}/edit/?quick=1", typed)
    assert answer["Location"] == "/tasks/?page=1"
    record = stored(alice, number)
    assert (record["title"], record["due_date"]) == ("Trained", "2026-12-01")
    assert (record["description"], record["tags"]) == ("Two lines", ["vision"])


def test_a_row_and_its_form_have_the_same_place_on_their_pages(
    browser: Client, alice: User
) -> None:
    """By it, either takes the place of the other; also a form that was refused."""
    number = add(alice)
    place = f'id="task-{number}"'
    assert place in browser.get("/tasks/").content.decode()
    form = browser.get(f"/tasks/{number}/edit/?quick=1", headers=HTMX)
    assert place in form.content.decode()
    assert f'hx-target="#task-{number}"' in form.content.decode()
    refused = browser.post(f"/tasks/{number}/edit/?quick=1", sent_by(form) | {"title": ""})
    assert refused.status_code == 422
    assert place in refused.content.decode()
    json_storage.update("tasks", alice.pk, number, {"status": "review"})
    conflict = browser.post(f"/tasks/{number}/edit/?quick=1", sent_by(form) | {"title": "Mine"})
    assert conflict.status_code == 409
    assert place in conflict.content.decode()
    assert 'value="Mine"' in html.unescape(conflict.content.decode())
    assert browser.post(f"/tasks/{number}/edit/?quick=1", sent_by(conflict)).status_code == 302
    assert (stored(alice, number)["title"], stored(alice, number)["status"]) == ("Mine", "review")
    assert version_in(conflict)
    assert "Edit task" in text_of(conflict)


@pytest.mark.parametrize(
    ("address", "words"), [("/tasks/", "No tasks yet"), ("/tasks/?page=2", "No tasks yet")]
)
def test_who_has_no_tasks_is_told_so_and_how_to_begin(
    browser: Client, address: str, words: str
) -> None:
    said = text_of(browser.get(address))
    assert words in said
