"""The heat map: activities per day in the last half year, as an SVG with a table.

Days are in the user's zone. The size of a square grows with the count, so colour is not the only
cue.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, Final

from workspace.timestamps import parse_or_none
from workspace.users.activity_query import DEEDS, LOOKED_AT_MAX, ActivityLog

WEEKS: Final = 26
LEVELS: Final = 4
STEP: Final = 13  # distance of squares in SVG units
_LEFT, _TOP = 0, 16
_STORED_LENGTH: Final = len("2026-11-23T12:04:05.123456Z")
_QUARTERS: Final = {f"{minute:02}": f"{minute // 15}" for minute in range(60)}

Activity = Mapping[str, Any]


@dataclass(frozen=True)
class HeatmapDay:
    """A day, its count, and its square in the SVG."""

    date: date
    count: int
    level: int  # 0 for a count of 0, else 1 to LEVELS
    x: float
    y: float
    size: int


@dataclass(frozen=True)
class HeatmapWeek:
    """A week by its first day. Future days are None."""

    start: date
    days: list[HeatmapDay | None]
    x: int
    month: date | None  # the month that begins in it, if there is room for the label

    @property
    def total(self) -> int:
        return sum(day.count for day in self.days if day)


@dataclass(frozen=True)
class Heatmap:
    """The weeks of the heat map, oldest first."""

    weeks: list[HeatmapWeek]
    total: int
    days: int  # days with at least one activity
    best: HeatmapDay | None

    @property
    def names(self) -> list[date]:
        """The days of one week, for row labels."""
        return [self.weeks[0].start + timedelta(days=day) for day in range(7)]

    @property
    def busy_weeks(self) -> list[HeatmapWeek]:
        """Weeks with at least one activity, newest first."""
        return [week for week in reversed(self.weeks) if week.total]

    width, height = WEEKS * STEP, _TOP + 7 * STEP


def heat_of(activities: Sequence[Activity], now: datetime, *, first_weekday: int = 0) -> Heatmap:
    """Return the heat map up to the day of `now`, in its zone.

    `activities` are oldest first. Only the newest LOOKED_AT_MAX are counted.
    """
    today = now.date()
    start = today - timedelta(days=(today.weekday() - first_weekday) % 7, weeks=WEEKS - 1)
    counts = _counts(activities, start, now.tzinfo)
    return _heat(start, today, tuple(counts.items()))


@lru_cache(256)  # computing 182 days costs more than the key, and counts rarely change
def _heat(start: date, today: date, done: tuple[tuple[date, int], ...]) -> Heatmap:
    counts = Counter(dict(done))
    most = max(counts.values(), default=0)
    weeks = [_week(start + timedelta(weeks=n), n, today, counts, most) for n in range(WEEKS)]
    every = [day for week in weeks for day in week.days if day and day.count]
    best = max(every, key=lambda day: day.count, default=None)
    return Heatmap(weeks, sum(day.count for day in every), len(every), best)


def _counts(activities: Sequence[Activity], start: date, zone: tzinfo | None) -> Counter[date]:
    counts: Counter[date] = Counter()
    for day in _days(activities[-LOOKED_AT_MAX:], zone):
        if day < start:
            break
        counts[day] += 1
    for quarter, count in (
        activities.trimmed_deeds.items() if isinstance(activities, ActivityLog) else ()
    ):
        moment = parse_or_none(f"{quarter}Z")
        if moment is not None and (day := moment.astimezone(zone).date()) >= start:
            counts[day] += count
    return counts


def _days(activities: Sequence[Activity], zone: tzinfo | None) -> Iterator[date]:
    """Yield the day of each counted activity, newest first."""
    days: dict[str, date | None] = {}  # by quarter of an hour
    for activity in reversed(activities):
        if str(activity.get("type")).startswith(DEEDS):
            text = str(activity.get("timestamp"))
            quarter = _quarter(text)
            if quarter not in days:
                moment = parse_or_none(text)
                days[quarter] = moment.astimezone(zone).date() if moment else None
            if (day := days[quarter]) is not None:
                yield day


def _quarter(timestamp: str) -> str:
    """Return a text that is equal for timestamps of one quarter of an hour in UTC.

    Time zones differ by quarters, so their days are equal, too. A timestamp in another form than
    the stored one, as in files edited by hand, is returned as it is.
    """
    if len(timestamp) != _STORED_LENGTH or timestamp[-1] != "Z":
        return timestamp
    return timestamp[:14] + _QUARTERS.get(timestamp[14:16], timestamp)


def _week(start: date, number: int, today: date, counts: Counter[date], most: int) -> HeatmapWeek:
    days = [start + timedelta(days=day) for day in range(7)]
    squares = [
        _day(day, counts[day], most, number, place) if day <= today else None
        for place, day in enumerate(days)
    ]
    x = _LEFT + number * STEP
    first = next((day for day in days if day.day == 1), None)
    return HeatmapWeek(start, squares, x, first if number < WEEKS - 1 else None)


def _day(day: date, count: int, most: int, week: int, place: int) -> HeatmapDay:
    level = -(-LEVELS * count // most) if count else 0
    size = 2 + level * 2 + (level > 0)
    inset = (STEP - size) / 2
    return HeatmapDay(
        day, count, level, _LEFT + week * STEP + inset, _TOP + place * STEP + inset, size
    )
