"""Retention of activities: the newest stay in the person's own document, older ones move out.

`users/user_7.json` holds the newest, so that it stays small however long somebody is here. Older
ones are in `activities/activities_7.json`, as long as the settings say: `NEURALFLOW_ACTIVITY_MAX`
of both documents together, and those of the last `NEURALFLOW_ACTIVITY_DAYS` days. What is removed
stays in the journal's history for its time, and is counted: by quarter of an hour, for the heat
map.

Moves happen in the commit of the person's own change, a part at a time: of a document of 870,000
activities, a commit moves an eighth. `is_due` says whether there is more to move.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from docstore import Key, RecordList, Transaction
from utils.documents import ensure, key_of
from utils.people.past import DEEDS, TRIMMED, TRIMMED_DEEDS, quarter_of
from utils.times import moment_of, utc_text

# Above the first number or size, activities move until the second is left.
RECENT_MAX: Final = 500
RECENT_LEFT: Final = 300
RECENT_BYTES_MAX: Final = 512 * 1024
RECENT_BYTES_LEFT: Final = 256 * 1024
OLDER_BYTES_MAX: Final = 64 * 1024 * 1024
# The size is looked at once in so many activities: it means to encode the newest.
_SIZE_LOOKS: Final = 16
_PART_MIN: Final = 5_000  # activities that one commit moves
_PART_SHARE: Final = 8
DEEDS_KEPT: Final = timedelta(days=27 * 7)  # a week more than the heat map shows
CHECKED: Final = "activities_checked"  # the day on which the age of the older ones was looked at


@dataclass(frozen=True)
class Limits:
    """How many activities of a person are retained, and for how long."""

    days: float
    number: int

    @property
    def recent_max(self) -> int:
        return min(RECENT_MAX, self.number)

    def earliest(self, now: datetime) -> datetime:
        return now - timedelta(days=self.days)


def is_due(records: RecordList, limits: Limits) -> bool:
    """Whether the person's own document holds more activities than it should."""
    number = len(records)
    if number > limits.recent_max:
        return True
    return not number % _SIZE_LOOKS and sum(records.each(_size_of)) > RECENT_BYTES_MAX


def retain(transaction: Transaction, owner: int, limits: Limits) -> bool:
    """Moves old activities out of the person's document, and removes those that are too old.

    Does nothing unless that is due. Returns whether there is more to do.
    """
    key, today = key_of("users", owner), utc_text(transaction.now)[:10]
    document = transaction.document(key)
    if document is None:
        return False
    records, count = transaction.records(key), 0
    if is_due(records, limits):
        part = max(_PART_MIN, len(records) // _PART_SHARE)
        count = min(len(records) - _left(records, limits), part)
    if not count:
        count = _too_old(records, limits.earliest(transaction.now))
    if count or document.get(CHECKED, today) != today:
        _move(transaction, key, count, limits)
        transaction.set(key, {CHECKED: today})
    return is_due(transaction.records(key), limits)


def _left(records: RecordList, limits: Limits) -> int:
    """How many activities the person's document may keep."""
    number = min(RECENT_LEFT, limits.number)
    size = 0
    for count, record in enumerate(reversed(records[-number:] if number else [])):
        size += _size_of(record)
        if size > RECENT_BYTES_LEFT:
            return max(count, 1)
    return number


def _move(transaction: Transaction, key: Key, count: int, limits: Limits) -> None:
    """Moves the oldest into the other document, and trims that."""
    older, before = key_of("activities", key.owner), len(transaction.records(key))
    ensure(transaction, older)
    moved, known = transaction.cut(key, count), len(transaction.records(older))
    newer = before - len(moved)
    first = max(before - limits.number, 0)  # those before it are too many
    first = max(first, _too_old(moved, limits.earliest(transaction.now)))
    for record in moved[first:]:
        transaction.append(older, record)
    # Where some of them are not to be retained, nor are all that are older.
    _trim(transaction, older, newer, limits, known if first else 0, moved[:first])


def _trim(
    transaction: Transaction,
    key: Key,
    newer: int,
    limits: Limits,
    number: int,
    dropped: Sequence[Any],
) -> None:
    """Removes the first `number` activities, and those that are too old or too many, there being so
    many newer ones elsewhere; counts them, and those `dropped` that were never added."""
    records = transaction.records(key)
    number = max(number, len(records) - max(limits.number - newer, 0))
    number = max(number, _too_old(records, limits.earliest(transaction.now)))
    size = sum(records.each(_size_of))
    for count, taken in enumerate(records.each(_size_of), 1):
        if size <= OLDER_BYTES_MAX:
            break
        size, number = size - taken, max(number, count)
    removed = [*transaction.cut(key, number), *dropped]
    if not removed:
        return
    document = transaction.document(key) or {}
    before, deeds = document.get(TRIMMED), document.get(TRIMMED_DEEDS)
    counts = Counter(deeds if isinstance(deeds, dict) else {})
    counts.update(quarter for record in removed if (quarter := _deed_at(record)))
    since = quarter_of(transaction.now - DEEDS_KEPT)
    fields: dict[str, Any] = {
        TRIMMED: (before if type(before) is int else 0) + len(removed),
        TRIMMED_DEEDS: {at: count for at, count in sorted(counts.items()) if at >= since},
    }
    transaction.set(key, fields)


def _too_old(records: Sequence[Any], earliest: datetime) -> int:
    """How many at the beginning are older than that; one without a time is as old as the next."""
    count = 0
    for index, record in enumerate(records, 1):
        moment = moment_of(record.get("timestamp")) if isinstance(record, Mapping) else None
        if moment is None:
            continue
        if moment >= earliest:
            break
        count = index
    return count


def _deed_at(record: Any) -> str:
    """The quarter of an hour of a deed that the heat map counts; "" for others."""
    if not isinstance(record, Mapping) or not str(record.get("type")).startswith(DEEDS):
        return ""
    moment = moment_of(record.get("timestamp"))
    return quarter_of(moment) if moment else ""


def _size_of(record: Any) -> int:
    """About how many bytes of the file it takes: in there it is indented."""
    return len(msgspec.json.encode(record)) * 3 // 2 + 100
