"""What the dashboard shows, read panel by panel: where one document cannot be read, the panels
that need it say so and the others go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

from core.display import Bar, Row, bars, names_of, row, share, shared_rows
from docstore import StoreError, id_of
from utils.caller import Caller
from utils.json_storage import JSONStorageManager, Quota
from utils.records import COLLECTIONS
from utils.statistics import due_moment, statistics

SOON = timedelta(days=7)
PANEL_RECORDS = 6
ACTIVITIES = 10

Record = Mapping[str, Any]
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Panel:
    """The records of one collection, or why they cannot be shown."""

    records: Sequence[Record] = ()
    fault: StoreError | None = None


@dataclass(frozen=True)
class Progress:
    """A project, and how far its tasks have come."""

    row: Row
    done: int
    total: int

    @property
    def share(self) -> int:
        return share(self.done, self.total)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Everything on the dashboard."""

    tasks: Panel
    projects: Panel
    models: Panel
    figures: dict[str, Any]
    by_status: list[Bar]
    by_priority: list[Bar]
    overdue: list[Row]
    due_soon: list[Row]
    progress: list[Progress]
    model_rows: list[Row]
    activities: Panel
    invitations: int  # that wait for an answer
    quota: Quota | None


def read_panel(
    manager: JSONStorageManager, collection: str, owner: int, caller: Caller | None = None
) -> Panel:
    """The owner's records of a collection, as the caller sees them, or the fault that keeps them.

    By default the owner asks.
    """
    try:
        return Panel(manager.view(collection, owner, caller=caller))
    except StoreError as fault:
        return Panel(fault=fault)


def summary(manager: JSONStorageManager, owner: int, now: datetime) -> Summary:
    """The dashboard of one person, whose zone is that of `now`."""
    tasks, projects, models = (
        read_panel(manager, name, owner) for name in ("tasks", "projects", "models")
    )
    activities, quota = _person(manager, owner)
    figures = statistics(tasks.records, projects.records, models.records, now)
    late, soon = _due(tasks.records, projects.records, now)
    return Summary(
        tasks=tasks,
        projects=projects,
        models=models,
        figures=figures,
        by_status=bars(figures["tasks_by_status"]),
        by_priority=bars(figures["tasks_by_priority"]),
        overdue=late,
        due_soon=soon,
        progress=_progress(tasks.records, projects.records, now),
        model_rows=_latest_models(models.records, now),
        activities=activities,
        invitations=_invitations(manager, owner),
        quota=quota,
    )


def _person(manager: JSONStorageManager, owner: int) -> tuple[Panel, Quota | None]:
    try:
        return Panel(manager.activities(owner, ACTIVITIES)), manager.quota(owner)
    except StoreError as fault:
        return Panel(fault=fault), None


def _invitations(manager: JSONStorageManager, owner: int) -> int:
    shared = read_panel(manager, "shared", owner)
    return sum(row.is_invitation for row in shared_rows(shared.records))


def _due(
    tasks: Sequence[Record], projects: Sequence[Record], now: datetime
) -> tuple[list[Row], list[Row]]:
    """Open tasks that are overdue, and those due soon: of each the first few, earliest first."""
    spec, names = COLLECTIONS["tasks"], names_of(COLLECTIONS["projects"], projects)
    timed = [
        (due_moment(task, now.tzinfo) or _LAST, task)
        for task in tasks
        if task.get("status") != "completed"
    ]
    timed.sort(key=itemgetter(0))
    late = [task for due, task in timed if due <= now][:PANEL_RECORDS]
    soon = [task for due, task in timed if now < due <= now + SOON][:PANEL_RECORDS]
    return (
        [row(spec, task, now, names) for task in late],
        [row(spec, task, now, names) for task in soon],
    )


def _progress(tasks: Sequence[Record], projects: Sequence[Record], now: datetime) -> list[Progress]:
    """The newest of the active projects."""
    spec = COLLECTIONS["projects"]
    total: dict[int, int] = {}
    done: dict[int, int] = {}
    for task in tasks:
        project_id = task.get("project_id")
        if isinstance(project_id, int):
            total[project_id] = total.get(project_id, 0) + 1
            done[project_id] = done.get(project_id, 0) + (task.get("status") == "completed")
    active = [
        project
        for project in reversed(projects)
        if (project.get("status") or spec.by_name["status"].default) == "active"
    ]
    return [
        Progress(row(spec, project, now), done.get(number, 0), total.get(number, 0))
        for project in active[:PANEL_RECORDS]
        if (number := id_of(project)) is not None
    ]


def _latest_models(models: Sequence[Record], now: datetime) -> list[Row]:
    """The newest models, those in use or in training before the others."""
    ranks = {"active": 0, "training": 1}
    newest_first = list(reversed(models))
    newest_first.sort(key=lambda model: ranks.get(str(model.get("status")), 2))
    return [row(COLLECTIONS["models"], model, now) for model in newest_first[:PANEL_RECORDS]]
