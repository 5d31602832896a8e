"""The API quota of a user: hourly calls and burst rate limit.

Calls are counted per clock hour in UTC. `api_calls_used` belongs to the hour in `api_calls_period`
("2026-11-30T14") and counts as 0 in another hour. `api_calls_by_token` splits it by token, where ""
is a signed-in session. Old documents have no period. Their count belongs to the hour of their last
change, which must be stored before another change moves that time (`period_to_keep`).

The burst follows the generic cell rate algorithm (ITU-T I.371). `api_burst_until` is the moment
when all calls of the burst are available again. Each call advances it by `Burst.worth`, to at most
`window` from now.

Reads are not in the document until a commit stores them: see `Uncommitted` and `call_counts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from math import ceil
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from workspace.schema.validation import COLLECTIONS
from workspace.timestamps import format_utc, parse_or_none

PERIOD: Final = "api_calls_period"
BY_TOKEN: Final = "api_calls_by_token"
BURST_UNTIL: Final = "api_burst_until"
# A process commits its counts before they exceed these fractions (1/10, 1/5) of the remaining
# calls. Otherwise several processes together could exceed a limit by any amount.
_HELD_BACK_OF_HOUR: Final = 10
_HELD_BACK_OF_BURST: Final = 5


class Uncommitted(NamedTuple):
    """Counts of this process that no commit has stored yet.

    `until` is the end of the burst after these calls. `calls` is their number, including those that
    the hourly quota does not count.
    """

    by_token: Mapping[str, int] = MappingProxyType({})
    calls: int = 0
    until: datetime | None = None


NOTHING: Final = Uncommitted()


@dataclass(frozen=True)
class Burst:
    """The burst rate limit: `limit` calls per `window` seconds.

    `busy` is the time from now until all calls are available again.
    """

    limit: int
    window: int
    busy: timedelta = timedelta(0)

    @property
    def remaining(self) -> int:
        return max((timedelta(seconds=self.window) - self.busy) // self.worth, 0)

    @property
    def resets_in(self) -> int:
        """Seconds until all calls are available."""
        return ceil(self.busy.total_seconds())

    @property
    def retry_after(self) -> int:
        """Seconds until a call is available."""
        wait = self.busy + self.worth - timedelta(seconds=self.window)
        return max(ceil(wait.total_seconds()), 0)

    def after_one_more(self, calls: int = 1) -> Burst:
        """Return the burst after so many more calls, never beyond its limit."""
        busy = min(self.busy + calls * self.worth, timedelta(seconds=self.window))
        return Burst(self.limit, self.window, busy)

    @property
    def worth(self) -> timedelta:
        """The time after which a call is available again."""
        return _worth(self.limit, self.window)


@dataclass(frozen=True)
class Quota:
    """Used calls, the limit, and the seconds until the count resets. No limit is None."""

    used: int
    limit: int | None
    resets_in: int
    burst: Burst
    by_token: Mapping[str, int] = field(default_factory=dict)

    @property
    def remaining(self) -> int | None:
        return None if self.limit is None else max(self.limit - self.used, 0)

    def after_uncounted(self, calls: int = 1) -> Quota:
        """Return the quota after a call that only the burst counts. Raises `TooManyCalls`."""
        self.check_burst()
        return replace(self, burst=self.burst.after_one_more(calls))

    def check_burst(self) -> None:
        """Raise `TooManyCalls` if the burst has no call left."""
        if not self.burst.remaining:
            raise TooManyCalls(self)

    def check(self) -> None:
        """Raise `QuotaExceeded` or `TooManyCalls` if no call is left."""
        if self.remaining == 0:
            raise QuotaExceeded(self)
        self.check_burst()


class TooManyCalls(Exception):
    """Raised if the burst is exhausted. Retry after `retry_after` seconds."""

    def __init__(self, quota: Quota) -> None:
        burst = quota.burst
        super().__init__(f"more than {burst.limit} API calls came within {burst.window} seconds")
        self.quota, self.retry_after = quota, burst.retry_after


class QuotaExceeded(Exception):
    """Raised if the calls of this hour are used up. Retry after `quota.resets_in` seconds."""

    def __init__(self, quota: Quota) -> None:
        super().__init__(f"all {quota.limit} API calls of this hour are used")
        self.quota = quota


@dataclass(frozen=True)
class StoredCounts:
    """The counts and limits in a user document, parsed once for each version of it.

    `hour` is the one in which `used` counts, and `busy_until` the end of the burst.
    """

    used: int
    hour: str
    limit: int
    by_token: Mapping[str, int]
    busy_until: datetime | None

    @classmethod
    def of(cls, user_document: Mapping[str, Any]) -> StoredCounts:
        """Return the counts of a user document. Unreadable values count as missing."""
        used = user_document.get("api_calls_used")
        return cls(
            used=used if type(used) is int else 0,
            hour=_period_counted(user_document),
            limit=_own_limit(user_document),
            by_token=_by_token(user_document),
            busy_until=parse_or_none(user_document.get(BURST_UNTIL)),
        )

    def quota(
        self,
        now: datetime,
        burst: tuple[int, int],
        *,
        limit: int | None = None,
        uncommitted: Uncommitted = NOTHING,
    ) -> Quota:
        """Return the quota at `now`. `burst` is (calls, seconds).

        `limit` applies to all accounts, and 0 disables it. None uses the document's own limit.
        """
        counts = self.hour == period_of(now)
        by_token = dict(self.by_token) if counts else {}
        for token, count in uncommitted.by_token.items():
            by_token[token] = by_token.get(token, 0) + count
        committed = self.used if counts else 0
        return Quota(
            used=committed + sum(uncommitted.by_token.values()),
            limit=self.limit if limit is None else limit or None,
            resets_in=_seconds_left(now),
            burst=self.burst(now, burst, uncommitted),
            by_token=by_token,
        )

    def burst(
        self, now: datetime, burst: tuple[int, int], uncommitted: Uncommitted = NOTHING
    ) -> Burst:
        """Return the burst at `now`. `burst` is (calls, seconds)."""
        limit, window = burst
        until = self.busy_until or now
        if uncommitted.until is not None:
            # Another process may have moved the end of the burst since: add our calls to it.
            until = max(uncommitted.until, until + uncommitted.calls * _worth(limit, window))
        # After the clock was set back, or a hand edit, the stored end may be far ahead. Without
        # this bound, the user would be locked out until then.
        busy = min(max(until - now, timedelta(0)), timedelta(seconds=window))
        return Burst(limit, window, busy)


def may_hold_back(before: Quota, committed: Burst, uncommitted: Uncommitted) -> int:
    """Return the number of counts that a process may leave uncommitted.

    `before` includes the uncommitted counts, and `committed` does not.
    """
    of_burst = committed.remaining // _HELD_BACK_OF_BURST
    if before.limit is None:
        return of_burst
    used = before.used - sum(uncommitted.by_token.values())
    return min(max(before.limit - used, 0) // _HELD_BACK_OF_HOUR, of_burst)


def _own_limit(user_document: Mapping[str, Any]) -> int:
    limit = user_document.get("api_calls_limit")
    default: int = COLLECTIONS["users"].by_name["api_calls_limit"].default
    return limit if type(limit) is int else default


def after_one_more(quota: Quota, token: str) -> Quota:
    """Return the quota after a counted call. Raises like `Quota.check`."""
    quota.check()
    return replace(
        quota,
        used=quota.used + 1,
        burst=quota.burst.after_one_more(),
        by_token={**quota.by_token, token: quota.by_token.get(token, 0) + 1},
    )


def as_fields(quota: Quota, now: datetime) -> dict[str, Any]:
    """Return the quota as fields of the user document."""
    return {
        "api_calls_used": quota.used,
        PERIOD: period_of(now),
        BY_TOKEN: quota.by_token,
        BURST_UNTIL: format_utc(now + quota.burst.busy),
    }


def _by_token(user_document: Mapping[str, Any]) -> dict[str, int]:
    counts = user_document.get(BY_TOKEN)
    if not isinstance(counts, Mapping):
        return {}
    return {token: count for token, count in counts.items() if type(count) is int}


def period_of(moment: datetime) -> str:
    """Return the hour in which a call at this moment counts."""
    return format_utc(moment)[:13]


def period_to_keep(user_document: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that a change must set so that the count remains in its hour."""
    if PERIOD in user_document or not user_document.get("api_calls_used"):
        return {}
    return {PERIOD: _period_counted(user_document)}


def _period_counted(user_document: Mapping[str, Any]) -> str:
    """Return the hour of the count, or "" if it is unknown."""
    if PERIOD in user_document:
        return str(user_document[PERIOD])
    changed = parse_or_none(user_document.get("updated_at"))
    return period_of(changed) if changed else ""


def _seconds_left(now: datetime) -> int:
    """Return the seconds until the next hour, rounded up past it."""
    passed = now.minute * 60 + now.second + (now.microsecond > 0)
    return 3600 - passed + 1


@lru_cache
def _worth(limit: int, window: int) -> timedelta:
    """Return the time after which a call of the burst is available again."""
    # Rounded down, or the last call of a burst would not fit into the window.
    return timedelta(seconds=window) // limit or timedelta.resolution
