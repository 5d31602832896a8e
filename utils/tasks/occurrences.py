"""What follows on a repeating task that is completed: its next occurrence, in the same commit.

The rule goes over to the new task. So there is one task with it at any time, however often the old
one is taken up and completed again, and whoever completes it at once with somebody else finds it
completed.

A task that repeats has the time zone that it was made in, and its days are counted there, whichever
page or program completes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from zoneinfo import ZoneInfo

from django.utils import timezone

from docstore import Key, Transaction
from utils.documents import key_of, own_copy
from utils.people.preferences import preferences_in
from utils.records import COLLECTIONS, Record
from utils.tasks.repeats import Next, canonical_repeat, next_due
from utils.times import is_time_zone, utc_text, zone_of_offset

_DONE = "completed"


def with_time_zone(
    transaction: Transaction,
    key: Key,
    before: Mapping[str, object],
    record: Record,
    given: object,
) -> Record:
    """Return the record with the time zone in which it repeats; "" if it does not repeat.

    `given` is what the caller sent. A zone in it wins, then the one that the task has, that of the
    page, the one that the owner chose, and the offset in which the due date was sent.
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


def put_with_next(
    transaction: Transaction, key: Key, before: Mapping[str, object], record: Record
) -> tuple[Record, Record | None]:
    """Puts a changed record, and where that completes a repeating task, the next one behind it.

    Returns both as they were put; None in place of a next one that there is not.
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
) -> Next | None:
    if key.collection != "tasks" or record.get("status") != _DONE or before.get("status") == _DONE:
        return None
    repeat, due = canonical_repeat(record.get("repeat")), record.get("due_date")
    if not repeat:  # none; or an old record has something else under the name
        return None
    zone = zone_of_task(record, timezone.get_current_timezone())
    return next_due(due if isinstance(due, str) else None, repeat, now=transaction.now, zone=zone)


def _of_page() -> str:
    """The name of the time zone of the page that is asked; UTC for programs."""
    name = str(timezone.get_current_timezone())
    return name if is_time_zone(name) else "UTC"


def _of_owner(transaction: Transaction, owner: int) -> str:
    """The name of the time zone that the owner chose, or ""."""
    return preferences_in(transaction.document(key_of("users", owner)) or {}).time_zone


def _without_rule(done: Record) -> Record:
    return done | {"repeat": "", "time_zone": ""}


def _again(transaction: Transaction, key: Key, done: Record, follows: Next) -> Record:
    """The task once more: to be done, with nothing ticked, and otherwise as it was."""
    spec, now = COLLECTIONS["tasks"], utc_text(transaction.now)
    items = done.get("checklist")
    again: Record = own_copy(done)
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
