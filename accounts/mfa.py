"""Two-factor authentication by authenticator app (TOTP, RFC 6238) or recovery code.

django-allauth implements it. This module adds encryption of secrets and limits on wrong codes.
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
    """An adapter that encrypts the secrets, so a copy of the database does not reveal them."""

    def encrypt(self, text: str) -> str:
        return cipher().encrypt(text.encode()).decode("ascii")

    def decrypt(self, encrypted_text: str) -> str:
        try:
            return cipher().decrypt(encrypted_text).decode()
        except InvalidToken:
            # A random secret, as an attacker could compute the codes of an empty one.
            log.error("A second factor does not decrypt: NEURALFLOW_SECRET_KEY was another")
            return base64.b32encode(secrets.token_bytes(20)).decode("ascii")


def cipher() -> MultiFernet:
    """Return a cipher that encrypts with SECRET_KEY, and decrypts with its fallbacks, too."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = (hashlib.sha256(b"second factor:" + force_bytes(key)).digest() for key in keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])


class _RateLimitedCode:
    """A mixin for forms that counts each code as wrong before it is checked.

    At a log-in, codes are limited by account and network.
    """

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
        """Mark a TOTP code as used. Return False if it was used before.

        django-allauth remembers a code for one step, but with a tolerance it is valid for longer.
        """
        factor = getattr(self, "authenticator", None)  # None before the app is activated
        if factor is not None and factor.type != Authenticator.Type.TOTP:
            return True  # allauth marks recovery codes as used
        steps = 2 * settings.MFA_TOTP_TOLERANCE + 1
        key = f"second-factor-used:{self.user.pk}:{normalize_user_code(code)}"
        return cache.add(key, True, timeout=steps * app_settings.TOTP_PERIOD)


class AuthenticateForm(_RateLimitedCode, base.AuthenticateForm):
    """The form for a code at log-in."""


class _CountedInSession(_RateLimitedCode):
    """A mixin that limits codes by session, so that strangers cannot use up the attempts."""

    def count(self, request: HttpRequest) -> Attempt:
        return guards.proof(request)


class ReauthenticateForm(_CountedInSession, base.ReauthenticateForm):
    """The form for a code to reauthenticate."""


class ActivateForm(_CountedInSession, totp.ActivateTOTPForm):
    """The form for the first code of a new authenticator app."""
