"""Middleware that answers probes and watchers with a token before anything else."""

import uuid
from collections.abc import Callable

from csp.constants import HEADER
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from core.health import views
from core.metrics import has_token
from neuralflow.security_headers import HEADERS, PolicyMiddleware

_METHODS = ("GET", "HEAD")
_PROBES = {"/livez": views.livez, "/readyz": views.readyz}
_WITH_TOKEN = {"/healthz": views.healthz, "/metrics": views.metrics}


class ProbeMiddleware:
    """Answer `/livez` and `/readyz`, and `/healthz` and `/metrics` with the token.

    A container or a load balancer calls them by an address that ALLOWED_HOSTS does not have, over
    HTTP, every few seconds. So they are not checked, redirected, counted or logged.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if request.method not in _METHODS:
            return self.get_response(request)
        if path in _PROBES:
            return _private(_PROBES[path](request))
        if path in _WITH_TOKEN and has_token(request.META.get("HTTP_AUTHORIZATION", "")):
            return _private(_WITH_TOKEN[path](request))
        return self.get_response(request)


def _private(response: HttpResponse) -> HttpResponse:
    """Set the headers that the other middleware sets on every response."""
    response["X-Request-ID"] = str(uuid.uuid4())
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    response["X-Frame-Options"] = "DENY"
    response[HEADER] = PolicyMiddleware.NOT_A_PAGE
    for name, value in HEADERS.items():
        response[name] = value
    return response
