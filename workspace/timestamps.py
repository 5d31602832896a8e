"""Parse and format times: RFC 3339, UTC, "2026-11-23T12:04:05.123456Z".

Naive times of old files are read as UTC. Compare the results of `parse_time`, never the texts:
their number of fractional digits varies.
"""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from zoneinfo import available_timezones

from docstore import format_utc

__all__ = [
    "TIME_PATTERN",
    "ends_before",
    "format_utc",
    "is_date",
    "is_time_zone",
    "normalize_time",
    "parse_or_none",
    "parse_time",
    "time_zones",
    "zone_of_offset",
]

# Every valid date or date-time. With an offset, some are outside the years 1 to 9999 in UTC. JSON
# Schemas contain this pattern, so it avoids syntax that ECMA-262 reads differently, such as \d. It
# is narrower than datetime.fromisoformat, which also accepts week dates and 20261123.
_YEAR = "([0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})"
_LEAP_YEAR = (
    "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"  # not 0000
)
_DATE = (
    f"({_YEAR}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    f"|02-(0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]"
_OFFSET = "([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])"
TIME_PATTERN = rf"{_DATE}([Tt ]{_CLOCK}(:[0-5][0-9](\.[0-9]{{1,9}})?)?{_OFFSET}?)?"

_TIME = re.compile(TIME_PATTERN)


# Sorting lists parses the same times repeatedly. An entry takes about 250 bytes.
@lru_cache(40_000)
def parse_time(text: str, zone: tzinfo = UTC) -> datetime:
    """Return the moment in UTC that a date-time names, or the midnight in UTC of a date.

    A date-time without an offset is local time in `zone`. Raises ValueError.
    """
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is no date or date-time")
    moment = datetime.fromisoformat(text.upper())
    try:
        meant = moment if moment.tzinfo else moment.replace(tzinfo=UTC if is_date(text) else zone)
        return meant.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is outside the years 1 to 9999 in UTC") from None


def parse_or_none(value: object) -> datetime | None:
    """Return the moment of a stored value, or None if it is invalid, as in old files."""
    try:
        return parse_time(value) if isinstance(value, str) else None
    except ValueError:
        return None


def is_date(text: str) -> bool:
    """Return whether a text that `parse_time` accepts is a date without a time."""
    return len(text) == len("2026-11-23")


@cache
def time_zones() -> tuple[str, ...]:
    """Return the names of all IANA time zones, sorted."""
    return tuple(sorted(available_timezones()))


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(time_zones())


def is_time_zone(name: str) -> bool:
    return name in _zone_names()


def zone_of_offset(value: object) -> str:
    """Return the zone of a date-time's offset in whole hours, such as "Etc/GMT-9".

    Return "" for any other value, and for UTC, which many programs write in any zone.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return ""
    offset = value.utcoffset() if isinstance(value, datetime) else None
    if not offset or offset % timedelta(hours=1):
        return ""
    hours = offset // timedelta(hours=1)
    name = f"Etc/GMT{-hours:+d}"  # the sign of POSIX: west is positive
    return name if is_time_zone(name) else ""


def normalize_time(value: object) -> str:
    """Return a date or date-time, as text or Python object, in stored form.

    A date remains a date, because it names a day in every zone. Raises ValueError.
    """
    if isinstance(value, datetime):
        value = value.isoformat()
    elif isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        raise ValueError(f"a Python {type(value).__name__} is no date or date-time")
    moment = parse_time(value)
    return moment.date().isoformat() if is_date(value) else format_utc(moment)


def ends_before(start: str, end: str) -> bool:
    """Return whether `end` is before `start`. If either is a date, days are compared."""
    first, last = parse_time(start), parse_time(end)
    if is_date(start) or is_date(end):
        return last.date() < first.date()
    return last < first
