"""From signing up to a first task, project and model, and back again."""

import json
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from playwright.sync_api import Page, expect

from tests.browser.conftest import LOOKS, Server, Visitor, follow, press

some_looks = pytest.mark.parametrize("context", ["phone-light", "wide-dark"], indirect=True)

PASSWORD = "Owls-hunt-at-dusk"


def sign_up(visitor: Visitor, purpose: str) -> str:
    """A new account; every look has one of its own for each purpose."""
    username = f"{purpose}-{visitor.look}"
    page = visitor.page
    page.goto("/accounts/signup/")
    page.locator('[name="username"]').fill(username)
    page.locator('[name="email"]').fill(f"{username}@example.com")
    page.locator('[name="password1"]').fill(PASSWORD)
    page.locator('[name="password2"]').fill(PASSWORD)
    press(page.locator('main [type="submit"]'))
    expect(page).to_have_url(f"{visitor.server.address}/dashboard/")
    return username


def log_in(visitor: Visitor, username: str) -> None:
    visitor.page.context.clear_cookies()
    visitor.page.goto("/accounts/login/")
    visitor.page.locator('[name="login"]').fill(username)
    visitor.page.locator('[name="password"]').fill(PASSWORD)
    press(visitor.page.locator('main [type="submit"]'))
    expect(visitor.page).to_have_url(f"{visitor.server.address}/dashboard/")


def records(server: Server, collection: str, username: str) -> list[dict[str, Any]]:
    """The records in the file, as a person would find them there."""
    name = f"{collection}_{server.user_id(username)}.json"
    found: list[dict[str, Any]] = json.loads(Path(server.documents, collection, name).read_text())[
        collection
    ]
    return found


def test_a_stranger_finds_the_way_in(visitor: Visitor) -> None:
    visitor.go("/", "home")
    page = visitor.page
    expect(page.get_by_text("data/tasks/tasks_7.json")).to_be_visible()
    follow(page.get_by_role("main").get_by_role("link", name="Sign up"))
    visitor.look_at("signup")
    visitor.go("/accounts/login/", "login")
    visitor.go("/accounts/password/reset/", "password-reset")
    visitor.go("/no/such/page/", "404")
    visitor.go("/accounts/api/docs/", "api-docs")


@some_looks
def test_a_stranger_chooses_a_language(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/accounts/login/?next=/tasks/")
    visitor.press("Español")
    expect(page.get_by_role("heading", name="Iniciar sesión")).to_be_visible()
    assert page.url.endswith("/accounts/login/?next=/tasks/")
    visitor.look_at("login-in-spanish")
    visitor.go("/", "home-in-spanish")
    visitor.press("English")
    expect(page.get_by_role("link", name="Sign up").first).to_be_visible()


def test_a_first_day(visitor: Visitor) -> None:
    page, server = visitor.page, visitor.server
    username = sign_up(visitor, "alice")
    visitor.look_at("dashboard-empty")
    visitor.go("/tasks/", "tasks-empty")

    visitor.go("/projects/new/", "project-new")
    page.get_by_label("Name", exact=True).fill("Reading X-rays")
    page.get_by_label("Technologies").fill("PyTorch, DICOM")
    visitor.press("Save")
    expect(page.get_by_role("status")).to_contain_text("The project was added.")
    visitor.look_at("projects")

    visitor.go("/tasks/new/", "task-new")
    page.get_by_label("Title").fill("Train the baseline")
    page.get_by_label("Priority").select_option("High")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    page.get_by_label("Due").fill(yesterday)
    page.get_by_label("Tags").fill("vision, x-ray")
    page.get_by_label("Project").select_option("Reading X-rays")
    visitor.press("Save")
    expect(page.get_by_role("status")).to_contain_text("The task was added.")
    visitor.look_at("tasks")

    visitor.go("/models/new/", "model-new")
    page.get_by_label("Name", exact=True).fill("xray-resnet50")
    page.get_by_label("Status").select_option("Active")
    page.get_by_label("Accuracy").fill("93.4")
    page.get_by_text("Advanced (JSON)").click()
    page.get_by_label("Hyperparameters").fill('{"lr": 0.0003}')
    visitor.press("Save")
    expect(page.get_by_role("status")).to_contain_text("The model was added.")
    visitor.look_at("models")

    visitor.go("/dashboard/", "dashboard")
    for text in ("Train the baseline", "Reading X-rays", "xray-resnet50"):
        expect(page.get_by_role("link", name=text)).to_be_visible()
    expect(page.get_by_text("0 of 1 tasks done")).to_be_visible()
    (task,) = records(server, "tasks", username)
    (project,) = records(server, "projects", username)
    (model,) = records(server, "models", username)
    assert (task["tags"], task["due_date"]) == (["vision", "x-ray"], yesterday)
    assert task["project_id"] == project["id"]
    assert (model["accuracy"], model["hyperparameters"]) == (93.4, {"lr": 0.0003})

    visitor.go("/tasks/")
    visitor.press("Complete Train the baseline")
    expect(page.get_by_role("status")).to_contain_text("The task was completed.")
    visitor.look_at("tasks-completed")
    assert records(server, "tasks", username)[0]["status"] == "completed"
    visitor.press("Reopen Train the baseline")
    expect(page.get_by_role("status")).to_contain_text("The task was reopened.")
    assert records(server, "tasks", username)[0]["completed_at"] is None

    follow(page.get_by_role("link", name="Train the baseline", exact=True))
    visitor.look_at("task-edit")
    page.get_by_label("Title").fill("Train it twice")
    visitor.press("Save")
    expect(page.get_by_role("status")).to_contain_text("The task was saved.")
    expect(page.get_by_role("status")).to_contain_text("The task was saved.")
    assert records(server, "tasks", username)[0]["title"] == "Train it twice"

    follow(page.get_by_role("link", name="Delete Train it twice"))
    visitor.look_at("task-delete")
    visitor.press("Delete")
    expect(page.get_by_role("status")).to_contain_text("The task was deleted.")
    assert records(server, "tasks", username) == []
    visitor.go("/dashboard/")
    expect(page.get_by_role("region", name="Latest activity")).to_contain_text("Deleted a task")

    visitor.go("/accounts/profile/", "profile")
    visitor.go("/accounts/password/change/", "password-change")
    visitor.press("Log out")
    expect(page).to_have_url(f"{server.address}/")
    page.goto("/dashboard/")
    expect(page).to_have_url(f"{server.address}/accounts/login/?next=/dashboard/")


def test_an_account_is_guarded(visitor: Visitor) -> None:
    sign_up(visitor, "heidi")
    page = visitor.page
    visitor.go("/accounts/sessions/", "sessions")
    visitor.go("/accounts/reauthenticate/", "confirm")
    visitor.go("/accounts/2fa/", "two-factor-off")
    follow(page.get_by_role("link", name="Turn on"))  # signing up has proved who asks
    visitor.look_at("two-factor-activate")
    secret = page.locator("code.secret").inner_text()
    _earlier, counter, _later = yield_hotp_counters_from_time()
    page.get_by_label("Authenticator code").fill(format_hotp_value(hotp_value(secret, counter)))
    visitor.press("Turn on")
    visitor.look_at("recovery-codes")
    code = page.locator(".codes code").first.inner_text()
    visitor.go("/accounts/2fa/", "two-factor-on")
    visitor.go("/accounts/2fa/codes/generate/", "recovery-codes-new")
    visitor.go("/accounts/2fa/totp/deactivate/", "two-factor-deactivate")
    visitor.go("/accounts/2fa/reauthenticate/", "confirm-code")

    visitor.go("/accounts/tokens/", "tokens-empty")
    page.get_by_label("Name").fill("Night job")
    visitor.press("Create token")
    expect(page.get_by_text("You will not see it again")).to_be_visible()
    visitor.look_at("token-made")
    press(page.get_by_role("button", name="Revoke"))
    visitor.look_at("token-revoked")

    visitor.press("Log out")
    page.goto("/accounts/login/")
    page.locator('[name="login"]').fill(f"heidi-{visitor.look}")
    page.locator('[name="password"]').fill(PASSWORD)
    press(page.locator('main [type="submit"]'))
    visitor.look_at("two-factor-code")
    page.get_by_label("Code").fill(code)
    press(page.get_by_role("main").get_by_role("button", name="Log in"))
    expect(page).to_have_url(f"{visitor.server.address}/dashboard/")


@some_looks
def test_a_project_is_shared(visitor: Visitor) -> None:
    page = visitor.page
    guest = sign_up(visitor, "victor")
    visitor.go("/shared/", "shared-empty")
    visitor.press("Log out")
    sign_up(visitor, "wendy")
    page.goto("/projects/new/")
    page.get_by_label("Name", exact=True).fill("Reading X-rays of the chest")
    visitor.press("Save")
    visitor.go("/projects/", "projects-one")
    follow(page.get_by_role("link", name="Members of Reading X-rays"))
    page.get_by_label("Username").fill("nobody at all")
    visitor.press("Invite")
    visitor.look_at("members-faults")
    expect(page.get_by_label("Username")).to_have_accessible_description(
        "Must be the name of an account."
    )
    page.get_by_label("Username").fill(guest)
    visitor.press("Invite")
    visitor.look_at("members-invited")
    wendys = page.url
    visitor.press("Log out")

    log_in(visitor, guest)
    visitor.look_at("dashboard-invited")
    follow(page.get_by_role("link", name="View invitations"))
    visitor.look_at("shared-invited")
    press(page.get_by_role("button", name="Accept"))
    visitor.look_at("shared")
    follow(page.get_by_role("link", name="Members"))
    visitor.look_at("members-as-viewer")
    follow(page.get_by_role("link", name="Leave"))
    visitor.look_at("member-leave")
    page.set_viewport_size({"width": 320, "height": 640})
    visitor.go("/shared/", "shared-narrow")
    page.set_viewport_size({"width": LOOKS[visitor.look][0], "height": LOOKS[visitor.look][1]})
    visitor.press("Log out")

    log_in(visitor, f"wendy-{visitor.look}")
    visitor.go(wendys)
    press(page.get_by_role("button", name="Make editor"))
    visitor.look_at("members-editor")
    follow(page.get_by_role("link", name="Remove"))
    visitor.look_at("member-remove")
    page.goto(wendys)
    follow(page.get_by_role("link", name="Transfer"))
    visitor.look_at("member-hand-over")
    visitor.press("Offer the project")
    visitor.look_at("members-offered")
    visitor.press("Log out")

    log_in(visitor, guest)
    visitor.go("/shared/", "shared-offered")
    follow(page.get_by_role("link", name="Take over"))
    visitor.look_at("offer")
    visitor.press("Take over")
    visitor.look_at("project-taken-over")


def test_faults_are_shown_at_their_fields(visitor: Visitor) -> None:
    sign_up(visitor, "bob")
    page = visitor.page
    page.goto("/tasks/new/")
    page.get_by_label("Due").fill("some day")
    page.get_by_text("Advanced (JSON)").click()
    page.get_by_label("Metadata").fill('{\n  "seed": seven\n}')
    visitor.press("Save")
    visitor.look_at("task-faults")
    expect(page.get_by_label("Title")).to_have_accessible_description(
        "Must be a text of 1 to 200 characters."
    )
    expect(page.get_by_label("Metadata")).to_be_visible()
    expect(page.get_by_label("Metadata")).to_have_value('{\n  "seed": seven\n}')
    expect(page.locator("#id_metadata_error")).to_contain_text("Line 2, column 11")


@some_looks
def test_two_windows_that_edit_the_same_task_lose_nothing(visitor: Visitor) -> None:
    sign_up(visitor, "dora")
    page = visitor.page
    page.goto("/tasks/new/")
    page.get_by_label("Title").fill("Shared")
    visitor.press("Save")
    expect(page.get_by_role("status")).to_contain_text("The task was added.")
    page.goto("/tasks/1/edit/")
    other = page.context.new_page()
    other.goto("/tasks/1/edit/")
    other.get_by_label("Title").fill("Theirs")
    press(other.get_by_role("button", name="Save"))
    expect(other.get_by_role("status")).to_contain_text("The task was saved.")
    page.get_by_label("Title").fill("Mine")
    visitor.press("Save")
    choice = page.get_by_role("group", name="Title")
    expect(choice).to_contain_text("Theirs")
    visitor.look_at("task-conflict")
    expect(choice.get_by_role("textbox", name="Title")).to_have_value("Mine")
    visitor.press("Save selection")
    expect(page.get_by_role("link", name="Mine", exact=True)).to_be_visible()


@some_looks
def open_until(page: Page, address: str, text: str) -> None:
    """Open a page until it shows the text.

    A file edited by hand is looked at once nothing is on its way to it any more.
    """
    deadline = time.monotonic() + 20
    while True:
        page.goto(address)
        if page.get_by_text(text).count():
            return
        assert time.monotonic() < deadline, text


def test_a_file_that_cannot_be_read_is_told_where_it_matters(visitor: Visitor) -> None:
    username = sign_up(visitor, "erin")
    page, server = visitor.page, visitor.server
    page.goto("/tasks/new/")
    page.get_by_label("Title").fill("Will be spoilt")
    visitor.press("Save")
    path = server.documents / "tasks" / f"tasks_{server.user_id(username)}.json"
    path.write_text('{\n  "tasks": [,\n')
    open_until(page, "/tasks/", f"tasks/{path.name} cannot be read.")
    expect(page.get_by_role("link", name="Will be spoilt", exact=True)).to_be_visible()
    visitor.look_at("tasks-unreadable")
    visitor.go("/dashboard/", "dashboard-unreadable")
    expect(page.get_by_role("link", name="Add a model").first).to_be_visible()
    assert path.read_text() == '{\n  "tasks": [,\n'


def test_ones_own_files(visitor: Visitor) -> None:
    username = sign_up(visitor, "mallory")
    page, server = visitor.page, visitor.server
    for number in range(3):
        page.goto("/tasks/new/")
        page.get_by_label("Title").fill(f"Label batch {number}")
        visitor.press("Save")
        expect(page.get_by_role("status")).to_contain_text("The task was added.")
    visitor.go("/accounts/profile/")
    follow(page.get_by_role("main").get_by_role("link", name="My files"))
    visitor.look_at("files")
    with page.expect_download() as begun:
        page.get_by_role("link", name="Download tasks/").click()
    path = server.documents / "tasks" / f"tasks_{server.user_id(username)}.json"
    assert begun.value.suggested_filename == path.name
    assert begun.value.path().read_bytes() == path.read_bytes()
    follow(page.get_by_role("link", name="Tasks", exact=True).last)
    visitor.look_at("file")
    region = page.get_by_role("region", name=f"tasks/{path.name}")
    assert region.inner_text() == path.read_text()
    region.focus()
    page.keyboard.press("End")
    page.evaluate(  # not wait_for_function: the page's policy lets no text become a program
        "() => new Promise(done => { const look = () =>"
        " document.activeElement.scrollTop > 0 ? done() : requestAnimationFrame(look); look(); })"
    )
    path.write_text(
        json.dumps({"tasks": [{"id": 1, "title": "Label batch one"}, {"title": "Review labels"}]})
    )
    open_until(page, "/files/", "names no revision")
    visitor.look_at("files-set-aside")
    follow(page.get_by_role("link", name="Compare"))
    visitor.look_at("file-version")
    changed = page.get_by_role("region", name="Changed fields")
    expect(changed).to_contain_text("Label batch one")
    visitor.press("Use my version")
    expect(page.get_by_role("status")).to_contain_text("Your version was applied.")
    path.write_text('{\n  "tasks": [,\n')
    open_until(page, "/files/", "Line 2, column 13")
    visitor.look_at("files-unreadable")
    visitor.go("/files/tasks/", "file-unreadable")
    expect(page.get_by_text("Line 2, column 13").first).to_be_visible()


_MAKE_STAFF = """
import sys, django
django.setup()
from accounts.models import User
User.objects.filter(username=sys.argv[1]).update(is_staff=True)
"""


def test_the_operators_page(visitor: Visitor) -> None:
    username = sign_up(visitor, "olga")
    server = visitor.server
    server.run("-c", _MAKE_STAFF, username)
    visitor.go("/operator/", "operator")
    stray = server.documents / "tasks" / "a stray file.txt"
    stray.touch()
    with suppress(CalledProcessError):  # it found something
        server.run("manage.py", "setup_data", "--validate", "--stats", "--backup")
    stray.unlink()
    visitor.go("/operator/", "operator-findings")
    expect(visitor.page.get_by_text("tasks/a stray file.txt")).to_be_visible()


@some_looks
def test_the_keyboard_reaches_everything_and_shows_where_it_is(visitor: Visitor) -> None:
    sign_up(visitor, "frank")
    page = visitor.page
    page.goto("/tasks/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("main").get_by_role("link", name="New task").first).to_be_focused()
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{visitor.server.address}/tasks/new/")


@pytest.mark.parametrize("context", ["phone-light"], indirect=True)
def test_nothing_scrolls_sideways_on_the_narrowest_phone(visitor: Visitor) -> None:
    sign_up(visitor, "grace")
    page = visitor.page
    page.goto("/tasks/new/")
    page.get_by_label("Title").fill("Donaudampfschifffahrtsgesellschaftskapitänsmütze" * 3)
    page.get_by_label("Tags").fill("x" * 50)
    visitor.press("Save")
    page.set_viewport_size({"width": 320, "height": 640})
    for path in ("/", "/dashboard/", "/tasks/", "/tasks/1/edit/", "/tasks/1/delete/"):
        visitor.go(path)
        across = page.evaluate("document.documentElement.scrollWidth")
        assert across <= 320, f"{path} is {across} px wide"
