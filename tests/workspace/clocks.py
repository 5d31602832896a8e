"""A clock that tests move on by hand, and the layouts of a store that goes by it."""

from __future__ import annotations

from datetime import datetime

from workspace.schema.validation import COLLECTIONS

LAYOUTS = {name: spec.layout for name, spec in COLLECTIONS.items()}


class Clock:
    """Stands still at `now`, until a test sets it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now
