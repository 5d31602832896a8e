"""Middleware that counts each request and logs one line about it."""

import time
from collections.abc import Callable

from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from core.tally import tally
from neuralflow.request_log import RequestLine, request_log
from utils.middleware import METHODS

_METHODS = frozenset(METHODS)
_STATIC = "static"
_NO_ROUTE = "unknown"


class RequestMiddleware:
    """Count and log requests by route, so that no address with a secret gets into either."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        begun = time.perf_counter()
        response = self.get_response(request)
        seconds = time.perf_counter() - begun
        method = request.method if request.method in _METHODS else "OTHER"
        route = _route(request, response)
        tally.request(method or "", response.status_code, route, seconds)
        if request_log.is_on and route != _STATIC:
            line = RequestLine(
                method=method or "",
                route=route,
                status=response.status_code,
                duration_ms=round(seconds * 1000, 2),
                request_id=getattr(request, "request_id", ""),
                user_id=_user_id(request),
            )
            request_log.write(line)
        return response


def _route(request: HttpRequest, response: HttpResponseBase) -> str:
    """Return the pattern of the address. Its number is bounded, whatever clients ask for."""
    match = request.resolver_match
    if match is not None:
        return f"/{match.route}"
    is_static = response.status_code in (200, 206, 304) and request.path_info.startswith("/static/")
    return _STATIC if is_static else _NO_ROUTE


def _user_id(request: HttpRequest) -> int | None:
    """Return the id of the caller, or None. Reads neither session nor database for it."""
    caller = getattr(request, "caller", None)
    if caller is not None:
        return int(caller.user_id)
    session = getattr(request, "session", None)
    if session is None or not session.accessed:
        return None
    key = session.get(SESSION_KEY)
    return int(key) if key is not None else None
