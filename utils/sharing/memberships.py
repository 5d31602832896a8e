"""Sharing a project: invite, accept, decline, leave, remove, change a role, hand over.

    members = Memberships(json_storage)
    members.invite(7, 3, "bob", "editor")        # alice (7) invites bob (9) to her project 3
    (invitation,) = json_storage.list("shared", 9)
    members.accept(9, invitation["id"])

Each is one commit: the member entry in the project (the truth), the index of whom it is about, the
tasks that were assigned to someone who goes, the activity, and the counted call. All raise
`NotFound` for a project or person that the caller does not see, `Forbidden` for what only the owner
may do, and `InvalidRecord` for what is asked wrongly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn, TypedDict, Unpack

from docstore import NotFound, Transaction
from utils.caller import Caller
from utils.documents import key_of, own_copy
from utils.json.values import FieldError
from utils.json_storage import Activity, JSONStorageManager, Once
from utils.people.person import begin, log, person_named, tell_other
from utils.records import InvalidRecord, Record
from utils.references import clear_references
from utils.sharing.access import (
    MEMBERS,
    OFFERED,
    Access,
    Forbidden,
    Licence,
    entries_of,
    index_of,
    is_managed,
)
from utils.sharing.index import name_of, take_out, write_members
from utils.table import COLLECTIONS, ROLES
from utils.times import utc_text

MEMBERS_MAX: Final = 100  # of a project, invitations included
SHARED_MAX: Final = 1_000  # with one person, invitations included
FORMER_OWNERS: Final = (*ROLES, "none")  # what somebody may be who handed a project over

Find = Callable[[str], tuple[int, str] | None]


class Call(TypedDict, total=False):
    """Who asks and how it is counted, as with the methods of the manager; `told` is added to what
    the activity notes."""

    caller: Caller | None
    once: Once | None
    metered: bool
    told: Mapping[str, Any]


class Memberships:
    """The operations on memberships; `find` tells id and name of a person by name or address."""

    def __init__(self, manager: JSONStorageManager, find: Find = person_named) -> None:
        self._manager, self._find = manager, find

    def members(
        self, owner: int, project_id: int, *, caller: Caller | None = None
    ) -> Sequence[Record]:
        """The member entries of a project that the caller sees, invitations included."""
        project = self._manager.get("projects", owner, project_id, caller=caller)
        return [own_copy(entry) for entry in entries_of(project).values()]

    def invite(
        self, owner: int, project_id: int, who: str, role: str, **call: Unpack[Call]
    ) -> Record:
        """Offers a project to the person with this user name or address; returns the entry."""
        asks = _caller(owner, call)

        def edit(transaction: Transaction) -> Record:
            project = _owned(transaction, owner, project_id, asks)
            _check_role(role)
            person, name = self._find(who) or _refuse("/who", "must be the name of an account")
            _check_room(transaction, owner, project, person)
            entry = {
                "user_id": person,
                "username": name,
                "role": role,
                "status": "invited",
                "invited_by": asks.user_id,
                "invited_at": utc_text(transaction.now),
                "since": None,
            }
            write_members(transaction, owner, project, [*(project.get(MEMBERS) or []), entry])
            return entry

        def told(entry: Record) -> tuple[str, str]:
            return "member_invited", f"Invited {_name(entry)} to a project as {role}"

        # Where the database's connection is: the account is looked up while writers wait.
        return self._do(owner, project_id, edit, told, call, here=True)

    def change_role(
        self, owner: int, project_id: int, person: int, role: str, **call: Unpack[Call]
    ) -> Record:
        """Gives a member, or one who is invited, another role; returns the entry."""
        asks = _caller(owner, call)

        def edit(transaction: Transaction) -> Record:
            project = _owned(transaction, owner, project_id, asks)
            _check_role(role)
            return _write_entry(transaction, owner, project, person, {"role": role})

        def told(entry: Record) -> tuple[str, str]:
            return "member_changed", f"Made {_name(entry)} {role} of a project"

        return self._do(owner, project_id, edit, told, call)

    def remove(self, owner: int, project_id: int, person: int, **call: Unpack[Call]) -> Record:
        """Takes a member out, or an invitation back; a person may go by themself."""
        asks = _caller(owner, call)

        def edit(transaction: Transaction) -> Record:
            if asks.user_id == person != owner:
                project = _named_in(transaction, owner, project_id, person)
            else:
                project = _owned(transaction, owner, project_id, asks)
            entry = entries_of(project).get(person) or _no_member(person)
            take_out(transaction, owner, project, person)
            return entry

        def told(entry: Record) -> tuple[str, str]:
            if asks.user_id != person:
                return "member_removed", f"Took {_name(entry)} out of a project"
            if entry["status"] == "invited":
                return "invitation_declined", "Declined an invitation to a project"
            return "project_left", "Left a project"

        return self._do(owner, project_id, edit, told, call)

    def accept(self, person: int, shared_id: int, **call: Unpack[Call]) -> Record:
        """Accepts the invitation with this id among what is shared with the person.

        Returns the record of what is shared. Accepting twice changes nothing more.
        """
        owner, project_id = self._meant(person, shared_id)
        call.setdefault("caller", Caller(person))

        def edit(transaction: Transaction) -> Record:
            project = _named_in(transaction, owner, project_id, person)
            entry = entries_of(project)[person]
            if entry["status"] != "member":
                joined = {"status": "member", "since": utc_text(transaction.now)}
                _write_entry(transaction, owner, project, person, joined)
            return entry

        def told(_: Record) -> tuple[str, str]:
            return "invitation_accepted", "Accepted an invitation to a project"

        self._do(owner, project_id, edit, told, call)
        return self._manager.get("shared", person, shared_id)

    def decline(self, person: int, shared_id: int, **call: Unpack[Call]) -> None:
        """Declines the invitation, or leaves the project, that has this id among what is shared."""
        owner, project_id = self._meant(person, shared_id)
        call.setdefault("caller", Caller(person))
        self.remove(owner, project_id, person, **call)

    def offer(self, owner: int, project_id: int, to: int, **call: Unpack[Call]) -> Record:
        """Offer the project to a member, who becomes its owner by accepting; return the entry.

        An offer to another member ends an earlier one.
        """
        asks = _caller(owner, call)

        def edit(transaction: Transaction) -> Record:
            project = _owned(transaction, owner, project_id, asks)
            entry = entries_of(project).get(to)
            if entry is None or entry["status"] != "member":
                _refuse("/to", "must be the id of a member of the project")
            offered = entry | {OFFERED: utc_text(transaction.now)}
            members = [offered if one is entry else _unoffered(one) for one in project[MEMBERS]]
            write_members(transaction, owner, project, members)
            return offered

        def told(entry: Record) -> tuple[str, str]:
            return "project_offered", f"Offered {_name(entry)} to own a project"

        return self._do(owner, project_id, edit, told, call)

    def withdraw_offer(self, owner: int, project_id: int, **call: Unpack[Call]) -> None:
        """Withdraw the offer of a project. Raises `NotFound` if there is none."""
        asks = _caller(owner, call)

        def edit(transaction: Transaction) -> Record:
            project = _owned(transaction, owner, project_id, asks)
            offered = [one for one in entries_of(project).values() if one.get(OFFERED)]
            if not offered:
                raise NotFound(f"there is no offer of project {project_id}")
            members = [_unoffered(one) for one in project[MEMBERS]]
            write_members(transaction, owner, project, members)
            return dict(_unoffered(offered[0]))

        def told(_: Record) -> tuple[str, str]:
            return "offer_withdrawn", "Withdrew the offer of a project"

        self._do(owner, project_id, edit, told, call)

    def refuse_offer(self, person: int, shared_id: int, **call: Unpack[Call]) -> None:
        """Refuse to own the project with this id among what is shared; the membership stays."""
        owner, project_id = self._meant(person, shared_id)
        call.setdefault("caller", Caller(person))

        def edit(transaction: Transaction) -> Record:
            project, entry = _offered(transaction, owner, project_id, person)
            members = [_unoffered(one) for one in project[MEMBERS]]
            write_members(transaction, owner, project, members)
            return dict(_unoffered(entry))

        def told(_: Record) -> tuple[str, str]:
            return "offer_refused", "Refused to own a project"

        self._do(owner, project_id, edit, told, call)

    def take_over(
        self, person: int, shared_id: int, former_owner: str = "viewer", **call: Unpack[Call]
    ) -> Record:
        """Accept the offer of the project with this id among what is shared with the person.

        Project and tasks move into the new owner's documents and get new ids there. The former
        owner stays as what the new one says: a role, or "none". All other members stay what they
        are. Models stay, and belong to no project then. Returns the project as it is then.
        """
        who, once = call.get("caller") or Caller(person), call.get("once")
        if former_owner not in FORMER_OWNERS:
            _refuse("/former_owner", f"must be one of {', '.join(FORMER_OWNERS)}")
        try:
            owner, project_id = self._meant(person, shared_id)
        except NotFound:
            if once is None:
                raise
            owner = project_id = 0  # the answer may have been kept before the record went

        def edit(transaction: Transaction) -> Record:
            project, _entry = _offered(transaction, owner, project_id, person)
            moved = _move_project(transaction, project, owner, person, former_owner)
            _move_tasks(transaction, owner, project_id, person, moved["id"])
            clear_references(transaction, key_of("projects", owner), {project_id})
            told = call.get("told") or {}
            words = "project_received", f"Took over project “{project.get('name', '')}”"
            log(transaction, person, _activity(words, moved["id"], told))
            words = "project_transferred", f"Handed over project “{project.get('name', '')}”"
            tell_other(transaction, person, owner, _activity(words, project_id, {}))
            return moved

        return self._manager._change(
            owner or person,
            edit,
            caller=who,
            once=once,
            metered=call.get("metered", False),
            licence=Licence(members=True, takes=(owner, project_id)),
        )

    def _meant(self, person: int, shared_id: int) -> tuple[int, int]:
        """Owner and id of the project that a record of what is shared is about."""
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
        call: Call,
        *,
        here: bool = False,
    ) -> Record:
        def activity(result: Record) -> Activity:
            return _activity(told(result), project_id, call.get("told") or {}, result)

        return self._manager._change(
            owner,
            edit,
            caller=call.get("caller"),
            once=call.get("once"),
            metered=call.get("metered", False),
            activity=activity,
            licence=Licence(members=True),
            here=here,
        )


def _activity(
    words: tuple[str, str],
    project_id: int,
    told: Mapping[str, Any],
    entry: Mapping[str, Any] | None = None,
) -> Activity:
    about = {name: (entry or {})[name] for name in ("role",) if name in (entry or {})}
    return Activity(*words, {"id": project_id, "collection": "projects", **about, **told})


def _caller(owner: int, call: Call) -> Caller:
    return call.get("caller") or Caller(owner)


def _name(entry: Mapping[str, Any]) -> str:
    """What a person calls the member; one whom a hand wrote may have no name."""
    return str(entry.get("username") or entry["user_id"])


def _refuse(pointer: str, detail: str) -> NoReturn:
    raise InvalidRecord([FieldError(pointer, detail)])


def _no_member(person: int) -> NoReturn:
    raise NotFound(f"there is no member {person}")


def _owned(transaction: Transaction, owner: int, project_id: int, asks: Caller) -> Record:
    """The project, for what only its owner may do. Raises `NotFound` where it is not seen."""
    access = Access.of(transaction, asks.user_id, owner)
    found = transaction.records(key_of("projects", owner)).find(project_id)
    if not found or access.role("projects", found[0]) is None:
        raise NotFound(f"there is no project {project_id}")
    if asks.user_id != owner:
        raise Forbidden("only its owner decides who shares a project")
    return dict(transaction.record(key_of("projects", owner), project_id))


def _named_in(transaction: Transaction, owner: int, project_id: int, person: int) -> Record:
    """The project, for a person whom it names. Looks into their own index first."""
    project = (owner, project_id)
    indexed = index_of(transaction, person)
    if any((one.get("owner"), one.get("project_id")) == project for one in indexed):
        found = transaction.records(key_of("projects", owner)).find(project_id)
        if len(found) == 1 and person in entries_of(found[0]):
            return dict(found[0])
    raise NotFound(f"there is no project {project_id}")


def _offered(
    transaction: Transaction, owner: int, project_id: int, person: int
) -> tuple[Record, Record]:
    """The project and the person's entry in it, if it is offered to them. Raises `NotFound`."""
    project = _named_in(transaction, owner, project_id, person)
    entry = entries_of(project)[person]
    if entry["status"] != "member" or not entry.get(OFFERED):
        raise NotFound(f"there is no offer of project {project_id}")
    return project, entry


def _unoffered(entry: Any) -> Any:
    """The member entry without an offer; whatever else stands in the list, as it is."""
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
        _refuse("/who", f"is {entries[person]['status']} already")
    if len(entries) >= MEMBERS_MAX:
        _refuse("/who", f"is one too many: a project may have {MEMBERS_MAX} members")
    if len(transaction.records(key_of("shared", person))) >= SHARED_MAX:
        _refuse("/who", "has as many projects and invitations as one may have")


def _write_entry(
    transaction: Transaction, owner: int, project: Record, person: int, changes: Record
) -> Record:
    entry = entries_of(project).get(person) or _no_member(person)
    changed = entry | changes
    members = [changed if one is entry else one for one in project[MEMBERS]]
    write_members(transaction, owner, project, members)
    return changed


def _move_project(
    transaction: Transaction, project: Record, owner: int, to: int, former_owner: str
) -> Record:
    key, now = key_of("projects", to), utc_text(transaction.now)
    begin(transaction, key)
    entries = entries_of(project)
    rest = [_unoffered(one) for one in project[MEMBERS] if one is not entries[to]]
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
    here, there = key_of("tasks", owner), key_of("tasks", to)
    tasks = [task for task in transaction.records(here) if _is_of(task, project_id)]
    if tasks:
        begin(transaction, there)
    for task in tasks:
        transaction.remove(here, task["id"])
        moved = {"id": transaction.new_id(there), "user_id": to, "project_id": moved_id}
        transaction.put(there, dict(task) | moved | {"updated_at": utc_text(transaction.now)})


def _is_of(task: Any, project_id: int) -> bool:
    return isinstance(task, dict) and bool(task.get("id")) and task.get("project_id") == project_id
