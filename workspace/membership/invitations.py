"""Operations of invited users: answer invitations to an address, or decline all at once.

    invitations = Invitations(json_storage)
    (invitation,) = invitations.waiting(9)      # to an address that user 9 proved
    invitations.accept(9, invitation["id"])

Invitations by user name are records of the `shared` document. `Memberships` answers them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Unpack

from docstore import NotFound, Transaction
from workspace.actor import Actor
from workspace.documents import key_of
from workspace.installation import installation
from workspace.member_entries import ADDRESS, MEMBERS, addressed_of, entries_of
from workspace.membership.members import CallOptions, Memberships
from workspace.schema.validation import Record
from workspace.sharing.membership_index import name_of, write_members
from workspace.sharing.permissions import Grant, sharers
from workspace.timestamps import format_utc
from workspace.unit_of_work import WriteOptions
from workspace.users.document import Activity, account_names
from workspace.workspace import Workspace


class Invitations:
    """Invitations as the invited user sees them."""

    def __init__(self, manager: Workspace) -> None:
        self._manager = manager

    def waiting(self, person: int) -> Sequence[Record]:
        """Return the open invitations to the user's proved addresses, newest first."""
        return [self._shown(row, project, entry) for row, project, entry in self._open(person)]

    def is_waiting(self, person: int) -> bool:
        """Return whether `waiting` has any. Mostly one query."""
        return installation.addresses.may_wait_for(person) and any(self._open(person))

    def _open(self, person: int) -> Iterator[tuple[Any, Record, Record]]:
        """Yield row, project and entry of each open invitation to an address, newest first."""
        known = sharers(self._manager.store, person)
        for row in installation.addresses.rows_for(person, known):
            project = self._project(row)
            entry = addressed_of(project).get(row.pk)
            if project is not None and entry is not None and entry[ADDRESS] == row.address:
                yield row, project, entry

    def accept(self, person: int, number: int, **call: Unpack[CallOptions]) -> Record:
        """Accept an invitation to an address. Return the new record of the `shared` document.

        Raises `NotFound` if the user has no such invitation.
        """
        owner, project_id = self._join(person, number, call)
        for record in self._manager.list("shared", person):
            if (record.get("owner"), record.get("project_id")) == (owner, project_id):
                return record
        raise NotFound(f"there is no invitation {number}")

    def decline(self, person: int, number: int, **call: Unpack[CallOptions]) -> None:
        """Decline an invitation to an address. Raises `NotFound`.

        The project's owner does not see this, as it would reveal the account of the address.
        """
        if installation.addresses.row_for(person, number) is None:
            raise NotFound(f"there is no invitation {number}")
        installation.addresses.decline(number)
        words = "invitation_declined", "Declined an invitation to a project"
        self._manager.change(
            person,
            _nothing,
            WriteOptions(
                caller=call.get("caller") or Actor(person),
                metered=call.get("metered", False),
                activity=Activity(*words, dict(call.get("told") or {})),
            ),
        )

    def decline_all(
        self, person: int, *, inviter: int | None = None, **call: Unpack[CallOptions]
    ) -> int:
        """Decline all open invitations, or those of one inviter. Return their number."""
        memberships, count = Memberships(self._manager), 0
        for record in self._manager.list("shared", person):
            if record.get("status") == "invited" and inviter in (None, record.get("owner")):
                count += _done(lambda: memberships.decline(person, record["id"], **call))  # noqa: B023
        for invitation in self.waiting(person):
            if inviter in (None, invitation["owner"]):
                count += _done(lambda: self.decline(person, invitation["id"], **call))  # noqa: B023
        return count

    def never(self, person: int, inviter: int, **call: Unpack[CallOptions]) -> int:
        """Decline all invitations of the inviter, and block further ones. Return their number.

        Raises `NotFound` unless the user knows the inviter from an invitation or a project.
        Otherwise `refused` would show the name of any account.
        """
        shared = {record.get("owner") for record in self._manager.list("shared", person)}
        blocked = installation.addresses.refused_inviters(person)
        if inviter not in {*shared, *blocked, *(row.owner for row, *_ in self._open(person))}:
            raise NotFound(f"there is no invitation of person {inviter}")
        count = self.decline_all(person, inviter=inviter, **call)
        installation.addresses.refuse_inviter(person, inviter)
        return count

    def refused(self, person: int) -> list[tuple[int, str]]:
        """Return ids and names of the user's blocked inviters."""
        return [
            (inviter, self._name(inviter))
            for inviter in installation.addresses.refused_inviters(person)
        ]

    def _join(self, person: int, number: int, call: CallOptions) -> tuple[int, int]:
        row, once = installation.addresses.row_for(person, number), call.get("once")
        if row is None and once is None:
            raise NotFound(f"there is no invitation {number}")
        owner, project_id = (row.owner, row.project_id) if row is not None else (person, 0)

        def edit(transaction: Transaction) -> list[int]:
            records = transaction.records(key_of("projects", owner)).find(project_id)
            project = dict(records[0]) if len(records) == 1 and row is not None else {}
            entry = addressed_of(project).get(number)
            if row is None or entry is None or entry[ADDRESS] != row.address:
                raise NotFound(f"there is no invitation {number}")
            members = [existing for existing in project[MEMBERS] if existing is not entry]
            if person not in entries_of(project):
                members.append(_member(transaction, person, entry))
            write_members(transaction, owner, project, members)
            return [owner, project_id]

        words = "invitation_accepted", "Accepted an invitation to a project"
        metadata = {"id": project_id, "collection": "projects", **(call.get("told") or {})}
        answered: list[int] = self._manager.change(
            owner,
            edit,
            WriteOptions(
                caller=call.get("caller") or Actor(person),
                once=once,
                metered=call.get("metered", False),
                activity=Activity(*words, metadata),
                licence=Grant(members=True, answers=number),
            ),
        )
        installation.addresses.forget(number)
        return answered[0], answered[1]

    def _project(self, row: Any) -> Record | None:
        records = self._manager.store.records(key_of("projects", row.owner)).find(row.project_id)
        return records[0] if len(records) == 1 else None

    def _name(self, person: int) -> str:
        return account_names([person]).get(person, f"#{person}")

    def _shown(self, row: Any, project: Record, entry: Record) -> Record:
        return {
            "id": row.pk,
            ADDRESS: row.address,
            "owner": row.owner,
            "owner_name": self._name(row.owner),
            "project_id": row.project_id,
            "project_name": project.get("name") or "",
            **{name: entry.get(name) for name in ("role", "status", "invited_at")},
        }


def _nothing(_: Transaction) -> None:
    return None


def _member(transaction: Transaction, person: int, entry: Record) -> Record:
    return {
        "user_id": person,
        "username": name_of(transaction, person),
        "role": entry["role"],
        "status": "member",
        "invited_by": entry.get("invited_by"),
        "invited_at": entry.get("invited_at"),
        "since": format_utc(transaction.now),
    }


def _done(act: Any) -> bool:
    """Run `act`. Return False if the invitation was withdrawn meanwhile (`NotFound`)."""
    try:
        act()
    except NotFound:
        return False
    return True
