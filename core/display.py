"""Records made ready to be shown, whatever their age: old ones lack keys or hold odd values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.words import CHOICE_WORDS, WORDS, Text, in_words
from utils.records import CollectionSpec, Field, Kind
from utils.times import is_date, parse_time

Record = Mapping[str, Any]

_LISTS = (Kind.TEXTS, Kind.MEMBERS)
_TEXTS = (Kind.TITLE, Kind.LINE, Kind.TEXT, Kind.CHOICE, Kind.OPEN_CHOICE, Kind.TIME)


@dataclass(frozen=True)
class Row:
    """One record of a list."""

    id: int
    title: Text
    record: Record  # with a value that can be shown for every field
    overdue: bool = False
    project: Text = ""

    @property
    def done(self) -> bool:
        return self.record.get("status") == "completed"


def row(
    spec: CollectionSpec, record: Record, now: datetime, projects: Mapping[int, Text] | None = None
) -> Row:
    """`projects` holds the names of the owner's projects, as far as they are known."""
    project_id = record.get("project_id")
    name: Text = ""
    if isinstance(project_id, int):
        name = (projects or {}).get(project_id) or f"#{project_id}"
    return Row(
        id=record["id"],
        title=title_of(spec, record),
        record={field.name: _presentable(field, record.get(field.name)) for field in spec.fields},
        overdue=is_overdue(record, now),
        project=name,
    )


def title_of(spec: CollectionSpec, record: Record) -> Text:
    title = record.get(spec.title_field)
    return title if isinstance(title, str) and title.strip() else WORDS[spec.name].untitled


def names_of(spec: CollectionSpec, records: Iterable[Record]) -> dict[int, Text]:
    """The names of records by their ids."""
    return {record["id"]: title_of(spec, record) for record in records}


def moment(value: object) -> datetime | None:
    """The moment that a stored text names, or None if it names none."""
    try:
        return parse_time(value) if isinstance(value, str) else None
    except ValueError:
        return None


def due_at(record: Record) -> datetime | None:
    """When an open task is due: of a date, when its day has ended."""
    due = record.get("due_date")
    when = moment(due)
    if when is None or record.get("status") == "completed":
        return None
    return when + timedelta(days=1) if is_date(str(due)) else when


def is_overdue(record: Record, now: datetime) -> bool:
    due = due_at(record)
    return due is not None and due <= now


@dataclass(frozen=True)
class Bar:
    """One length in a chart, and the figure that it stands for."""

    label: Text
    count: int
    share: int  # per cent of the whole


def bars(spec: CollectionSpec, name: str, records: Iterable[Record]) -> list[Bar]:
    """How many records there are of each choice of the field `name`."""
    field = spec.by_name[name]
    counts = dict.fromkeys(field.choices, 0)
    for record in records:
        choice = record.get(name)
        counts[choice if choice in field.choices else field.default] += 1
    whole = sum(counts.values())
    return [
        Bar(in_words(choice, CHOICE_WORDS), count, share(count, whole))
        for choice, count in counts.items()
    ]


def share(part: int, whole: int) -> int:
    """`part` of `whole` in per cent, 0 to 100; of nothing, 0."""
    return min(100, round(100 * part / whole)) if whole > 0 else 0


def _presentable(field: Field, value: object) -> Any:
    if field.kind in _LISTS:
        return value if isinstance(value, list) else []
    if value is None:
        return field.fresh_default()
    if field.has_shape(value):
        return value
    return str(value) if field.kind in _TEXTS else field.fresh_default()
