"""The settings page."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.settings_forms import PreferencesForm
from accounts.views import SignedInRequest
from utils.json_storage import json_storage
from utils.people.localization import browsers_zone, preferences_of
from utils.sharing.invitations import Invitations


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def preferences(request: SignedInRequest) -> HttpResponse:
    """Show and change the user's settings."""
    form = PreferencesForm(
        request.POST if request.method == "POST" else None,
        chosen=preferences_of(request),
        browsers_zone=browsers_zone(request),
    )
    if request.method == "POST" and form.is_valid():
        chosen = json_storage.change_preferences(request.user.pk, form.cleaned_data)
        language = chosen.language or translation.get_language_from_request(request)
        with translation.override(language):  # the next page shows the message
            messages.success(request, _("Your settings were saved."))
        return redirect("preferences")
    status = 422 if form.is_bound else 200
    refused = Invitations(json_storage).refused(request.user.pk)
    context = {"form": form, "refused": refused}
    return render(request, "accounts/preferences.html", context, status=status)
