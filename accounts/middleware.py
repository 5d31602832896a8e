"""What the pages of people need around them."""

import logging
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode

from accounts.hashers import TooBusy
from accounts.sessions import end_if_old
from utils.middleware import API_PREFIX

log = logging.getLogger(__name__)


# Where a person is sent to say who they are.
_WHO_ARE_YOU = ("login", "account_reauthenticate", "mfa_reauthenticate")


def leaving_the_page(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """For a part of a page that is asked for by somebody who is no longer logged in: an answer that
    has the browser leave the page, and come back to it. Any other answer is as it was."""
    target = response.headers.get("Location", "")
    path, _question, query = target.partition("?")
    if not getattr(request, "htmx", False) or path not in map(reverse, _WHO_ARE_YOU):
        return response
    if path == reverse("login"):  # what was asked for is a part, or a change: nothing to look at
        query = urlencode({"next": request.htmx.current_url_abs_path or "/"})  # type: ignore[attr-defined]
    return HttpResponse(status=204, headers={"HX-Redirect": f"{path}?{query}"})


class AccountsMiddleware:
    """Ends sessions that had their time, keeps pages of people out of all caches, and answers 503
    where a password could not be checked in time."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # Without the cookie there is nothing to look up: calls with a token stay as cheap as ever.
        signed_in = settings.SESSION_COOKIE_NAME in request.COOKIES and end_if_old(request)
        response = leaving_the_page(request, self.get_response(request))
        personal = signed_in or request.path.startswith("/accounts/")
        if personal and not request.path.startswith(API_PREFIX):
            response["Cache-Control"] = "no-store, private"
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, TooBusy):
            return None
        log.warning("A password was not checked: too many at once")
        response = render(request, "accounts/busy.html", status=503)
        response["Retry-After"] = str(exception.RETRY_AFTER)
        return response
