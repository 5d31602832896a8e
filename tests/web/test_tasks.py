"""What the list of tasks can do beside what every list does."""

import html
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.web.pages import text_of, version_in, write_document
from tests.web.test_records import sent_by
from utils.json_storage import json_storage
from workspace.users.preferences import View

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
        "due_date",
        "priority",
        "status",
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
def test_task_pages_without_tasks_explain_first_step(
    browser: Client, address: str, words: str
) -> None:
    said = text_of(browser.get(address))
    assert words in said


# Many at once


def many(client: Client, **sent: Any) -> Any:
    return client.post("/tasks/bulk/", {"next": "/tasks/?page=1"} | sent)


def test_the_chosen_are_changed_in_one_commit_and_no_others(browser: Client, alice: User) -> None:
    first, second, third = (add(alice, tags=["old"]) for _ in range(3))
    project = json_storage.create("projects", alice.pk, {"name": "X-rays"})["id"]
    chosen = [str(first), str(third)]
    before = json_storage.get_user_data(alice.pk)
    for sent in [
        {"do": "complete"},
        {"do": "reopen"},
        {"do": "priority", "priority": "critical"},
        {"do": "project", "project": str(project)},
        {"do": "due", "due": "2026-12-01"},
        {"do": "tag", "tag": " vision "},
        {"do": "untag", "tag": "old"},
    ]:
        assert many(browser, id=chosen, **sent)["Location"] == "/tasks/?page=1"
    after = json_storage.get_user_data(alice.pk)
    assert before and after
    assert len(after["activities"]) == len(before["activities"]) + 7
    expected = {
        "status": "pending",
        "priority": "critical",
        "project_id": project,
        "due_date": "2026-12-01",
        "tags": ["vision"],
    }
    for number in (first, third):
        assert stored(alice, number) | expected == stored(alice, number)
    assert stored(alice, second)["updated_at"] == stored(alice, second)["created_at"]


def test_all_that_the_list_holds_are_chosen_by_its_address(browser: Client, alice: User) -> None:
    add(alice, title="Train the baseline")
    add(alice, title="Label the scans")
    browser.post("/tasks/bulk/?q=train", {"all": "yes", "do": "complete"})
    assert [stored(alice, n)["status"] for n in (1, 2)] == ["completed", "pending"]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"do": "complete"}, "Nothing was selected"),
        ({"do": "complete", "id": "99"}, "Nothing was selected"),
        ({"do": "due", "due": "some day", "id": "1"}, "Nothing was changed"),
        ({"do": "project", "project": "", "id": "1"}, "Nothing was changed"),
        ({"do": "project", "project": "77", "id": "1"}, "Nothing was changed"),
    ],
)
def test_task_bulk_refused_action_changes_nothing(
    browser: Client, alice: User, sent: dict[str, str], words: str
) -> None:
    add(alice)
    before = stored(alice, 1)
    assert words in text_of(browser.post("/tasks/bulk/", sent, follow=True))
    assert stored(alice, 1) == before


def seen_in(page: Any) -> str:
    return str(page.context["question"].seen)


def test_deleting_many_asks_first_and_spares_what_was_changed_since(
    browser: Client, alice: User
) -> None:
    for title in ("First", "Second", "Third"):
        add(alice, title=title)
    question = many(browser, id=["1", "2"], do="delete")
    assert "First" in text_of(question)
    assert "Third" not in text_of(question)
    assert len(json_storage.get_user_tasks(alice.pk)) == 3
    json_storage.update("tasks", alice.pk, 2, {"title": "Second thought"})
    again = many(browser, seen=seen_in(question))
    assert again.status_code == 409
    assert "Second thought" in text_of(again)
    assert len(json_storage.get_user_tasks(alice.pk)) == 3
    assert many(browser, seen=seen_in(again))["Location"] == "/tasks/?page=1"
    assert [task["title"] for task in json_storage.get_user_tasks(alice.pk)] == ["Third"]


def test_bulk_delete_forged_confirmation_deletes_nothing(browser: Client, alice: User) -> None:
    add(alice)
    for seen in ("", "1", "1:", "x:y", "1:guess", "99:guess"):
        assert many(browser, seen=seen).status_code in (302, 409)
    assert len(json_storage.get_user_tasks(alice.pk)) == 1


def test_charlie_changes_nothing_of_alices(browser: Client, alice: User, charlie: User) -> None:
    add(alice)
    browser.force_login(charlie)
    address = f"/shared/{alice.pk}/tasks/bulk/"
    assert browser.post(address, {"id": "1", "do": "complete"}).status_code == 404
    assert stored(alice, 1)["status"] == "pending"


def test_a_change_of_many_can_be_undone(browser: Client, alice: User) -> None:
    first, second = add(alice), add(alice)
    chosen = {"id": [str(first), str(second)], "do": "priority", "priority": "critical"}
    page = browser.post("/tasks/bulk/", chosen | {"next": "/tasks/"}, follow=True)
    token = html.unescape(page.content.decode()).partition('name="undo" value="')[2].split('"')[0]
    browser.post("/undo/", {"undo": token})
    assert {stored(alice, n)["priority"] for n in (first, second)} == {"medium"}


# What is shown


def titles_at(client: Client, address: str) -> list[str]:
    return [str(row.title) for row in client.get(address).context["page"].object_list]


def test_the_list_is_narrowed_by_what_a_task_has(browser: Client, alice: User, today: date) -> None:
    project = json_storage.create("projects", alice.pk, {"name": "X-rays"})["id"]
    add(alice, title="Late", due_date=str(today - timedelta(days=3)), priority="high")
    add(alice, title="Now", due_date=str(today), tags=["Vision"], assignee=alice.pk)
    add(alice, title="Soon", due_date=str(today + timedelta(days=6)), project_id=project)
    add(alice, title="Some day", due_date=str(today + timedelta(days=7)), status="completed")
    add(alice, title="Never")
    for query, expected in {
        "due=overdue": ["Late"],
        "due=today": ["Now"],
        "due=week": ["Soon", "Now"],
        "due=none": ["Never"],
        "due=nonsense": ["Never", "Some day", "Soon", "Now", "Late"],
        "priority=high": ["Late"],
        "tag=vision": ["Now"],
        "tag=vis": [],
        f"assignee={alice.pk}": ["Now"],
        "assignee=77": ["Never", "Some day", "Soon", "Now", "Late"],
        "status=open": ["Never", "Soon", "Now", "Late"],
        f"due=week&project={project}": ["Soon"],
    }.items():
        assert titles_at(browser, f"/tasks/?{query}") == expected, query


@pytest.fixture
def today(still_clock: None) -> date:
    return datetime.now(UTC).date()


# Views that are saved


def test_list_filter_can_be_saved_as_view(browser: Client, alice: User) -> None:
    sent = {"do": "save", "name": " Urgent ", "query": "priority=high&nonsense=1&status=&page=3"}
    answer = browser.post("/tasks/views/", sent)
    assert answer["Location"] == "/tasks/?priority=high"
    page = browser.get("/tasks/").content.decode()
    assert "Urgent" not in page  # nothing to look at yet
    add(alice)
    assert '<a href="/tasks/?priority=high">Urgent</a>' in browser.get("/tasks/").content.decode()
    shown = browser.get("/tasks/?priority=high")
    assert shown.context["tab"].name == "Urgent"
    renamed = {"do": "rename", "was": "Urgent", "name": "High", "query": "priority=high"}
    assert browser.post("/tasks/views/", renamed)["Location"] == "/tasks/?priority=high"
    assert [view.name for view in json_storage.preferences(alice.pk).views] == ["High"]
    browser.post("/tasks/views/", {"do": "remove", "was": "High"})
    assert json_storage.preferences(alice.pk).views == ()


def test_a_view_of_the_same_name_is_replaced_and_one_without_is_refused(
    browser: Client, alice: User
) -> None:
    for query in ("due=today", "due=none"):
        browser.post("/tasks/views/", {"do": "save", "name": "Mine", "query": query})
    assert json_storage.preferences(alice.pk).views == (View("Mine", "due=none"),)
    said = browser.post("/tasks/views/", {"do": "save", "name": "", "query": ""}, follow=True)
    assert "Must be a text of 1 to 50 characters" in text_of(said)
    assert json_storage.preferences(alice.pk).views == (View("Mine", "due=none"),)


def test_views_are_ones_own(browser: Client, alice: User, charlie: User) -> None:
    browser.post("/tasks/views/", {"do": "save", "name": "Mine", "query": "due=today"})
    add(charlie)
    browser.force_login(charlie)
    assert "Mine" not in [tab.name for tab in browser.get("/tasks/").context["tabs"]]


# Plain words


def test_a_line_in_plain_words_says_more_than_a_title(browser: Client, alice: User) -> None:
    project = json_storage.create("projects", alice.pk, {"name": "X-rays"})["id"]
    line = "Train the baseline 26 nov 2031 !high #vision +x-rays"
    shown = browser.get("/tasks/quick/", {"text": line})
    assert "Train the baseline 26 Nov 2031 High X-rays #vision" in text_of(shown)
    assert json_storage.get_user_tasks(alice.pk) == []
    browser.post("/tasks/quick/", {"text": line})
    record = stored(alice, 1)
    assert record["title"] == "Train the baseline"
    assert (record["due_date"], record["priority"]) == ("2031-11-26", "high")
    assert (record["tags"], record["project_id"]) == (["vision"], project)


def test_quick_add_recognized_parts_can_be_added_as_plain_text(
    browser: Client, alice: User
) -> None:
    line = "Watch friday the 13th !high every week"
    shown = browser.get("/tasks/quick/", {"text": line})
    assert "Watch" in text_of(shown) and "every week" in text_of(shown)
    assert b'name="plain"' in shown.content and b"checked" not in shown.content
    shown = browser.get("/tasks/quick/", {"text": line, "plain": "yes"})
    assert f"<strong>{line}</strong>" in shown.content.decode()
    assert "Add as plain text Esc" in text_of(shown)
    assert b"checked" in shown.content
    browser.post("/tasks/quick/", {"text": line, "plain": "yes"})
    task = stored(alice, 1)
    assert (task["title"], task["due_date"], task["repeat"]) == (line, None, "")
    assert b'name="plain"' not in browser.get("/tasks/quick/", {"text": "Read"}).content


def test_days_in_a_line_are_those_of_the_persons_zone(browser: Client, alice: User) -> None:
    json_storage.change_preferences(alice.pk, {"time_zone": "Pacific/Kiritimati"})
    browser.post("/tasks/quick/", {"text": "Train 26 nov 2031 17:00"})
    assert stored(alice, 1)["due_date"] == "2031-11-26T03:00:00.000000Z"


# Checklists


def test_a_checklist_is_ticked_item_by_item(browser: Client, alice: User) -> None:
    items = [{"text": "Label", "done": False}, {"text": "Train", "done": False}]
    number = add(alice, checklist=items)
    assert "0 of 2 done" in text_of(browser.get("/tasks/"))
    back = {"next": "/tasks/?page=1"}
    address = f"/tasks/{number}/checklist/"
    assert browser.post(address, {"tick": "1 Train"} | back)["Location"] == "/tasks/?page=1"
    assert [item["done"] for item in stored(alice, number)["checklist"]] == [False, True]
    assert "1 of 2 done" in text_of(browser.get("/tasks/"))
    browser.post(address, {"untick": "1 Train"})
    assert stored(alice, number)["checklist"] == items


@pytest.mark.parametrize("named", ["0 Train", "1 Label", "7 Train", "-1 Train", "", "Train"])
def test_an_item_that_is_not_there_any_more_is_not_ticked(
    browser: Client, alice: User, named: str
) -> None:
    items = [{"text": "Label", "done": False}, {"text": "Train", "done": False}]
    number = add(alice, checklist=items)
    said = browser.post(f"/tasks/{number}/checklist/", {"tick": named}, follow=True)
    assert "changed meanwhile" in text_of(said)
    assert stored(alice, number)["checklist"] == items


def test_a_checklist_is_typed_in_lines(browser: Client, alice: User) -> None:
    typed = "[x] Pack\r\n\r\n- [X] Label\r\n* [ ] Clean\r\n- Rest\r\n[ ] [x] marks the spot"
    number = add(alice)
    sent = {"title": "T", "priority": "medium", "status": "pending", "checklist": typed}
    sent["version"] = version_in(browser.get(f"/tasks/{number}/edit/"))
    browser.post(f"/tasks/{number}/edit/", sent)
    assert [(item["text"], item["done"]) for item in stored(alice, number)["checklist"]] == [
        ("Pack", True),
        ("Label", True),
        ("Clean", False),
        ("- Rest", False),
        ("[x] marks the spot", False),
    ]
    page = browser.get(f"/tasks/{number}/edit/").content.decode()
    assert "[x] Pack\n[x] Label\n[ ] Clean\n[ ] - Rest\n[ ] [x] marks the spot" in page


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("Pack\n\n[x]", "Line 3: use 1 to 200 characters."),
        ("Pack\n" + "x" * 201, "Line 2: use 1 to 200 characters."),
        ("\n" + "Pack\n" * 101, "Line 102: at most 100 items."),
    ],
)
def test_a_faulty_line_of_a_checklist_is_named(
    browser: Client, alice: User, typed: str, told: str
) -> None:
    sent = {"title": "T", "priority": "medium", "status": "pending", "checklist": typed}
    page = browser.post("/tasks/new/", sent)
    assert page.status_code == 422
    assert told in text_of(page)


def test_a_checklist_that_a_hand_spoilt_hides_no_task(
    browser: Client, alice: User, data_folder: Path
) -> None:
    odd = {"title": "Odd", "id": 1, "checklist": [1, {"text": "Label"}]}
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", {"tasks": [odd]})
    assert "Odd" in text_of(browser.get("/tasks/"))
    assert browser.post("/tasks/1/checklist/", {"tick": "1 Label"}).status_code == 302
