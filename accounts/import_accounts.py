"""Create accounts for user documents that have none.

A data folder copied from elsewhere holds users whom the database does not know. Their documents
have all that an account needs except the password.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, ValidationError

from docstore import DocumentReport
from workspace.schema.fields import Field, Kind
from workspace.schema.validation import COLLECTIONS, parse_time
from workspace.texts import folded_name

_IDENTITY = ("username", "email")


def account_from(
    examined: DocumentReport, owner: int, taken_names: set[str], taken_emails: set[str]
) -> Any | None:
    """Return an unsaved account with the document's values and an unusable password.

    Return None if there can be none. `examined.findings` then has the reasons. The sets hold the
    names of existing accounts (folded) and the addresses that sign in to one (lower case).
    """
    if examined.document is None:
        return None
    content = examined.document.content
    examined.findings.clear()  # findings about records do not prevent an account
    account = get_user_model()(pk=owner, **_values(examined, content))
    account.set_unusable_password()
    if content.get("user_id", owner) != owner:
        examined.add(("user_id",), f'"user_id" must be {owner}, as the name of the file says')
    if folded_name(account.username) in taken_names:
        examined.add(("username",), f"{account.username!r} is taken by another account")
    # The operator vouches for the folder: the address gets a link for a new password.
    account.email_status = "contact" if account.email in taken_emails else "legacy"
    for name, problem in _misfits(account):
        examined.add((name,), f'"{name}": {problem}')
    return None if examined.findings else account


def _values(examined: DocumentReport, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the account fields of the document. Null values are omitted, so defaults apply."""
    values: dict[str, Any] = {}
    for field in COLLECTIONS["users"].fields:
        value = content.get(field.name)
        if value is None or not _is_of_account(field):
            continue
        if field.kind is Kind.CHOICE and isinstance(value, str):
            values[field.name] = value  # also one that is no longer among the choices
        elif not field.has_shape(value):
            examined.add((field.name,), f'"{field.name}" {field.must_be}')
        else:
            values[field.name] = parse_time(value) if field.kind is Kind.TIME else value
    if isinstance(values.get("email"), str):
        values["email"] = values["email"].lower()
    return values


def _is_of_account(field: Field) -> bool:
    try:
        return bool(get_user_model()._meta.get_field(field.name).concrete)
    except FieldDoesNotExist:
        return False


def _misfits(account: Any) -> list[tuple[str, str]]:
    """Return (field, message) pairs that prevent the account from being stored or signed in.

    Outside name and address, invalid formats and choices are accepted. Otherwise an old web address
    without "https://" or a withdrawn choice would lock a user out.
    """
    try:
        account.clean_fields(exclude=["password"])
    except ValidationError as fault:
        return [
            (name, message)
            for name, errors in fault.error_dict.items()
            for error in errors
            if name in _IDENTITY or error.code not in ("invalid", "invalid_choice")
            for message in error.messages
        ]
    return []
