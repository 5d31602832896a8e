"""The agenda: open tasks by the day that they are due, as the days are where the person is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.utils import formats
from django.utils.translation import gettext_lazy as _

from core.tasks.board import Part, how_many
from core.words import Text
from utils.dues import Due, day_of, overdue, undated
from utils.times import is_date, moment_of

GROUP_TASKS = 20  # of each group on a page at first; so many more each time
PAGE_TASKS = 60  # of all groups together, as long as nobody asks for more of one
DAYS = 7  # that have a group of their own, after today

Record = Mapping[str, Any]
_TITLES: dict[str, Text] = {
    "overdue": _("Overdue"),
    "today": _("Today"),
    "tomorrow": _("Tomorrow"),
    "later": _("Later"),
    "undated": _("Without a date"),
}


@dataclass(frozen=True)
class Group(Part):
    """Tasks that are due together."""

    day: date | None = None  # where it is one day


def agenda(tasks: Sequence[Record], now: datetime, parameters: Mapping[str, str]) -> list[Group]:
    """Today, and whatever else there is; `now` is in the person's zone.

    `parameters` say of how many groups more than the first tasks are shown: `later=40`.
    """
    groups, left = [], PAGE_TASKS
    for name, day, due in _groups(tasks, now):
        if due or name == "today":
            shown = how_many(parameters, name, min(GROUP_TASKS, left), GROUP_TASKS)
            left = max(0, left - min(shown, len(due)))
            title = _TITLES.get(name) or formats.date_format(day or now, str(_("l j F")))
            groups.append(Group(name, title, due.first(shown), len(due), shown, GROUP_TASKS, day))
    return groups


def _groups(tasks: Sequence[Record], now: datetime) -> Iterator[tuple[str, date | None, Due]]:
    """All groups, also those without a task: the name, the day, and what is due then."""
    due, day = overdue(tasks, now), now.date()
    yield "overdue", None, due
    for name in ("today", "tomorrow", *(f"day{n}" for n in range(2, DAYS + 1))):
        due = due.next_until(day + timedelta(days=1))
        yield name, day, due
        day += timedelta(days=1)
    yield "later", None, due.all_next()
    yield "undated", None, undated(tasks, now)


def due_of(due: object, now: datetime) -> tuple[date | None, bool, datetime | None]:
    """Of a stored `due_date`: the day, whether that has passed, and the moment, where one is
    named."""
    moment = moment_of(due)
    if moment is None:
        return None, False, None
    if is_date(str(due)):
        return moment.date(), moment.date() < now.date(), None
    return day_of(moment, now), moment <= now, moment
