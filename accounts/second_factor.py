"""The second factor: codes of an app (TOTP, RFC 6238), and recovery codes.

django-allauth does it. Here stands what is added: secrets are encrypted, wrong codes are counted.
"""

import base64
import hashlib
import logging
import secrets

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base import forms as base
from allauth.mfa.totp import forms as totp
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.encoding import force_bytes

from accounts.adapter import limited
from accounts.models import User
from accounts.throttle import ADDRESS, CODES, address_of

log = logging.getLogger(__name__)


class SecondFactorAdapter(DefaultMFAAdapter):
    """Keeps the secrets so that the database alone does not open accounts."""

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode("ascii")

    def decrypt(self, encrypted_text: str) -> str:
        try:
            return _cipher().decrypt(encrypted_text).decode()
        except InvalidToken:
            # Never "": a code can be worked out from an empty secret. Of this one, none can.
            log.error("A second factor does not decrypt: NEURALFLOW_SECRET_KEY was another")
            return base64.b32encode(secrets.token_bytes(20)).decode("ascii")


def _cipher() -> MultiFernet:
    """Encrypts with the secret key; reads what earlier keys encrypted, too."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = (hashlib.sha256(b"second factor:" + force_bytes(key)).digest() for key in keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])


class _Counted:
    """Counts a wrong code, before it is looked at, by its account and by its address."""

    user: User

    def clean_code(self) -> str:
        request = context.request
        of_account, of_address = (CODES, str(self.user.pk)), (ADDRESS, address_of(request))
        attempt = limited(request, of_account, of_address)
        code: str = super().clean_code()  # type: ignore[misc]  # of the form that this is mixed into
        attempt.give_back()
        return code


class AuthenticateForm(_Counted, base.AuthenticateForm):
    """At the sign-in."""


class ReauthenticateForm(_Counted, base.ReauthenticateForm):
    """Before something that needs proof of who sits there."""


class ActivateForm(_Counted, totp.ActivateTOTPForm):
    """The first code of a new app."""
