"""Idempotency keys: a call that is made again with its key is answered and not done again.

The answer is kept in the caller's `requests` document, in the same commit as what the call changed.
So it is there when the change is there, for all processes and after any crash, and of two who use
one key at once the second finds the answer of the first. After draft-ietf-httpapi-idempotency-key-
header-07; a call that was refused keeps nothing and may be made again with its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from docstore import Transaction, to_json
from utils.documents import key_of, own_copy
from utils.people.person import begin
from utils.times import moment_of, utc_text

KEPT_FOR: Final = timedelta(hours=24)
KEPT_MAX: Final = 1_000
KEPT_BYTES_MAX: Final = 32 * 1024 * 1024
KEY_CHARACTERS_MAX: Final = 200


@dataclass
class Once:
    """What a call is to be known by: its key, and a digest of all that it asks for.

    After the call, `replayed` tells whether it was answered from what an earlier one left.
    """

    key: str
    fingerprint: str
    replayed: bool = field(default=False, compare=False)


class KeyReused(Exception):
    """The key was used for another call within the last 24 hours. Take a new one."""


class TooManyKeys(Exception):
    """So many answers are kept that no more can be promised. Try again after `retry_after` s."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            f"{KEPT_MAX} idempotency keys, or answers of {KEPT_BYTES_MAX} bytes, were used within a"
            " day; wait, or use none"
        )
        self.retry_after = retry_after


def replay(transaction: Transaction, caller_id: int, once: Once) -> tuple[Any] | None:
    """The answer kept for this call, alone in a tuple; None where it was not made before.

    Sets `once.replayed`. Raises `KeyReused`.
    """
    once.replayed = False
    for kept in transaction.records(key_of("requests", caller_id)):
        if _is(kept, once.key) and _is_kept(kept, transaction.now):
            _refuse_other_call(kept, once)
            once.replayed = True
            return (own_copy(kept.get("answer")),)
    return None


def keep(transaction: Transaction, caller_id: int, once: Once, answer: Any) -> None:
    """Keeps the answer for 24 hours. Lets go of older ones. Raises `TooManyKeys`."""
    key = key_of("requests", caller_id)
    begin(transaction, key)
    for kept in transaction.records(key):
        if isinstance(kept, Mapping) and not _is_kept(kept, transaction.now):
            transaction.remove(key, kept["id"])
    records = transaction.records(key)
    if len(records) >= KEPT_MAX or sum(records.each(_size)) + _size(answer) > KEPT_BYTES_MAX:
        raise TooManyKeys(_seconds_left(records[0], transaction.now))
    transaction.put(
        key,
        {
            "id": transaction.new_id(key),
            "key": once.key,
            "fingerprint": once.fingerprint,
            "at": utc_text(transaction.now),
            "answer": answer,
        },
    )


def _size(value: Any) -> int:
    return len(to_json(value))


def _refuse_other_call(kept: Mapping[str, Any], once: Once) -> None:
    if kept.get("fingerprint") != once.fingerprint:
        raise KeyReused("this key was used for another call; take a new one")


def _is(kept: Any, key: str) -> bool:
    return isinstance(kept, Mapping) and kept.get("key") == key


def _is_kept(kept: Mapping[str, Any], now: datetime) -> bool:
    """Whether the promise still holds; what a person wrote without a time, is kept."""
    at = moment_of(kept.get("at"))
    return at is None or now - at < KEPT_FOR


def _seconds_left(kept: Any, now: datetime) -> int:
    at = moment_of(kept.get("at")) if isinstance(kept, Mapping) else None
    left = KEPT_FOR - (now - at) if at else KEPT_FOR
    return max(int(left.total_seconds()) + 1, 1)
