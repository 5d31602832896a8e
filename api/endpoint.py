"""Views of the API: `endpoint` builds one with an operation per method.

This module knows no collection. Exceptions of handlers become problem details by the table in
`problems`.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from django.views.decorators.csrf import csrf_exempt

from api.authentication import authenticate, check_scope
from api.operation import Operation
from api.parsing import check_parameters
from api.problems import MethodNotAllowed, NoSuchAddress, PlainHttp, problem_of, problem_response
from api.rate_limit_headers import limit_headers
from api.request import ApiRequest
from api.responses import no_content, sealed, with_sequence
from docstore import StoreError
from utils.middleware import API_PREFIX, METHODS
from workspace.request_context import latest_quota
from workspace.users.quota import TooManyCalls
from workspace.users.storage_use import StorageFull

log = logging.getLogger(__name__)


class Endpoint:
    """The view of a URL: its operations, HEAD if it has GET, and OPTIONS."""

    csrf_exempt = True  # tokens need no CSRF check; `authenticate` checks sessions

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
            check_parameters(request, ())
            return no_content(self.told)
        if operation is None:
            raise MethodNotAllowed(f"{request.path} takes {self.allow['Allow']}.", self.allow)
        if not operation.judges_query:
            check_parameters(request, operation.parameters)
        if not operation.open:
            check_scope(request, operation)
            _check_burst(request)
        request.operation = operation
        return with_sequence(operation.handler(request, **route))


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
            authenticate(request)
        response = answer()
    except Exception as fault:
        _note(request, fault)
        response = problem_response(request, fault)
        _charge_refusal(request, fault)
        latest_quota.set(None)
    _tell_limits(request, response)
    return sealed(response)


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
            return sealed(problem_response(request, exception or Exception()))
        return page(request) if exception is None else page(request, exception)

    return handler


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
