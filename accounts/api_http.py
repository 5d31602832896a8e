"""How the API speaks HTTP: who calls, what they send, and how they are answered.

It knows no collection. `endpoint` makes a Django view of one handler for each method; whatever a
handler raises becomes a problem by the table in `api_problems`.
"""

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponsePermanentRedirect,
    QueryDict,
)
from django.middleware.csrf import CsrfViewMiddleware
from django.urls import Resolver404, resolve
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import csrf_exempt

from accounts.api_problems import (
    BodyTooLarge,
    CsrfFailed,
    IncompleteBody,
    InsufficientScope,
    LengthRequired,
    MethodNotAllowed,
    NoSuchAddress,
    NotAuthenticated,
    UnknownParameter,
    UnsupportedMediaType,
    problem_of,
    problem_response,
)
from accounts.models import User
from accounts.tokens import READ, WRITE, Bearer, bearer_of, permits
from docstore import to_json
from utils.json_body import load_body
from utils.middleware import API_PREFIX, METHODS, StorageRequest

log = logging.getLogger(__name__)

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

_CHALLENGE = 'Bearer realm="NeuralFlow"'
_CONTENT_TYPE = re.compile(
    r'(?P<type>[^\s;]+)\s*(?:;\s*charset\s*=\s*("?)utf-8\2\s*)?', re.IGNORECASE
)
_LENGTH = re.compile("[0-9]{1,18}", re.ASCII)


class ApiRequest(StorageRequest):
    """A request whose caller is known: `bearer` where a token speaks, None in a session."""

    user: User
    bearer: Bearer | None


Handler = Callable[..., HttpResponse]


def endpoint(**handlers: Handler) -> Callable[..., HttpResponse]:
    """A view that answers the methods named, HEAD where there is GET, and OPTIONS."""
    methods = {*handlers, "OPTIONS"} | ({"HEAD"} if "GET" in handlers else set())
    allow = {"Allow": ", ".join(sorted(methods))}

    def answer(request: ApiRequest, **route: Any) -> HttpResponse:
        _refuse_parameters(request)
        if request.method == "OPTIONS":
            return no_content(allow)
        handler = handlers.get("GET" if request.method == "HEAD" else str(request.method))
        if handler is None:
            raise MethodNotAllowed(f"{request.path} takes {allow['Allow']}.", allow)
        check_scope(request, route.get("collection", ""), writes=handler is not handlers.get("GET"))
        return handler(request, **route)

    return _view(answer)


def _view(answer: Handler) -> Callable[..., HttpResponse]:
    """What all addresses of the API have in common: a known caller, and problems told as such."""

    # Exempt because a token needs no proof of origin; `_authenticate` asks sessions for it.
    @csrf_exempt
    def view(request: ApiRequest, **route: Any) -> HttpResponse:
        try:
            _refuse_strange_method(request)
            _authenticate(request)
            response = answer(request, **route)
        except Exception as fault:
            _note(request, fault)
            response = problem_response(request, fault)
        return _sealed(response)

    return view


def _refuse_strange_method(request: HttpRequest) -> None:
    if request.method not in METHODS:
        allowed = ", ".join(METHODS)
        raise MethodNotAllowed(f"This server answers {allowed}.", {"Allow": allowed})


def _unknown_address(request: ApiRequest) -> HttpResponse:
    """Tells a client that forgot the last slash; reading is sent on, a body is not."""
    try:
        meant = bool(resolve(f"{request.path_info}/").url_name)
    except Resolver404:
        meant = False
    if not meant:
        raise NoSuchAddress("See the documentation of the API for its addresses.")
    if request.method in {"GET", "HEAD"}:
        return HttpResponsePermanentRedirect(request.get_full_path(force_append_slash=True))
    raise NoSuchAddress(f"Addresses end with a slash: {request.path}/ is meant, perhaps.")


unknown_address = _view(_unknown_address)


def problem_or_page(page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """One of Django's error handlers, which answers with a problem under the API's addresses."""

    def handler(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
        if request.path.startswith(API_PREFIX):
            return _sealed(problem_response(request, exception or Exception()))
        return page(request) if exception is None else page(request, exception)

    return handler


# Who calls


def _authenticate(request: ApiRequest) -> None:
    """Sets `request.user` to an active account, or refuses.

    A call that brings credentials of its own is judged by them alone: with a bad token it must
    not pass on the session of a browser that happened to send one.
    """
    authorization = request.META.get("HTTP_AUTHORIZATION")
    request.bearer = None
    if authorization is not None:
        request.bearer = _bearer_of(authorization)
        request.user = request.bearer.user
        return
    if not (request.user.is_authenticated and request.user.is_active):
        raise NotAuthenticated(
            "Send a token (Authorization: Bearer nf_...), or sign in first.",
            {"WWW-Authenticate": _CHALLENGE},
        )
    _check_origin(request)


def _bearer_of(authorization: str) -> Bearer:
    scheme, _, token = authorization.partition(" ")
    bearer = bearer_of(token.strip()) if scheme.lower() == "bearer" else None
    if bearer is None:
        challenge = f'{_CHALLENGE}, error="invalid_token"'
        raise NotAuthenticated(
            "This is no valid token of an active account.", {"WWW-Authenticate": challenge}
        )
    return bearer


def check_scope(request: ApiRequest, area: str, *, writes: bool) -> None:
    """Refuses a call that its token was not made for (RFC 6750, section 3.1). Sessions may all."""
    if request.bearer is None or permits(request.bearer.scopes, area, writes=writes):
        return
    needed = f"{area}:{_right(writes)}" if area else _right(writes)
    challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{needed}"'
    raise InsufficientScope(
        f"This token lacks the scope {needed}. Make one that has it.",
        {"WWW-Authenticate": challenge},
    )


def _right(writes: bool) -> str:
    return WRITE if writes else READ


class _OriginCheck(CsrfViewMiddleware):
    """Django's own check, which tells its reason instead of answering with a page."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        raise CsrfFailed(f"{reason} Send the token of the csrftoken cookie as X-CSRFToken.")


def _check_origin(request: HttpRequest) -> None:
    # The check would look for the token in a form first, and for that read a body of any size
    # and kind. The API takes no forms.
    request.POST = QueryDict()
    _OriginCheck(_accepted).process_view(request, _accepted, (), {})


def _accepted(request: HttpRequest) -> HttpResponse:
    """What the check protects, for it: nothing is answered by it."""
    return HttpResponse()


# What they send


def _refuse_parameters(request: HttpRequest) -> None:
    """No address takes parameters; a misspelt one must not pass for an answered one."""
    if request.GET:
        names = ", ".join(sorted(request.GET)[:5])[:200]
        raise UnknownParameter(f"{request.path} takes no parameters. Leave out {names}.")


def read_json(request: HttpRequest, *media_types: str) -> Any:
    """The JSON value in the body, sent as one of the media types (JSON if none is named).

    Everything that the headers tell is judged before any of the body is read. Raises `Refusal`
    and `MalformedBody`.
    """
    _check_media_type(request, media_types or (JSON,))
    length = _content_length(request)
    body = request.body
    if len(body) != length:
        raise IncompleteBody(f"{len(body)} of {length} bytes came. Send the body again.")
    return load_body(body)


def _check_media_type(request: HttpRequest, media_types: tuple[str, ...]) -> None:
    said = _CONTENT_TYPE.fullmatch(request.META.get("CONTENT_TYPE", "").strip())
    if said is None or said["type"].lower() not in media_types:
        raise UnsupportedMediaType(
            f"Send Content-Type: {' or '.join(media_types)}, in UTF-8.",
            {"Accept-Patch" if request.method == "PATCH" else "Accept": ", ".join(media_types)},
        )
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "identity")
    if encoding.strip().lower() != "identity":
        raise UnsupportedMediaType("Send the body without Content-Encoding.")


def _content_length(request: HttpRequest) -> int:
    text = request.META.get("CONTENT_LENGTH") or ""
    # Under WSGI a body in chunks reads as an empty one.
    if not text or "HTTP_TRANSFER_ENCODING" in request.META:
        raise LengthRequired("Send Content-Length, and no Transfer-Encoding.")
    if not _LENGTH.fullmatch(text):
        raise IncompleteBody("Content-Length must be a number of bytes.")
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if most is not None and int(text) > most:
        raise BodyTooLarge(f"A body may have {most} bytes; this one has {int(text)}.")
    return int(text)


# How they are answered


def json_response(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """An answer that carries `value` as JSON."""
    return HttpResponse(
        to_json(value), status=status, content_type=JSON, headers=dict(headers or {})
    )


def no_content(headers: Mapping[str, str] | None = None) -> HttpResponse:
    """204, an answer without a body."""
    response = HttpResponse(status=204, headers=dict(headers or {}))
    del response["Content-Type"]
    return response


def _sealed(response: HttpResponse) -> HttpResponse:
    """The answer with what every answer says: it is for this caller only, and it is what it says.
    A redirect tells no caller's data but goes the same way."""
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    patch_vary_headers(response, ["Authorization", "Cookie"])
    return response


def _note(request: ApiRequest, fault: Exception) -> None:
    """Logs what the server, rather than the client, has to do something about."""
    problem = problem_of(fault)
    if problem.status < 500:
        return
    unexpected = fault if problem.status == 500 else None
    log.error(
        "%s %s was answered %s: %s (request %s)",
        request.method,
        request.path,
        problem.status,
        fault,
        request.request_id,
        exc_info=unexpected,
        extra={"request": request},
    )
