"""Show a record as tables, and compare two records."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import isfinite
from types import MappingProxyType
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from web.charts import is_line, leaves
from web.labels import CHOICE_WORDS, FIELD_WORDS, Text, in_words
from web.numbers import exact_text, is_number, number_text, percent_text
from workspace.documents import deep_copy
from workspace.ordering import accuracy_percent
from workspace.schema.validation import CollectionSpec, Field, Kind

ROWS_MAX = 200  # rows per table; the file has the rest
TEXT_CHARACTERS_MAX = 1000

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """The values of a field as rows. `left` is the number of omitted rows."""

    label: Text
    rows: list[tuple[str, str]]
    left: int


def table(label: Text, value: object) -> Table:
    """Return the leaf values of an object by path."""
    every = list(leaves(value)) if isinstance(value, Mapping) else []
    rows = [(name, value_text(leaf)) for name, leaf in every[:ROWS_MAX]]
    return Table(label, rows, len(every) - len(rows))


def value_text(value: object) -> str:
    """Return a JSON value as text for users. None becomes ""."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    if isinstance(value, int | float):
        return exact_text(value)
    text = value if isinstance(value, str) else _list_text(value)
    return text if len(text) <= TEXT_CHARACTERS_MAX else f"{text[:TEXT_CHARACTERS_MAX]}…"


def _list_text(value: object) -> str:
    if isinstance(value, Sequence) and is_line(value) and len(value) > 8:
        values = {"count": len(value), "first": exact_text(value[0]), "last": exact_text(value[-1])}
        message = ngettext(
            "%(count)d value", "%(count)d values, from %(first)s to %(last)s", len(value)
        )
        return message % values
    return json.dumps(deep_copy(value), ensure_ascii=False)


@dataclass(frozen=True)
class Pair:
    """A value of two records. `more` is the difference if both are numbers."""

    label: Text
    first: Text
    second: Text
    differs: bool
    more: str = ""
    within: Text = ""  # label of the containing object


def pairs(
    spec: CollectionSpec,
    first: Record,
    second: Record,
    projects: Mapping[int, Text] = MappingProxyType({}),
) -> list[Pair]:
    """Compare two records field by field, and their objects value by value.

    The title, read-only fields and fields that are not on forms are excluded. `projects` has the
    names of projects by id.
    """
    result: list[Pair] = []
    for field in spec.fields:
        if field.read_only or not field.on_forms or field.name == spec.title_field:
            continue
        label = in_words(field.name, FIELD_WORDS)
        left, right = _held(field, first), _held(field, second)
        if field.kind is Kind.OBJECT:
            result += _pairs_within(label, left, right)
        elif (spec.name, field.name) == ("models", "accuracy"):
            result.append(_accuracies(label, left, right))
        elif field.kind is Kind.REFERENCE:
            named, beside = (projects.get(value, value_text(value)) for value in (left, right))
            result.append(Pair(label, named, beside, differs=left != right))
        else:
            result.append(_pair(label, left, right, field))
    return result


def _held(field: Field, record: Record) -> Any:
    value = record.get(field.name)
    return field.default if value is None else value


def _pairs_within(label: Text, first: object, second: object) -> Iterator[Pair]:
    left, right = (dict(leaves(v)) if isinstance(v, Mapping) else {} for v in (first, second))
    for name in list({**left, **right})[:ROWS_MAX]:
        yield replace(_pair(name, left.get(name), right.get(name)), within=label)


def _pair(label: Text, first: Any, second: Any, field: Field | None = None) -> Pair:
    # Python regards 1 and True as equal, which JSON does not. 1 and 1.0 are equal to users, too.
    differs = first != second or isinstance(first, bool) != isinstance(second, bool)
    return Pair(
        label,
        _shown(first, field),
        _shown(second, field),
        differs,
        _more(first, second) if differs and is_number(first) and is_number(second) else "",
    )


def _accuracies(label: Text, first: Any, second: Any) -> Pair:
    """Compare accuracies in per cent, whichever way each was entered."""
    if not (is_number(first) and is_number(second)):
        left, right = (percent_text(v) if is_number(v) else value_text(v) for v in (first, second))
        return Pair(label, left, right, first != second)
    shares = accuracy_percent(first), accuracy_percent(second)
    differs = shares[0] != shares[1]
    more = _more(*shares) if differs else ""
    return Pair(label, percent_text(first), percent_text(second), differs, more)


def _shown(value: Any, field: Field | None) -> Text:
    if field and field.kind in (Kind.CHOICE, Kind.OPEN_CHOICE) and isinstance(value, str):
        return in_words(value, CHOICE_WORDS)
    return value_text(value)


def _more(first: int | float, second: int | float) -> str:
    """Return the signed difference: "+0.013", or "" if it exceeds every float.

    Decimal arithmetic avoids binary rounding errors.
    """
    difference = Decimal(repr(second)) - Decimal(repr(first))
    if not isfinite(float(difference)):
        return ""
    is_integer = difference == difference.to_integral_value() and abs(difference) < 10**15
    size = abs(difference)
    text = number_text(int(size) if is_integer else float(size))
    return f"\N{MINUS SIGN}{text}" if difference < 0 else f"+{text}"
