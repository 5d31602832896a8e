"""The agenda: open tasks grouped by due day in the user's zone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.utils import formats
from django.utils.translation import gettext_lazy as _

from web.labels import Text
from web.tasks.board import TaskGroup, how_many
from workspace.tasks.due_index import DueRange, overdue, undated

GROUP_TASKS = 20  # initially shown per group, and per step of "more"
PAGE_TASKS = 60  # initially shown in all groups together
DAYS = 7  # days after today with a group of their own

Record = Mapping[str, Any]
_TITLES: dict[str, Text] = {
    "overdue": _("Overdue"),
    "today": _("Today"),
    "tomorrow": _("Tomorrow"),
    "later": _("Later"),
    "undated": _("No date"),
}


@dataclass(frozen=True)
class DueGroup(TaskGroup):
    """Tasks that are due together."""

    day: date | None = None  # None for groups that span several days


def agenda(tasks: Sequence[Record], now: datetime, parameters: Mapping[str, str]) -> list[DueGroup]:
    """Return the group of today and all other non-empty groups. `now` is in the user's zone.

    `parameters` request more than the initial tasks of a group: `later=40`.
    """
    groups, left = [], PAGE_TASKS
    for name, day, due in _groups(tasks, now):
        if due or name == "today":
            shown = how_many(parameters, name, min(GROUP_TASKS, left), GROUP_TASKS)
            left = max(0, left - min(shown, len(due)))
            title = _TITLES.get(name) or formats.date_format(day or now, str(_("l j F")))
            groups.append(
                DueGroup(name, title, due.first(shown), len(due), shown, GROUP_TASKS, day)
            )
    return groups


def _groups(tasks: Sequence[Record], now: datetime) -> Iterator[tuple[str, date | None, DueRange]]:
    """Yield the name, day and tasks of all groups, including empty ones."""
    due, day = overdue(tasks, now), now.date()
    yield "overdue", None, due
    for name in ("today", "tomorrow", *(f"day{n}" for n in range(2, DAYS + 1))):
        due = due.next_until(day + timedelta(days=1))
        yield name, day, due
        day += timedelta(days=1)
    yield "later", None, due.all_next()
    yield "undated", None, undated(tasks, now)
