"""Deletion of accounts, with a receipt that contains no personal data."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from smtplib import SMTPException
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.core.mail import send_mail
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.deletion import delete_user
from accounts.models import ApiToken, User
from utils.json_storage import JSONStorageManager
from workspace.archive.exporter import MANIFEST_DIGEST
from workspace.schema.collections import COLLECTIONS

log = logging.getLogger(__name__)


# The deleted records, by the names of their lists in the files.
_RECORDS = {
    "tasks": gettext_lazy("tasks"),
    "projects": gettext_lazy("projects"),
    "models": gettext_lazy("models"),
    "activities": gettext_lazy("activities"),
    "shared": gettext_lazy("memberships and invitations"),
    "requests": gettext_lazy("stored responses"),
}


@dataclass(frozen=True)
class Receipt:
    """The record of a deletion: what was removed and when. All values are JSON."""

    account: int
    at: str
    request_id: str
    records: dict[str, int] = field(default_factory=dict)
    tokens: int = 0
    sessions: int = 0
    projects_left: int = 0
    exported_at: str = ""
    export_digest: str = ""  # SHA-256 of the manifest of the last export

    def lines(self) -> Iterator[str]:
        """Yield the lines of the receipt as text."""
        yield _("Account %(id)d was deleted at %(at)s.") % {"id": self.account, "at": self.at}
        for name, count in self.records.items():
            yield f"  {_RECORDS.get(name, name)}: {count}"
        others = (
            (_("API tokens"), self.tokens),
            (_("sessions"), self.sessions),
            (_("memberships in projects of others"), self.projects_left),
        )
        yield from (f"  {name}: {count}" for name, count in others)
        if self.export_digest:
            export = {"at": self.exported_at, "digest": self.export_digest}
            yield _("Last export: %(at)s, SHA-256 of its manifest.json: %(digest)s") % export
        else:
            yield _("No export was made.")
        yield _("Request: %(id)s") % {"id": self.request_id}
        yield from retained_data()

    @property
    def text(self) -> str:
        return "\n".join(self.lines()) + "\n"

    def told(self) -> dict[str, Any]:
        return asdict(self)


def retained_data() -> Iterator[str]:
    """Yield sentences on the data that remains after a deletion, and for how long."""
    days = settings.NEURALFLOW_HISTORY_DAYS
    if days:
        yield ngettext(
            "The journal of the server keeps its history of all changes for %(days)g day.",
            "The journal of the server keeps its history of all changes for %(days)g days.",
            int(days) or 2,
        ) % {"days": days}
    else:
        yield _("The server removes the deleted data from its journal as soon as possible.")
    yield _("Existing backups keep your data until the operator deletes them.")
    yield _("The account number stays reserved and is never reused.")


def sessions_of(user: User) -> list[str]:
    """Return the row keys of the user's unexpired sessions. Decodes all sessions."""
    return [
        session.pk
        for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator()
        if session.get_decoded().get(SESSION_KEY) == str(user.pk)
    ]


def delete_account(manager: JSONStorageManager, user: User, request_id: str) -> Receipt:
    """Delete the account and all documents of the user. Return the receipt.

    Raises `StoreError`, having deleted nothing.
    """
    exported_at, export_digest = _last_export(manager, user.pk)
    tokens, sessions = ApiToken.objects.filter(user=user).count(), len(sessions_of(user))
    dropped = delete_user(manager, user)
    log.info("Account %s was deleted (request %s)", user.pk, request_id)
    return Receipt(
        account=user.pk,
        at=f"{timezone.now():%Y-%m-%d %H:%M:%S} UTC",
        request_id=request_id,
        records=_counts(dropped),
        projects_left=dropped["projects_left"],
        tokens=tokens,
        sessions=sessions,
        exported_at=exported_at,
        export_digest=export_digest,
    )


def _counts(dropped: dict[str, Any]) -> dict[str, int]:
    """Return the number of deleted records, by their name in the files."""
    counts: Counter[str] = Counter()
    for name, count in dropped["documents"].items():
        counts[COLLECTIONS[name].layout.records] += count  # activities are in two documents
    return dict(counts)


def _last_export(manager: JSONStorageManager, user_id: int) -> tuple[str, str]:
    """Return time and manifest digest of the user's last export, or two empty strings."""
    for activity in reversed(manager.past(user_id)):
        metadata = activity.get("metadata")
        if isinstance(metadata, dict) and MANIFEST_DIGEST in metadata:
            return str(activity.get("timestamp")), str(metadata[MANIFEST_DIGEST])
    return "", ""


def send_receipt(receipt: Receipt, address: str) -> bool:
    """Mail the receipt. Return False if that fails, or without an address."""
    if not address:
        return False
    subject = settings.ACCOUNT_EMAIL_SUBJECT_PREFIX + _("Your account was deleted")
    try:
        return bool(send_mail(subject, receipt.text, None, [address]))
    except (OSError, SMTPException):
        log.exception("The receipt of former account %s was not sent", receipt.account)
        return False
