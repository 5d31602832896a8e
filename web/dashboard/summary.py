"""Collect the contents of the dashboard, panel by panel.

If a document is unreadable, the panels that need it say so and the others are complete.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from docstore import StoreError, id_of
from utils.json_storage import JSONStorageManager
from web.dashboard.heatmap import Heatmap, heat_of
from web.panels import Panel, read_panel
from web.presenters import Bar, RecordRow, bars, names_of, present, share, shared_rows
from workspace.membership.invitations import Invitations
from workspace.ordering import derive_cached, map_cached
from workspace.schema.validation import COLLECTIONS
from workspace.tasks.due_index import overdue
from workspace.tasks.statistics import count_by, statistics
from workspace.users.quota import Quota

SOON = timedelta(days=7)
PANEL_RECORDS = 6
ACTIVITIES = 10

Record = Mapping[str, Any]


@dataclass(frozen=True)
class ProjectProgress:
    """A project and the progress of its tasks."""

    row: RecordRow
    done: int
    total: int

    @property
    def share(self) -> int:
        return share(self.done, self.total)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The contents of the dashboard."""

    tasks: Panel
    projects: Panel
    models: Panel
    figures: dict[str, Any]
    by_status: list[Bar]
    by_priority: list[Bar]
    overdue: list[RecordRow]
    today: list[RecordRow]
    more_pressing: int  # tasks overdue or due today that are not shown
    due_soon: list[RecordRow]
    progress: list[ProjectProgress]
    models_by_status: list[Bar]
    model_rows: list[RecordRow]
    activities: Panel
    invitations: int  # open invitations
    quota: Quota | None
    heat: Heatmap | None  # None if the activities are unreadable

    @property
    def quota_share(self) -> int:
        """The used calls in per cent."""
        return share(self.quota.used, self.quota.limit or 0) if self.quota else 0


def summary(
    manager: JSONStorageManager, owner: int, now: datetime, *, first_weekday: int = 0
) -> Summary:
    """Return the dashboard of a user. `now` is in the user's zone."""
    tasks, projects, models = (
        read_panel(manager, name, owner) for name in ("tasks", "projects", "models")
    )
    activities, quota = _person(manager, owner)
    heat = (
        None if activities.fault else heat_of(activities.records, now, first_weekday=first_weekday)
    )
    figures = statistics(tasks.records, projects.records, models.records, now)
    late, today, soon, more = _due(tasks.records, projects.records, now)
    by_status = bars(count_by("models", "status", models.records))
    return Summary(
        tasks=tasks,
        projects=projects,
        models=models,
        figures=figures,
        by_status=bars(figures["tasks_by_status"]),
        by_priority=bars(figures["tasks_by_priority"]),
        overdue=late,
        today=today,
        more_pressing=more,
        due_soon=soon,
        progress=_progress(tasks.records, projects.records, now),
        models_by_status=[bar for bar in by_status if bar.count],
        model_rows=_latest_models(models.records, now),
        activities=Panel(list(activities.records[: -ACTIVITIES - 1 : -1]), activities.fault),
        invitations=_invitations(manager, owner),
        quota=quota,
        heat=heat,
    )


def _person(manager: JSONStorageManager, owner: int) -> tuple[Panel, Quota | None]:
    try:
        return Panel(manager.past(owner)), manager.quota(owner)
    except StoreError as fault:
        return Panel(fault=fault), None


def _invitations(manager: JSONStorageManager, owner: int) -> int:
    shared = read_panel(manager, "shared", owner)
    by_name = sum(row.is_invitation for row in shared_rows(shared.records))
    invitations = Invitations(manager)
    return by_name + (len(invitations.waiting(owner)) if invitations.is_waiting(owner) else 0)


def _due(
    tasks: Sequence[Record], projects: Sequence[Record], now: datetime
) -> tuple[list[RecordRow], list[RecordRow], list[RecordRow], int]:
    """Return the most urgent open tasks that are overdue, due today and due soon.

    The last value is the number of overdue and today's tasks that are not among them.
    """
    spec, names = COLLECTIONS["tasks"], names_of(COLLECTIONS["projects"], projects)
    late = overdue(tasks, now)
    today = late.next_until(now.date() + timedelta(days=1))
    soon = today.next_until(now + SOON)
    groups = [due.first(PANEL_RECORDS) for due in (late, today, soon)]
    rows = [[present(spec, task, now, names) for task in group] for group in groups]
    return rows[0], rows[1], rows[2], len(late) + len(today) - len(rows[0]) - len(rows[1])


def _progress(
    tasks: Sequence[Record], projects: Sequence[Record], now: datetime
) -> list[ProjectProgress]:
    """Return the newest active projects with their progress."""
    spec = COLLECTIONS["projects"]
    counts = derive_cached(tasks, _count_projects)
    active = [
        project
        for project in reversed(projects)
        if (project.get("status") or spec.by_name["status"].default) == "active"
    ]
    return [
        ProjectProgress(
            present(spec, project, now),
            counts[number, True],
            counts[number, True] + counts[number, False],
        )
        for project in active[:PANEL_RECORDS]
        if (number := id_of(project)) is not None
    ]


def _count_projects(tasks: Sequence[Record]) -> Counter[tuple[Any, bool]]:
    return Counter(map_cached(tasks, _project_and_done))


def _project_and_done(task: Record) -> tuple[Any, bool]:
    """Return the project id of a task, 0 for none, and whether the task is completed."""
    project_id = task.get("project_id")
    done = task.get("status") == "completed"
    return project_id if isinstance(project_id, int) else 0, done


def _latest_models(models: Sequence[Record], now: datetime) -> list[RecordRow]:
    """Return the newest models: active ones first, then those in training, then others."""
    ranks = {"active": 0, "training": 1}
    newest_first = list(reversed(models))
    newest_first.sort(key=lambda model: ranks.get(str(model.get("status")), 2))
    return [present(COLLECTIONS["models"], model, now) for model in newest_first[:PANEL_RECORDS]]
