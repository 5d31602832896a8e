"""The monthly count of API calls in a person's document.

Calls are counted per calendar month in UTC. `api_calls_used` belongs to the month that
`api_calls_period` names ("2026-11"); in another month it counts as 0. Documents of old folders
have no period: their count belongs to the month of their last change, which has to be written down
before another change moves that month on (`period_to_keep`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from utils.records import COLLECTIONS
from utils.times import moment_of

PERIOD = "api_calls_period"


@dataclass(frozen=True)
class Quota:
    """How many calls of how many are used, and in how many seconds the count starts again."""

    used: int
    limit: int
    resets_in: int

    @property
    def remaining(self) -> int:
        return max(self.limit - self.used, 0)


class QuotaExceeded(Exception):
    """All API calls of this month are used. Try again after `quota.resets_in` seconds."""

    def __init__(self, quota: Quota) -> None:
        super().__init__(f"all {quota.limit} API calls of this month are used")
        self.quota = quota


def quota_of(user_document: Mapping[str, Any], now: datetime) -> Quota:
    """The quota of the person whose document this is."""
    fields = COLLECTIONS["users"].by_name
    limit = user_document.get("api_calls_limit")
    used = user_document.get("api_calls_used")
    counts = _period_counted(user_document) == period_of(now)
    return Quota(
        used=used if counts and type(used) is int else 0,
        limit=limit if type(limit) is int else fields["api_calls_limit"].default,
        resets_in=int((_next_month(now) - now).total_seconds()) + 1,
    )


def period_of(moment: datetime) -> str:
    """The month that a call at this moment counts in."""
    return f"{moment:%Y-%m}"


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
