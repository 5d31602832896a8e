"""Where a page leads back to after a change: to the page that the person came from."""

from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme


def back_to(request: HttpRequest, default: str) -> str:
    """The path that the form or link names as `next`, if it is one of this site; else *default*."""
    back = request.POST.get("next") or request.GET.get("next", "")
    # What has no slash, `redirect` would take for the name of a view, and a browser for a page
    # beside this one.
    good = back.startswith("/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return back if good else default
