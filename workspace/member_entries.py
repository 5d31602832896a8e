"""Member entries: the items of `team_members` in a project, which define who shares it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from workspace.json_values import INTEGER_MAX
from workspace.schema.collections import MEMBER_STATUSES, ROLES

MEMBERS: Final = "team_members"
ADDRESS: Final = "address"  # in the entry of an invitation to an address, in place of a person
OFFERED: Final = "offered_at"  # in a member entry: when the member was offered the ownership


def is_member_entry(entry: object) -> bool:
    """Return whether an entry of `team_members` can give access. Other entries are notes."""
    return (
        isinstance(entry, dict)
        and type(entry.get("user_id")) is int
        and 0 < entry["user_id"] <= INTEGER_MAX
        and entry.get("role") in ROLES
        and entry.get("status") in MEMBER_STATUSES
    )


def is_managed(entry: object) -> bool:
    """Return whether only the operations on memberships may write the entry."""
    return isinstance(entry, dict) and "status" in entry


def entries_of(project: Mapping[str, Any] | None) -> dict[int, dict[str, Any]]:
    """Return the member entries of a project by user. The first one counts for each user."""
    entries: dict[int, dict[str, Any]] = {}
    members = project.get(MEMBERS) if project is not None else None
    for entry in members if isinstance(members, list) else ():
        if is_member_entry(entry):
            entries.setdefault(entry["user_id"], entry)
    return entries


def addressed_of(project: Mapping[str, Any] | None) -> dict[int, dict[str, Any]]:
    """Return the invitations of a project to addresses, by number. They give no access."""
    invitations: dict[int, dict[str, Any]] = {}
    members = project.get(MEMBERS) if project is not None else None
    for entry in members if isinstance(members, list) else ():
        if (
            isinstance(entry, dict)
            and "user_id" not in entry
            and type(entry.get("invitation")) is int
            and isinstance(entry.get(ADDRESS), str)
            and entry.get("role") in ROLES
            and entry.get("status") == "invited"
        ):
            invitations.setdefault(entry["invitation"], entry)
    return invitations
