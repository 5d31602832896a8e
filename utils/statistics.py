"""The figures of the dashboard: counts over one person's records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Any

from utils.lists import each, sort_value
from utils.records import COLLECTIONS
from utils.times import is_date, moment_of

Record = Mapping[str, Any]


def statistics(
    tasks: Sequence[Record], projects: Sequence[Record], models: Sequence[Record], now: datetime
) -> dict[str, Any]:
    """Totals and counts as the dashboard and its API show them; old records may lack any field."""
    statuses = count_by("tasks", "status", tasks)
    return {
        "total_tasks": len(tasks),
        "completed_tasks": statuses["completed"],
        "overdue_tasks": count_overdue(tasks, now),
        "total_projects": len(projects),
        "active_projects": count_by("projects", "status", projects)["active"],
        "total_models": len(models),
        "active_models": count_by("models", "status", models)["active"],
        "tasks_by_status": statuses,
        "tasks_by_priority": count_by("tasks", "priority", tasks),
    }


def count_by(collection: str, field_name: str, records: Iterable[Record]) -> dict[str, int]:
    """How many records have each choice; a missing value counts as the field's default.

    What an old folder holds beside the choices is counted too, under its own name.
    """
    field = COLLECTIONS[collection].by_name[field_name]
    counts = Counter(each(records, _choice_of(collection, field_name)))
    return dict.fromkeys(field.choices, 0) | counts


@cache
def _choice_of(collection: str, field_name: str) -> Callable[[Record], str]:
    default = COLLECTIONS[collection].by_name[field_name].default
    return lambda record: str(record.get(field_name) or default)


def count_overdue(tasks: Iterable[Record], now: datetime) -> int:
    """How many `is_overdue`."""
    dues = Counter(each(tasks, open_due))
    del dues[None]
    return sum(count for due, count in dues.items() if _is_past(due, now))


def open_due(task: Record) -> str | None:
    """When a task is due that is still to be done, as it is stored; None for any other."""
    due = task.get("due_date")
    return due if isinstance(due, str) and task.get("status") != "completed" else None


def patience(task: Record) -> int:
    """How long a task can wait, by its priority: the less, the more urgent it is."""
    urgency = sort_value(COLLECTIONS["tasks"].by_name["priority"], task)
    return -urgency if isinstance(urgency, int) else 0


def due_moment(task: Record, zone: tzinfo | None = UTC) -> datetime | None:
    """When the task becomes overdue: a date when its day has ended in the zone; None if never."""
    return due_end(task.get("due_date"), zone)


def due_end(due: object, zone: tzinfo | None = UTC) -> datetime | None:
    """When a time is over that a task is due at: a date when its day has ended in the zone."""
    moment = moment_of(due)
    if moment is None or not is_date(str(due)):
        return moment
    try:
        # In wall time: a day in which clocks are changed has not 24 hours.
        return (moment + timedelta(days=1)).replace(tzinfo=zone)
    except OverflowError:  # the last day there is
        return None


def is_overdue(task: Record, now: datetime) -> bool:
    """Whether it should have been completed by now; days end as in the zone of `now`."""
    return _is_past(open_due(task), now)


def _is_past(due: str | None, now: datetime) -> bool:
    end = due_end(due, now.tzinfo)
    return end is not None and end <= now
