"""In which language, time zone and theme a page is answered.

What the person chose, in the settings or before they were known, in a cookie; else what their
browser says: `Accept-Language`, and the cookie `timezone` that static/js/time_zone.js sets. The
API speaks English and UTC, whoever asks.
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
from utils.people.preferences import Preferences, is_time_zone

log = logging.getLogger(__name__)

ZONE_COOKIE = "timezone"
_KEPT = "_preferences"


def preferences_of(request: HttpRequest) -> Preferences:
    """The preferences of the person who asks, read once for a request.

    Those of nobody are the defaults, and so are those that cannot be read just now.
    """
    kept: Preferences | None = getattr(request, _KEPT, None)
    if kept is None:
        kept = _read(request)
        setattr(request, _KEPT, kept)
    return kept


def _read(request: HttpRequest) -> Preferences:
    # Without the cookie there is nobody to look up: what is the same for all may be kept by all.
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
    """Has them read again: they were changed."""
    if hasattr(request, _KEPT):
        delattr(request, _KEPT)


def browsers_zone(request: HttpRequest) -> str:
    """The name of the time zone that the browser tells; UTC where it tells none."""
    told = request.COOKIES.get(ZONE_COOKIE, "")
    return told if is_time_zone(told) else "UTC"


def zone_of(request: HttpRequest) -> ZoneInfo:
    """The time zone in which the person's times are shown and read."""
    return ZoneInfo(preferences_of(request).time_zone or browsers_zone(request))


def local_time(moment: datetime) -> datetime:
    """The moment in the time zone of the page; in its own where that has no such year."""
    try:
        return timezone.localtime(moment)
    except OverflowError:
        return moment


def _theme_of(request: HttpRequest) -> str:
    theme = preferences_of(request).theme
    return "" if theme == "system" else theme


class LocalizationMiddleware:
    """Answers pages in the person's language and time zone, and sets `request.theme`: "light" or
    "dark", or "" for what the system says. It stands behind whatever knows who asks."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        theme = SimpleLazyObject(lambda: _theme_of(request))  # its documentation is a page, too
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
