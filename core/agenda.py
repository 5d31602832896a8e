"""The agenda: open tasks by the day that they are due, as the days are where the person is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import Any

from django.utils import formats
from django.utils.translation import gettext_lazy as _

from core.board import Part, how_many
from core.words import Text
from docstore import id_of
from utils.lists import sort_value
from utils.records import COLLECTIONS
from utils.times import is_date, moment_of

GROUP_TASKS = 20  # of each group on a page at first; so many more each time
PAGE_TASKS = 60  # of all groups together, as long as nobody asks for more of one
DAYS = 7  # that have a group of their own, after today

Record = Mapping[str, Any]
_PRIORITY = COLLECTIONS["tasks"].by_name["priority"]
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
    today = now.date()
    days: dict[str, date] = {"today": today, "tomorrow": today + timedelta(days=1)}
    days |= {f"day{n}": today + timedelta(days=n) for n in range(2, DAYS + 1)}
    names = {day: name for name, day in days.items()}
    found: dict[str, list[tuple[Any, Record]]] = {
        name: [] for name in ("overdue", *days, "later", "undated")
    }
    for task in tasks:
        if task.get("status") != "completed":
            day, late, moment = due_of(task, now)
            name = "overdue" if late else names.get(day, "later") if day else "undated"
            found[name].append((_order(task, day, moment), task))
    groups, left = [], PAGE_TASKS
    for name, members in found.items():
        if members or name == "today":
            ordered = [task for _key, task in sorted(members, key=itemgetter(0))]
            shown = how_many(parameters, name, min(GROUP_TASKS, left), GROUP_TASKS)
            left = max(0, left - min(shown, len(ordered)))
            title = _TITLES.get(name) or formats.date_format(days[name], str(_("l j F")))
            groups.append(Group(name, title, ordered, shown, GROUP_TASKS, days.get(name)))
    return groups


def due_of(task: Record, now: datetime) -> tuple[date | None, bool, datetime | None]:
    """The day on which it is due, whether that has passed, and the moment, where one is named."""
    due = task.get("due_date")
    moment = moment_of(due)
    if moment is None:
        return None, False, None
    if is_date(str(due)):
        return moment.date(), moment.date() < now.date(), None
    return _day_of(moment, now), moment <= now, moment


def _day_of(moment: datetime, now: datetime) -> date:
    try:
        return moment.astimezone(now.tzinfo).date()
    except OverflowError:  # the first and the last day that there are
        return moment.date()


def _order(task: Record, day: date | None, moment: datetime | None) -> tuple[Any, ...]:
    """By day; within one those at a time first, by the time, and then the most urgent."""
    urgency = sort_value(_PRIORITY, task)
    return (
        day or date.max,
        moment is None,
        moment.timestamp() if moment else 0,
        -urgency if isinstance(urgency, int) else 0,
        id_of(task) or 0,
    )
