"""The search page, which also serves the command palette, and the list of shortcuts."""

from typing import cast

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from utils.middleware import StorageRequest
from web.localization import forget_preferences, preferences_of
from web.navigation import places_for
from web.redirects import safe_next
from web.search.results import find


@require_safe
@login_required
def search(request: StorageRequest) -> HttpResponse:
    """Show records and pages that match `q`."""
    person, text = cast(int, request.user.pk), request.GET.get("q", "").strip()
    results = find(request.json_storage, person, request.user.is_staff, text)
    return render(request, "search/search.html", {"found": results})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def shortcuts(request: StorageRequest) -> HttpResponse:
    """List the shortcuts, and enable or disable single-key ones."""
    if request.method == "POST":
        chosen = {"single_keys": request.POST.get("single_keys") == "on"}
        request.json_storage.change_preferences(cast(int, request.user.pk), chosen)
        forget_preferences(request)
        return HttpResponseRedirect(safe_next(request, request.path))
    context = {
        "places": [place for place in places_for(request.user.is_staff) if place.keys],
        "single_keys": preferences_of(request).single_keys,
    }
    return render(request, "shortcuts.html", context)
