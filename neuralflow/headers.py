"""Headers that every answer has, beside those that Django and django-csp set."""

from collections.abc import Callable

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase

# Nothing here uses any of these, so nothing that got in may either.
_UNUSED = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "usb",
)
HEADERS = {
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _UNUSED),
    # Answers are for pages of this site, and for programs.
    "Cross-Origin-Resource-Policy": "same-origin",
}


class HeadersMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


class PolicyMiddleware(CSPMiddleware):
    """The Content Security Policy: the settings' for pages. What is no page loads and runs nothing,
    in whatever it is shown; and no call of a program waits for a policy to be put together."""

    NOT_A_PAGE = "default-src 'none'; frame-ancestors 'none'"

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if response.headers.get("Content-Type", "").startswith("text/html"):
            return super().process_response(request, response)
        response.headers.setdefault(HEADER, self.NOT_A_PAGE)
        return response
