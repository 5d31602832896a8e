"""Times as NeuralFlow writes and reads them: RFC 3339, UTC, "2026-11-23T12:04:05.123456Z".

Old files hold naive times; they are read as UTC. Compare what `parse_time` returns, never the
texts: their fraction of a second has a varying number of digits, or none.
"""

import re
from datetime import UTC, date, datetime

from docstore import utc_text

__all__ = ["ends_before", "is_date", "moment_of", "parse_time", "stored_time", "utc_text"]

# Narrower than datetime.fromisoformat, which also takes week dates, 20261123 and any separator.
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?P<clock>[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)


def parse_time(text: str) -> datetime:
    """The moment, in UTC, that a date (its midnight) or a date-time names. Raises ValueError."""
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is no date or date-time")
    moment = datetime.fromisoformat(text.upper())
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
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
