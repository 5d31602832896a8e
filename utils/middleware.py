"""Middleware that gives each request the store, a request id and the client address."""

import ipaddress
import logging
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib import import_module

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.defaults import page_not_found

from docstore import (
    Conflict,
    Corrupt,
    InvalidValue,
    NotFound,
    OutOfSpace,
    StoreError,
    TooLarge,
    TooMuchAtOnce,
    Unavailable,
)
from utils.json_storage import JSONStorageManager, json_storage
from workspace.request_context import latest_commit, latest_quota
from workspace.request_context import request_id as current_request_id
from workspace.sharing.permissions import Forbidden
from workspace.users.storage_use import StorageFull
from workspace.users.written_bytes import TooManyBytes

log = logging.getLogger(__name__)

API_PREFIX = "/accounts/api/"
UPLOADS = "/settings/data/"  # the form that accepts archives
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
USER_AGENT_CHARACTERS_MAX = 300

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Addresses in the forms that proxies write: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1]:80
_HOP = re.compile(r"\[(?P<bracketed>[^\[\]]+)\](:\d+)?|(?P<four>[\d.]+)(:\d+)?|(?P<six>[^\[\]]+)")


class StorageRequest(HttpRequest):
    """A request after `JSONStorageMiddleware`."""

    json_storage: JSONStorageManager
    client_address: str
    request_id: str


class JSONStorageMiddleware:
    """Set `request.json_storage`, `request.client_address` and `request.request_id`.

    Renders an error page for storage errors of pages. The API handles its own. Responses get
    "Cache-Control: no-store" unless they set their own, as static files do.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: StorageRequest) -> HttpResponseBase:
        trusted: Sequence[Network] = settings.NEURALFLOW_TRUSTED_PROXIES
        request.json_storage = json_storage
        request.request_id = str(uuid.uuid4())
        # Commits made for this request record its id.
        current_request_id.set(request.request_id)
        latest_commit.set(0)
        latest_quota.set(None)
        request.client_address = client_address(
            request.META.get("REMOTE_ADDR", ""),
            request.META.get("HTTP_X_FORWARDED_FOR", ""),
            trusted,
        )
        if trusted:
            _believe_scheme(request, trusted)
        response = self.get_response(request)
        response["X-Request-ID"] = request.request_id
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def process_exception(
        self, request: StorageRequest, exception: Exception
    ) -> HttpResponse | None:
        if request.path.startswith(API_PREFIX):
            return None
        if isinstance(exception, Forbidden):
            return render(request, "403.html", {"only_reads": True}, status=403)
        if not isinstance(exception, StoreError):
            return None
        if isinstance(exception, NotFound):
            return page_not_found(request, exception)
        return storage_refusal(request, exception)


class RefusalMiddleware:
    """Refuse requests that no page accepts, before any other work.

    It must come after the middleware that sets headers on every response.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # Raises DisallowedHost. Serving a static file would not check the Host otherwise.
        request.get_host()
        return _refusal(request) or self.get_response(request)


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Return the client's address as far as it can be trusted, or "" if the peer has none.

    The rightmost entry of X-Forwarded-For was written by the peer. It is used if the peer is a
    trusted proxy, and so on to the left. Entries left of the first untrusted address can be forged
    by the client.
    """
    return _client_address(peer, forwarded_for, tuple(trusted))


@lru_cache(maxsize=256)  # most requests come from few addresses
def _client_address(peer: str, forwarded_for: str, trusted: tuple[Network, ...]) -> str:
    address = parse_address(peer)
    if address is None:
        return ""
    for hop in reversed(forwarded_for.split(",")):
        before = parse_address(hop) if _is_trusted(address, trusted) else None
        if before is None:
            break
        address = before
    return str(address)


def client_network(address: str) -> str:
    """Return the subject for limits: an IPv4 address itself, the /64 network of an IPv6 address.

    One IPv6 client has 2**64 addresses. Counted one by one, each would have limits of its own.
    """
    return str(ipaddress.ip_network(f"{address}/64", strict=False)) if ":" in address else address


def parse_address(text: str) -> Address | None:
    """Return the address in *text* without port, brackets and zone, or None."""
    match = _HOP.fullmatch(text.strip())
    if match is None:
        return None
    bare = match["bracketed"] or match["four"] or match["six"]
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    # A dual-stack socket reports IPv4 peers as ::ffff:192.0.2.1.
    return getattr(address, "ipv4_mapped", None) or address


def _is_trusted(address: Address | None, trusted: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in trusted)


def _believe_scheme(request: HttpRequest, trusted: Sequence[Network]) -> None:
    """Use X-Forwarded-Proto if the peer is a trusted proxy."""
    scheme = request.META.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
    if scheme not in {"http", "https"}:
        return
    if _is_trusted(parse_address(request.META.get("REMOTE_ADDR", "")), trusted):
        request.META["wsgi.url_scheme"] = scheme


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """Return the error response for a request that no page accepts, or None.

    The API handles its own.
    """
    if request.path.startswith(API_PREFIX):
        return None
    if request.method not in METHODS:
        allowed = ", ".join(METHODS)
        return HttpResponse(
            f"This server answers {allowed}.",
            status=405,
            content_type="text/plain; charset=utf-8",
            headers={"Allow": allowed},
        )
    length, most = request.META.get("CONTENT_LENGTH") or "0", settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if request.path == UPLOADS and most is not None and _is_signed_in(request):
        most += settings.NEURALFLOW_IMPORT_BYTES
    # Django's own limit excludes uploaded files, so it does not bound the size of a request.
    if most is not None and length.isdecimal() and int(length[:20]) > most:
        return render(request, "400.html", {"status": 413}, status=413)
    return None


def _is_signed_in(request: HttpRequest) -> bool:
    """Return whether the session is signed in, without reading the body."""
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    store = import_module(settings.SESSION_ENGINE).SessionStore
    return key is not None and SESSION_KEY in store(key)


# Other storage errors: 503.
_STATUSES = {
    TooManyBytes: 429,
    OutOfSpace: 507,
    StorageFull: 507,
    Conflict: 409,
    TooLarge: 413,
    TooMuchAtOnce: 413,
    InvalidValue: 422,
}


def storage_refusal(
    request: HttpRequest,
    fault: StoreError,
    template: str = "storage_error.html",
    context: Mapping[str, object] | None = None,
) -> HttpResponse:
    """Render the error page for a storage error with the matching status code.

    A view that returns more, such as a form with the user's input, passes its own template and
    context. `status` and the details of the error are added.
    """
    status = next((code for kind, code in _STATUSES.items() if isinstance(fault, kind)), 503)
    values: dict[str, object] = {**(context or {}), "status": status}
    if isinstance(fault, Corrupt):
        values |= {name: getattr(fault, name) for name in ("document", "reason", "line", "column")}
    if isinstance(fault, StorageFull):
        values["space_is_full"] = True
    elif status in {503, 507}:
        log.error("The store refused %s: %s", request.path, fault)
    response = render(request, template, values, status=status)
    if isinstance(fault, Unavailable):  # not for `Corrupt`, which needs an operator
        response["Retry-After"] = str(fault.retry_after)
    return response


def request_metadata(request: HttpRequest) -> dict[str, str]:
    """Return the metadata of the request that activities record."""
    agent = request.META.get("HTTP_USER_AGENT", "")[:USER_AGENT_CHARACTERS_MAX]
    return {
        # Missing in requests that did not pass the middleware, as in tests and shells.
        "ip_address": getattr(request, "client_address", ""),
        "user_agent": "".join(char if char.isprintable() else " " for char in agent),
    }
