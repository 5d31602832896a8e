"""Remove what has expired in the store: activities, stored responses, leftovers, old history.

Each function reads all documents of its kind, and changes only those that have something to remove.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from docstore import Corrupt, Transaction, Unavailable
from docstore.backend import Published
from workspace.documents import key_of
from workspace.idempotency import drop_expired, has_expired
from workspace.users.activity_retention import is_overdue
from workspace.users.call_meter import activity_limits
from workspace.workspace import Workspace

# Enough for 870,000 activities, of which a commit moves an eighth.
_COMMITS_MAX: Final = 200


def trim_activities(manager: Workspace, now: datetime) -> int:
    """Move or remove activities beyond the settings. Return the number of users concerned."""
    limits, count = activity_limits(), 0
    for owner in manager.owners("users"):
        try:
            recent = manager.store.records(key_of("users", owner))
            older = manager.store.records(key_of("activities", owner))
            if not is_overdue(recent, older, limits, now):
                continue
            for _ in range(_COMMITS_MAX):
                if not manager.retain_activities(owner):
                    break
            count += 1
        except Corrupt:  # a finding of the integrity check
            continue
    return count


def drop_expired_responses(manager: Workspace, now: datetime) -> int:
    """Remove responses stored for idempotency keys whose time is over. Return their number."""
    count = 0
    for owner in manager.owners("requests"):
        try:
            records = manager.store.records(key_of("requests", owner))
            if not any(has_expired(stored, now) for stored in records):
                continue

            def edit(transaction: Transaction, owner: int = owner) -> int:
                return drop_expired(transaction, owner)

            count += manager.store.change(edit, relaxed=True)
        except Corrupt:
            continue
    return count


def remove_leftovers(manager: Workspace, now: datetime, days: float) -> list[str]:
    """Remove drafts, torn tails and set-aside versions older than `days`. Return their names."""
    keep_seconds = timedelta(days=days).total_seconds()
    return _files(manager).remove_leftovers(now.timestamp(), keep_seconds)


def checkpoint(manager: Workspace) -> tuple[int, int]:
    """Make all files durable, and delete history beyond its retention.

    Return segments and bytes of the journal that remain.
    """
    backend = _files(manager)
    backend.checkpoint()
    condition = backend.condition()
    return condition.segments, condition.journal_bytes


def _files(manager: Workspace) -> Published:
    published = manager.store.backend.published
    if published is None:
        raise Unavailable("only a store in a folder has files to maintain")
    return published
