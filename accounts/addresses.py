"""E-mail addresses: text about a person, until somebody proves that mail sent there reaches them.

Only a proved address is a name: it opens an account, gets a link for a new password, and receives
invitations. It is proved by a code sent there, or by a link for a new password that was used. At
most one account has proved an address. Whoever proves it takes it from the accounts that only
wrote it down. Without mail (EMAIL_URL) nothing can be proved.

Accounts from before this rule (`EmailStatus.LEGACY`) log in by an unproved address until somebody
proves it. Why: docs/decisions/0051.
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
    """Return whether the account proved the address that it has."""
    proved = EmailAddress.objects.filter(user=user, email=user.email.lower(), verified=True)
    return bool(user.email) and proved.exists()


def proved_by_other(user: User | None, address: str) -> bool:
    """Return whether another account proved the address."""
    holder = User.objects.with_proved(address)
    return holder is not None and (user is None or holder.pk != user.pk)


def ask_for_proof(request: HttpRequest, user: User, address: str) -> HttpResponse:
    """Send a code to an address that the account has or wants, and lead to where it is entered."""
    send_verification_email_to_address(request, EmailAddress(user=user, email=address))
    return redirect("account_email_verification_sent")


def prove_by_link(user: User) -> None:
    """Note that a link sent to the account's address was used."""
    if not user.email or proved_by_other(user, user.email):
        return
    with transaction.atomic():
        address, _new = EmailAddress.objects.get_or_create(user=user, email=user.email)
        if not address.verified:
            address.verified = address.primary = True
            address.save()
            take(user, user.email)


def take(user: User, address: str) -> list[User]:
    """Make a proved address that of one account alone; return the accounts that lose it."""
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
    """The step of a log-in that asks for a code, for accounts whose address is to be proved.

    Accounts from before the rule, and those made while there was no mail, are not asked: an
    address with a typing error would lock their owners out.
    """

    def handle(self) -> Any:
        """Return the page for the code, or nothing where the log-in goes on."""
        user = cast(User | None, self.login.user)
        if user is not None and user.email_status != EmailStatus.PENDING:
            return None, True
        return super().handle()


class SignUpForm(allauth_forms.SignupForm):
    """Sign-up that says nothing about the address: an account is made whoever else has it.

    A pretended sign-up would leave the user name free, which would tell what the page does not.
    """

    def validate_unique_email(self, value: str) -> str:
        """Take any address; the mail that is sent there says the rest."""
        return value


class ResetForm(allauth_forms.ResetPasswordForm):
    """Sends a link for a new password to an address that is a name."""

    def clean_email(self) -> str:
        """Find the account that the address opens, if any; the page does not tell."""
        address: str = get_adapter().clean_email(self.cleaned_data["email"].lower())
        self.users = list(User.objects.meant_by(address).filter(is_active=True))
        return address


class CodeForm(allauth_forms.ConfirmEmailVerificationCodeForm):
    """The code that was sent to an address."""

    code = forms.CharField(
        label=_("Code"), widget=forms.TextInput(attrs={"autocomplete": "one-time-code"})
    )

    def clean_code(self) -> str:
        """Refuse a wrong code, and any for an address that another account has proved."""
        code: str = super(allauth_forms.ConfirmEmailVerificationCodeForm, self).clean_code()
        if proved_by_other(self.user, self.email):
            raise get_adapter().validation_error("incorrect_code")
        return code
