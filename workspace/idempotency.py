"""Idempotency keys: a repeated call returns the stored response and has no further effect.

The response is stored in the caller's `requests` document, in the commit of the change. It
therefore exists exactly if the change does, for all processes and after any crash. Of two
concurrent calls with the same key, the second returns the response of the first. A refused call
stores nothing and may be repeated with its key. After draft-ietf-httpapi-idempotency-key-header-07.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from docstore import Transaction, id_of, to_json
from workspace.documents import deep_copy, key_of
from workspace.timestamps import format_utc, parse_or_none
from workspace.users.document import require_document

KEPT_FOR: Final = timedelta(hours=24)
KEPT_MAX: Final = 1_000
KEPT_BYTES_MAX: Final = 32 * 1024 * 1024
KEY_CHARACTERS_MAX: Final = 200


@dataclass
class IdempotencyKey:
    """The idempotency key of a call, and a digest of its request.

    After the call, `replayed` is True if the response was a stored one.
    """

    key: str
    fingerprint: str
    replayed: bool = field(default=False, compare=False)


class KeyReused(Exception):
    """The key was used for a different call within 24 hours. Use a new one."""


class TooManyKeys(Exception):
    """The storage for responses is full. Retry after `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            f"{KEPT_MAX} idempotency keys, or answers of {KEPT_BYTES_MAX} bytes, were used within a"
            " day; wait, or use none"
        )
        self.retry_after = retry_after


def find_response(
    transaction: Transaction, caller_id: int, once: IdempotencyKey
) -> tuple[Any] | None:
    """Return the stored response in a 1-tuple, or None if the call is new.

    Sets `once.replayed`. Raises `KeyReused`.
    """
    once.replayed = False
    for stored in transaction.records(key_of("requests", caller_id)):
        if _is(stored, once.key) and _is_kept(stored, transaction.now):
            _refuse_other_call(stored, once)
            once.replayed = True
            return (deep_copy(stored.get("answer")),)
    return None


def store_response(
    transaction: Transaction, caller_id: int, once: IdempotencyKey, answer: Any
) -> None:
    """Store the response for 24 hours, and remove expired ones. Raises `TooManyKeys`."""
    key = key_of("requests", caller_id)
    require_document(transaction, key)
    before = transaction.records(key)
    expired = sum(has_expired(stored, transaction.now) for stored in before)
    drop_expired(transaction, caller_id)
    records = transaction.records(key)
    is_full = len(before) - expired >= KEPT_MAX
    if is_full or sum(records.map_cached(_size)) + _size(answer) > KEPT_BYTES_MAX:
        raise TooManyKeys(_seconds_left(records[0], transaction.now))
    transaction.put(
        key,
        {
            "id": transaction.new_id(key),
            "key": once.key,
            "fingerprint": once.fingerprint,
            "at": format_utc(transaction.now),
            "answer": answer,
        },
    )


def has_expired(stored: Any, now: datetime) -> bool:
    """Return whether a stored response is no longer valid."""
    return isinstance(stored, Mapping) and not _is_kept(stored, now)


def drop_expired(transaction: Transaction, caller_id: int) -> int:
    """Remove the expired responses of a caller. Return their number."""
    key = key_of("requests", caller_id)
    before, removed = transaction.records(key), 0
    for stored in before:
        number = id_of(stored) if has_expired(stored, transaction.now) else None
        # In a file edited by hand, a record can have no id, or that of another record.
        if number is not None and len(before.find(number)) == 1:
            transaction.remove(key, number)
            removed += 1
    return removed


def _size(value: Any) -> int:
    return len(to_json(value))


def _refuse_other_call(kept: Mapping[str, Any], once: IdempotencyKey) -> None:
    if kept.get("fingerprint") != once.fingerprint:
        raise KeyReused("this key was used for another call; take a new one")


def _is(kept: Any, key: str) -> bool:
    return isinstance(kept, Mapping) and kept.get("key") == key


def _is_kept(kept: Mapping[str, Any], now: datetime) -> bool:
    """Return whether a stored response is valid. Without a time, it does not expire."""
    at = parse_or_none(kept.get("at"))
    return at is None or now - at < KEPT_FOR


def _seconds_left(kept: Any, now: datetime) -> int:
    at = parse_or_none(kept.get("at")) if isinstance(kept, Mapping) else None
    left = KEPT_FOR - (now - at) if at else KEPT_FOR
    return max(int(left.total_seconds()) + 1, 1)
