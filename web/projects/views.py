"""The page of a project: progress, tasks, models, members and recent changes.

The user's own is at /projects/3/, a shared one at /shared/7/projects/3/. Models and activities are
shown for own projects only, because those documents are never shared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from docstore import RecordList, StoreError, id_of
from utils.middleware import StorageRequest
from web.activity_entries import ActivityLine, lines
from web.labels import CHOICE_WORDS, Text, in_words
from web.panels import Panel, read_panel, sequence_now
from web.presenters import RecordRow, present, team_of
from web.progress import progress_of
from web.record_scope import RecordScope
from workspace.member_entries import entries_of
from workspace.ordering import derive_cached, of_project, sorted_by
from workspace.schema.validation import COLLECTIONS
from workspace.tasks.due_index import most_urgent
from workspace.users.activity_query import newest, of_records

_ORDER = ("in_progress", "review", "pending", "completed")
GROUP_TASKS = 6  # shown per status; the list has all
MODELS_SHOWN = 50
CHANGES = 10

_SPEC, _TASKS = COLLECTIONS["projects"], COLLECTIONS["tasks"]

Record = Mapping[str, Any]


@dataclass(frozen=True)
class TaskStatusGroup:
    """The tasks of one status: the first few, and their total number."""

    status: str
    label: Text
    rows: list[RecordRow]
    total: int

    @property
    def more(self) -> int:
        return self.total - len(self.rows)


@dataclass(frozen=True)
class Member:
    """A member of the project, or an invited user."""

    name: str
    role: str
    invited: bool = False
    is_you: bool = False


@require_safe
@login_required
def project_detail(
    request: StorageRequest, record_id: int, owner: int | None = None
) -> HttpResponse:
    """Show a project. An unreadable document only affects its own panels."""
    whose, now = RecordScope.of(request, _SPEC, owner), timezone.localtime()
    manager, caller, sequence = whose.manager, whose.caller, sequence_now(request)
    project = manager.get("projects", whose.owner, record_id, caller=caller)
    tasks = _of_project(read_panel(manager, "tasks", whose.owner, caller), record_id)
    models = Panel() if whose.shared else read_panel(manager, "models", whose.owner)
    models = _of_project(models, record_id)
    shown = present(
        _SPEC, project, now, may_change=whose.may_change(project), may_delete=not whose.shared
    )
    is_open = record_id in whose.open_projects
    context = {
        "whose": whose,
        "spec": _SPEC,
        "row": shown,
        "project": shown.record,
        "sequence": sequence,
        "tasks": tasks,
        "progress": progress_of(tasks.records, now),
        "groups": _groups(whose, tasks.records, now, is_open),
        "models": models,
        "model_rows": [
            present(COLLECTIONS["models"], model, now)
            for model in models.records[: -MODELS_SHOWN - 1 : -1]
        ],
        "members": _members(whose, project),
        "team": team_of(project),
        "may_add": is_open,
        "changes": None
        if whose.shared
        else _changes(request, record_id, tasks.records, models.records),
    }
    return render(request, "projects/detail.html", context)


def _of_project(panel: Panel, project_id: int) -> Panel:
    return Panel(of_project(panel.records, project_id), panel.fault)


def _groups(
    whose: RecordScope, tasks: Sequence[Record], now: datetime, may_change: bool
) -> list[TaskStatusGroup]:
    """Return tasks by status: the most urgent ones, or the latest completed ones."""
    by_status = derive_cached(tasks, _by_status)
    groups = []
    for status in [*_ORDER, *(name for name in by_status if name not in _ORDER)]:
        members = by_status.get(status, ())
        if status == "completed":
            first = derive_cached(members, sorted_by("tasks", "completed_at", True))[:GROUP_TASKS]
        else:
            first = most_urgent(members, now, GROUP_TASKS)
        rows = [_task_row(whose, task, now, may_change) for task in first]
        if rows:
            groups.append(
                TaskStatusGroup(status, in_words(status, CHOICE_WORDS), rows, len(members))
            )
    return groups


def _by_status(tasks: Sequence[Record]) -> dict[str, RecordList]:
    """Return tasks by status. Unknown values count as the default status."""
    field = _TASKS.by_name["status"]
    by_status: dict[str, list[Record]] = {status: [] for status in field.choices}
    for task in tasks:
        status = task.get("status")
        by_status[status if status in field.choices else str(field.default)].append(task)
    return {status: RecordList(members) for status, members in by_status.items()}


def _task_row(whose: RecordScope, task: Record, now: datetime, may_change: bool) -> RecordRow:
    """Return the row of a task without the name of the project, which the page is about."""
    theirs = whose.owner if whose.shared else None
    shown = present(_TASKS, task, now, None, whose.people, owner=theirs, may_change=may_change)
    return replace(shown, project="")


def _members(whose: RecordScope, project: Record) -> list[Member]:
    """Return the owner, the members, and invited users."""
    you = whose.caller.user_id
    entries = sorted(entries_of(project).items(), key=lambda one: one[1]["status"] != "member")
    return [
        Member(whose.owner_name, "owner", is_you=not whose.shared),
        *(
            Member(
                str(entry.get("username") or f"#{person}"),
                str(entry.get("role")),
                invited=entry["status"] != "member",
                is_you=person == you,
            )
            for person, entry in entries
        ),
    ]


def _changes(
    request: StorageRequest,
    project_id: int,
    tasks: Sequence[Record],
    models: Sequence[Record],
) -> list[ActivityLine] | None:
    """Return the latest activities about the project, its tasks and models.

    Return None if they are unreadable.
    """
    manager, owner = request.json_storage, cast(int, request.user.pk)
    try:
        every = manager.past(owner)
    except StoreError:
        return None
    about = of_records({"project": {project_id}, "task": _ids_of(tasks), "model": _ids_of(models)})
    latest, _place = newest(every, [about], limit=CHANGES)
    return lines(manager, owner, latest)


def _ids_of(records: Sequence[Record]) -> set[int]:
    return {number for record in records if (number := id_of(record)) is not None}
