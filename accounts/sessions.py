"""How long a session lasts: a time without use, and a time in all, whatever is done in it."""

import logging
import time

from django.conf import settings
from django.contrib.auth import SESSION_KEY, logout
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

log = logging.getLogger(__name__)

_BEGAN, _SEEN = "began", "seen"  # seconds since 1970
_SEEN_EVERY = 60  # seconds: a session is written no more often for having been used


def begin(session: SessionBase) -> None:
    """Somebody signed in."""
    session[_BEGAN] = session[_SEEN] = int(time.time())


def end_if_old(request: HttpRequest) -> bool:
    """Whether the request comes in the session of somebody who is signed in. One that has had its
    time is ended first, on the server, so that its cookie opens nothing any more."""
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
