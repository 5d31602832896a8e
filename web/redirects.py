"""Redirect to the page from which the user came, after a change."""

from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme


def safe_next(request: HttpRequest, default: str) -> str:
    """Return the path in the parameter `next` if it is on this site, otherwise *default*."""
    back = request.POST.get("next") or request.GET.get("next", "")
    # Without a leading slash, `redirect` would resolve it as a view name, and a browser as a
    # relative URL.
    good = back.startswith("/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return back if good else default
