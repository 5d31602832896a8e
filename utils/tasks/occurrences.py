"""What follows on a repeating task that is completed: its next occurrence, in the same commit.

The rule goes over to the new task. So there is one task with it at any time, however often the old
one is taken up and completed again, and whoever completes it at once with somebody else finds it
completed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from zoneinfo import ZoneInfo

from django.utils import timezone

from docstore import Key, Transaction
from utils.documents import key_of, own_copy
from utils.people.preferences import is_time_zone, preferences_in
from utils.records import COLLECTIONS, Record
from utils.tasks.repeats import Next, canonical_repeat, next_due
from utils.times import utc_text

_DONE = "completed"


def put_with_next(
    transaction: Transaction, key: Key, before: Mapping[str, object], record: Record
) -> Record:
    """Puts a changed record, and where that completes a repeating task, the next one behind it.

    Returns the record as it was put.
    """
    follows = _next_of(transaction, key, before, record)
    if follows is None:
        transaction.put(key, record)
        return record
    done = _without_rule(record)
    transaction.put(key, done)
    transaction.put(key, _again(transaction, key, record, follows))
    return done


def _next_of(
    transaction: Transaction, key: Key, before: Mapping[str, object], record: Record
) -> Next | None:
    if key.collection != "tasks" or record.get("status") != _DONE or before.get("status") == _DONE:
        return None
    repeat, due = canonical_repeat(record.get("repeat")), record.get("due_date")
    if not repeat:  # none; or an old record has something else under the name
        return None
    zone = _zone(transaction, key.owner)
    return next_due(due if isinstance(due, str) else None, repeat, now=transaction.now, zone=zone)


def _zone(transaction: Transaction, owner: int) -> tzinfo:
    """The owner's time zone; where they chose none, that of the page that is asked."""
    name = preferences_in(transaction.document(key_of("users", owner)) or {}).time_zone
    return ZoneInfo(name) if is_time_zone(name) else timezone.get_current_timezone()


def _without_rule(done: Record) -> Record:
    return done | {"repeat": ""}


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
