"""A person's activities, searched: those asked for, newest first, for pages and the API alike.

Activities have no ids, and none is ever taken out. So a place among them is how many are before
it, counted from the oldest: new ones do not move it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from utils.lists import Bound, Test, side_of
from utils.texts import folded

LOOKED_AT_MAX = 10_000  # activities for one page: what is sought may be rare

# On which sides of a day or moment an activity may be.
_SIDES = {"before": {-1}, "after": {1}, "from": {0, 1}, "until": {-1, 0}}

Activity = Mapping[str, Any]


def of_types(types: Collection[str]) -> Test:
    """Whether an activity is of one of these types."""
    wanted = frozenset(types)
    return lambda activity: activity.get("type") in wanted


def of_text(text: str) -> Test:
    """Whether an activity has the text in its type or description, whatever its capitals."""
    sought = folded(text.strip())
    return lambda activity: any(
        sought in folded(str(activity.get(name, ""))) for name in ("type", "description")
    )


def of_time(how: str, text: str) -> Test:
    """Whether an activity was before, after, from or until a day or moment; the last two let the
    day itself through. Raises ValueError, saying what the text must be."""
    bound, sides = Bound(text), _SIDES[how]
    return lambda activity: side_of(activity, "timestamp", bound) in sides


def of_record(singular: str, record_id: int) -> Test:
    """Whether an activity is about one of a person's own records, such as "model" 3."""
    return of_records({singular: {record_id}})


def of_records(wanted: Mapping[str, Collection[int]]) -> Test:
    """Whether an activity is about one of these records of a person's own: ids by the kind."""

    def test(activity: Activity) -> bool:
        ids = wanted.get(str(activity.get("type")).partition("_")[0])
        told = activity.get("metadata")
        if ids is None or not isinstance(told, dict) or "owner" in told:
            return False
        number = told.get("id")
        return type(number) is int and number in ids

    return test


def newest(
    activities: Sequence[Activity], tests: Iterable[Test], *, end: int | None = None, limit: int
) -> tuple[list[Activity], int]:
    """The newest that all tests let through, at most `limit`, of those before the place `end`; and
    the place where to go on, 0 when nothing is left. Of more than can be looked at, go on too."""
    end = len(activities) if end is None else min(end, len(activities))
    tests, found = tuple(tests), list[Activity]()
    place = max(end - LOOKED_AT_MAX, 0)
    for position, activity in enumerate(reversed(activities[place:end]), 1):
        if all(test(activity) for test in tests):
            found.append(activity)
        if len(found) == limit:
            return found, end - position
    return found, place
