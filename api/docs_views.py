"""The OpenAPI document, and its rendering as a page."""

import hashlib
from functools import cache

import msgspec
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from api.docs_page import DocsPage
from api.endpoint import endpoint
from api.openapi import document
from api.operation import JSON, OPEN, Answer, Operation, answers
from api.preconditions import Conditions, etag
from api.responses import no_content


@cache
def _text() -> tuple[bytes, str]:
    """Return the encoded document and its version."""
    text = msgspec.json.encode(document())
    return text, hashlib.blake2b(text, digest_size=12).hexdigest()


def _openapi(request: HttpRequest) -> HttpResponse:
    text, version = _text()
    headers = {"ETag": etag(version), "Cache-Control": "public, max-age=3600"}
    if Conditions.of(request).is_known(version):
        return no_content(headers, 304)
    return HttpResponse(text, content_type=JSON, headers=headers)


def _docs(request: HttpRequest) -> HttpResponse:
    page = DocsPage(document(), request.build_absolute_uri("/").rstrip("/"))
    return render(request, "api/docs.html", {"page": page})


docs_view = endpoint(
    GET=Operation(
        _docs,
        "This document as a page",
        answers({200: Answer("The page", {"type": "string"}, media_type="text/html")}, common=OPEN),
        writes=False,
        counted=False,
        open=True,
    )
)

openapi_view = endpoint(
    GET=Operation(
        _openapi,
        "This document",
        answers(
            {
                200: Answer("The OpenAPI document", {"type": "object"}, ("ETag",)),
                304: Answer("It is the one you have", None, ("ETag",)),
            },
            common=OPEN,
        ),
        writes=False,
        counted=False,
        open=True,
    )
)
