"""The board, by mouse, by keys alone, and by a finger."""

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visitor, press
from tests.browser.test_pages import records, sign_up
from tests.browser.test_shared import call

some_looks = pytest.mark.parametrize("context", ["phone-light", "wide-dark"], indirect=True)


def titles(visitor: Visitor, column: str) -> Locator:
    return visitor.page.locator(f"#column-{column} .record-title")


def with_tasks(visitor: Visitor, purpose: str) -> str:
    """A new account with three tasks that wait and one that is reviewed."""
    username = sign_up(visitor, purpose)
    for title in ("Collect the images", "Train the baseline", "Write it up"):
        call(visitor, "POST", "tasks/", {"title": title, "priority": "high"})
    call(visitor, "POST", "tasks/", {"title": "Ask the clinic", "status": "review"})
    visitor.go("/tasks/board/")
    return username


def place_of(card: Locator) -> tuple[float, float, float]:
    """Where a card is: a little right of its edge, its top, its height."""
    box = card.bounding_box()
    assert box
    return box["x"] + 40, box["y"], box["height"]


def held_at(visitor: Visitor, username: str) -> dict[str, str]:
    return {task["title"]: task["status"] for task in records(visitor.server, "tasks", username)}


def test_the_board_by_mouse(visitor: Visitor) -> None:
    page, username = visitor.page, with_tasks(visitor, "mouse")
    visitor.look_at("board")
    card = page.locator(".card", has_text="Train the baseline")
    card.hover()
    page.mouse.down()
    there = page.locator(".card", has_text="Ask the clinic")
    there.evaluate("card => card.scrollIntoView({block: 'center'})")
    x, y, _height = place_of(there)
    page.mouse.move(x, y + 10, steps=4)
    expect(titles(visitor, "review")).to_have_text(["Train the baseline", "Ask the clinic"])
    x, y, height = place_of(there)  # on a phone, the columns above have become shorter
    page.mouse.move(x, y + height - 4, steps=4)
    expect(titles(visitor, "review")).to_have_text(["Ask the clinic", "Train the baseline"])
    visitor.take_picture("board-dragging")
    page.mouse.up()
    expect(page.get_by_text("Moved to: In review")).to_be_visible()
    expect(titles(visitor, "review")).to_have_text(["Ask the clinic", "Train the baseline"])
    expect(titles(visitor, "pending")).to_have_text(["Write it up", "Collect the images"])
    assert held_at(visitor, username)["Train the baseline"] == "review"

    page.get_by_text("Move Write it up").locator("..").click()
    visitor.look_at("board-menu")
    press(page.get_by_role("button", name="Completed"))
    expect(titles(visitor, "completed")).to_have_text(["Write it up"])
    expect(page.get_by_role("link", name="Write it up", exact=True)).to_be_focused()
    visitor.go("/tasks/agenda/", "agenda")


@some_looks
def test_the_board_by_keys_alone(visitor: Visitor) -> None:
    page, username = visitor.page, with_tasks(visitor, "keys")
    said = page.locator("#board-said")
    page.get_by_role("link", name="Write it up", exact=True).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="Collect the images", exact=True)).to_be_focused()
    page.keyboard.press("ArrowRight")  # past a column that is empty
    expect(page.get_by_role("link", name="Ask the clinic", exact=True)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("link", name="Write it up", exact=True)).to_be_focused()

    page.keyboard.press("Space")
    expect(said).to_contain_text("Moving: Write it up")
    page.keyboard.press("ArrowDown")
    expect(said).to_have_text("Pending, position 2 of 3")
    visitor.look_at("board-picked-up")
    page.keyboard.press("Escape")
    expect(said).to_have_text("Not moved: Write it up")
    expect(titles(visitor, "pending").first).to_have_text("Write it up")

    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    expect(said).to_have_text("In progress, position 1 of 1")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Moved to: In progress")).to_be_visible()
    expect(page.get_by_role("link", name="Write it up", exact=True)).to_be_focused()
    assert held_at(visitor, username)["Write it up"] == "in_progress"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Edit task")).to_be_visible()


@some_looks
def test_a_card_that_was_changed_meanwhile_goes_back(visitor: Visitor) -> None:
    page, username = visitor.page, with_tasks(visitor, "late")
    call(visitor, "PATCH", "tasks/3/", {"title": "Write it up well"})
    page.get_by_role("link", name="Write it up", exact=True).focus()
    for key in ("Space", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("alert")).to_contain_text("was not moved")
    expect(titles(visitor, "pending").first).to_have_text("Write it up well")
    visitor.look_at("board-conflict")
    assert held_at(visitor, username)["Write it up well"] == "pending"


@pytest.mark.parametrize("context", ["phone-dark"], indirect=True)
def test_the_board_by_finger(visitor: Visitor) -> None:
    page, username = visitor.page, with_tasks(visitor, "finger")
    touch = page.context.new_cdp_session(page)
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    page.locator("#column-in_progress").evaluate("part => part.scrollIntoView({block: 'center'})")
    grip = page.locator(".card", has_text="Collect the images").locator("summary")
    x, y, _height = place_of(grip)
    _x, there, height = place_of(page.locator("#column-in_progress"))

    def touched(kind: str, *at: float) -> None:
        points = [{"x": x - 20, "y": height_at} for height_at in at]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touched("touchStart", y + 10)
    for part in range(1, 6):
        touched("touchMove", y + 10 + (there + height / 2 - y - 10) * part / 5)
    expect(titles(visitor, "in_progress")).to_have_text(["Collect the images"])
    touched("touchEnd")
    expect(page.get_by_text("Moved to: In progress")).to_be_visible()
    assert held_at(visitor, username)["Collect the images"] == "in_progress"
