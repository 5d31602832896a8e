"""What a record holds, as rows of tables; and two records side by side."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core.ai_models.charts import is_line, leaves
from core.numbers import exact_text, is_number, number_text, percent_text
from core.words import CHOICE_WORDS, FIELD_WORDS, Text, in_words
from utils.documents import own_copy
from utils.lists import accuracy_percent
from utils.records import CollectionSpec, Field, Kind

ROWS_MAX = 200  # of one table; the rest is in the file
TEXT_CHARACTERS_MAX = 1000

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """The values of one field, row by row. `left` is how many rows there would be beyond."""

    label: Text
    rows: list[tuple[str, str]]
    left: int


def table(label: Text, value: object) -> Table:
    """The values in an object, each by its path."""
    every = list(leaves(value)) if isinstance(value, Mapping) else []
    rows = [(name, value_text(one)) for name, one in every[:ROWS_MAX]]
    return Table(label, rows, len(every) - len(rows))


def value_text(value: object) -> str:
    """A value of JSON as people read it; "" where there is none."""
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
        told = {"count": len(value), "first": exact_text(value[0]), "last": exact_text(value[-1])}
        said = ngettext(
            "%(count)d value", "%(count)d values, from %(first)s to %(last)s", len(value)
        )
        return said % told
    return json.dumps(own_copy(value), ensure_ascii=False)


@dataclass(frozen=True)
class Pair:
    """A value of two records; `more` is by how much the second of two numbers is greater."""

    label: Text
    first: Text
    second: Text
    differs: bool
    more: str = ""
    within: Text = ""  # the object that it stands in


def pairs(
    spec: CollectionSpec,
    first: Record,
    second: Record,
    projects: Mapping[int, Text] = MappingProxyType({}),
) -> list[Pair]:
    """Everything that two records hold, field by field, objects value by value. The title is not
    among it, nor what nobody enters: id, times, and what no page has a use for. `projects` are the
    names of those that they may belong to."""
    found: list[Pair] = []
    for field in spec.fields:
        if field.read_only or not field.on_forms or field.name == spec.title_field:
            continue
        label = in_words(field.name, FIELD_WORDS)
        one, other = _held(field, first), _held(field, second)
        if field.kind is Kind.OBJECT:
            found += _pairs_within(label, one, other)
        elif (spec.name, field.name) == ("models", "accuracy"):
            found.append(_accuracies(label, one, other))
        elif field.kind is Kind.REFERENCE:
            named, beside = (projects.get(value, value_text(value)) for value in (one, other))
            found.append(Pair(label, named, beside, differs=one != other))
        else:
            found.append(_pair(label, one, other, field))
    return found


def _held(field: Field, record: Record) -> Any:
    value = record.get(field.name)
    return field.default if value is None else value


def _pairs_within(label: Text, first: object, second: object) -> Iterator[Pair]:
    one, other = (dict(leaves(v)) if isinstance(v, Mapping) else {} for v in (first, second))
    for name in list({**one, **other})[:ROWS_MAX]:
        yield replace(_pair(name, one.get(name), other.get(name)), within=label)


def _pair(label: Text, first: Any, second: Any, field: Field | None = None) -> Pair:
    # 1 and true are equal to Python, and 1 and 1.0 are so to people.
    differs = first != second or isinstance(first, bool) != isinstance(second, bool)
    return Pair(
        label,
        _shown(first, field),
        _shown(second, field),
        differs,
        _more(first, second) if differs and is_number(first) and is_number(second) else "",
    )


def _accuracies(label: Text, first: Any, second: Any) -> Pair:
    """Both in per cent, so that they compare however each was noted."""
    if not (is_number(first) and is_number(second)):
        one, other = (percent_text(v) if is_number(v) else value_text(v) for v in (first, second))
        return Pair(label, one, other, first != second)
    shares = accuracy_percent(first), accuracy_percent(second)
    differs = shares[0] != shares[1]
    more = _more(*shares) if differs else ""
    return Pair(label, percent_text(first), percent_text(second), differs, more)


def _shown(value: Any, field: Field | None) -> Text:
    if field and field.kind in (Kind.CHOICE, Kind.OPEN_CHOICE) and isinstance(value, str):
        return in_words(value, CHOICE_WORDS)
    return value_text(value)


def _more(first: int | float, second: int | float) -> str:
    """By how much the second is greater: "+0.013". Reckoned as written, not as floats."""
    difference = Decimal(repr(second)) - Decimal(repr(first))
    whole = difference == difference.to_integral_value() and abs(difference) < 10**15
    size = abs(difference)
    text = number_text(int(size) if whole else float(size))
    return f"\N{MINUS SIGN}{text}" if difference < 0 else f"+{text}"
