"""Middleware for pages of accounts, and a shortcut past it for API calls with a token."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import Resolver404, ResolverMatch, resolve, reverse
from django.utils.http import urlencode

from accounts.credentials import known_credentials
from accounts.hashers import TooBusy
from accounts.sessions import end_if_old
from api.endpoint import Endpoint
from docstore import StoreError
from utils.json_storage import json_storage
from utils.middleware import API_PREFIX, StorageRequest
from workspace.users.quota import TooManyCalls

log = logging.getLogger(__name__)


# The pages for log-in and reauthentication.
_WHO_ARE_YOU = ("login", "account_reauthenticate", "mfa_reauthenticate")


def leaving_the_page(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Turn a redirect of an htmx request to a log-in page into a redirect of the whole page.

    Without this, htmx would put the log-in form into a part of the page. Other responses are
    returned unchanged.
    """
    target = response.headers.get("Location", "")
    path, _question, query = target.partition("?")
    if not getattr(request, "htmx", False) or path not in map(reverse, _WHO_ARE_YOU):
        return response
    if path == reverse("login"):  # return to the page, as the request's URL is only a part of it
        query = urlencode({"next": request.htmx.current_url_abs_path or "/"})  # type: ignore[attr-defined]
    return HttpResponse(status=204, headers={"HX-Redirect": f"{path}?{query}"})


class TokenCallMiddleware:
    """Middleware that dispatches API calls with a token past the middleware of pages.

    Sessions, CSRF, messages and languages do not apply to these calls, but take longer than the
    rest of a read. An `Endpoint` raises no exceptions, so no middleware needs to handle them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if "HTTP_AUTHORIZATION" not in request.META or not path.startswith(API_PREFIX):
            return self.get_response(request)
        match = _endpoint_at(path, settings.ROOT_URLCONF)
        if match is None:
            return self.get_response(request)
        request.resolver_match = match
        response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
        if isinstance(response, HttpResponse):  # as CommonMiddleware does
            response.headers.setdefault("Content-Length", str(len(response.content)))
        return response


@lru_cache(maxsize=512)
def _endpoint_at(path: str, urlconf: str) -> ResolverMatch | None:
    """Return the match of an `Endpoint` that requires authentication, or None."""
    try:
        match = resolve(path, urlconf)
    except Resolver404:
        return None
    view = match.func
    if not isinstance(view, Endpoint) or any(o.open for o in view.operations.values()):
        return None
    return match


class AccountsMiddleware:
    """Middleware that ends expired sessions, rate-limits pages, and forbids caching personal pages.

    Answers 429 for `TooManyCalls`, and 503 for `TooBusy` of the password hasher.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # Without the cookie, skip the session look-up: it costs a database query.
        signed_in = settings.SESSION_COOKIE_NAME in request.COOKIES and end_if_old(request)
        if signed_in:
            key = request.COOKIES[settings.SESSION_COOKIE_NAME]
            known_credentials.note(key, int(request.session[SESSION_KEY]))
        response = leaving_the_page(request, self.get_response(request))
        if (
            signed_in and request.resolver_match is None
        ):  # no view, so `process_view` was not called
            with suppress(StoreError, TooManyCalls):
                json_storage.take_free_call(request.user.pk or 0)
        personal = signed_in or request.path.startswith("/accounts/")
        if personal and not request.path.startswith(API_PREFIX):
            response["Cache-Control"] = "no-store, private"
        return response

    def process_view(
        self,
        request: StorageRequest,
        view: Callable[..., HttpResponseBase],
        args: Sequence[object],
        kwargs: Mapping[str, object],
    ) -> HttpResponse | None:
        """Count each page against the burst of the signed-in user. The API counts its own calls."""
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or isinstance(view, Endpoint):
            return None
        if request.user.pk is not None and not request.path.startswith(API_PREFIX):
            try:
                request.json_storage.take_free_call(request.user.pk or 0)
            except TooManyCalls as refused:
                return _too_many(request, refused)
            except StoreError:
                return None  # pages must stay readable; writes raise the error themselves
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, TooManyCalls):
            return _too_many(request, exception)
        if not isinstance(exception, TooBusy):
            return None
        log.warning("A password was not checked: too many at once")
        response = render(request, "accounts/busy.html", status=503)
        response["Retry-After"] = str(exception.RETRY_AFTER)
        return response


def _too_many(request: HttpRequest, refused: TooManyCalls) -> HttpResponse:
    """Return the page (429) for a request past the burst."""
    response = render(request, "429.html", {"wait": refused.retry_after}, status=429)
    response["Retry-After"] = str(refused.retry_after)
    return response
