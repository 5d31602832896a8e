"""The pages of accounts that django-allauth does not have, or has otherwise."""

import logging
from typing import Any

from allauth.account import views as allauth_views
from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.validators import MaxLengthValidator
from django.forms import BaseForm
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.adapter import sign_up_closed
from accounts.addresses import ask_for_proof, is_proved
from accounts.forms import ProfileForm
from accounts.models import User
from accounts.signals import profile_updated
from accounts.validators import LONGEST
from docstore import StoreError
from utils.json_storage import json_storage

log = logging.getLogger(__name__)

RETRY_AFTER = 60  # seconds


class SignUpView(allauth_views.SignupView):
    """Signs up whom NEURALFLOW_SIGNUP admits."""

    def closed(self) -> HttpResponse:
        """Answer who is not admitted."""
        return sign_up_closed(self.request)


class LoginView(allauth_views.LoginView):
    """Says what may be entered."""

    def get_form(self, form_class: type[BaseForm] | None = None) -> BaseForm:
        form: BaseForm = super().get_form(form_class)
        form.fields["login"].label = _("Username or email address")
        form.fields["login"].widget.attrs["autocomplete"] = "username"
        form.fields["password"].validators.append(MaxLengthValidator(LONGEST))
        return form


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """The answer past a limit."""
    response = render(request, "429.html", status=429)
    response["Retry-After"] = str(RETRY_AFTER)
    return response


class SignedInRequest(HttpRequest):
    user: User


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: SignedInRequest) -> HttpResponse:
    """Shows the person's own profile, and changes it."""
    # Not request.user: the form writes into its instance even what it then refuses.
    user = User.objects.get(pk=request.user.pk)
    form = ProfileForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        if "email" in form.changed_data:
            confirm_who_asks(request)  # with another address, the password can be reset
        form.save()
        profile_updated.send(sender=User, request=request, user=user)
        messages.success(request, _("Your profile was saved."))
        if settings.NEURALFLOW_SENDS_MAIL and "email" in form.changed_data:
            return ask_for_proof(request, user, form.cleaned_data["email"])
        return redirect("profile")
    to_prove = settings.NEURALFLOW_SENDS_MAIL and request.user.email and not is_proved(request.user)
    context = {"form": form, "to_prove": to_prove} | _usage(user.pk)
    return render(request, "accounts/profile.html", context)


def confirm_who_asks(request: HttpRequest) -> None:
    """Sends whoever has not proved lately who they are to do so; then the request is made again."""
    reauthentication_required(lambda request: None)(request)


@login_required
@require_POST
def prove_address(request: SignedInRequest) -> HttpResponse:
    """Sends a code to the address that the account has, if nobody proved it."""
    if not settings.NEURALFLOW_SENDS_MAIL or not request.user.email or is_proved(request.user):
        return redirect("profile")
    return ask_for_proof(request, request.user, request.user.email)


def verify_address(request: HttpRequest) -> HttpResponseBase:
    """Asks for the code that was sent to an address; without mail there is no such page."""
    if not settings.NEURALFLOW_SENDS_MAIL:
        raise Http404
    response: HttpResponseBase = allauth_views.email_verification_sent(request)
    return response


def _usage(user_id: int) -> dict[str, Any]:
    """The person's API calls and their limit. The page does without when they cannot be read."""
    try:
        return {"quota": json_storage.quota(user_id)}
    except (StoreError, OSError):
        log.exception("The API calls of account %s cannot be read", user_id)
        return {"quota": None}
