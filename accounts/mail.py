"""Mail to people about their account: whether any is sent, and short notices."""

import logging
from collections.abc import Iterable
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail

log = logging.getLogger(__name__)

# Links that open accounts must not reach standard output, which is the log of a service.
_SENDS_NOTHING = frozenset(
    f"django.core.mail.backends.{name}.EmailBackend" for name in ("console", "dummy")
)


def mail_is_sent() -> bool:
    """Return whether mail reaches people: EMAIL_URL names a server, or a folder."""
    return settings.EMAIL_BACKEND not in _SENDS_NOTHING


def send_notice(address: str, subject: str, lines: Iterable[str]) -> bool:
    """Send a notice, and return whether it could be handed over. A failure is logged."""
    if not address or not mail_is_sent():
        return False
    text = "\n\n".join(lines) + "\n"
    try:
        return bool(
            send_mail(settings.ACCOUNT_EMAIL_SUBJECT_PREFIX + subject, text, None, [address])
        )
    except (OSError, SMTPException):
        log.exception("A notice was not sent")
        return False
