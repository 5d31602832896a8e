"""The order of a list, places in it, and cursors that tell where a page ended.

A place is what a record is ordered by, then its id and its owner: it says where to go on, whatever
was added or deleted since, the record itself included. So pages neither repeat nor leave out a
record that stays as it is.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import total_ordering
from typing import Annotated, Any, NamedTuple

import msgspec

from docstore import id_of
from utils.fields import Field
from utils.json.values import INTEGER_MAX
from utils.lists import SortValue, is_ordered_as_text, sort_value

CURSOR_CHARACTERS_MAX = 3000
_NO_ID = INTEGER_MAX + 1  # after all that have one


class SortBy(NamedTuple):
    """A field that a list is ordered by."""

    field: Field
    backwards: bool = False


class Place(msgspec.Struct, array_like=True, frozen=True):
    """Where a record stands in the order of a list. `passed` counts those answered already that
    stand at this very place, as in a file changed by hand several may."""

    values: tuple[SortValue | None, ...]
    id: int
    owner: int
    passed: Annotated[int, msgspec.Meta(ge=1)] = 1


class _Cursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    digest: str
    place: Place


@total_ordering
@dataclass(frozen=True, slots=True)
class _Backwards:
    """A text that comes before those that it would come after."""

    text: str

    def __lt__(self, other: "_Backwards") -> bool:
        return self.text > other.text


@dataclass(frozen=True)
class Ordering:
    """Which of two records comes first. Those without a value come last, whichever way the others
    go; among equals, and where nothing is asked, the lower id comes first."""

    sort: Sequence[SortBy] = ()

    def place(self, record: Mapping[str, Any]) -> Place:
        owner = record.get("user_id")
        return Place(
            tuple([sort_value(by.field, record) for by in self.sort]),
            id_of(record) or _NO_ID,
            owner if type(owner) is int else 0,
        )

    def key(self, place: Place) -> tuple[Any, ...]:
        """The place as what may be compared."""
        values = zip(self.sort, place.values, strict=True)
        return (*[_comparable(by, value) for by, value in values], place.id, place.owner)


def _comparable(by: SortBy, value: SortValue | None) -> tuple[Any, ...]:
    if value is None:
        return (1,)
    if not by.backwards:
        return (0, value)
    return (0, _Backwards(value) if isinstance(value, str) else -value)


def cursor(place: Place, digest: str) -> str:
    """The text by which a client goes on after this place of the list that the digest tells of."""
    text = msgspec.json.encode(_Cursor(digest, place))
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def read_cursor(text: str, sort: Sequence[SortBy], digest: str) -> Place:
    """The place in a cursor of this very list. Raises ValueError: it must be as it was given."""
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


def _fits(place: Place, sort: Sequence[SortBy]) -> bool:
    """Whether the place can be compared with those of the list: anybody can write a cursor."""
    return len(place.values) == len(sort) and all(
        value is None or isinstance(value, str) == is_ordered_as_text(by.field)
        for by, value in zip(sort, place.values, strict=True)
    )
