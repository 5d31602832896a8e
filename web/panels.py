"""Records of a collection for a part of a page, or the reason why they are unreadable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from docstore import StoreError
from utils.json_storage import JSONStorageManager
from utils.middleware import StorageRequest
from workspace.actor import Actor

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Panel:
    """The records of a collection, or the reason why they are unreadable."""

    records: Sequence[Record] = ()
    fault: StoreError | None = None


def sequence_now(request: StorageRequest) -> int | None:
    """Return the latest sequence number, for a page that follows the change feed, or None.

    Call it before the page reads anything. Otherwise a change in between would be missed.
    """
    try:
        return request.json_storage.store.sequence()
    except StoreError:
        return None


def read_panel(
    manager: JSONStorageManager, collection: str, owner: int, caller: Actor | None = None
) -> Panel:
    """Return the owner's records of a collection as visible to the caller, or the fault.

    The default caller is the owner.
    """
    try:
        return Panel(manager.view(collection, owner, caller=caller))
    except StoreError as fault:
        return Panel(fault=fault)
