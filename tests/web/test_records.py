"""Lists and forms of tasks, projects and models. Charlie must see nothing of Alice's."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from accounts.models import User
from docstore import OutOfSpace, TooLarge, Unavailable
from tests.folders import exact
from tests.web.pages import OLD_MODELS, OLD_PROJECTS, OLD_TASKS, text_of, version_in, write_document
from utils.json_storage import json_storage
from workspace.schema.validation import COLLECTIONS, RECORD_COLLECTIONS

ATTACKS = ["<script>alert(1)</script>", "{{7*7}}", '"><img src=x onerror=alert(1)>']
NAMES = {"tasks": "title", "projects": "name", "models": "name"}


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def task(alice: User) -> dict[str, Any]:
    return json_storage.create("tasks", alice.pk, {"title": "Train", "tags": ["vision"]})


def as_typed(collection: str, **values: Any) -> dict[str, Any]:
    """What a browser sends for a new record in which only these values were entered."""
    defaults = {"tasks": {"priority": "medium", "status": "pending"}}
    defaults["projects"] = {"priority": "medium", "status": "active"}
    defaults["models"] = {"model_type": "classification", "status": "draft"}
    names = [field.name for field in COLLECTIONS[collection].writable]
    return dict.fromkeys(set(names) - {"is_public"}, "") | defaults[collection] | values


def edit_of(client: Client, address: str) -> dict[str, Any]:
    """What a browser sends for a form in which nothing was typed."""
    return sent_by(client.get(address))


def sent_by(page: Any) -> dict[str, Any]:
    """What a browser sends for the form of a page as it is, its hidden fields included."""
    form = page.context["form"]
    typed = {bound.name: bound.value() for bound in form if bound.value() is not False}
    hidden = re.findall(
        r'<input type="hidden" name="(initial-[^"]+)" value="([^"]*)"', page.content.decode()
    )
    return (
        typed
        | {name: html.unescape(value) for name, value in hidden}
        | {"version": version_in(page)}
    )


def last_activity(user: User) -> dict[str, Any]:
    return json_storage.activities(user.pk, 1)[0]


# Adding


@pytest.mark.parametrize("collection", RECORD_COLLECTIONS)
def test_it_works(browser: Client, alice: User, collection: str, data_folder: Path) -> None:
    assert browser.get(f"/{collection}/new/").status_code == 200
    name = NAMES[collection]
    page = browser.post(f"/{collection}/new/", as_typed(collection, **{name: "The first"}))
    assert page.status_code == 302
    assert page["Location"] == f"/{collection}/"
    assert "The first" in text_of(browser.get(f"/{collection}/"))
    path = data_folder / collection / f"{collection}_{alice.pk}.json"
    (record,) = json.loads(exact(path).read_text())[collection]
    assert {field.name: record[field.name] for field in COLLECTIONS[collection].writable} == {
        field.name: "The first" if field.name == name else field.default
        for field in COLLECTIONS[collection].writable
    }


@pytest.mark.parametrize("collection", RECORD_COLLECTIONS)
def test_adding_is_logged_with_where_it_came_from(
    browser: Client, alice: User, collection: str
) -> None:
    typed = as_typed(collection, **{NAMES[collection]: "The first"})
    browser.post(f"/{collection}/new/", typed, headers={"User-Agent": "Tester/1"})
    activity = last_activity(alice)
    singular = COLLECTIONS[collection].singular
    assert activity["type"] == f"{singular}_created"
    assert activity["description"] == f"Added {singular} “The first”"
    assert activity["metadata"] == {
        "id": 1,
        "ip_address": "127.0.0.1",
        "user_agent": "Tester/1",
    }


def test_everything_that_can_be_typed_arrives(browser: Client, alice: User) -> None:
    project = json_storage.create("projects", alice.pk, {"name": "X-rays"})["id"]
    typed = {
        "title": "  Train  ",
        "description": "Two\r\nlines",
        "priority": "critical",
        "status": "in_progress",
        "category": "experiments",
        "due_date": "2026-12-01 09:30",
        "tags": 'vision, "one, two",, data',
        "project_id": str(project),
        "metadata": '{"seed": 7, "grid": [1, 2.5]}',
    }
    assert browser.post("/tasks/new/", typed).status_code == 302
    record = json_storage.get("tasks", alice.pk, 1)
    assert (
        record
        | {
            "title": "Train",
            "description": "Two\nlines",
            "due_date": "2026-12-01T09:30:00.000000Z",
            "tags": ["vision", "one, two", "data"],
            "project_id": project,
            "metadata": {"seed": 7, "grid": [1, 2.5]},
        }
        == record
    )


def test_a_time_may_be_typed_in_plain_words_of_ones_zone(browser: Client, alice: User) -> None:
    typed = as_typed("tasks", title="Train", due_date="3 Feb 2031 17:00", zone="Europe/Madrid")
    assert browser.post("/tasks/new/", typed).status_code == 302
    assert json_storage.get("tasks", alice.pk, 1)["due_date"] == "2031-02-03T16:00:00.000000Z"
    page = browser.post("/tasks/1/edit/", as_typed("tasks", title="Train", due_date="fri or so"))
    assert "tomorrow" in page.context["form"].errors["due_date"][0]


def test_all_faults_are_told_at_their_fields_and_nothing_typed_is_lost(
    browser: Client, alice: User
) -> None:
    typed = as_typed(
        "tasks",
        title="",
        due_date="some day",
        priority="urgent",
        tags="x" * 60,
        metadata='{\n  "a": 1,\n}',
        description="Long thoughts",
    )
    page = browser.post("/tasks/new/", typed)
    assert page.status_code == 422
    faults = page.context["form"].errors
    assert set(faults) == {"title", "due_date", "priority", "tags", "metadata"}
    assert faults["title"] == ["Must be a text of 1 to 200 characters."]
    assert faults["metadata"][0].startswith("Line ")
    body = page.content.decode()
    assert 'aria-describedby="id_title_error"' in body
    assert 'id="id_title_error"' in body
    assert "some day" in body and "Long thoughts" in body and "x" * 60 in body
    assert "<details" in body and "open>" in body
    assert json_storage.list("tasks", alice.pk) == []


@pytest.mark.parametrize(
    "metadata", ['{"a": NaN}', '{"a": 1, "a": 2}', "[1]", "7", "{" * 100, '{"a": 1e999}', "\x00"]
)
def test_json_that_is_not_an_object_or_not_strict_is_refused(
    browser: Client, alice: User, metadata: str
) -> None:
    page = browser.post("/tasks/new/", as_typed("tasks", title="Train", metadata=metadata))
    assert page.status_code == 422
    assert list(page.context["form"].errors) == ["metadata"]


def test_a_form_of_more_than_a_megabyte_is_refused_with_the_reason(
    browser: Client, alice: User
) -> None:
    typed = as_typed("tasks", title="Train", description="x" * 2**20)
    encoded = urlencode(typed)
    page = browser.post("/tasks/new/", encoded, "application/x-www-form-urlencoded")
    assert page.status_code == 413
    assert "larger than 1 MB" in text_of(page)
    assert json_storage.list("tasks", alice.pk) == []


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "101", "many", "1" * 5000])
def test_numbers_out_of_bounds_are_refused(browser: Client, alice: User, number: str) -> None:
    page = browser.post("/models/new/", as_typed("models", name="resnet", accuracy=number))
    assert page.status_code == 422
    assert list(page.context["form"].errors) == ["accuracy"]


def test_a_project_of_somebody_else_is_refused(browser: Client, charlie: User) -> None:
    project = json_storage.create("projects", charlie.pk, {"name": "Secret"})["id"]
    assert "Secret" not in browser.get("/tasks/new/").content.decode()
    typed = as_typed("tasks", title="Train", project_id=str(project))
    page = browser.post("/tasks/new/", typed)
    assert page.status_code == 422
    assert "project_id" in page.context["form"].errors


# Changing


def test_an_edit_changes_what_was_typed_and_nothing_else(
    browser: Client, alice: User, task: dict[str, Any]
) -> None:
    json_storage.update("tasks", alice.pk, 1, {"x_own": {"kept": True}}, unknown="keep")
    typed = edit_of(browser, "/tasks/1/edit/") | {"title": "Train twice"}
    page = browser.post("/tasks/1/edit/", typed)
    assert page.status_code == 302
    record = json_storage.get("tasks", alice.pk, 1)
    assert record["title"] == "Train twice"
    assert record["x_own"] == {"kept": True}
    assert record["tags"] == ["vision"]
    assert last_activity(alice)["type"] == "task_updated"


def test_form_saved_unchanged_stores_same_values(browser: Client, alice: User) -> None:
    data = {
        "name": "Everything",
        "description": "one\r\ntwo",
        "team_members": ["Bob", {"name": "Charlie"}, 7, 'says "hi", often'],
        "technologies": ["a, b", "plain"],
        "budget": 1e22,
        "start_date": "2026-01-01T10:00:00.123456Z",
        "end_date": "2026-01-02",
        "metadata": {"deep": [1, {"x": None}]},
    }
    before = json_storage.create("projects", alice.pk, data)
    page = browser.get("/projects/1/edit/")
    form = type(page.context["form"])(
        COLLECTIONS["projects"], edit_of(browser, "/projects/1/edit/"), stored=before
    )
    assert form.is_valid()
    assert form.changes() == {}


def test_members_that_are_no_names_survive_an_edit(browser: Client, alice: User) -> None:
    members = ["Bob", {"name": "Charlie", "role": "data"}, 7]
    json_storage.create("projects", alice.pk, {"name": "X-rays", "team_members": members})
    typed = edit_of(browser, "/projects/1/edit/") | {"team_members": "Bob, Dora"}
    assert browser.post("/projects/1/edit/", typed).status_code == 302
    record = json_storage.get("projects", alice.pk, 1)
    assert record["team_members"] == ["Bob", "Dora", {"name": "Charlie", "role": "data"}, 7]


def test_an_edit_that_meets_a_newer_record_shows_both_and_loses_nothing(
    browser: Client, alice: User, task: dict[str, Any]
) -> None:
    typed = edit_of(browser, "/tasks/1/edit/") | {"title": "Mine", "description": "My thoughts"}
    json_storage.update("tasks", alice.pk, 1, {"title": "Theirs", "priority": "high"})
    page = browser.post("/tasks/1/edit/", typed)
    assert page.status_code == 409
    words = text_of(page)
    assert "changed this while you were editing" in words
    assert "Title Theirs Theirs Yours" in words
    assert 'value="Mine"' in page.content.decode()
    assert "My thoughts" in page.content.decode()
    assert "Priority High" in words  # what only they changed is told, and not asked about
    assert json_storage.get("tasks", alice.pk, 1)["title"] == "Theirs"
    assert browser.post("/tasks/1/edit/", sent_by(page)).status_code == 302
    assert json_storage.get("tasks", alice.pk, 1)["title"] == "Mine"


def test_edit_conflict_is_resolved_by_field(
    browser: Client, alice: User, task: dict[str, Any]
) -> None:
    typed = edit_of(browser, "/tasks/1/edit/") | {"title": "Mine", "description": "My thoughts"}
    json_storage.update("tasks", alice.pk, 1, {"title": "Theirs", "description": "Their thoughts"})
    page = browser.post("/tasks/1/edit/", typed)
    asked = {each.name: each.both for each in page.context["form"].differences}
    assert asked == {"keep-title": True, "keep-description": True}
    chosen = sent_by(page) | {"keep-title": "stored", "keep-description": "typed"}
    assert browser.post("/tasks/1/edit/", chosen).status_code == 302
    record = json_storage.get("tasks", alice.pk, 1)
    assert (record["title"], record["description"]) == ("Theirs", "My thoughts")


def test_saving_over_a_newer_record_sets_nothing_back_that_one_did_not_change(
    browser: Client, alice: User
) -> None:
    model = {"name": "Net", "description": "one\r\ntwo", "is_public": True, "metadata": {"a": [1]}}
    json_storage.create("models", alice.pk, model)
    typed = edit_of(browser, "/models/1/edit/") | {"name": "Mine"}
    theirs = {
        "name": "Theirs",
        "description": "three\r\nfour",
        "is_public": False,
        "accuracy": 97.5,
        "metadata": {"a": [1, 2]},
    }
    newer = json_storage.update("models", alice.pk, 1, theirs)
    page = browser.post("/models/1/edit/", typed)
    assert page.status_code == 409
    assert [each.field.name for each in page.context["form"].differences] == ["name"]
    # Once more: neither page makes what the first one showed into something that was typed.
    json_storage.update("models", alice.pk, 1, {"status": "training"})
    page = browser.post("/models/1/edit/", sent_by(page))
    assert page.status_code == 409
    assert browser.post("/models/1/edit/", sent_by(page)).status_code == 302
    kept = newer | {"name": "Mine", "status": "training"}
    saved = json_storage.get("models", alice.pk, 1)
    assert saved == kept | {"updated_at": saved["updated_at"]}


def test_a_fault_in_the_form_does_not_hide_that_the_record_was_changed(
    browser: Client, alice: User, task: dict[str, Any]
) -> None:
    typed = edit_of(browser, "/tasks/1/edit/") | {"title": ""}
    json_storage.update("tasks", alice.pk, 1, {"title": "Theirs", "priority": "high"})
    page = browser.post("/tasks/1/edit/", typed)
    assert page.status_code == 422
    page = browser.post("/tasks/1/edit/", sent_by(page) | {"title": "Mine"})
    assert page.status_code == 409
    assert browser.post("/tasks/1/edit/", sent_by(page)).status_code == 302
    record = json_storage.get("tasks", alice.pk, 1)
    assert (record["title"], record["priority"]) == ("Mine", "high")


def test_an_edit_without_a_version_is_a_conflict(
    browser: Client, alice: User, task: dict[str, Any]
) -> None:
    page = browser.post("/tasks/1/edit/", as_typed("tasks", title="Forged"))
    assert page.status_code == 409


def test_completing_by_an_edit_is_logged_as_completing(
    browser: Client, alice: User, task: dict[str, Any]
) -> None:
    typed = edit_of(browser, "/tasks/1/edit/") | {"status": "completed"}
    browser.post("/tasks/1/edit/", typed)
    assert last_activity(alice)["type"] == "task_completed"


# Completing, deleting


def test_a_task_is_completed_and_taken_up_again(
    browser: Client, alice: User, task: dict[str, Any]
) -> None:
    page = browser.post("/tasks/1/complete/", {"next": "/tasks/?status=pending"})
    assert page["Location"] == "/tasks/?status=pending"
    record = json_storage.get("tasks", alice.pk, 1)
    assert record["status"] == "completed" and record["completed_at"]
    assert last_activity(alice)["type"] == "task_completed"
    browser.post("/tasks/1/complete/", {"reopen": "yes"})
    record = json_storage.get("tasks", alice.pk, 1)
    assert record["status"] == "pending" and record["completed_at"] is None
    assert last_activity(alice)["type"] == "task_updated"


@pytest.mark.parametrize("away", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_completing_never_leads_elsewhere(browser: Client, task: dict[str, Any], away: str) -> None:
    assert browser.post("/tasks/1/complete/", {"next": away})["Location"] == "/tasks/"


def test_a_form_leads_back_to_where_it_was_opened(browser: Client, task: dict[str, Any]) -> None:
    """The filtered page of the list, also by way of the question before deleting."""
    back = "/tasks/?status=pending&page=1"
    here = urlencode({"next": back})
    assert html.escape(f"/tasks/1/edit/?{here}") in browser.get(back).content.decode()
    form = browser.get(f"/tasks/1/edit/?{here}")
    assert form.context["back"] == back
    typed = sent_by(form) | {"title": "Trained", "next": back}
    assert browser.post("/tasks/1/edit/", typed)["Location"] == back
    question = browser.get(f"/tasks/1/delete/?{here}")
    version = version_in(question)
    gone = browser.post("/tasks/1/delete/", {"version": version, "next": back})
    assert gone["Location"] == back


@pytest.mark.parametrize(
    "away", ["//evil.example/", "https://evil.example/", "evil", "/\\evil.example"]
)
def test_a_form_never_leads_elsewhere(browser: Client, task: dict[str, Any], away: str) -> None:
    form = browser.get(f"/tasks/1/edit/?{urlencode({'next': away})}")
    assert form.context["back"] == "/tasks/"
    assert browser.post("/tasks/1/edit/", sent_by(form) | {"next": away})["Location"] == "/tasks/"


def test_only_tasks_can_be_completed(browser: Client, alice: User) -> None:
    json_storage.create("models", alice.pk, {"name": "resnet"})
    assert browser.post("/models/1/complete/").status_code == 404


@pytest.mark.parametrize("collection", RECORD_COLLECTIONS)
def test_deleting_asks_first(browser: Client, alice: User, collection: str) -> None:
    json_storage.create(collection, alice.pk, {NAMES[collection]: "Unloved"})
    page = browser.get(f"/{collection}/1/delete/")
    assert "Unloved" in text_of(page)
    assert len(json_storage.list(collection, alice.pk)) == 1
    answer = browser.post(f"/{collection}/1/delete/", {"version": version_in(page)})
    assert answer.status_code == 302
    assert json_storage.list(collection, alice.pk) == []
    assert last_activity(alice)["type"] == f"{COLLECTIONS[collection].singular}_deleted"


def test_delete_of_record_changed_since_responds_409(
    browser: Client, alice: User, task: dict[str, Any]
) -> None:
    version = version_in(browser.get("/tasks/1/delete/"))
    json_storage.update("tasks", alice.pk, 1, {"title": "Precious now"})
    page = browser.post("/tasks/1/delete/", {"version": version})
    assert page.status_code == 409
    assert "Precious now" in text_of(page)
    assert len(json_storage.list("tasks", alice.pk)) == 1


def test_changes_are_never_made_by_looking(
    browser: Client, alice: User, task: dict[str, Any]
) -> None:
    assert browser.get("/tasks/1/complete/").status_code == 405
    browser.get("/tasks/1/delete/")
    assert json_storage.get("tasks", alice.pk, 1) == task


# Whose


@pytest.mark.parametrize("collection", RECORD_COLLECTIONS)
def test_charlie_gets_404_for_what_is_alices(
    client: Client, alice: User, charlie: User, collection: str
) -> None:
    record = json_storage.create(collection, alice.pk, {NAMES[collection]: "Private"})
    client.force_login(charlie)
    for action in ("edit", "delete"):
        assert client.get(f"/{collection}/1/{action}/").status_code == 404
        assert client.post(f"/{collection}/1/{action}/", {"version": "x"}).status_code == 404
    assert client.post(f"/{collection}/1/complete/").status_code == 404
    assert "Private" not in text_of(client.get(f"/{collection}/"))
    assert json_storage.get(collection, alice.pk, 1) == record


@pytest.mark.parametrize(
    "address", ["", "new/", "1/edit/", "1/delete/"], ids=["list", "new", "edit", "delete"]
)
def test_strangers_are_sent_to_log_in(client: Client, db: None, address: str) -> None:
    page = client.get(f"/tasks/{address}")
    assert page.status_code == 302
    assert page["Location"].startswith("/accounts/login/?next=/tasks/")


# Lists


def test_lists_are_narrowed_and_sorted(browser: Client, alice: User) -> None:
    for title, priority, due, status in [
        ("Bread", "low", "2026-12-03", "pending"),
        ("apples", "critical", None, "completed"),
        ("Cheese", "high", "2026-12-01", "pending"),
    ]:
        data = {"title": title, "priority": priority, "due_date": due, "status": status}
        json_storage.create("tasks", alice.pk, data)

    def shown(query: str) -> list[str]:
        return [row.title for row in browser.get(f"/tasks/?{query}").context["page"].object_list]

    assert shown("") == ["Cheese", "apples", "Bread"]
    assert shown("sort=title") == ["apples", "Bread", "Cheese"]
    assert shown("sort=due") == ["Cheese", "Bread", "apples"]
    assert shown("sort=priority") == ["apples", "Cheese", "Bread"]
    assert shown("status=pending&sort=due") == ["Cheese", "Bread"]
    assert shown("q=CHEE") == ["Cheese"]
    assert shown("q=nothing") == []
    assert shown("status=nonsense&sort=nonsense&page=nonsense") == ["Cheese", "apples", "Bread"]


def test_lists_come_in_pages_of_fifty_that_keep_the_filter(
    browser: Client, alice: User, data_folder: Path
) -> None:
    tasks = [{"title": f"Task {number}", "id": number} for number in range(1, 122)]
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", {"tasks": tasks})
    json_storage.close()
    page = browser.get("/tasks/?status=pending&sort=title&page=2")
    assert len(page.context["page"].object_list) == 50
    words = text_of(page)
    assert "51 to 100 of 121" in words
    assert "Page 2 of 3" in words
    assert "?status=pending&amp;sort=title&amp;page=3" in page.content.decode()


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_stays_text_everywhere(browser: Client, alice: User, attack: str) -> None:
    json_storage.create("projects", alice.pk, {"name": attack, "technologies": [attack]})
    data = {"title": attack, "description": attack, "tags": [attack], "project_id": 1}
    json_storage.create("tasks", alice.pk, data | {"category": attack, "metadata": {"a": attack}})
    json_storage.create("models", alice.pk, {"name": attack, "model_type": attack})
    json_storage.update_user_activity(alice.pk, attack, attack)
    pages = ["/dashboard/", f"/tasks/?q={attack}"]
    for collection in RECORD_COLLECTIONS:
        pages += [f"/{collection}/", f"/{collection}/1/edit/", f"/{collection}/1/delete/"]
    for address in pages:
        body = browser.get(address).content.decode()
        assert "<script>" not in body and "<img src=x" not in body
        assert attack in text_of(browser.get(address)) or address.endswith("/edit/")
        assert ">49<" not in body


def test_an_address_in_a_text_is_no_link(browser: Client, alice: User) -> None:
    json_storage.create("tasks", alice.pk, {"title": "javascript:alert(1)"})
    for address in ("/tasks/", "/dashboard/", "/tasks/1/edit/"):
        assert 'href="javascript' not in browser.get(address).content.decode()


# Old folders


@pytest.fixture
def old_folder(alice: User, data_folder: Path) -> Iterator[Path]:
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", OLD_TASKS)
    write_document(data_folder, f"projects/projects_{alice.pk}.json", OLD_PROJECTS)
    write_document(data_folder, f"models/models_{alice.pk}.json", OLD_MODELS)
    json_storage.close()
    yield data_folder


def test_old_records_are_shown_whatever_they_lack(browser: Client, old_folder: Path) -> None:
    words = text_of(browser.get("/tasks/"))
    for shown in ("From long ago", "Stuck", "Urgent priority", "some day", "Untitled task"):
        assert shown in words
    assert "Projects" in text_of(browser.get("/projects/"))
    assert "Older" in text_of(browser.get("/models/"))


@pytest.mark.parametrize("address", ["tasks/1", "tasks/2", "tasks/3", "projects/5", "models/1"])
def test_old_records_can_be_opened_and_saved(
    browser: Client, alice: User, old_folder: Path, address: str
) -> None:
    collection, number = address.split("/")
    typed = edit_of(browser, f"/{address}/edit/")
    page = browser.post(f"/{address}/edit/", typed | {"description": "Now described"})
    assert page.status_code == 302, page.context["form"].errors
    record = json_storage.get(collection, alice.pk, int(number))
    assert record["description"] == "Now described"


def test_a_choice_that_is_not_in_the_table_stays_until_it_is_changed(
    browser: Client, alice: User, old_folder: Path
) -> None:
    typed = edit_of(browser, "/tasks/3/edit/")
    assert typed["status"] == "stuck"
    assert "stuck (no longer exists)" in text_of(browser.get("/tasks/3/edit/"))
    browser.post("/tasks/3/edit/", typed | {"title": "Less odd"})
    record = json_storage.get("tasks", alice.pk, 3)
    assert (record["title"], record["status"]) == ("Less odd", "stuck")


# When the store refuses


def test_a_document_that_cannot_be_read_is_told_with_its_place(
    browser: Client, client: Client, alice: User, charlie: User, data_folder: Path
) -> None:
    path = write_document(data_folder, f"tasks/tasks_{alice.pk}.json", '{"tasks": [\n  {]\n')
    json_storage.close()
    for address in ("/tasks/", "/tasks/1/edit/", "/tasks/1/delete/"):
        page = browser.get(address)
        assert page.status_code == 503
        words = text_of(page)
        assert f"tasks/tasks_{alice.pk}.json cannot be read" in words
        assert "Line 2, column 4" in words
        assert "The file is unchanged" in words
    page = browser.post("/tasks/new/", as_typed("tasks", title="Typed in vain"))
    assert page.status_code == 503
    assert "Typed in vain" in page.content.decode()
    assert exact(path).read_text() == '{"tasks": [\n  {]\n'
    assert browser.get("/projects/").status_code == 200
    client.force_login(charlie)
    assert client.post("/tasks/new/", as_typed("tasks", title="Mine")).status_code == 302


def test_tasks_are_listed_while_the_projects_cannot_be_read(
    browser: Client, alice: User, data_folder: Path
) -> None:
    json_storage.create("projects", alice.pk, {"name": "X-rays"})
    json_storage.create("tasks", alice.pk, {"title": "Train", "project_id": 1})
    json_storage.close()
    write_document(data_folder, f"projects/projects_{alice.pk}.json", "[")
    page = browser.get("/tasks/")
    assert page.status_code == 200
    assert "#1" in text_of(page)
    typed = edit_of(browser, "/tasks/1/edit/") | {"title": "Train on"}
    assert browser.post("/tasks/1/edit/", typed).status_code == 302
    assert json_storage.get("tasks", alice.pk, 1)["project_id"] == 1


@pytest.mark.parametrize(
    ("fault", "status"),
    [(OutOfSpace("disk"), 507), (Unavailable("lock", 7), 503), (TooLarge("large"), 413)],
)
def test_a_form_comes_back_whole_when_it_cannot_be_saved(
    browser: Client,
    task: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
    status: int,
) -> None:
    typed = edit_of(browser, "/tasks/1/edit/") | {"description": "Hours of work"}

    def refuse(*_: object, **__: object) -> None:
        raise fault

    for change in ("create", "update", "delete"):
        monkeypatch.setattr(type(json_storage), change, refuse)
    for address in ("/tasks/new/", "/tasks/1/edit/"):
        page = browser.post(address, typed)
        assert page.status_code == status
        assert "Hours of work" in page.content.decode()
        assert 'class="notice' in page.content.decode()
    assert browser.post("/tasks/1/delete/", typed).status_code == status
    if status == 503:
        assert page["Retry-After"] == "7"


def test_model_form_unusual_metrics_require_confirmation(browser: Client, alice: User) -> None:
    typed = {"name": "vit", "status": "draft", "model_type": "classification"}
    typed["performance_metrics"] = '{\n  "loss": [1, 0.5],\n  "f1": 91\n}'
    refused = browser.post("/models/new/", typed)
    assert refused.status_code == 422
    words = text_of(refused)
    assert "Line 3, column 9: “f1” is usually a number from 0 to 1." in words
    assert "Save anyway" in words
    # Nothing is usual in a type that is not known but what is so in all.
    assert browser.post("/models/new/", typed | {"model_type": "my own"}).status_code == 302
    assert browser.post("/models/new/", typed | {"unusual": "yes"}).status_code == 302
    assert json_storage.get("models", alice.pk, 2)["performance_metrics"]["f1"] == 91


def test_model_form_stored_unusual_metrics_save_without_warning(
    browser: Client, alice: User
) -> None:
    metrics = {"f1": 91}
    json_storage.create("models", alice.pk, {"name": "vit", "performance_metrics": metrics})
    page = browser.get("/models/1/edit/")
    typed = {bound.html_name: bound.value() or "" for bound in page.context["form"]}
    typed |= {"version": version_in(page), "description": "Odd."}
    assert browser.post("/models/1/edit/", typed).status_code == 302
    stored = json_storage.get("models", alice.pk, 1)
    assert (stored["description"], stored["performance_metrics"]) == ("Odd.", metrics)
