"""How lists of records are searched and put in order, for the pages and the API alike."""

import math
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from operator import itemgetter
from typing import Any, TypeVar

from docstore import RecordList
from utils.fields import Field, Kind
from utils.table import COLLECTIONS
from utils.texts import folded
from utils.times import is_date, moment_of, parse_time

# Texts are ordered by so many of their first characters: a cursor has to hold them.
ORDERED_CHARACTERS = 64

# Between the texts of a record. No text holds it; what is sought with it in, is found nowhere.
SEPARATOR = "\0"

Record = Mapping[str, Any]
Value = TypeVar("Value")
SortValue = int | float | str
Test = Callable[[Mapping[str, Any]], bool]  # whether a record is let through

_TEXTS = (Kind.TITLE, Kind.LINE, Kind.TEXT, Kind.OPEN_CHOICE)
_NUMBERS = (Kind.NUMBER, Kind.INTEGER, Kind.ID, Kind.REFERENCE)
_ORDERED = (*_TEXTS, *_NUMBERS, Kind.CHOICE, Kind.TIME, Kind.BOOLEAN)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def each(records: Iterable[Record], function: Callable[[Record], Value]) -> Iterator[Value]:
    """What the function makes of each record, in order; it must depend on the record alone.

    Of a document as it is stored, only what is new since the last call is asked for: so the
    function must be one that stays, such as those that `texts_of` and `order_by` return.
    """
    return records.each(function) if isinstance(records, RecordList) else map(function, records)


def whole(records: Sequence[Record], function: Callable[[Sequence[Record]], Value]) -> Value:
    """What the function makes of all the records; it must depend on them alone, and nobody may
    change what it made.

    Of a document as it is stored, it is asked once for each version: so it must stay, as for
    `each`.
    """
    return records.whole(function) if isinstance(records, RecordList) else function(records)


@cache
def in_order(
    collection: str, field_name: str, backwards: bool
) -> Callable[[Sequence[Record]], list[Record]]:
    """The function that puts records in the order of a field: among equals the newest first, and
    those without a value last, whichever way the others go."""

    def ordered(records: Sequence[Record]) -> list[Record]:
        keyed = list(zip(each(records, by_field), records, strict=True))
        keyed.reverse()
        with_value = [pair for pair in keyed if pair[0] is not None]
        with_value.sort(key=itemgetter(0), reverse=backwards)
        return [record for _value, record in with_value] + [
            record for value, record in keyed if value is None
        ]

    by_field = order_by(collection, field_name)
    return ordered


def of_project(records: Sequence[Record], project_id: int) -> Sequence[Record]:
    """The tasks, or models, that belong to a project, in their order."""
    return whole(records, _by_project).get(project_id, ())


def _by_project(records: Sequence[Record]) -> dict[Any, RecordList]:
    found: dict[Any, list[Record]] = {}
    for record in records:
        project_id = record.get("project_id")
        if isinstance(project_id, Hashable):  # an old file holds anything
            found.setdefault(project_id, []).append(record)
    return {project_id: RecordList(some) for project_id, some in found.items()}


@cache
def texts_of(collection: str) -> Callable[[Record], str]:
    """The function that gives all texts of a record, folded for search: its words, tags and names.

    Times that NeuralFlow sets are no texts: every record of a year would mention its number.
    """
    stamps = COLLECTIONS[collection].stamps

    def texts(record: Record) -> str:
        found = (
            text
            for name, value in record.items()
            if name not in stamps
            for text in (_names(value) if isinstance(value, list) else (value,))
            if isinstance(text, str)
        )
        return folded(SEPARATOR.join(found))  # all at once, for that is what costs

    return texts


@cache
def order_by(collection: str, field_name: str) -> Callable[[Record], SortValue | None]:
    """The function that gives what a record is ordered by on pages: see `sort_value`. The accuracy
    of models is compared in per cent, in whichever way each was noted."""
    field = COLLECTIONS[collection].by_name[field_name]
    if (collection, field_name) == ("models", "accuracy"):
        return partial(_percent_value, field)
    return partial(sort_value, field)


def accuracy_percent(value: int | float) -> float:
    """An accuracy in per cent. Up to 1 it is noted as a fraction, above 1 in per cent."""
    if abs(value) > sys.float_info.max:  # a hand wrote hundreds of digits
        return math.copysign(math.inf, value > 0 or -1)
    return float(Decimal(repr(value)) * 100) if value <= 1 else float(value)


def _percent_value(field: Field, record: Record) -> float | None:
    value = sort_value(field, record)
    return accuracy_percent(value) if isinstance(value, int | float) else None


def names_of_entry(entry: object) -> Iterator[object]:
    """What an entry of a list goes by: itself, or the names in it where it is an object."""
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
    """Whether records can be put in order by the field."""
    return field.kind in _ORDERED


def is_ordered_as_text(field: Field) -> bool:
    """Whether `sort_value` is a text; otherwise it is a number."""
    return field.kind in _TEXTS


def sort_value(field: Field, record: Mapping[str, Any]) -> SortValue | None:
    """What the record is ordered by: comparable among all records, and JSON.

    Choices go by their order in the table, texts by their letters whatever their capitals, times
    by the moment (a date by its midnight). None where there is nothing, or nothing that fits.
    """
    value = record.get(field.name)
    if value is None:
        value = field.default
    if field.kind is Kind.TIME:
        moment = moment_of(value)
        return None if moment is None else (moment - _EPOCH) // _MICROSECOND
    if isinstance(value, str):
        if field.kind is Kind.CHOICE:
            return field.choices.index(value) if value in field.choices else None
        return value.casefold()[:ORDERED_CHARACTERS] or None if field.kind in _TEXTS else None
    if isinstance(value, bool):
        return int(value) if field.kind is Kind.BOOLEAN else None
    return value if isinstance(value, int | float) and field.kind in _NUMBERS else None


class Bound:
    """A moment, or a day that stands for all of its moments in UTC."""

    def __init__(self, text: str) -> None:
        """Raises ValueError, saying what it must be."""
        try:
            self.moment = parse_time(text)
        except ValueError:
            raise ValueError(
                "must be a date (2026-11-23) or a date-time (2026-11-23T12:00:00Z)"
            ) from None
        self.is_day = is_date(text)

    def side(self, text: str, moment: datetime) -> int:
        """-1, 0 or 1: the stored time is before it, the same, or after it. Where either is a day,
        days are compared."""
        if self.is_day or is_date(text):
            day, other = moment.date(), self.moment.date()
            return (day > other) - (day < other)
        return (moment > self.moment) - (moment < self.moment)


def side_of(record: Mapping[str, Any], name: str, bound: Bound) -> int | None:
    """As `Bound.side`; None where the record has no time there."""
    text = record.get(name)
    moment = moment_of(text)
    return None if moment is None else bound.side(str(text), moment)
