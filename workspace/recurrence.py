"""Recurrence rules of tasks, a subset of RFC 5545, section 3.3.10.

The subset has only parts that concern days. DAILY takes INTERVAL alone. WEEKLY takes BYDAY. MONTHLY
and YEARLY take BYDAY (also "2MO", the second Monday, and "-1FR", the last Friday), BYMONTHDAY and
BYSETPOS, and YEARLY then requires BYMONTH. COUNT or UNTIL ends any rule, and WKST names the first
day of the week.

As in the RFC, BYMONTHDAY=31 skips a month without a 31st. A rule that names no day (FREQ=MONTHLY,
"every month") skips none: in a shorter month it falls on the last day. The next rule then names the
days, BYMONTHDAY=28,29,30;BYSETPOS=-1, so that the task returns to the 30th.

A task has a single due date. It is the rule's DTSTART, so COUNT includes the task itself. Days are
counted in a time zone, where nine o'clock remains nine o'clock across daylight saving changes.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import count
from typing import Final

from workspace.timestamps import format_utc, is_date, parse_time

REPEAT_CHARACTERS_MAX: Final = 200
# Stop after this many consecutive periods without a day. Without a bound, a rule that never matches
# would search until the year 9999. The longest real gap, 29 February on one weekday, is 40 years.
EMPTY_PERIODS_MAX: Final = 200

_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DAY: Final = f"({'|'.join(_DAYS)})"
_NUMBERED: Final = rf"([+-]?[1-5])?{_DAY}"
_MONTH_DAY: Final = "[+-]?(3[01]|[12][0-9]|[1-9])"
_MONTH: Final = "(1[0-2]|[1-9])"


def _list_of(entry: str) -> str:
    return f"{entry}(,{entry})*"


# The parts in stored order, with the pattern of their values.
_PARTS: Final[Mapping[str, str]] = {
    "FREQ": "(DAILY|WEEKLY|MONTHLY|YEARLY)",
    "INTERVAL": "[1-9][0-9]{0,2}",
    "BYMONTH": _list_of(_MONTH),
    "BYMONTHDAY": _list_of(_MONTH_DAY),
    "BYDAY": _list_of(_NUMBERED),
    "BYSETPOS": _list_of(_MONTH_DAY),
    "COUNT": "[1-9][0-9]{0,2}",
    "UNTIL": "[0-9]{8}(T[0-9]{6}Z)?",
    "WKST": _DAY,
}
_PART: Final = f"({'|'.join(f'{name}={value}' for name, value in _PARTS.items())})"

# Necessary, not sufficient: matches every rule and some invalid texts. Also used in JSON Schemas.
REPEAT_PATTERN: Final = f"({_PART}(;{_PART})*)?"
_RULE: Final = re.compile(REPEAT_PATTERN)

_TAKES: Final[Mapping[str, frozenset[str]]] = {
    "DAILY": frozenset(),
    "WEEKLY": frozenset({"BYDAY"}),
    "MONTHLY": frozenset({"BYDAY", "BYMONTHDAY", "BYSETPOS"}),
    "YEARLY": frozenset({"BYDAY", "BYMONTHDAY", "BYSETPOS", "BYMONTH"}),
}
_ALWAYS: Final = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"})


@dataclass(frozen=True)
class RecurrenceRule:
    """A parsed rule. `days` are pairs of ordinal (0 without one) and weekday (Monday is 0)."""

    freq: str
    interval: int = 1
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    days: tuple[tuple[int, int], ...] = ()
    positions: tuple[int, ...] = ()
    count: int | None = None
    until: str = ""
    week_start: int = 0

    @property
    def names_no_day(self) -> bool:
        """True if only the due date determines the day of the month."""
        return not (self.months or self.month_days or self.days or self.positions)

    def __str__(self) -> str:
        """Return the rule in stored form."""
        parts = {
            "FREQ": self.freq,
            "INTERVAL": "" if self.interval == 1 else self.interval,
            "BYMONTH": _listed(self.months),
            "BYMONTHDAY": _listed(self.month_days),
            "BYDAY": ",".join(f"{number or ''}{_DAYS[day]}" for number, day in self.days),
            "BYSETPOS": _listed(self.positions),
            "COUNT": self.count or "",
            "UNTIL": self.until,
            "WKST": _DAYS[self.week_start] if self.week_start else "",
        }
        return ";".join(f"{name}={value}" for name, value in parts.items() if value)


def _listed(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))


def parse_repeat(text: str) -> RecurrenceRule | None:
    """Return the rule in a text, or None for "" (no repetition). Raises ValueError."""
    if len(text) > REPEAT_CHARACTERS_MAX or not _RULE.fullmatch(text):
        raise ValueError(f"{text!r} is no rule that is known here")
    if not text:
        return None
    parts = {name: value for name, _is, value in (part.partition("=") for part in text.split(";"))}
    if len(parts) <= text.count(";"):
        raise ValueError("each part may stand there once")
    _refuse_misfits(parts)
    return RecurrenceRule(
        freq=parts["FREQ"],
        interval=int(parts.get("INTERVAL", "1")),
        months=_numbers(parts.get("BYMONTH")),
        month_days=_numbers(parts.get("BYMONTHDAY")),
        days=tuple(map(_numbered_day, _entries(parts.get("BYDAY")))),
        positions=_numbers(parts.get("BYSETPOS")),
        count=int(parts["COUNT"]) if "COUNT" in parts else None,
        until=parts.get("UNTIL", ""),
        week_start=_DAYS.index(parts.get("WKST", "MO")),
    )


def _refuse_misfits(parts: Mapping[str, str]) -> None:
    """Raise ValueError if the parts cannot be combined."""
    if "FREQ" not in parts:
        raise ValueError("FREQ is missing")
    if beyond := parts.keys() - _ALWAYS - _TAKES[parts["FREQ"]]:
        raise ValueError(f"{min(beyond)} does not go with {parts['FREQ']}")
    by = parts.keys() & {"BYDAY", "BYMONTHDAY"}
    if parts["FREQ"] == "YEARLY" and by and "BYMONTH" not in parts:
        raise ValueError(f"{min(by)} of a year needs BYMONTH")
    if parts["FREQ"] == "WEEKLY" and any(map(str.isdigit, parts.get("BYDAY", ""))):
        raise ValueError("a week has no second Monday")
    if "BYSETPOS" in parts and not by:
        raise ValueError("BYSETPOS needs BYDAY or BYMONTHDAY")
    if "UNTIL" in parts and "COUNT" in parts:
        raise ValueError("UNTIL and COUNT do not go together")
    if "UNTIL" in parts:
        _moment(parts["UNTIL"])


def canonical_repeat(text: object) -> str | None:
    """Return the rule in stored form, or None if the text is invalid."""
    try:
        return str(parse_repeat(text) or "") if isinstance(text, str) else None
    except ValueError:
        return None


def _entries(value: str | None) -> list[str]:
    return value.split(",") if value else []


def _numbers(value: str | None) -> tuple[int, ...]:
    return tuple(dict.fromkeys(map(int, _entries(value))))


def _numbered_day(entry: str) -> tuple[int, int]:
    return int(entry[:-2] or 0), _DAYS.index(entry[-2:])


def _moment(until: str) -> datetime:
    """Return the last moment that UNTIL allows. Raises ValueError."""
    if "T" in until:
        return datetime.strptime(until, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return datetime.strptime(until, "%Y%m%d").replace(hour=23, minute=59, second=59, tzinfo=UTC)


# Occurrences


@dataclass(frozen=True)
class NextOccurrence:
    """The next due date of a task in stored form, and its remaining rule."""

    due: str
    repeat: str


def next_due(
    due: str | None, repeat: str, *, now: datetime, zone: tzinfo = UTC
) -> NextOccurrence | None:
    """Return the next occurrence after `due`, or None if the rule has ended or is invalid.

    Missed occurrences are skipped: a date is not before today, and a moment is after `now`. A task
    without a due date counts from today. A date remains a date, and a moment retains its local time
    in the zone.
    """
    today = now.astimezone(zone).date()
    try:
        for following in _following(due or today.isoformat(), repeat, zone, today):
            if is_date(following.due) or parse_time(following.due) > now:
                return following
    except (ValueError, OverflowError):  # old records may hold anything
        pass
    return None


def occurrences(due: str, repeat: str, zone: tzinfo = UTC) -> Iterator[str]:
    """Yield the due dates after `due` in order. A rule without an end yields to the year 9999."""
    try:
        for following in _following(due, repeat, zone, date.min):
            yield following.due
    except (ValueError, OverflowError):
        return


def _following(due: str, repeat: str, zone: tzinfo, today: date) -> Iterator[NextOccurrence]:
    rule = parse_repeat(repeat)
    if rule is None:
        return
    moment = None if is_date(due) else parse_time(due).astimezone(zone)
    begins = moment.date() if moment else parse_time(due).date()
    for number, day in enumerate(_days(rule, begins, today), start=1):
        again = _as_due(day, moment, zone)
        if rule.until and not _is_until(rule.until, again, day):
            return
        if rule.count is not None and rule.count <= number:
            return
        if day >= today:
            left = replace(rule, count=rule.count and rule.count - number)
            yield NextOccurrence(again, str(_with_its_day(left, begins, day)))


def _with_its_day(rule: RecurrenceRule, begins: date, day: date) -> RecurrenceRule:
    """Return the rule with an explicit day of the month if `day` lost the original one."""
    if not rule.names_no_day or rule.freq not in ("MONTHLY", "YEARLY") or day.day == begins.day:
        return rule
    if rule.freq == "YEARLY":  # from 29 February
        return replace(rule, months=(2,), month_days=(-1,))
    if begins.day == 31:
        return replace(rule, month_days=(-1,))
    return replace(rule, month_days=tuple(range(28, begins.day + 1)), positions=(-1,))


def _as_due(day: date, moment: datetime | None, zone: tzinfo) -> str:
    if moment is None:
        return day.isoformat()
    return format_utc(datetime.combine(day, moment.time(), zone).astimezone(UTC))


def _is_until(until: str, due: str, day: date) -> bool:
    """Return True if UNTIL allows `due`. A date stands for its complete day."""
    last = _moment(until)
    if "T" not in until or is_date(due):
        return day <= last.date()
    return parse_time(due) <= last


def _days(rule: RecurrenceRule, begins: date, today: date) -> Iterator[date]:
    """Yield the rule's days after `begins`. Days before `today` may be omitted."""
    first = 0
    if rule.count is None and today > begins:  # with COUNT, every occurrence must be counted
        first = _periods_between(rule, begins, today) // rule.interval
    empty = 0
    for period in count(first):
        days = _days_of(rule, begins, period * rule.interval)
        yield from (day for day in days if day > begins)
        empty = 0 if days else empty + 1
        if empty == EMPTY_PERIODS_MAX:
            return


def _periods_between(rule: RecurrenceRule, one: date, other: date) -> int:
    if rule.freq == "YEARLY":
        return other.year - one.year
    if rule.freq == "MONTHLY":
        return (other.year - one.year) * 12 + other.month - one.month
    if rule.freq == "WEEKLY":
        return (_week_of(other, rule.week_start) - _week_of(one, rule.week_start)).days // 7
    return (other - one).days


def _week_of(day: date, week_start: int) -> date:
    """Return the first day of the week that contains the day."""
    return day - timedelta((day.weekday() - week_start) % 7)


def _days_of(rule: RecurrenceRule, begins: date, offset: int) -> list[date]:
    """Return the rule's days in the period `offset` days, weeks, months or years after the first.

    Raises ValueError or OverflowError if that is after the year 9999.
    """
    if rule.freq == "DAILY":
        return [begins + timedelta(offset)]
    if rule.freq == "WEEKLY":
        days = {day for _none, day in rule.days} or {begins.weekday()}
        week = _week_of(begins, rule.week_start) + timedelta(7 * offset)
        return [week + timedelta(n) for n in sorted((day - rule.week_start) % 7 for day in days)]
    if rule.freq == "MONTHLY":
        months = [begins.year * 12 + begins.month - 1 + offset]
    else:
        chosen = sorted(rule.months) or [begins.month]
        months = [(begins.year + offset) * 12 + month - 1 for month in chosen]
    return _at(rule.positions, [day for month in months for day in _in_month(rule, begins, month)])


def _in_month(rule: RecurrenceRule, begins: date, month: int) -> list[date]:
    """Return the rule's days in a month. `month` counts from January of the year 0."""
    year, number = divmod(month, 12)
    first, last = monthrange(year, number + 1)
    month_days = rule.month_days
    if rule.names_no_day:
        month_days = (min(begins.day, last),)
    elif not rule.month_days and not rule.days:
        month_days = (begins.day,)
    days = _numbers_in(month_days, rule.days, first, last)
    return [date(year, number + 1, day) for day in days]


@lru_cache(maxsize=1_024)  # only 28 combinations of length and first weekday exist
def _numbers_in(
    month_days: tuple[int, ...], days: tuple[tuple[int, int], ...], begins_on: int, last: int
) -> list[int]:
    """Return the matching day numbers of a month with `last` days, first weekday `begins_on`."""
    wanted = set(range(1, last + 1))
    if month_days:
        wanted &= {day if day > 0 else last + 1 + day for day in month_days}
    if days:
        wanted &= {day for day in wanted if _is_among(days, day, begins_on, last)}
    return sorted(wanted)


def _is_among(days: tuple[tuple[int, int], ...], day: int, begins_on: int, last: int) -> bool:
    ordinals = {0, (day - 1) // 7 + 1, -((last - day) // 7 + 1)}
    own = (begins_on + day - 1) % 7
    return any(weekday == own and number in ordinals for number, weekday in days)


def _at(positions: tuple[int, ...], days: list[date]) -> list[date]:
    if not positions:
        return days
    indexes = {position - 1 if position > 0 else len(days) + position for position in positions}
    return [day for index, day in enumerate(days) if index in indexes]
