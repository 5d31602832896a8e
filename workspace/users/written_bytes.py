"""Rate limit for written bytes per user, which bounds the history of the last hour.

Each process has a leaky bucket per user, in memory. A change adds the bytes of the records that it
puts and removes. An hour drains the hourly allowance. While the bucket has more than that, the
user's changes are refused. So a large import always succeeds, and later changes wait.
"""

from __future__ import annotations

import os
import threading
import weakref
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from docstore import Unavailable

_HOUR: Final = timedelta(hours=1)
_FULL: Final = 3 * _HOUR
#: The maximum number of buckets. The emptiest ones are dropped first.
_PEOPLE_MAX: Final = 10_000


class TooManyBytes(Unavailable):
    """The user wrote more than the hourly allowance. Wait `retry_after` seconds."""


class WrittenBytes:
    """The buckets of this process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._empty_at: dict[int, datetime] = {}
        _all.add(self)

    def check(self, person: int, now: datetime) -> None:
        """Raise `TooManyBytes` if the user's bucket is full."""
        left = self._left(person, now)
        if left > _HOUR:
            wait = ceil((left - _HOUR).total_seconds())
            raise TooManyBytes("you wrote too many bytes within an hour: wait", min(wait, 3600))

    def add(self, person: int, now: datetime, size: int, allowed: int) -> None:
        """Add the bytes of a change. `allowed` is the allowance in bytes per hour."""
        with self._lock:
            # Without this bound, a huge import would lock a user out for days.
            self._empty_at[person] = now + min(
                self._left(person, now) + size / allowed * _HOUR, _FULL
            )
            if len(self._empty_at) > _PEOPLE_MAX:
                by_emptiness = sorted(self._empty_at, key=lambda one: self._empty_at[one])
                for person_id in by_emptiness[: _PEOPLE_MAX // 2]:
                    del self._empty_at[person_id]

    def _left(self, person: int, now: datetime) -> timedelta:
        """Return the time until the user's bucket is empty.

        More than a full bucket means that the clock was set back. Without starting again then, the
        user would be locked out until the clock is where it was.
        """
        left = self._empty_at.get(person, now) - now
        return left if timedelta(0) < left <= _FULL else timedelta(0)

    def forked(self) -> None:
        """Reset the lock after a fork: another thread may have held it."""
        self._lock = threading.Lock()


_all: weakref.WeakSet[WrittenBytes] = weakref.WeakSet()


def _renew_after_fork() -> None:
    for written in tuple(_all):
        written.forked()


os.register_at_fork(after_in_child=_renew_after_fork)
