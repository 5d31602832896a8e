"""The public address of this server, for links in mails and in security.txt.

The recipient of a mail opens its link, but the request that caused the mail may come from an
attacker. The Host header therefore has little influence: none if NEURALFLOW_PUBLIC_URL is set.
Otherwise it only selects one of the allowed host names, on the served port.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port

_DEFAULT_PORTS = {"http": "80", "https": "443"}


def public_url(request: HttpRequest, path: str = "") -> str:
    """Return the absolute public URL of a path of this server."""
    base: str = settings.NEURALFLOW_PUBLIC_URL
    return (base or _served(request)) + path


def public_name(request: HttpRequest) -> str:
    """Return the public address without its scheme, for display in mails."""
    return public_url(request).partition("://")[2]


def _served(request: HttpRequest) -> str:
    scheme = request.scheme or "http"
    domain, port = split_domain_port(request.get_host())
    name = domain.rstrip(".")
    # A Host without a port means the scheme's default, which a proxy may serve. Any other port is
    # replaced by the served one. Otherwise a forged Host could direct recipients to another server
    # on the same machine.
    if port and port != _DEFAULT_PORTS[scheme]:
        port = str(request.META.get("SERVER_PORT") or "")
    suffix = f":{port}" if port and port != _DEFAULT_PORTS[scheme] else ""
    return f"{scheme}://{name}{suffix}"
