"""A task in one line: what is understood, and that nothing is ever dropped."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from workspace.schema.validation import COLLECTIONS, InvalidRecord, new_record
from workspace.tasks import quick_add as quick
from workspace.tasks.quick_add import parse, parse_due_words

MONDAY = datetime(2026, 11, 23, 12, 4, tzinfo=UTC)
MADRID = ZoneInfo("Europe/Madrid")
PROJECTS = {3: "Vision 2026", 4: "Sound", 5: "Soundproof room", 6: "Año nuevo"}


def said(line: str, language: str = "en") -> dict[str, Any]:
    return parse(line, now=MONDAY, zone=MADRID, projects=PROJECTS, language=language).record()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "train baseline fri 17:00 !high #vision",
            {
                "title": "train baseline",
                "due_date": "2026-11-27T16:00:00.000000Z",
                "priority": "high",
                "tags": ["vision"],
            },
        ),
        ("call Ann tomorrow about taxes", {"due_date": "2026-11-24"}),
        ("rest today", {"due_date": "2026-11-23"}),
        ("rest on monday", {"due_date": "2026-11-30"}),
        ("rest next friday", {"due_date": "2026-12-04"}),
        ("rest next week", {"due_date": "2026-11-30"}),
        ("rest next month", {"due_date": "2026-12-01"}),
        ("rest in 3 days", {"due_date": "2026-11-26"}),
        ("rest in a month", {"due_date": "2026-12-23"}),
        ("rest in 2 hours", {"due_date": "2026-11-23T14:04:00.000000Z"}),
        ("rest +2w", {"due_date": "2026-12-07"}),
        ("rest by 26 nov", {"due_date": "2026-11-26"}),
        ("rest 1st of february", {"due_date": "2027-02-01"}),
        ("rest Nov 3, 2027", {"due_date": "2027-11-03"}),
        ("rest 29 feb", {"due_date": "2028-02-29"}),
        ("rest 2026-12-24 9:30", {"due_date": "2026-12-24T08:30:00.000000Z"}),
        ("rest at 5pm tomorrow", {"due_date": "2026-11-24T16:00:00.000000Z"}),
        ("rest 11:00", {"due_date": "2026-11-24T10:00:00.000000Z"}),  # it is past one there
        ("rest at 14", {"due_date": "2026-11-23T13:00:00.000000Z"}),
        ("rest 12 am", {"due_date": "2026-11-23T23:00:00.000000Z"}),
        ("rest every day", {"due_date": "2026-11-23", "repeat": "FREQ=DAILY"}),
        ("rest every monday", {"due_date": "2026-11-23", "repeat": "FREQ=WEEKLY;BYDAY=MO"}),
        (
            "rest every mon, wed and fri at 9",
            {"due_date": "2026-11-25T08:00:00.000000Z", "repeat": "FREQ=WEEKLY;BYDAY=MO,WE,FR"},
        ),
        (
            "rest every other tuesday",
            {"due_date": "2026-11-24", "repeat": "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU"},
        ),
        ("rest every 3 months", {"due_date": "2026-11-23", "repeat": "FREQ=MONTHLY;INTERVAL=3"}),
        (
            "rest every weekday",
            {"due_date": "2026-11-23", "repeat": "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"},
        ),
        ("rest every last fri", {"due_date": "2026-11-27", "repeat": "FREQ=MONTHLY;BYDAY=-1FR"}),
        ("rest every 1st", {"due_date": "2026-12-01", "repeat": "FREQ=MONTHLY;BYMONTHDAY=1"}),
        (
            "rest every 26 nov",
            {"due_date": "2026-11-26", "repeat": "FREQ=YEARLY;BYMONTH=11;BYMONTHDAY=26"},
        ),
        ("rest every week tomorrow", {"due_date": "2026-11-24", "repeat": "FREQ=WEEKLY"}),
        ("rest weekly", {"due_date": "2026-11-23", "repeat": "FREQ=WEEKLY"}),
        ("rest !LOW", {"priority": "low"}),
        ("rest #a, #b #a", {"tags": ["a", "b"]}),
        ("rest +vision-2026", {"project_id": 3}),
        ("rest @vision", {"project_id": 3}),
        ("rest @Vision 2026", {"project_id": 3}),
        ("rest +sound", {"project_id": 4}),
        ("rest +ano_nuevo", {"project_id": 6}),
    ],
)
def test_english(line: str, told: dict[str, Any]) -> None:
    title = said(line).pop("title")
    assert said(line) == {"title": title} | told
    assert title in ("rest", "train baseline", "call Ann about taxes")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("leer mañana", {"due_date": "2026-11-24"}),
        ("leer pasado mañana a las 9", {"due_date": "2026-11-25T08:00:00.000000Z"}),
        ("leer el viernes 17h30", {"due_date": "2026-11-27T16:30:00.000000Z"}),
        ("leer VIERNES", {"due_date": "2026-11-27"}),
        ("leer el próximo lunes", {"due_date": "2026-11-30"}),
        ("leer la semana que viene", {"due_date": "2026-11-30"}),
        ("leer dentro de 3 días", {"due_date": "2026-11-26"}),
        ("leer el 26 de noviembre", {"due_date": "2026-11-26"}),
        ("leer 1/2/2027", {"due_date": "2027-02-01"}),
        ("leer mar", {"due_date": "2026-11-24"}),
        ("leer cada lunes", {"due_date": "2026-11-23", "repeat": "FREQ=WEEKLY;BYDAY=MO"}),
        ("leer todos los días", {"due_date": "2026-11-23", "repeat": "FREQ=DAILY"}),
        (
            "leer cada sábado y domingo",
            {"due_date": "2026-11-28", "repeat": "FREQ=WEEKLY;BYDAY=SA,SU"},
        ),
        ("leer cada 2 años", {"due_date": "2026-11-23", "repeat": "FREQ=YEARLY;INTERVAL=2"}),
        ("leer cada día 15", {"due_date": "2026-12-15", "repeat": "FREQ=MONTHLY;BYMONTHDAY=15"}),
        (
            "leer cada último viernes del mes",
            {"due_date": "2026-11-27", "repeat": "FREQ=MONTHLY;BYDAY=-1FR"},
        ),
        ("leer !alta", {"priority": "high"}),
        ("leer tomorrow !high", {"due_date": "2026-11-24", "priority": "high"}),
    ],
)
def test_spanish(line: str, told: dict[str, Any]) -> None:
    assert said(line, "es") == {"title": "leer"} | told


@pytest.mark.parametrize(
    "line",
    [
        "buy sun cream",
        "write weekly report",
        "fix #12 with @bob !important",
        "1:1 with Ann at 25:00",
        "read 31 feb and 0:60",
        "tomorrow",
        "#vision !high",
        "mañana",
        "ask +so",  # two projects begin so
        "wow! # ! @ +",
    ],
)
def test_quick_add_unrecognized_text_stays_in_title(line: str) -> None:
    assert said(line) == {"title": line}


def test_quick_add_second_token_of_a_kind_stays_in_title() -> None:
    assert said("a tomorrow b !high !low next week")["title"] == "a b !low next week"


def test_quick_add_reports_recognized_text_as_typed() -> None:
    quick = parse("Train Fri 17:00, !High #vision.", now=MONDAY, zone=MADRID)
    told = [(one.field, one.text) for one in quick.understood]
    assert told == [
        ("due_date", "Fri"),
        ("due_date", "17:00,"),
        ("priority", "!High"),
        ("tags", "#vision."),
    ]


WORDS = """every on in at the next last 2 3 31 9:30 17h mon fri friday mar may nov week weeks day
days month tomorrow today mañana cada lunes y viernes todos los días el de 2026-11-30 2027 30/11
other 1st am 5pm !high !alta #a #12 +sound @vision 2026 daily hours 999 years of 29 feb"""
words = st.sampled_from(WORDS.split())
lines = st.lists(words | st.text(max_size=5), max_size=12).map(" ".join) | st.text()


@settings(deadline=None, max_examples=examples(200))
@given(
    lines,
    st.datetimes(datetime(1980, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)),
    st.sampled_from([UTC, MADRID, ZoneInfo("America/New_York")]),
    st.sampled_from(["en", "es", "es-MX", "de", ""]),
)
def test_nothing_is_dropped_and_what_is_told_may_be_stored(
    line: str, now: datetime, zone: Any, language: str
) -> None:
    quick = parse(line, now=now, zone=zone, projects=PROJECTS, language=language)
    kept = quick.title.split() + [word for one in quick.understood for word in one.text.split()]
    assert sorted(kept) == sorted(line.split())
    assert bool(quick.title) == bool(line.split())
    try:
        record = new_record(COLLECTIONS["tasks"], quick.record(), record_id=1, owner=7, now=now)
    except InvalidRecord as fault:  # only a title can be none: it is what was typed
        assert {error.pointer for error in fault.errors} <= {"/title"}
    else:
        assert record["repeat"] == quick.repeat and record["due_date"] == quick.due_date


def test_a_long_line_is_a_title() -> None:
    line = "tomorrow " * 1_000
    assert parse(line, now=MONDAY).title == line.strip()


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("fri 17:00", "2026-11-27T16:00:00.000000Z"),
        (" Tomorrow ", "2026-11-24"),
        ("mañana", "2026-11-24"),
        ("in 2 weeks", "2026-12-07"),
        ("9:30", "2026-11-24T08:30:00.000000Z"),
        ("every friday", None),
        ("fri or so", None),
        ("30 feb", None),
        ("", None),
        ("tomorrow " * 1_000, None),
    ],
)
def test_words_that_name_when_and_nothing_else(text: str, due: str | None) -> None:
    assert parse_due_words(text, now=MONDAY, zone=MADRID, language="es") == due


def test_a_line_of_many_marks_spells_each_name_once(monkeypatch: pytest.MonkeyPatch) -> None:
    spelt, letters = list[str](), quick._letters

    def counting(name: str) -> str:
        spelt.append(name)
        return letters(name)

    monkeypatch.setattr(quick, "_letters", counting)
    projects = {number: f"Project number {number}" for number in range(50)}
    found = parse("+a " * 300 + "+project-number-7", now=MONDAY, projects=projects)
    assert found.project_id == 7
    assert [name for name in spelt if name.startswith("Project")] == [*projects.values()]
