"""The pages of accounts that django-allauth does not have, or has otherwise."""

import logging
from typing import Any

from allauth.account import views as allauth_views
from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.validators import MaxLengthValidator
from django.db import IntegrityError, transaction
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.forms import ProfileForm
from accounts.models import User
from accounts.signals import profile_updated
from accounts.validators import LONGEST
from docstore import StoreError
from utils.json_storage import json_storage

log = logging.getLogger(__name__)

RETRY_AFTER = 60  # seconds


class LoginView(allauth_views.LoginView):
    """Says what may be entered."""

    def get_form(self, form_class: type[BaseForm] | None = None) -> BaseForm:
        form: BaseForm = super().get_form(form_class)
        form.fields["login"].label = _("User name or e-mail address")
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
        if _saved(form):
            profile_updated.send(sender=User, request=request, user=user)
            messages.success(request, _("Your profile was saved."))
            return redirect("profile")
    context = {"form": form} | _usage(user.pk)
    return render(request, "accounts/profile.html", context)


def confirm_who_asks(request: HttpRequest) -> None:
    """Sends whoever has not proved lately who they are to do so; then the request is made again."""
    reauthentication_required(lambda request: None)(request)


def _saved(form: ProfileForm) -> bool:
    """Whether the form could be saved; someone may have taken the address in this moment."""
    try:
        with transaction.atomic():
            form.save()
    except IntegrityError:
        form.add_error("email", _("A user with that e-mail address already exists."))
        return False
    return True


def _usage(user_id: int) -> dict[str, Any]:
    """The person's API calls and their limit. The page does without when they cannot be read."""
    try:
        return {"quota": json_storage.quota(user_id)}
    except (StoreError, OSError):
        log.exception("The API calls of account %s cannot be read", user_id)
        return {"quota": None}
