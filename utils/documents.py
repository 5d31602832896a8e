"""A person's documents as the table of collections has them."""

from __future__ import annotations

from typing import Any

from docstore import Key, NotFound, RecordList, Transaction
from utils.table import COLLECTIONS


def key_of(collection: str, owner: int) -> Key:
    """The key of a document. Raises `NotFound` for an owner that is no user's id."""
    if type(owner) is not int or owner < 1:
        raise NotFound(f"{owner!r} is no user's id")
    return Key(collection, owner)


def ensure(transaction: Transaction, key: Key) -> None:
    """Begins the document where there is none."""
    if transaction.document(key) is None:
        spec = COLLECTIONS[key.collection]
        if key.collection == "users":
            transaction.create(key, spec.defaults() | {"user_id": key.owner})
        else:
            transaction.create(key, {spec.layout.records: [], "updated_at": None})


_SCALARS = frozenset({str, int, float, bool, type(None)})


def own_copy(value: Any) -> Any:
    """A copy that the caller may change, of what the store has checked; lists become lists."""
    if isinstance(value, dict):
        return {k: v if type(v) in _SCALARS else own_copy(v) for k, v in value.items()}
    if isinstance(value, list | RecordList):
        return [v if type(v) in _SCALARS else own_copy(v) for v in value]
    return value
