"""Ordering and cursors for paginated lists.

A cursor has the sort key of the last record, its id and its owner. It stays valid when records are
added or deleted, including that record. Pages therefore neither repeat nor omit unchanged records.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import total_ordering
from typing import Annotated, Any, NamedTuple

import msgspec

from docstore import id_of
from workspace.json_values import INTEGER_MAX
from workspace.ordering import SortValue, is_ordered_as_text, sort_value
from workspace.schema.fields import Field

CURSOR_CHARACTERS_MAX = 3000
_NO_ID = INTEGER_MAX + 1  # sorts records without an id last


class SortBy(NamedTuple):
    """A field to sort by."""

    field: Field
    backwards: bool = False


class Position(msgspec.Struct, array_like=True, frozen=True):
    """The position of a record in the order of a list.

    `passed` is the number of returned records at exactly this position. Files edited by hand may
    have several with the same id.
    """

    values: tuple[SortValue | None, ...]
    id: int
    owner: int
    passed: Annotated[int, msgspec.Meta(ge=1)] = 1


class _Cursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    digest: str
    place: Position


@total_ordering
@dataclass(frozen=True, slots=True)
class _Backwards:
    """A text that sorts in reverse."""

    text: str

    def __lt__(self, other: "_Backwards") -> bool:
        return self.text > other.text


@dataclass(frozen=True)
class Ordering:
    """The order of a list. Records without a value come last in either direction.

    Ties are resolved by ascending id.
    """

    sort: Sequence[SortBy] = ()

    def place(self, record: Mapping[str, Any]) -> Position:
        owner = record.get("user_id")
        return Position(
            tuple([sort_value(by.field, record) for by in self.sort]),
            id_of(record) or _NO_ID,
            owner if type(owner) is int else 0,
        )

    def key(self, place: Position) -> tuple[Any, ...]:
        """Return the position as a comparable key."""
        values = zip(self.sort, place.values, strict=True)
        return (*[_comparable(by, value) for by, value in values], place.id, place.owner)


def _comparable(by: SortBy, value: SortValue | None) -> tuple[Any, ...]:
    if value is None:
        return (1,)
    if not by.backwards:
        return (0, value)
    return (0, _Backwards(value) if isinstance(value, str) else -value)


def cursor(place: Position, digest: str) -> str:
    """Return the cursor for a position. `digest` identifies the list."""
    text = msgspec.json.encode(_Cursor(digest, place))
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def read_cursor(text: str, sort: Sequence[SortBy], digest: str) -> Position:
    """Return the position in a cursor of this list. Raises ValueError if invalid."""
    try:
        if len(text) > CURSOR_CHARACTERS_MAX:
            raise ValueError
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        read = msgspec.json.decode(decoded, type=_Cursor)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise ValueError("is none that was given; leave it out to begin again") from None
    if read.digest != digest or not _fits(read.place, sort):
        raise ValueError("belongs to another list, filter or order; leave it out to begin again")
    return read.place


def _fits(place: Position, sort: Sequence[SortBy]) -> bool:
    """Return whether the position is comparable with the list, because cursors can be forged."""
    return len(place.values) == len(sort) and all(
        value is None or isinstance(value, str) == is_ordered_as_text(by.field)
        for by, value in zip(sort, place.values, strict=True)
    )
