"""What others gave a person to do: open tasks that are assigned to them in projects of others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _

from core.dashboard.summary import read_panel
from core.display import Row, SharedRow, row, shared_rows
from docstore import NotFound, StoreError
from utils.caller import Caller
from utils.documents import key_of
from utils.dues import patience
from utils.json_storage import JSONStorageManager
from utils.lists import each
from utils.records import COLLECTIONS
from utils.sharing.access import Role
from utils.statistics import due_moment

Record = Mapping[str, Any]
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Given:
    """A task of another's, and the project in which they share it."""

    task: Record
    project: SharedRow
    may_change: bool

    def row(self, now: datetime) -> Row:
        names = {"project": self.project.title, "owner": self.project.owner_name}
        shown = row(
            COLLECTIONS["tasks"],
            self.task,
            now,
            {self.project.project_id: _("%(project)s, of %(owner)s") % names},
            may_change=self.may_change,
            owner=self.project.owner,
        )
        return replace(shown, assignee="")  # whoever looks at it


@dataclass(frozen=True)
class Assigned:
    """The most pressing first. `is_whole`: the files of all who share something could be read."""

    given: list[Given]
    is_whole: bool = True


def assigned_to(manager: JSONStorageManager, person: int, now: datetime) -> Assigned:
    """What of others the person is to do; of who shares nothing with them, nothing is read."""
    index = read_panel(manager, "shared", person)
    joined: dict[int, list[SharedRow]] = {}
    for shared in shared_rows(index.records):
        if not shared.is_invitation:
            joined.setdefault(shared.owner, []).append(shared)
    found: list[Given] = []
    is_whole = index.fault is None
    for owner, projects in joined.items():
        try:
            found += _given(manager, person, owner, projects)
        except NotFound:  # without the right any more that the index still tells of
            continue
        except StoreError:
            is_whole = False
    return Assigned(sorted(found, key=lambda given: _pressure(given.task, now)), is_whole)


def _pressure(task: Record, now: datetime) -> tuple[datetime, int]:
    """What is due first, comes first, and then what is more urgent."""
    return due_moment(task, now.tzinfo) or _LAST, patience(task)


def _given(
    manager: JSONStorageManager, person: int, owner: int, shared: list[SharedRow]
) -> Iterator[Given]:
    """Raises `NotFound` where the owner shares nothing, `StoreError` for what cannot be read."""
    access = manager.access("tasks", owner, Caller(person))
    projects = {one.project_id: one for one in shared}
    tasks = manager.store.records(key_of("tasks", owner))
    for task, doer in zip(tasks, each(tasks, _open_assignee), strict=True):
        role = access.role("tasks", task) if doer == person else None
        if role is not None and task["project_id"] in projects:
            yield Given(task, projects[task["project_id"]], role >= Role.EDITOR)


def _open_assignee(task: Any) -> int | None:
    """Whom a task is assigned to that is still to be done; None for anything else."""
    if not isinstance(task, dict) or task.get("status") == "completed":
        return None
    assignee = task.get("assignee")
    return assignee if type(assignee) is int else None
