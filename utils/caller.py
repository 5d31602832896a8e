"""Who acts: whose quota is metered, under whom an activity is logged, whose rights count."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """The person who acts, and the token they act with.

    `token` is "" for a signed-in session, a page or Python; otherwise the part of the token that
    is no secret, such as "12".
    """

    user_id: int
    token: str = ""
