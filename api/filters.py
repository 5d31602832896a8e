"""Filter parameters of lists, derived from the kinds of fields in the table.

An empty value matches records without a value. Fields with free-form objects, and unknown keys,
have no filters.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from workspace.ordering import DateBound, Test, compare_time, names_of_entry
from workspace.schema.collections import COLLECTIONS, CollectionSpec
from workspace.schema.fields import Field, Kind
from workspace.texts import folded
from workspace.timestamps import TIME_PATTERN, parse_or_none

VALUES_MAX = 100  # per filter

Record = Mapping[str, Any]

_NUMBER = r"-?[0-9]{1,15}(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,3})?"
_WHOLE = r"-?[0-9]{1,16}"
# A text up to a comma, or in double quotes as in a CSV file (RFC 4180).
_TEXT = re.compile(r'(?:^|,)(?:\s*"((?:[^"]|"")*)"\s*(?=,|\Z)|([^,]*))')
_TEXTS = (Kind.TITLE, Kind.LINE, Kind.TEXT, Kind.OPEN_CHOICE)
_LISTS = (Kind.TEXTS, Kind.MEMBERS)
_NO_FILTER = (Kind.OBJECT, Kind.OBJECTS, Kind.REPEAT, Kind.TIME_ZONE, Kind.CHECKLIST)
_NUMBERS = (Kind.NUMBER, Kind.INTEGER)


class Filter(NamedTuple):
    """A filter parameter: the field, and the comparison ("" for equality)."""

    field: Field
    how: str = ""

    @property
    def many(self) -> bool:
        """True if the parameter accepts several values. A record matches if any of them does."""
        return not self.how

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the parameter."""
        return _schema(self.field, self.how)

    @property
    def description(self) -> str:
        """The records that it selects, as the end of a sentence."""
        name = self.field.name
        return {
            "": f"any of these as {name}; separate values by commas or repeat it",
            "before": f"{name} before this moment or day",
            "after": f"{name} after this moment or day",
            "min": f"{name} of at least this",
            "max": f"{name} of at most this",
        }[self.how]

    def test(self, values: list[str]) -> Test:
        """Return the predicate for these values.

        Raises ValueError, with a message that says what the parameter must be.
        """
        if self.how in {"before", "after"}:
            return _of_time(self.field, self.how, DateBound(values[0]))
        if self.how:
            return _of_limit(self.field, self.how, _number(values[0]))
        wanted = [entry for value in values for entry in _split(self.field, value)]
        if len(wanted) > VALUES_MAX:
            raise ValueError(f"may have at most {VALUES_MAX} values")
        return _any_of(self.field, wanted)


@cache
def filters_of(collection: str) -> Mapping[str, Filter]:
    """Return the filters of a collection by parameter name.

    For times, the suffix of the field name may be omitted: `due_before` is `due_date_before`.
    """
    return dict(_filters(COLLECTIONS[collection]))


def _filters(spec: CollectionSpec) -> Iterator[tuple[str, Filter]]:
    for field in spec.fields:
        if field.kind in _NO_FILTER:
            continue
        yield field.name, Filter(field)
        if field.kind is Kind.TIME:
            short = field.name.removesuffix("_date").removesuffix("_at")
            for how in ("before", "after"):
                yield f"{field.name}_{how}", Filter(field, how)
                yield f"{short}_{how}", Filter(field, how)
        elif field.kind in _NUMBERS:
            for how in ("min", "max"):
                yield f"{field.name}_{how}", Filter(field, how)


def _schema(field: Field, how: str) -> dict[str, Any]:
    """Return the JSON Schema of a parameter. Several values are separated by commas."""
    single = _NUMBER if how in {"min", "max"} else _pattern(field)
    if single is None:
        return {"type": "string"}
    if how:
        return {"type": "string", "pattern": f"^{single}$"}
    single = f"({single})?" if field.nullable else f"({single})"
    return {"type": "string", "pattern": f"^{single}(,{single})*$"}


def _pattern(field: Field) -> str | None:
    """Return the pattern of a single value, or None for any text."""
    if field.kind is Kind.CHOICE:
        return "|".join(field.choices)
    if field.kind is Kind.BOOLEAN:
        return "true|false"
    if field.kind is Kind.TIME:
        return TIME_PATTERN
    if field.kind is Kind.NUMBER:
        return _NUMBER
    return _WHOLE if field.kind in (Kind.INTEGER, Kind.ID, Kind.REFERENCE) else None


def _split(field: Field, value: str) -> list[str]:
    """Split a parameter into its values."""
    if field.kind not in (*_TEXTS, *_LISTS):
        return value.split(",")
    return [
        plain.strip() if quoted is None else quoted.replace('""', '"')
        for quoted, plain in (match.groups() for match in _TEXT.finditer(value))
    ]


def _any_of(field: Field, wanted: list[str]) -> Test:
    if field.kind in _LISTS:
        return _of_entries(field, {folded(text) for text in wanted})
    if field.kind is Kind.TIME:
        return _of_times(field, [DateBound(text) if text else None for text in wanted])
    values = {_value(field, text) for text in wanted}
    name, default, is_text = field.name, field.default, field.kind in _TEXTS

    def test(record: Record) -> bool:
        value = record.get(name)
        if value is None:
            value = default
        if is_text:
            value = folded(value) if isinstance(value, str) else ""
        elif isinstance(value, list | dict):  # possible after a hand edit, and unhashable
            return False
        # Python regards 1 and True as equal, JSON does not.
        return value in values and isinstance(value, bool) == (field.kind is Kind.BOOLEAN)

    return test


def _value(field: Field, text: str) -> str | int | float | bool | None:
    """Return a value in stored form. Raises ValueError."""
    if field.kind in _TEXTS:
        return folded(text)
    if not text and field.nullable:
        return None
    if field.kind is Kind.CHOICE and text in field.choices:
        return text
    if field.kind is Kind.BOOLEAN and text in {"true", "false"}:
        return text == "true"
    if field.kind is Kind.NUMBER and re.fullmatch(_NUMBER, text):
        return float(text)
    if field.kind in (Kind.INTEGER, Kind.ID, Kind.REFERENCE) and re.fullmatch(_WHOLE, text):
        return int(text)
    raise ValueError(_must_be(field))


def _must_be(field: Field) -> str:
    if field.kind in (Kind.ID, Kind.REFERENCE, Kind.INTEGER):
        rule = "must be a whole number"
    elif field.kind is Kind.BOOLEAN:
        rule = "must be true or false"
    elif field.kind is Kind.NUMBER:
        rule = "must be a number"
    else:
        rule = f"must be one of {', '.join(field.choices)}"
    return f"{rule}, or empty for none" if field.nullable else rule


def _number(text: str) -> float:
    if not re.fullmatch(_NUMBER, text):
        raise ValueError("must be a number")
    return float(text)


def _of_limit(field: Field, how: str, limit: float) -> Test:
    name = field.name

    def test(record: Record) -> bool:
        value = record.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return value >= limit if how == "min" else value <= limit

    return test


def _of_entries(field: Field, wanted: set[str]) -> Test:
    name = field.name

    def test(record: Record) -> bool:
        entries = record.get(name)
        if not isinstance(entries, list) or not entries:
            return "" in wanted
        return any(
            folded(str(name_in_entry)) in wanted
            for entry in entries
            for name_in_entry in names_of_entry(entry)
        )

    return test


def _of_time(field: Field, how: str, bound: DateBound) -> Test:
    side, name = -1 if how == "before" else 1, field.name
    return lambda record: compare_time(record, name, bound) == side


def _of_times(field: Field, wanted: list[DateBound | None]) -> Test:
    name = field.name

    def test(record: Record) -> bool:
        return any(
            parse_or_none(record.get(name)) is None
            if bound is None
            else compare_time(record, name, bound) == 0
            for bound in wanted
        )

    return test
