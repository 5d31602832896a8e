"""Parsing of requests: query parameters, headers of the body, and its JSON value."""

import re
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from api.operation import Parameter
from api.problems import (
    BadParameter,
    BodyTooLarge,
    IncompleteBody,
    LengthRequired,
    UnknownParameter,
    UnsupportedMediaType,
)
from api.request import ApiRequest
from workspace.strict_json import load_strict

# The charset may be quoted, in any case, and spelled utf8 (RFC 9110, section 8.3.2).
_CONTENT_TYPE = re.compile(
    r'(?P<type>[^\s;]+)\s*+(?:;\s*+(?:charset\s*+=\s*+("?)utf-?8\2)?\s*+)*', re.IGNORECASE
)
_LENGTH = re.compile("[0-9]{1,18}", re.ASCII)


def check_parameters(request: HttpRequest, parameters: tuple[Parameter, ...]) -> None:
    """Refuse unknown and repeated parameters. Otherwise a misspelled filter would go unnoticed."""
    if not request.META.get("QUERY_STRING"):
        return
    known = {parameter.name: parameter for parameter in parameters}
    strange = sorted(name for name in request.GET if name not in known)
    if strange:
        takes = f"only {', '.join(known)}" if known else "no parameters"
        names = ", ".join(strange[:5])[:200]
        raise UnknownParameter(f"{request.path} takes {takes}. Leave out {names}.")
    for name, values in request.GET.lists():
        if len(values) > 1 and not known[name].many:
            raise BadParameter(f"Give {name} once.")


def read_json(request: ApiRequest) -> Any:
    """Return the JSON value in the body, in a media type that the operation accepts.

    Headers are checked before any of the body is read. Raises `Refusal` and `MalformedBody`.
    """
    check_media_type(request)
    length = content_length(request, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    body = request.body
    if len(body) != length:
        raise IncompleteBody(f"{len(body)} of {length} bytes came. Send the body again.")
    return load_strict(body)


def check_media_type(request: ApiRequest) -> str:
    """Return the media type of the body in lower case. Raises `UnsupportedMediaType`."""
    media_types = request.operation.bodies
    match = _CONTENT_TYPE.fullmatch(request.META.get("CONTENT_TYPE", "").strip())
    if match is None or match["type"].lower() not in media_types:
        raise UnsupportedMediaType(
            f"Send Content-Type: {' or '.join(media_types)}, in UTF-8.",
            {"Accept-Patch" if request.method == "PATCH" else "Accept": ", ".join(media_types)},
        )
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "identity")
    if encoding.strip().lower() != "identity":
        raise UnsupportedMediaType("Send the body without Content-Encoding.")
    return str(match["type"].lower())


def content_length(request: HttpRequest, most: int | None) -> int:
    """Return the declared length of the body.

    Raises `LengthRequired`, `IncompleteBody`, and `BodyTooLarge` if it is above `most` bytes.
    """
    text = request.META.get("CONTENT_LENGTH") or ""
    # Under WSGI, a chunked body would read as empty.
    if not text or "HTTP_TRANSFER_ENCODING" in request.META:
        raise LengthRequired("Send Content-Length, and no Transfer-Encoding.")
    if not _LENGTH.fullmatch(text):
        raise IncompleteBody("Content-Length must be a number of bytes.")
    if most is not None and int(text) > most:
        raise BodyTooLarge(f"A body may have {most} bytes; this one has {int(text)}.")
    return int(text)
