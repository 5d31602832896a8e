"""Create the next occurrence of a repeating task in the commit that completes it.

The rule moves to the new task, so exactly one task has it, however often the old one is reopened
and completed again. Of two concurrent completions, the second sees a task that is already completed
and creates nothing.

A repeating task stores the time zone in which its days are counted, so the result does not depend
on the page or program that completes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from zoneinfo import ZoneInfo

from docstore import Key, Transaction
from workspace.documents import deep_copy, key_of
from workspace.installation import installation
from workspace.recurrence import NextOccurrence, canonical_repeat, next_due
from workspace.schema.validation import COLLECTIONS, Record
from workspace.timestamps import format_utc, is_time_zone, zone_of_offset
from workspace.users.preferences import preferences_in

_DONE = "completed"


def with_time_zone(
    transaction: Transaction,
    key: Key,
    before: Mapping[str, object],
    record: Record,
    given: object,
) -> Record:
    """Return the record with the time zone of its rule, or "" if it does not repeat.

    `given` is the data that the caller sent. Precedence: a zone in the record, the task's former
    zone, the zone of the page, the owner's preference, the offset of the due date in `given`, UTC.
    """
    if key.collection != "tasks":
        return record
    if not canonical_repeat(record.get("repeat")):
        ends = bool(before.get("repeat")) and record.get("time_zone") == before.get("time_zone")
        return record | {"time_zone": ""} if ends and record.get("time_zone") else record
    if record.get("time_zone") != "":
        return record
    has = before.get("time_zone")
    if isinstance(has, str) and is_time_zone(has):
        return record | {"time_zone": has}
    page, chosen = _of_page(), _of_owner(transaction, key.owner)
    sent = given.get("due_date") if isinstance(given, Mapping) else None
    zone = (page if page != "UTC" else "") or chosen or zone_of_offset(sent) or "UTC"
    return record | {"time_zone": zone}


def zone_of_task(task: Mapping[str, object], other: tzinfo) -> tzinfo:
    """Return the zone in which a task repeats, or `other` if it has none."""
    name = task.get("time_zone")
    return ZoneInfo(name) if isinstance(name, str) and is_time_zone(name) else other


def put_and_repeat(
    transaction: Transaction, key: Key, before: Mapping[str, object], record: Record
) -> tuple[Record, Record | None]:
    """Put a changed record and, if it completes a repeating task, its next occurrence.

    Returns both as stored. The second is None if there is no next occurrence.
    """
    follows = _next_of(transaction, key, before, record)
    if follows is None:
        transaction.put(key, record)
        return record, None
    done, again = _without_rule(record), _again(transaction, key, record, follows)
    transaction.put(key, done)
    transaction.put(key, again)
    return done, again


def _next_of(
    transaction: Transaction, key: Key, before: Mapping[str, object], record: Record
) -> NextOccurrence | None:
    if key.collection != "tasks" or record.get("status") != _DONE or before.get("status") == _DONE:
        return None
    repeat, due = canonical_repeat(record.get("repeat")), record.get("due_date")
    if not repeat:  # no rule, or an invalid value in an old record
        return None
    zone = zone_of_task(record, installation.time_zone())
    return next_due(due if isinstance(due, str) else None, repeat, now=transaction.now, zone=zone)


def _of_page() -> str:
    """Return the name of the active time zone, which is UTC for API calls."""
    name = str(installation.time_zone())
    return name if is_time_zone(name) else "UTC"


def _of_owner(transaction: Transaction, owner: int) -> str:
    """Return the name of the owner's preferred time zone, or ""."""
    return preferences_in(transaction.document(key_of("users", owner)) or {}).time_zone


def _without_rule(done: Record) -> Record:
    return done | {"repeat": "", "time_zone": ""}


def _again(transaction: Transaction, key: Key, done: Record, follows: NextOccurrence) -> Record:
    """Return a copy of the task to do again: default status, unticked checklist, new id."""
    spec, now = COLLECTIONS["tasks"], format_utc(transaction.now)
    items = done.get("checklist")
    again: Record = deep_copy(done)
    again |= {name: spec.by_name[name].fresh_default() for name in ("status", "position")}
    return again | {
        "due_date": follows.due,
        "repeat": follows.repeat,
        "checklist": [_unticked(item) for item in items] if isinstance(items, list) else items,
        "id": transaction.new_id(key),
        "created_at": now,
        "updated_at": now,
        "completed_at": None,
    }


def _unticked(item: object) -> object:
    return {**item, "done": False} if isinstance(item, dict) and "done" in item else item
