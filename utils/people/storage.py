"""The space of one person: how many bytes all of their files may have.

Counted are the files as they are on disk, answers retained for idempotency keys included; the
history has a share of its own (`utils.bounds`). A change that makes the files larger is refused
when they are full. One that makes them smaller never is, and neither is one of a few bytes while
there is a little left above the limit: to complete a task, for example.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from docstore import ABSENT, DocumentStore, StoreError, Transaction, to_json
from utils.documents import key_of
from utils.table import COLLECTIONS

#: Of a person's space, what others may fill, such as the editors of a project: the owner can always
#: write while others have to stop.
OTHERS_SHARE: Final = 3 / 4
_FEW_BYTES: Final = 1024
_ABOVE: Final = 1 / 64  # of the limit, for changes of a few bytes
# A process measures a person's files again once it wrote this part of what was left.
_TRUSTED: Final = 8
_PEOPLE_MAX: Final = 10_000


class Storage(NamedTuple):
    """How many bytes a person's files have, and may have; 0 for any number."""

    used: int
    limit: int

    @property
    def remaining(self) -> int | None:
        return max(self.limit - self.used, 0) if self.limit else None


class StorageFull(StoreError):
    """The person's files have reached the size that they may have. Delete records first."""

    def __init__(self, storage: Storage, *, is_own: bool) -> None:
        whose = "your files" if is_own else "the owner's files"
        super().__init__(
            f"{whose} have {storage.used} of {storage.limit} bytes: delete records, or ask the"
            " operator for more"
        )


def storage_of(store: DocumentStore, person: int, limit: int) -> Storage:
    """Return the bytes that a person's files have now."""
    used = sum(store.backend.size(key_of(name, person)) for name in COLLECTIONS)
    return Storage(used, limit)


class StorageCheck:
    """Refuses changes that a person's space has no room for. Safe to share between threads.

    Files are measured from time to time: what a process wrote since then it counts by itself.
    """

    def __init__(self) -> None:
        self._left: dict[tuple[int, bool, int], int] = {}

    def check(self, store: DocumentStore, transaction: Transaction, actor: int, limit: int) -> None:
        """Raise `StorageFull` if the transaction adds bytes that somebody's space cannot hold."""
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
        """Measure the files, and return how many bytes may be written until they are again."""
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
    """Yield how much larger each change of a record of the owner's makes the files.

    What a person's own document tells of a change, has limits of its own.
    """
    for key, edit in transaction.edits():
        if key.owner == owner and key.collection != "users":
            yield _bytes(edit.after) - _bytes(edit.before)


def _bytes(value: object) -> int:
    return 0 if value is ABSENT else len(to_json(value))
