"""Open tasks in other users' projects that are assigned to a user."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _

from docstore import NotFound, StoreError
from utils.json_storage import JSONStorageManager
from web.panels import read_panel
from web.presenters import RecordRow, SharedRow, present, shared_rows
from workspace.actor import Actor
from workspace.documents import key_of
from workspace.ordering import map_cached
from workspace.schema.validation import COLLECTIONS
from workspace.sharing.permissions import Role
from workspace.tasks.due_index import urgency_rank
from workspace.tasks.statistics import due_moment

Record = Mapping[str, Any]
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class AssignedTask:
    """An assigned task, and the shared project that it belongs to."""

    task: Record
    project: SharedRow
    may_change: bool

    def row(self, now: datetime) -> RecordRow:
        names = {"project": self.project.title, "owner": self.project.owner_name}
        shown = present(
            COLLECTIONS["tasks"],
            self.task,
            now,
            {self.project.project_id: _("%(project)s, by %(owner)s") % names},
            may_change=self.may_change,
            owner=self.project.owner,
        )
        return replace(shown, assignee="")  # always the current user


@dataclass(frozen=True)
class Assigned:
    """Assigned tasks, most urgent first. `is_whole` is False if a document was unreadable."""

    given: list[AssignedTask]
    is_whole: bool = True


def assigned_to(manager: JSONStorageManager, person: int, now: datetime) -> Assigned:
    """Return the tasks of others assigned to a user. Only documents of sharing users are read."""
    index = read_panel(manager, "shared", person)
    joined: dict[int, list[SharedRow]] = {}
    for shared in shared_rows(index.records):
        if not shared.is_invitation:
            joined.setdefault(shared.owner, []).append(shared)
    assigned_tasks: list[AssignedTask] = []
    is_whole = index.fault is None
    for owner, projects in joined.items():
        try:
            assigned_tasks += _given(manager, person, owner, projects)
        except NotFound:  # the index is stale: the permission was withdrawn
            continue
        except StoreError:
            is_whole = False
    return Assigned(
        sorted(assigned_tasks, key=lambda given: _pressure(given.task, now)),
        is_whole,
    )


def _pressure(task: Record, now: datetime) -> tuple[datetime, int]:
    """Return the sort key: due date, then urgency."""
    return due_moment(task, now.tzinfo) or _LAST, urgency_rank(task)


def _given(
    manager: JSONStorageManager, person: int, owner: int, shared: list[SharedRow]
) -> Iterator[AssignedTask]:
    """Yield an owner's tasks that are assigned to the user.

    Raises `NotFound` if the owner shares nothing, and `StoreError` if documents are unreadable.
    """
    access = manager.access("tasks", owner, Actor(person))
    projects = {row.project_id: row for row in shared}
    tasks = manager.store.records(key_of("tasks", owner))
    for task, doer in zip(tasks, map_cached(tasks, _open_assignee), strict=True):
        role = access.role("tasks", task) if doer == person else None
        if role is not None and task["project_id"] in projects:
            yield AssignedTask(task, projects[task["project_id"]], role >= Role.EDITOR)


def _open_assignee(task: Any) -> int | None:
    """Return the assignee of an open task, or None."""
    if not isinstance(task, dict) or task.get("status") == "completed":
        return None
    assignee = task.get("assignee")
    return assignee if type(assignee) is int else None
