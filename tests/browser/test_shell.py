"""What stands around every page: messages, what is typed and not lost, the palette, keys."""

from playwright.sync_api import expect

from tests.browser.conftest import Visitor, follow
from tests.browser.test_pages import PASSWORD, records, sign_up, some_looks


@some_looks
def test_nothing_typed_is_lost(visitor: Visitor) -> None:
    page, server = visitor.page, visitor.server
    username = sign_up(visitor, "nadia")
    page.goto("/tasks/new/")
    page.get_by_label("Title").fill("Write it down")
    page.get_by_label("Priority").select_option("High")

    page.context.set_offline(True)
    page.get_by_role("button", name="Save", exact=True).click()  # and no answer comes
    expect(page.get_by_text("Cannot reach the server.")).to_be_visible()
    visitor.look_at("offline")
    page.context.set_offline(False)
    page.context.clear_cookies(name="sessionid")
    visitor.press("Try again")
    page.locator('[name="login"]').fill(username)
    page.locator('[name="password"]').fill(PASSWORD)
    page.locator('main [type="submit"]').click()
    expect(page.locator("[data-draft-notice]")).to_be_visible()
    visitor.look_at("draft-restored")
    expect(page.get_by_label("Title")).to_have_value("Write it down")
    visitor.press("Save")
    expect(page.get_by_text("The task was added.")).to_be_visible()
    visitor.look_at("toast")
    assert [task["priority"] for task in records(server, "tasks", username)] == ["high"]
    visitor.press("Close")
    expect(page.get_by_text("The task was added.")).to_be_hidden()
    page.goto("/tasks/new/")
    expect(page.get_by_label("Title")).to_have_value("")


@some_looks
def test_a_part_of_a_page_survives_a_tunnel_and_a_log_in_that_ran_out(visitor: Visitor) -> None:
    page = visitor.page
    username = sign_up(visitor, "nils")
    page.goto("/tasks/new/")
    page.get_by_label("Title").fill("First")
    visitor.press("Save")
    expect(page.get_by_role("status")).to_contain_text("The task was added.")

    page.context.set_offline(True)
    page.get_by_label("Add a task").fill("Second")
    page.get_by_role("button", name="Add", exact=True).click()  # and no answer comes
    expect(page.get_by_text("Cannot reach the server.")).to_be_visible()
    page.context.set_offline(False)
    visitor.press("Try again")
    expect(page.get_by_role("link", name="Second", exact=True)).to_be_visible()
    expect(page.get_by_label("Add a task")).to_have_value("")

    page.context.clear_cookies(name="sessionid")
    page.get_by_label("Order").select_option("By name")
    page.locator('[name="login"]').fill(username)
    page.locator('[name="password"]').fill(PASSWORD)
    page.locator('main [type="submit"]').click()
    expect(page).to_have_url(f"{visitor.server.address}/tasks/")


@some_looks
def test_draft_saved_without_reload_is_not_offered_again(visitor: Visitor) -> None:
    page = visitor.page
    sign_up(visitor, "noor")
    page.goto("/tasks/")
    line = page.get_by_label("Add a task")
    line.fill("Count the owls tomorrow")
    expect(page.locator("#quick-preview")).to_contain_text("Count the owls")
    page.reload()  # only looked at so far
    expect(line).to_have_value("Count the owls tomorrow")
    line.press("Enter")
    expect(page.get_by_role("link", name="Count the owls", exact=True)).to_be_visible()
    page.reload()
    expect(line).to_have_value("")

    follow(page.get_by_role("link", name="Edit Count the owls"))
    expect(page.get_by_label("Title")).to_be_focused()
    expect(page).to_have_url(f"{visitor.server.address}/tasks/")
    page.get_by_label("Title").fill("Count all owls")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="Count all owls", exact=True)).to_be_visible()
    page.reload()
    follow(page.get_by_role("link", name="Edit Count all owls"))
    expect(page.get_by_label("Title")).to_have_value("Count all owls")
    expect(page.locator("[data-draft-notice]")).to_have_count(0)


@some_looks
def test_the_palette_and_keys_lead_everywhere(visitor: Visitor) -> None:
    page, server = visitor.page, visitor.server
    sign_up(visitor, "petra")
    for title in ("Label the data", "Train the baseline"):
        page.goto("/tasks/new/")
        page.get_by_label("Title").fill(title)
        visitor.press("Save")
        expect(page.get_by_role("status")).to_contain_text("The task was added.")

    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog")).to_be_visible()
    visitor.look_at("palette")
    page.keyboard.type("basel")
    expect(page.get_by_role("dialog").get_by_text("Train the baseline")).to_be_visible()
    expect(page.locator("dialog [data-announcer]")).to_have_text("1 result")
    visitor.look_at("palette-found")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("Control+k")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Title")).to_have_value("Train the baseline")

    page.get_by_role("heading").first.click()
    page.keyboard.press("g")
    page.keyboard.press("t")
    expect(page).to_have_url(f"{server.address}/tasks/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="Label the data", exact=True)).to_be_focused()
    page.keyboard.press("x")
    expect(page.get_by_role("button", name="Reopen Label the data")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keyboard shortcuts", exact=True)).to_be_visible()
    visitor.look_at("shortcuts")
    visitor.press("Turn off")
    page.keyboard.press("n")
    visitor.go("/search/?q=data", "search")
    expect(page).to_have_url(f"{server.address}/search/?q=data")


@some_looks
def test_the_first_minutes(visitor: Visitor) -> None:
    page = visitor.page
    username = sign_up(visitor, "felix")
    visitor.look_at("first-steps")
    visitor.press("Add an example project")
    expect(page.get_by_role("status")).to_contain_text("The example project was added.")
    visitor.look_at("dashboard-example")
    visitor.press("Remove the example")
    expect(page.get_by_role("heading", name="Get started")).to_be_visible()
    assert records(visitor.server, "tasks", username) == []
