"""Pages to change, set or reset the password, which show what the new password ended."""

from typing import Any

from allauth.account import forms as allauth_forms
from allauth.account import views as allauth_views
from allauth.account.adapter import get_adapter
from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext_lazy, ngettext

from accounts import known_browsers
from accounts.incident import password_change, send_password_notice
from accounts.models import User
from accounts.tokens import valid_tokens


class ChangePasswordForm(allauth_forms.ChangePasswordForm):  # type: ignore[misc]
    """A form for a new password that offers to revoke API tokens, if there are any."""

    revoke_tokens = forms.BooleanField(
        label=gettext_lazy("Revoke my API tokens"), required=False, initial=True
    )

    def clean_oldpassword(self) -> str:
        """Check the old password as a reauthentication, with its limits."""
        password: str = self.cleaned_data.get("oldpassword", "")
        if not get_adapter().reauthenticate(self.user, password):
            raise get_adapter().validation_error("enter_current_password")
        return password

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels = [token.label for token in valid_tokens(self.user)]
        if not labels:
            del self.fields["revoke_tokens"]
            return
        self.fields["revoke_tokens"].help_text = ngettext(
            "%(count)d active token: %(names)s. Leave this selected if someone may"
            " know your password.",
            "%(count)d active tokens: %(names)s. Leave this selected if someone may"
            " know your password.",
            len(labels),
        ) % {"count": len(labels), "names": ", ".join(labels)}


class _SaysEnded:
    """A mixin that reports what the new password ended, on the next page and by mail."""

    request: HttpRequest

    def form_valid(self, form: Any) -> HttpResponse:
        spare = not form.cleaned_data.get("revoke_tokens", True)
        with password_change(spare_tokens=spare) as ended:
            response: HttpResponse = super().form_valid(form)  # type: ignore[misc]
        messages.info(self.request, " ".join(ended.sentences()))
        send_password_notice(form.user, ended)
        self.know_browser(response, form.user)
        return response

    def know_browser(self, response: HttpResponse, user: User) -> None:
        """Remember the browser again: the new password has invalidated its cookie."""
        known_browsers.remember(self.request, response, user)


class PasswordChangeView(_SaysEnded, allauth_views.PasswordChangeView):  # type: ignore[misc]
    """The page to change the password, which requires the old one."""

    form_class = ChangePasswordForm


class PasswordSetView(_SaysEnded, allauth_views.PasswordSetView):  # type: ignore[misc]
    """The page to set a password for an account without one."""


class ResetView(_SaysEnded, allauth_views.PasswordResetFromKeyView):  # type: ignore[misc]
    """The page to set a new password by a mailed link."""

    def know_browser(self, response: HttpResponse, user: User) -> None:
        # No cookie: it would give an attacker who reads the user's mail more attempts at the
        # second factor.
        known_browsers.note_reset(self.request, user)


def password_reset(request: HttpRequest) -> HttpResponseBase:
    """Mail a password-reset link, or refer to the operator if this server sends no mail."""
    if settings.NEURALFLOW_SENDS_MAIL:
        response: HttpResponseBase = allauth_views.password_reset(request)
        return response
    if request.method not in {"GET", "HEAD", "POST"}:
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    status = 409 if request.method == "POST" else 200
    return render(request, "account/password_reset_by_operator.html", status=status)
