"""Adapter for django-allauth: sign-up, log-in limits and mail."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import record_authentication
from allauth.account.models import EmailAddress
from allauth.core import context as current
from allauth.core.exceptions import ImmediateHttpResponse
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from accounts import guards, known_browsers
from accounts.hashers import TooBusy
from accounts.joining import InvitationUsed, admission, may_invite, may_sign_up
from accounts.names import EmailStatus
from accounts.throttle import Attempt, TooManyAttempts, subject_of
from api.public_address import public_name, public_url
from workspace.texts import is_reserved

log = logging.getLogger(__name__)

_GIVEN = "given_password"  # session key: the session hash of the password, until log-in completes
# Mail that a stranger can cause by entering an address, whether an account has it or not.
_UNASKED_MAILS = {"account/email/unknown_account", "account/email/account_already_exists"}

if TYPE_CHECKING:
    from accounts.models import User


class AccountAdapter(DefaultAccountAdapter):
    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the client's address from the middleware, or 0.0.0.0 if it has none."""
        address: str = getattr(request, "client_address", "") or "0.0.0.0"
        return address

    def clean_username(self, username: str, shallow: bool = False) -> str:
        """Refuse a reserved name, or one that folds to the name of another account.

        Raises `ValidationError`. This applies to sign-up only: an operator may create an account
        with a reserved name such as `admin`.
        """
        name: str = super().clean_username(username, shallow)
        if not shallow and is_reserved(name):
            raise ValidationError(_("This name is reserved. Choose another."), code="reserved")
        if not shallow and get_user_model().objects.meant_by(name).exists():
            raise self.validation_error("username_taken")
        return name

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return may_sign_up(request)

    def save_user(
        self, request: HttpRequest, user: AbstractBaseUser, form: BaseForm, commit: bool = True
    ) -> AbstractBaseUser:
        """Save a new account.

        If two sign-ups race for a name, both pass validation. The second one violates the unique
        constraint, and gets a message. Raises `ImmediateHttpResponse` if the sign-up is refused.
        """
        try:
            if settings.NEURALFLOW_SENDS_MAIL:
                cast("User", user).email_status = EmailStatus.PENDING
            with admission(request) as admitted, transaction.atomic():
                saved: AbstractBaseUser = super().save_user(request, user, form, commit)
                admitted.opened(saved)
                return saved
        except InvitationUsed as used:
            raise ImmediateHttpResponse(sign_up_closed(request)) from used
        except TooManyAttempts as refused:
            log.warning("Too many accounts were made within an hour")
            response = render(request, "429.html", {"wait": refused.wait}, status=429)
            response["Retry-After"] = str(refused.wait)
            raise ImmediateHttpResponse(response) from refused
        except IntegrityError as taken:
            messages.error(request, _("That name was taken just now. Try another."))
            raise ImmediateHttpResponse(redirect("signup")) from taken

    def authenticate(self, request: HttpRequest, **credentials: Any) -> AbstractBaseUser | None:
        """Return the user with these credentials, or None. Failures are limited by accounts.guards.

        Raises `ImmediateHttpResponse` (429) past a limit, `TooBusy` if no password was checked.
        """
        with refusing(request):
            attempt = guards.SignIn(request, _name_in(credentials))
        try:
            user: AbstractBaseUser | None = super().authenticate(request, **credentials)
        except TooBusy:
            attempt.not_made()
            raise
        if user is None:
            attempt.failed()
        else:
            attempt.succeeded()
        return user

    def reauthenticate(self, user: AbstractBaseUser, password: str) -> bool:
        """Return whether the password is right. Failures are limited by session."""
        request = current.request
        with refusing(request):
            attempt = guards.proof(request)
        try:
            is_right = user.check_password(password)
        except TooBusy:
            attempt.give_back()
            raise
        if is_right:
            attempt.give_back()
        else:
            user_login_failed.send(
                sender=__name__, credentials={"username": user.get_username()}, request=request
            )
        return is_right

    def pre_login(
        self, request: HttpRequest, user: AbstractBaseUser, **told: Any
    ) -> HttpResponse | None:
        """Record a hash of the password's state, as a second factor may delay the log-in.

        `login` compares it, so that a password changed meanwhile ends the log-in.
        """
        request.session[_GIVEN] = user.get_session_auth_hash()
        response: HttpResponse | None = super().pre_login(request, user, **told)
        return response

    def login(self, request: HttpRequest, user: AbstractBaseUser) -> None:
        """Log in, unless the password has changed since it was entered.

        Raises `ImmediateHttpResponse` in that case.
        """
        entered = str(request.session.pop(_GIVEN, ""))
        if not constant_time_compare(entered, user.get_session_auth_hash()):
            log.warning("A log-in to account %s was begun with an earlier password", user.pk)
            messages.error(request, _("Your password was changed meanwhile. Log in again."))
            raise ImmediateHttpResponse(redirect("login"))
        super().login(request, user)

    def post_login(self, request: HttpRequest, user: "User", **told: Any) -> HttpResponse:
        """Record the log-in as reauthentication, and remember the browser."""
        record_authentication(request, user, method="login", reauthenticated=True)
        response: HttpResponse = super().post_login(request, user, **told)
        known_browsers.remember(request, response, user)
        return response

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Return the public URL of the page for a new password."""
        url: str = super().get_reset_password_from_key_url(key)
        return public_url(self.request, urlsplit(url).path)

    def get_login_stages(self) -> list[str]:
        """Return the log-in stages, with our own for verifying an address."""
        ours = {"EmailVerificationStage": "accounts.addresses.AddressStage"}
        return [ours.get(path.rpartition(".")[2], path) for path in super().get_login_stages()]

    def get_email_verification_redirect_url(self, email_address: EmailAddress) -> str:
        """Return the URL of the profile, which shows the address."""
        return reverse("profile")

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Mark the address as verified. Return False if another account has verified it."""
        try:
            with transaction.atomic():
                confirmed: bool = super().confirm_email(request, email_address)
                return confirmed
        except IntegrityError:
            return False

    def send_confirmation_mail(
        self, request: HttpRequest, emailconfirmation: Any, signup: bool
    ) -> None:
        """Send the code, or a notice to the owner of an address that is already verified."""
        address = emailconfirmation.email_address
        # Count for every address: a difference would reveal whether an account has it.
        with refusing(request):
            Attempt((guards.CODE_MAILS, str(address.user_id)))
        try:
            Attempt((guards.CODE_MAILS_TO, subject_of(address.email)))
        except TooManyAttempts:
            log.warning("A code was not sent: too many were sent to the address")
            return
        if _is_anothers(address):
            self.send_account_already_exists_mail(address.email)
        else:
            super().send_confirmation_mail(request, emailconfirmation, signup)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a mail with links to the public URL. Drops unsolicited mail past a limit."""
        request = current.request
        if template_prefix in _UNASKED_MAILS:
            try:
                Attempt(
                    (guards.UNASKED_MAILS, subject_of(email)),
                    (guards.UNASKED_MAILS_FROM, guards.address_of(request)),
                )
            except TooManyAttempts:
                log.warning("A mail that anybody can cause was not sent once more")
                return
        places = {
            "site": public_name(request),
            "signup_url": public_url(request, reverse("signup")),
            "password_page_url": public_url(request, reverse("account_reset_password")),
            "profile_url": public_url(request, reverse("profile")),
            "reset_hours": settings.PASSWORD_RESET_TIMEOUT // 3600,
        }
        super().send_mail(template_prefix, email, context | places)


def _is_anothers(address: EmailAddress) -> bool:
    """Return whether another account has verified the address."""
    holder = get_user_model().objects.with_proved(address.email)
    return holder is not None and holder.pk != address.user_id


def _name_in(credentials: dict[str, Any]) -> str:
    """Return the user name or address that the user typed."""
    return str(credentials.get("email", credentials.get("username", "")))


@contextmanager
def refusing(request: HttpRequest) -> Iterator[None]:
    """Convert `TooManyAttempts` in the block to an `ImmediateHttpResponse` with status 429."""
    try:
        yield
    except TooManyAttempts as refused:
        log.warning("Too many failed attempts, the last from %s", guards.address_of(request))
        response = render(request, "429.html", {"wait": refused.wait}, status=429)
        response["Retry-After"] = str(refused.wait)
        raise ImmediateHttpResponse(response) from refused


def sign_up_closed(request: HttpRequest) -> HttpResponse:
    """Return the page (403) that explains the sign-up policy."""
    context = {
        "by_invitation": settings.NEURALFLOW_SIGNUP == "invite",
        "by_members": may_invite(),
    }
    return render(request, "account/signup_closed.html", context, status=403)
