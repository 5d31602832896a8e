"""Statistics over a user's records, as the dashboard shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Any

from workspace.ordering import derive_cached, map_cached
from workspace.schema.validation import COLLECTIONS
from workspace.tasks.due_index import overdue
from workspace.timestamps import is_date, parse_or_none

Record = Mapping[str, Any]


def statistics(
    tasks: Sequence[Record], projects: Sequence[Record], models: Sequence[Record], now: datetime
) -> dict[str, Any]:
    """Return totals and counts for the dashboard and its API. Old records may lack any field."""
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


def count_by(collection: str, field_name: str, records: Sequence[Record]) -> dict[str, int]:
    """Return the number of records per choice. A missing value counts as the field's default.

    Values of old files outside the choices are counted under their own name.
    """
    choices = COLLECTIONS[collection].by_name[field_name].choices
    return dict.fromkeys(choices, 0) | derive_cached(records, _counts_of(collection, field_name))


@cache
def _counts_of(collection: str, field_name: str) -> Callable[[Sequence[Record]], Counter[str]]:
    default = COLLECTIONS[collection].by_name[field_name].default

    def choice(record: Record) -> str:
        return str(record.get(field_name) or default)

    return lambda records: Counter(map_cached(records, choice))


def count_overdue(tasks: Sequence[Record], now: datetime) -> int:
    """Return the number of overdue tasks."""
    return len(overdue(tasks, now))


def due_moment(task: Record, zone: tzinfo | None = UTC) -> datetime | None:
    """Return when the task becomes overdue, or None if never.

    A date becomes overdue at the end of its day in the zone.
    """
    due = task.get("due_date")
    moment = parse_or_none(due)
    if moment is None or not is_date(str(due)):
        return moment
    try:
        # Add in wall time: a day with a daylight saving change does not have 24 hours.
        return (moment + timedelta(days=1)).replace(tzinfo=zone)
    except OverflowError:  # 9999-12-31
        return None


def is_overdue(task: Record, now: datetime) -> bool:
    """Return whether an open task is past its due date. Days end in the zone of `now`."""
    if task.get("status") == "completed":
        return False
    end = due_moment(task, now.tzinfo)
    return end is not None and end <= now
