"""My files: what is listed, shown and handed over, and to whom."""

import html
import json
import re
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.test import Client

from accounts.models import User
from tests.folders import contents, exact
from tests.web.pages import text_of, write_document
from utils.data_initializer import data_initializer
from utils.json_storage import json_storage
from workspace.archive.user_files import OWN_FILES, SHOWN_BYTES
from workspace.file_edits import asides_of


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def shown(page: HttpResponse) -> str:
    """What stands in the region that shows the file."""
    found = re.search(r"<pre [^>]*><code>(.*?)</code>", page.content.decode(), re.DOTALL)
    assert found
    return html.unescape(re.sub("</?mark>", "", found[1]))


def tasks_file(folder: Path, user: User) -> Path:
    return exact(folder / "tasks" / f"tasks_{user.pk}.json")


def test_each_file_is_listed_with_what_is_to_be_known(
    browser: Client, alice: User, data_folder: Path
) -> None:
    for title in ("Train", "Read"):
        json_storage.create("tasks", alice.pk, {"title": title})
    words = text_of(browser.get("/files/"))
    document = json.loads(tasks_file(data_folder, alice).read_bytes())
    assert f"tasks/tasks_{alice.pk}.json" in words
    assert f"2 records revision {document['revision']} changed" in words
    for name in ("users", "projects", "models"):
        assert f"{name}/" in words
    assert "requests/" not in words and "shared/" not in words  # not begun


@pytest.mark.parametrize("name", OWN_FILES)
def test_a_file_is_shown_and_downloaded_as_it_is(
    browser: Client, alice: User, bob: User, data_folder: Path, name: str
) -> None:
    json_storage.create("tasks", alice.pk, {"title": "</code></pre><b>&amp;'\"\\"})
    write_document(data_folder, f"shared/shared_{alice.pk}.json", {"shared": []})
    write_document(data_folder, f"activities/activities_{alice.pk}.json", {"activities": []})
    download = browser.get(f"/files/{name}/download/")
    base = "user" if name == "users" else name
    stored = exact(data_folder / name / f"{base}_{alice.pk}.json").read_bytes()
    assert download.content == stored
    assert download["Content-Type"] == "application/json"
    assert download["Content-Disposition"] == f'attachment; filename="{base}_{alice.pk}.json"'
    assert download["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in download["Cache-Control"]
    assert shown(browser.get(f"/files/{name}/")) == stored.decode()


def test_file_page_shows_unpublished_change(browser: Client, alice: User) -> None:
    json_storage.create("tasks", alice.pk, {"title": "In this moment"})
    assert "In this moment" in shown(browser.get("/files/tasks/"))
    assert b"In this moment" in browser.get("/files/tasks/download/").content


def test_a_long_file_is_shown_in_part(browser: Client, alice: User, data_folder: Path) -> None:
    tasks = [{"title": f"Müde {number}", "id": number} for number in range(1, 2000)]
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", {"tasks": tasks})
    page = browser.get("/files/tasks/")
    stored = tasks_file(data_folder, alice).read_text()
    assert SHOWN_BYTES // 2 < len(shown(page).encode()) <= SHOWN_BYTES
    assert stored.startswith(shown(page)) and shown(page).endswith("\n")
    assert "Showing the first" in text_of(page)
    assert len(page.content) < 60_000
    assert browser.get("/files/tasks/download/").content == stored.encode()


BROKEN = {
    "cut off": (b'{\n  "tasks": [,\n', 2, 13),
    "no text": (b'{\n  "tasks": "\xff\x00"\n}\n', 2, 13),
    "one endless line": (b'{"tasks": [' + b"1," * 50_000 + b"]}", 1, 100_012),
    "far below": (b'{"tasks": [\n' + b'"a",\n' * 20_000 + b"]}", 20_002, 1),
    "empty": (b"", 1, 1),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_is_shown_where_it_is_broken(
    browser: Client, alice: User, data_folder: Path, name: str
) -> None:
    content, line, column = BROKEN[name]
    path = tasks_file(data_folder, alice)
    path.write_bytes(content)
    words = text_of(browser.get("/files/"))
    assert f"Unreadable line {line}, column {column}" in words
    page = browser.get("/files/tasks/")
    assert f"Line {line}, column {column}" in text_of(page)
    assert len(shown(page)) <= 2 * SHOWN_BYTES
    marked = re.search("<mark>(.*?)</mark>", page.content.decode(), re.DOTALL)
    assert (marked is not None) == (name != "empty")
    assert browser.get("/files/tasks/download/").content == content
    assert path.read_bytes() == content


def test_a_file_without_rights_costs_itself_only(
    browser: Client, alice: User, data_folder: Path
) -> None:
    path = tasks_file(data_folder, alice)
    path.unlink()
    path.symlink_to("nowhere")  # to root, no file is without rights
    words = text_of(browser.get("/files/"))
    assert "Unreadable" in words and "projects/" in words
    assert browser.get("/files/tasks/").status_code == 503
    assert browser.get("/files/tasks/download/").status_code == 503


def test_nothing_else_can_be_asked_for(browser: Client, bob: User) -> None:
    json_storage.create("tasks", bob.pk, {"title": "Bob's"})
    for path in ("requests/", "shared/", "user/", f"tasks_{bob.pk}.json/", "..%2fusers/"):
        assert browser.get(f"/files/{path}").status_code == 404
        assert browser.get(f"/files/{path}download/").status_code == 404
    for path in ("", "tasks/", "tasks/download/"):
        page = browser.get(f"/files/{path}?owner={bob.pk}&spec=users")
        assert b"Bob" not in page.content and b"_%d.json" % bob.pk not in page.content


def test_only_its_own_place_is_marked_in_the_navigation(browser: Client, alice: User) -> None:
    page = browser.get("/files/tasks/").content.decode()
    assert re.findall(r'href="([^"]+)" aria-current="[^"]+"', page) == ["/files/"]


def test_one_must_log_in(client: Client, db: None) -> None:
    for path in ("/files/", "/files/tasks/", "/files/tasks/download/"):
        assert client.get(path)["Location"] == f"/accounts/login/?next={path}"


def test_looking_changes_nothing(browser: Client, alice: User, data_folder: Path) -> None:
    before = contents(data_folder)
    for path in ("", "tasks/", "tasks/download/"):
        browser.get(f"/files/{path}")
    assert contents(data_folder) == before


# Files edited by hand


def edited_by_hand(folder: Path, user: User, title: str) -> None:
    path = tasks_file(folder, user)
    content = json.loads(path.read_bytes())
    content["tasks"][0]["title"] = title
    path.write_text(json.dumps(content))


def test_edit_by_hand_is_listed_and_undone(browser: Client, alice: User, data_folder: Path) -> None:
    json_storage.create("tasks", alice.pk, {"title": "Train"})
    edited_by_hand(data_folder, alice, "Trained")
    page = browser.get("/files/")
    assert f"Edited tasks_{alice.pk}.json: 1 changed" in text_of(page)
    token = re.search('name="undo" value="([^"]+)"', page.content.decode())
    assert token
    browser.post("/undo/", {"undo": html.unescape(token[1])})
    assert json_storage.get("tasks", alice.pk, 1)["title"] == "Train"


@pytest.mark.parametrize(("action", "title"), [("use", "Mine"), ("discard", "Train")])
def test_version_that_was_not_merged_is_used_or_discarded(
    browser: Client, bob: User, alice: User, data_folder: Path, action: str, title: str
) -> None:
    json_storage.create("tasks", alice.pk, {"title": "Train"})
    path = tasks_file(data_folder, alice)
    path.write_text('{"tasks": [{"id": 1, "title": "Mine"}]}')
    page = browser.get("/files/")
    assert "Not applied" in text_of(page) and "names no revision" in text_of(page)
    name = re.search('name="name" value="([^"]+)"', page.content.decode())
    assert name
    other = Client()
    other.force_login(bob)
    other.post("/files/tasks/version/", {"name": name[1], "action": action})
    assert "Not applied" in text_of(browser.get("/files/"))
    done = browser.post("/files/tasks/version/", {"name": name[1], "action": action}, follow=True)
    assert "Not applied" not in text_of(done)
    assert json_storage.get("tasks", alice.pk, 1)["title"] == title
    again = browser.post("/files/tasks/version/", {"name": name[1], "action": action}, follow=True)
    assert "This version no longer exists." in text_of(again)


def version_set_aside(folder: Path, user: User, tasks: list[dict[str, object]]) -> str:
    """Save tasks in a file without a revision; return the name of the version set aside."""
    tasks_file(folder, user).write_text(json.dumps({"tasks": tasks}))
    json_storage.list("tasks", user.pk)
    ((_, aside),) = asides_of(json_storage.store, user.pk)
    return aside.name


def test_version_is_compared_with_the_current_file(
    browser: Client, bob: User, alice: User, data_folder: Path
) -> None:
    for title in ("Train", "Read", "Newest"):
        json_storage.create("tasks", alice.pk, {"title": title})
    mine: list[dict[str, object]] = [
        {"id": 1, "title": "Trained", "priority": "high", "updated_at": "2020-01-01T00:00:00Z"},
        {"title": "<b>Added</b>"},
        json_storage.get("tasks", alice.pk, 3),
    ]
    name = version_set_aside(data_folder, alice, mine)
    page = browser.get("/files/tasks/version/", {"name": name})
    words = text_of(page)
    assert "Applying your version makes 4 changes." in words
    assert "Train: Title Train Trained" in words and "Train: Priority Medium High" in words
    assert "Records that your version adds <b>Added</b>" in words
    assert "Records that your version removes Read" in words and "Updated" not in words
    link = re.search(r'href="([^"]+version/\?name=[^"]+)"', browser.get("/files/").content.decode())
    assert link and text_of(browser.get(html.unescape(link[1]))) == words
    other = Client()
    other.force_login(bob)
    refused = other.get("/files/tasks/version/", {"name": name}, follow=True)
    assert "This version no longer exists." in text_of(refused)
    used = browser.post("/files/tasks/version/", {"name": name, "action": "use"}, follow=True)
    assert "Your version was applied." in text_of(used)
    titles = [task["title"] for task in json_storage.list("tasks", alice.pk)]
    assert titles == ["Trained", "Newest", "<b>Added</b>"]


def test_long_comparison_is_shown_in_part(browser: Client, alice: User, data_folder: Path) -> None:
    json_storage.create("tasks", alice.pk, {"title": "Train", "description": "x" * 5_000})
    tasks: list[dict[str, object]] = [{"id": 1, "title": "Trained", "description": "y" * 5_000}]
    tasks += [{"title": f"Added {number}"} for number in range(1_000)]
    name = version_set_aside(data_folder, alice, tasks)
    page = browser.get("/files/tasks/version/", {"name": name})
    assert "950 more differences are not shown." in text_of(page)
    assert len(page.content) < 60_000


def test_every_page_says_that_a_file_is_broken_and_shows_its_last_state(
    browser: Client, alice: User, data_folder: Path
) -> None:
    json_storage.create("tasks", alice.pk, {"title": "Train"})
    tasks_file(data_folder, alice).write_text("{\n  no")
    words = text_of(browser.get("/tasks/"))
    assert "Train" in words and "cannot be read. Line 2, column 3" in words
    assert "You see its last valid version." in words


def test_pages_show_what_only_a_backup_has(browser: Client, alice: User, data_folder: Path) -> None:
    name = f"tasks/tasks_{alice.pk}.json"
    path = write_document(data_folder, name, {"tasks": [{"id": 1, "title": "From long ago"}]})
    data_initializer.create_backup()
    json_storage.close()
    path.write_text("{\n  no")
    words = text_of(browser.get("/tasks/"))
    form = {"title": "Refused", "status": "pending", "priority": "medium"}
    assert "From long ago" in words and "You see its last valid version." in words
    assert browser.post("/tasks/new/", form).status_code == 503
    assert path.read_text() == "{\n  no"
