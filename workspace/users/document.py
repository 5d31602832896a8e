"""Operations on a user document: mirror the account, log activities, count API calls.

Each function works within a transaction that the caller commits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final, cast

from docstore import Key, NotFound, Transaction, format_utc
from workspace.actor import Actor
from workspace.documents import get_or_create, key_of
from workspace.installation import installation
from workspace.json_values import ErrorList, pointer_to, text_error
from workspace.schema.collections import ACTIVITY_FIELDS, COLLECTIONS, RECORD_COLLECTIONS, Record
from workspace.schema.validation import InvalidRecord
from workspace.users.call_counts import NOTHING_HELD, READS, Held, fold
from workspace.users.preferences import Change, changed_preferences
from workspace.users.quota import (
    NOTHING,
    Quota,
    StoredCounts,
    Uncommitted,
    after_one_more,
    as_fields,
    period_to_keep,
)

# Fields of a user document that the store maintains. Mirroring the account must not change them.
_KEPT_BY_STORE = {"user_id", "api_calls_used", "updated_at", "activities", "preferences", READS}

#: Fields of a user document that identify the account. The account's values are authoritative.
IDENTITY: Final = ("username", "email")

# Metadata of a member's activity that is copied to the record's owner. The rest is private, such as
# the member's address.
_TOLD_TO_OWNER = ("id", "collection", "user_id", "role")


@dataclass(frozen=True)
class Activity:
    """An action of a user, as logged in their document."""

    type: str
    description: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


def mirror(transaction: Transaction, user: Any, *, lay_out: bool = False) -> Record:
    """Update the user document from the account, and return it. Other fields remain.

    With `lay_out`, also create the user's missing record documents.
    """
    for collection in RECORD_COLLECTIONS if lay_out else ():
        get_or_create(transaction, key_of(collection, user.pk))
    key = key_of("users", user.pk)
    get_or_create(transaction, key)
    stored = transaction.document(key) or {}
    fields = _mirrored(user, stored)
    if not fields.items() <= stored.items():
        fields |= period_to_keep(stored)
    transaction.set(key, fields)
    # Return the working copy itself: the commit sets its revision and time.
    return cast(Record, transaction.document(key))


def set_preferences(transaction: Transaction, owner: int, change: Change) -> Record:
    """Change the user's preferences and return them. Raises `InvalidRecord`."""
    key = _person(transaction, owner)
    stored = transaction.document(key) or {}
    preferences = changed_preferences(stored, change)
    if preferences != stored.get("preferences"):
        transaction.set(key, period_to_keep(stored) | {"preferences": preferences})
    return preferences


def account_of(user_id: int) -> Any | None:
    """Return the account with this id, or None."""
    return installation.accounts.find(user_id)


def has_account(user_id: int) -> bool:
    """Return whether there is an account with this id. False if accounts are unavailable."""
    return installation.accounts.exists(user_id)


def identity_of(user_id: int) -> dict[str, Any] | None:
    """Return user name and address of the account, or None if there is no such account."""
    return installation.accounts.identity(user_id)


def account_names(ids: Collection[int]) -> dict[int, str]:
    """Return the user names of these accounts by id, as the accounts have them."""
    return installation.accounts.names(ids)


def exists(transaction: Transaction, owner: int) -> bool:
    """Return whether the user has a document or an account."""
    begun = (transaction.document(key_of(name, owner)) for name in ("users", *RECORD_COLLECTIONS))
    return any(document is not None for document in begun) or has_account(owner)


def require_document(transaction: Transaction, key: Key) -> None:
    """Create an empty document if it is missing. Raises `NotFound` for an unknown user.

    Without the check, a mistyped id would create a file that belongs to no user.
    """
    if transaction.document(key) is None:
        _require(transaction, key.owner)
        get_or_create(transaction, key)


def _require(transaction: Transaction, owner: int) -> None:
    if not exists(transaction, owner):
        raise NotFound(
            f"there is no person {owner}: sign up first, or save_user_data makes their document"
        )


def person_named(text: str) -> tuple[int, str] | None:
    """Return (id, name) of the only active account with this name or address, or None."""
    named = text.strip()
    if not named or len(named) > 254 or text_error(named, one_line=True):
        return None
    return installation.accounts.find_active(named)


def _person(transaction: Transaction, owner: int) -> Key:
    """Return the key of the owner's user document, creating it from the account if missing."""
    key = key_of("users", owner)
    if transaction.document(key) is None:
        _require(transaction, owner)
        user = account_of(owner) if has_account(owner) else None
        if user is None:  # records from an old folder, without an account
            get_or_create(transaction, key)
        else:
            mirror(transaction, user)
    return key


def require_user_document(transaction: Transaction, owner: int) -> None:
    """Create the owner's user document if it is missing. Raises `NotFound`."""
    _person(transaction, owner)


def add_activity(transaction: Transaction, owner: int, activity: Activity) -> Record:
    """Append an activity with the transaction's time, and return it as stored."""
    record = {
        "type": activity.type,
        "description": activity.description,
        "timestamp": format_utc(transaction.now),
        "metadata": dict(activity.metadata),
    }
    key = _person(transaction, owner)
    transaction.set(key, period_to_keep(transaction.document(key) or {}))
    transaction.append(key, record)
    return record


def checked_activity(type: object, description: object, metadata: object) -> Activity:
    """Return a validated activity. Raises `InvalidRecord`."""
    faults = ErrorList()
    values = {"type": type, "description": description, "metadata": metadata}
    accepted = {
        known.name: known.accept(values[known.name], pointer_to("", known.name), faults)
        for known in ACTIVITY_FIELDS
        if known.name in values
    }
    if faults.found:
        raise InvalidRecord(faults.found)
    return Activity(**accepted)


def record_activity(transaction: Transaction, person: int, owner: int, activity: Activity) -> None:
    """Log a user's activity, also for the owner of the record if that is another user."""
    if person == owner:
        add_activity(transaction, person, activity)
        return
    metadata = {**activity.metadata, "owner": owner}
    add_activity(transaction, person, replace(activity, metadata=metadata))
    notify_owner(transaction, person, owner, activity)


def notify_owner(transaction: Transaction, person: int, owner: int, activity: Activity) -> None:
    """Log for the owner what another user did, without private metadata such as an address."""
    if transaction.document(key_of("users", owner)) is None:
        return
    document = transaction.document(key_of("users", person)) or {}
    metadata = {
        name: activity.metadata[name] for name in _TOLD_TO_OWNER if name in activity.metadata
    }
    by = {"by": person, "by_name": document.get("username", "")}
    add_activity(transaction, owner, Activity(activity.type, activity.description, metadata | by))


def count_api_call(transaction: Transaction, caller: Actor, held: Held, reads: Held) -> Quota:
    """Count an API call of the caller and the uncommitted counts. Return the remaining quota.

    `reads` are the counts that go into the activities. Raises `QuotaExceeded` and `TooManyCalls`.
    """
    key, now = _person(transaction, caller.user_id), transaction.now
    before = quota_now(transaction.document(key), now, held.of_hour(now))
    quota = after_one_more(before, caller.token)
    transaction.set(key, as_fields(quota, now))
    fold(transaction, key, reads)
    return quota


def take_counts(transaction: Transaction, user_id: int, held: Held) -> None:
    """Write uncommitted counts into the user's document. Do nothing if there is no document."""
    key, now = key_of("users", user_id), transaction.now
    document = transaction.document(key)
    if document is None or held is NOTHING_HELD:
        return
    transaction.set(key, as_fields(quota_now(document, now, held.of_hour(now)), now))
    fold(transaction, key, held)


def quota_now(
    user_document: Mapping[str, Any] | None, now: datetime, uncommitted: Uncommitted = NOTHING
) -> Quota:
    """Return the quota that a user document and the settings result in."""
    return quota_from(StoredCounts.of(user_document or {}), now, uncommitted)


def quota_from(stored: StoredCounts, now: datetime, uncommitted: Uncommitted = NOTHING) -> Quota:
    """Return the quota that stored counts and the settings result in."""
    limits = installation.limits
    return stored.quota(now, limits.burst, limit=limits.api_calls, uncommitted=uncommitted)


def _mirrored(user: Any, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the account fields to mirror. Only listed fields are copied, never the password."""
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
        return format_utc(value)
    return value.isoformat() if isinstance(value, date) else value
