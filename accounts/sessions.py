"""Sessions of users: their lifetime, list and end.

django-allauth's `UserSession` lists them by the digest that is their primary key in the session
table. The session key itself is not stored.
"""

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from allauth.account.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, logout
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.session_store import row_key

if TYPE_CHECKING:
    from accounts.models import User

log = logging.getLogger(__name__)

SESSIONS_MAX = 100  # per user; the oldest end first
_BEGAN, _SEEN = "began", "seen"  # seconds since 1970
_SEEN_EVERY = 60  # seconds between two writes of a session's last use


def begin(session: SessionBase) -> None:
    """Start the lifetime of a session at log-in."""
    session[_BEGAN] = session[_SEEN] = int(time.time())


def end_if_old(request: HttpRequest) -> bool:
    """Return whether the request's session is logged in, after ending an expired one.

    The session ends on the server, so a copied cookie stops working, too.
    """
    session = request.session
    if SESSION_KEY not in session:
        return False
    now = int(time.time())
    began = session.get(_BEGAN, 0)
    seen = session.get(_SEEN, began)
    idle = now - seen > settings.NEURALFLOW_SESSION_IDLE_DAYS * 86_400
    if idle or now - began > settings.SESSION_COOKIE_AGE:
        log.info("A session of account %s had its time", session[SESSION_KEY])
        logout(request)
        return False
    if now - seen >= _SEEN_EVERY:
        session[_SEEN] = now
    return True


def record_session(request: HttpRequest, **kwargs: Any) -> None:
    """List the session of a request among those of its user. For the signals of allauth."""
    if not request.session.session_key:
        request.session.save()
    key = request.session.session_key
    assert key is not None
    agent_characters_max = UserSession._meta.get_field("user_agent").max_length
    UserSession.objects.update_or_create(
        session_key=row_key(key),
        defaults={
            "user": request.user,
            "ip": get_adapter().get_client_ip(request),
            "user_agent": request.META.get("HTTP_USER_AGENT", "")[:agent_characters_max],
            "last_seen_at": timezone.now(),
        },
    )
    # Without this limit, a script that logs in repeatedly would add rows without bound.
    listed = UserSession.objects.filter(user=request.user).order_by("-last_seen_at", "-pk")
    end_sessions(listed[SESSIONS_MAX:])


def open_sessions(user: "User") -> list[UserSession]:
    """Return the user's sessions that are still logged in, newest first."""
    listed = list(UserSession.objects.filter(user=user).order_by("-created_at", "-pk"))
    keys = [session.session_key for session in listed]
    rows = Session.objects.filter(pk__in=keys, expire_date__gt=timezone.now())
    opened = {row.pk for row in rows if _is_signed_in(row.get_decoded(), user)}
    return [session for session in listed if session.session_key in opened]


def _is_signed_in(data: dict[str, Any], user: "User") -> bool:
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    own = str(data.get(HASH_SESSION_KEY, ""))
    return data.get(SESSION_KEY) == str(user.pk) and any(
        constant_time_compare(own, expected) for expected in hashes
    )


def is_current(session: UserSession, request: HttpRequest) -> bool:
    """Return whether the request came in this session."""
    key = request.session.session_key
    return key is not None and session.session_key == row_key(key)


def end_sessions(sessions: Iterable[UserSession]) -> int:
    """End the sessions. Return how many still existed."""
    keys = [session.session_key for session in sessions]
    ended, _by_model = Session.objects.filter(pk__in=keys).delete()
    UserSession.objects.filter(session_key__in=keys).delete()
    return ended
