"""Select backups to delete; retain the newest of each recent hour, day, week and month."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

# The period that a moment belongs to, as a value that equals that of the same period only.
_PERIODS: Final[Mapping[str, Callable[[datetime], object]]] = {
    "hourly": lambda moment: (moment.date(), moment.hour),
    "daily": lambda moment: moment.date(),
    "weekly": lambda moment: moment.isocalendar()[:2],
    "monthly": lambda moment: (moment.year, moment.month),
}


def superfluous(backups: Iterable[tuple[str, datetime]], keep: Mapping[str, int]) -> list[str]:
    """Return the names of the backups that no rule keeps, oldest first.

    A rule keeps the newest backup of each of the latest periods that have any. So a server that was
    off for a month still has its old backups. The newest backup always stays, and without any rule
    all do.
    """
    newest_first = sorted(backups, key=lambda backup: (backup[1], backup[0]), reverse=True)
    if not any(keep.values()):
        return []
    kept = {name for name, _moment in newest_first[:1]}
    for rule, count in keep.items():
        period_of, seen = _PERIODS[rule], set[object]()
        for name, moment in newest_first:
            period = period_of(moment)
            if period not in seen and len(seen) < count:
                seen.add(period)
                kept.add(name)
    return [name for name, _moment in reversed(newest_first) if name not in kept]
