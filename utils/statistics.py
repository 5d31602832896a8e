"""The figures of the dashboard: counts over one person's records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

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
        "overdue_tasks": sum(is_overdue(task, now) for task in tasks),
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
    counts = Counter(str(record.get(field_name) or field.default) for record in records)
    return dict.fromkeys(field.choices, 0) | counts


def due_moment(task: Record, zone: tzinfo | None = UTC) -> datetime | None:
    """When the task becomes overdue: a date when its day has ended in the zone; None if never."""
    due = task.get("due_date")
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
    due = due_moment(task, now.tzinfo)
    return due is not None and due <= now and task.get("status") != "completed"
