"""Access to a user's documents by the table of collections."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any

from docstore import Key, NotFound, RecordList, Transaction
from workspace.json_values import INTEGER_MAX
from workspace.schema.collections import COLLECTIONS, RECORD_COLLECTIONS


class UnknownCollection(ValueError):
    """The table has no such collection, or users cannot write records to it."""

    def __init__(self, collection: object, names: Collection[str]) -> None:
        near = difflib.get_close_matches(str(collection)[:50], names, n=1)
        meant = f"; {near[0]!r} is meant, perhaps" if near else ""
        super().__init__(
            f"{str(collection)[:50]!r} is no collection{meant}: use one of {', '.join(names)}"
        )


def key_of(collection: str, owner: int) -> Key:
    """Return the key of a document.

    Raises `NotFound` if `owner` is not a valid user id, and `UnknownCollection`.
    """
    if type(owner) is not int or not 0 < owner <= INTEGER_MAX:
        raise NotFound(f"{str(owner)[:50]!r} is no user's id")
    if collection not in COLLECTIONS:
        raise UnknownCollection(collection, tuple(COLLECTIONS))
    return Key(collection, owner)


def require_records(collection: str) -> None:
    """Raise `UnknownCollection` unless users can write records to the collection."""
    if collection not in RECORD_COLLECTIONS:
        raise UnknownCollection(collection, RECORD_COLLECTIONS)


def require_id(singular: str, record_id: object) -> None:
    """Raise `NotFound` if a value cannot be the id of a record, such as "3" or True."""
    if type(record_id) is not int or record_id < 1:
        raise NotFound(f"there is no {singular} {record_id!r}: an id is a whole number from 1")


def get_or_create(transaction: Transaction, key: Key) -> None:
    """Create the document if it is missing."""
    if transaction.document(key) is None:
        spec = COLLECTIONS[key.collection]
        if key.collection == "users":
            transaction.create(key, spec.defaults() | {"user_id": key.owner})
        else:
            transaction.create(key, {spec.layout.records: [], "updated_at": None})


_SCALARS = frozenset({str, int, float, bool, type(None)})


def deep_copy(value: Any) -> Any:
    """Return a deep copy of a stored value that the caller may modify. Lists become `list`."""
    try:
        return _copy(value)
    except RecursionError:  # a hand edit can nest hundreds of levels deep
        return _copy_step_by_step(value)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: v if type(v) in _SCALARS else _copy(v) for k, v in value.items()}
    if isinstance(value, list | RecordList):
        return [v if type(v) in _SCALARS else _copy(v) for v in value]
    return value


def _copy_step_by_step(value: Any) -> Any:
    """Copy like `_copy`, but iteratively: for any depth, and slower."""
    root: list[Any] = [value]
    open_places: list[tuple[Any, Any]] = [(root, 0)]
    while open_places:
        container, place = open_places.pop()
        inner = container[place]
        if isinstance(inner, dict):
            container[place] = copied = dict(inner)
            open_places += [(copied, key) for key in copied]
        elif isinstance(inner, list | RecordList):
            container[place] = items = list(inner)
            open_places += [(items, index) for index in range(len(items))]
    return root[0]
