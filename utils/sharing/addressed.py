"""What the database knows of invitations to e-mail addresses, and of inviters who are refused.

An invitation to an address stands in the project, with the address and without a person: its owner
must not learn whether an account has the address, nor whose it is. So the invited user's documents
do not name it either. The rows here say which projects an address is invited to. They are hints:
a row without an entry in the project means nothing, and is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

LISTED_MAX = 200  # invitations by address that one user is shown, the newest first
REFUSED_MAX = 500  # inviters that one user refuses; the earliest of more are dropped
# An owner may have as many rows that mean nothing, to one address and in all, without a check.
UNCHECKED_OF_ADDRESS = 5
UNCHECKED_OF_OWNER = 100
CHECKED_MAX = 20  # rows of each kind that one invitation has looked at


def address_in(text: str) -> str | None:
    """Return the address that the text is, in small letters; None if it is none."""
    address = text.strip().lower()
    try:
        validate_email(address)
    except ValidationError:
        return None
    return address if len(address) <= 254 else None


def can_be_proved() -> bool:
    """Return whether this server sends mail, without which nobody can prove an address."""
    return bool(settings.NEURALFLOW_SENDS_MAIL)


@contextmanager
def noted(address: str, owner: int, project_id: int) -> Iterator[int]:
    """Note an invitation for as long as the block succeeds; yields its number."""
    row, is_new = _rows().get_or_create(address=address, owner=owner, project_id=project_id)
    try:
        yield row.pk
    except BaseException:
        if is_new:
            row.delete()
        raise


def forget(number: int) -> None:
    """Forget an invitation that was answered or withdrawn."""
    _rows().filter(pk=number).delete()


def rows_to_check(owner: int, address: str) -> list[Any]:
    """Return rows of the owner that may mean nothing, such as those of projects that were deleted.

    Without this check at each invitation, deleted projects would leave rows without end, and those
    to one address would push the invitations of others off its list. The newest rows are left out:
    another invitation of the owner may be about to write their entries.
    """
    rows = _rows().filter(owner=owner)
    of_address = rows.filter(address=address).order_by("-pk")[UNCHECKED_OF_ADDRESS:]
    others = rows.order_by("-pk").values_list("pk", flat=True)[UNCHECKED_OF_OWNER:]
    newest = others.first() or 0
    # At random: the oldest may all have entries.
    at_random = rows.filter(pk__lte=newest).order_by("?")[:CHECKED_MAX]
    return [*of_address[:CHECKED_MAX], *at_random]


def rows_for(person: int) -> list[Any]:
    """Return the noted invitations to addresses that the person proved, the newest first."""
    addresses = get_user_model().objects.proved_addresses(person)
    refused = refused_inviters(person)
    rows = (
        _rows()
        .filter(address__in=addresses, is_declined=False)
        .exclude(owner__in=[person, *refused])
    )
    return list(rows.order_by("-pk")[:LISTED_MAX])


def may_wait_for(person: int) -> bool:
    """Return whether an invitation may wait, by one query: for the navigation of every page."""
    if not can_be_proved():
        return False
    proved = get_user_model().objects.filter(pk=person, emailaddress__verified=True)
    rows = _rows().filter(address__in=proved.values("emailaddress__email"), is_declined=False)
    return bool(rows.exclude(owner=person).exists())


def row_for(person: int, number: int) -> Any | None:
    """Return one noted invitation to an address that the person proved; None if there is none."""
    addresses = get_user_model().objects.proved_addresses(person)
    rows = _rows().filter(pk=number, address__in=addresses, is_declined=False)
    return rows.exclude(owner=person).first()


def decline(number: int) -> None:
    """Show an invitation no more. It stays open for its owner, who does not learn of it."""
    _rows().filter(pk=number).update(is_declined=True)


def refuse_inviter(person: int, inviter: int) -> None:
    """Let no further invitation of the inviter reach the person."""
    if person != inviter:
        _refused().get_or_create(user_id=person, inviter=inviter)
        rows = _refused().filter(user_id=person).order_by("-pk").values_list("pk", flat=True)
        _refused().filter(pk__in=list(rows[REFUSED_MAX:])).delete()


def allow_inviter(person: int, inviter: int) -> None:
    """Let invitations of the inviter reach the person again."""
    _refused().filter(user_id=person, inviter=inviter).delete()


def refused_inviters(person: int) -> list[int]:
    """Return the ids of those whose invitations do not reach the person, the latest first."""
    rows = _refused().filter(user_id=person).order_by("-pk")
    return list(rows.values_list("inviter", flat=True))


def is_refused(person: int, inviter: int) -> bool:
    """Return whether the person takes no invitations from the inviter."""
    return bool(_refused().filter(user_id=person, inviter=inviter).exists())


def _rows() -> Any:
    return apps.get_model("accounts", "AddressInvitation")._default_manager


def _refused() -> Any:
    return apps.get_model("accounts", "RefusedInviter")._default_manager
