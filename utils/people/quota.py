"""What a person may call: the monthly count of API calls in their document, and the burst.

Calls are counted per calendar month in UTC. `api_calls_used` belongs to the month that
`api_calls_period` names ("2026-11"); in another month it counts as 0. `api_calls_by_token` says
how many of them were made with which token; "" is a signed-in session. Documents of old folders
have no period: their count belongs to the month of their last change, which has to be written down
before another change moves that month on (`period_to_keep`).

The burst is counted by the generic cell rate algorithm (ITU-T I.371): `api_burst_until` is the
moment at which all calls of the burst are free again. Each call moves it on by the time that one
call is worth, and may not move it further into the future than the window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final

from utils.records import COLLECTIONS
from utils.times import moment_of, utc_text

PERIOD: Final = "api_calls_period"
BY_TOKEN: Final = "api_calls_by_token"
BURST_UNTIL: Final = "api_burst_until"


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
        return max((timedelta(seconds=self.window) - self.busy) // self._worth, 0)

    @property
    def resets_in(self) -> int:
        """In how many seconds all calls are free."""
        return ceil(self.busy.total_seconds())

    @property
    def retry_after(self) -> int:
        """In how many seconds one call is free."""
        wait = self.busy + self._worth - timedelta(seconds=self.window)
        return max(ceil(wait.total_seconds()), 0)

    def after_one_more(self) -> Burst:
        """The burst after one more call."""
        return Burst(self.limit, self.window, self.busy + self._worth)

    @property
    def _worth(self) -> timedelta:
        # Rounded down, or the last call of a burst would not fit into the window.
        return timedelta(seconds=self.window) // self.limit or timedelta.resolution


@dataclass(frozen=True)
class Quota:
    """How many calls of how many are used, and in how many seconds the count starts again."""

    used: int
    limit: int
    resets_in: int
    burst: Burst
    by_token: Mapping[str, int] = field(default_factory=dict)

    @property
    def remaining(self) -> int:
        return max(self.limit - self.used, 0)

    def check(self) -> None:
        """Raises `QuotaExceeded` or `TooManyCalls` where no call is left now."""
        if not self.remaining:
            raise QuotaExceeded(self)
        if not self.burst.remaining:
            raise TooManyCalls(self)


class TooManyCalls(Exception):
    """Too many API calls came at once. Try again after `retry_after` seconds."""

    def __init__(self, quota: Quota) -> None:
        burst = quota.burst
        super().__init__(f"more than {burst.limit} API calls came within {burst.window} seconds")
        self.quota, self.retry_after = quota, burst.retry_after


class QuotaExceeded(Exception):
    """All API calls of this month are used. Try again after `quota.resets_in` seconds."""

    def __init__(self, quota: Quota) -> None:
        super().__init__(f"all {quota.limit} API calls of this month are used")
        self.quota = quota


def quota_of(user_document: Mapping[str, Any], now: datetime, burst: tuple[int, int]) -> Quota:
    """The quota of the person whose document this is; `burst` is calls and seconds."""
    fields = COLLECTIONS["users"].by_name
    limit = user_document.get("api_calls_limit")
    used = user_document.get("api_calls_used")
    counts = _period_counted(user_document) == period_of(now)
    return Quota(
        used=used if counts and type(used) is int else 0,
        limit=limit if type(limit) is int else fields["api_calls_limit"].default,
        resets_in=int((_next_month(now) - now).total_seconds()) + 1,
        burst=_burst_of(user_document, now, *burst),
        by_token=_by_token(user_document) if counts else {},
    )


def after_one_more(quota: Quota, token: str) -> Quota:
    """The quota after a counted call. Raises as `Quota.check`."""
    quota.check()
    return Quota(
        used=quota.used + 1,
        limit=quota.limit,
        resets_in=quota.resets_in,
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


def one_more_of_burst(quota: Quota, now: datetime) -> dict[str, Any]:
    """What a call sets that is not counted, but must not come too often. Raises `TooManyCalls`."""
    if not quota.burst.remaining:
        raise TooManyCalls(quota)
    return {BURST_UNTIL: utc_text(now + quota.burst.after_one_more().busy)}


def _burst_of(user_document: Mapping[str, Any], now: datetime, limit: int, window: int) -> Burst:
    until = moment_of(user_document.get(BURST_UNTIL)) or now
    # A clock that was set back, or a hand, must not lock anybody out for longer than the window.
    busy = min(max(until - now, timedelta(0)), timedelta(seconds=window))
    return Burst(limit, window, busy)


def _by_token(user_document: Mapping[str, Any]) -> dict[str, int]:
    counts = user_document.get(BY_TOKEN)
    if not isinstance(counts, Mapping):
        return {}
    return {token: count for token, count in counts.items() if type(count) is int}


def period_of(moment: datetime) -> str:
    """The month that a call at this moment counts in."""
    return f"{moment.year:04}-{moment.month:02}"  # strftime would take ten times as long


def period_to_keep(user_document: Mapping[str, Any]) -> dict[str, str]:
    """What a change of the document has to set, so that its count stays in the month it is of."""
    if PERIOD in user_document or not user_document.get("api_calls_used"):
        return {}
    return {PERIOD: _period_counted(user_document)}


def _period_counted(user_document: Mapping[str, Any]) -> str:
    """The month of the count; "" where nobody can tell."""
    if PERIOD in user_document:
        return str(user_document[PERIOD])
    changed = moment_of(user_document.get("updated_at"))
    return period_of(changed) if changed else ""


def _next_month(now: datetime) -> datetime:
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return first.replace(year=now.year + now.month // 12, month=now.month % 12 + 1)
