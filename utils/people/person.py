"""What is done to a person's own document: mirror the account, log activities, count API calls.

Each function works within a transaction that somebody else commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DatabaseError

from docstore import Key, NotFound, Transaction, utc_text
from utils.caller import Caller
from utils.documents import ensure, key_of
from utils.json.values import Faults, pointer_to, text_fault
from utils.people.call_counts import NOTHING_HELD, READS, Held, fold
from utils.people.preferences import Change, changed_preferences
from utils.people.quota import (
    NOTHING,
    Quota,
    Uncommitted,
    after_one_more,
    as_fields,
    period_to_keep,
    quota_of,
)
from utils.records import InvalidRecord
from utils.table import ACTIVITY_FIELDS, COLLECTIONS, RECORD_COLLECTIONS, Record

# Of a user's document: what the store keeps itself and no mirror of the account may touch.
_KEPT_BY_STORE = {"user_id", "api_calls_used", "updated_at", "activities", "preferences", READS}

# Of what an activity notes, what the owner of the record is told of another person's.
_TOLD_TO_OWNER = ("id", "collection", "user_id", "role")


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


def prefer(transaction: Transaction, owner: int, change: Change) -> Record:
    """Changes the person's preferences and returns them. Raises `InvalidRecord`."""
    key = _person(transaction, owner)
    stored = transaction.document(key) or {}
    preferences = changed_preferences(stored, change)
    if preferences != stored.get("preferences"):
        transaction.set(key, period_to_keep(stored) | {"preferences": preferences})
    return preferences


def account_of(user_id: int) -> Any | None:
    """The Django user with this id, as the database has it now."""
    return get_user_model().objects.filter(pk=user_id).first()


def has_account(user_id: int) -> bool:
    """Whether the database has an account with this id. False if there is no database yet."""
    try:
        return bool(get_user_model().objects.filter(pk=user_id).exists())
    except DatabaseError:
        return False


def exists(transaction: Transaction, owner: int) -> bool:
    """Whether the person has a document or, where the first was not begun yet, an account."""
    begun = (transaction.document(key_of(name, owner)) for name in ("users", *RECORD_COLLECTIONS))
    return any(document is not None for document in begun) or has_account(owner)


def begin(transaction: Transaction, key: Key) -> None:
    """Begin a document where there is none. Raises `NotFound` for a person who does not exist.

    Without the check, a mistyped id would leave a file that belongs to nobody.
    """
    if transaction.document(key) is None:
        _require(transaction, key.owner)
        ensure(transaction, key)


def _require(transaction: Transaction, owner: int) -> None:
    if not exists(transaction, owner):
        raise NotFound(
            f"there is no person {owner}: sign up first, or save_user_data makes their document"
        )


def person_named(text: str) -> tuple[int, str] | None:
    """Return id and name of the active account with this user name, or that proved this address.

    None if there is none.
    """
    named = text.strip()
    if not named or len(named) > 254 or text_fault(named, one_line=True):
        return None
    people = get_user_model().objects
    found = people.with_proved(named) if "@" in named else people.meant_by(named).first()
    return (found.pk, found.get_username()) if found is not None and found.is_active else None


def _person(transaction: Transaction, owner: int) -> Key:
    """The key of the owner's user document, mirrored first where it was missing."""
    key = key_of("users", owner)
    if transaction.document(key) is None:
        _require(transaction, owner)
        user = account_of(owner) if has_account(owner) else None
        if user is None:  # an old folder has records of theirs
            ensure(transaction, key)
        else:
            mirror(transaction, user)
    return key


def begin_person(transaction: Transaction, owner: int) -> None:
    """Begin the owner's user document where it is missing. Raises `NotFound`."""
    _person(transaction, owner)


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


def checked_activity(type: object, description: object, metadata: object) -> Activity:
    """Return an activity that may be stored. Raises `InvalidRecord`."""
    faults = Faults()
    given = {"type": type, "description": description, "metadata": metadata}
    accepted = {
        known.name: known.accept(given[known.name], pointer_to("", known.name), faults)
        for known in ACTIVITY_FIELDS
        if known.name in given
    }
    if faults.found:
        raise InvalidRecord(faults.found)
    return Activity(**accepted)


def tell(transaction: Transaction, person: int, owner: int, activity: Activity) -> None:
    """Logs what a person did, and where it was another's, for the owner too."""
    if person == owner:
        log(transaction, person, activity)
        return
    told = {**activity.metadata, "owner": owner}
    log(transaction, person, replace(activity, metadata=told))
    tell_other(transaction, person, owner, activity)


def tell_other(transaction: Transaction, person: int, owner: int, activity: Activity) -> None:
    """Logs for the owner what another person did, but not from where they did it."""
    if transaction.document(key_of("users", owner)) is None:
        return
    document = transaction.document(key_of("users", person)) or {}
    told = {name: activity.metadata[name] for name in _TOLD_TO_OWNER if name in activity.metadata}
    by = {"by": person, "by_name": document.get("username", "")}
    log(transaction, owner, Activity(activity.type, activity.description, told | by))


def meter(transaction: Transaction, caller: Caller, held: Held, reads: Held) -> Quota:
    """Counts an API call of the caller, and those held in memory; returns what is left.

    `reads` are those that the activities tell. Raises `QuotaExceeded`, `TooManyCalls`.
    """
    key, now = _person(transaction, caller.user_id), transaction.now
    before = quota_now(transaction.document(key), now, held.of_hour(now))
    quota = after_one_more(before, caller.token)
    transaction.set(key, as_fields(quota, now))
    fold(transaction, key, reads)
    return quota


def take_counts(transaction: Transaction, user_id: int, held: Held) -> None:
    """Writes the calls held in memory into the person's document; nothing if there is none."""
    key, now = key_of("users", user_id), transaction.now
    document = transaction.document(key)
    if document is None or held is NOTHING_HELD:
        return
    transaction.set(key, as_fields(quota_now(document, now, held.of_hour(now)), now))
    fold(transaction, key, held)


def quota_now(
    user_document: Mapping[str, Any] | None, now: datetime, uncommitted: Uncommitted = NOTHING
) -> Quota:
    """The quota of the person whose document this is, by the settings."""
    return quota_of(
        user_document or {},
        now,
        settings.NEURALFLOW_BURST,
        limit=settings.NEURALFLOW_API_CALLS_LIMIT,
        uncommitted=uncommitted,
    )


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
