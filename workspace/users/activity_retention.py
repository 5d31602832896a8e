"""Retain activities: the newest in the user document, older ones in a second document.

`users/user_7.json` has the newest, so it stays small for old accounts, too.
`activities/activities_7.json` has older ones within the settings: at most `NEURALFLOW_ACTIVITY_MAX`
in both documents, not older than `NEURALFLOW_ACTIVITY_DAYS` days. Removed activities stay in the
journal for its own retention time, and are counted per quarter of an hour for the heat map.

Account events, such as logins and changed passwords, have a share of their own: however much
others do in shared projects, the newest account events are retained.

Activities move within the commit of a user's own change, in parts, to bound the time of a commit:
of 870,000 activities, a commit moves an eighth. `is_due` returns True while more remain to move.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from docstore import Key, RecordList, Transaction
from workspace.documents import get_or_create, key_of
from workspace.timestamps import format_utc, parse_or_none
from workspace.users.activity_query import (
    ACCOUNT_EVENTS,
    DEEDS,
    TRIMMED,
    TRIMMED_DEEDS,
    account_events_of,
    quarter_of,
)

# Above *_MAX, activities move until *_LEFT remain.
RECENT_MAX: Final = 500
RECENT_LEFT: Final = 300
RECENT_BYTES_MAX: Final = 512 * 1024
RECENT_BYTES_LEFT: Final = 256 * 1024
OLDER_BYTES_MAX: Final = 64 * 1024 * 1024
# Check the size only once per so many activities: measuring it encodes the new ones.
_SIZE_LOOKS: Final = 16
_PART_MIN: Final = 5_000  # activities per commit
_PART_SHARE: Final = 8
DEEDS_KEPT: Final = timedelta(days=27 * 7)  # a week more than the heat map shows
#: The number of the newest account events to retain, but at most 1/4 of all activities. Of these,
#: failed logins have a part of their own, because strangers cause them.
ACCOUNT_EVENTS_MAX: Final = 200
_FAILED_PART: Final = 1 / 4
_ACCOUNT: Final = (
    "account_",
    "address_",
    "login",
    "logout",
    "password_",
    "profile_",
    "recovery_codes_",
    "second_factor_",
    "session",
    "token_",
)
_FAILED: Final = "login_failed"
CHECKED: Final = "activities_checked"  # the day of the last check for expired activities


@dataclass(frozen=True)
class RetentionLimits:
    """Age and number of the activities to retain per user."""

    days: float
    number: int

    @property
    def recent_max(self) -> int:
        return min(RECENT_MAX, self.number)

    def account_events(self, *, failed: bool) -> int:
        """Return how many failed logins, or other account events, to retain at least."""
        share = min(ACCOUNT_EVENTS_MAX, self.number // 4)
        part = int(share * _FAILED_PART)
        return part if failed else share - part

    def earliest(self, now: datetime) -> datetime:
        return now - timedelta(days=self.days)


def is_due(records: RecordList, limits: RetentionLimits) -> bool:
    """Return True if the user document has more activities than it should."""
    number = len(records)
    if number > limits.recent_max:
        return True
    return not number % _SIZE_LOOKS and sum(records.map_cached(_size_of)) > RECENT_BYTES_MAX


def is_overdue(
    recent: RecordList, older: RecordList, limits: RetentionLimits, now: datetime
) -> bool:
    """Return whether activities must move or go, although the user changes nothing."""
    earliest = limits.earliest(now)
    return is_due(recent, limits) or _too_old(recent, earliest) > 0 or _too_old(older, earliest) > 0


def retain(transaction: Transaction, owner: int, limits: RetentionLimits) -> bool:
    """Move old activities out of the user document and remove expired ones.

    Do nothing unless that is due. Return whether there is more to do.
    """
    key, today = key_of("users", owner), format_utc(transaction.now)[:10]
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


def _left(records: RecordList, limits: RetentionLimits) -> int:
    """Return how many activities may remain in the user document."""
    number = min(RECENT_LEFT, limits.number)
    size = 0
    for count, record in enumerate(reversed(records[-number:] if number else [])):
        size += _size_of(record)
        if size > RECENT_BYTES_LEFT:
            return max(count, 1)
    return number


def _move(transaction: Transaction, key: Key, count: int, limits: RetentionLimits) -> None:
    """Move the oldest `count` activities to the older document, and trim that."""
    older, before = key_of("activities", key.owner), len(transaction.records(key))
    get_or_create(transaction, older)
    moved, known = transaction.cut(key, count), len(transaction.records(older))
    newer = before - len(moved)
    first = max(before - limits.number, 0)  # activities before it exceed the limit
    first = max(first, _too_old(moved, limits.earliest(transaction.now)))
    for record in moved[first:]:
        transaction.append(older, record)
    # If some of the moved ones exceed a limit, all activities in the older document do, too.
    _trim(transaction, older, newer, limits, known if first else 0, moved[:first])


def _trim(
    transaction: Transaction,
    key: Key,
    newer: int,
    limits: RetentionLimits,
    number: int,
    dropped: Sequence[Any],
) -> None:
    """Remove at least the first `number` older activities, and all beyond the limits.

    `newer` is the number of activities in the user document. Count the removed ones, and the
    `dropped` ones that were never added.
    """
    records, document = transaction.records(key), transaction.document(key) or {}
    events = account_events_of(document)
    number = max(number, len(records) - max(limits.number - newer - len(events), 0))
    number = max(number, _too_old(records, limits.earliest(transaction.now)))
    size = sum(records.map_cached(_size_of))
    for count, record_size in enumerate(records.map_cached(_size_of), 1):
        if size <= OLDER_BYTES_MAX:
            break
        size, number = size - record_size, max(number, count)
    removed = [*transaction.cut(key, number), *dropped]
    expired = _too_old(events, limits.earliest(transaction.now))
    if not removed and not expired:
        return
    retained = _account_events(transaction, key.owner, [*events[expired:], *removed], limits)
    before, deeds = document.get(TRIMMED), document.get(TRIMMED_DEEDS)
    counts = Counter(deeds if isinstance(deeds, dict) else {})
    counts.update(quarter for record in removed if (quarter := _deed_at(record)))
    since = quarter_of(transaction.now - DEEDS_KEPT)
    fields: dict[str, Any] = {
        TRIMMED: (before if type(before) is int else 0)
        + len(events)
        + len(removed)
        - len(retained),
        TRIMMED_DEEDS: {at: count for at, count in sorted(counts.items()) if at >= since},
    }
    if retained or events:
        fields[ACCOUNT_EVENTS] = retained
    transaction.set(key, fields)


def _account_events(
    transaction: Transaction, owner: int, removed: Sequence[Any], limits: RetentionLimits
) -> list[Any]:
    """Return those of the removed activities, in order, that the share of account events retains.

    The newest events count first: those in the lists, then the removed ones.
    """
    lists = [transaction.records(key_of(name, owner)) for name in ("activities", "users")]
    left = {
        failed: limits.account_events(failed=failed)
        - sum(sum(map(bool, records.map_cached(test))) for records in lists)
        for failed, test in ((False, _is_account_event), (True, _is_failed_login))
    }
    earliest, retained = limits.earliest(transaction.now), []
    for record in reversed(removed):
        failed = _is_failed_login(record)
        if (failed or _is_account_event(record)) and left[failed] > 0:
            moment = parse_or_none(record.get("timestamp"))
            if moment is not None and moment >= earliest:
                retained.append(record)
                left[failed] -= 1
    return retained[::-1]


def _is_account_event(record: Any) -> bool:
    """Return whether an activity is about the user's account, and no failed login."""
    kind = str(record.get("type")) if isinstance(record, Mapping) else ""
    return kind.startswith(_ACCOUNT) and kind != _FAILED


def _is_failed_login(record: Any) -> bool:
    return isinstance(record, Mapping) and record.get("type") == _FAILED


def _too_old(records: Sequence[Any], earliest: datetime) -> int:
    """Return how many activities at the beginning are older than `earliest`.

    An activity without a time counts as old as the next one with a time.
    """
    count = 0
    for index, record in enumerate(records, 1):
        moment = parse_or_none(record.get("timestamp")) if isinstance(record, Mapping) else None
        if moment is None:
            continue
        if moment >= earliest:
            break
        count = index
    return count


def _deed_at(record: Any) -> str:
    """Return the quarter of an hour of an activity that the heat map counts, or ""."""
    if not isinstance(record, Mapping) or not str(record.get("type")).startswith(DEEDS):
        return ""
    moment = parse_or_none(record.get("timestamp"))
    return quarter_of(moment) if moment else ""


def _size_of(record: Any) -> int:
    """Estimate the bytes of an activity in its file, which is indented."""
    return len(msgspec.json.encode(record)) * 3 // 2 + 100
