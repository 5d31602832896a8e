"""A calendar month of open tasks by due day in the user's zone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from workspace.tasks.due_index import DueRange, start_of

DAY_TASKS: Final = 3  # shown per day of the calendar
CHOSEN_TASKS: Final = 60  # shown of the selected day
_MONTH: Final = re.compile(r"([0-9]{4})-([0-9]{2})", re.ASCII)

Record = Mapping[str, Any]


@dataclass(frozen=True)
class CalendarDay:
    """A day of the calendar and the tasks due on it."""

    date: date
    due: DueRange
    in_month: bool
    is_today: bool

    @property
    def total(self) -> int:
        return len(self.due)

    @property
    def more(self) -> int:
        """The number of tasks that the calendar does not show."""
        return max(0, self.total - DAY_TASKS)


@dataclass(frozen=True)
class CalendarMonth:
    """The full weeks around a month. `before` and `after` are None at the ends of the calendar."""

    first: date
    weeks: list[list[CalendarDay]]
    before: date | None
    after: date | None

    @property
    def weekdays(self) -> list[date]:
        """The days of one week, for column headings."""
        return [day.date for day in self.weeks[0]]

    @property
    def total(self) -> int:
        """The number of tasks due in the month."""
        return sum(day.total for week in self.weeks for day in week if day.in_month)

    def day(self, text: str) -> CalendarDay | None:
        """Return the day with this ISO date, "2026-11-24", or None."""
        days = (day for week in self.weeks for day in week)
        return next((day for day in days if day.date.isoformat() == text), None)


def month_in(text: str, today: date) -> date:
    """Return the first day of a month "2026-11". Invalid texts mean the current month.

    The years 1 and 9999 count as invalid, because their weeks would exceed the calendar.
    """
    match = _MONTH.fullmatch(text)
    year, month = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (date.min.year < year < date.max.year and 1 <= month <= 12):
        year, month = today.year, today.month
    return date(year, month, 1)


def month_of(
    tasks: Sequence[Record], first: date, now: datetime, *, first_weekday: int = 0
) -> CalendarMonth:
    """Return the month that begins on `first`, in weeks that begin on `first_weekday`.

    Monday is 0.
    """
    before, after = first - timedelta(days=1), (first + timedelta(days=31)).replace(day=1)
    day = first - timedelta(days=(first.weekday() - first_weekday) % 7)
    due, days = start_of(tasks, now).next_until(day), list[CalendarDay]()
    while day < after or len(days) % 7:
        due = due.next_until(day + timedelta(days=1))
        days.append(CalendarDay(day, due, first <= day < after, day == now.date()))
        day += timedelta(days=1)
    return CalendarMonth(
        first,
        [days[at : at + 7] for at in range(0, len(days), 7)],
        before.replace(day=1) if before.year > date.min.year else None,
        after if after.year < date.max.year else None,
    )
