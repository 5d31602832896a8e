"""Projects, models and the dashboard, as people work with them."""

from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from tests.browser.conftest import Visitor, follow, press
from tests.browser.test_pages import sign_up, some_looks


def add_task(visitor: Visitor, title: str, **chosen: str) -> None:
    """Fills the form of a new task in, and saves it: a due date, a priority, a status."""
    page = visitor.page
    page.locator('[name="title"]').fill(title)
    page.locator('[name="due_date"]').fill(chosen.pop("due_date"))
    for name, value in chosen.items():
        page.locator(f'[name="{name}"]').select_option(value)
    visitor.press("Save")


def test_a_first_project(visitor: Visitor) -> None:
    sign_up(visitor, "work-project")
    page = visitor.page
    visitor.go("/projects/new/")
    page.get_by_label("Name", exact=True).fill("Reading X-rays")
    page.get_by_label("Description").fill("Find fractures that tired eyes pass over.")
    page.get_by_label("Technologies").fill("PyTorch, DICOM")
    visitor.press("Save")
    follow(page.get_by_role("link", name="Reading X-rays", exact=True))
    visitor.look_at("project-empty")
    today = datetime.now(UTC).date()
    for days, title, chosen in [
        (-2, "Label the second batch", {"priority": "high"}),
        (0, "Train the baseline", {"status": "in_progress"}),
        (0, "Ask two radiologists", {"priority": "critical"}),
        (3, "Write the report", {}),
        (-9, "Collect images", {"status": "completed"}),
    ]:
        follow(page.get_by_role("link", name="New task"))
        add_task(visitor, title, due_date=(today + timedelta(days)).isoformat(), **chosen)
        expect(page).to_have_url(f"{visitor.server.address}/projects/1/")
    follow(page.get_by_role("link", name="Add a model"))
    page.get_by_label("Name", exact=True).fill("xray-resnet50")
    page.get_by_label("Accuracy").fill("93.4")
    visitor.press("Save")
    expect(page.get_by_text("1 of 5 tasks done, 20 per cent")).to_be_attached()
    visitor.look_at("project")
    visitor.press("Complete Ask two radiologists")
    expect(page.get_by_text("2 of 5 tasks done, 40 per cent")).to_be_attached()
    expect(page).to_have_url(f"{visitor.server.address}/projects/1/")
    visitor.go("/dashboard/", "dashboard-at-work")
    visitor.press("Complete Label the second batch")
    expect(page.get_by_role("button", name="Complete Label the second batch")).to_have_count(0)
    expect(page).to_have_url(f"{visitor.server.address}/dashboard/")
    page.get_by_text("Show as table").click()
    visitor.look_at("dashboard-numbers")


@some_looks
def test_the_dashboard_follows_what_happens_elsewhere(visitor: Visitor) -> None:
    sign_up(visitor, "work-live")
    page = visitor.page
    visitor.go("/dashboard/")
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()
    other = page.context.new_page()
    other.goto("/dashboard/")
    follow(other.get_by_role("link", name="New task"))
    other.locator('[name="title"]').fill("From the other window")
    other.locator('[name="due_date"]').fill(datetime.now(UTC).date().isoformat())
    press(other.get_by_role("button", name="Save"))
    expect(page.get_by_role("button", name="Complete From the other window")).to_be_visible()
    expect(page.locator("#announcer")).to_have_text("This page is up to date.")
    expect(other.get_by_role("button", name="Complete From the other window")).to_be_visible()
    press(other.get_by_role("button", name="Complete From the other window"))
    expect(page.get_by_role("button", name="Complete From the other window")).to_have_count(0)
    other.close()
    visitor.look_at("dashboard-live")


@some_looks
def test_a_faulty_configuration_is_mended(visitor: Visitor) -> None:
    sign_up(visitor, "work-json")
    page = visitor.page
    visitor.go("/models/new/")
    page.get_by_label("Name", exact=True).fill("xray-resnet50")
    page.get_by_text("Advanced (JSON)").click()
    area = page.get_by_label("Hyperparameters")
    area.press_sequentially('{\n"lr": "fast",\n"batch_size": 64 "epochs": 3\n}')
    assert area.input_value().split("\n")[1:3] == [
        '  "lr": "fast",',
        '  "batch_size": 64 "epochs": 3',
    ]
    comma = "Line 3, column 20: a comma or the closing bracket is missing here."
    expect(page.get_by_text(comma)).to_be_visible()
    visitor.look_at("model-json-fault")
    visitor.press("Save")
    expect(page.get_by_text("Not saved.")).to_be_visible()
    expect(page.locator(".fault")).to_contain_text("Line 3, column 20: a comma or the closing")
    area.fill('{\n  "lr": "fast",\n  "batch_size": 64\n}')
    slip = "Line 2, column 9: “lr” is usually a number greater than 0."
    expect(page.locator(".json-told").nth(1)).to_have_text(slip)
    visitor.look_at("model-json-slip")
    visitor.press("Save")
    expect(page.locator(".fault")).to_have_text(slip)
    visitor.look_at("model-json-refused")
    area.fill('{\n  "lr": 0.0003,\n  "batch_size": 64\n}')
    expect(page.locator(".json-told").nth(1)).to_be_empty()
    visitor.press("Save")
    expect(page.get_by_role("status")).to_contain_text("The model was added.")
