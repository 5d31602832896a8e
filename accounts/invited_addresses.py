"""Database rows for invitations to e-mail addresses and for blocked inviters.

The project stores an invitation with the address, without a user, so that its owner cannot learn
whether an account has the address. So the invited user's documents cannot refer to it either. The
rows of this module map addresses to projects. They are hints: a row without a matching entry in the
project is ignored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Case, IntegerField, When, Window
from django.db.models.functions import RowNumber

LISTED_MAX = 200  # invitations to addresses listed per user
REFUSED_MAX = 500  # blocked inviters per user; the oldest beyond that are dropped
# The newest rows of an owner that are never checked for staleness, per address and in total.
UNCHECKED_OF_ADDRESS = 5
UNCHECKED_OF_OWNER = 100
CHECKED_MAX = 20  # rows of each kind that are checked at each invitation


def address_in(text: str) -> str | None:
    """Return the text as an e-mail address in lower case, or None if it is not valid."""
    address = text.strip().lower()
    try:
        validate_email(address)
    except ValidationError:
        return None
    return address if len(address) <= 254 else None


def can_be_proved() -> bool:
    """Return whether this server sends mail, which proving an address requires."""
    return bool(settings.NEURALFLOW_SENDS_MAIL)


@contextmanager
def noted(address: str, owner: int, project_id: int) -> Iterator[int]:
    """Add the row of an invitation and yield its number. Delete a new row if the block fails."""
    row, is_new = _rows().get_or_create(address=address, owner=owner, project_id=project_id)
    try:
        yield row.pk
    except BaseException:
        if is_new:
            row.delete()
        raise


def forget(number: int) -> None:
    """Delete the row of an invitation."""
    _rows().filter(pk=number).delete()


def rows_to_check(owner: int, address: str) -> list[Any]:
    """Return rows of the owner that may be stale, for example after their project was deleted.

    Without a check at each invitation, stale rows would accumulate, and those to one address would
    displace valid invitations from its list. The newest rows are left out: a concurrent invitation
    may not have committed its entry yet.
    """
    rows = _rows().filter(owner=owner)
    of_address = rows.filter(address=address).order_by("-pk")[UNCHECKED_OF_ADDRESS:]
    others = rows.order_by("-pk").values_list("pk", flat=True)[UNCHECKED_OF_OWNER:]
    newest = others.first() or 0
    # Random: the oldest rows may all be valid and would hide stale ones.
    at_random = rows.filter(pk__lte=newest).order_by("?")[:CHECKED_MAX]
    return [*of_address[:CHECKED_MAX], *at_random]


def rows_for(person: int, known: Collection[int] = ()) -> list[Any]:
    """Return the rows for the user's proved addresses, newest first.

    Leaves out declined invitations and those of blocked inviters. Of more than `LISTED_MAX`, those
    of `known` inviters come first, then one of each inviter, older accounts first: many new
    accounts of a stranger, each within its limits, displace no invitation of an older account.
    """
    addresses = get_user_model().objects.proved_addresses(person)
    refused = refused_inviters(person)
    rows = (
        _rows()
        .filter(address__in=addresses, is_declined=False)
        .exclude(owner__in=[person, *refused])
    )
    of_inviter = Window(RowNumber(), partition_by="owner", order_by="-pk")
    is_known = Case(When(owner__in=known, then=0), default=1, output_field=IntegerField())
    ranked = rows.annotate(is_known=is_known, of_inviter=of_inviter)
    listed = ranked.order_by("is_known", "of_inviter", "owner")[:LISTED_MAX]
    return sorted(listed, key=lambda row: -row.pk)


def may_wait_for(person: int) -> bool:
    """Return whether there may be an open invitation, by one query, as every page calls it.

    Rows may be stale. `Invitations.is_waiting` looks at them.
    """
    if not can_be_proved():
        return False
    proved = get_user_model().objects.filter(pk=person, emailaddress__verified=True)
    rows = _rows().filter(address__in=proved.values("emailaddress__email"), is_declined=False)
    return bool(rows.exclude(owner=person).exists())


def row_for(person: int, number: int) -> Any | None:
    """Return the row with this number if it is for a proved address of the user, or None."""
    addresses = get_user_model().objects.proved_addresses(person)
    rows = _rows().filter(pk=number, address__in=addresses, is_declined=False)
    return rows.exclude(owner=person).first()


def decline(number: int) -> None:
    """Hide an invitation from the invited user. For the project's owner it stays open."""
    _rows().filter(pk=number).update(is_declined=True)


def refuse_inviter(person: int, inviter: int) -> None:
    """Block invitations of the inviter to the user. Users cannot block themselves."""
    if person != inviter:
        _refused().get_or_create(user_id=person, inviter=inviter)
        rows = _refused().filter(user_id=person).order_by("-pk").values_list("pk", flat=True)
        _refused().filter(pk__in=list(rows[REFUSED_MAX:])).delete()


def allow_inviter(person: int, inviter: int) -> None:
    """Unblock the inviter."""
    _refused().filter(user_id=person, inviter=inviter).delete()


def refused_inviters(person: int) -> list[int]:
    """Return the ids of the user's blocked inviters, the latest first."""
    rows = _refused().filter(user_id=person).order_by("-pk")
    return list(rows.values_list("inviter", flat=True))


def is_refused(person: int, inviter: int) -> bool:
    """Return whether the user blocks the inviter."""
    return bool(_refused().filter(user_id=person, inviter=inviter).exists())


def _rows() -> Any:
    return apps.get_model("accounts", "AddressInvitation")._default_manager


def _refused() -> Any:
    return apps.get_model("accounts", "RefusedInviter")._default_manager
