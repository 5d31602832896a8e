"""Choose language, time zone and theme of a page.

Sources, in order: the user's preferences, then a cookie with a choice made before signing in, then
the browser: `Accept-Language`, and the cookie `timezone` that static/js/time_zone.js sets. The API
always uses English and UTC.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import cast
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject

from docstore import StoreError
from utils.json_storage import json_storage
from utils.middleware import API_PREFIX
from workspace.users.preferences import Preferences, is_time_zone

log = logging.getLogger(__name__)

ZONE_COOKIES = ("__Host-timezone", "timezone")  # over TLS, and without
_KEPT = "_preferences"


def preferences_of(request: HttpRequest) -> Preferences:
    """Return the signed-in user's preferences, read once per request.

    Return the defaults if nobody is signed in or the document cannot be read.
    """
    cached: Preferences | None = getattr(request, _KEPT, None)
    if cached is None:
        cached = _read(request)
        setattr(request, _KEPT, cached)
    return cached


def _read(request: HttpRequest) -> Preferences:
    # Do not touch the session without its cookie. That would add "Vary: Cookie" to responses that
    # are equal for all visitors, so shared caches would store them once per visitor.
    known = settings.SESSION_COOKIE_NAME in request.COOKIES
    user = getattr(request, "user", None) if known else None
    if user is None or not user.is_authenticated:
        return Preferences()
    try:
        return json_storage.preferences(cast(int, user.pk))
    except (StoreError, OSError):
        log.exception("The preferences of account %s cannot be read", user.pk)
        return Preferences()


def forget_preferences(request: HttpRequest) -> None:
    """Discard the cached preferences after a change."""
    if hasattr(request, _KEPT):
        delattr(request, _KEPT)


def browsers_zone(request: HttpRequest) -> str:
    """Return the name of the browser's time zone, or UTC if it is unknown."""
    named = (request.COOKIES.get(cookie, "") for cookie in ZONE_COOKIES)
    return next((name for name in named if is_time_zone(name)), "UTC")


def zone_of(request: HttpRequest) -> ZoneInfo:
    """Return the time zone in which times are displayed and parsed."""
    return ZoneInfo(preferences_of(request).time_zone or browsers_zone(request))


def local_time(moment: datetime) -> datetime:
    """Return the moment in the active time zone, or unchanged where that exceeds year 9999."""
    try:
        return timezone.localtime(moment)
    except OverflowError:
        return moment


def _theme_of(request: HttpRequest) -> str:
    theme = preferences_of(request).theme
    return "" if theme == "system" else theme


class LocalizationMiddleware:
    """Set language, time zone and `request.theme` of pages.

    `request.theme` is "light", "dark", or "" for the system's theme. The middleware must come after
    the one that sets `request.user`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        theme = SimpleLazyObject(lambda: _theme_of(request))  # for the API's docs page, too
        request.theme = theme  # type: ignore[attr-defined]
        if request.path.startswith(API_PREFIX):
            return self.get_response(request)
        preferences = preferences_of(request)
        language = preferences.language or translation.get_language_from_request(request)
        with translation.override(language), timezone.override(zone_of(request)):
            response = self.get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Content-Language", language)
            patch_vary_headers(response, ("Accept-Language", "Cookie"))
        return response
