"""The agenda: open tasks by the day that they are due, as the days are where the person is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import Any

from django.utils import formats
from django.utils.translation import gettext_lazy as _

from core.tasks.board import Part, how_many
from core.words import Text
from docstore import id_of
from utils.lists import each
from utils.statistics import patience
from utils.times import is_date, moment_of

GROUP_TASKS = 20  # of each group on a page at first; so many more each time
PAGE_TASKS = 60  # of all groups together, as long as nobody asks for more of one
DAYS = 7  # that have a group of their own, after today

Record = Mapping[str, Any]
_Order = tuple[date, bool, float]
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
    places: dict[object, tuple[str, _Order]] = {}  # many are due at the same time
    for task, facts in zip(tasks, each(tasks, _open_facts), strict=True):
        if facts is None:
            continue
        due, *rest = facts
        if due not in places:
            places[due] = _place(due, now, names)
        name, order = places[due]
        found[name].append(((*order, *rest), task))
    groups, left = [], PAGE_TASKS
    for name, members in found.items():
        if members or name == "today":
            ordered = [task for _key, task in sorted(members, key=itemgetter(0))]
            shown = how_many(parameters, name, min(GROUP_TASKS, left), GROUP_TASKS)
            left = max(0, left - min(shown, len(ordered)))
            title = _TITLES.get(name) or formats.date_format(days[name], str(_("l j F")))
            groups.append(Group(name, title, ordered, shown, GROUP_TASKS, days.get(name)))
    return groups


def due_of(due: object, now: datetime) -> tuple[date | None, bool, datetime | None]:
    """Of a stored `due_date`: the day, whether that has passed, and the moment, where one is
    named."""
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


def _place(due: object, now: datetime, names: Mapping[date, str]) -> tuple[str, _Order]:
    """The group of what is due then, and its order: by day; within one those at a time first, by
    the time."""
    day, late, moment = due_of(due, now)
    name = "overdue" if late else names.get(day, "later") if day else "undated"
    return name, (day or date.max, moment is None, moment.timestamp() if moment else 0)


def _open_facts(task: Record) -> tuple[str | None, int, int] | None:
    """When an open task is due, and how it stands among those due then: the most urgent first."""
    if task.get("status") == "completed":
        return None
    due = task.get("due_date")
    return due if isinstance(due, str) else None, patience(task), id_of(task) or 0
