"""The page of one project: how far it has come, its tasks and models, who is in it, what was done.

One's own is at /projects/3/, another's at /shared/7/projects/3/. Models and activities are told of
one's own only: they lie in documents that are shared with nobody.
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

from core.activity.past import Line, lines
from core.dashboard.summary import Panel, read_panel, sequence_now
from core.display import Row, row, team_of
from core.progress import progress_of
from core.whose import Whose
from core.words import CHOICE_WORDS, Text, in_words
from docstore import RecordList, StoreError, id_of
from utils.dues import most_pressing
from utils.lists import in_order, of_project, whole
from utils.middleware import StorageRequest
from utils.people.past import newest, of_records
from utils.records import COLLECTIONS
from utils.sharing.access import entries_of

_ORDER = ("in_progress", "review", "pending", "completed")
GROUP_TASKS = 6  # shown of each status; the list has all
MODELS_SHOWN = 50
CHANGES = 10

_SPEC, _TASKS = COLLECTIONS["projects"], COLLECTIONS["tasks"]

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Group:
    """The tasks of one status: the first few, and how many there are."""

    status: str
    label: Text
    rows: list[Row]
    total: int

    @property
    def more(self) -> int:
        return self.total - len(self.rows)


@dataclass(frozen=True)
class Member:
    """Somebody in the project, or invited to it."""

    name: str
    role: str
    invited: bool = False
    is_you: bool = False


@require_safe
@login_required
def project_detail(
    request: StorageRequest, record_id: int, owner: int | None = None
) -> HttpResponse:
    """All that belongs to a project. A document that cannot be read costs its own panels."""
    whose, now = Whose.of(request, _SPEC, owner), timezone.localtime()
    manager, caller, sequence = whose.manager, whose.caller, sequence_now(request)
    project = manager.get("projects", whose.owner, record_id, caller=caller)
    tasks = _of_project(read_panel(manager, "tasks", whose.owner, caller), record_id)
    models = Panel() if whose.shared else read_panel(manager, "models", whose.owner)
    models = _of_project(models, record_id)
    shown = row(
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
            row(COLLECTIONS["models"], one, now) for one in models.records[: -MODELS_SHOWN - 1 : -1]
        ],
        "members": _members(whose, project),
        "team": team_of(project),
        "may_add": is_open,
        "changes": None
        if whose.shared
        else _changes(request, record_id, tasks.records, models.records),
    }
    return render(request, "core/project_detail.html", context)


def _of_project(panel: Panel, project_id: int) -> Panel:
    return Panel(of_project(panel.records, project_id), panel.fault)


def _groups(whose: Whose, tasks: Sequence[Record], now: datetime, may_change: bool) -> list[Group]:
    """The tasks by status, those under way first; of each the most pressing, or the latest done."""
    by_status = whole(tasks, _by_status)
    groups = []
    for status in [*_ORDER, *(one for one in by_status if one not in _ORDER)]:
        found = by_status.get(status, ())
        if status == "completed":
            first = whole(found, in_order("tasks", "completed_at", True))[:GROUP_TASKS]
        else:
            first = most_pressing(found, now, GROUP_TASKS)
        rows = [_task_row(whose, task, now, may_change) for task in first]
        if rows:
            groups.append(Group(status, in_words(status, CHOICE_WORDS), rows, len(found)))
    return groups


def _by_status(tasks: Sequence[Record]) -> dict[str, RecordList]:
    """What has no status of the table stands among those with the default one."""
    field = _TASKS.by_name["status"]
    found: dict[str, list[Record]] = {status: [] for status in field.choices}
    for task in tasks:
        status = task.get("status")
        found[status if status in field.choices else str(field.default)].append(task)
    return {status: RecordList(some) for status, some in found.items()}


def _task_row(whose: Whose, task: Record, now: datetime, may_change: bool) -> Row:
    """Without the name of the project, for the page is about that."""
    theirs = whose.owner if whose.shared else None
    shown = row(_TASKS, task, now, None, whose.people, owner=theirs, may_change=may_change)
    return replace(shown, project="")


def _members(whose: Whose, project: Record) -> list[Member]:
    """The owner, the members, and those who are invited."""
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
) -> list[Line] | None:
    """The latest activities about the project, its tasks and its models; None where they cannot be
    read."""
    manager, owner = request.json_storage, cast(int, request.user.pk)
    try:
        every = manager.past(owner)
    except StoreError:
        return None
    about = of_records({"project": {project_id}, "task": _ids_of(tasks), "model": _ids_of(models)})
    found, _place = newest(every, [about], limit=CHANGES)
    return lines(manager, owner, found)


def _ids_of(records: Sequence[Record]) -> set[int]:
    return {number for record in records if (number := id_of(record)) is not None}
