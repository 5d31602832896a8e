"""The list of tasks: a line in plain words, edits in place, many at once, and two windows."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor, follow, press
from tests.browser.test_pages import records, sign_up, some_looks


@some_looks
def test_a_list_is_worked_with_in_place(visitor: Visitor) -> None:
    page, server = visitor.page, visitor.server
    username = sign_up(visitor, "tamara")
    page.goto("/tasks/")
    line = page.get_by_label("Add a task")
    line.press_sequentially("Train the baseline 26 nov 2031 !high #vision")
    expect(page.locator("#quick-preview")).to_contain_text("26 Nov 2031")
    visitor.look_at("quick-add")
    line.press("Escape")
    expect(page.get_by_label("Add as plain text")).to_be_checked()
    expect(page.locator("#quick-preview strong")).to_contain_text("26 nov 2031 !high")
    expect(line).to_be_focused()
    line.press("Escape")
    expect(page.locator("#quick-preview strong")).to_have_text("Train the baseline")
    line.press("Enter")
    expect(page.get_by_role("link", name="Train the baseline", exact=True)).to_be_visible()
    expect(line).to_be_focused()
    line.fill("Label the scans")
    line.press("Enter")
    expect(page.get_by_role("link", name="Label the scans", exact=True)).to_be_visible()
    visitor.look_at("list")
    first, _second = records(server, "tasks", username)
    assert (first["title"], first["due_date"]) == ("Train the baseline", "2031-11-26")
    assert (first["priority"], first["tags"]) == ("high", ["vision"])

    follow(page.get_by_role("link", name="Edit Label the scans"))
    title = page.get_by_role("textbox", name="Title")
    expect(title).to_be_focused()
    visitor.look_at("edit-in-place")
    title.fill("Label a hundred scans")
    title.press("Enter")
    expect(page.get_by_role("link", name="Label a hundred scans", exact=True)).to_be_focused()

    page.get_by_text("Select", exact=True).click()
    page.get_by_label("All on this page").check()
    visitor.look_at("change-several")
    page.get_by_label("Tag", exact=True).and_(page.locator("#bulk-tag")).fill("soon")
    page.locator("#bulk-tag").press("Enter")
    expect(page.get_by_text("2 tasks were changed.")).to_be_visible()
    assert [task["tags"] for task in records(server, "tasks", username)] == [
        ["vision", "soon"],
        ["soon"],
    ]
    visitor.press("Undo")
    expect(page.get_by_text("Undone.")).to_be_visible()
    assert [task["tags"] for task in records(server, "tasks", username)] == [["vision"], []]

    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Priority").and_(page.locator("#priority")).select_option("High")
    expect(page.get_by_role("link", name="Label a hundred scans", exact=True)).to_be_hidden()
    visitor.look_at("filter")
    page.keyboard.press("Escape")
    page.get_by_text("Save view").click()
    page.get_by_label("Name of the view").fill("Urgent")
    page.get_by_label("Name of the view").press("Enter")
    expect(page.get_by_role("link", name="Urgent")).to_have_attribute("aria-current", "true")


_FORTY = """
import sys, django
django.setup()
from utils.json_storage import json_storage
for number in range(40):
    json_storage.create("tasks", int(sys.argv[1]), {"title": f"Task {number}"})
json_storage.close()
"""
_SETTLED = """() => new Promise((settled) => document.addEventListener("htmx:afterSettle",
    () => requestAnimationFrame(() => requestAnimationFrame(() => settled(scrollY))),
    { once: true }))"""


def scrolled_after(page: Page, act: Callable[[], None]) -> float:
    """How far the page is scrolled once what the act asks for has taken its place."""
    page.evaluate(f"() => {{ window.settled = ({_SETTLED})() }}")
    act()
    return float(page.evaluate("() => window.settled"))


@some_looks
def test_edit_in_place_scrolls_nothing_and_breaks_no_policy(visitor: Visitor) -> None:
    page, server = visitor.page, visitor.server
    username = sign_up(visitor, "trudy")
    server.run("-c", _FORTY, str(server.user_id(username)))
    page.goto("/tasks/")
    pencil = page.get_by_role("link", name="Edit Task 20", exact=True)
    pencil.evaluate("link => scrollBy({top: link.getBoundingClientRect().top - 300})")
    before = page.evaluate("scrollY")
    assert before > 600
    assert scrolled_after(page, pencil.click) == before
    expect(page.get_by_role("textbox", name="Title")).to_be_focused()
    assert scrolled_after(page, lambda: page.keyboard.press("Escape")) == before
    expect(page.get_by_role("link", name="Task 20", exact=True)).to_be_focused()

    # Styles come from the browser and its user: a text area that was resized, an extension.
    page.evaluate("document.querySelectorAll('[id]').forEach(part => part.style.color = 'inherit')")
    tick = page.get_by_role("button", name="Complete Task 20", exact=True)
    assert scrolled_after(page, tick.click) == before
    visitor.press("Undo")
    page.evaluate("document.querySelectorAll('[id]').forEach(part => part.style.color = 'inherit')")
    scrolled_after(page, lambda: page.locator("#q").fill("Task 2"))
    expect(page.get_by_role("link", name="Task 20", exact=True)).to_be_visible()
    assert visitor.complaints == []


@some_looks
def test_an_edit_in_two_windows_is_chosen_field_by_field(visitor: Visitor) -> None:
    page, server = visitor.page, visitor.server
    username = sign_up(visitor, "tobias")
    page.goto("/tasks/")
    page.get_by_label("Add a task").fill("Train")
    page.get_by_label("Add a task").press("Enter")
    follow(page.get_by_role("link", name="Edit Train"))
    title = page.get_by_role("textbox", name="Title")
    title.fill("Train it my way")
    page.locator(".form-quick").get_by_label("Status").select_option("In progress")

    other = page.context.new_page()
    other.goto("/tasks/1/edit/")
    other.get_by_label("Title").fill("Train it their way")
    other.get_by_label("Priority").select_option("Critical")
    press(other.get_by_role("button", name="Save", exact=True))
    expect(other.get_by_text("The task was saved.")).to_be_visible()
    other.close()

    visitor.press("Save")
    expect(page.get_by_text("Someone changed this while you were editing.")).to_be_visible()
    visitor.look_at("conflict-in-place")
    page.locator('[name="keep-title"][value="stored"]').check()
    visitor.press("Save selection")
    expect(page.get_by_role("link", name="Train it their way", exact=True)).to_be_focused()
    (task,) = records(server, "tasks", username)
    assert (task["title"], task["status"]) == ("Train it their way", "in_progress")
    assert task["priority"] == "critical"


@some_looks
def test_a_checklist_is_written_row_by_row(visitor: Visitor) -> None:
    page, server = visitor.page, visitor.server
    username = sign_up(visitor, "cecilia")
    page.goto("/tasks/new/")
    page.get_by_label("Title").fill("Move house")
    items = page.get_by_role("group", name="Checklist").get_by_role("textbox")
    items.first.fill("Pack")
    items.first.press("Enter")
    expect(items.nth(1)).to_be_focused()
    page.keyboard.type("Clean")
    page.keyboard.press("Alt+ArrowUp")
    expect(items.first).to_have_value("Clean")
    expect(items.first).to_be_focused()
    expect(page.get_by_text("Moved to 1 of 2")).to_be_attached()
    page.get_by_role("button", name="Move item 2 up").click()
    expect(items.first).to_have_value("Pack")
    page.get_by_role("button", name="Add an item").click()
    expect(items.nth(2)).to_be_focused()
    page.keyboard.press("Backspace")
    expect(items).to_have_count(2)
    expect(items.nth(1)).to_be_focused()
    page.get_by_role("checkbox", name="Item 1 is done").check()
    visitor.look_at("checklist-editor")
    visitor.press("Save")
    expect(page.get_by_text("1 of 2 done")).to_be_visible()
    (task,) = records(server, "tasks", username)
    assert task["checklist"] == [
        {"text": "Pack", "done": True},
        {"text": "Clean", "done": False},
    ]

    page.goto(f"/tasks/{task['id']}/edit/")
    expect(page.get_by_role("checkbox", name="Item 1 is done")).to_be_checked()
    page.get_by_role("button", name="Remove item 1").click()
    expect(items.first).to_be_focused()
    visitor.press("Save")
    (task,) = records(server, "tasks", username)
    assert task["checklist"] == [{"text": "Clean", "done": False}]


@some_looks
def test_a_month_is_looked_at_day_by_day(visitor: Visitor) -> None:
    page = visitor.page
    sign_up(visitor, "juliana")
    for line in (
        "Train the baseline 26 nov 2031 17:00",
        "Label the scans 26 nov 2031",
        "Write the report on what was learnt 26 nov 2031",
        "Rest 26 nov 2031",
        "Read 3 nov 2031",
    ):
        page.goto("/tasks/")
        page.get_by_label("Add a task").fill(line)
        page.get_by_label("Add a task").press("Enter")
        expect(page.get_by_text("The task was added.").first).to_be_visible()
    visitor.go("/tasks/month/?month=2031-11")
    expect(page.get_by_text("5 tasks")).to_be_visible()
    day = page.get_by_role("link", name="Wednesday 26 November")
    day.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Wednesday 26 November")).to_be_visible()
    visitor.look_at("month-day")
    press(page.get_by_role("button", name="Complete Rest"))
    expect(page.get_by_text("4 tasks")).to_be_visible()
    follow(page.get_by_role("link", name="Next"))
    expect(page.get_by_text("Nothing is due this month.")).to_be_visible()
