"""What one did, and models with their metrics, as people see them."""

import json
import math

from playwright.sync_api import expect

from tests.browser.conftest import Visitor, follow
from tests.browser.test_pages import sign_up


def add_model(visitor: Visitor, name: str, status: str, **objects: object) -> None:
    page = visitor.page
    page.goto("/models/new/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Description").fill("Finds fractures.\nTrained on two sites.")
    page.get_by_label("Status").select_option(status)
    page.get_by_label("Accuracy").fill("93.4" if status == "Active" else "90.25")
    page.get_by_text("Advanced (JSON)").click()
    for label, value in objects.items():
        named = label.capitalize().replace("_", " ")
        page.get_by_label(named).fill(json.dumps(value))
    visitor.press("Save")
    expect(page.get_by_role("status")).to_contain_text("The model was added.")


def test_a_model_its_metrics_and_another_beside_it(visitor: Visitor) -> None:
    sign_up(visitor, "ivan")
    page = visitor.page
    loss = [round(math.exp(-step / 12) + 0.03 * math.sin(step), 4) for step in range(60)]
    add_model(
        visitor,
        "xray-resnet50",
        "Active",
        hyperparameters={"lr": 0.0003, "batch": 64, "schedule": {"kind": "cosine", "warm_up": 500}},
        performance_metrics={
            "f1": 0.912,
            "validation": {"recall": 0.88, "auc": 97.1},
            "loss": loss,
            "rate": [0.0003, 0.0002, 0.0001],
            "images_per_second": 1250.5,
        },
        metadata={"seed": 7},
    )
    visitor.go("/models/1/", "model-alone")
    add_model(
        visitor,
        "xray-vit-with-a-name-as-long-as-names-of-models-are",
        "Training",
        hyperparameters={"lr": 0.0001, "batch": 64},
        performance_metrics={"f1": 0.925, "loss": loss[:30]},
    )
    visitor.look_at("models-two")
    follow(page.get_by_role("link", name="Table", exact=True))
    visitor.look_at("models-table")
    follow(page.get_by_role("link", name="Cards", exact=True))
    page.get_by_label("First").select_option(label="xray-resnet50 (#1)")
    page.get_by_label("Second").select_option(value="2")
    visitor.press("Compare")
    visitor.look_at("model-compare")
    expect(
        page.get_by_role("row", name="Performance metrics: f1 0.912 0.925 +0.013")
    ).to_be_visible()
    page.get_by_label("Only differences").check()
    visitor.press("Compare")
    expect(page.get_by_role("row", name="Public")).to_have_count(0)
    visitor.go("/models/compare/", "model-compare-empty")
    visitor.go("/models/")
    follow(page.get_by_role("link", name="xray-resnet50", exact=True))
    chart = page.get_by_role("img", name="loss")
    expect(chart).to_have_accessible_description(
        f"1 → {loss[-1]:g} over 60 steps (min {min(loss):g}, max {max(loss):g})"
    )
    visitor.look_at("model-detail")


def test_activity_page_lists_and_filters_actions(visitor: Visitor) -> None:
    sign_up(visitor, "judy")
    page = visitor.page
    page.goto("/tasks/new/")
    page.get_by_label("Title").fill("Train the baseline")
    visitor.press("Save")
    visitor.press("Complete Train the baseline")
    visitor.go("/dashboard/")
    follow(page.get_by_role("link", name="Show all (Latest activity)"))
    visitor.look_at("activity")
    page.get_by_text("Chrome on Linux").first.click()
    expect(page.get_by_text("Mozilla/5.0").first).to_be_visible()
    visitor.look_at("activity-open")
    page.get_by_label("Kind").select_option(label="Completed a task")
    visitor.press("Show")
    expect(page.locator(".deed")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("link", name="Save as CSV").click()
    assert download.value.suggested_filename.endswith(".csv")
    assert download.value.path().read_text("utf-8-sig").count("task_completed") == 1
    page.get_by_label("Search").fill("nowhere")
    visitor.press("Show")
    visitor.look_at("activity-nothing")
    follow(page.get_by_role("link", name="Clear filter"))
    follow(page.get_by_role("link", name="Train the baseline").first)
    expect(page).to_have_url(f"{visitor.server.address}/tasks/1/edit/")
