"""Tokens for the API: made here, shown once, kept as a digest, found by it."""

import hashlib
import secrets
from contextlib import suppress
from datetime import timedelta

from django.db import DatabaseError
from django.utils import timezone

from accounts.models import ApiToken, User

TOKEN_START = "nf_"
SHOWN_CHARACTERS = 8
TOKEN_CHARACTERS_MAX = 100
LAST_USED_EVERY = timedelta(minutes=1)


def create_token(user: User, name: str = "") -> tuple[ApiToken, str]:
    """A new token of *user*: its row, and the text, which can never be had again."""
    text = TOKEN_START + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user, name=name, prefix=text[:SHOWN_CHARACTERS], digest=_digest(text)
    )
    return token, text


def live_token(text: str) -> ApiToken | None:
    """The token of an active account that *text* is, with its `user`; or None.

    The digest is looked up, not compared: how long it takes tells nothing about any token.
    """
    if not text.startswith(TOKEN_START) or len(text) > TOKEN_CHARACTERS_MAX:
        return None
    token = ApiToken.objects.select_related("user").filter(digest=_digest(text)).first()
    if token is None or not token.user.is_active:
        return None
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at >= LAST_USED_EVERY:
        # A database that takes no writes must not keep people from what they may read.
        with suppress(DatabaseError):
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def _digest(text: str) -> str:
    # Without salt and stretching: 256 random bits cannot be guessed from their digest.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
