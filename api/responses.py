"""Responses of the API, and the headers that all of them have."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from api.operation import JSON
from docstore import to_json
from workspace.request_context import latest_commit

SEQUENCE = "NeuralFlow-Sequence"  # response header with the number of the call's commit


def json_response(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Return a response with `value` as JSON."""
    return HttpResponse(
        to_json(value), status=status, content_type=JSON, headers=dict(headers or {})
    )


def no_content(headers: Mapping[str, str] | None = None, status: int = 204) -> HttpResponse:
    """Return a response without a body."""
    response = HttpResponse(status=status, headers=dict(headers or {}))
    del response["Content-Type"]
    return response


def sealed(response: HttpResponseBase) -> HttpResponseBase:
    """Add the headers of every response: no MIME sniffing, and no caching unless public."""
    response["X-Content-Type-Options"] = "nosniff"
    if not response.get("Cache-Control", "").startswith("public"):
        response["Cache-Control"] = "no-store"
        patch_vary_headers(response, ["Authorization", "Cookie"])
    return response


def with_sequence(response: HttpResponseBase) -> HttpResponseBase:
    """Add the commit number to the response if the call made a commit."""
    number = latest_commit.get()
    if number:
        response[SEQUENCE] = str(number)
    return response
