"""The scope of a page: whose records it shows, and what the user may do with them.

The user's own records are at /tasks/, those shared by another user at /shared/7/tasks/. The same
views serve both. `workspace.sharing.permissions` alone decides about permissions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, cast

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from docstore import id_of
from utils.json_storage import JSONStorageManager
from utils.middleware import StorageRequest
from web.labels import Text
from web.panels import Panel, read_panel
from web.presenters import anchor_of, names_of
from workspace.actor import Actor
from workspace.member_entries import entries_of
from workspace.schema.validation import COLLECTIONS, CollectionSpec
from workspace.sharing.permissions import Access, Forbidden, Role

Record = Mapping[str, Any]
Option = tuple[str, Text]


@dataclass(frozen=True)
class RecordScope:
    """An owner's records of a collection, as seen by the user of the request."""

    manager: JSONStorageManager
    spec: CollectionSpec
    owner: int
    caller: Actor
    caller_name: str

    @classmethod
    def of(cls, request: StorageRequest, spec: CollectionSpec, owner: int | None) -> RecordScope:
        """Return the scope of a request. Raises `NotFound` if the owner shares nothing here."""
        person, name = cast(int, request.user.pk), request.user.get_username()
        whose = cls(request.json_storage, spec, owner or person, Actor(person), name)
        if whose.shared:
            whose.access  # noqa: B018  raises `NotFound` before any data of the owner is read
        return whose

    @property
    def shared(self) -> bool:
        """True if the records belong to another user."""
        return self.owner != self.caller.user_id

    @cached_property
    def named(self) -> str:
        """A cache key for the scope: collection, owner, and whether it is shared."""
        return f"{self.spec.name} {self.owner} {self.shared}"

    @cached_property
    def access(self) -> Access:
        return self.manager.access(self.spec.name, self.owner, self.caller)

    # Addresses

    def address(self, view: str, record_id: int | None = None) -> str:
        """Return the URL of a view of these records, or of one record."""
        return address_of(view, self.spec, record_id, self.owner if self.shared else None)

    def anchor(self, record_id: int) -> str:
        """Return the HTML id of a record."""
        return anchor_of(self.spec, record_id, self.owner if self.shared else None)

    # Rights

    def may_change(self, record: Record) -> bool:
        return (self.access.role(self.spec.name, record) or 0) >= Role.EDITOR

    def may_delete(self, record: Record) -> bool:
        """Return whether the user may delete a record. Only its owner may delete a project."""
        return self.may_change(record) if self.spec.name == "tasks" else not self.shared

    @property
    def may_add(self) -> bool:
        return not self.shared or (self.spec.name == "tasks" and bool(self.open_projects))

    def require_add(self) -> None:
        """Raise `Forbidden` unless the user may add a record."""
        if not self.may_add:
            raise Forbidden("you may read these, not add to them")

    def require_change(self, record: Record) -> None:
        """Raise `Forbidden` unless the user may change the record."""
        self.access.require(Role.EDITOR, self.spec.name, record)

    # Names

    @cached_property
    def owner_name(self) -> str:
        if not self.shared:
            return self.caller_name
        memberships = self.manager.view("shared", self.caller.user_id)
        names = (
            record.get("owner_name") for record in memberships if record.get("owner") == self.owner
        )
        return next((name for name in names if isinstance(name, str) and name), f"#{self.owner}")

    @cached_property
    def _panel(self) -> Panel:
        return read_panel(self.manager, "projects", self.owner, self.caller)

    @cached_property
    def projects(self) -> dict[int, Text]:
        """Names of the owner's projects by id, as far as visible and readable."""
        return names_of(COLLECTIONS["projects"], self._panel.records)

    @property
    def open_projects(self) -> dict[int, Text]:
        """The projects to which the user may add a task."""
        roles = self.access.roles
        return {
            number: name
            for number, name in self.projects.items()
            if roles is None or roles.get(number) == Role.EDITOR
        }

    @cached_property
    def people(self) -> dict[int, str]:
        """Names by id of possible assignees: the owner and the members of visible projects."""
        names = {self.owner: self.owner_name}
        for project in self._panel.records:
            names |= members_of(project)
        return names

    # Form choices

    def choices(self, project_id: object, assignee: object = None) -> dict[str, list[Option]]:
        """Return the options of a record's reference fields, given their current values."""
        if "project_id" not in self.spec.by_name:
            return {}
        nowhere: list[Option] = [] if self.shared else [("", "—")]
        members = {self.owner: self.owner_name}
        for project in self._panel.records:
            if id_of(project) == project_id:
                members |= members_of(project)
        projects = self.open_projects
        if isinstance(assignee, int) and assignee in self.people:
            members.setdefault(assignee, self.people[assignee])
        if isinstance(project_id, int) and project_id in self.projects:
            projects.setdefault(project_id, self.projects[project_id])
        choices: dict[str, list[Option]] = {
            "project_id": [*nowhere, *((str(n), name) for n, name in projects.items())],
            "assignee": [("", _("nobody")), *((str(n), name) for n, name in members.items())],
        }
        return {name: options for name, options in choices.items() if name in self.spec.by_name}


def members_of(project: Record) -> dict[int, str]:
    """Return the names of a project's members by id."""
    return {
        person: str(entry.get("username") or f"#{person}")
        for person, entry in entries_of(project).items()
        if entry["status"] == "member"
    }


def address_of(
    view: str, spec: str | CollectionSpec, record_id: int | None = None, owner: int | None = None
) -> str:
    """Return the URL of a collection's page: the user's own, or `owner`'s."""
    return _address(view, spec if isinstance(spec, str) else spec.name, record_id, owner)


@lru_cache(4_000)
def _address(view: str, spec: str, record_id: int | None, owner: int | None) -> str:
    arguments: dict[str, Any] = {"spec": COLLECTIONS[spec], "record_id": record_id, "owner": owner}
    return reverse(
        view, kwargs={name: value for name, value in arguments.items() if value is not None}
    )


def project_address(view: str, project_id: int, owner: int | None = None) -> str:
    """Return the URL of a project's page, such as "project_detail": own, or `owner`'s."""
    if owner is None:
        return reverse(view, args=[project_id])
    return reverse(f"shared_{view}", args=[owner, project_id])
