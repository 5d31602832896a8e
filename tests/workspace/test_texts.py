"""One normal form at every door, and search that minds neither capitals nor accents."""

import io
import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.web.pages import text_of, write_document
from tests.workspace.bombs import honest
from utils.json_storage import json_storage
from workspace.schema.validation import InvalidRecord
from workspace.texts import folded, folded_name, normal

APART = unicodedata.normalize("NFD", "Café à Noël")
ONE = "Café à Noël"


@pytest.mark.parametrize(
    ("text", "found_by"),
    [
        ("Résumé", "resume"),
        ("ÄRGER", "arger"),
        ("Straße", "strasse"),
        ("ﬁna", "fina"),
        ("Łódź", "lodz"),
        ("Ærø", "aero"),
        ("İstanbul", "istanbul"),
        ("Ｔａｓｋ①", "task1"),
        ("ΌΡΟΣ", "όρος"),
        ("שָׁלוֹם", "שלום"),
    ],
)
def test_folded_text_has_neither_capitals_nor_accents(text: str, found_by: str) -> None:
    for form in ("NFC", "NFD"):
        assert folded(unicodedata.normalize(form, text)) == folded(found_by)
        assert folded(folded(text)) == folded(text)


def test_marks_that_change_a_letter_stay() -> None:
    assert folded("が") != folded("か") and folded("कि") != folded("क")
    assert folded("한국") == folded(unicodedata.normalize("NFD", "한국")) == "한국"


def test_folded_names_differ_only_where_people_see_it() -> None:
    assert folded_name("Ärger") == folded_name(unicodedata.normalize("NFD", "ärger"))
    assert folded_name("ﬁna") == folded_name("FINA") and folded_name("ana") != folded_name("aña")


def by_api(client: Client, alice: User) -> None:
    body = {"title": APART, "tags": [APART], "metadata": {APART: APART}}
    assert client.post("/accounts/api/tasks/", body, "application/json").status_code == 201


def by_form(client: Client, alice: User) -> None:
    sent = {"title": APART, "tags": APART, "priority": "low", "status": "pending"}
    assert client.post("/tasks/new/", sent).status_code == 302


def by_quick_add(client: Client, alice: User) -> None:
    sent = {"text": APART}
    made = client.post("/accounts/api/tasks/quick/", sent, "application/json")
    assert made.status_code == 201


def by_python(client: Client, alice: User) -> None:
    json_storage.save_task_data(alice.pk, {"title": APART, "checklist": [item()]})


def by_import(client: Client, alice: User) -> None:
    tasks = json.dumps({"tasks": [{"title": APART, "id": 1}]}).encode()
    json_storage.import_archive(alice.pk, io.BytesIO(honest([("tasks/tasks_7.json", tasks)])))


def item() -> dict[str, Any]:
    return {"text": APART, "done": False}


@pytest.mark.parametrize("door", [by_api, by_form, by_quick_add, by_python, by_import])
def test_every_door_stores_normal_form_c(
    door: Callable[[Client, User], None], client: Client, alice: User
) -> None:
    client.force_login(alice)
    door(client, alice)
    (task,) = json_storage.list("tasks", alice.pk)
    assert task["title"] == ONE
    assert task == json.loads(normal(json.dumps(task, ensure_ascii=False)))


def test_length_is_that_of_the_form_that_is_stored(alice: User) -> None:
    long = unicodedata.normalize("NFD", "é" * 200)
    assert json_storage.save_task_data(alice.pk, {"title": long})["title"] == "é" * 200
    with pytest.raises(InvalidRecord, match="two forms of the same"):
        twice = {"metadata": {"é": 1, unicodedata.normalize("NFD", "é"): 2}}
        json_storage.save_task_data(alice.pk, {"title": "x"} | twice)


def test_search_finds_whatever_form_capitals_and_accents(
    client: Client, alice: User, data_folder: Any
) -> None:
    tasks = [{"title": APART, "id": 1, "tags": ["Él"]}, {"title": "Other", "id": 2}]
    write_document(data_folder, f"tasks/tasks_{alice.pk}.json", {"tasks": tasks})
    client.force_login(alice)
    for word in (ONE, APART, "cafe a noel", "CAFÉ"):
        found = client.get("/accounts/api/tasks/", {"q": word}).json()["tasks"]
        assert [task["id"] for task in found] == [1], word
        for page, name in (("/tasks/", "q"), ("/search/", "q")):
            words = text_of(client.get(page, {name: word}))
            assert normal(words).count(ONE) and "Other" not in words, (page, word)
    for tag in ("él", "el", unicodedata.normalize("NFD", "ÉL")):
        found = client.get("/accounts/api/tasks/", {"tags": tag}).json()["tasks"]
        assert [task["id"] for task in found] == [1], tag
        assert "Other" not in text_of(client.get("/tasks/", {"tag": tag}))
    assert "Members" not in text_of(client.get("/search/", {"q": "configuración"}))


def test_activity_search_is_folded(client: Client, alice: User) -> None:
    json_storage.update_user_activity(alice.pk, "note", "Wrote a résumé")
    client.force_login(alice)
    found = client.get("/accounts/api/activity/", {"q": "RESUME"})
    assert [one["description"] for one in found.json()["activities"]] == ["Wrote a résumé"]
    assert "Wrote a résumé" in text_of(client.get("/activity/", {"q": "resume"}))


def test_nul_is_refused_or_finds_nothing(client: Client, alice: User) -> None:
    json_storage.save_task_data(alice.pk, {"title": "Good", "description": "x", "tags": ["y"]})
    client.force_login(alice)
    for address in ("/accounts/api/tasks/?q=%00", "/accounts/api/activity/?q=a%00"):
        assert client.get(address).status_code == 400, address
    for address in ("/tasks/?q=%00", "/search/?q=%00", "/search/?q=a%00b", "/tasks/?tag=%00"):
        page = client.get(address)
        assert page.status_code == 200 and "Good" not in text_of(page), address


@pytest.mark.parametrize("character", ["\x7f", "\x85", "\u202e", "\u2066", "\u200b", "\ufeff"])
def test_controls_and_invisible_characters_are_refused_in_lines(
    alice: User, character: str
) -> None:
    item = {"text": f"a{character}b", "done": False}
    for wrong in (
        {"title": f"a{character}b"},
        {"title": "x", "tags": [f"a{character}b"]},
        {"title": "x", "checklist": [item]},
    ):
        with pytest.raises(InvalidRecord, match="must be one line without control characters"):
            json_storage.save_task_data(alice.pk, wrong)
    text = {"title": "x", "description": f"a{character}b"}
    assert json_storage.save_task_data(alice.pk, text)["description"] == f"a{character}b"


def test_joiners_and_marks_that_languages_need_are_kept(alice: User) -> None:
    for title in ("\u0645\u06cc\u200c\u062e\u0648", "👩\u200d🔬", "\u200f\u05e9\u05dc"):
        assert json_storage.save_task_data(alice.pk, {"title": title})["title"] == title


def test_titles_find_their_own_direction(client: Client, alice: User) -> None:
    json_storage.save_task_data(alice.pk, {"title": "שלום!", "due_date": "2031-02-03"})
    client.force_login(alice)
    for page in ("/tasks/", "/tasks/board/", "/tasks/agenda/", "/search/?q=שלום"):
        assert re.search(r'dir="auto"[^>]*>שלום!</', client.get(page).content.decode()), page
    assert 'dir="auto"' in client.get("/tasks/1/edit/").content.decode()
