"""Check that member entries and the index of memberships agree.

Both change in the same commit, so they agree unless files were edited by hand or come from
elsewhere. A difference gives no access, because access requires both. `setup_data --sync-users`
rebuilds the index from the member entries.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from docstore import Finding, id_of
from workspace.member_entries import entries_of
from workspace.operations.integrity import UserRecords


class MembershipState(NamedTuple):
    """A user in a project of an owner."""

    owner: int
    project: int
    member: int


Said = tuple[object, object]  # (role, status)


@dataclass
class Agreement:
    """The role and status of each membership on both sides, collected user by user."""

    truth: dict[MembershipState, Said] = field(default_factory=dict)
    index: dict[MembershipState, list[Said]] = field(default_factory=dict)
    unread: set[tuple[str, int]] = field(default_factory=set)  # documents that cannot be parsed

    def add(self, person: UserRecords) -> None:
        """Collect the memberships in a user's documents."""
        for name in ("projects", "shared"):
            examined = person.documents[name]
            if examined.data is not None and examined.document is None:
                self.unread.add((name, person.owner))
        for _, project in person.records("projects"):
            for member, entry in entries_of(project).items():
                if project_id := id_of(project):
                    entry_state = entry["role"], entry["status"]
                    self.truth[MembershipState(person.owner, project_id, member)] = entry_state
        for _, record in person.records("shared"):
            owner, project_id = record.get("owner"), record.get("project_id")
            if type(owner) is int and type(project_id) is int:
                states = self.index.setdefault(MembershipState(owner, project_id, person.owner), [])
                states.append((record.get("role"), record.get("status")))

    def differences(self) -> Iterator[MembershipState]:
        """Yield the memberships that differ, unless one side is unreadable."""
        for membership in sorted(self.truth.keys() | self.index.keys()):
            expected = [self.truth[membership]] if membership in self.truth else []
            known = (
                not {("projects", membership.owner), ("shared", membership.member)} & self.unread
            )
            if known and self.index.get(membership, []) != expected:
                yield membership


def difference_of(
    one: MembershipState, owner: UserRecords, member: UserRecords, known: Collection[int]
) -> list[Finding]:
    """Return the finding if both users' documents, read again, still differ.

    `known` are the ids of all accounts.
    """
    again = Agreement()
    for person in (owner, member):
        again.add(person)
    if one not in again.differences():
        return []
    is_true = one in again.truth
    examined = owner.documents["projects"] if is_true else member.documents["shared"]
    examined.add(_place(one, owner, member, is_true), _problem(one, member, is_true, known))
    return examined.findings[-1:]


def _place(
    one: MembershipState, owner: UserRecords, member: UserRecords, is_true: bool
) -> tuple[str, int]:
    if is_true:
        places = (n for n, record in owner.records("projects") if id_of(record) == one.project)
        return "projects", next(places)
    meant = (one.owner, one.project)
    positions = (
        n
        for n, record in member.records("shared")
        if (record.get("owner"), record.get("project_id")) == meant
    )
    return "shared", next(positions)


def _problem(
    one: MembershipState, member: UserRecords, is_true: bool, known: Collection[int]
) -> str:
    if not is_true:
        return (
            f"project {one.project} of user {one.owner} is not shared with user {one.member}: "
            "run setup_data --sync-users"
        )
    if one.member not in known:
        return f"project {one.project} names user {one.member}, who has no account: take them out"
    return (
        f"project {one.project} is shared with user {one.member}, but "
        f"{member.documents['shared'].name} says otherwise: run setup_data --sync-users"
    )
