"""The local time zone, in which phrases such as "fri 17:00" are interpreted."""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from pathlib import Path


def zone_here() -> str | None:
    """Return the IANA name of the local zone, from TZ, /etc/localtime or the clock's offset.

    Return None if it has neither a name nor an offset of whole hours.
    """
    text = os.environ.get("TZ")
    place = text if text is not None else str(Path("/etc/localtime").resolve())
    name = place.removeprefix(":").rpartition("zoneinfo/")[2]
    if re.fullmatch(r"[A-Za-z]+(/[\w+-]+)+|UTC", name, re.ASCII):
        return name
    return _zone_of(datetime.now().astimezone().utcoffset() or timedelta())


def _zone_of(offset: timedelta) -> str | None:
    hours, rest = divmod(offset, timedelta(hours=1))
    if rest or not -12 <= hours <= 14:
        return None
    return f"Etc/GMT{-hours:+d}" if hours else "UTC"  # POSIX sign: positive is west
