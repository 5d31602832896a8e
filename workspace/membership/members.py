"""Operations on memberships: invite, accept, decline, leave, remove, change a role, transfer.

    members = Memberships(json_storage)
    members.invite(7, 3, "bob", "editor")        # alice (7) invites bob (9) to her project 3
    (invitation,) = json_storage.list("shared", 9)
    members.accept(9, invitation["id"])

Each is one commit with the member entry, the member's index, unassigned tasks, the activity, and
the count of the call. All raise `NotFound` for a project or user that is not visible to the caller,
`Forbidden` for actions reserved to the owner, and `InvalidRecord` for invalid arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, NoReturn, TypedDict, Unpack

from docstore import NotFound, Transaction, id_of
from workspace.actor import Actor
from workspace.documents import deep_copy, key_of
from workspace.idempotency import IdempotencyKey
from workspace.installation import installation
from workspace.json_values import FieldError
from workspace.member_entries import ADDRESS, MEMBERS, OFFERED, addressed_of, entries_of, is_managed
from workspace.references import clear_references
from workspace.schema.collections import COLLECTIONS, ROLES
from workspace.schema.validation import InvalidRecord, Record
from workspace.sharing.membership_index import name_of, remove_member, write_members
from workspace.sharing.permissions import Access, Forbidden, Grant, index_of, sharers
from workspace.timestamps import format_utc
from workspace.unit_of_work import WriteOptions
from workspace.users.document import (
    Activity,
    add_activity,
    notify_owner,
    person_named,
    require_document,
)
from workspace.workspace import Workspace

MEMBERS_MAX: Final = 100  # per project, invitations included
SHARED_MAX: Final = 1_000  # per user: projects, and as many open invitations
WAITING_FACTOR: Final = 3  # open invitations of accounts of any age, as a multiple of that
OPEN_MAX: Final = 5  # open invitations of one owner to one user or address
FORMER_OWNERS: Final = (*ROLES, "none")  # possible roles of the former owner after a transfer

Find = Callable[[str], tuple[int, str] | None]


class CallOptions(TypedDict, total=False):
    """Actor, idempotency key and metering, as for the manager. `told` is added to the activity."""

    caller: Actor | None
    once: IdempotencyKey | None
    metered: bool
    told: Mapping[str, Any]


class Memberships:
    """The operations. `find` returns id and name of an account by name or address."""

    def __init__(
        self,
        manager: Workspace,
        find: Find = person_named,
        refuses: Callable[[int, int], bool] | None = None,
    ) -> None:
        self._manager, self._find = manager, find
        # With its own `find`, a caller must also supply `refuses`: blocks are database rows.
        self._refuses = refuses or (
            installation.addresses.is_refused if find is person_named else _nobody
        )

    def members(
        self, owner: int, project_id: int, *, caller: Actor | None = None
    ) -> Sequence[Record]:
        """Return the member entries of a visible project, invitations included."""
        project = self._manager.get("projects", owner, project_id, caller=caller)
        entries = [*entries_of(project).values(), *addressed_of(project).values()]
        return [deep_copy(entry) for entry in entries]

    def invite(
        self, owner: int, project_id: int, who: str, role: str, **call: Unpack[CallOptions]
    ) -> Record:
        """Invite the user with this name, or an address, to a project. Return the entry."""
        if "@" in who:
            return self._invite_address(owner, project_id, who, role, call)
        asks = _caller(owner, call)

        def edit(transaction: Transaction) -> Record:
            project = _owned(transaction, owner, project_id, asks)
            _check_role(role)
            person, name = self._find(who) or _refuse("/who", "must be the name of an account")
            _check_room(transaction, owner, project, person)
            if self._refuses(person, owner):
                _refuse("/who", "does not accept invitations from you")
            identity = {"user_id": person, "username": name}
            return _add_invitation(transaction, owner, project, identity, role, asks)

        def describe(entry: Record) -> tuple[str, str]:
            return "member_invited", f"Invited {_name(entry)} to a project as {role}"

        # On this thread, which has the database connection: `find` queries the account while
        # holding the writer lock.
        return self._do(owner, project_id, edit, describe, call, here=True)

    def _invite_address(
        self, owner: int, project_id: int, who: str, role: str, call: CallOptions
    ) -> Record:
        """Invite the account that has proved the address, or will prove it.

        The result does not depend on whether there is such an account, so the inviter cannot learn
        that.
        """
        asks = _caller(owner, call)
        address = installation.addresses.address_in(who)

        def edit(transaction: Transaction) -> Record:
            project = _owned(transaction, owner, project_id, asks)
            _check_role(role)
            if address is None:
                _refuse("/who", "must be a username or an email address")
            if not installation.addresses.can_be_proved():
                _refuse("/who", "must be a username: this server cannot confirm email addresses")
            _check_address(transaction, owner, project, address)
            identity = {"invitation": number, ADDRESS: address}
            return _add_invitation(transaction, owner, project, identity, role, asks)

        def describe(entry: Record) -> tuple[str, str]:
            return "member_invited", f"Invited {entry[ADDRESS]} to a project as {role}"

        # The row is added before the commit, outside the writer lock: without an entry it is
        # ignored. An invalid address gets no row, and `edit` refuses it after the permissions.
        note: AbstractContextManager[int] = nullcontext(0)
        if address is not None and installation.addresses.can_be_proved():
            note = installation.addresses.noted(address, owner, project_id)
        with note as number:
            entry = self._do(owner, project_id, edit, describe, call)
        self._forget_stale(owner, entry[ADDRESS])
        return entry

    def _forget_stale(self, owner: int, address: str) -> None:
        """Delete rows of the owner's invitations that no project contains any longer."""
        projects = self._manager.store.records(key_of("projects", owner))
        for row in installation.addresses.rows_to_check(owner, address):
            records = projects.find(row.project_id)
            entry = addressed_of(records[0]).get(row.pk) if len(records) == 1 else None
            if entry is None or entry[ADDRESS] != row.address:
                installation.addresses.forget(row.pk)

    def withdraw(
        self, owner: int, project_id: int, number: int, **call: Unpack[CallOptions]
    ) -> Record:
        """Withdraw an invitation to an address. Return its entry. Raises `NotFound`."""
        asks = _caller(owner, call)

        def edit(transaction: Transaction) -> Record:
            project = _owned(transaction, owner, project_id, asks)
            entry = addressed_of(project).get(number)
            if entry is None:
                raise NotFound(f"there is no invitation {number}")
            members = [existing for existing in project[MEMBERS] if existing is not entry]
            write_members(transaction, owner, project, members)
            return entry

        def describe(entry: Record) -> tuple[str, str]:
            return "member_removed", f"Withdrew the invitation of {entry[ADDRESS]}"

        entry = self._do(owner, project_id, edit, describe, call)
        installation.addresses.forget(number)
        return entry

    def change_role(
        self, owner: int, project_id: int, person: int, role: str, **call: Unpack[CallOptions]
    ) -> Record:
        """Change the role of a member or invited user. Return the member entry."""
        asks = _caller(owner, call)

        def edit(transaction: Transaction) -> Record:
            project = _owned(transaction, owner, project_id, asks)
            _check_role(role)
            return _write_entry(transaction, owner, project, person, {"role": role})

        def describe(entry: Record) -> tuple[str, str]:
            return "member_changed", f"Made {_name(entry)} {role} of a project"

        return self._do(owner, project_id, edit, describe, call)

    def remove(
        self, owner: int, project_id: int, person: int, **call: Unpack[CallOptions]
    ) -> Record:
        """Remove a member or an invitation. A user may remove themself. Return the member entry."""
        asks = _caller(owner, call)

        def edit(transaction: Transaction) -> Record:
            if asks.user_id == person != owner:
                project = _named_in(transaction, owner, project_id, person)
            else:
                project = _owned(transaction, owner, project_id, asks)
            entry = entries_of(project).get(person) or _no_member(person)
            remove_member(transaction, owner, project, person)
            return entry

        def describe(entry: Record) -> tuple[str, str]:
            if asks.user_id != person:
                return "member_removed", f"Took {_name(entry)} out of a project"
            if entry["status"] == "invited":
                return "invitation_declined", "Declined an invitation to a project"
            return "project_left", "Left a project"

        return self._do(owner, project_id, edit, describe, call)

    def accept(self, person: int, shared_id: int, **call: Unpack[CallOptions]) -> Record:
        """Accept the invitation with this id in the user's `shared` document. Return its record.

        Accepting again changes nothing.
        """
        owner, project_id = self._meant(person, shared_id)
        call.setdefault("caller", Actor(person))

        def edit(transaction: Transaction) -> Record:
            project = _named_in(transaction, owner, project_id, person)
            entry = entries_of(project)[person]
            if entry["status"] != "member":
                joined = {"status": "member", "since": format_utc(transaction.now)}
                _write_entry(transaction, owner, project, person, joined)
            return entry

        def describe(_: Record) -> tuple[str, str]:
            return "invitation_accepted", "Accepted an invitation to a project"

        self._do(owner, project_id, edit, describe, call)
        return self._manager.get("shared", person, shared_id)

    def decline(self, person: int, shared_id: int, **call: Unpack[CallOptions]) -> None:
        """Decline the invitation, or leave the project, with this id in the `shared` document."""
        owner, project_id = self._meant(person, shared_id)
        call.setdefault("caller", Actor(person))
        self.remove(owner, project_id, person, **call)

    def offer(self, owner: int, project_id: int, to: int, **call: Unpack[CallOptions]) -> Record:
        """Offer the ownership of the project to a member, who accepts by `take_over`.

        Return the member entry. An offer to another member replaces an earlier one.
        """
        asks = _caller(owner, call)

        def edit(transaction: Transaction) -> Record:
            project = _owned(transaction, owner, project_id, asks)
            entry = entries_of(project).get(to)
            if entry is None or entry["status"] != "member":
                _refuse("/to", "must be the id of a member of the project")
            offered = entry | {OFFERED: format_utc(transaction.now)}
            members = [
                offered if existing is entry else _unoffered(existing)
                for existing in project[MEMBERS]
            ]
            write_members(transaction, owner, project, members)
            return offered

        def describe(entry: Record) -> tuple[str, str]:
            return "project_offered", f"Offered {_name(entry)} to own a project"

        return self._do(owner, project_id, edit, describe, call)

    def withdraw_offer(self, owner: int, project_id: int, **call: Unpack[CallOptions]) -> None:
        """Withdraw the offer of a project. Raises `NotFound` if no offer is open."""
        asks = _caller(owner, call)

        def edit(transaction: Transaction) -> Record:
            project = _owned(transaction, owner, project_id, asks)
            offered = [entry for entry in entries_of(project).values() if entry.get(OFFERED)]
            if not offered:
                raise NotFound(f"there is no offer of project {project_id}")
            members = [_unoffered(entry) for entry in project[MEMBERS]]
            write_members(transaction, owner, project, members)
            return dict(_unoffered(offered[0]))

        def describe(_: Record) -> tuple[str, str]:
            return "offer_withdrawn", "Withdrew the offer of a project"

        self._do(owner, project_id, edit, describe, call)

    def refuse_offer(self, person: int, shared_id: int, **call: Unpack[CallOptions]) -> None:
        """Refuse the ownership of the project with this id in the `shared` document.

        The membership remains.
        """
        owner, project_id = self._meant(person, shared_id)
        call.setdefault("caller", Actor(person))

        def edit(transaction: Transaction) -> Record:
            project, entry = _offered(transaction, owner, project_id, person)
            members = [_unoffered(existing) for existing in project[MEMBERS]]
            write_members(transaction, owner, project, members)
            return dict(_unoffered(entry))

        def describe(_: Record) -> tuple[str, str]:
            return "offer_refused", "Refused to own a project"

        self._do(owner, project_id, edit, describe, call)

    def take_over(
        self, person: int, shared_id: int, former_owner: str = "viewer", **call: Unpack[CallOptions]
    ) -> Record:
        """Accept the ownership of the project with this id in the user's `shared` document.

        Project and tasks move to the new owner's documents and get new ids. `former_owner` is the
        new role of the former owner, or "none". All other memberships remain. The former owner's
        models stay, without the project. Return the moved project.
        """
        who, once = call.get("caller") or Actor(person), call.get("once")
        if former_owner not in FORMER_OWNERS:
            _refuse("/former_owner", f"must be one of {', '.join(FORMER_OWNERS)}")
        try:
            owner, project_id = self._meant(person, shared_id)
        except NotFound:
            if once is None:
                raise
            owner = project_id = 0  # a repeated call may have a stored response

        def edit(transaction: Transaction) -> Record:
            project, _entry = _offered(transaction, owner, project_id, person)
            moved = _move_project(transaction, project, owner, person, former_owner)
            _move_tasks(transaction, owner, project_id, person, moved["id"])
            clear_references(transaction, key_of("projects", owner), {project_id})
            metadata = call.get("told") or {}
            words = "project_received", f"Took over project “{project.get('name', '')}”"
            add_activity(transaction, person, _activity(words, moved["id"], metadata))
            words = "project_transferred", f"Handed over project “{project.get('name', '')}”"
            notify_owner(transaction, person, owner, _activity(words, project_id, {}))
            return moved

        return self._manager.change(
            owner or person,
            edit,
            WriteOptions(
                caller=who,
                once=once,
                metered=call.get("metered", False),
                licence=Grant(members=True, takes=(owner, project_id)),
            ),
        )

    def _meant(self, person: int, shared_id: int) -> tuple[int, int]:
        """Return owner and id of the project that a record of the `shared` document names."""
        record = self._manager.get("shared", person, shared_id)
        owner, project_id = record.get("owner"), record.get("project_id")
        if type(owner) is not int or type(project_id) is not int:
            raise NotFound(f"there is no membership {shared_id}")
        return owner, project_id

    def _do(
        self,
        owner: int,
        project_id: int,
        edit: Callable[[Transaction], Record],
        told: Callable[[Record], tuple[str, str]],
        call: CallOptions,
        *,
        here: bool = False,
    ) -> Record:
        def activity(result: Record) -> Activity:
            return _activity(told(result), project_id, call.get("told") or {}, result)

        return self._manager.change(
            owner,
            edit,
            WriteOptions(
                caller=call.get("caller"),
                once=call.get("once"),
                metered=call.get("metered", False),
                activity=activity,
                licence=Grant(members=True),
                here=here,
            ),
        )


def _activity(
    words: tuple[str, str],
    project_id: int,
    told: Mapping[str, Any],
    entry: Mapping[str, Any] | None = None,
) -> Activity:
    about = {name: (entry or {})[name] for name in ("role",) if name in (entry or {})}
    return Activity(*words, {"id": project_id, "collection": "projects", **about, **told})


def _caller(owner: int, call: CallOptions) -> Actor:
    return call.get("caller") or Actor(owner)


def _name(entry: Mapping[str, Any]) -> str:
    """Return the name of a member for activities. Entries edited by hand may have none."""
    return str(entry.get("username") or entry["user_id"])


def _refuse(pointer: str, detail: str) -> NoReturn:
    raise InvalidRecord([FieldError(pointer, detail)])


def _no_member(person: int) -> NoReturn:
    raise NotFound(f"there is no member {person}")


def _owned(transaction: Transaction, owner: int, project_id: int, asks: Actor) -> Record:
    """Return the project for an action of its owner.

    Raises `NotFound` if it is not visible to the caller, `Forbidden` if the caller is not the
    owner.
    """
    access = Access.of(transaction, asks.user_id, owner)
    projects = transaction.records(key_of("projects", owner)).find(project_id)
    if not projects or access.role("projects", projects[0]) is None:
        raise NotFound(f"there is no project {project_id}")
    if asks.user_id != owner:
        raise Forbidden("only its owner decides who shares a project")
    return dict(transaction.record(key_of("projects", owner), project_id))


def _add_invitation(
    transaction: Transaction,
    owner: int,
    project: Record,
    identity: Record,
    role: str,
    asks: Actor,
) -> Record:
    """Add the member entry of an invitation and return it. `identity` names who is invited."""
    entry = {
        **identity,
        "role": role,
        "status": "invited",
        "invited_by": asks.user_id,
        "invited_at": format_utc(transaction.now),
        "since": None,
    }
    write_members(transaction, owner, project, [*(project.get(MEMBERS) or []), entry])
    return entry


def _named_in(transaction: Transaction, owner: int, project_id: int, person: int) -> Record:
    """Return the project for a user whom it names. Reads the user's own index first.

    Raises `NotFound`.
    """
    project = (owner, project_id)
    indexed = index_of(transaction, person)
    if any((record.get("owner"), record.get("project_id")) == project for record in indexed):
        projects = transaction.records(key_of("projects", owner)).find(project_id)
        if len(projects) == 1 and person in entries_of(projects[0]):
            return dict(projects[0])
    raise NotFound(f"there is no project {project_id}")


def _offered(
    transaction: Transaction, owner: int, project_id: int, person: int
) -> tuple[Record, Record]:
    """Return the project offered to the user, and their entry. Raises `NotFound`."""
    project = _named_in(transaction, owner, project_id, person)
    entry = entries_of(project)[person]
    if entry["status"] != "member" or not entry.get(OFFERED):
        raise NotFound(f"there is no offer of project {project_id}")
    return project, entry


def _unoffered(entry: Any) -> Any:
    """Return the member entry without an offer. Other list items are returned unchanged."""
    if not is_managed(entry) or OFFERED not in entry:
        return entry
    return {name: value for name, value in entry.items() if name != OFFERED}


def _check_role(role: str) -> None:
    if role not in ROLES:
        _refuse("/role", f"must be one of {', '.join(ROLES)}")


def _check_room(transaction: Transaction, owner: int, project: Record, person: int) -> None:
    entries = entries_of(project)
    if person == owner:
        _refuse("/who", "must be another person than the owner")
    if person in entries:
        is_member = entries[person]["status"] == "member"
        _refuse("/who", "is already a member" if is_member else "is already invited")
    _check_size(project)
    shared = list(index_of(transaction, person))
    waiting = [record for record in shared if record.get("status") == "invited"]
    mine = sum(record.get("owner") == owner for record in waiting)
    if mine >= OPEN_MAX:
        _refuse("/who", f"already has {OPEN_MAX} open invitations from you")
    # Without this exception, strangers could fill a user's list and so block known inviters.
    known = owner in sharers(transaction, person) or person in sharers(transaction, owner)
    # Nor may those of many new accounts keep an older one away.
    older = sum(_is_older(record.get("owner"), owner) for record in waiting)
    is_full = older >= SHARED_MAX or len(waiting) >= SHARED_MAX * WAITING_FACTOR
    if len(shared) - len(waiting) >= SHARED_MAX or (is_full and not known):
        _refuse("/who", "has reached the limit of projects and invitations")


def _is_older(inviter: object, owner: int) -> bool:
    return not isinstance(inviter, int) or inviter <= owner


def _nobody(_person: int, _inviter: int) -> bool:
    return False


def _check_size(project: Record) -> None:
    if len(entries_of(project)) + len(addressed_of(project)) >= MEMBERS_MAX:
        _refuse("/who", f"exceeds the limit of {MEMBERS_MAX} members per project")


def _check_address(transaction: Transaction, owner: int, project: Record, address: str) -> None:
    """Raise `InvalidRecord` past a limit, by the owner's projects only.

    A check of the account would reveal whether there is one.
    """
    if any(entry[ADDRESS] == address for entry in addressed_of(project).values()):
        _refuse("/who", "is already invited")
    _check_size(project)
    mine = sum(
        entry[ADDRESS] == address
        for other in transaction.records(key_of("projects", owner))
        if isinstance(other, dict)
        for entry in addressed_of(other).values()
    )
    if mine >= OPEN_MAX:
        _refuse("/who", f"already has {OPEN_MAX} open invitations from you")


def _write_entry(
    transaction: Transaction, owner: int, project: Record, person: int, changes: Record
) -> Record:
    entry = entries_of(project).get(person) or _no_member(person)
    changed = entry | changes
    members = [changed if existing is entry else existing for existing in project[MEMBERS]]
    write_members(transaction, owner, project, members)
    return changed


def _move_project(
    transaction: Transaction, project: Record, owner: int, to: int, former_owner: str
) -> Record:
    key, now = key_of("projects", to), format_utc(transaction.now)
    require_document(transaction, key)
    entries = entries_of(project)
    gone = [entries[to], *addressed_of(project).values()]  # invitations of the former owner
    rest = [_unoffered(m) for m in project[MEMBERS] if not any(m is entry for entry in gone)]
    former = {
        "user_id": owner,
        "username": name_of(transaction, owner),
        "role": former_owner,
        "status": "member",
        "invited_by": to,
        "invited_at": now,
        "since": now,
    }
    moved = project | {"id": transaction.new_id(key), "user_id": to, "updated_at": now}
    moved[MEMBERS] = [*rest, former] if former_owner in ROLES else rest
    transaction.remove(key_of("projects", owner), project["id"])
    transaction.put(key, COLLECTIONS["projects"].ordered(moved))
    return moved


def _move_tasks(
    transaction: Transaction, owner: int, project_id: int, to: int, moved_id: int
) -> None:
    source, destination = key_of("tasks", owner), key_of("tasks", to)
    tasks = [task for task in transaction.records(source) if _is_of(task, project_id)]
    if tasks:
        require_document(transaction, destination)
    for task in tasks:
        transaction.remove(source, task["id"])
        moved = {"id": transaction.new_id(destination), "user_id": to, "project_id": moved_id}
        transaction.put(
            destination, dict(task) | moved | {"updated_at": format_utc(transaction.now)}
        )


def _is_of(task: Any, project_id: int) -> bool:
    return id_of(task) is not None and task.get("project_id") == project_id
