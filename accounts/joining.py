"""Sign-up policy: open, by invitation only, or closed, with limits per hour by network.

An invitation is a signed code in a link, valid for seven days and for one account. Nothing is
stored for the link of `manage.py invite` until it is used. Invitations by members are database
rows (`SignUpInvitation`), which their inviters list and revoke.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core import signing
from django.db import models
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from accounts import guards
from accounts.models import SignUpInvitation, User
from accounts.throttle import Attempt, Limit, TooManyAttempts

VALID_SECONDS = 7 * 24 * 3600
PARAMETER = "invitation"  # query parameter, and session key until the account exists
# How long ended invitations of a member are listed.
LISTED: Final = timedelta(days=30)
_SALT = "neuralflow.sign-up"
_BY_MEMBER: Final = "m-"  # the beginning of a member's code; no code of the operator has it
# Marks a used invitation until after it has expired.
_USED = Limit("sign-up invitation", 1, VALID_SECONDS + 3600)


class InvitationUsed(Exception):
    """The invitation has already been used, or was revoked."""


class Admission:
    """A sign-up that is admitted. Call `opened` with the new account."""

    def __init__(self, digest: str) -> None:
        self._digest = digest

    def opened(self, account: AbstractBaseUser) -> None:
        """Record for the operator which account the invitation opened."""
        SignUpInvitation.objects.filter(digest=self._digest).update(account=account)


def new_invitation() -> str:
    """Return the code of a new invitation by the operator."""
    return signing.dumps(secrets.token_hex(12), salt=_SALT)


def may_invite() -> bool:
    """Return whether members may invite others to sign up."""
    per_day: int = settings.NEURALFLOW_SIGNUP_INVITATIONS_PER_DAY
    return settings.NEURALFLOW_SIGNUP == "invite" and per_day > 0


def invite(inviter: User, address: str) -> str:
    """Create a member's invitation and return its code. Raises `TooManyAttempts`."""
    per_day = settings.NEURALFLOW_SIGNUP_INVITATIONS_PER_DAY
    Attempt((Limit("sign-up invitations", per_day, 86_400), str(inviter.pk)))
    nonce, now = _BY_MEMBER + secrets.token_hex(16), timezone.now()
    SignUpInvitation.objects.filter(inviter=inviter, expires_at__lt=now - LISTED).delete()
    SignUpInvitation.objects.create(
        inviter=inviter,
        digest=_digest(nonce),
        address=address,
        expires_at=now + timedelta(seconds=VALID_SECONDS),
    )
    return signing.dumps(nonce, salt=_SALT)


def revoke(invitation: SignUpInvitation) -> bool:
    """Revoke a member's invitation. Return False if it was used, or revoked before."""
    open_ones = SignUpInvitation.objects.filter(pk=invitation.pk, used_at=None, revoked_at=None)
    return bool(open_ones.update(revoked_at=timezone.now()))


def link_of(code: str) -> str:
    """Return the path of the sign-up page with this code."""
    return f"{reverse('signup')}?{urlencode({PARAMETER: code})}"


def may_sign_up(request: HttpRequest) -> bool:
    """Return whether the request may sign up. Stores a valid invitation in the session."""
    if settings.NEURALFLOW_SIGNUP == "invite":
        code = request.GET.get(PARAMETER)
        if code and _is_valid(code):
            request.session[PARAMETER] = code
        return _is_valid(request.session.get(PARAMETER))
    return bool(settings.NEURALFLOW_SIGNUP == "open")


@contextmanager
def admission(request: HttpRequest) -> Iterator[Admission]:
    """Use up the invitation and count the account that the block creates.

    An exception in the block restores both. Raises `InvitationUsed`, and `TooManyAttempts` past the
    limits per hour.
    """
    attempts, digest = [], ""
    try:
        if settings.NEURALFLOW_SIGNUP == "invite":
            code = str(request.session.get(PARAMETER))
            try:
                attempts.append(Attempt((_USED, code)))
                digest = _take(code)
            except (TooManyAttempts, InvitationUsed):
                request.session.pop(PARAMETER, None)
                raise InvitationUsed from None
        if settings.NEURALFLOW_SIGNUPS_PER_HOUR:
            attempts.append(guards.sign_up(request, settings.NEURALFLOW_SIGNUPS_PER_HOUR))
        yield Admission(digest)
    except BaseException:
        for attempt in attempts:
            attempt.give_back()
        if digest:
            SignUpInvitation.objects.filter(digest=digest).update(used_at=None)
        raise
    request.session.pop(PARAMETER, None)


def _take(code: str) -> str:
    """Mark a member's invitation as used and return its digest, or "" for one of the operator.

    Raises `InvitationUsed` if it cannot be used, for example because it was revoked meanwhile.
    """
    nonce = _nonce(code)
    if not nonce.startswith(_BY_MEMBER):
        return ""
    digest = _digest(nonce)
    if not _usable(digest).update(used_at=timezone.now()):
        raise InvitationUsed
    return digest


def _is_valid(code: object) -> bool:
    nonce = _nonce(str(code))
    if nonce.startswith(_BY_MEMBER):
        return _usable(_digest(nonce)).exists()
    return bool(nonce)


def _usable(digest: str) -> models.QuerySet[SignUpInvitation]:
    """Return the row of an invitation if it is open and its inviter may still invite."""
    if not may_invite():
        return SignUpInvitation.objects.none()
    return SignUpInvitation.objects.filter(
        digest=digest,
        used_at=None,
        revoked_at=None,
        expires_at__gt=timezone.now(),
        inviter__in=User.objects.filter(is_active=True),
    )


def _nonce(code: str) -> str:
    """Return the content of a signed code, or "" if it is forged or expired."""
    try:
        return str(signing.loads(code, salt=_SALT, max_age=VALID_SECONDS))
    except signing.BadSignature:
        return ""


def _digest(nonce: str) -> str:
    return hashlib.sha256(nonce.encode()).hexdigest()
