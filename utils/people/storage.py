"""The storage limit of a user: the size of all their files.

The files on disk count, including responses stored by idempotency key. The journal history has
limits of its own (`utils.bounds`). If the limit is reached, changes that enlarge the files are
refused. Changes that shrink them are not, and neither are small ones, such as completing a task, up
to a margin above the limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from docstore import ABSENT, DocumentStore, StoreError, Transaction, to_json
from utils.documents import key_of
from utils.table import COLLECTIONS

#: The fraction of an owner's space that other users, such as editors of a project, may fill. The
#: rest is reserved for the owner, who could otherwise be locked out by them.
OTHERS_SHARE: Final = 3 / 4
_FEW_BYTES: Final = 1024
_ABOVE: Final = 1 / 64  # margin above the limit for changes of a few bytes, as a fraction of it
# A process measures a user's files again after writing 1/8 of the remaining bytes.
_TRUSTED: Final = 8
_PEOPLE_MAX: Final = 10_000


class Storage(NamedTuple):
    """The size of a user's files, and its limit. A limit of 0 means none."""

    used: int
    limit: int

    @property
    def remaining(self) -> int | None:
        return max(self.limit - self.used, 0) if self.limit else None


class StorageFull(StoreError):
    """The user's files have reached the limit. Delete records first."""

    def __init__(self, storage: Storage, *, is_own: bool) -> None:
        whose = "your files" if is_own else "the owner's files"
        super().__init__(
            f"{whose} have {storage.used} of {storage.limit} bytes: delete records, or ask the"
            " operator for more"
        )


def storage_of(store: DocumentStore, person: int, limit: int) -> Storage:
    """Return the current size of a user's files, and `limit`."""
    used = sum(store.backend.size(key_of(name, person)) for name in COLLECTIONS)
    return Storage(used, limit)


class StorageCheck:
    """Refuse changes that exceed the storage limit of a user. Thread-safe.

    Files are measured occasionally. In between, each process counts the bytes that it wrote.
    """

    def __init__(self) -> None:
        self._left: dict[tuple[int, bool, int], int] = {}

    def check(self, store: DocumentStore, transaction: Transaction, actor: int, limit: int) -> None:
        """Raise `StorageFull` if the transaction exceeds the storage limit of an owner."""
        if not limit or not transaction.bytes_put:
            return
        for owner in {key.owner for key in transaction.changed}:
            place = owner, owner == actor, limit
            left = self._left.get(place, 0) - transaction.bytes_put
            if left < 0:
                left = self._measured(store, transaction, place)
            if len(self._left) >= _PEOPLE_MAX:
                self._left.clear()
            self._left[place] = left

    def _measured(
        self, store: DocumentStore, transaction: Transaction, place: tuple[int, bool, int]
    ) -> int:
        """Measure the files, and return the number of bytes until the next measurement."""
        owner, is_own, limit = place
        most = limit if is_own else int(limit * OTHERS_SHARE)
        storage = storage_of(store, owner, most)
        left = most - storage.used
        if transaction.bytes_put > left:
            growth = sum(_growth(transaction, owner))
            margin = most * _ABOVE if growth <= _FEW_BYTES else 0
            if growth > 0 and growth > left + margin:
                raise StorageFull(storage, is_own=is_own)
        return max(left // _TRUSTED, 0)


def _growth(transaction: Transaction, owner: int) -> Iterator[int]:
    """Yield by how many bytes each change of the owner's records enlarges the files.

    User documents are excluded, because their activities have limits of their own.
    """
    for key, edit in transaction.edits():
        if key.owner == owner and key.collection != "users":
            yield _bytes(edit.after) - _bytes(edit.before)


def _bytes(value: object) -> int:
    return 0 if value is ABSENT else len(to_json(value))
