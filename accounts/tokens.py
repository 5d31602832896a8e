"""API tokens. A token is shown once, when it is created, and stored and looked up by its digest.

The *scopes* of a token limit its permissions: `read` or `write` (which includes `read`) for all
collections, or `tasks:read`, `projects:write` and so on for one. Each call reads the token from the
database, so expiry and revocation apply at once in all processes.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from django.db import DatabaseError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import ApiToken, User, all_scopes
from accounts.signals import activity, tell_store
from accounts.token_query import TokenRow, token_by_digest
from workspace.schema.validation import RECORD_COLLECTIONS

TOKEN_START = "nf_"
SHOWN_CHARACTERS = 8
TOKEN_CHARACTERS_MAX = 100
TOKENS_MAX = 50  # valid tokens per user
PAST_TOKENS_MAX = 100  # retained revoked or expired tokens per user
LAST_USED_EVERY = timedelta(minutes=1)
LIFETIME_MAX = timedelta(days=3660)

READ, WRITE = "read", "write"
SCOPES = (
    READ,
    WRITE,
    *(f"{name}:{right}" for name in RECORD_COLLECTIONS for right in (READ, WRITE)),
)
EVERYTHING = tuple(all_scopes())

_LIFETIME = re.compile("([1-9][0-9]{0,5})([hdw])", re.ASCII)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


class TooManyTokens(Exception):
    """The user has `TOKENS_MAX` valid tokens and must revoke one first."""


def create_token(
    user: User,
    name: str = "",
    *,
    scopes: Iterable[str] = EVERYTHING,
    lifetime: timedelta | None = None,
    request: HttpRequest | None = None,
) -> tuple[ApiToken, str]:
    """Create a token. Return its row, and its text, which cannot be recovered later.

    The token expires after `lifetime`, or never if that is None. `request` adds metadata to the
    activity. Raises `TooManyTokens`, and ValueError for an unknown scope.
    """
    if valid_tokens(user).count() >= TOKENS_MAX:
        raise TooManyTokens
    # Without this limit, a script that creates and revokes tokens would add rows without bound.
    past = ApiToken.objects.filter(user=user).exclude(pk__in=valid_tokens(user).values("pk"))
    for row in past.order_by("-pk")[PAST_TOKENS_MAX:]:
        row.delete()
    text = TOKEN_START + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name,
        prefix=text[:SHOWN_CHARACTERS],
        digest=_digest(text),
        scopes=scopes_in_order(scopes),
        expires_at=timezone.now() + lifetime if lifetime else None,
    )
    _tell(token, "token_created", "Made", request)
    return token, text


def revoke(token: ApiToken, request: HttpRequest | None = None) -> bool:
    """Revoke the token, with immediate effect. Return False if it was already revoked."""
    row = ApiToken.objects.filter(pk=token.pk, revoked_at=None)
    if not row.update(revoked_at=timezone.now()):
        return False
    _tell(token, "token_revoked", "Revoked", request)
    return True


def revoke_all(user: User, request: HttpRequest | None = None) -> list[str]:
    """Revoke all valid tokens of the user. Return their labels."""
    tokens = list(valid_tokens(user))
    ids = [token.pk for token in tokens]
    ApiToken.objects.filter(pk__in=ids, revoked_at=None).update(revoked_at=timezone.now())
    labels = [token.label for token in tokens]
    if labels:
        text = f"Revoked {len(labels)} API token{'' if len(labels) == 1 else 's'}: "
        tell_store(user.pk, activity("token_revoked", text + ", ".join(labels), request))
    return labels


def live_token(text: str) -> TokenRow | None:
    """Return the row of a valid token of an active account, or None.

    Looking up a digest instead of comparing tokens makes timing attacks useless.
    """
    if not text.startswith(TOKEN_START) or len(text) > TOKEN_CHARACTERS_MAX:
        return None
    token = token_by_digest(_digest(text))
    now = timezone.now()
    if token is None or not token.user_is_active or not is_valid(token, now):
        return None
    if token.last_used_at is None or now - token.last_used_at >= LAST_USED_EVERY:
        # Without this, a read-only database would make all API calls fail.
        with suppress(DatabaseError):
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def is_valid(token: ApiToken | TokenRow, now: datetime) -> bool:
    """Return whether the token is neither revoked nor expired. At `expires_at` it is expired."""
    expired = token.expires_at is not None and token.expires_at <= now
    return token.revoked_at is None and not expired


def valid_tokens(user: User) -> QuerySet[ApiToken]:
    """Return the user's tokens that are valid now."""
    tokens = ApiToken.objects.filter(user=user, revoked_at=None)
    return tokens.exclude(expires_at__lte=timezone.now())


def scopes_in_order(scopes: Iterable[str]) -> list[str]:
    """Return the scopes without duplicates, in the order of `SCOPES`.

    Raises ValueError if there is none, or for an unknown scope.
    """
    chosen = set(scopes)
    unknown = sorted(chosen - set(SCOPES))
    if unknown or not chosen:
        problem = f"{unknown[0]!r} is no scope" if unknown else "a token needs a scope"
        raise ValueError(f"{problem}; there are {', '.join(SCOPES)}.")
    return [scope for scope in SCOPES if scope in chosen]


def lifetime_of(text: str) -> timedelta:
    """Parse a lifetime such as 12h, 90d or 52w.

    Raises ValueError for other text, and for more than `LIFETIME_MAX`.
    """
    match = _LIFETIME.fullmatch(text)
    lifetime = _UNITS[match[2]] * int(match[1]) if match else timedelta.max
    if lifetime > LIFETIME_MAX:
        raise ValueError(f"{text!r} is no time such as 12h, 90d or 52w, up to ten years.")
    return lifetime


def _tell(token: ApiToken, kind: str, done: str, request: HttpRequest | None) -> None:
    name = f" “{token.name}”" if token.name else ""
    happened = activity(kind, f"{done} the API token {token.prefix}…{name}", request)
    tell_store(token.user_id, happened)


def _digest(text: str) -> str:
    # No salt or key stretching: 256 random bits cannot be guessed from their digest.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
