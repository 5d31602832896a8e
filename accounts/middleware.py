"""What the pages of people need around them."""

import logging
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from accounts.hashers import TooBusy

log = logging.getLogger(__name__)


class AccountsMiddleware:
    """Answers 503 where a password could not be checked in time."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, TooBusy):
            return None
        log.warning("A password was not checked: too many at once")
        response = render(request, "accounts/busy.html", status=503)
        response["Retry-After"] = str(exception.RETRY_AFTER)
        return response
