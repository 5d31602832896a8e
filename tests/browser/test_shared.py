"""A project that three people share, as each of them sees it."""

from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import Visitor, follow
from tests.browser.test_pages import log_in, records, sign_up


def call(visitor: Visitor, method: str, path: str, data: dict[str, Any]) -> dict[str, Any]:
    """One call of the API by whoever is signed in."""
    page = visitor.page
    proof = page.locator('[name="csrfmiddlewaretoken"]').first.get_attribute("value")
    address = f"{visitor.server.address}/accounts/api/{path}"
    answer = page.request.fetch(
        address, method=method, data=data, headers={"X-CSRFToken": proof or ""}
    )
    assert answer.ok, answer.text()
    told: dict[str, Any] = answer.json()
    return told


def test_three_people_share_a_project(visitor: Visitor) -> None:
    page, server = visitor.page, visitor.server
    people = {}
    for purpose in ("editor", "viewer", "sharer"):
        page.context.clear_cookies()
        people[purpose] = sign_up(visitor, purpose)
    project = call(visitor, "POST", "projects/", {"name": "Reading X-rays"})["id"]
    for title in ("Collect the images", "Train the baseline"):
        task = {"title": title, "project_id": project, "description": "Small and honest."}
        call(visitor, "POST", "tasks/", task | {"due_date": "2026-12-01", "tags": ["vision"]})
    call(visitor, "POST", "projects/", {"name": "Nobody else's"})
    for role in ("editor", "viewer"):
        invitation = {"who": people[role], "role": role}
        call(visitor, "POST", f"projects/{project}/members/", invitation)
    for role in ("editor", "viewer"):
        log_in(visitor, people[role])
        call(visitor, "PATCH", "shared/1/", {"status": "member"})
    there = f"/shared/{server.user_id(people['sharer'])}"

    visitor.go(f"{there}/projects/", "shared-projects-viewer")
    visitor.go(f"{there}/tasks/", "shared-tasks-viewer")
    follow(page.get_by_role("link", name="Train the baseline", exact=True))
    visitor.look_at("shared-task-viewer")
    visitor.go(f"{there}/tasks/new/", "shared-refused")
    expect(page.get_by_role("heading", name="Permission denied")).to_be_visible()

    log_in(visitor, people["editor"])
    visitor.go(f"{there}/projects/", "shared-projects-editor")
    follow(page.get_by_role("link", name="Tasks (Reading X-rays)"))
    visitor.look_at("shared-tasks-editor")
    follow(page.get_by_role("main").get_by_role("link", name="New task"))
    page.get_by_label("Title").fill("Write it up")
    page.get_by_label("Assigned to").select_option(people["viewer"])
    visitor.look_at("shared-task-new")
    visitor.press("Save")
    visitor.press("Complete Collect the images")
    visitor.look_at("shared-tasks-completed")
    follow(page.get_by_role("link", name="Delete Train the baseline"))
    visitor.look_at("shared-task-delete")
    visitor.press("Delete")
    visitor.go(f"{there}/projects/{project}/edit/", "shared-project-edit")

    log_in(visitor, people["sharer"])
    tasks = {task["title"]: task for task in records(server, "tasks", people["sharer"])}
    assert {*tasks} == {"Collect the images", "Write it up"}
    assert tasks["Write it up"]["assignee"] == server.user_id(people["viewer"])
    assert tasks["Collect the images"]["status"] == "completed"
    visitor.go("/projects/", "projects-shared")
    expect(page.get_by_text("shared with 2 people")).to_be_visible()
    visitor.go(f"/tasks/?project={project}", "tasks-of-project")
