"""The settings page."""

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from utils.middleware import StorageRequest
from web.localization import browsers_zone, preferences_of
from web.preferences.forms import PreferencesForm
from workspace.membership.invitations import Invitations


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def preferences(request: StorageRequest) -> HttpResponse:
    """Show and change the user's settings."""
    user_id = cast(int, request.user.pk)
    form = PreferencesForm(
        request.POST if request.method == "POST" else None,
        chosen=preferences_of(request),
        browsers_zone=browsers_zone(request),
    )
    if request.method == "POST" and form.is_valid():
        chosen = request.json_storage.change_preferences(user_id, form.cleaned_data)
        language = chosen.language or translation.get_language_from_request(request)
        with translation.override(language):  # the next page shows the message
            messages.success(request, _("Your settings were saved."))
        return redirect("preferences")
    status = 422 if form.is_bound else 200
    refused = Invitations(request.json_storage).refused(user_id)
    context = {"form": form, "refused": refused}
    return render(request, "accounts/preferences.html", context, status=status)
