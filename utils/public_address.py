"""The address under which people reach this server, for links in mails and in security.txt.

A link in a mail is opened by the recipient, and the request that caused the mail may be a
stranger's. So the Host header decides as little as possible: nothing if NEURALFLOW_PUBLIC_URL is
set, and otherwise only which of the allowed host names is used, on the port that is served.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port

_DEFAULT_PORTS = {"http": "80", "https": "443"}


def public_url(request: HttpRequest, path: str = "") -> str:
    """Return the absolute URL of a path of this server, for people outside of the request."""
    base: str = settings.NEURALFLOW_PUBLIC_URL
    return (base or _served(request)) + path


def public_name(request: HttpRequest) -> str:
    """Return the address without its scheme, as mails name this server."""
    return public_url(request).partition("://")[2]


def _served(request: HttpRequest) -> str:
    scheme = request.scheme or "http"
    domain, port = split_domain_port(request.get_host())
    name = domain.rstrip(".")
    # A Host without a port means the scheme's own, which a proxy in front may serve. Any other
    # port is replaced by the one served: a stranger's Host must not lead a recipient elsewhere.
    if port and port != _DEFAULT_PORTS[scheme]:
        port = str(request.META.get("SERVER_PORT") or "")
    suffix = f":{port}" if port and port != _DEFAULT_PORTS[scheme] else ""
    return f"{scheme}://{name}{suffix}"
