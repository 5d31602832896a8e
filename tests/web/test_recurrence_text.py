"""How a task repeats, in words, and words as a rule."""

from unittest import mock

import pytest
from django.test import Client
from django.utils import timezone, translation

from accounts.models import User
from tests.web.pages import text_of
from tests.web.test_records import as_typed, edit_of
from utils.json_storage import json_storage
from web import recurrence_text
from workspace.timestamps import parse_time

WORDS = {
    "": "",
    "FREQ=DAILY": "every day",
    "FREQ=DAILY;INTERVAL=3": "every 3 days",
    "FREQ=WEEKLY": "every week",
    "FREQ=WEEKLY;INTERVAL=2": "every 2 weeks",
    "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR": "every weekday",
    "FREQ=WEEKLY;BYDAY=MO,WE,FR": "every Monday, Wednesday and Friday",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU": "every 2 weeks on Tuesday",
    "FREQ=MONTHLY": "every month",
    "FREQ=MONTHLY;BYMONTHDAY=15": "every month on day 15",
    "FREQ=MONTHLY;BYMONTHDAY=-1": "every month on the last day",
    "FREQ=MONTHLY;INTERVAL=6;BYMONTHDAY=-1": "every 6 months on the last day",
    "FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1": "every month on day 30 or the last day",
    "FREQ=MONTHLY;INTERVAL=2;BYMONTHDAY=28,29;BYSETPOS=-1": (
        "every 2 months on day 29 or the last day"
    ),
    "FREQ=MONTHLY;BYDAY=2TH": "every second Thursday of the month",
    "FREQ=MONTHLY;BYDAY=-1FR": "every last Friday of the month",
    "FREQ=YEARLY": "every year",
    "FREQ=DAILY;COUNT=1": "every day, 1 time",
    "FREQ=WEEKLY;BYDAY=MO;COUNT=5": "every Monday, 5 times",
    "FREQ=YEARLY;BYMONTH=11;BYMONTHDAY=26": "every 26 November",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1": "every last day of February",
}
ENDING = {
    "FREQ=WEEKLY;UNTIL=20261231": "every week, until 31 Dec 2026",
    "FREQ=WEEKLY;BYDAY=MO;UNTIL=20261203T235900Z": "every Monday, until 3 Dec 2026",
}
WITHOUT_WORDS = (
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    "FREQ=MONTHLY;BYMONTHDAY=-2",
    "FREQ=YEARLY;BYMONTH=1,2;BYMONTHDAY=1",
    "what a hand wrote",
)


@pytest.mark.parametrize("rule", WORDS)
def test_a_rule_is_said_in_words_that_are_read_as_the_same(rule: str) -> None:
    assert recurrence_text.describe(rule) == WORDS[rule] == recurrence_text.to_input(rule)
    assert recurrence_text.parse_input(WORDS[rule]) == rule


def test_an_end_is_said_where_the_person_is_and_in_spanish() -> None:
    late = "FREQ=WEEKLY;UNTIL=20261203T233000Z"
    with timezone.override("Europe/Madrid"):
        assert recurrence_text.describe(late) == "every week, until 4 Dec 2026"
    with translation.override("es"):
        assert recurrence_text.describe("FREQ=WEEKLY;COUNT=5") == "cada semana, 5 veces"
        assert recurrence_text.describe("FREQ=WEEKLY;UNTIL=20261203").startswith(
            "cada semana, hasta el 3 "
        )
        assert recurrence_text.parse_input("every week, 5 times") == "FREQ=WEEKLY;COUNT=5"


def test_an_end_is_said_and_stands_in_a_form_as_the_rule() -> None:
    for rule, words in ENDING.items():
        assert recurrence_text.describe(rule) == words
        assert (
            recurrence_text.parse_input(recurrence_text.to_input(rule))
            == rule
            == recurrence_text.parse_input(rule)
        )


def test_rule_without_description_is_shown_verbatim() -> None:
    for rule in WITHOUT_WORDS:
        assert recurrence_text.describe(rule) == rule == recurrence_text.to_input(rule)


@pytest.mark.parametrize("rule", [*WORDS, *ENDING, *WITHOUT_WORDS])
@pytest.mark.parametrize("language", ["en", "es"])
def test_rule_as_typed_parses_to_same_rule(rule: str, language: str) -> None:
    with translation.override(language):
        assert recurrence_text.parse_input(recurrence_text.to_input(rule)) == rule


def test_spanish_words_are_read_in_spanish() -> None:
    with translation.override("es"):
        for rule in WORDS:
            assert recurrence_text.to_input(rule) == recurrence_text.describe(rule)
        assert recurrence_text.describe("FREQ=WEEKLY;BYDAY=MO,FR").lower() == "cada lunes y viernes"


def test_a_rule_may_be_typed_as_other_programs_write_it() -> None:
    assert (
        recurrence_text.parse_input("rrule:freq=weekly;interval=1;byday=mo")
        == "FREQ=WEEKLY;BYDAY=MO"
    )
    assert recurrence_text.parse_input(" every  monday and friday ") == "FREQ=WEEKLY;BYDAY=MO,FR"
    assert recurrence_text.parse_input("every Monday 5 times") == "FREQ=WEEKLY;BYDAY=MO;COUNT=5"
    assert recurrence_text.parse_input("the bell rang 5 times") == "the bell rang 5 times"
    assert recurrence_text.parse_input("every monday at noon") == "every monday at noon"


def test_a_form_takes_words_and_shows_them(client: Client, alice: User) -> None:
    client.force_login(alice)
    page = client.get("/tasks/new/")
    assert b'<option value="every month on the last day">' in page.content
    client.post("/tasks/new/", as_typed("tasks", title="Plants", repeat="every 2 weeks"))
    assert json_storage.get("tasks", alice.pk, 1)["repeat"] == "FREQ=WEEKLY;INTERVAL=2"
    sent = edit_of(client, "/tasks/1/edit/")
    assert sent["repeat"] == "every 2 weeks"
    refused = client.post("/tasks/1/edit/", sent | {"repeat": "now and then"})
    assert refused.status_code == 422 and 'value="now and then"' in refused.content.decode()
    client.post("/tasks/1/edit/", sent | {"title": "Flowers"})
    task = json_storage.get("tasks", alice.pk, 1)
    assert (task["title"], task["repeat"]) == ("Flowers", "FREQ=WEEKLY;INTERVAL=2")
    assert "every 2 weeks" in text_of(client.get("/tasks/"))


def test_a_search_finds_what_stands_on_a_checklist(client: Client, alice: User) -> None:
    client.force_login(alice)
    for title, item in (("Plants", "Balcony"), ("Rest", "Sofa")):
        task = {"title": title, "checklist": [{"text": item, "done": False}]}
        json_storage.create("tasks", alice.pk, task)
    words = text_of(client.get("/tasks/?q=balcony"))
    assert "Plants" in words and "Rest" not in words


def test_completing_repeating_task_shows_next_due_date(client: Client, alice: User) -> None:
    client.force_login(alice)
    task = {"title": "Rest", "due_date": "2031-02-03", "repeat": "FREQ=WEEKLY"}
    json_storage.create("tasks", alice.pk, task)
    page = client.post("/tasks/1/complete/", follow=True)
    assert "The task was completed. The next one is due 10 Feb 2031." in text_of(page)
    page = client.post("/tasks/1/complete/", {"reopen": "1"}, follow=True)
    page = client.post("/tasks/1/complete/", follow=True)
    assert "The task was completed. Undo" in text_of(page)


def test_completing_a_task_announces_no_record_of_another_writer(
    client: Client, alice: User
) -> None:
    """Another writer adds a repeating task in the moment in which a plain one is completed."""
    client.force_login(alice)
    json_storage.create("tasks", alice.pk, {"title": "Rest"})
    other = {"title": "Other", "due_date": "2031-02-03", "repeat": "FREQ=WEEKLY"}
    json_storage.create("tasks", alice.pk, other)
    moment = json_storage.get("tasks", alice.pk, 2)["created_at"]
    with mock.patch.object(json_storage.store, "clock", lambda: parse_time(moment)):
        page = client.post("/tasks/1/complete/", follow=True)
    assert json_storage.get("tasks", alice.pk, 1)["completed_at"] == moment
    assert "The task was completed. Undo" in text_of(page)
