"""The addresses that machines watch: `/livez`, `/readyz`, `/healthz` and `/metrics`."""

from __future__ import annotations

import json

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from core.health.readiness import Readiness, recent
from core.health.report import health
from core.metrics import exposition, has_token
from utils.json_storage import json_storage

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"


@require_safe
def livez(request: HttpRequest) -> HttpResponse:
    """Answer that the server runs. Only a restart helps if this does not answer."""
    return HttpResponse("ok\n", content_type=_TEXT)


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 if requests can be served and changes stored, otherwise 503.

    The response names the checks only: reasons contain paths, and anybody may ask.
    """
    ready = recent.get()
    value = {
        "status": "ready" if ready.is_ready else "not ready",
        "checks": {check.name: "failed" if check.problem else "ok" for check in ready.checks},
    }
    return _answer(value, _status(ready))


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer with everything that is known of the server's health, for staff or with the token."""
    if refusal := _refusal(request):
        return refusal
    ready = recent.get()
    return _answer(health(json_storage, ready), _status(ready))


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the metrics for Prometheus, for staff or with the token."""
    if refusal := _refusal(request):
        return refusal
    content, content_type = exposition(request.headers.get("Accept", ""))
    return HttpResponse(content, content_type=content_type)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """Return 401 if neither token nor session came, or None. Raises `Http404` for other users."""
    if has_token(request.headers.get("Authorization", "")):
        return None
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        challenge = 'Bearer realm="NeuralFlow metrics"'
        text = "Log in as staff, or send the token of NEURALFLOW_METRICS_TOKEN.\n"
        return HttpResponse(
            text, status=401, content_type=_TEXT, headers={"WWW-Authenticate": challenge}
        )
    if not user.is_staff:
        raise Http404
    return None


def _status(ready: Readiness) -> int:
    return 200 if ready.is_ready else 503


def _answer(value: object, status: int) -> HttpResponse:
    return HttpResponse(json.dumps(value, indent=2) + "\n", status=status, content_type=_JSON)
