"""Convert the phrases that `quick` matched into a due date and a rule."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from workspace.recurrence import next_due
from workspace.tasks.quick_add_grammar import (
    MONTHS,
    NUMBERS,
    OFFSETS,
    ORDINALS,
    PARTS,
    UNITS,
    WEEKDAYS,
    DayPart,
)
from workspace.timestamps import format_utc, parse_time

_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_FREQUENCIES: Final = {
    "day": ("DAILY", 1),
    "week": ("WEEKLY", 1),
    "fortnight": ("WEEKLY", 2),
    "month": ("MONTHLY", 1),
    "quarter": ("MONTHLY", 3),
    "year": ("YEARLY", 1),
}
_MIDNIGHT: Final = time(23, 59)  # "midnight" means the end of the named day
_SAME_WEEKDAY_DAYS: Final = 62  # how far ahead "Friday the 13th" is searched
SHORT_UNITS: Final = ("minute", "hour")

Found = Mapping[str, str | None]  # the groups of a pattern's match


@dataclass
class Meaning:
    """The parts of a line other than its title."""

    priority: str | None = None
    tags: list[str] = field(default_factory=list)
    project_id: int | None = None
    day: Found | None = None
    weekday: Found | None = None
    clock: Found | None = None
    part: str | None = None
    repeat: Found | None = None
    count: str | None = None
    until: Found | None = None


def is_real(found: Found) -> bool:
    """Return True if the numbers are a valid time and a valid day."""
    hour, minute, half = (found.get(name) for name in ("hour", "minute", "half"))
    if hour and not (int(hour) <= 23 and int(minute or 0) <= 59):
        return False
    if half and not 1 <= int(hour or 0) <= 12:
        return False
    try:
        if found.get("offset"):
            parse_time(_iso_text(found))
        _fixed_day(found)
    except ValueError:
        return False
    return True


# Due date


def when(said: Meaning, now: datetime) -> tuple[str | None, str]:
    """Return the due date in stored form, or None, and the rule. `now` is in the user's zone."""
    today, repeat = now.date(), rule_of(said, now.date())
    (clock, is_after_midnight), day = _clock_of(said), said.day
    if day is not None and (ahead := _ahead(day)) is not None:
        return format_utc((now + ahead).astimezone(UTC).replace(second=0, microsecond=0)), repeat
    if day is not None and day.get("offset"):
        return format_utc(parse_time(_iso_text(day))), repeat
    if day is None and said.weekday is None and clock is None and not repeat:
        return None, ""
    if day is not None or said.weekday is not None:
        on = _named_day(said, today)
    else:
        late = clock is not None and clock <= now.time()
        on = today + timedelta(days=1 if late else 0)
        on = _first(repeat, on) if repeat else on
    if clock is None:
        return on.isoformat(), repeat
    if said.clock is None and on == today and clock <= now.time():
        return on.isoformat(), repeat  # "tonight" at eleven means by the end of the day
    is_named = day is not None or said.weekday is not None
    if is_after_midnight and is_named and not (on == today and clock > now.time()):
        on += timedelta(days=1)
    return format_utc(datetime.combine(on, clock, now.tzinfo).astimezone(UTC)), repeat


def _ahead(day: Found) -> timedelta | None:
    """Return the offset that "in 2 hours" names, or None for a phrase that names a day."""
    if day.get("half_hour"):
        return timedelta(minutes=30)
    unit = UNITS.get(day.get("unit") or "")
    if unit not in SHORT_UNITS:
        return None
    return timedelta(**{f"{unit}s": _amount(day.get("amount"))})


def _iso_text(found: Found) -> str:
    iso, offset = (found.get("iso") or "").replace("/", "-"), found.get("offset") or ""
    return f"{iso}T{found.get('hour')}:{found.get('minute')}{offset}"


def _first(repeat: str, day: date) -> date:
    """Return the first day of the rule on or after `day`."""
    if "BY" not in repeat:
        return day
    # "every other Monday" begins on the very next Monday, so the interval does not matter here.
    every = re.sub(r";(INTERVAL|COUNT|UNTIL)=\w+", "", repeat)
    before = day - timedelta(days=1)
    following = next_due(before.isoformat(), every, now=datetime.combine(before, time.min, UTC))
    return date.fromisoformat(following.due) if following else day


def _clock_of(said: Meaning) -> tuple[time | None, bool]:
    """Return the time of day, and True if it is after the midnight that ends the named day.

    "monday morning" has a default hour, "9 in the evening" is 21:00. A night belongs to the day on
    which it begins, so "friday night at 1" is after midnight.
    """
    part, clock = PARTS[said.part] if said.part else None, said.clock
    if clock is None:
        return time(part.default) if part else None, False
    if clock.get("noon"):
        return time(12), False
    if clock.get("midnight"):
        return _MIDNIGHT, False
    hour = _hour_of(clock, part)
    minute = 30 if clock.get("half_past") else int(clock.get("minute") or 0)
    if (hour, minute) == (24, 0):
        return _MIDNIGHT, False
    return time(hour % 24, minute), hour >= 24


def _hour_of(clock: Found, part: DayPart | None) -> int:
    """Return the hour. It is 24 or more for a time after the midnight that ends the day."""
    hour, half = int(clock.get("hour") or 0), clock.get("half")
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    elif part and 1 <= hour <= 12:
        return part.first + (hour - part.first) % 12
    is_next_day = part is not None and hour + 24 < part.first + 12
    return hour + 24 if is_next_day else hour


def _amount(text: str | None) -> int:
    if text and text.isdecimal():
        return int(text)
    return NUMBERS.get(text or "", 1)  # "in a week"


def _named_day(said: Meaning, today: date) -> date:
    """Return the day. If a weekday contradicts the date, the date wins."""
    if said.day is None:
        return _weekday(said.weekday or {}, today)
    number = said.day.get("bare_day") or said.day.get("month_day")
    if number is None or said.weekday is None:
        return _day(said.day, today)
    name = said.weekday.get("weekday") or said.weekday.get("next") or ""
    soon = (today + timedelta(days=ahead) for ahead in range(_SAME_WEEKDAY_DAYS))
    agrees = (day for day in soon if (day.day, day.weekday()) == (int(number), WEEKDAYS[name]))
    return next(agrees, None) or _day(said.day, today)


def _weekday(found: Found, today: date) -> date:
    if (name := found.get("next")) is not None:
        return today + timedelta(days=7 - today.weekday() + WEEKDAYS[name])
    name = found.get("weekday") or ""
    return today + timedelta(days=(WEEKDAYS[name] - today.weekday() - 1) % 7 + 1)


def _day(found: Found, today: date) -> date:
    if (word := found.get("word")) is not None:
        return today + timedelta(days=OFFSETS[word])
    if found.get("this"):
        return today
    monday = today + timedelta(days=7 - today.weekday())
    if weekend := found.get("weekend"):
        is_later = "next" in weekend or "proximo" in weekend or "viene" in weekend
        saturday = monday - timedelta(days=2)
        return saturday + timedelta(days=7) if is_later else max(saturday, today)
    if found.get("week"):
        return monday
    if found.get("whole_month"):
        return _months_later(today.replace(day=1), 1)
    if found.get("whole_year"):
        return date(today.year + 1, 1, 1)
    if unit := UNITS.get(found.get("unit") or ""):
        amount = _amount(found.get("amount"))
        if unit in ("day", "week"):
            return today + timedelta(days=amount * (7 if unit == "week" else 1))
        return _months_later(today, amount * (12 if unit == "year" else 1))
    if end := found.get("end"):
        return _end(end, today, later=1 if found.get("end_of_next") else 0)
    if number := found.get("month_day") or found.get("bare_day"):
        return _next_numbered(int(number), today)
    return _dated(found, today)


def _end(of: str, today: date, later: int) -> date:
    """Return the last day of this day, week, month or year, or of the one `later`.

    The week ends on Friday. At the weekend it ends on Sunday.
    """
    if of in ("day", "today", "eod"):
        return today
    if of in ("week", "eow"):
        friday = today + timedelta(days=4 - today.weekday() + 7 * later)
        return friday if friday >= today else friday + timedelta(days=2)
    if of in ("month", "mes", "eom"):
        return _months_later(today.replace(day=1), 1 + later) - timedelta(days=1)
    return date(today.year + later, 12, 31)


def _next_numbered(number: int, today: date) -> date:
    """Return the next day, today included, with that number in its month."""
    months = (_months_later(today.replace(day=1), ahead) for ahead in range(3))
    days = (first.replace(day=number) for first in months if number <= _length_of(first))
    return next(day for day in days if day >= today)


def _length_of(month: date) -> int:
    return monthrange(month.year, month.month)[1]


def _dated(found: Found, today: date) -> date:
    """Return the day of a month. Without a year it is the next one from today on."""
    fixed = _fixed_day(found)
    if fixed is not None:
        return fixed
    month, day = _month(found), int(found["day"] or 0)
    years = range(today.year, today.year + 9)  # 29 February can be 8 years away
    days = (date(year, month, day) for year in years if day <= monthrange(year, month)[1])
    return next(candidate for candidate in days if candidate >= today)


def _fixed_day(found: Found) -> date | None:
    """Return the day if its year is named, else None. Raises ValueError for an impossible day."""
    if iso := found.get("iso"):
        return date.fromisoformat(iso.replace("/", "-"))
    if not (day := found.get("day")):
        return None
    if year := found.get("year"):
        return date(int(year) if len(year) == 4 else 2000 + int(year), _month(found), int(day))
    date(2000, _month(found), int(day))  # validates the day; 2000 is a leap year
    return None


def _month(found: Found) -> int:
    month = found.get("month") or ""
    return int(month) if month.isdecimal() else MONTHS[month]


def _months_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


# Repetition


def rule_of(said: Meaning, today: date) -> str:
    """Return the rule with its end, or "" for none. Raises ValueError for an end before today."""
    if said.repeat is None:
        return ""
    rule = _endless(said.repeat)
    if said.count is not None:
        return f"{rule};COUNT={int(said.count)}"
    if said.until is not None:
        last = _day(said.until, today)
        if last < today:
            raise ValueError(f"{last} is past")
        return f"{rule};UNTIL={last:%Y%m%d}"
    return rule


def _endless(found: Found) -> str:
    times = 2 if found.get("other") else _amount(found.get("times"))
    if nth := found.get("nth"):
        times = ORDINALS.get(nth) or int(nth[:-2])
    interval = f";INTERVAL={times}" if times > 1 else ""
    if found.get("last_day") and found.get("month"):
        return f"FREQ=YEARLY;BYMONTH={_month(found)};BYMONTHDAY=-1"
    if found.get("last_day"):
        return f"FREQ=MONTHLY{interval};BYMONTHDAY=-1"
    if ordinals := found.get("ordinals"):
        weekday = _DAYS[WEEKDAYS[found["ordinal_day"] or ""]]
        places = dict.fromkeys(ORDINALS[word] for word in ordinals.split() if word in ORDINALS)
        return f"FREQ=MONTHLY{interval};BYDAY={','.join(f'{place}{weekday}' for place in places)}"
    if ordinal := found.get("ordinal"):
        weekday = _DAYS[WEEKDAYS[found["ordinal_day"] or ""]]
        return f"FREQ=MONTHLY{interval};BYDAY={ORDINALS[ordinal]}{weekday}"
    if days := found.get("month_days"):
        numbers = sorted({int(number) for number in re.findall("[0-9]+", days)})
        if found.get("or_last") and 28 < numbers[0] < 31:
            days_of_month = ",".join(map(str, range(28, numbers[0] + 1)))
            return f"FREQ=MONTHLY{interval};BYMONTHDAY={days_of_month};BYSETPOS=-1"
        if found.get("or_last"):
            numbers = [-1] if numbers[0] == 31 else numbers
        return f"FREQ=MONTHLY{interval};BYMONTHDAY={','.join(map(str, numbers))}"
    if day := found.get("day"):
        return f"FREQ=YEARLY;BYMONTH={_month(found)};BYMONTHDAY={int(day)}"
    if names := found.get("days"):
        named = {WEEKDAYS[word] for word in re.findall(r"\w+", names) if word in WEEKDAYS}
        is_fortnight = UNITS.get(found.get("unit") or "") == "fortnight"
        return f"FREQ=WEEKLY{';INTERVAL=2' if is_fortnight else interval};BYDAY={_listed(named)}"
    if found.get("first_day"):
        first = WEEKDAYS[found["first_day"] or ""]
        length = (WEEKDAYS[found["last_day_of_week"] or ""] - first) % 7 + 1
        return f"FREQ=WEEKLY;BYDAY={_listed({(first + n) % 7 for n in range(length)})}"
    if found.get("workdays"):
        return "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"
    if found.get("weekends"):
        return "FREQ=WEEKLY;BYDAY=SA"
    if unit := UNITS.get(found.get("unit") or ""):
        freq, own = _FREQUENCIES[unit]
        times *= own
        return f"FREQ={freq}{f';INTERVAL={times}' if times > 1 else ''}"
    return "FREQ=DAILY"  # every morning


def _listed(weekdays: Iterable[int]) -> str:
    return ",".join(_DAYS[day] for day in sorted(weekdays))
