"""What is done to a person's own document: mirror the account, log activities, count API calls.

Each function works within a transaction that somebody else commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import get_user_model

from docstore import Key, Transaction, utc_text
from utils.caller import Caller
from utils.documents import ensure, key_of
from utils.quota import Quota, one_more, period_to_keep, quota_of
from utils.table import COLLECTIONS, RECORD_COLLECTIONS, Record

# Of a user's document: what the store keeps itself and no mirror of the account may touch.
_KEPT_BY_STORE = {"user_id", "api_calls_used", "updated_at", "activities"}


@dataclass(frozen=True)
class Activity:
    """Something that a person did, as their document tells it."""

    type: str
    description: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


def mirror(transaction: Transaction, user: Any, *, lay_out: bool = False) -> Record:
    """Makes the document say what the account says, and returns it; the rest of it stays.

    With `lay_out`, the person's other documents are begun where they are missing.
    """
    for collection in RECORD_COLLECTIONS if lay_out else ():
        ensure(transaction, key_of(collection, user.pk))
    key = key_of("users", user.pk)
    ensure(transaction, key)
    stored = transaction.document(key) or {}
    fields = _mirrored(user, stored)
    if not fields.items() <= stored.items():
        fields |= period_to_keep(stored)
    transaction.set(key, fields)
    # The draft itself and no copy: its revision and time are set when it is committed.
    return cast(Record, transaction.document(key))


def account_of(user_id: int) -> Any | None:
    """The Django user with this id, as the database has it now."""
    return get_user_model().objects.filter(pk=user_id).first()


def _person(transaction: Transaction, owner: int) -> Key:
    """The key of the owner's user document, mirrored first where it was missing."""
    key = key_of("users", owner)
    if transaction.document(key) is None:
        user = account_of(owner)
        if user is None:
            ensure(transaction, key)
        else:
            mirror(transaction, user)
    return key


def log(transaction: Transaction, owner: int, activity: Activity) -> Record:
    """Adds an activity of this moment and returns it as stored."""
    record = {
        "type": activity.type,
        "description": activity.description,
        "timestamp": utc_text(transaction.now),
        "metadata": dict(activity.metadata),
    }
    key = _person(transaction, owner)
    transaction.set(key, period_to_keep(transaction.document(key) or {}))
    transaction.append(key, record)
    return record


def meter(transaction: Transaction, caller: Caller) -> None:
    """Counts an API call of the caller. Raises `QuotaExceeded`, `TooManyCalls`."""
    key = _person(transaction, caller.user_id)
    quota = quota_now(transaction.document(key), transaction.now)
    transaction.set(key, one_more(quota, caller.token, transaction.now))


def quota_now(user_document: Mapping[str, Any] | None, now: datetime) -> Quota:
    """The quota of the person whose document this is, by the settings."""
    return quota_of(user_document or {}, now, settings.NEURALFLOW_BURST)


def _mirrored(user: Any, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the account that its document shows. Never a password: only what is listed."""
    fields: dict[str, Any] = {"user_id": user.pk}
    for spec_field in COLLECTIONS["users"].fields:
        if spec_field.name in _KEPT_BY_STORE or not hasattr(user, spec_field.name):
            continue
        fields[spec_field.name] = _as_json(getattr(user, spec_field.name))
    profile, before = fields.get("profile"), stored.get("profile")
    if isinstance(profile, dict) and isinstance(before, dict):
        fields["profile"] = before | profile
    return fields


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return utc_text(value)
    return value.isoformat() if isinstance(value, date) else value
