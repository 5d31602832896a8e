"""The OpenAPI document, and its rendering as a page."""

import hashlib
from functools import cache

import msgspec
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response

from accounts.api.http import endpoint
from accounts.api.openapi import document
from accounts.api.operations import JSON, Answer, Operation
from accounts.api.page import Page


@cache
def _text() -> tuple[bytes, str]:
    """Return the encoded document and its entity tag."""
    text = msgspec.json.encode(document())
    return text, f'"{hashlib.blake2b(text, digest_size=12).hexdigest()}"'


def _openapi(request: HttpRequest) -> HttpResponse:
    text, version = _text()
    headers = {"ETag": version, "Cache-Control": "public, max-age=3600"}
    response = HttpResponse(text, content_type=JSON, headers=headers)
    not_modified = get_conditional_response(request, etag=version, response=response)
    return not_modified or response


def _docs(request: HttpRequest) -> HttpResponse:
    page = Page(document(), request.build_absolute_uri("/").rstrip("/"))
    return render(request, "accounts/api.html", {"page": page})


docs_view = endpoint(
    GET=Operation(
        _docs,
        "This document as a page",
        {200: Answer("The page", {"type": "string"}, media_type="text/html")},
        writes=False,
        counted=False,
        open=True,
    )
)

openapi_view = endpoint(
    GET=Operation(
        _openapi,
        "This document",
        {
            200: Answer("The OpenAPI document", {"type": "object"}, ("ETag",)),
            304: Answer("It is the one you have", None, ("ETag",)),
        },
        writes=False,
        counted=False,
        open=True,
    )
)
