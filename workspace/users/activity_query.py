"""Search a user's activities, newest first.

Activities are in two documents (see `retention`), which `ActivityLog` presents as one sequence. Few
have ids, so a cursor is the number of activities before it since the account began. New activities
and the removal of old ones do not shift it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final, overload

from docstore import Document, DocumentStore
from workspace.documents import key_of
from workspace.ordering import DateBound, Test, compare_time
from workspace.texts import folded

LOOKED_AT_MAX = 10_000  # bounds the work of a page whose filter matches few activities
DEEDS: Final = ("task", "project", "model", "member", "invitation")  # prefixes of types that count

# Fields of the document of older activities: the number removed, and the removed deeds by quarter
# of an hour ("2026-11-30T14:15") for as long as the heat map shows them.
TRIMMED: Final = "trimmed"
TRIMMED_DEEDS: Final = "trimmed_deeds"
# Field of the same document: account events that its list would no longer have.
ACCOUNT_EVENTS: Final = "account_events"
_ATTEMPTS: Final = 5

# The results of `compare_time` that each filter accepts.
_SIDES = {"before": {-1}, "after": {1}, "from": {0, 1}, "until": {-1, 0}}

Activity = Mapping[str, Any]


@dataclass(frozen=True)
class ActivityLog(Sequence[Activity]):
    """A user's activities, oldest first: the older document, then the user's own."""

    older: Sequence[Activity] = ()
    recent: Sequence[Activity] = ()
    trimmed: int = 0  # number of activities removed before the first
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
            position = range(len(self))[index]
            return self[position : position + 1][0]
        wanted, middle = range(len(self))[index], len(self.older)
        if not wanted:
            return []
        low, high = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1]) + 1
        older = self.older[low:high] if low < middle else ()
        recent = self.recent[max(low - middle, 0) : high - middle] if high > middle else ()
        return [*older, *recent][:: wanted.step]


def activity_log(store: DocumentStore, owner: int) -> ActivityLog:
    """Return a consistent view of a user's activities. Raises `Corrupt` and `Unavailable`."""
    document = store.read(key_of("users", owner))
    for _ in range(_ATTEMPTS):
        older, before = store.read(key_of("activities", owner)), document
        document = store.read(key_of("users", owner))
        # An equal revision proves that no activity moved between the two documents meanwhile.
        if _revision(document) == _revision(before):
            break
    head = older.content if older else {}
    trimmed, deeds = head.get(TRIMMED), head.get(TRIMMED_DEEDS)
    events = account_events_of(head)
    return ActivityLog(
        [*events, *_objects(older)] if events else _objects(older),
        _objects(document),
        trimmed if type(trimmed) is int and trimmed > 0 else 0,
        deeds if isinstance(deeds, dict) else {},
    )


def account_events_of(content: Mapping[str, Any]) -> list[Activity]:
    """Return the account events that outlast the list, of the document of older activities."""
    events = content.get(ACCOUNT_EVENTS)
    if not isinstance(events, Sequence) or isinstance(events, str):
        return []
    return [event for event in events if isinstance(event, Mapping)]


def _revision(document: Document | None) -> int | None:
    return document.revision if document else None


def _objects(document: Document | None) -> Sequence[Activity]:
    records = document.list_of("activities") if document else ()
    if not records or records.all_objects:
        return records
    return [record for record in records if isinstance(record, dict)]


def quarter_of(moment: datetime) -> str:
    """Return the UTC quarter of an hour of a moment as text. Time zones differ by quarters."""
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H}:{moment.minute // 15 * 15:02}"


def of_types(types: Collection[str]) -> Test:
    """Return a test for activities of one of these types."""
    wanted = frozenset(types)
    return lambda activity: activity.get("type") in wanted


def of_text(text: str) -> Test:
    """Return a test for activities with the text in type or description, ignoring case."""
    sought = folded(text.strip())
    return lambda activity: any(
        sought in folded(str(activity.get(name, ""))) for name in ("type", "description")
    )


def of_time(how: str, text: str) -> Test:
    """Return a test for activities before, after, from or until a day or moment.

    "from" and "until" include the day itself. Raises ValueError, with a message that says what
    `text` must be.
    """
    bound, sides = DateBound(text), _SIDES[how]
    return lambda activity: compare_time(activity, "timestamp", bound) in sides


def of_record(singular: str, record_id: int) -> Test:
    """Return a test for activities about one of the user's own records, such as "model" 3."""
    return of_records({singular: {record_id}})


def of_records(wanted: Mapping[str, Collection[int]]) -> Test:
    """Return a test for activities about the user's own records with these ids, by kind."""

    def test(activity: Activity) -> bool:
        ids = wanted.get(str(activity.get("type")).partition("_")[0])
        metadata = activity.get("metadata")
        if ids is None or not isinstance(metadata, dict) or "owner" in metadata:
            return False
        number = metadata.get("id")
        return type(number) is int and number in ids

    return test


def newest(
    activities: Sequence[Activity], tests: Iterable[Test], *, end: int | None = None, limit: int
) -> tuple[list[Activity], int]:
    """Return the newest matching activities before the cursor `end`, and the next cursor.

    At most `limit` are returned. The cursor is 0 at the end. It is not 0 if `LOOKED_AT_MAX`
    activities were examined and more remain.
    """
    trimmed = activities.trimmed if isinstance(activities, ActivityLog) else 0
    end = len(activities) if end is None else min(max(end - trimmed, 0), len(activities))
    tests, matches = tuple(tests), list[Activity]()
    next_end = max(end - LOOKED_AT_MAX, 0)
    for position, activity in enumerate(reversed(activities[next_end:end]), 1):
        if all(test(activity) for test in tests):
            matches.append(activity)
        if len(matches) == limit:
            next_end = end - position
            break
    return matches, next_end + trimmed if next_end else 0
