"""Account pages that django-allauth lacks, or that differ from its own."""

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
    """The sign-up page, subject to NEURALFLOW_SIGNUP."""

    def closed(self) -> HttpResponse:
        """Return the page (403) for users who may not sign up."""
        return sign_up_closed(self.request)


class LoginView(allauth_views.LoginView):
    """The log-in page, which accepts user names and e-mail addresses."""

    def get_form(self, form_class: type[BaseForm] | None = None) -> BaseForm:
        form: BaseForm = super().get_form(form_class)
        form.fields["login"].label = _("Username or email address")
        form.fields["login"].widget.attrs["autocomplete"] = "username"
        form.fields["password"].validators.append(MaxLengthValidator(LONGEST))
        return form


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """Return the page (429) for a request past a limit of django-allauth."""
    response = render(request, "429.html", status=429)
    response["Retry-After"] = str(RETRY_AFTER)
    return response


class SignedInRequest(HttpRequest):
    user: User


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: SignedInRequest) -> HttpResponse:
    """Show and change the user's profile."""
    # Not request.user: the form writes even invalid values to its instance.
    user = User.objects.get(pk=request.user.pk)
    form = ProfileForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        if "email" in form.changed_data:
            require_reauthentication(request)  # a thief could reset the password by a new address
        form.save()
        profile_updated.send(sender=User, request=request, user=user)
        messages.success(request, _("Your profile was saved."))
        if settings.NEURALFLOW_SENDS_MAIL and "email" in form.changed_data:
            return ask_for_proof(request, user, form.cleaned_data["email"])
        return redirect("profile")
    to_prove = settings.NEURALFLOW_SENDS_MAIL and request.user.email and not is_proved(request.user)
    context = {"form": form, "to_prove": to_prove} | _usage(user.pk)
    return render(request, "accounts/profile.html", context)


def require_reauthentication(request: HttpRequest) -> None:
    """Redirect to reauthentication unless the user authenticated recently.

    Raises `ReauthenticationRequired`, which allauth's middleware turns into the redirect. After it,
    the request is repeated.
    """
    reauthentication_required(lambda request: None)(request)


@login_required
@require_POST
def prove_address(request: SignedInRequest) -> HttpResponse:
    """Send a code to the account's address, unless it is proved."""
    if not settings.NEURALFLOW_SENDS_MAIL or not request.user.email or is_proved(request.user):
        return redirect("profile")
    return ask_for_proof(request, request.user, request.user.email)


def verify_address(request: HttpRequest) -> HttpResponseBase:
    """Ask for the code that was sent to an address. 404 if this server sends no mail."""
    if not settings.NEURALFLOW_SENDS_MAIL:
        raise Http404
    response: HttpResponseBase = allauth_views.email_verification_sent(request)
    return response


def _usage(user_id: int) -> dict[str, Any]:
    """Return the user's API calls and limit, or None if they cannot be read."""
    try:
        return {"quota": json_storage.quota(user_id)}
    except (StoreError, OSError):
        log.exception("The API calls of account %s cannot be read", user_id)
        return {"quota": None}
