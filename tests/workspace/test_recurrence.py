"""Rules of RFC 5545, beside what python-dateutil makes of them, and the dates of tasks."""

from datetime import UTC, date, datetime
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from workspace import recurrence
from workspace.recurrence import NextOccurrence, canonical_repeat, next_due, occurrences

NOW = datetime(2026, 11, 23, 12, 4, tzinfo=UTC)  # a Monday

days = st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"])
numbered = st.builds(lambda number, day: number + day, st.sampled_from(["1", "2", "-1"]), days)
month_days = st.integers(1, 31) | st.integers(-31, -1)


def listed(entries: st.SearchStrategy[object]) -> st.SearchStrategy[str]:
    return st.lists(entries, min_size=1, max_size=3).map(lambda many: ",".join(map(str, many)))


def parts(**some: st.SearchStrategy[object]) -> st.SearchStrategy[str]:
    """Rules with any of these parts."""
    chosen = st.fixed_dictionaries({}, optional=some)
    return chosen.map(lambda got: "".join(f";{name}={value}" for name, value in got.items()))


intervals = st.integers(1, 40)
within_month = {
    "BYDAY": listed(days) | listed(numbered),
    "BYMONTHDAY": listed(month_days),
    "INTERVAL": intervals,
}
rules = st.one_of(
    parts(INTERVAL=intervals).map("FREQ=DAILY{}".format),
    parts(INTERVAL=intervals, BYDAY=listed(days), WKST=days).map("FREQ=WEEKLY{}".format),
    parts(**within_month).map("FREQ=MONTHLY{}".format),
    parts(INTERVAL=intervals, BYMONTH=listed(st.integers(1, 12))).map("FREQ=YEARLY{}".format),
    st.builds("FREQ=YEARLY;BYMONTH={}{}".format, listed(st.integers(1, 12)), parts(**within_month)),
    st.builds("FREQ=MONTHLY;BYDAY={};BYSETPOS={}".format, listed(days), st.sampled_from([1, -1])),
)


def with_its_day(rule: str, due: date) -> str:
    """The rule in the words of the RFC, if it names no day and a month may lack that of `due`."""
    names_no_day = not any(part in rule for part in ("BYDAY", "BYMONTHDAY", "BYMONTH="))
    if "FREQ=MONTHLY" in rule and names_no_day and due.day > 28:
        return f"{rule};BYMONTHDAY={','.join(map(str, range(28, due.day + 1)))};BYSETPOS=-1"
    if "FREQ=YEARLY" in rule and names_no_day and (due.month, due.day) == (2, 29):
        return f"{rule};BYMONTH=2;BYMONTHDAY=-1"
    return rule


@settings(deadline=None, max_examples=examples(150))
@given(rules, st.dates(date(2000, 1, 1), date(2060, 1, 1)))
def test_the_days_are_those_of_another_reader_of_the_rfc(rule: str, due: date) -> None:
    ours = list(takewhile("2100".__gt__, islice(occurrences(due.isoformat(), rule), 6)))
    begins = datetime(due.year, due.month, due.day)
    theirs = (day for day in rrulestr(with_its_day(rule, due), dtstart=begins) if day > begins)
    # Asked for no more than we found: it would look for ever for what never comes.
    assert ours == [day.date().isoformat() for day in islice(theirs, len(ours))]
    assert len(ours) == 6 or "MONTH" in rule or "YEAR" in rule


@settings(deadline=None)
@given(rules, st.dates())
def test_a_rule_is_stored_in_one_form_and_always_comes_to_an_end(rule: str, due: date) -> None:
    stored = canonical_repeat(rule)
    assert stored is not None and canonical_repeat(stored) == stored
    following = next_due(due.isoformat(), rule, now=NOW)
    assert following is None or following.due > max(due.isoformat(), "2026-11-22")
    assert following == next_due(due.isoformat(), stored, now=NOW)


@settings(deadline=None)
@given(st.text() | st.text("FREQ=DAILYBM;,-10/"))
def test_any_other_text_is_no_rule(text: str) -> None:
    assert canonical_repeat(text) is None or not text or text.count("FREQ=") == 1
    next_due(text, text, now=NOW)


@pytest.mark.parametrize(
    ("due", "rule", "then"),
    [
        ("2026-11-23", "FREQ=DAILY", NextOccurrence("2026-11-24", "FREQ=DAILY")),
        (
            "2026-11-27",
            "FREQ=WEEKLY;BYDAY=MO,FR",
            NextOccurrence("2026-11-30", "FREQ=WEEKLY;BYDAY=MO,FR"),
        ),
        ("2026-12-31", "FREQ=MONTHLY", NextOccurrence("2027-01-31", "FREQ=MONTHLY")),
        ("2027-01-31", "FREQ=MONTHLY", NextOccurrence("2027-02-28", "FREQ=MONTHLY;BYMONTHDAY=-1")),
        (
            "2027-01-30",
            "FREQ=MONTHLY;COUNT=9",
            NextOccurrence("2027-02-28", "FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1;COUNT=8"),
        ),
        (
            "2027-01-31",
            "FREQ=MONTHLY;BYMONTHDAY=31",
            NextOccurrence("2027-03-31", "FREQ=MONTHLY;BYMONTHDAY=31"),
        ),
        (
            "2028-02-29",
            "FREQ=YEARLY",
            NextOccurrence("2029-02-28", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1"),
        ),
        (
            "2026-11-23T09:00:00Z",
            "FREQ=DAILY",
            NextOccurrence("2026-11-24T09:00:00.000000Z", "FREQ=DAILY"),
        ),
        # What was missed is passed over, and counted; today is not missed.
        ("2026-11-01", "FREQ=DAILY", NextOccurrence("2026-11-23", "FREQ=DAILY")),
        ("2026-11-21", "FREQ=DAILY;COUNT=5", NextOccurrence("2026-11-23", "FREQ=DAILY;COUNT=3")),
        (
            "0001-01-01",
            "FREQ=DAILY;INTERVAL=3",
            NextOccurrence("2026-11-25", "FREQ=DAILY;INTERVAL=3"),
        ),
        (
            "2026-11-09",
            "FREQ=WEEKLY;INTERVAL=4",
            NextOccurrence("2026-12-07", "FREQ=WEEKLY;INTERVAL=4"),
        ),
        (
            "2026-11-22T08:02:00Z",
            "FREQ=DAILY",
            NextOccurrence("2026-11-24T08:02:00.000000Z", "FREQ=DAILY"),
        ),
        (
            "2026-11-22T12:05:00Z",
            "FREQ=DAILY",
            NextOccurrence("2026-11-23T12:05:00.000000Z", "FREQ=DAILY"),
        ),
        # What was never due, begins today.
        (None, "FREQ=WEEKLY;BYDAY=SU", NextOccurrence("2026-11-29", "FREQ=WEEKLY;BYDAY=SU")),
        # It ends.
        ("2026-11-23", "FREQ=DAILY;COUNT=2", NextOccurrence("2026-11-24", "FREQ=DAILY;COUNT=1")),
        ("2026-11-24", "FREQ=DAILY;COUNT=1", None),
        ("2026-11-01", "FREQ=DAILY;COUNT=20", None),
        (
            "2026-11-23",
            "FREQ=DAILY;UNTIL=20261124",
            NextOccurrence("2026-11-24", "FREQ=DAILY;UNTIL=20261124"),
        ),
        ("2026-11-24", "FREQ=DAILY;UNTIL=20261124", None),
        ("2026-11-23T09:00:00Z", "FREQ=DAILY;UNTIL=20261124T085959Z", None),
        ("9999-12-31", "FREQ=DAILY", None),
        ("2026-11-23", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", None),
        ("2026-11-23", "", None),
        ("next week", "FREQ=DAILY", None),
        ("2026-11-23", "every day", None),
    ],
)
def test_when_it_is_due_again(due: str | None, rule: str, then: NextOccurrence | None) -> None:
    assert next_due(due, rule, now=NOW) == then


@pytest.mark.parametrize(
    ("due", "rule", "days"),
    [
        ("2027-01-31", "FREQ=MONTHLY", "02-28 03-31 04-30 05-31"),
        ("2027-12-30", "FREQ=MONTHLY", "01-30 02-29 03-30 04-30"),
        ("2027-01-29", "FREQ=MONTHLY", "02-28 03-29 04-29 05-29"),
        ("2026-08-31", "FREQ=MONTHLY;INTERVAL=6", "02-28 08-31 02-29 08-31"),
        ("2028-02-29", "FREQ=YEARLY", "02-28 02-28 02-28 02-29"),
        ("2026-08-31", "FREQ=MONTHLY;BYMONTHDAY=31", "10-31 12-31 01-31 03-31"),
    ],
)
def test_a_month_without_that_day_has_its_last(due: str, rule: str, days: str) -> None:
    coming = islice(occurrences(due, rule), 4)
    assert " ".join(day[5:] for day in coming) == days
    completed, one_by_one = due, []
    for _ in range(4):
        following = next_due(completed, rule, now=datetime.fromisoformat(f"{completed}T09:00Z"))
        assert following is not None
        completed, rule = following.due, following.repeat
        one_by_one.append(completed[5:])
    assert " ".join(one_by_one) == days


def test_the_week_begins_where_the_rule_says() -> None:
    """The example of RFC 5545, section 3.8.5.3."""
    rule = "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST={}"
    for week_start, days in (("MO", "10 19 24"), ("SU", "17 19 31")):
        coming = islice(occurrences("1997-08-05", rule.format(week_start)), 3)
        assert " ".join(day[8:] for day in coming) == days
    assert canonical_repeat(rule.format("MO")) == "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU"
    assert canonical_repeat("FREQ=DAILY;WKST=SU") == "FREQ=DAILY;WKST=SU"


def test_a_time_of_day_and_a_weekday_are_those_of_the_zone() -> None:
    madrid, new_york = ZoneInfo("Europe/Madrid"), ZoneInfo("America/New_York")
    before = next_due("2026-10-24T07:00:00Z", "FREQ=DAILY", now=NOW.replace(month=10), zone=madrid)
    assert before and before.due == "2026-10-25T08:00:00.000000Z"  # nine o'clock, on either side
    friday = next_due("2026-11-28T01:00:00Z", "FREQ=WEEKLY;BYDAY=FR", now=NOW, zone=new_york)
    assert friday and friday.due == "2026-12-05T01:00:00.000000Z"  # still Friday there
    late = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
    assert next_due("2026-11-01", "FREQ=DAILY", now=late, zone=madrid) == NextOccurrence(
        "2026-11-24", "FREQ=DAILY"
    )


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYDAY=5MO,5TU,5WE,5TH,5FR,5SA,-5SU;BYSETPOS=31",
        "FREQ=YEARLY;BYMONTH=1,2,3,4,5,6,7,8,9,10,11,12;BYDAY=5MO,5TU;BYSETPOS=31",
    ],
)
def test_a_rule_that_never_falls_is_given_up(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, days_of = [], recurrence._days_of
    monkeypatch.setattr(recurrence, "_days_of", lambda *of: looked.append(of) or days_of(*of))
    assert canonical_repeat(rule) == rule
    assert next_due("2026-11-23", rule, now=NOW) is None
    assert len(looked) == recurrence.EMPTY_PERIODS_MAX


def test_next_due_finds_rarest_date() -> None:
    saturday = "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SA"
    found = next_due("2076-02-29", saturday, now=NOW)
    assert found == NextOccurrence("2116-02-29", saturday)  # there is none in 2100
