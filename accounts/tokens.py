"""Tokens for the API: made here, shown once, kept as a digest, found by it.

A token's *scopes* say what it may do: `read` and `write` (which includes reading) everything, or
`tasks:read`, `projects:write` and so on, one collection. Whoever looks a token up asks the database
each time, so an expiry or a revocation counts at once and in all processes.
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
from accounts.token_lookup import TokenRow, token_by_digest
from utils.records import RECORD_COLLECTIONS

TOKEN_START = "nf_"
SHOWN_CHARACTERS = 8
TOKEN_CHARACTERS_MAX = 100
TOKENS_MAX = 50  # valid ones of one person
PAST_TOKENS_MAX = 100  # revoked or expired ones that are retained
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
    """The person has `TOKENS_MAX` valid tokens; one has to be revoked first."""


def create_token(
    user: User,
    name: str = "",
    *,
    scopes: Iterable[str] = EVERYTHING,
    lifetime: timedelta | None = None,
    request: HttpRequest | None = None,
) -> tuple[ApiToken, str]:
    """A new token of *user*: its row, and the text, which can never be had again.

    It expires after `lifetime`, or never. `request`: by which it was asked for. Raises
    `TooManyTokens`, and ValueError for a scope that there is not.
    """
    if valid_tokens(user).count() >= TOKENS_MAX:
        raise TooManyTokens
    # Of those that are revoked or expired, the newest stay: they would be rows without end.
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
    """Ends the token for good, from this moment on. False where it was revoked already."""
    row = ApiToken.objects.filter(pk=token.pk, revoked_at=None)
    if not row.update(revoked_at=timezone.now()):
        return False
    _tell(token, "token_revoked", "Revoked", request)
    return True


def revoke_all(user: User, request: HttpRequest | None = None) -> list[str]:
    """Revoke all valid tokens of *user*, and return their labels."""
    tokens = list(valid_tokens(user))
    ids = [token.pk for token in tokens]
    ApiToken.objects.filter(pk__in=ids, revoked_at=None).update(revoked_at=timezone.now())
    labels = [token.label for token in tokens]
    if labels:
        text = f"Revoked {len(labels)} API token{'' if len(labels) == 1 else 's'}: "
        tell_store(user.pk, activity("token_revoked", text + ", ".join(labels), request))
    return labels


def live_token(text: str) -> TokenRow | None:
    """The token that *text* is, with its `user`: a valid one of an active account; or None.

    The digest is looked up, not compared: how long it takes tells nothing about any token.
    """
    if not text.startswith(TOKEN_START) or len(text) > TOKEN_CHARACTERS_MAX:
        return None
    token = token_by_digest(_digest(text))
    now = timezone.now()
    if token is None or not token.user_is_active or not is_valid(token, now):
        return None
    if token.last_used_at is None or now - token.last_used_at >= LAST_USED_EVERY:
        # A database that takes no writes must not keep people from what they may read.
        with suppress(DatabaseError):
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def is_valid(token: ApiToken | TokenRow, now: datetime) -> bool:
    """Whether the token was not revoked and has not expired; at its last moment it has."""
    expired = token.expires_at is not None and token.expires_at <= now
    return token.revoked_at is None and not expired


def valid_tokens(user: User) -> QuerySet[ApiToken]:
    """Those of *user* that open something now."""
    tokens = ApiToken.objects.filter(user=user, revoked_at=None)
    return tokens.exclude(expires_at__lte=timezone.now())


def scopes_in_order(scopes: Iterable[str]) -> list[str]:
    """The scopes, each once, as `SCOPES` has them. Raises ValueError where one is unknown or there
    is none."""
    chosen = set(scopes)
    unknown = sorted(chosen - set(SCOPES))
    if unknown or not chosen:
        said = f"{unknown[0]!r} is no scope" if unknown else "a token needs a scope"
        raise ValueError(f"{said}; there are {', '.join(SCOPES)}.")
    return [scope for scope in SCOPES if scope in chosen]


def lifetime_of(text: str) -> timedelta:
    """A time as people type it: 12h, 90d, 52w. Raises ValueError for anything else, and for more
    than ten years."""
    found = _LIFETIME.fullmatch(text)
    lifetime = _UNITS[found[2]] * int(found[1]) if found else timedelta.max
    if lifetime > LIFETIME_MAX:
        raise ValueError(f"{text!r} is no time such as 12h, 90d or 52w, up to ten years.")
    return lifetime


def _tell(token: ApiToken, kind: str, done: str, request: HttpRequest | None) -> None:
    name = f" “{token.name}”" if token.name else ""
    happened = activity(kind, f"{done} the API token {token.prefix}…{name}", request)
    tell_store(token.user_id, happened)


def _digest(text: str) -> str:
    # Without salt and stretching: 256 random bits cannot be guessed from their digest.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
