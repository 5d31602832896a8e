"""The pages board, agenda and month: tasks by status, and by due day.

They show the user's own tasks or a shared owner's, optionally of a project: `?project=3`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from api.url_converters import record_id_of
from docstore import Corrupt, id_of
from utils.middleware import StorageRequest, request_metadata, storage_refusal
from web import undo
from web.assigned_tasks import Assigned, assigned_to
from web.labels import CHOICE_WORDS, WORDS, Text, in_words
from web.list_filter import project_in
from web.localization import preferences_of
from web.presenters import RecordRow, present
from web.record_scope import RecordScope
from web.tasks.agenda import GROUP_TASKS, DueGroup, agenda
from web.tasks.board import Column, TaskGroup, columns, how_many, move_to, step
from web.tasks.calendar import CHOSEN_TASKS, DAY_TASKS, CalendarDay, month_in, month_of
from workspace.ordering import of_project
from workspace.records.crud import StaleRecord
from workspace.recurrence import occurrences
from workspace.schema.validation import COLLECTIONS, CollectionSpec, record_version
from workspace.tasks.next_occurrence import zone_of_task
from workspace.users.activity_entries import activity_of

Record = Mapping[str, Any]
STEPS = {"up": -1, "down": 1}
MOVES = {*COLLECTIONS["tasks"].by_name["status"].choices, *STEPS}


@dataclass(frozen=True)
class Card:
    """A task on the board, and the version that a move of it expects."""

    row: RecordRow
    version: str
    top: bool
    bottom: bool
    changed: bool  # True if a move failed because another user changed it


@dataclass(frozen=True)
class TaskLine:
    """A task of the agenda, and when it is due again if it repeats."""

    row: RecordRow
    again: str


@dataclass(frozen=True)
class Shown:
    """A column or a group with everything that the template needs."""

    name: str
    title: Text
    rows: list[Card] | list[TaskLine]
    total: int
    more: int
    further: str  # query string that shows more; "" if all are shown
    day: date | None = None  # for groups
    takes: bool = False  # for columns: tasks can be moved into it
    ordered: bool = False  # for columns: users choose the order

    @classmethod
    def group(cls, request: StorageRequest, group: DueGroup, rows: list[TaskLine]) -> "Shown":
        further = _further(request, group)
        return cls(group.name, group.title, rows, group.total, group.more, further, group.day)

    @classmethod
    def column(cls, request: StorageRequest, column: Column, rows: list[Card]) -> "Shown":
        return cls(
            column.name,
            column.title,
            rows,
            column.total,
            column.more,
            _further(request, column),
            takes=column.takes,
            ordered=column.ordered,
        )


def _further(request: StorageRequest, part: TaskGroup) -> str:
    if not part.more:
        return ""
    query = request.GET.copy()
    query[part.name] = str(part.further)
    return f"?{query.urlencode()}"


@dataclass(frozen=True)
class Move:
    """A move that a card's button requests: task, destination, and the version when displayed."""

    task: int
    to: str  # a status, "up" or "down"
    version: str
    below: int | None  # the task above the destination; None means the top

    @classmethod
    def of(cls, sent: Mapping[str, str]) -> "Move":
        """Parse `move=3:0a1b:review` and `below=7`. Raises `Http404` if invalid."""
        task, _colon, rest = sent.get("move", "").partition(":")
        version, _colon, to = rest.partition(":")
        number = record_id_of(task)
        if number is None or to not in MOVES:
            raise Http404("no such move")
        return cls(number, to, version, record_id_of(sent.get("below", "")))

    def changes(self, tasks: Sequence[Record]) -> dict[str, Any]:
        """Return the changes of the task, given the tasks of the board."""
        if self.to in STEPS:
            return step(tasks, self.task, STEPS[self.to])
        return move_to(tasks, self.task, self.to, self.below)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def task_board(
    request: StorageRequest, spec: CollectionSpec, owner: int | None = None
) -> HttpResponse:
    """Show a column for each status, and process moves.

    A move redirects to the board. If the task changed since the board was displayed, nothing is
    moved, and the response is the current board (409).
    """
    whose = RecordScope.of(request, spec, owner)
    if request.method != "POST":
        return _board(request, whose)
    return _moved(request, whose, Move.of(request.POST))


def _moved(request: StorageRequest, whose: RecordScope, move: Move) -> HttpResponse:
    tasks = whose.manager.view(whose.spec.name, whose.owner, caller=whose.caller)
    changes = move.changes(_of_project(tasks, project_in(request.GET, whose.projects)))
    try:
        task = whose.manager.update(
            whose.spec.name,
            whose.owner,
            move.task,
            changes,
            expect=move.version,
            caller=whose.caller,
            activity=activity_of(request_metadata(request), whose.spec, "updated"),
        )
    except StaleRecord:
        return _board(request, whose, 409, changed=move.task)
    column = in_words(task["status"], CHOICE_WORDS)
    undo.message_with_undo(request, _("Moved to: %(column)s") % {"column": column})
    return HttpResponseRedirect(request.get_full_path())


def _board(
    request: StorageRequest, whose: RecordScope, status: int = 200, changed: int | None = None
) -> HttpResponse:
    def page_context(tasks: Sequence[Record]) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {
            "columns": [
                Shown.column(request, column, _cards(whose, column, now, changed))
                for column in columns(tasks, request.GET)
            ],
            "changed": changed,
        }

    return _page(request, whose, "tasks/board.html", page_context, status)


@require_safe
@login_required
def task_agenda(
    request: StorageRequest, spec: CollectionSpec, owner: int | None = None
) -> HttpResponse:
    """Show open tasks by due day in the user's zone."""
    whose = RecordScope.of(request, spec, owner)
    now = timezone.localtime()

    def page_context(tasks: Sequence[Record]) -> dict[str, Any]:
        groups = [
            Shown.group(request, group, _lines(whose, group.on_page, now))
            for group in agenda(tasks, now, request.GET)
        ]
        if whose.shared or project_in(request.GET, whose.projects) is not None:
            return {"groups": groups, "is_whole": True}
        assigned = assigned_to(whose.manager, whose.owner, now)
        after_today = 1 + next(n for n, group in enumerate(groups) if group.name == "today")
        groups[after_today:after_today] = _of_others(request, assigned, now)
        return {"groups": groups, "is_whole": assigned.is_whole}

    return _page(request, whose, "tasks/agenda.html", page_context)


@require_safe
@login_required
def task_month(
    request: StorageRequest, spec: CollectionSpec, owner: int | None = None
) -> HttpResponse:
    """Show a calendar month, and all tasks due on the selected day (`day=2026-11-24`)."""
    whose = RecordScope.of(request, spec, owner)
    now, first_weekday = timezone.localtime(), preferences_of(request).first_weekday
    first = month_in(request.GET.get("month", ""), now.date())
    project = project_in(request.GET, whose.projects)

    def page_context(tasks: Sequence[Record]) -> dict[str, Any]:
        month = month_of(tasks, first, now, first_weekday=first_weekday)
        day = month.day(request.GET.get("day", ""))
        return {
            "month": month,
            "weeks": [
                [
                    (day, [_row(whose, task, now) for task in day.due.first(DAY_TASKS)])
                    for day in week
                ]
                for week in month.weeks
            ],
            "chosen": day and _chosen(whose, day, now),
            "beside": f"?project={project}&" if project is not None else "?",
        }

    return _page(request, whose, "tasks/calendar.html", page_context)


def _chosen(whose: RecordScope, day: CalendarDay, now: datetime) -> Shown:
    """Return the tasks due on the selected day, up to CHOSEN_TASKS."""
    lines = _lines(whose, day.due.first(CHOSEN_TASKS), now)
    title = formats.date_format(day.date, str(_("l j F")))
    return Shown("day", title, lines, day.total, 0, "", day.date)


def _page(
    request: StorageRequest,
    whose: RecordScope,
    template: str,
    told: Callable[[Sequence[Record]], dict[str, Any]],
    status: int = 200,
) -> HttpResponse:
    """Render a page of the tasks of the requested project, or of all tasks."""
    project = project_in(request.GET, whose.projects)
    context: dict[str, Any] = {
        "whose": whose,
        "spec": whose.spec,
        "words": WORDS[whose.spec.name],
        "project": whose.projects.get(project or 0),
        "of": project,
    }
    try:
        tasks = whose.manager.view(whose.spec.name, whose.owner, caller=whose.caller)
    except Corrupt as fault:
        return storage_refusal(request, fault, template, context)
    tasks = _of_project(tasks, project)
    context |= {"total": len(tasks)} | told(tasks)
    return render(request, template, context, status=status)


def _of_project(tasks: Sequence[Record], project: int | None) -> Sequence[Record]:
    return tasks if project is None else of_project(tasks, project)


def _of_others(request: StorageRequest, assigned: Assigned, now: datetime) -> list[Shown]:
    """Return the group of tasks assigned by others, or [] without any."""
    if not assigned.given:
        return []
    shown = how_many(request.GET, "assigned", GROUP_TASKS, GROUP_TASKS)
    shown_tasks, total = assigned.given[:shown], len(assigned.given)
    title = _("Assigned to you")
    group = DueGroup(
        "assigned", title, [item.task for item in shown_tasks], total, shown, GROUP_TASKS
    )
    lines = [TaskLine(item.row(now), _again(item.task, now)) for item in shown_tasks]
    return [Shown.group(request, group, lines)]


def _cards(whose: RecordScope, column: Column, now: datetime, changed: int | None) -> list[Card]:
    last = len(column.on_page) - 1
    return [
        Card(
            _row(whose, task, now),
            record_version(task),
            top=place == 0,
            bottom=place == last and not column.more,
            changed=changed is not None and id_of(task) == changed,
        )
        for place, task in enumerate(column.on_page)
    ]


def _lines(whose: RecordScope, tasks: Sequence[Record], now: datetime) -> list[TaskLine]:
    return [TaskLine(_row(whose, task, now), _again(task, now)) for task in tasks]


def _again(task: Record, now: datetime) -> str:
    """Return when a repeating task is due after its current date, or ""."""
    due, repeat = task.get("due_date"), task.get("repeat")
    if not (repeat and isinstance(repeat, str) and isinstance(due, str)):
        return ""
    return next(occurrences(due, repeat, zone_of_task(task, now.tzinfo or UTC)), "")


def _row(whose: RecordScope, task: Record, now: datetime) -> RecordRow:
    return present(
        whose.spec,
        task,
        now,
        whose.projects,
        whose.people,
        may_change=whose.may_change(task),
        owner=whose.owner if whose.shared else None,
    )
