"""The storage limit of a user: the size of all their files, and of their share of the history.

The files on disk count, including responses stored by idempotency key and versions that were set
aside. Of the journal, the user's own changes count, up to a bound: older ones leave it only with
time, so they must not fill the limit alone. If the limit is reached, changes that enlarge the files
are refused. Changes that shrink them are not, and neither are small ones, such as completing a
task, up to a margin above the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from docstore import ABSENT, DocumentStore, StoreError, Transaction, to_json
from workspace.documents import key_of
from workspace.schema.collections import COLLECTIONS

#: The fraction of an owner's space that other users, such as editors of a project, may fill. The
#: rest is reserved for the owner, who could otherwise be locked out by them.
OTHERS_SHARE: Final = 3 / 4
#: The fraction of the limit that a user's history may take. The rest is reserved for files.
HISTORY_OF_LIMIT: Final = 1 / 2
#: My files shows what to do while less than this fraction of the limit remains.
NEARLY_FULL: Final = 1 / 10
_FEW_BYTES: Final = 1024
_ABOVE: Final = 1 / 64  # margin above the limit for changes of a few bytes, as a fraction of it
# A process measures a user's files again after writing 1/8 of the remaining bytes.
_TRUSTED: Final = 8
_PEOPLE_MAX: Final = 10_000


class Storage(NamedTuple):
    """The sizes in bytes that count against a user's limit. A limit of 0 means none."""

    files: int
    asides: int
    history: int
    limit: int

    @property
    def used(self) -> int:
        return self.files + self.asides + self.history

    @property
    def remaining(self) -> int | None:
        return max(self.limit - self.used, 0) if self.limit else None

    @property
    def is_nearly_full(self) -> bool:
        return self.remaining is not None and self.remaining < self.limit * NEARLY_FULL


class StorageFull(StoreError):
    """The user has reached the limit. Delete records or versions set aside first."""

    def __init__(self, storage: Storage, *, is_own: bool) -> None:
        whose = "your files" if is_own else "the owner's files"
        super().__init__(
            f"{whose} have {storage.used} of {storage.limit} bytes ({storage.asides} in versions"
            f" set aside, {storage.history} in the history of changes): delete records, discard"
            " versions that were set aside, wait until older changes leave the history, or ask the"
            " operator for more"
        )


def storage_of(store: DocumentStore, person: int, limit: int, history_max: int) -> Storage:
    """Return the bytes that count against a user's `limit` now.

    `history_max` is the user's share of the history in bytes. More than that is given up when
    others need the room.
    """
    files = sum(store.backend.size(key_of(name, person)) for name in COLLECTIONS)
    if limit:
        history_max = min(history_max, int(limit * HISTORY_OF_LIMIT))
    history = min(store.backend.history_bytes(str(person)), history_max)
    return Storage(files, store.backend.aside_bytes(person), history, limit)


class StorageCheck:
    """Refuse changes that exceed the storage limit of a user. Thread-safe.

    Files are measured occasionally. In between, each process counts the bytes that it wrote.
    `history_max` returns a user's share of the history in bytes.
    """

    def __init__(self, history_max: Callable[[], int]) -> None:
        self._history_max = history_max
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
        storage = storage_of(store, owner, most, self._history_max())
        left = most - storage.used
        if transaction.bytes_put > left:
            growth = sum(_growth(transaction, owner))
            if growth <= _FEW_BYTES:  # not refused because of the history, which grows with each
                allowed = most * (1 + _ABOVE) - storage.files - storage.asides
            else:
                allowed = left
            if growth > 0 and growth > allowed:
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
