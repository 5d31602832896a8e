"""E-mail addresses: verification, and the rights that only a verified ("proved") address has.

A proved address can log in, reset the password, and receive invitations. An unproved one is contact
information only. A user proves an address by a code sent there, or by using a password-reset link.
At most one account has proved an address; proving it removes it from all other accounts. Without
mail (EMAIL_URL), no address can be proved.

Accounts from before this rule (`EmailStatus.LEGACY`) log in by an unproved address until another
account proves it. Rationale: docs/decisions/0051.
"""

from __future__ import annotations

import logging
from typing import Any, cast

from allauth.account import forms as allauth_forms
from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.email_verification import send_verification_email_to_address
from allauth.account.models import EmailAddress
from allauth.account.stages import EmailVerificationStage
from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.names import EmailStatus

log = logging.getLogger(__name__)


def is_proved(user: User) -> bool:
    """Return whether the account has proved its current address."""
    proved = EmailAddress.objects.filter(user=user, email=user.email.lower(), verified=True)
    return bool(user.email) and proved.exists()


def proved_by_other(user: User | None, address: str) -> bool:
    """Return whether an account other than `user` has proved the address."""
    holder = User.objects.with_proved(address)
    return holder is not None and (user is None or holder.pk != user.pk)


def ask_for_proof(request: HttpRequest, user: User, address: str) -> HttpResponse:
    """Send a code to a current or new address. Return a redirect to the page for the code."""
    send_verification_email_to_address(request, EmailAddress(user=user, email=address))
    return redirect("account_email_verification_sent")


def prove_by_link(user: User) -> None:
    """Mark the account's address as proved, because a link sent there was used.

    Does nothing if another account has proved it.
    """
    if not user.email or proved_by_other(user, user.email):
        return
    with transaction.atomic():
        address, _new = EmailAddress.objects.get_or_create(user=user, email=user.email)
        if not address.verified:
            address.verified = address.primary = True
            address.save()
            take(user, user.email)


def take(user: User, address: str) -> list[User]:
    """Remove a proved address from all accounts but `user`. Return the accounts that lose it."""
    with transaction.atomic():
        EmailAddress.objects.filter(email=address.lower()).exclude(user=user).delete()
        losers = list(User.objects.filter(email=address.lower()).exclude(pk=user.pk))
        for loser in losers:
            loser.email, loser.email_status = "", EmailStatus.CONTACT
            loser.save(update_fields=["email", "email_status"])
            log.info("Account %s lost its address, which account %s proved", loser.pk, user.pk)
        User.objects.filter(pk=user.pk).update(email_status=EmailStatus.CONTACT)
        user.email_status = EmailStatus.CONTACT
    return losers


class AddressStage(EmailVerificationStage):
    """The log-in stage that asks for a code if the account's address is `EmailStatus.PENDING`.

    Other accounts skip it. Otherwise a mistyped address would lock out owners of accounts that are
    older than the rule, or were created without mail.
    """

    def handle(self) -> Any:
        """Return the page for the code, or None if the log-in continues, and a flag to continue."""
        user = cast(User | None, self.login.user)
        if user is not None and user.email_status != EmailStatus.PENDING:
            return None, True
        return super().handle()


class SignUpForm(allauth_forms.SignupForm):
    """A sign-up form that does not reveal whether an address is in use.

    It creates an account even if another account has the address. A sign-up that only seemed to
    succeed would leave the user name free, and so reveal it.
    """

    def validate_unique_email(self, value: str) -> str:
        """Accept any address. The mail sent there informs its owner."""
        return value


class ResetForm(allauth_forms.ResetPasswordForm):
    """A form that sends a password-reset link to a proved or legacy address."""

    def clean_email(self) -> str:
        """Look up the accounts of the address. The page does not reveal whether there are any."""
        address: str = get_adapter().clean_email(self.cleaned_data["email"].lower())
        self.users = list(User.objects.meant_by(address).filter(is_active=True))
        return address


class CodeForm(allauth_forms.ConfirmEmailVerificationCodeForm):
    """A form for the code that was sent to an address."""

    code = forms.CharField(
        label=_("Code"), widget=forms.TextInput(attrs={"autocomplete": "one-time-code"})
    )

    def clean_code(self) -> str:
        """Refuse a wrong code, and any code if another account has proved the address."""
        code: str = super(allauth_forms.ConfirmEmailVerificationCodeForm, self).clean_code()
        if proved_by_other(self.user, self.email):
            raise get_adapter().validation_error("incorrect_code")
        return code
