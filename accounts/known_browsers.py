"""Browsers that have logged in to an account before, which have log-in limits of their own.

A signed cookie names up to `ACCOUNTS_MAX` accounts, each with a random id of the browser and a
digest of the account's password hash, so a new password invalidates it. The cookie grants no
access. It only selects the limits in `accounts.guards`.
"""

import secrets
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.models import User
from accounts.session_store import row_key

ACCOUNTS_MAX = 5
AGE_SECONDS = 365 * 86_400
_SALT = "accounts.known_browsers"
_RESET = "reset_by_mail"  # session key: the account whose password was reset in this session


def remember(request: HttpRequest, response: HttpResponseBase, user: User) -> None:
    """Set the cookie that records this user's log-in."""
    others = {pk: entry for pk, entry in _entries(request).items() if pk != str(user.pk)}
    entries = dict(list(others.items())[1 - ACCOUNTS_MAX :])
    entries[str(user.pk)] = [secrets.token_urlsafe(12), _digest(user)]
    response.set_cookie(
        settings.NEURALFLOW_KNOWN_COOKIE_NAME,
        signing.dumps(entries, salt=_SALT),
        max_age=AGE_SECONDS,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def browser_of(request: HttpRequest, user: User) -> str | None:
    """Return the id of the browser if this user has logged in with it before, or None."""
    entry = _entries(request).get(str(user.pk))
    if not isinstance(entry, list) or len(entry) != 2:
        return None
    return str(entry[0]) if constant_time_compare(str(entry[1]), _digest(user)) else None


def knows_anybody(request: HttpRequest) -> bool:
    """Return whether `browser_of` or `reset_session_of` can return an id for any user."""
    return settings.NEURALFLOW_KNOWN_COOKIE_NAME in request.COOKIES or _RESET in request.session


def note_reset(request: HttpRequest, user: User) -> None:
    """Record in the session that the password was reset in it by a mailed link."""
    request.session[_RESET] = [user.pk, _digest(user)]


def reset_session_of(request: HttpRequest, user: User) -> str | None:
    """Return the row key of the session if this user's password was reset in it, or None."""
    key = request.session.session_key
    if key is None or request.session.get(_RESET) != [user.pk, _digest(user)]:
        return None
    return row_key(key)


def _entries(request: HttpRequest) -> dict[str, Any]:
    text = request.COOKIES.get(settings.NEURALFLOW_KNOWN_COOKIE_NAME, "")
    try:
        entries = signing.loads(text, salt=_SALT, max_age=AGE_SECONDS) if text else {}
    except signing.BadSignature:
        return {}
    return entries if isinstance(entries, dict) else {}


def _digest(user: User) -> str:
    return salted_hmac(_SALT, f"{user.pk}:{user.password}", algorithm="sha256").hexdigest()[:32]
