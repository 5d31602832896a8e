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
