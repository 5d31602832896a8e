"""Sign-up policy: open, by invitation only, or closed, with limits per hour by network.

An invitation is a signed code in a link from `manage.py invite`. It is valid for seven days and
for one account. Nothing is stored for it until it is used.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core import signing
from django.http import HttpRequest

from accounts import guards
from accounts.throttle import Attempt, Limit, TooManyAttempts

VALID_SECONDS = 7 * 24 * 3600
PARAMETER = "invitation"  # query parameter, and session key until the account exists
_SALT = "neuralflow.sign-up"
# Marks a used invitation until after it has expired.
_USED = Limit("sign-up invitation", 1, VALID_SECONDS + 3600)


class InvitationUsed(Exception):
    """The invitation has already been used."""


def new_invitation() -> str:
    """Return the code of a new invitation."""
    return signing.dumps(secrets.token_urlsafe(12), salt=_SALT)


def may_sign_up(request: HttpRequest) -> bool:
    """Return whether the request may sign up. Stores a valid invitation in the session."""
    if settings.NEURALFLOW_SIGNUP == "invite":
        code = request.GET.get(PARAMETER)
        if code and _is_valid(code):
            request.session[PARAMETER] = code
        return _is_valid(request.session.get(PARAMETER))
    return bool(settings.NEURALFLOW_SIGNUP == "open")


@contextmanager
def admission(request: HttpRequest) -> Iterator[None]:
    """Use up the invitation and count the account that the block creates.

    An exception in the block restores both. Raises `InvitationUsed`, and `TooManyAttempts` past the
    limits per hour.
    """
    attempts = []
    try:
        if settings.NEURALFLOW_SIGNUP == "invite":
            code = str(request.session.get(PARAMETER))
            try:
                attempts.append(Attempt((_USED, code)))
            except TooManyAttempts:
                request.session.pop(PARAMETER, None)
                raise InvitationUsed from None
        if settings.NEURALFLOW_SIGNUPS_PER_HOUR:
            attempts.append(guards.sign_up(request, settings.NEURALFLOW_SIGNUPS_PER_HOUR))
        yield
    except BaseException:
        for attempt in attempts:
            attempt.give_back()
        raise
    request.session.pop(PARAMETER, None)


def _is_valid(code: object) -> bool:
    try:
        signing.loads(str(code), salt=_SALT, max_age=VALID_SECONDS)
    except signing.BadSignature:
        return False
    return True
