"""Short notices to users by mail."""

import logging
from collections.abc import Iterable
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import User
from docstore import StoreError
from utils.json_storage import json_storage

log = logging.getLogger(__name__)


def send_notice(address: str, subject: str, lines: Iterable[str]) -> bool:
    """Send a notice. Return whether the mail server accepted it. Errors are logged."""
    if not address or not settings.NEURALFLOW_SENDS_MAIL:
        return False
    text = "\n\n".join(lines) + "\n"
    try:
        return bool(
            send_mail(settings.ACCOUNT_EMAIL_SUBJECT_PREFIX + subject, text, None, [address])
        )
    except (OSError, SMTPException):
        log.exception("A notice was not sent")
        return False


def send_codes_notice(user: User, address: str) -> bool:
    """Mail the user, in their language, about wrong codes. Return whether it was sent."""
    with translation.override(_language_of(user)):
        lines = [
            _("Wrong codes were given for your account %(name)s, the last one from %(address)s.")
            % {"name": user.username, "address": address},
            _("Whoever gave them has your password. If it was not you, change it now."),
        ]
        return send_notice(user.mail_address, _("Wrong codes for your account"), lines)


def _language_of(user: User) -> str:
    try:
        return json_storage.preferences(user.pk).language or settings.LANGUAGE_CODE
    except (StoreError, OSError):
        log.exception("The language of account %s cannot be read", user.pk)
        return settings.LANGUAGE_CODE
