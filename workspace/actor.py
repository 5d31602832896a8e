"""The actor of a call: its quota, its permissions, and the author of its activities."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """The user who acts, and the token used.

    `token` is "" for a session, a page or Python. Otherwise it is the public part of the token,
    such as "12".
    """

    user_id: int
    token: str = ""
