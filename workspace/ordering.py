"""Search, sort and filter lists of records, for pages and the API."""

import math
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from operator import itemgetter
from typing import Any, TypeVar

from docstore import RecordList
from workspace.schema.collections import COLLECTIONS
from workspace.schema.fields import Field, Kind
from workspace.texts import folded
from workspace.timestamps import is_date, parse_or_none, parse_time

# The sort key of a text is truncated to this length, because cursors contain it.
ORDERED_CHARACTERS = 64

# Separates the texts of a record. No valid text contains it, so no match spans two texts.
SEPARATOR = "\0"

Record = Mapping[str, Any]
Value = TypeVar("Value")
SortValue = int | float | str
Test = Callable[[Mapping[str, Any]], bool]  # a filter predicate

_TEXTS = (Kind.TITLE, Kind.LINE, Kind.TEXT, Kind.OPEN_CHOICE)
_NUMBERS = (Kind.NUMBER, Kind.INTEGER, Kind.ID, Kind.REFERENCE)
_ORDERED = (*_TEXTS, *_NUMBERS, Kind.CHOICE, Kind.TIME, Kind.BOOLEAN)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def map_cached(records: Iterable[Record], function: Callable[[Record], Value]) -> Iterator[Value]:
    """Map the function over the records in order. Its result must depend on the record alone.

    Results for a stored document are cached by function, so only new records are computed. The
    function must therefore be a persistent object, such as those that `search_text` and `order_by`
    return.
    """
    return (
        records.map_cached(function) if isinstance(records, RecordList) else map(function, records)
    )


def derive_cached(
    records: Sequence[Record], function: Callable[[Sequence[Record]], Value]
) -> Value:
    """Apply the function to all records. Its result must depend on them alone.

    The result for a stored document is cached per version, so callers must not modify it, and the
    function must be a persistent object as for `map_cached`.
    """
    return records.derive_cached(function) if isinstance(records, RecordList) else function(records)


@cache
def sorted_by(
    collection: str, field_name: str, backwards: bool
) -> Callable[[Sequence[Record]], list[Record]]:
    """Return a function that sorts records by a field.

    Equal records are sorted newest first. Records without a value come last in both directions.
    """

    def ordered(records: Sequence[Record]) -> list[Record]:
        keyed = list(zip(map_cached(records, by_field), records, strict=True))
        keyed.reverse()
        with_value = [pair for pair in keyed if pair[0] is not None]
        with_value.sort(key=itemgetter(0), reverse=backwards)
        return [record for _value, record in with_value] + [
            record for value, record in keyed if value is None
        ]

    by_field = order_by(collection, field_name)
    return ordered


def of_project(records: Sequence[Record], project_id: int) -> Sequence[Record]:
    """Return the tasks or models of a project, in their order."""
    return derive_cached(records, _by_project).get(project_id, ())


def _by_project(records: Sequence[Record]) -> dict[Any, RecordList]:
    by_project: dict[Any, list[Record]] = {}
    for record in records:
        project_id = record.get("project_id")
        if isinstance(project_id, Hashable):  # old files may hold anything
            by_project.setdefault(project_id, []).append(record)
    return {project_id: RecordList(members) for project_id, members in by_project.items()}


@cache
def search_text(collection: str) -> Callable[[Record], str]:
    """Return a function that returns a record's texts, folded for search: words, tags and names.

    Timestamps that NeuralFlow sets are excluded: otherwise every record would match its year.
    """
    stamps = COLLECTIONS[collection].stamps

    def texts(record: Record) -> str:
        strings = (
            text
            for name, value in record.items()
            if name not in stamps
            for text in (_names(value) if isinstance(value, list) else (value,))
            if isinstance(text, str)
        )
        return folded(SEPARATOR.join(strings))  # one call, because folding dominates

    return texts


@cache
def order_by(collection: str, field_name: str) -> Callable[[Record], SortValue | None]:
    """Return a function that returns a record's sort key on pages: see `sort_value`.

    The accuracy of models is compared in per cent, whichever way it was entered.
    """
    field = COLLECTIONS[collection].by_name[field_name]
    if (collection, field_name) == ("models", "accuracy"):
        return partial(_percent_value, field)
    return partial(sort_value, field)


def accuracy_percent(value: int | float) -> float:
    """Return an accuracy in per cent. A value up to 1 is a fraction, above 1 per cent."""
    if abs(value) > sys.float_info.max:  # a hand edit can have hundreds of digits
        return math.copysign(math.inf, value > 0 or -1)
    return float(Decimal(repr(value)) * 100) if value <= 1 else float(value)


def _percent_value(field: Field, record: Record) -> float | None:
    value = sort_value(field, record)
    return accuracy_percent(value) if isinstance(value, int | float) else None


def names_of_entry(entry: object) -> Iterator[object]:
    """Yield the names of a list entry: the entry itself, or the names in an object."""
    if isinstance(entry, dict):
        yield from (entry[key] for key in ("username", "name") if key in entry)
    else:
        yield entry


def _names(entries: list[object]) -> Iterator[object]:
    for entry in entries:
        yield from names_of_entry(entry)
        if isinstance(entry, dict) and "text" in entry:  # an item of a checklist
            yield entry["text"]


def is_ordered(field: Field) -> bool:
    """Return whether records can be sorted by the field."""
    return field.kind in _ORDERED


def is_ordered_as_text(field: Field) -> bool:
    """Return whether `sort_value` is a text. Otherwise it is a number."""
    return field.kind in _TEXTS


def sort_value(field: Field, record: Mapping[str, Any]) -> SortValue | None:
    """Return the sort key of a record, comparable among all records and valid as JSON.

    Choices sort by their order in the table, texts by case-folded letters, times by their moment (a
    date by midnight UTC). Return None for a missing or invalid value.
    """
    value = record.get(field.name)
    if value is None:
        value = field.default
    if field.kind is Kind.TIME:
        moment = parse_or_none(value)
        return None if moment is None else (moment - _EPOCH) // _MICROSECOND
    if isinstance(value, str):
        if field.kind is Kind.CHOICE:
            return field.choices.index(value) if value in field.choices else None
        return value.casefold()[:ORDERED_CHARACTERS] or None if field.kind in _TEXTS else None
    if isinstance(value, bool):
        return int(value) if field.kind is Kind.BOOLEAN else None
    return value if isinstance(value, int | float) and field.kind in _NUMBERS else None


class DateBound:
    """A moment, or a day that stands for all its moments in UTC."""

    def __init__(self, text: str) -> None:
        """Parse a date or date-time. Raises ValueError that says what it must be."""
        try:
            self.moment = parse_time(text)
        except ValueError:
            raise ValueError(
                "must be a date (2026-11-23) or a date-time (2026-11-23T12:00:00Z)"
            ) from None
        self.is_day = is_date(text)

    def side(self, text: str, moment: datetime) -> int:
        """Return -1, 0 or 1: the stored time is before the bound, equal, or after it.

        If either is a day, days are compared.
        """
        if self.is_day or is_date(text):
            day, other = moment.date(), self.moment.date()
            return (day > other) - (day < other)
        return (moment > self.moment) - (moment < self.moment)


def compare_time(record: Mapping[str, Any], name: str, bound: DateBound) -> int | None:
    """Return `DateBound.side` of a record's time, or None if it has none."""
    text = record.get(name)
    moment = parse_or_none(text)
    return None if moment is None else bound.side(str(text), moment)
