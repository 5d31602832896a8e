"""When a job is due: at a time of the day, again after a failure, and at once after downtime."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, tzinfo
from typing import Final

from workspace.operations.maintenance_history import JobState

RETRY_FIRST: Final = timedelta(minutes=5)
RETRY_FACTOR: Final = 3
RETRY_MAX: Final = timedelta(hours=6)

DAILY: Final = timedelta(days=1)
HOURLY: Final = timedelta(hours=1)


def parse_time_of_day(text: str) -> time:
    """Return the time that a text such as 03:30 names. Raises ValueError."""
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text, re.ASCII):
        raise ValueError(f"{text!r} is not a time of the day such as 03:30")
    return time.fromisoformat(text)


def latest_start(now: datetime, every: timedelta, at: time, zone: tzinfo | None) -> datetime:
    """Return the last moment up to now at which a job of this interval should have started.

    A daily job starts at `at` in the zone, by default that of the machine. An hourly one starts at
    the same minute of each hour.
    """
    local = now.astimezone(zone)
    start = local.replace(minute=at.minute, second=0, microsecond=0)
    if every >= DAILY:
        start = start.replace(hour=at.hour)
        # Local midnight to midnight may be 23 or 25 hours. A replaced day keeps the time of day.
        return start if start <= local else start.replace(fold=0) - DAILY
    return start if start <= local else start - HOURLY


def is_due(
    state: JobState, now: datetime, every: timedelta, at: time, zone: tzinfo | None = None
) -> bool:
    """Return whether the job should run now.

    It should if a start has passed since it last started, or since it was first seen if it never
    has. A job that an error stopped runs again after a pause that grows with each failure.
    """
    if state.failures and state.is_retried and state.finished_at is not None:
        return now >= state.finished_at + retry_pause(state.failures)
    before = state.started_at or state.seen_at
    if before > now:  # the clock was set back: the job must not wait for it
        before = now - every
    return latest_start(now, every, at, zone) > before


def retry_pause(failures: int) -> timedelta:
    """Return the pause after this many failures in a row."""
    # The exponent is bounded: 3**1000 would overflow.
    factor: int = RETRY_FACTOR ** min(failures - 1, 10)
    return min(RETRY_FIRST * factor, RETRY_MAX)


def next_start(
    state: JobState, now: datetime, every: timedelta, at: time, zone: tzinfo | None = None
) -> datetime:
    """Return when the job runs next; now if it is due."""
    if is_due(state, now, every, at, zone):
        return now
    if state.failures and state.is_retried and state.finished_at is not None:
        return state.finished_at + retry_pause(state.failures)
    return latest_start(now, every, at, zone) + (DAILY if every >= DAILY else HOURLY)
