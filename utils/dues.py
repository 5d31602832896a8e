"""Open tasks in the order in which they are due, for the agenda, the dashboard and its figures.

A task is due on a day, which ends where the person is, or at a moment. What is remembered of a list
knows nothing of a zone or of the time now: the days stand in one row, the moments in another, and
each page only looks up where in them its own hours begin and end.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Any

from docstore import id_of
from utils.lists import each, sort_value, whole
from utils.records import COLLECTIONS
from utils.times import is_date, moment_of

Record = Mapping[str, Any]
_Waits = tuple[int, int]  # how patient a task is, and its id
_On = tuple[tuple[date, _Waits], Record]
_At = tuple[tuple[datetime, _Waits], Record]


@dataclass(frozen=True)
class Dues:
    """All that are open, one after the other; those due together by their urgency."""

    days: list[_On]
    moments: list[_At]
    undated: list[_On]


@dataclass(frozen=True)
class Due:
    """Some of them: from one place to another in both rows."""

    days: list[_On]
    moments: list[_At]
    now: datetime  # in the person's zone
    of_days: range
    of_moments: range

    def __len__(self) -> int:
        return len(self.of_days) + len(self.of_moments)

    def first(self, count: int) -> list[Record]:
        """By their days; within one those at a time first, by the time."""
        ordered = merge(self._on(), self._at(), key=itemgetter(0))
        return [task for _key, task in islice(ordered, count)]

    def _on(self) -> Iterator[tuple[Any, Record]]:
        for place in self.of_days:
            (day, waits), task = self.days[place]
            yield (day, True, waits), task

    def _at(self) -> Iterator[tuple[Any, Record]]:
        for place in self.of_moments:
            (moment, waits), task = self.moments[place]
            yield (day_of(moment, self.now), False, moment, waits), task

    def next_until(self, end: date | datetime) -> Due:
        """What comes after these and is due before a day, or until a moment and at it."""
        if isinstance(end, datetime):
            days = bisect_left(self.days, end.date(), key=_when)
            moments = bisect_right(self.moments, end, key=_when)
        else:
            days = bisect_left(self.days, end, key=_when)
            moments = bisect_left(self.moments, end, key=lambda one: day_of(one[0][0], self.now))
        return self._next(days, moments)

    def all_next(self) -> Due:
        """What comes after these."""
        return self._next(len(self.days), len(self.moments))

    def _next(self, days: int, moments: int) -> Due:
        on, at = self.of_days.stop, self.of_moments.stop
        of_days, of_moments = range(on, max(on, days)), range(at, max(at, moments))
        return replace(self, of_days=of_days, of_moments=of_moments)


def before_all(tasks: Sequence[Record], now: datetime) -> Due:
    """None of them, before the first: `next_until` goes on from there."""
    dues = whole(tasks, _dues)
    return Due(dues.days, dues.moments, now, range(0), range(0))


def overdue(tasks: Sequence[Record], now: datetime) -> Due:
    """What should have been completed by now; days end as in the zone of `now`."""
    return before_all(tasks, now).next_until(now)


def undated(tasks: Sequence[Record], now: datetime) -> Due:
    """What is due at no time."""
    dues = whole(tasks, _dues).undated
    return Due(dues, [], now, range(len(dues)), range(0))


def most_pressing(tasks: Sequence[Record], now: datetime, count: int) -> list[Record]:
    """The first of those that are open: by when they are due, and then by their urgency."""
    dues = whole(tasks, _dues)
    every = Due(dues.days, dues.moments, now, range(len(dues.days)), range(len(dues.moments)))
    first = every.first(count)
    return first + undated(tasks, now).first(count - len(first))


def day_of(moment: datetime, now: datetime) -> date:
    """The day of a moment in the zone of `now`."""
    try:
        return moment.astimezone(now.tzinfo).date()
    except OverflowError:  # the first and the last day that there are
        return moment.date()


def patience(task: Record) -> int:
    """How long a task can wait, by its priority: the less, the more urgent it is."""
    urgency = sort_value(COLLECTIONS["tasks"].by_name["priority"], task)
    return -urgency if isinstance(urgency, int) else 0


def _when(one: tuple[tuple[Any, _Waits], Record]) -> Any:
    return one[0][0]


def _dues(tasks: Sequence[Record]) -> Dues:
    found = Dues([], [], [])
    for facts, task in zip(each(tasks, _facts), tasks, strict=True):
        if facts is None:
            continue
        when, waits = facts
        if when is None:
            found.undated.append(((date.max, waits), task))
        elif isinstance(when, datetime):
            found.moments.append(((when, waits), task))
        else:
            found.days.append(((when, waits), task))
    found.moments.sort(key=itemgetter(0))
    for row in (found.days, found.undated):
        row.sort(key=itemgetter(0))
    return found


def _facts(task: Record) -> tuple[date | None, _Waits] | None:
    """Of an open task its day, or its moment, and what it stands behind of those due then."""
    if task.get("status") == "completed":
        return None
    due, waits = task.get("due_date"), (patience(task), id_of(task) or 0)
    moment = moment_of(due)
    return moment.date() if moment and is_date(str(due)) else moment, waits
