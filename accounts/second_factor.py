"""The second factor: codes of an app (TOTP, RFC 6238), and recovery codes.

django-allauth does it. Here stands what is added: secrets are encrypted, wrong codes are counted.
"""

import base64
import hashlib
import logging
import secrets

from allauth.core import context
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa import app_settings
from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.base import forms as base
from allauth.mfa.models import Authenticator
from allauth.mfa.totp import forms as totp
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from django.utils.encoding import force_bytes

from accounts import guards
from accounts.adapter import refusing
from accounts.models import User
from accounts.throttle import Attempt

log = logging.getLogger(__name__)


class SecondFactorAdapter(DefaultMFAAdapter):
    """Keeps the secrets so that the database alone does not open accounts."""

    def encrypt(self, text: str) -> str:
        return cipher().encrypt(text.encode()).decode("ascii")

    def decrypt(self, encrypted_text: str) -> str:
        try:
            return cipher().decrypt(encrypted_text).decode()
        except InvalidToken:
            # Never "": a code can be worked out from an empty secret. Of this one, none can.
            log.error("A second factor does not decrypt: NEURALFLOW_SECRET_KEY was another")
            return base64.b32encode(secrets.token_bytes(20)).decode("ascii")


def cipher() -> MultiFernet:
    """Encrypts with the secret key; reads what earlier keys encrypted, too."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = (hashlib.sha256(b"second factor:" + force_bytes(key)).digest() for key in keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])


class _Counted:
    """Counts a wrong code before it is looked at: at a log-in by its account and its address."""

    user: User

    def count(self, request: HttpRequest) -> Attempt:
        return guards.code(request, self.user)

    def clean_code(self) -> str:
        request = context.request
        with refusing(request):
            attempt = self.count(request)
        code: str = super().clean_code()  # type: ignore[misc]  # of the form that this is mixed into
        if not self._is_first_use(code):
            raise get_adapter().validation_error("incorrect_code")
        attempt.give_back()
        return code

    def _is_first_use(self, code: str) -> bool:
        """Note the code of an app as used, and return False if it was so already.

        django-allauth remembers a code for one step; with a tolerance it is valid for longer.
        """
        factor = getattr(self, "authenticator", None)  # none yet for the first code of a new app
        if factor is not None and factor.type != Authenticator.Type.TOTP:
            return True  # a recovery code is deleted with its use
        steps = 2 * settings.MFA_TOTP_TOLERANCE + 1
        key = f"second-factor-used:{self.user.pk}:{normalize_user_code(code)}"
        return cache.add(key, True, timeout=steps * app_settings.TOTP_PERIOD)


class AuthenticateForm(_Counted, base.AuthenticateForm):
    """At the sign-in."""


class _CountedInSession(_Counted):
    """Counts by the session of who is signed in: nobody else can use these attempts up."""

    def count(self, request: HttpRequest) -> Attempt:
        return guards.proof(request)


class ReauthenticateForm(_CountedInSession, base.ReauthenticateForm):
    """Before something that needs proof of who sits there."""


class ActivateForm(_CountedInSession, totp.ActivateTOTPForm):
    """The first code of a new app."""
