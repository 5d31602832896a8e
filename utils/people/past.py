"""A person's activities, searched: those asked for, newest first, for pages and the API alike.

They are in two documents, see `retention`; a `Past` has them as one list. Few have ids. So a place
among them is how many are before it, counted from the oldest that there ever was: neither new ones
nor the removal of old ones move it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final, overload

from docstore import Document, DocumentStore
from utils.documents import key_of
from utils.lists import Bound, Test, side_of
from utils.texts import folded

LOOKED_AT_MAX = 10_000  # activities for one page: what is sought may be rare
DEEDS: Final = ("task", "project", "model", "member", "invitation")  # how types of deeds begin

# In the document of the older ones: how many were removed, and of these the deeds by quarter of an
# hour ("2026-11-30T14:15"), as long as the heat map shows them.
TRIMMED: Final = "trimmed"
TRIMMED_DEEDS: Final = "trimmed_deeds"
_ATTEMPTS: Final = 5

# On which sides of a day or moment an activity may be.
_SIDES = {"before": {-1}, "after": {1}, "from": {0, 1}, "until": {-1, 0}}

Activity = Mapping[str, Any]


@dataclass(frozen=True)
class Past(Sequence[Activity]):
    """A person's activities, oldest first: the older ones, then those of their own document."""

    older: Sequence[Activity] = ()
    recent: Sequence[Activity] = ()
    trimmed: int = 0  # how many were removed before the first
    trimmed_deeds: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.older) + len(self.recent)

    def __iter__(self) -> Iterator[Activity]:
        return chain(self.older, self.recent)

    def __reversed__(self) -> Iterator[Activity]:
        return chain(reversed(self.recent), reversed(self.older))

    @overload
    def __getitem__(self, index: int) -> Activity: ...
    @overload
    def __getitem__(self, index: slice) -> list[Activity]: ...
    def __getitem__(self, index: int | slice) -> Activity | list[Activity]:
        if isinstance(index, int):
            place = range(len(self))[index]
            return self[place : place + 1][0]
        wanted, middle = range(len(self))[index], len(self.older)
        if not wanted:
            return []
        low, high = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1]) + 1
        older = self.older[low:high] if low < middle else ()
        recent = self.recent[max(low - middle, 0) : high - middle] if high > middle else ()
        return [*older, *recent][:: wanted.step]


def past_of(store: DocumentStore, owner: int) -> Past:
    """The activities of a person, of one moment. Raises `Corrupt`, `Unavailable`."""
    document = store.read(key_of("users", owner))
    for _ in range(_ATTEMPTS):
        older, before = store.read(key_of("activities", owner)), document
        document = store.read(key_of("users", owner))
        if _revision(document) == _revision(before):  # so none moved between the two readings
            break
    head = older.content if older else {}
    trimmed, deeds = head.get(TRIMMED), head.get(TRIMMED_DEEDS)
    return Past(
        _objects(older),
        _objects(document),
        trimmed if type(trimmed) is int and trimmed > 0 else 0,
        deeds if isinstance(deeds, dict) else {},
    )


def _revision(document: Document | None) -> int | None:
    return document.revision if document else None


def _objects(document: Document | None) -> Sequence[Activity]:
    records = document.list_of("activities") if document else ()
    if not records or records.only_objects:
        return records
    return [record for record in records if isinstance(record, dict)]


def quarter_of(moment: datetime) -> str:
    """The quarter of an hour of a moment in UTC, as text: zones differ by quarters."""
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H}:{moment.minute // 15 * 15:02}"


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
    trimmed = activities.trimmed if isinstance(activities, Past) else 0
    end = len(activities) if end is None else min(max(end - trimmed, 0), len(activities))
    tests, found = tuple(tests), list[Activity]()
    place = max(end - LOOKED_AT_MAX, 0)
    for position, activity in enumerate(reversed(activities[place:end]), 1):
        if all(test(activity) for test in tests):
            found.append(activity)
        if len(found) == limit:
            place = end - position
            break
    return found, place + trimmed if place else 0
