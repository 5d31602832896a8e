"""Whether truth and index agree: what projects say of who shares them, and what people are told.

In the store they always do, because both change in one commit and no other is let through. A hand
that edits one of the files, or a person's files brought from elsewhere, can part them. Nobody gets
a right by that, for a right needs both; `setup_data --sync-users` makes the index say again what
the projects say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from docstore import Finding, id_of
from utils.operating.integrity import Person
from utils.sharing.access import entries_of


class Membership(NamedTuple):
    """One person in one project of one owner."""

    owner: int
    project: int
    member: int


Said = tuple[object, object]  # role and status


@dataclass
class Agreement:
    """What was said of each membership on either side, gathered person by person."""

    truth: dict[Membership, Said] = field(default_factory=dict)
    index: dict[Membership, list[Said]] = field(default_factory=dict)
    unread: set[tuple[str, int]] = field(default_factory=set)  # nobody knows what these say

    def add(self, person: Person) -> None:
        """Takes in what a person's documents say."""
        for name in ("projects", "shared"):
            examined = person.documents[name]
            if examined.data is not None and examined.document is None:
                self.unread.add((name, person.owner))
        for _, project in person.records("projects"):
            for member, entry in entries_of(project).items():
                if project_id := id_of(project):
                    said = entry["role"], entry["status"]
                    self.truth[Membership(person.owner, project_id, member)] = said
        for _, record in person.records("shared"):
            owner, project_id = record.get("owner"), record.get("project_id")
            if type(owner) is int and type(project_id) is int:
                told = self.index.setdefault(Membership(owner, project_id, person.owner), [])
                told.append((record.get("role"), record.get("status")))

    def differences(self) -> Iterator[Membership]:
        """The memberships of which both sides are known, and do not agree."""
        for one in sorted(self.truth.keys() | self.index.keys()):
            said = [self.truth[one]] if one in self.truth else []
            known = not {("projects", one.owner), ("shared", one.member)} & self.unread
            if known and self.index.get(one, []) != said:
                yield one


def difference_of(
    one: Membership, owner: Person, member: Person, known: Collection[int]
) -> list[Finding]:
    """The finding of a membership on which its two people's documents, read again, differ.

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


def _place(one: Membership, owner: Person, member: Person, is_true: bool) -> tuple[str, int]:
    if is_true:
        places = (n for n, record in owner.records("projects") if id_of(record) == one.project)
        return "projects", next(places)
    meant = (one.owner, one.project)
    found = (
        n
        for n, record in member.records("shared")
        if (record.get("owner"), record.get("project_id")) == meant
    )
    return "shared", next(found)


def _problem(one: Membership, member: Person, is_true: bool, known: Collection[int]) -> str:
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
