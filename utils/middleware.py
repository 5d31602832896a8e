"""What every request is given: the store, an id of its own, and the address it came from."""

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
from utils.json_storage import (
    Forbidden,
    JSONStorageManager,
    json_storage,
    latest_commit,
    latest_quota,
)
from utils.json_storage import request_id as current_request_id
from utils.people.written_bytes import TooManyBytes

log = logging.getLogger(__name__)

API_PREFIX = "/accounts/api/"
UPLOADS = "/settings/data/"  # where a form takes an archive
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
USER_AGENT_CHARACTERS_MAX = 300

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# An address as proxies write it: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1]:80
_HOP = re.compile(r"\[(?P<bracketed>[^\[\]]+)\](:\d+)?|(?P<four>[\d.]+)(:\d+)?|(?P<six>[^\[\]]+)")


class StorageRequest(HttpRequest):
    """A request as views see it, behind JSONStorageMiddleware."""

    json_storage: JSONStorageManager
    client_address: str
    request_id: str


class JSONStorageMiddleware:
    """Sets `request.json_storage`, `request.client_address` and `request.request_id`; answers
    pages that the store failed. The API answers for itself. No answer is kept by a cache unless
    it says so itself, as static files do."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: StorageRequest) -> HttpResponseBase:
        trusted: Sequence[Network] = settings.NEURALFLOW_TRUSTED_PROXIES
        request.json_storage = json_storage
        request.request_id = str(uuid.uuid4())
        # Changes made for this request carry its id into the store.
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
    """Answers what no page takes, before anything else looks at it. It stands behind those that
    set the headers of every answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.get_host()  # raises for a strange one; static files are served without asking
        return _refusal(request) or self.get_response(request)


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The address that a request came from, as far as it can be known.

    It is the peer's, unless the peer is a trusted proxy: then what that proxy says of its own
    peer, which it wrote rightmost, and so on leftwards. What stands left of the first address
    that is not trusted was written by a stranger. "" when the peer has no address.
    """
    return _client_address(peer, forwarded_for, tuple(trusted))


@lru_cache(maxsize=256)  # the same people call again and again
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


def parse_address(text: str) -> Address | None:
    """The address in *text*, without port, brackets and zone; None when it is none."""
    match = _HOP.fullmatch(text.strip())
    if match is None:
        return None
    bare = match["bracketed"] or match["four"] or match["six"]
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    # A socket that serves both families shows IPv4 peers as ::ffff:192.0.2.1.
    return getattr(address, "ipv4_mapped", None) or address


def _is_trusted(address: Address | None, trusted: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in trusted)


def _believe_scheme(request: HttpRequest, trusted: Sequence[Network]) -> None:
    """Lets a trusted proxy say that it was reached over TLS, and nobody else."""
    said = request.META.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
    if said not in {"http", "https"}:
        return
    if _is_trusted(parse_address(request.META.get("REMOTE_ADDR", "")), trusted):
        request.META["wsgi.url_scheme"] = said


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """The answer to what no page takes. The API answers for itself."""
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
    # Django's own limit does not count files, which no form of ours takes.
    if most is not None and length.isdecimal() and int(length[:20]) > most:
        return render(request, "400.html", {"status": 413}, status=413)
    return None


def _is_signed_in(request: HttpRequest) -> bool:
    """Whether a session says so, asked before anything of the body is read."""
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    store = import_module(settings.SESSION_ENGINE).SessionStore
    return key is not None and SESSION_KEY in store(key)


# Any other error of the store: 503.
_STATUSES = {
    TooManyBytes: 429,
    OutOfSpace: 507,
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
    """The page that says what the store refused, under the status that says so to machines.

    A view that has more to give back, such as a form with what was typed, names its own template
    and its context; `status` and what is known of the fault are added.
    """
    status = next((code for kind, code in _STATUSES.items() if isinstance(fault, kind)), 503)
    told: dict[str, object] = {**(context or {}), "status": status}
    if isinstance(fault, Corrupt):
        told |= {name: getattr(fault, name) for name in ("document", "reason", "line", "column")}
    if status in {503, 507}:
        log.error("The store refused %s: %s", request.path, fault)
    response = render(request, template, told, status=status)
    if isinstance(fault, Unavailable):  # what is corrupt, waits for a person
        response["Retry-After"] = str(fault.retry_after)
    return response


def request_metadata(request: HttpRequest) -> dict[str, str]:
    """What an activity notes of the request that it was done by."""
    agent = request.META.get("HTTP_USER_AGENT", "")[:USER_AGENT_CHARACTERS_MAX]
    return {
        # Missing where a request was made by hand, as tests and shells do.
        "ip_address": getattr(request, "client_address", ""),
        "user_agent": "".join(char if char.isprintable() else " " for char in agent),
    }
