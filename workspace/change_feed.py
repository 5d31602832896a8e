"""The change feed for a user: which records were created, updated and deleted.

The store's feed has commits and documents. This module converts it to changes of records that the
user may see *now*: their own, their invitations, and those of shared projects since the user became
a member. Counting calls and logging activities are not changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from docstore import DocumentStore, Entry, EntryChange, Key
from workspace.entry_diff import records_of
from workspace.member_entries import entries_of
from workspace.schema.collections import RECORD_COLLECTIONS, Record
from workspace.sharing.permissions import index_of, roles
from workspace.timestamps import parse_or_none, parse_time

SHARED: Final = "shared"  # a user's memberships, reported to that user alone
# Changes reported per commit. A larger commit is reported as a reset of its collections.
CHANGES_MAX: Final = 1_000

Json = dict[str, Any]

# Other users' projects that a user may see, by owner and id, with the time since when.
Visibility = Mapping[int, Mapping[int, datetime]]


@dataclass(frozen=True)
class ChangePage:
    """Commits as a user may see them. Continue after `next`.

    `is_all` is True if there were no later commits when the call began.
    """

    told: list[Json]
    next: int
    is_all: bool


def changes_for(store: DocumentStore, user_id: int, since: int) -> ChangePage:
    """Return the user's view of the commits after number `since`, or of the first of them.

    Raises `HistoryGone` if the journal no longer has all of them, `Corrupt` and `Unavailable`.
    """
    sight = visibility_for(store, user_id)

    def wanted(key: Key) -> bool:
        if key.owner == user_id:
            return key.collection in (*RECORD_COLLECTIONS, SHARED)
        return key.owner in sight and key.collection in ("tasks", "projects")

    known = store.sequence()
    entries, through = store.entries(since, wanted)
    feed = [_serialize(entry, user_id, sight) for entry in entries]
    return ChangePage([item for item in feed if item["changes"]], through, through >= known)


def visibility_for(store: DocumentStore, user_id: int) -> Visibility:
    """Return the projects of others that the user may see now, where index and entries agree."""
    owners = {record.get("owner") for record in index_of(store, user_id)}
    sight: dict[int, dict[int, datetime]] = {}
    for owner in owners:
        if type(owner) is int and owner != user_id:
            projects = store.records(Key("projects", owner))
            for project_id in roles(store, user_id, owner):
                project = next(
                    iter(projects.find(project_id)), None
                )  # may be newer than `projects`
                since = parse_or_none(entries_of(project).get(user_id, {}).get("since"))
                if since is not None:
                    sight.setdefault(owner, {})[project_id] = since
    return sight


def _serialize(entry: Entry, user_id: int, sight: Visibility) -> Json:
    return {
        "sequence": entry.sequence,
        "at": entry.at,
        "actor": int(entry.actor) if entry.actor.isdecimal() else None,
        "request": entry.request_id,
        "changes": _changes_of(entry, user_id, sight),
    }


def _changes_of(entry: Entry, user_id: int, sight: Visibility) -> list[Json]:
    if entry.restored:
        own = [Key(name, user_id) for name in (*RECORD_COLLECTIONS, SHARED)]
        others = [Key(name, owner) for owner in sight for name in ("projects", "tasks")]
        return [_reset(key) for key in (*own, *others)]
    changes: list[Json] = []
    for change in entry.changes:
        changes += _of_document(entry, change, user_id, sight)
    if len(changes) > CHANGES_MAX:
        return [_reset(change.key) for change in entry.changes]
    return changes


def _of_document(
    entry: Entry, change: EntryChange, user_id: int, sight: Visibility
) -> Iterator[Json]:
    """Yield the changes of a document that the user may see."""
    key, at = change.key, parse_time(entry.at)
    for record_id, (before, after) in records_of(change).items():
        if key.owner != user_id:
            visible = sight[key.owner]
            before = before if _is_seen(key, before, visible, at) else None
            after = after if _is_seen(key, after, visible, at) else None
        if before is None and after is None:
            continue
        done = "created" if before is None else "deleted" if after is None else "updated"
        yield _change(key, record_id, done, after)


def _is_seen(
    key: Key, record: Record | None, visible: Mapping[int, datetime], at: datetime
) -> bool:
    """Return whether a record of another owner is in a visible project, and was at that time."""
    if record is None:
        return False
    project = record.get("id" if key.collection == "projects" else "project_id")
    return type(project) is int and project in visible and visible[project] <= at


def _change(key: Key, record_id: int | None, done: str, record: Record | None) -> Json:
    return {
        "collection": key.collection,
        "owner": key.owner,
        "id": record_id,
        "change": done,
        "record": record,
    }


def _reset(key: Key) -> Json:
    """Return the entry that tells the client to list the collection again."""
    return _change(key, None, "reset", None)
