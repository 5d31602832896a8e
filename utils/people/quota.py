"""API quota of a person: the calls of the hour in their document, and the burst.

Calls are counted per hour of the clock in UTC. `api_calls_used` belongs to the hour that
`api_calls_period` names ("2026-11-30T14"); in another hour it counts as 0. `api_calls_by_token`
says how many of them were made with which token; "" is a signed-in session. Documents of old
folders have no period: their count belongs to the hour of their last change, which has to be
written down before another change moves that hour on (`period_to_keep`).

The burst is counted by the generic cell rate algorithm (ITU-T I.371): `api_burst_until` is the
moment at which all calls of the burst are free again. Each call moves it on by the time that one
call is worth, and may not move it further into the future than the window.

Calls that only read are not in the document yet: `Uncommitted` (see `call_counts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from utils.records import COLLECTIONS
from utils.times import moment_of, utc_text

PERIOD: Final = "api_calls_period"
BY_TOKEN: Final = "api_calls_by_token"
BURST_UNTIL: Final = "api_burst_until"
# A process holds back at most these shares of what is left before it commits the counts, so that
# several processes together do not exceed a limit by more than that for each.
_HELD_BACK_OF_HOUR: Final = 10
_HELD_BACK_OF_BURST: Final = 5


class Uncommitted(NamedTuple):
    """Counts of this process that no commit has taken along yet.

    `until` is where these calls moved the end of the burst, and `calls` how many they are, those
    included that the hour does not count.
    """

    by_token: Mapping[str, int] = MappingProxyType({})
    calls: int = 0
    until: datetime | None = None


NOTHING: Final = Uncommitted()


@dataclass(frozen=True)
class Burst:
    """How many calls may come at once; all are free again after `window` seconds of rest.

    `busy` is how long from now until all are free.
    """

    limit: int
    window: int
    busy: timedelta = timedelta(0)

    @property
    def remaining(self) -> int:
        return max((timedelta(seconds=self.window) - self.busy) // self.worth, 0)

    @property
    def resets_in(self) -> int:
        """In how many seconds all calls are free."""
        return ceil(self.busy.total_seconds())

    @property
    def retry_after(self) -> int:
        """In how many seconds one call is free."""
        wait = self.busy + self.worth - timedelta(seconds=self.window)
        return max(ceil(wait.total_seconds()), 0)

    def after_one_more(self, calls: int = 1) -> Burst:
        """The burst after one more call, or so many; never past its end."""
        busy = min(self.busy + calls * self.worth, timedelta(seconds=self.window))
        return Burst(self.limit, self.window, busy)

    @property
    def worth(self) -> timedelta:
        """How long it takes until one call is free again."""
        # Rounded down, or the last call of a burst would not fit into the window.
        return timedelta(seconds=self.window) // self.limit or timedelta.resolution


@dataclass(frozen=True)
class Quota:
    """How many calls of how many are used, and in how many seconds the count starts again.

    A `limit` of None means that there is none.
    """

    used: int
    limit: int | None
    resets_in: int
    burst: Burst
    by_token: Mapping[str, int] = field(default_factory=dict)

    @property
    def remaining(self) -> int | None:
        return None if self.limit is None else max(self.limit - self.used, 0)

    @property
    def may_hold_back(self) -> int:
        """How many counts a process may hold back, this being the quota as committed."""
        of_burst = self.burst.remaining // _HELD_BACK_OF_BURST
        if self.remaining is None:
            return of_burst
        return min(self.remaining // _HELD_BACK_OF_HOUR, of_burst)

    def after_uncounted(self, calls: int = 1) -> Quota:
        """The quota after a call that only the burst counts, as `calls`. Raises `TooManyCalls`."""
        self.check_burst()
        return replace(self, burst=self.burst.after_one_more(calls))

    def check_burst(self) -> None:
        """Raises `TooManyCalls` where the burst has no call left now."""
        if not self.burst.remaining:
            raise TooManyCalls(self)

    def check(self) -> None:
        """Raises `QuotaExceeded` or `TooManyCalls` where no call is left now."""
        if self.remaining == 0:
            raise QuotaExceeded(self)
        self.check_burst()


class TooManyCalls(Exception):
    """Too many API calls came at once. Try again after `retry_after` seconds."""

    def __init__(self, quota: Quota) -> None:
        burst = quota.burst
        super().__init__(f"more than {burst.limit} API calls came within {burst.window} seconds")
        self.quota, self.retry_after = quota, burst.retry_after


class QuotaExceeded(Exception):
    """All API calls of this hour are used. Try again after `quota.resets_in` seconds."""

    def __init__(self, quota: Quota) -> None:
        super().__init__(f"all {quota.limit} API calls of this hour are used")
        self.quota = quota


def quota_of(
    user_document: Mapping[str, Any],
    now: datetime,
    burst: tuple[int, int],
    *,
    limit: int | None = None,
    uncommitted: Uncommitted = NOTHING,
) -> Quota:
    """The quota of the person whose document this is; `burst` is calls and seconds.

    `limit` is the one for all accounts, 0 for none; None leaves it to the document.
    """
    used = user_document.get("api_calls_used")
    counts = _period_counted(user_document) == period_of(now)
    by_token = _by_token(user_document) if counts else {}
    for token, count in uncommitted.by_token.items():
        by_token[token] = by_token.get(token, 0) + count
    committed = used if counts and type(used) is int else 0
    return Quota(
        used=committed + sum(uncommitted.by_token.values()),
        limit=_own_limit(user_document) if limit is None else limit or None,
        resets_in=int((_next_hour(now) - now).total_seconds()) + 1,
        burst=_burst_of(user_document, now, *burst, uncommitted),
        by_token=by_token,
    )


def _own_limit(user_document: Mapping[str, Any]) -> int:
    limit = user_document.get("api_calls_limit")
    default: int = COLLECTIONS["users"].by_name["api_calls_limit"].default
    return limit if type(limit) is int else default


def after_one_more(quota: Quota, token: str) -> Quota:
    """The quota after a counted call. Raises as `Quota.check`."""
    quota.check()
    return replace(
        quota,
        used=quota.used + 1,
        burst=quota.burst.after_one_more(),
        by_token={**quota.by_token, token: quota.by_token.get(token, 0) + 1},
    )


def as_fields(quota: Quota, now: datetime) -> dict[str, Any]:
    """The quota as the fields of the person's document."""
    return {
        "api_calls_used": quota.used,
        PERIOD: period_of(now),
        BY_TOKEN: quota.by_token,
        BURST_UNTIL: utc_text(now + quota.burst.busy),
    }


def _burst_of(
    user_document: Mapping[str, Any],
    now: datetime,
    limit: int,
    window: int,
    uncommitted: Uncommitted,
) -> Burst:
    until = moment_of(user_document.get(BURST_UNTIL)) or now
    if uncommitted.until is not None:
        # Another process may have moved the end of the burst since: ours come on top of that.
        worth = Burst(limit, window).worth
        until = max(uncommitted.until, until + uncommitted.calls * worth)
    # A clock that was set back, or a hand, must not lock anybody out for longer than the window.
    busy = min(max(until - now, timedelta(0)), timedelta(seconds=window))
    return Burst(limit, window, busy)


def _by_token(user_document: Mapping[str, Any]) -> dict[str, int]:
    counts = user_document.get(BY_TOKEN)
    if not isinstance(counts, Mapping):
        return {}
    return {token: count for token, count in counts.items() if type(count) is int}


def period_of(moment: datetime) -> str:
    """The hour that a call at this moment counts in."""
    return utc_text(moment)[:13]


def period_to_keep(user_document: Mapping[str, Any]) -> dict[str, str]:
    """What a change of the document has to set, so that its count stays in the hour it is of."""
    if PERIOD in user_document or not user_document.get("api_calls_used"):
        return {}
    return {PERIOD: _period_counted(user_document)}


def _period_counted(user_document: Mapping[str, Any]) -> str:
    """The hour of the count; "" where nobody can tell."""
    if PERIOD in user_document:
        return str(user_document[PERIOD])
    changed = moment_of(user_document.get("updated_at"))
    return period_of(changed) if changed else ""


def _next_hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
