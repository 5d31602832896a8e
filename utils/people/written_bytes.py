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
        empty_at = self._empty_at.get(person)
        if empty_at is not None and empty_at - now > _HOUR:
            wait = ceil((empty_at - now - _HOUR).total_seconds())
            raise TooManyBytes("you wrote too many bytes within an hour: wait", min(wait, 3600))

    def add(self, person: int, now: datetime, size: int, allowed: int) -> None:
        """Add the bytes of a change. `allowed` is the allowance in bytes per hour."""
        with self._lock:
            begin = max(self._empty_at.get(person, now), now)
            # Without this bound, a clock set back or a huge import would lock a user out for days.
            self._empty_at[person] = min(begin + size / allowed * _HOUR, now + 3 * _HOUR)
            if len(self._empty_at) > _PEOPLE_MAX:
                by_emptiness = sorted(self._empty_at, key=lambda one: self._empty_at[one])
                for person_id in by_emptiness[: _PEOPLE_MAX // 2]:
                    del self._empty_at[person_id]

    def forked(self) -> None:
        """Reset the lock after a fork: another thread may have held it."""
        self._lock = threading.Lock()


_all: weakref.WeakSet[WrittenBytes] = weakref.WeakSet()


def _renew_after_fork() -> None:
    for written in tuple(_all):
        written.forked()


os.register_at_fork(after_in_child=_renew_after_fork)
