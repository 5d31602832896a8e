"""Who acts: whose calls are counted, and under whom an activity is logged."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """A person, and the token that they call with: "" for a signed-in session, a page or Python."""

    user_id: int
    token: str = ""
