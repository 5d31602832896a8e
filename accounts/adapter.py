"""What NeuralFlow decides differently from django-allauth."""

from typing import TYPE_CHECKING, Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from django.contrib import messages
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.forms import BaseForm
from django.http import HttpRequest
from django.shortcuts import redirect
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from accounts.models import User


class AccountAdapter(DefaultAccountAdapter):
    def get_client_ip(self, request: HttpRequest) -> str:
        """The address that limits are counted by: the one the middleware vouches for."""
        address: str = getattr(request, "client_address", "") or "unknown"
        return address

    def save_user(
        self, request: HttpRequest, user: AbstractBaseUser, form: BaseForm, commit: bool = True
    ) -> AbstractBaseUser:
        """Saves a new account. Two people may ask for one name in the same moment, each finding
        it free: the second is told so."""
        try:
            with transaction.atomic():
                saved: AbstractBaseUser = super().save_user(request, user, form, commit)
                return saved
        except IntegrityError as taken:
            messages.error(request, _("That name or address was taken just now. Try another."))
            raise ImmediateHttpResponse(redirect("signup")) from taken

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Failed sign-ins are counted by the name alone. allauth adds the host that was asked
        for; whoever guesses could write another port into it each time, and begin anew."""
        name: str = credentials.get("email", credentials.get("username", ""))
        return name.lower()

    def forget_failed_sign_ins(self, user: "User") -> None:
        """Lets *user* sign in again at once, after a password reset, under name or address."""
        for login in filter(None, (user.username, user.email)):
            self._delete_login_attempts_cached_email(self.request, username=login)
