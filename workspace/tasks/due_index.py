"""An index of open tasks by due date, for the agenda, the dashboard and statistics.

A task is due on a day, which ends by the clock of the user's zone, or at a moment. The cached index
depends neither on a zone nor on the current time: days are in one sorted list, moments in another,
and each page bisects both with its own bounds.
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
from workspace.ordering import derive_cached, map_cached, sort_value
from workspace.schema.validation import COLLECTIONS
from workspace.timestamps import is_date, parse_or_none

Record = Mapping[str, Any]
_Waits = tuple[int, int]  # the sort key among tasks due together: patience and id
_On = tuple[tuple[date, _Waits], Record]
_At = tuple[tuple[datetime, _Waits], Record]


@dataclass(frozen=True)
class DueIndex:
    """All open tasks in order. Those due together are sorted by urgency."""

    days: list[_On]
    moments: list[_At]
    undated: list[_On]


@dataclass(frozen=True)
class DueRange:
    """A range of open tasks: an interval of both lists."""

    days: list[_On]
    moments: list[_At]
    now: datetime  # in the user's zone
    of_days: range
    of_moments: range

    def __len__(self) -> int:
        return len(self.of_days) + len(self.of_moments)

    def first(self, count: int) -> list[Record]:
        """Return the first `count` by day. Within a day, those with a time come first, by time."""
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

    def next_until(self, end: date | datetime) -> DueRange:
        """Return the tasks after this range and before a day, or up to and including a moment."""
        if isinstance(end, datetime):
            days = bisect_left(self.days, end.date(), key=_when)
            moments = bisect_right(self.moments, end, key=_when)
        else:
            days = bisect_left(self.days, end, key=_when)
            moments = bisect_left(self.moments, end, key=lambda one: day_of(one[0][0], self.now))
        return self._next(days, moments)

    def all_next(self) -> DueRange:
        """Return all dated tasks after this range."""
        return self._next(len(self.days), len(self.moments))

    def _next(self, days: int, moments: int) -> DueRange:
        on, at = self.of_days.stop, self.of_moments.stop
        of_days, of_moments = range(on, max(on, days)), range(at, max(at, moments))
        return replace(self, of_days=of_days, of_moments=of_moments)


def start_of(tasks: Sequence[Record], now: datetime) -> DueRange:
    """Return the empty range before the first task, from which `next_until` starts."""
    dues = derive_cached(tasks, _dues)
    return DueRange(dues.days, dues.moments, now, range(0), range(0))


def overdue(tasks: Sequence[Record], now: datetime) -> DueRange:
    """Return the tasks that are overdue. Days end in the zone of `now`."""
    return start_of(tasks, now).next_until(now)


def undated(tasks: Sequence[Record], now: datetime) -> DueRange:
    """Return the open tasks without a due date."""
    dues = derive_cached(tasks, _dues).undated
    return DueRange(dues, [], now, range(len(dues)), range(0))


def most_urgent(tasks: Sequence[Record], now: datetime, count: int) -> list[Record]:
    """Return the first `count` open tasks, by due date and then by urgency."""
    dues = derive_cached(tasks, _dues)
    every = DueRange(dues.days, dues.moments, now, range(len(dues.days)), range(len(dues.moments)))
    first = every.first(count)
    return first + undated(tasks, now).first(count - len(first))


def day_of(moment: datetime, now: datetime) -> date:
    """Return the day of a moment in the zone of `now`."""
    try:
        return moment.astimezone(now.tzinfo).date()
    except OverflowError:  # at the limits of year 1 and year 9999
        return moment.date()


def urgency_rank(task: Record) -> int:
    """Return the sort key of a task's priority. Lower is more urgent."""
    urgency = sort_value(COLLECTIONS["tasks"].by_name["priority"], task)
    return -urgency if isinstance(urgency, int) else 0


def _when(one: tuple[tuple[Any, _Waits], Record]) -> Any:
    return one[0][0]


def _dues(tasks: Sequence[Record]) -> DueIndex:
    dues = DueIndex([], [], [])
    for facts, task in zip(map_cached(tasks, _facts), tasks, strict=True):
        if facts is None:
            continue
        when, waits = facts
        if when is None:
            dues.undated.append(((date.max, waits), task))
        elif isinstance(when, datetime):
            dues.moments.append(((when, waits), task))
        else:
            dues.days.append(((when, waits), task))
    dues.moments.sort(key=itemgetter(0))
    for row in (dues.days, dues.undated):
        row.sort(key=itemgetter(0))
    return dues


def _facts(task: Record) -> tuple[date | None, _Waits] | None:
    """Return the day or moment and the sort key of an open task, or None if it is completed."""
    if task.get("status") == "completed":
        return None
    due, waits = task.get("due_date"), (urgency_rank(task), id_of(task) or 0)
    moment = parse_or_none(due)
    return moment.date() if moment and is_date(str(due)) else moment, waits
