"""Remove rows that have expired: sessions, tokens, limits, cached values, invitations."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection
from django.db.models import Exists, Model, OuterRef, Q, QuerySet

from accounts.models import AddressInvitation, ApiToken, FailedAttempts
from docstore import StoreError
from utils.json_storage import JSONStorageManager
from workspace.documents import key_of
from workspace.member_entries import addressed_of

ROWS_AT_ONCE: Final = 500  # so that no transaction blocks log-ins for long
NEWEST_UNCHECKED: Final = 20  # invitations
TOKENS_SHOWN_FOR: Final = timedelta(days=90)  # past tokens stay on their owner's page


class Removed(NamedTuple):
    """The numbers of removed rows."""

    sessions: int
    tokens: int
    limits: int
    cached: int
    invitations: int


def remove_expired(manager: JSONStorageManager, now: datetime) -> Removed:
    """Remove all rows that have expired."""
    past = now - TOKENS_SHOWN_FOR
    sessions = Session.objects.filter(pk=OuterRef("session_key"))
    removed = _remove(Session.objects.filter(expire_date__lt=now))
    # A log-in that is going on has its session only when its response is sent.
    old = UserSession.objects.filter(created_at__lt=now - timedelta(days=1))
    _remove(old.filter(~Exists(sessions)))
    return Removed(
        removed,
        _remove(ApiToken.objects.filter(Q(expires_at__lt=past) | Q(revoked_at__lt=past))),
        _remove(FailedAttempts.objects.filter(until__lt=now)),
        _remove_cached(now),
        _remove_stale_invitations(manager),
    )


def _remove(rows: QuerySet[Any]) -> int:
    """Delete the rows in small transactions. Return their number."""
    model: type[Model] = rows.model
    count = 0
    while keys := list(rows.values_list("pk", flat=True)[:ROWS_AT_ONCE]):
        model._default_manager.filter(pk__in=keys).delete()
        count += len(keys)
    return count


def _remove_cached(now: datetime) -> int:
    """Delete expired rows of the database cache, which otherwise wait until the table is full."""
    table = getattr(cache, "_table", None)
    if table is None:
        return 0
    name = connection.ops.quote_name(table)
    expires = connection.ops.quote_name("expires")
    moment = connection.ops.adapt_datetimefield_value(now.replace(microsecond=0))
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {name} WHERE {expires} < %s", [moment])
        return max(int(cursor.rowcount), 0)


def _remove_stale_invitations(manager: JSONStorageManager) -> int:
    """Delete rows of invitations that are no longer in their project: they hold an address."""
    stale = [row.pk for row in _stale(manager)]
    return _remove(AddressInvitation.objects.filter(pk__in=stale))


def _stale(manager: JSONStorageManager) -> Iterator[AddressInvitation]:
    # An invitation that is being made has its row before its project has it.
    newest = AddressInvitation.objects.order_by("-pk").values_list("pk", flat=True)
    before = next(iter(newest[NEWEST_UNCHECKED : NEWEST_UNCHECKED + 1]), None)
    if before is None:
        return
    rows = AddressInvitation.objects.filter(pk__lte=before)
    for row in rows.iterator(chunk_size=ROWS_AT_ONCE):
        try:
            projects = manager.store.records(key_of("projects", row.owner)).find(row.project_id)
        except StoreError:  # unknown is not gone
            continue
        if not any(row.pk in addressed_of(project) for project in projects):
            yield row
