"""Accounts put into the database without anyone being told: no signal, no mirror."""

from __future__ import annotations

from typing import Any

from accounts.models import User


def add_account(user_id: int, username: str, **fields: Any) -> User:
    """An account with this id. It has no documents until something makes them."""
    fields.setdefault("email", f"{username}@example.com")
    (user,) = User.objects.bulk_create([User(pk=user_id, username=username, **fields)])
    return user
