"""Days as people say them."""

from datetime import date

import pytest

from nf.days import due, zone_here

MONDAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("today", "2026-11-23"),
        ("Tomorrow", "2026-11-24"),
        ("fri", "2026-11-27"),
        ("FRIDAY", "2026-11-27"),
        ("mon", "2026-11-30"),  # the next one, on a Monday
        ("su", "2026-11-29"),
        ("+3d", "2026-11-26"),
        ("+2w", "2026-12-07"),
        ("2026-11-30", "2026-11-30"),
        ("2026-11-30T14:00:00Z", "2026-11-30T14:00:00+00:00"),
        ("none", None),
    ],
)
def test_what_is_said_is_meant(said: str, meant: str | None) -> None:
    assert due(said, MONDAY) == meant


def test_a_moment_without_a_zone_is_by_the_clock_on_the_wall() -> None:
    told = due("2026-11-30T14:00", MONDAY)
    assert told is not None
    assert told.startswith("2026-11-30T14:00:00")
    assert len(told) == len("2026-11-30T14:00:00+00:00")


@pytest.mark.parametrize("said", ["", "someday", "f", "32", "2026-13-01", "+3", "+99999d", "t"])
def test_what_is_no_day_is_told_with_what_may_be_one(said: str) -> None:
    with pytest.raises(ValueError, match="it may be a day of the week"):
        due(said, MONDAY)


@pytest.mark.parametrize(
    ("told", "zone"),
    [
        ("Europe/Madrid", "Europe/Madrid"),
        (":/usr/share/zoneinfo/America/Port-au-Prince", "America/Port-au-Prince"),
        ("UTC", "UTC"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", None),  # a rule of POSIX, which has no name
        ("", None),
    ],
)
def test_the_zone_of_this_machine(
    told: str, zone: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", told)
    assert zone_here() == zone
