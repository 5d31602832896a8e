"""Signal receivers that mirror accounts to the store, and record activities, after each commit.

The database is the source of truth for accounts. If the store cannot be written, the user can still
log in: the error is logged and counted on the account, and `setup_data --sync-users` repairs the
mirror.
"""

import logging
from functools import partial
from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.signals import (
    email_confirmed,
    password_changed,
    password_reset,
    password_set,
)
from allauth.core import context
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import (
    authentication_failed,
    authenticator_added,
    authenticator_removed,
    authenticator_reset,
)
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.signals import user_logged_out, user_login_failed
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import F
from django.db.models.signals import post_delete, post_save, pre_delete
from django.dispatch import Signal, receiver
from django.http import HttpRequest

from accounts import guards
from accounts.account_deletion import sessions_of
from accounts.addresses import prove_by_link, take
from accounts.mail import send_codes_notice
from accounts.models import AddressInvitation, FormerAccount, User
from accounts.sessions import begin
from docstore import StoreError
from utils.json_storage import json_storage
from utils.middleware import request_metadata
from workspace.users.document import Activity

log = logging.getLogger(__name__)

# Sent with `request` and `user` after a user's profile was edited.
profile_updated = Signal()


def activity(type: str, description: str, request: HttpRequest | None) -> Activity:
    """Return an activity with the client's address and browser from the request, if any."""
    return Activity(type, description, request_metadata(request) if request else {})


def _address(request: HttpRequest | None) -> str:
    return getattr(request, "client_address", "") or "nowhere"


def tell_store(user_id: int, happened: Activity | None = None, *, created: bool = False) -> None:
    """Mirror the account and add the activity in one commit, after the database commits.

    Outside a transaction, this happens at once. Errors of the store are logged, not raised.
    """
    transaction.on_commit(partial(_mirror, user_id, happened, created=created))


def _mirror(user_id: int, happened: Activity | None, *, created: bool) -> None:
    try:
        # By id, to read the account again: the request's copy may be stale and would overwrite
        # the change of a concurrent request.
        json_storage.mirror_account(user_id, lay_out=created, activity=happened)
    except (StoreError, OSError):
        log.exception("The store was not told of a change of account %s", user_id)
        # save() would mirror the account again.
        User.objects.filter(pk=user_id).update(mirror_faults=F("mirror_faults") + 1)


@receiver(post_save, sender=User)
def mirror_account(
    instance: User, created: bool, raw: bool, update_fields: frozenset[str] | None, **kwargs: Any
) -> None:
    # `log_sign_in` mirrors a log-in, and the mirror has no passwords.
    if raw or (update_fields and update_fields <= {"last_login", "password"}):
        return
    if created:
        happened = activity("account_created", "Account created", context.request)
        tell_store(instance.pk, happened, created=True)
        return
    if update_fields is None or "email" in update_fields:
        # Without this, a former address could still log in to the account.
        EmailAddress.objects.filter(user=instance).exclude(email=instance.email).delete()
    tell_store(instance.pk)


@receiver(pre_delete, sender=User)
def end_sessions(instance: User, **kwargs: Any) -> None:
    """Before an account is deleted, end its sessions and reserve its id as used."""
    Session.objects.filter(pk__in=sessions_of(instance)).delete()
    FormerAccount.objects.get_or_create(pk=instance.pk)
    AddressInvitation.objects.filter(owner=instance.pk).delete()


@receiver(post_delete, sender=UserSession)
def end_session(instance: UserSession, **kwargs: Any) -> None:
    """End a session that was deleted from the list, for example in the administration."""
    Session.objects.filter(pk=instance.session_key).delete()


def log_sign_in(request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Record a log-in. Connected by `AccountsConfig.ready`."""
    begin(request.session)
    log.info("Account %s signed in from %s", user.pk, _address(request))
    tell_store(user.pk, activity("login", "Signed in", request))


@receiver(user_logged_out)
def log_sign_out(request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    if user is not None:
        log.info("Account %s signed out from %s", user.pk, _address(request))
        tell_store(user.pk, activity("logout", "Signed out", request))


@receiver(user_login_failed)
def log_failed_sign_in(
    credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    """Record a failed log-in, as an activity only for an existing account.

    Unknown names are not stored: users sometimes type their password there.
    """
    log.warning("A sign-in failed from %s", _address(request))
    names = {str(credentials[key]) for key in ("username", "email", "login") if key in credentials}
    for name in names:
        for user_id in User.objects.meant_by(name).values_list("pk", flat=True) if name else ():
            tell_store(user_id, activity("login_failed", "Sign-in failed", request))


@receiver(authenticator_added)
def log_second_factor_on(
    request: HttpRequest, user: User, authenticator: Authenticator, **kwargs: Any
) -> None:
    if authenticator.type == Authenticator.Type.TOTP:
        tell_store(user.pk, activity("second_factor_on", "Two-factor log-in on", request))


@receiver(authenticator_removed)
def log_second_factor_off(
    request: HttpRequest, user: User, authenticator: Authenticator, **kwargs: Any
) -> None:
    if authenticator.type == Authenticator.Type.TOTP:
        tell_store(user.pk, activity("second_factor_off", "Two-factor log-in off", request))


@receiver(authenticator_reset)
def log_recovery_codes(request: HttpRequest, user: User, **kwargs: Any) -> None:
    tell_store(user.pk, activity("recovery_codes_made", "Made recovery codes", request))


@receiver(authentication_failed)
def log_wrong_code(
    request: HttpRequest, user: User, reauthentication: bool = False, **kwargs: Any
) -> None:
    log.warning("A code for account %s was wrong, from %s", user.pk, _address(request))
    tell_store(user.pk, activity("login_failed", "A code was wrong", request))
    if not reauthentication and guards.is_worth_a_notice(user):
        send_codes_notice(user, _address(request))


@receiver(profile_updated)
def log_profile_updated(request: HttpRequest, user: User, **kwargs: Any) -> None:
    tell_store(user.pk, activity("profile_updated", "Profile updated", request))


@receiver(password_changed)
@receiver(password_set)
def log_password_changed(request: HttpRequest, user: User, **kwargs: Any) -> None:
    tell_store(user.pk, activity("password_changed", "Password changed", request))


@receiver(email_confirmed)
def log_proved_address(request: HttpRequest, email_address: EmailAddress, **kwargs: Any) -> None:
    """Remove the proved address from other accounts, and record that as their activity."""
    user = email_address.user
    assert isinstance(user, User)
    for loser in take(user, email_address.email):
        tell_store(loser.pk, activity("address_lost", "Somebody else proved the address", None))
    tell_store(user.pk, activity("address_proved", "Confirmed the e-mail address", request))


@receiver(password_reset)
def log_password_reset(request: HttpRequest, user: User, **kwargs: Any) -> None:
    if settings.NEURALFLOW_SENDS_MAIL:
        prove_by_link(user)
    guards.forget_failures(request, user)
    tell_store(user.pk, activity("password_reset", "Password reset", request))
