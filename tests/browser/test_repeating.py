"""A task that repeats: typed in words, completed, taken back."""

from playwright.sync_api import expect

from tests.browser.conftest import Visitor, press
from tests.browser.test_pages import records, sign_up, some_looks


@some_looks
def test_a_task_comes_again_until_that_is_undone(visitor: Visitor) -> None:
    page, server = visitor.page, visitor.server
    username = sign_up(visitor, "rosalind")
    page.goto("/tasks/new/")
    page.get_by_label("Title").fill("Water the plants")
    page.get_by_label("Due").fill("2031-01-07")
    page.get_by_label("Repeats").fill("every 2 weeks")
    item = page.get_by_role("textbox", name="Item 1")
    item.fill("Kitchen")
    page.get_by_role("checkbox", name="Item 1 is done").check()
    item.press("Enter")
    page.keyboard.insert_text("Balcony")
    visitor.look_at("task-repeats")
    visitor.press("Save")
    expect(page.get_by_text("every 2 weeks")).to_be_visible()
    press(page.get_by_role("button", name="Complete Water the plants"))
    expect(page.get_by_text("The task was completed.")).to_be_visible()
    visitor.look_at("task-came-again")
    done, again = records(server, "tasks", username)
    assert (done["repeat"], again["due_date"]) == ("", "2031-01-21")
    assert [item["done"] for item in again["checklist"]] == [False, False]
    visitor.press("Undo")
    expect(page.get_by_text("Undone.")).to_be_visible()
    (task,) = records(server, "tasks", username)
    assert (task["status"], task["repeat"]) == ("pending", "FREQ=WEEKLY;INTERVAL=2")
