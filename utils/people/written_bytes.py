"""How many bytes each person may write: what bounds the history of the last hour.

Counted in memory, by each process for itself, as a leaky bucket: a change adds the bytes of the
records it puts and removes, an hour drains what is allowed in an hour, and while the bucket has
more than that, the person's changes are refused. So one large import is always possible, and others
wait for it to drain.
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
#: How many people are remembered at most; those with the emptiest buckets are forgotten first.
_PEOPLE_MAX: Final = 10_000


class TooManyBytes(Unavailable):
    """The person wrote more than the history of an hour has room for. Wait `retry_after` s."""


class WrittenBytes:
    """The buckets of this process. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._empty_at: dict[int, datetime] = {}
        _all.add(self)

    def check(self, person: int, now: datetime) -> None:
        """Raise `TooManyBytes` if the person's bucket is full."""
        empty_at = self._empty_at.get(person)
        if empty_at is not None and empty_at - now > _HOUR:
            wait = ceil((empty_at - now - _HOUR).total_seconds())
            raise TooManyBytes("you wrote too many bytes within an hour: wait", min(wait, 3600))

    def add(self, person: int, now: datetime, size: int, allowed: int) -> None:
        """Add the bytes of a change; `allowed` is how many an hour drains."""
        with self._lock:
            begin = max(self._empty_at.get(person, now), now)
            # A clock that was set back, or one huge import, must not lock anybody out for a day.
            self._empty_at[person] = min(begin + size / allowed * _HOUR, now + 3 * _HOUR)
            if len(self._empty_at) > _PEOPLE_MAX:
                latest = sorted(self._empty_at, key=lambda one: self._empty_at[one])
                for one in latest[: _PEOPLE_MAX // 2]:
                    del self._empty_at[one]

    def forked(self) -> None:
        """In a forked child: another thread may have held the lock."""
        self._lock = threading.Lock()


_all: weakref.WeakSet[WrittenBytes] = weakref.WeakSet()


def _renew_after_fork() -> None:
    for written in tuple(_all):
        written.forked()


os.register_at_fork(after_in_child=_renew_after_fork)
