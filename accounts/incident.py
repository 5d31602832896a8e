"""Revocation of access after a new password: sessions, API tokens, pending log-ins, event streams.

An attacker who knew the old password may have logged in, or created a token. So every way to set a
password revokes access: `User.save` sends `password_saved`. Only the page on which signed-in users
change their own password can spare the tokens.

Django ends other sessions by their hash of the password. This module also deletes their rows.
`accounts.adapter` ends a log-in that waits for its second factor, `is_still_known` of the API an
event stream.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from allauth.core import context
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.mail import send_notice
from accounts.models import User, password_saved
from accounts.sessions import end_sessions, is_current
from accounts.signals import activity, tell_store
from accounts.tokens import revoke_all, valid_tokens

log = logging.getLogger(__name__)


@dataclass
class Ended:
    """Sessions and tokens that a new password ended. `spared` are tokens that still work."""

    sessions: int = 0
    tokens: list[str] = field(default_factory=list)
    spared: list[str] = field(default_factory=list)

    def sentences(self) -> Iterator[str]:
        """Yield sentences that tell the user what was ended."""
        yield ngettext(
            "%(count)d other session was ended.",
            "%(count)d other sessions were ended.",
            self.sessions,
        ) % {"count": self.sessions}
        if self.spared:
            yield ngettext(
                "This API token still works: %(names)s.",
                "These API tokens still work: %(names)s.",
                len(self.spared),
            ) % {"names": ", ".join(self.spared)}
        elif self.tokens:
            yield ngettext(
                "%(count)d API token was revoked: %(names)s.",
                "%(count)d API tokens were revoked: %(names)s.",
                len(self.tokens),
            ) % {"count": len(self.tokens), "names": ", ".join(self.tokens)}
        else:
            yield _("There was no API token to revoke.")


@dataclass
class _Change:
    """A password change in progress."""

    spare_tokens: bool
    ended: Ended = field(default_factory=Ended)


_under_way: ContextVar[_Change | None] = ContextVar("password_change", default=None)


@contextmanager
def password_change(*, spare_tokens: bool = False) -> Iterator[Ended]:
    """Let a password set in the block spare the tokens. Yields the result, filled by the save."""
    change = _Change(spare_tokens)
    before = _under_way.set(change)
    try:
        yield change.ended
    finally:
        _under_way.reset(before)


@receiver(password_saved, sender=User)
def end_access(user: User, **kwargs: Any) -> None:
    """End the access that the old password gave."""
    _end_access(user, context.request, _under_way.get() or _Change(spare_tokens=False))


def _end_access(user: User, request: HttpRequest | None, change: _Change) -> None:
    ended = change.ended
    listed = UserSession.objects.filter(user=user)
    ended.sessions = end_sessions(s for s in listed if not request or not is_current(s, request))
    if change.spare_tokens:
        ended.spared = [token.label for token in valid_tokens(user)]
    else:
        ended.tokens = revoke_all(user, request)
    if ended.sessions:
        tell_store(user.pk, activity("sessions_ended", f"Ended {ended.sessions} sessions", request))
    if ended.sessions or ended.tokens:
        log.info(
            "The new password of account %s ended %s sessions and %s API tokens",
            user.pk,
            ended.sessions,
            len(ended.tokens),
        )


def send_password_notice(user: User, ended: Ended) -> bool:
    """Mail a notice of the new password, and what it ended. Return whether it was sent."""
    lines = [
        _("The password of your account %(name)s was changed.") % {"name": user.username},
        *ended.sentences(),
    ]
    if Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists():
        lines.append(
            _(
                "Two-factor authentication stays on. If you did not set it up, contact"
                " your administrator."
            )
        )
    lines.append(_("If you did not do this, reset your password now."))
    return send_notice(user.mail_address, _("Your password was changed"), lines)
