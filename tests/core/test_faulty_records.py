"""A record that a hand made badly costs only itself: everything else works, and it is shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.core.pages import text_of, write_document
from utils.data_initializer import data_initializer
from utils.json_storage import json_storage

GOOD: dict[str, dict[str, Any]] = {
    "tasks": {"title": "Good", "id": 1, "due_date": "2031-02-03"},
    "projects": {"name": "Good", "id": 1},
    "models": {"name": "Good", "id": 1},
}
DIGITS = 10**400
BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "an id that no address has room for": ("tasks", {"id": 10**18}),
    "an id that no double can hold": ("tasks", {"id": 2**53}),
    "the highest id": ("tasks", {"id": 2**53 - 1}),
    "an id of 400 digits": ("tasks", {"id": DIGITS}),
    "a project with such an id": ("projects", {"id": 10**18}),
    "a model with such an id": ("models", {"id": DIGITS}),
    "references of 400 digits": ("tasks", {"id": 2, "project_id": DIGITS, "assignee": DIGITS}),
    "numbers of 400 digits": ("tasks", {"id": 2, "metadata": {"a": DIGITS}, "position": DIGITS}),
    "figures of 400 digits": (
        "models",
        {"id": 2, "accuracy": DIGITS, "performance_metrics": {"loss": DIGITS, "curve": [DIGITS]}},
    ),
    "metadata 600 deep": ("tasks", {"id": 2, "metadata": {"a": json.loads("[" * 600 + "]" * 600)}}),
    "a member of nobody": (
        "projects",
        {"id": 2, "team_members": [{"user_id": 10**30, "role": "editor", "status": "member"}]},
    ),
}
PAGES = [
    "/dashboard/",
    "/tasks/",
    "/tasks/board/",
    "/tasks/agenda/",
    "/tasks/month/?month=2031-02",
    "/tasks/?q=good",
    "/tasks/?sort=due_date",
    "/tasks/1/edit/",
    "/search/?q=good",
    "/projects/",
    "/projects/1/",
    "/models/",
    "/models/1/",
    "/models/?view=table",
    "/files/",
    "/accounts/api/tasks/",
    "/accounts/api/tasks/?q=good&sort=-position",
    "/accounts/api/tasks/1/",
    "/accounts/api/projects/",
    "/accounts/api/models/?sort=accuracy",
    "/accounts/api/dashboard/",
]


@pytest.mark.parametrize("name", BAD)
def test_bad_record_costs_only_itself(
    name: str, client: Client, alice: User, data_folder: Path
) -> None:
    collection, bad = BAD[name]
    for one, good in GOOD.items():
        records = [good, {**good, **bad}] if one == collection else [good]
        write_document(data_folder, f"{one}/{one}_{alice.pk}.json", {one: records})
    client.force_login(alice)
    for page in PAGES:
        assert client.get(page).status_code == 200, page
    for one, good in GOOD.items():
        fresh = {field: value for field, value in good.items() if field != "id"}
        made = client.post(f"/accounts/api/{one}/", fresh, content_type="application/json")
        assert made.status_code == 201 and made.json()["id"] in (2, 3), one
        changed = client.patch(f"/accounts/api/{one}/1/", fresh, content_type="application/json")
        assert changed.status_code == 200, one
    json_storage.publish()
    stored = json_storage.list(collection, alice.pk)
    assert len(stored) == 3 and stored[1].items() >= bad.items()
    people = {path.stem.rpartition("_")[2] for path in data_folder.glob("*/*_*.json")}
    assert people == {str(alice.pk)}


def test_record_with_unusable_id_is_shown_and_reported_with_the_reason(
    client: Client, alice: User, data_folder: Path
) -> None:
    tasks = {"tasks": [GOOD["tasks"], {"title": "Faulty", "id": 10**18}, {"title": "Bare"}]}
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", tasks)
    client.force_login(alice)
    words = text_of(client.get("/tasks/"))
    assert f"Faulty Its id is not valid: {10**18}." in words
    assert "Bare It has no id" in words
    findings = [str(finding) for finding in data_initializer.validate_data_integrity()]
    (told,) = [one for one in findings if "the id must be at most" in one]
    assert told.startswith(f"tasks/tasks_{alice.pk}.json:")


def test_record_nested_hundreds_deep_can_be_read_and_deleted_and_says_what_is_wrong(
    client: Client, alice: User, data_folder: Path
) -> None:
    deep = {"title": "Deep", "id": 2, "metadata": {"a": json.loads("[" * 600 + "]" * 600)}}
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", {"tasks": [GOOD["tasks"], deep]})
    client.force_login(alice)
    address = "/accounts/api/tasks/2/"
    assert client.get(address).status_code == 200
    assert client.get("/tasks/2/edit/").status_code == 200
    refused = client.patch(address, {"title": "x"}, content_type="application/json")
    assert refused.status_code == 422 and "nested deeper than 64" in refused.json()["detail"]
    assert client.delete(address).status_code == 204
    assert [task["id"] for task in json_storage.list("tasks", alice.pk)] == [1]


def test_document_nested_too_deep_to_read_names_the_place(
    client: Client, alice: User, data_folder: Path
) -> None:
    text = '{\n"tasks": [\n{"title": "[[", "id": 1, "metadata": ' + "[" * 5000 + "]" * 5000 + "}]}"
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", text)
    client.force_login(alice)
    answer = client.get("/accounts/api/tasks/")
    assert answer.status_code == 503 and "nested too deeply" in answer.json()["detail"]
    assert (answer.json()["line"], answer.json()["column"]) == (3, 99)
    assert client.get("/accounts/api/projects/").status_code == 200


def test_sign_up_works_beside_a_file_with_a_huge_number(data_folder: Path, db: None) -> None:
    write_document(data_folder, f"tasks/tasks_{10**18 - 1}.json", {"tasks": []})
    json_storage.close()
    assert User.objects.create_user("dora", "dora@example.com", "owls hunt at dusk").pk < 10**6
