"""Days as people say them: "fri", "tomorrow", "+3d", "2026-11-30"; and where that is said."""

from __future__ import annotations

import os
import re
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

_NAMES: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WORDS: Final = {"today": 0, "tomorrow": 1}
_AHEAD: Final = re.compile(r"\+([0-9]{1,4})(d|w)", re.ASCII)
KNOWN: Final = "a day of the week, today, tomorrow, +3d, +2w, 2026-11-30, 2026-11-30T14:00Z or none"


def due(text: str, today: date) -> str | None:
    """The day, or moment, that `text` means, as the API takes it; None for "none".

    A day of the week is the next one that comes: on a Friday, "fri" is in seven days. Raises
    `ValueError` for what it does not know.
    """
    word = text.strip().lower()
    if word == "none":
        return None
    if word in _WORDS:
        return (today + timedelta(days=_WORDS[word])).isoformat()
    if found := _AHEAD.fullmatch(word):
        return (today + timedelta(days=int(found[1]) * (7 if found[2] == "w" else 1))).isoformat()
    for number, name in enumerate(_NAMES):
        if len(word) >= 2 and name.startswith(word):
            return (today + timedelta(days=(number - today.weekday() - 1) % 7 + 1)).isoformat()
    return _written_out(text.strip())


def _written_out(text: str) -> str:
    try:
        if len(text) == len("2026-11-30"):
            return date.fromisoformat(text).isoformat()
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no day; it may be {KNOWN}") from None
    # Without a zone, the clock on the wall is meant.
    return (moment if moment.tzinfo else moment.astimezone()).isoformat()


def zone_here() -> str | None:
    """The IANA name of this machine's time zone, by TZ or /etc/localtime; None where none is."""
    told = os.environ.get("TZ")
    place = told if told is not None else str(Path("/etc/localtime").resolve())
    name = place.removeprefix(":").rpartition("zoneinfo/")[2]
    return name if re.fullmatch(r"[A-Za-z]+(/[\w+-]+)+|UTC", name, re.ASCII) else None
