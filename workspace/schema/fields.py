"""The kinds of record fields: which values each accepts, and its error message.

Validation has three steps. The *shape* is the type, and for choices, times and ids also the
meaning. Stored records of any age must have it. The *bounds* are lengths and limits, which apply
only to values being written. Contents must be valid JSON (`json.values`). `Field.must_be` is the
message for both shape and bounds.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from workspace.json_values import (
    INTEGER_MAX,
    ErrorList,
    checked_copy,
    pointer_to,
    text_error,
    whole_number,
)
from workspace.recurrence import REPEAT_CHARACTERS_MAX, canonical_repeat
from workspace.texts import normal
from workspace.timestamps import is_time_zone, normalize_time, parse_or_none

ENTRIES_MAX = 50  # in a list of texts
ENTRY_CHARACTERS_MAX = 50
ITEMS_MAX = 100  # in a checklist
ITEM_CHARACTERS_MAX = 200
TIME_ZONE_CHARACTERS_MAX = 64


class Kind(StrEnum):
    """The kind of a field's values."""

    TITLE = "title"  # one line, stripped, never blank
    LINE = "line"
    TEXT = "text"
    CHOICE = "choice"
    OPEN_CHOICE = "open choice"  # `choices` are suggestions
    TIME = "time"  # a date, or a moment in UTC
    TEXTS = "texts"
    MEMBERS = "members"  # a list of names, ids and objects
    OBJECT = "object"
    OBJECTS = "objects"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    ID = "id"
    REFERENCE = "reference"  # the id of a record in the collection `refers_to`
    REPEAT = "repeat"  # a rule of RFC 5545, or "": see `repeats`
    TIME_ZONE = "time zone"  # an IANA name, or ""
    CHECKLIST = "checklist"  # a list of {"text": ..., "done": ...}


_ONE_LINE = {Kind.TITLE, Kind.LINE, Kind.CHOICE, Kind.OPEN_CHOICE, Kind.TIME_ZONE}
_CHARACTERS_MAX = {
    Kind.TITLE: 200,
    Kind.LINE: 200,
    Kind.TEXT: 50_000,
    Kind.OPEN_CHOICE: 50,
    Kind.REPEAT: REPEAT_CHARACTERS_MAX,
    Kind.TIME_ZONE: TIME_ZONE_CHARACTERS_MAX,
}
_LENGTH_MAX = {Kind.TEXTS: ENTRIES_MAX, Kind.CHECKLIST: ITEMS_MAX}


@dataclass(frozen=True)
class Field:
    """A field of a collection's records. A default of None makes it nullable."""

    name: str
    kind: Kind
    default: Any = None
    choices: tuple[str, ...] = ()
    minimum: int | None = None  # for numbers
    maximum: int | None = None
    refers_to: str = ""
    read_only: bool = False  # only NeuralFlow sets it
    on_forms: bool = True  # False: pages set it by other means, such as dragging
    came_later: bool = False  # older records may have any value under its name, which remains
    help: str = ""

    @property
    def required(self) -> bool:
        """True if records must have this field."""
        return self.kind in (Kind.TITLE, Kind.ID)

    @property
    def nullable(self) -> bool:
        return self.default is None and not self.required

    @property
    def characters_max(self) -> int | None:
        """The maximum length of a text in characters, or None."""
        return _CHARACTERS_MAX.get(self.kind)

    @property
    def must_be(self) -> str:
        """The rule of the field as the end of a sentence that begins with its name."""
        return f"must be {_RULES[self.kind].wanted(self)}{', or null' if self.nullable else ''}"

    def fresh_default(self) -> Any:
        """Return a copy of the default that the caller may modify."""
        return copy.deepcopy(self.default)

    def has_shape(self, value: object) -> bool:
        """Return whether a stored record may have `value`. Old records may have null texts."""
        if value is None:
            return self.nullable or self.kind in (Kind.LINE, Kind.TEXT)
        return _RULES[self.kind].shape(self, value)

    def accept(self, value: object, pointer: str, faults: ErrorList) -> Any:
        """Return a copy of `value` in stored form. Its faults are added to `faults`.

        Python dates and times are accepted as well as texts.
        """
        if value is None and self.nullable:
            return None
        if isinstance(value, str):  # normalize first, because lengths apply to the stored form
            value = normal(str.__str__(value))
        if self.kind is Kind.TITLE and isinstance(value, str) and not text_error(value):
            value = value.strip()
        elif self.kind is Kind.TIME:
            value = _stored_or_none(value)
        elif self.kind is Kind.REPEAT:
            value = canonical_repeat(value)
        elif self.kind in (Kind.INTEGER, Kind.REFERENCE):
            value = whole_number(value)
        if value is None or not self.has_shape(value) or not self._within_bounds(value):
            faults.add(pointer, self.must_be)
            return None
        if isinstance(value, list) and self.kind in _ENTRIES:
            return self._accept_entries(value, pointer, faults)
        return checked_copy(value, pointer, faults, one_line=self.kind in _ONE_LINE)

    def _within_bounds(self, value: object) -> bool:
        if isinstance(value, str):
            at_least = 1 if self.kind is Kind.OPEN_CHOICE else 0
            at_most = len(value) if self.characters_max is None else self.characters_max
            return at_least <= len(value.strip()) and len(value) <= at_most
        if isinstance(value, list):
            return len(value) <= _LENGTH_MAX.get(self.kind, len(value))
        if isinstance(value, int | float):
            # Every comparison with NaN is false, so this form excludes it.
            return (self.minimum is None or value >= self.minimum) and (
                self.maximum is None or value <= self.maximum
            )
        return True

    def _accept_entries(self, entries: list[object], pointer: str, faults: ErrorList) -> list[Any]:
        fits, wanted = _ENTRIES[self.kind]
        accepted = []
        for index, entry in enumerate(entries):
            place = pointer_to(pointer, index)
            entry = _member(entry) if self.kind is Kind.MEMBERS else entry
            entry = normal(entry) if isinstance(entry, str) else entry
            if fits(entry):
                if self.kind is Kind.CHECKLIST and isinstance(entry, dict):
                    unfit = text_error(entry["text"], one_line=True)
                    if unfit is not None:
                        faults.add(pointer_to(place, "text"), unfit)
                # Level 2, because the list itself is level 1.
                accepted.append(checked_copy(entry, place, faults, one_line=True, level=2))
            else:
                faults.add(place, f"must be {wanted}")
        return accepted


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _member(entry: object) -> object:
    """Return a member with an integer id, whether the id is the entry or its `user_id`."""
    if isinstance(entry, dict) and "user_id" in entry:
        return entry | {"user_id": whole_number(entry["user_id"])}
    return whole_number(entry)


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= INTEGER_MAX


def _is_line(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_entry(value: object) -> bool:
    return _is_line(value) and len(str(value)) <= ENTRY_CHARACTERS_MAX


def _is_member(value: object) -> bool:
    return _is_id(value) or _is_line(value) or isinstance(value, dict)


def _is_item(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"text", "done"}
        and isinstance(value["done"], bool)
        and _is_line(value["text"])
        and len(value["text"]) <= ITEM_CHARACTERS_MAX
    )


def _is_time(value: object) -> bool:
    return parse_or_none(value) is not None


def _stored_or_none(value: object) -> str | None:
    try:
        return normalize_time(value)
    except ValueError:
        return None


def _limits(field: Field) -> str:
    if field.maximum is not None:
        return f" from {field.minimum} to {field.maximum}"
    return "" if field.minimum is None else f" of at least {field.minimum}"


class _Rule(NamedTuple):
    """The shape of a kind, and the wording of `must_be`."""

    shape: Callable[[Field, object], bool]
    wanted: Callable[[Field], str]


_RULES = {
    Kind.TITLE: _Rule(
        lambda _, value: _is_line(value),
        lambda field: f"a text of 1 to {field.characters_max} characters",
    ),
    Kind.LINE: _Rule(
        lambda _, value: isinstance(value, str),
        lambda field: f"a text of at most {field.characters_max} characters",
    ),
    Kind.TEXT: _Rule(
        lambda _, value: isinstance(value, str),
        lambda field: f"a text of at most {field.characters_max} characters",
    ),
    Kind.CHOICE: _Rule(
        lambda field, value: isinstance(value, str) and value in field.choices,
        lambda field: f"one of {', '.join(field.choices)}",
    ),
    Kind.OPEN_CHOICE: _Rule(
        lambda _, value: isinstance(value, str),
        lambda field: f"a text of 1 to {field.characters_max} characters",
    ),
    Kind.TIME: _Rule(
        lambda _, value: _is_time(value),
        lambda _: "a date (2026-11-23) or a date-time (2026-11-23T12:00:00Z)",
    ),
    Kind.TEXTS: _Rule(
        lambda _, value: isinstance(value, list),
        lambda _: f"a list of at most {ENTRIES_MAX} texts",
    ),
    Kind.MEMBERS: _Rule(
        lambda _, value: isinstance(value, list),
        lambda _: "a list of names, ids and objects",
    ),
    Kind.OBJECT: _Rule(
        lambda _, value: isinstance(value, dict),
        lambda _: "an object",
    ),
    Kind.OBJECTS: _Rule(
        lambda _, value: isinstance(value, list),
        lambda _: "a list of objects",
    ),
    Kind.NUMBER: _Rule(
        lambda _, value: _is_integer(value) or isinstance(value, float),
        lambda field: f"a number{_limits(field)}",
    ),
    Kind.INTEGER: _Rule(
        lambda _, value: _is_integer(value),
        lambda field: f"a whole number{_limits(field)}",
    ),
    Kind.BOOLEAN: _Rule(
        lambda _, value: isinstance(value, bool),
        lambda _: "true or false",
    ),
    Kind.ID: _Rule(
        lambda _, value: _is_id(value),
        lambda _: "a positive whole number",
    ),
    Kind.REFERENCE: _Rule(
        lambda _, value: _is_id(value),
        lambda field: f"the id of one of the {field.refers_to}",
    ),
    Kind.REPEAT: _Rule(
        lambda _, value: isinstance(value, str),
        lambda _: 'a rule of RFC 5545 such as FREQ=WEEKLY;BYDAY=MO,FR, or ""',
    ),
    Kind.TIME_ZONE: _Rule(
        lambda _, value: isinstance(value, str) and (not value or is_time_zone(value)),
        lambda _: 'the name of a time zone such as Europe/Madrid, or ""',
    ),
    Kind.CHECKLIST: _Rule(
        lambda _, value: isinstance(value, list),
        lambda _: f'a list of at most {ITEMS_MAX} objects, each with "text" and "done"',
    ),
}

_ENTRIES = {
    Kind.TEXTS: (_is_entry, f"a text of 1 to {ENTRY_CHARACTERS_MAX} characters"),
    Kind.MEMBERS: (_is_member, "a name, an id (a positive whole number) or an object"),
    Kind.OBJECTS: (lambda entry: isinstance(entry, dict), "an object"),
    Kind.CHECKLIST: (
        _is_item,
        f'an object with "text" (1 to {ITEM_CHARACTERS_MAX} characters) and "done" (true or false)',
    ),
}
