"""Times as text, in the one format that the store writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_TIME_CHARACTERS: Final = len("2026-11-23T12:04:05.123456")


def utc_now() -> datetime:
    """Return the current time of this machine: the default of every injectable clock."""
    return datetime.now(UTC)


_latest: tuple[datetime | None, str] = (None, "")


def format_utc(moment: datetime) -> str:
    """Format a time by RFC 3339 to the microsecond: `2026-11-23T12:04:05.123456Z`; naive is UTC."""
    global _latest
    known, text = _latest
    if known is moment:  # a commit formats the same object several times
        return text
    text = _text(moment)
    _latest = moment, text
    return text


def _text(moment: datetime) -> str:
    if moment.tzinfo is not UTC:
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    return f"{moment.isoformat('T', 'microseconds')[:_TIME_CHARACTERS]}Z"
