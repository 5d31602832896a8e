"""HTTP for the API: authentication, parsing of requests, and responses.

This module knows no collection. `endpoint` builds a Django view with an operation per method.
Exceptions of handlers become problem details by the table in `problems`.
"""

import logging
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponsePermanentRedirect,
    QueryDict,
)
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.urls import Resolver404, resolve
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject
from django.views.decorators.csrf import csrf_exempt

from accounts.api.limits import limit_headers
from accounts.api.operations import JSON, Operation, Parameter
from accounts.api.problems import (
    BadParameter,
    BodyTooLarge,
    CsrfFailed,
    IncompleteBody,
    InsufficientScope,
    LengthRequired,
    MethodNotAllowed,
    NoSuchAddress,
    NotAuthenticated,
    PlainHttp,
    TooManyBadTokens,
    UnknownParameter,
    UnsupportedMediaType,
    problem_of,
    problem_response,
)
from accounts.credentials import known_credentials
from accounts.guards import address_of
from accounts.models import User
from accounts.throttle import bad_tokens
from accounts.token_lookup import TokenRow
from accounts.tokens import live_token
from docstore import StoreError, to_json
from utils.caller import Caller
from utils.json.body import load_body
from utils.json_storage import Quota, TooManyCalls, latest_commit, latest_quota
from utils.middleware import API_PREFIX, METHODS, StorageRequest
from utils.people.storage import StorageFull

log = logging.getLogger(__name__)

SEQUENCE = "NeuralFlow-Sequence"  # response header with the number of the call's commit
_CHALLENGE = 'Bearer realm="NeuralFlow"'
# The charset may be quoted, in any case, and spelled utf8 (RFC 9110, section 8.3.2).
_CONTENT_TYPE = re.compile(
    r'(?P<type>[^\s;]+)\s*+(?:;\s*+(?:charset\s*+=\s*+("?)utf-?8\2)?\s*+)*', re.IGNORECASE
)
_LENGTH = re.compile("[0-9]{1,18}", re.ASCII)


class ApiRequest(StorageRequest):
    """A request with an authenticated caller. `quota` is set by handlers that count the call."""

    user: User
    caller: Caller
    scopes: Collection[str]
    operation: Operation
    quota: Quota
    quota_before: Quota | None = None  # before the call, if the store can be read


class Endpoint:
    """The view of a URL: its operations, HEAD if it has GET, and OPTIONS."""

    csrf_exempt = True  # tokens need no CSRF check; `_authenticate` checks sessions

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self.operations = operations
        methods = {*operations, "OPTIONS"} | ({"HEAD"} if "GET" in operations else set())
        self.allow = {"Allow": ", ".join(sorted(methods))}
        patches = operations["PATCH"].bodies if "PATCH" in operations else ()
        # RFC 5789, section 3.1
        self.told = self.allow | ({"Accept-Patch": ", ".join(patches)} if patches else {})

    def __call__(self, request: ApiRequest, **route: Any) -> HttpResponseBase:
        operation = self.operations.get("GET" if request.method == "HEAD" else str(request.method))
        known = operation is None or not operation.open
        return _answered(request, lambda: self._answer(request, operation, route), known=known)

    def _answer(
        self, request: ApiRequest, operation: Operation | None, route: Mapping[str, Any]
    ) -> HttpResponseBase:
        if request.method == "OPTIONS":
            _check_parameters(request, ())
            return no_content(self.told)
        if operation is None:
            raise MethodNotAllowed(f"{request.path} takes {self.allow['Allow']}.", self.allow)
        if not operation.judges_query:
            _check_parameters(request, operation.parameters)
        if not operation.open:
            _check_scope(request, operation)
            _check_burst(request)
        request.operation = operation
        return _with_sequence(operation.handler(request, **route))


def _with_sequence(response: HttpResponseBase) -> HttpResponseBase:
    """Add the commit number to the response if the call made a commit."""
    number = latest_commit.get()
    if number:
        response[SEQUENCE] = str(number)
    return response


def endpoint(**operations: Operation) -> Endpoint:
    """Return the view for these operations, by HTTP method."""
    return Endpoint(operations)


def _answered(
    request: ApiRequest, answer: Callable[[], HttpResponseBase], *, known: bool = True
) -> HttpResponseBase:
    """Run `answer` with authentication and error handling, and return the complete response.

    `known` requires an authenticated caller. It is False for open operations.
    """
    try:
        _refuse_strange_method(request)
        _refuse_plain_http(request)
        if known:
            _authenticate(request)
        response = answer()
    except Exception as fault:
        _note(request, fault)
        response = problem_response(request, fault)
        _charge_refusal(request, fault)
        latest_quota.set(None)
    _tell_limits(request, response)
    return _sealed(response)


def _check_burst(request: ApiRequest) -> None:
    """Raise `TooManyCalls` if the caller's burst is exhausted, before any other work.

    Without this check, calls that are refused later would be unlimited.
    """
    with suppress(StoreError):  # the handler will raise it
        request.quota_before = request.json_storage.quota(request.caller.user_id)
        request.quota_before.check_burst()


def _charge_refusal(request: ApiRequest, fault: Exception) -> None:
    """Count a refused call in the caller's burst: refusing costs work, too."""
    caller = getattr(request, "caller", None)
    is_own = problem_of(fault).status < 500 or isinstance(fault, StorageFull)
    if caller is not None and is_own:
        with suppress(StoreError, TooManyCalls):
            request.json_storage.take_free_call(caller.user_id)


def _refuse_plain_http(request: HttpRequest) -> None:
    """Raise `PlainHttp` for a call without TLS if TLS is required.

    With a redirect, the client would send its token in the clear at every call, unnoticed.
    """
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        raise PlainHttp("Call over https, and revoke the token: it travelled in the clear.")


def _refuse_strange_method(request: HttpRequest) -> None:
    if request.method not in METHODS:
        allowed = ", ".join(METHODS)
        raise MethodNotAllowed(f"This server answers {allowed}.", {"Allow": allowed})


def _unknown_address(request: ApiRequest) -> HttpResponse:
    """Redirect a read without its trailing slash, and refuse everything else."""
    try:
        meant = bool(resolve(f"{request.path_info}/").url_name)
    except Resolver404:
        meant = False
    if not meant:
        raise NoSuchAddress("See the documentation of the API for its addresses.")
    if request.method in {"GET", "HEAD"}:
        return HttpResponsePermanentRedirect(request.get_full_path(force_append_slash=True))
    raise NoSuchAddress(f"Addresses end with a slash: {request.path}/ is meant, perhaps.")


# Exempt for the same reason as `Endpoint`.
@csrf_exempt
def unknown_address(request: ApiRequest) -> HttpResponseBase:
    """The view of unknown URLs. It authenticates first, so strangers cannot probe for URLs."""
    return _answered(request, lambda: _unknown_address(request))


def problem_or_page(page: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Return a Django error handler that responds with problem details for API URLs."""

    def handler(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
        if request.path.startswith(API_PREFIX):
            return _sealed(problem_response(request, exception or Exception()))
        return page(request) if exception is None else page(request, exception)

    return handler


# Authentication


def _authenticate(request: ApiRequest) -> None:
    """Set `request.user`, `caller` and `scopes`, or raise `NotAuthenticated`.

    An Authorization header decides alone. Otherwise a call with a bad token would succeed if the
    browser also sent a session cookie.
    """
    authorization = request.META.get("HTTP_AUTHORIZATION")
    if authorization is not None:
        token = _token_of(request, authorization)
        # Most calls need only the id, so the account is loaded lazily.
        request.user = SimpleLazyObject(lambda: token.user)  # type: ignore[assignment]
        request.caller, request.scopes = Caller(token.user_id, str(token.pk)), token.scopes
        known_credentials.note(authorization.strip().rpartition(" ")[2], token.user_id)
        return
    if not (request.user.is_authenticated and request.user.is_active):
        raise NotAuthenticated(
            "Send a token (Authorization: Bearer nf_...), or sign in first.",
            {"WWW-Authenticate": _CHALLENGE},
        )
    _check_origin(request)
    request.caller, request.scopes = Caller(request.user.pk), ("write",)


def is_still_known(request: ApiRequest) -> bool:
    """Return whether the caller's token or session is still valid.

    For responses that take long, during which it may be revoked.
    """
    authorization = request.META.get("HTTP_AUTHORIZATION")
    if authorization is None:
        request.session = type(request.session)(request.session.session_key)
        return get_user(request).pk == request.user.pk
    token = live_token(authorization.partition(" ")[2].strip())
    return token is not None and token.user_id == request.caller.user_id


def refuse_if_ended(request: ApiRequest) -> None:
    """Raise `NotAuthenticated` if the call's token or session is no longer valid."""
    if not is_still_known(request):
        raise NotAuthenticated(
            "The token or the session of this call has ended.", {"WWW-Authenticate": _CHALLENGE}
        )


def _token_of(request: ApiRequest, authorization: str) -> TokenRow:
    scheme, _, text = authorization.partition(" ")
    token = live_token(text.strip()) if scheme.lower() == "bearer" else None
    if token is None:
        address = address_of(request)
        wait = bad_tokens.wait(address)
        log.warning("A bad token came from %s (request %s)", address, request.request_id)
        if wait:
            raise TooManyBadTokens("Stop, and look at the token.", {"Retry-After": str(wait)})
        challenge = f'{_CHALLENGE}, error="invalid_token"'
        raise NotAuthenticated(
            "This is no valid token of an active account.", {"WWW-Authenticate": challenge}
        )
    return token


def _check_scope(request: ApiRequest, operation: Operation) -> None:
    """Raise `InsufficientScope` if the token does not permit the operation (RFC 6750, 3.1)."""
    if not operation.allowed_by(request.scopes):
        challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{operation.scopes[0]}"'
        raise InsufficientScope(
            f"This token is not for that. One with {' or '.join(operation.scopes)} is.",
            {"WWW-Authenticate": challenge},
        )


class _OriginCheck(CsrfViewMiddleware):
    """Django's CSRF check, raising `CsrfFailed` instead of rendering a page."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        raise CsrfFailed(f"{reason} Send the token that our pages' forms hold as X-CSRFToken.")


def _check_origin(request: HttpRequest) -> None:
    # The check would look for the token in a form first, and read a body of any size for that. The
    # API accepts no forms.
    request.POST = QueryDict()
    _OriginCheck(_accepted).process_view(request, _accepted, (), {})


def _accepted(request: HttpRequest) -> HttpResponse:
    """A view that the CSRF check requires. Its response is discarded."""
    return HttpResponse()


# Requests


def _check_parameters(request: HttpRequest, parameters: tuple[Parameter, ...]) -> None:
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
    return load_body(body)


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


# Responses


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


def _sealed(response: HttpResponseBase) -> HttpResponseBase:
    """Add the headers of every response: no MIME sniffing, and no caching unless public."""
    response["X-Content-Type-Options"] = "nosniff"
    if not response.get("Cache-Control", "").startswith("public"):
        response["Cache-Control"] = "no-store"
        patch_vary_headers(response, ["Authorization", "Cookie"])
    return response


def _tell_limits(request: ApiRequest, response: HttpResponseBase) -> None:
    """Add the rate limit headers to a response for a known caller."""
    caller = getattr(request, "caller", None)
    if caller is None:
        return
    with suppress(StoreError):  # the response is valid without these headers
        quota = getattr(request, "quota", None) or latest_quota.get()
        quota = quota or request.json_storage.quota(caller.user_id)
        for name, value in limit_headers(quota).items():
            response[name] = value


def _note(request: ApiRequest, fault: Exception) -> None:
    """Log errors of the server, as opposed to those of the client."""
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
