"""Times as NeuralFlow writes and reads them: RFC 3339, UTC, "2026-11-23T12:04:05.123456Z".

Old files hold naive times; they are read as UTC. Compare what `parse_time` returns, never the
texts: their fraction of a second has a varying number of digits, or none.
"""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from zoneinfo import available_timezones

from docstore import utc_text

__all__ = [
    "TIME_PATTERN",
    "ends_before",
    "is_date",
    "is_time_zone",
    "moment_of",
    "parse_time",
    "stored_time",
    "time_zones",
    "utc_text",
    "zone_of_offset",
]

# Every text that names a day or a moment. Some name one beyond the years 1 to 9999 in UTC, by their
# offset. JSON Schemas say it with this pattern, so it has nothing that ECMA-262 reads differently,
# such as \d. Narrower than datetime.fromisoformat, which also takes week dates and 20261123.
_YEAR = "([0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})"
_LEAP_YEAR = (
    "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"  # 0000 is none
)
_DATE = (
    f"({_YEAR}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    f"|02-(0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]"
_OFFSET = "([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])"
TIME_PATTERN = rf"{_DATE}([Tt ]{_CLOCK}(:[0-5][0-9](\.[0-9]{{1,9}})?)?{_OFFSET}?)?"

_TIME = re.compile(TIME_PATTERN)


# Lists are put in order by the same times again and again; a text and its moment are 250 bytes.
@lru_cache(40_000)
def parse_time(text: str, zone: tzinfo = UTC) -> datetime:
    """The moment, in UTC, that a date (its midnight in UTC) or a date-time names.

    One without an offset is the time that clocks of `zone` show. Raises ValueError.
    """
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is no date or date-time")
    moment = datetime.fromisoformat(text.upper())
    try:
        meant = moment if moment.tzinfo else moment.replace(tzinfo=UTC if is_date(text) else zone)
        return meant.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is outside the years 1 to 9999 in UTC") from None


def moment_of(value: object) -> datetime | None:
    """The moment that a stored value names; None where it names none, as old files may have it."""
    try:
        return parse_time(value) if isinstance(value, str) else None
    except ValueError:
        return None


def is_date(text: str) -> bool:
    """Whether a text that `parse_time` reads is a date without a time of day."""
    return len(text) == len("2026-11-23")


@cache
def time_zones() -> tuple[str, ...]:
    """The names of all time zones, in order."""
    return tuple(sorted(available_timezones()))


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(time_zones())


def is_time_zone(name: str) -> bool:
    return name in _zone_names()


def zone_of_offset(value: object) -> str:
    """Return the zone of whole hours that a date-time is written in, such as "Etc/GMT-9".

    Return "" for any other value, and for UTC, which many programs write whatever their zone is.
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


def stored_time(value: object) -> str:
    """A date or date-time, as text or Python object, in the form it is stored in.

    A date stays a date, for it names a day wherever it is read. Raises ValueError.
    """
    if isinstance(value, datetime):
        value = value.isoformat()
    elif isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        raise ValueError(f"a Python {type(value).__name__} is no date or date-time")
    moment = parse_time(value)
    return moment.date().isoformat() if is_date(value) else utc_text(moment)


def ends_before(start: str, end: str) -> bool:
    """Whether `end` is before `start`; a date stands for its whole day."""
    first, last = parse_time(start), parse_time(end)
    if is_date(start) or is_date(end):
        return last.date() < first.date()
    return last < first
