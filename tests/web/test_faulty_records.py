"""A record that a hand made badly costs only itself: everything else works, and it is shown."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from docstore import Corrupt
from tests.web.pages import text_of, write_document
from utils.data_initializer import data_initializer
from utils.json_storage import json_storage
from workspace.documents import key_of

GOOD: dict[str, dict[str, Any]] = {
    "tasks": {"title": "Good", "id": 1, "due_date": "2031-02-03"},
    "projects": {"name": "Good", "id": 1},
    "models": {
        **{"name": "Good", "id": 1, "accuracy": 0.5},
        "performance_metrics": {"loss": 1, "curve": [0.5, 0.25]},
    },
}
DIGITS = 10**400


# What Python's JSON cannot write, by the text that stands for it. It is read as null.
UNREADABLE = {
    "@lists": "[" * 5000 + "]" * 5000,
    "@objects": '{"a": ' * 5000 + "1" + "}" * 5000,
    "@digits": "-" + "9" * 5000,
    "@nan": "NaN",
    "@infinity": "-Infinity",
    "@large": "1e999",
    "@half": '"\\ud83d"',
    "@halves": '{"\\ud83d": 1}',
    "@twice": '{"a": 1, "\\u0061": 2}',
}
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
        {
            **{"id": 2, "accuracy": DIGITS, "training_data_size": DIGITS},
            "performance_metrics": {"loss": -DIGITS, "curve": [0, DIGITS, 0.5, -DIGITS]},
            "hyperparameters": {"rate": DIGITS, "steps": 9 * [DIGITS]},
        },
    ),
    "figures above their range": ("models", {"id": 2, "accuracy": 150}),
    "figures below their range": ("models", {"id": 2, "accuracy": -1.7e308}),
    "a budget of 400 digits": ("projects", {"id": 2, "budget": DIGITS}),
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
# Pages of the bad record itself, if it has an address.
OWN_PAGES = {
    "tasks": ["/tasks/2/edit/", "/accounts/api/tasks/2/"],
    "projects": ["/projects/2/", "/projects/2/edit/", "/accounts/api/projects/2/"],
    "models": [
        *("/models/2/", "/models/2/edit/", "/accounts/api/models/2/"),
        *("/models/compare/?a=1&b=2", "/models/compare/?a=2&b=1"),
    ],
}


LOST: dict[str, tuple[str, dict[str, Any]]] = {
    "metadata 5,000 deep": ("tasks", {"id": 2, "metadata": "@lists"}),
    "objects 5,000 deep": ("tasks", {"id": 2, "metadata": "@objects"}),
    "a position of 5,000 digits": ("tasks", {"id": 2, "position": "@digits"}),
    "figures of 5,000 digits": (
        "models",
        {"id": 2, "performance_metrics": {"loss": ["@digits"]}, "accuracy": "@digits"},
    ),
    "no number": ("tasks", {"id": 2, "position": "@nan", "metadata": {"a": ["@infinity"]}}),
    "a number beyond doubles": ("models", {"id": 2, "accuracy": "@large"}),
    "half of a character": ("tasks", {"id": 2, "description": "@half", "metadata": "@halves"}),
    "a key twice": ("tasks", {"id": 2, "metadata": "@twice"}),
    "members 5,000 deep": ("projects", {"id": 2, "team_members": ["@objects"]}),
}


def write_records(folder: Path, collection: str, owner: int, records: list[Any]) -> Path:
    """Write a document, with what Python cannot write."""
    text = json.dumps({collection: records}, indent=2)
    for name, raw in UNREADABLE.items():
        text = text.replace(f'"{name}"', raw)
    return write_document(folder, f"{collection}/{collection}_{owner}.json", text)


@pytest.mark.parametrize("name", LOST)
def test_record_with_a_value_that_cannot_be_read_costs_only_that_value(
    name: str, client: Client, alice: User, data_folder: Path
) -> None:
    collection, bad = LOST[name]
    for one, good in GOOD.items():
        records = [good, {**good, **bad}] if one == collection else [good]
        path = write_records(data_folder, one, alice.pk, records)
        if one == collection:
            text = path.read_text()
    client.force_login(alice)
    for page in PAGES:
        assert client.get(page).status_code == 200, page
    title = "title" if collection == "tasks" else "name"
    stored = client.get(f"/accounts/api/{collection}/2/")
    assert stored.status_code == 200
    values = stored.json()
    assert values[title] == "Good" and all(values[field] is None for field in bad if field != "id")
    fresh = {title: "Fresh"}
    made = client.post(f"/accounts/api/{collection}/", fresh, content_type="application/json")
    assert made.status_code == 201 and made.json()["id"] == 3
    changed = client.patch(f"/accounts/api/{collection}/1/", fresh, content_type="application/json")
    assert changed.status_code == 200
    json_storage.publish()

    (aside,) = json_storage.store.aside(key_of(collection, alice.pk))
    assert aside.content.decode() == text
    for field in bad.keys() - {"id"}:
        assert f'"{field}" of record 2 cannot be read: it ' in " ".join(aside.remarks)
    assert "line " in aside.remarks[0] and "column " in aside.remarks[0]
    assert "of record 2 cannot be read" in text_of(client.get("/files/"))
    in_spanish = text_of(client.get("/files/", headers={"accept-language": "es"}))
    assert "del registro 2 no se puede leer: " in in_spanish and "cannot" not in in_spanish
    json_storage.close()
    assert len(json_storage.list(collection, alice.pk)) == 3


def test_edit_with_a_value_that_cannot_be_read_leaves_its_record_and_takes_the_others(
    client: Client, alice: User, data_folder: Path
) -> None:
    for title in ("One", "Two"):
        json_storage.create("tasks", alice.pk, {"title": title})
    json_storage.publish()
    path = data_folder / "tasks" / f"tasks_{alice.pk}.json"
    document = json.loads(path.read_bytes())
    one, two = document["tasks"]
    one["title"] = "One, edited"
    two |= {"title": "Two, edited", "metadata": {"a": "@lists"}}
    document["tasks"].append({"title": "Three"})
    document["tasks"].append({"title": "Four", "position": "@digits"})
    text = json.dumps(document, indent=2)
    for name, raw in UNREADABLE.items():
        text = text.replace(f'"{name}"', raw)
    path.write_text(text)

    client.force_login(alice)
    assert client.get("/tasks/").status_code == 200
    titles = [task["title"] for task in json_storage.list("tasks", alice.pk)]
    assert titles == ["One, edited", "Two", "Three"]
    (aside,) = json_storage.store.aside(key_of("tasks", alice.pk))
    assert aside.content.decode() == text
    deep, long = aside.remarks
    reason = "cannot be read: it is nested deeper than 64 levels (line 39, column 74)"
    assert deep == f'"metadata" of record 2 {reason}'
    reason = "cannot be read: it has an integer of more than 4,300 digits (line 52, column 19)"
    assert long == f'"position" of entry 4 {reason}'


def test_field_that_stands_twice_costs_only_that_field(
    client: Client, alice: User, data_folder: Path
) -> None:
    text = """{"tasks": [{"id": 1, "title": "One"},
 {"title": "Two", "id": 2, "status": "review", "tit\\u006ce": "2", "\\udc00": 1, "tags": ["a"]}]}"""
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", text)
    one, two = json_storage.list("tasks", alice.pk)
    assert one["title"] == "One"
    assert two == {"title": None, "id": 2, "status": "review", "tags": ["a"]}
    (aside,) = json_storage.store.aside(key_of("tasks", alice.pk))
    assert aside.remarks == (
        '"title" of record 2 cannot be read: it stands twice in its record (line 2, column 48)',
        '"\\udc00" of record 2 cannot be read: it has half of a surrogate pair, which is not a'
        " character (line 2, column 67)",
    )


def test_edit_with_an_unreadable_id_removes_no_record(alice: User, data_folder: Path) -> None:
    for title in ("One", "Two"):
        json_storage.create("tasks", alice.pk, {"title": title})
    json_storage.publish()
    path = data_folder / "tasks" / f"tasks_{alice.pk}.json"
    path.write_text(path.read_text().replace('"id": 2', '"id": 2, "id": 3'))
    titles = [task["title"] for task in json_storage.list("tasks", alice.pk)]
    assert sorted(titles) == ["One", "Two"]
    (aside,) = json_storage.store.aside(key_of("tasks", alice.pk))
    assert '"id" of entry 2 cannot be read: it stands twice' in aside.remarks[0]


@pytest.mark.parametrize(
    "text",
    [
        '{"tasks": [{"id": 1}], "last_id": NaN}',
        '{"tasks": [{"id": 1}], "tasks": []}',
        '{"tasks": [{"id": 1, "title": NaN}], "note": "\\ud83d"}',
        '{"tasks": [{"id": 1, "title": NaN}',
        '{"tasks": [NaN]}',
        '[{"id": NaN}]',
    ],
)
def test_fault_outside_of_records_makes_the_document_unreadable(
    alice: User, data_folder: Path, text: str
) -> None:
    path = write_document(data_folder, f"tasks/tasks_{alice.pk}.json", text)
    with pytest.raises(Corrupt):
        json_storage.list("tasks", alice.pk)
    assert path.read_text() == text
    assert json_storage.store.aside(key_of("tasks", alice.pk)) == []


@pytest.mark.parametrize("name", BAD)
def test_bad_record_costs_only_itself(
    name: str, client: Client, alice: User, data_folder: Path
) -> None:
    collection, bad = BAD[name]
    for one, good in GOOD.items():
        records = [good, {**good, **bad}] if one == collection else [good]
        write_document(data_folder, f"{one}/{one}_{alice.pk}.json", {one: records})
    client.force_login(alice)
    for page in PAGES + (OWN_PAGES[collection] if bad.get("id") == 2 else []):
        answer = client.get(page)
        assert answer.status_code == 200, page
        widths = re.findall(r'<rect width="([^"]*)"', answer.content.decode())
        assert all(0 <= float(width) <= 100 for width in widths), (page, widths)
        assert page.startswith("/accounts/") or not re.search(r"\binf\b", text_of(answer)), page
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


def test_record_nested_hundreds_deep_can_be_read_changed_elsewhere_and_deleted(
    client: Client, alice: User, data_folder: Path
) -> None:
    deep = {"title": "Deep", "id": 2, "metadata": {"a": json.loads("[" * 600 + "]" * 600)}}
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", {"tasks": [GOOD["tasks"], deep]})
    client.force_login(alice)
    address = "/accounts/api/tasks/2/"
    assert client.get(address).status_code == 200
    assert client.get("/tasks/2/edit/").status_code == 200
    changed = client.patch(address, {"title": "x"}, content_type="application/json")
    assert changed.status_code == 200
    again = {"metadata": deep["metadata"]["a"]}
    refused = client.patch(address, {"metadata": {"a": again}}, content_type="application/json")
    assert refused.status_code in (400, 422) and "nested" in refused.json()["detail"]
    json_storage.publish()
    json_storage.close()
    stored = json_storage.list("tasks", alice.pk)[1]
    assert (stored["title"], stored["metadata"]) == ("x", deep["metadata"])
    assert client.delete(address).status_code == 204
    assert [task["id"] for task in json_storage.list("tasks", alice.pk)] == [1]


def test_document_nested_too_deep_beside_its_records_names_the_place(
    client: Client, alice: User, data_folder: Path
) -> None:
    text = '{\n"note":\n"[[", "more": ' + "[" * 5000 + "]" * 5000 + ', "tasks": []}'
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", text)
    client.force_login(alice)
    answer = client.get("/accounts/api/tasks/")
    assert answer.status_code == 503 and "nested too deeply" in answer.json()["detail"]
    assert (answer.json()["line"], answer.json()["column"]) == (3, 78)
    assert client.get("/accounts/api/projects/").status_code == 200


def test_sign_up_works_beside_a_file_with_a_huge_number(data_folder: Path, db: None) -> None:
    write_document(data_folder, f"tasks/tasks_{10**18 - 1}.json", {"tasks": []})
    json_storage.close()
    assert User.objects.create_user("dora", "dora@example.com", "owls hunt at dusk").pk < 10**6
