"""The board: columns, moves by button, and what is refused."""

import html
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from tests.web.pages import OLD_TASKS, text_of, write_document
from utils.json_storage import json_storage
from web.tasks.board import columns, move_to
from workspace.membership.members import Memberships
from workspace.schema.validation import record_version

_MEMBERSHIPS = Memberships(json_storage)


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def task(owner: User, title: str, **values: Any) -> int:
    return int(json_storage.create("tasks", owner.pk, {"title": title, **values})["id"])


def columns_of(page: Any) -> dict[str, list[str]]:
    """The titles in each column, from the top."""
    body = page.content.decode()
    parts = re.findall(r'<section class="column" id="column-(\w+)".*?</section>', body, re.S)
    found = {}
    for name in parts:
        part = body.partition(f'id="column-{name}"')[2].partition("</section>")[0]
        titles = re.findall(r'class="record-title"[^>]*>(.*?)</', part)
        found[name] = [html.unescape(title) for title in titles]
    return found


def button_of(page: Any, record_id: int, to: str) -> str:
    """What the button says that moves a task."""
    found = re.search(rf'name="move" value="({record_id}:\w+:{to})"', page.content.decode())
    assert found, f"no button moves {record_id} to {to}"
    return found.group(1)


def status_of(owner: User, record_id: int) -> str:
    return str(json_storage.get("tasks", owner.pk, record_id)["status"])


# Columns


def test_each_status_has_a_column_with_the_newest_on_top(browser: Client, alice: User) -> None:
    for title, status in [("A", "pending"), ("B", "review"), ("C", "pending")]:
        task(alice, title, status=status)
    found = columns_of(browser.get("/tasks/board/"))
    assert found == {"pending": ["C", "A"], "in_progress": [], "review": ["B"], "completed": []}


def test_board_latest_completed_task_is_first(browser: Client, alice: User) -> None:
    first, second = task(alice, "First"), task(alice, "Second")
    for record_id in (second, first):
        json_storage.update("tasks", alice.pk, record_id, {"status": "completed"})
    assert columns_of(browser.get("/tasks/board/"))["completed"] == ["First", "Second"]


def test_an_empty_board_has_its_columns(browser: Client) -> None:
    page = browser.get("/tasks/board/")
    assert set(columns_of(page)) == {"pending", "in_progress", "review", "completed"}
    assert text_of(page).count("Empty") == 4


def test_old_tasks_are_shown_whatever_they_hold(
    browser: Client, alice: User, data_folder: Path
) -> None:
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", OLD_TASKS)
    page = browser.get("/tasks/board/")
    found = columns_of(page)
    assert found["other"] == ["Odd"]
    assert {"From long ago", "Half filled", "No number"} <= {*found["pending"]}
    odd = button_of(page, 3, "review")
    browser.post("/tasks/board/", {"move": odd})
    assert "Odd" in columns_of(browser.get("/tasks/board/"))["review"]


def test_a_column_shows_more_when_asked(browser: Client, alice: User) -> None:
    operations = [{"op": "create", "record": {"title": f"T{n}"}} for n in range(25)]
    json_storage.bulk("tasks", alice.pk, operations)
    page = browser.get("/tasks/board/")
    assert len(columns_of(page)["pending"]) == 8
    assert "Show 8 more (Pending)" in text_of(page)
    page = browser.get("/tasks/board/?pending=16")
    assert len(columns_of(page)["pending"]) == 16
    assert "Show 8 more (Pending)" in text_of(page)
    assert len(columns_of(browser.get("/tasks/board/?pending=32"))["pending"]) == 25
    for odd in ("-1", "x", "²", "9" * 4000, ""):
        assert len(columns_of(browser.get("/tasks/board/", {"pending": odd}))["pending"]) == 8


def test_the_board_of_a_project(browser: Client, alice: User) -> None:
    project = json_storage.create("projects", alice.pk, {"name": "X-rays"})["id"]
    inside = task(alice, "Inside", project_id=project)
    task(alice, "Outside")
    page = browser.get(f"/tasks/board/?project={project}")
    assert columns_of(page)["pending"] == ["Inside"]
    assert "In the project X-rays." in text_of(page)
    assert f'href="/tasks/agenda/?project={project}"' in page.content.decode()
    address = f"/tasks/board/?project={project}"
    answer = browser.post(address, {"move": button_of(page, inside, "review")})
    assert (answer.status_code, answer["Location"]) == (302, address)


# Moves


def test_a_task_is_moved_by_a_button(browser: Client, alice: User) -> None:
    moved = task(alice, "Train")
    move = button_of(browser.get("/tasks/board/"), moved, "in_progress")
    page = browser.post("/tasks/board/", {"move": move}, follow=True)
    assert columns_of(page)["in_progress"] == ["Train"]
    assert "Moved to: In progress" in text_of(page)
    assert json_storage.activities(alice.pk, 1)[0]["type"] == "task_updated"

    move = button_of(page, moved, "completed")
    browser.post("/tasks/board/", {"move": move})
    assert json_storage.get("tasks", alice.pk, moved)["completed_at"]
    assert json_storage.activities(alice.pk, 1)[0]["type"] == "task_completed"


def test_a_task_that_was_changed_meanwhile_stays_and_is_shown(browser: Client, alice: User) -> None:
    moved = task(alice, "Train")
    move = button_of(browser.get("/tasks/board/"), moved, "review")
    json_storage.update("tasks", alice.pk, moved, {"title": "Train twice"})
    page = browser.post("/tasks/board/", {"move": move})
    assert page.status_code == 409
    assert columns_of(page)["pending"] == ["Train twice"]
    assert "was not moved" in text_of(page)
    assert status_of(alice, moved) == "pending"
    browser.post("/tasks/board/", {"move": button_of(page, moved, "review")})
    assert status_of(alice, moved) == "review"


# Order within a column


def titles(browser: Client) -> list[str]:
    return columns_of(browser.get("/tasks/board/"))["pending"]


def put(browser: Client, owner: User, record_id: int, to: str, below: object = "") -> Any:
    version = record_version(json_storage.get("tasks", owner.pk, record_id))
    sent = {"move": f"{record_id}:{version}:{to}", "below": str(below)}
    return browser.post("/tasks/board/", sent)


def test_a_task_stays_where_it_is_put(browser: Client, alice: User) -> None:
    a, b, c, d = (task(alice, title) for title in "ABCD")
    assert titles(browser) == ["D", "C", "B", "A"]
    put(browser, alice, a, "pending", d)
    assert titles(browser) == ["D", "A", "C", "B"]
    assert json_storage.get("tasks", alice.pk, a)["position"] == 3.5
    put(browser, alice, d, "pending", b)
    assert titles(browser) == ["A", "C", "B", "D"]
    assert json_storage.get("tasks", alice.pk, d)["position"] == 1
    put(browser, alice, c, "pending")
    assert titles(browser) == ["C", "A", "B", "D"]
    assert json_storage.get("tasks", alice.pk, b)["position"] is None
    task(alice, "E")
    assert titles(browser) == ["E", "C", "A", "B", "D"]


def test_a_task_goes_up_and_down_by_buttons(browser: Client, alice: User) -> None:
    a, _b, c = (task(alice, title) for title in "ABC")
    for to, expected in [("up", "CAB"), ("up", "ACB"), ("up", "ACB"), ("down", "CAB")]:
        put(browser, alice, a, to)
        assert titles(browser) == list(expected)
    page = browser.get("/tasks/board/")
    assert button_of(page, a, "up")
    assert not re.search(rf'value="{c}:\w+:up"', page.content.decode())


def test_a_task_is_put_below_another_of_its_new_column(browser: Client, alice: User) -> None:
    a, b = (task(alice, title, status="review") for title in "AB")
    c = task(alice, "C")
    put(browser, alice, c, "review", b)
    assert columns_of(browser.get("/tasks/board/"))["review"] == ["B", "C", "A"]
    put(browser, alice, a, "pending", 999)  # which is not there: on top
    assert titles(browser) == ["A"]


def test_board_completed_column_ignores_moves(browser: Client, alice: User) -> None:
    a, b = (task(alice, title) for title in "AB")
    put(browser, alice, b, "completed")
    put(browser, alice, a, "completed", b)
    assert columns_of(browser.get("/tasks/board/"))["completed"] == ["A", "B"]
    put(browser, alice, b, "up")
    assert columns_of(browser.get("/tasks/board/"))["completed"] == ["A", "B"]


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5)), max_size=25))
def test_any_moves_leave_the_order_that_they_made(moves: list[tuple[int, int]]) -> None:
    tasks: list[dict[str, Any]] = [{"id": n, "status": "pending"} for n in range(1, 7)]
    order = [6, 5, 4, 3, 2, 1]
    for number, index in moves:
        order.remove(number)
        order.insert(index, number)
        changes = move_to(tasks, number, "pending", order[index - 1] if index else None)
        tasks[number - 1] |= changes
        assert changes.keys() <= {"status", "position"}
        assert [task["id"] for task in columns(tasks, {})[0].on_page] == order


def test_there_is_room_for_dozens_of_moves_to_one_place() -> None:
    tasks: list[dict[str, Any]] = [{"id": n, "status": "pending"} for n in range(1, 41)]
    for number in range(1, 39):
        tasks[number - 1] |= move_to(tasks, number, "pending", 40)
        assert [task["id"] for task in columns(tasks, {})[0].on_page][:2] == [40, number]


@pytest.mark.parametrize("position", [1e308, -1e308, 10**12, -(10**12), "x", True, [], 10**400])
def test_no_position_is_too_odd(position: Any) -> None:
    tasks: list[dict[str, Any]] = [{"id": 1}, {"id": 2, "position": position}, {"id": 3}]
    for number in (1, 3):
        for below in (None, 1, 2, 3):
            place = move_to(tasks, number, "pending", below).get("position", 0)
            assert -(10**12) <= place <= 10**12
    assert columns(tasks, {})[0].total == 3


# What is refused


@pytest.mark.parametrize(
    "move", ["", "x", "1", "1:", "1::nowhere", "1::other", "²::review", "9" * 5000]
)
def test_board_invalid_move_responds_404(browser: Client, alice: User, move: str) -> None:
    task(alice, "Train")
    moment = json_storage.store.backend.sequence()
    assert browser.post("/tasks/board/", {"move": move}).status_code == 404
    assert not json_storage.store.entries(moment).told


def test_a_board_is_not_for_strangers(client: Client, alice: User, charlie: User) -> None:
    moved = task(alice, "Train")
    client.force_login(charlie)
    assert "Train" not in text_of(client.get("/tasks/board/"))
    assert client.post("/tasks/board/", {"move": f"{moved}::review"}).status_code == 404
    assert client.get(f"/shared/{alice.pk}/tasks/board/").status_code == 404
    client.logout()
    assert client.get("/tasks/board/")["Location"] == "/accounts/login/?next=/tasks/board/"


# What another shares


@pytest.fixture
def shared(alice: User, bob: User, charlie: User) -> int:
    """A task of Alice's in a project that Bob edits and Charlie reads."""
    project = int(json_storage.create("projects", alice.pk, {"name": "X-rays"})["id"])
    for person, role in ((bob, "editor"), (charlie, "viewer")):
        _MEMBERSHIPS.invite(alice.pk, project, person.username, role)
        _MEMBERSHIPS.accept(person.pk, json_storage.list("shared", person.pk)[0]["id"])
    task(alice, "Dear diary")
    return task(alice, "Train", project_id=project)


def test_an_editor_moves_what_is_shared(
    client: Client, alice: User, bob: User, shared: int
) -> None:
    client.force_login(bob)
    address = f"/shared/{alice.pk}/tasks/board/"
    page = client.get(address)
    assert columns_of(page)["pending"] == ["Train"]
    answer = client.post(address, {"move": button_of(page, shared, "review")})
    assert answer["Location"] == address
    assert status_of(alice, shared) == "review"


def test_a_viewer_has_nothing_to_press(
    client: Client, alice: User, charlie: User, shared: int
) -> None:
    client.force_login(charlie)
    address = f"/shared/{alice.pk}/tasks/board/"
    page = client.get(address)
    assert columns_of(page)["pending"] == ["Train"]
    assert 'name="move"' not in page.content.decode()
    assert client.post(address, {"move": f"{shared}::review"}).status_code == 403
    assert status_of(alice, shared) == "pending"
