"""The vocabulary of the store: layout, key, document.

A *document* is one owner's records in one collection: a JSON object that holds a list of records
and a few *head* fields. The store keeps four head fields itself: `revision` counts the
document's changes, `last_id` is the highest id ever given to a record, `updated_at` is the time
of the last change, and the list of records has the name that the layout gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from docstore.record_list import RecordList

# What json.loads makes of a JSON value. Recursive aliases cost more than they explain here.
Json = Any
Record = dict[str, Json]

REVISION: Final = "revision"
LAST_ID: Final = "last_id"
UPDATED_AT: Final = "updated_at"


@dataclass(frozen=True)
class CollectionLayout:
    """How a collection is laid out: folder `name`, files `<stem>_<owner>.json`, list `records`.

    Of a collection that is `begun_later`, nobody misses a folder or a document. A record may have
    `record_bytes_max` bytes as compact JSON after a change; 0 means any number.
    """

    name: str
    stem: str
    records: str
    begun_later: bool = False
    record_bytes_max: int = 0


class Key(NamedTuple):
    """Names a document: a collection and the id of the owner."""

    collection: str
    owner: int

    def __str__(self) -> str:
        return f"{self.collection} of owner {self.owner}"


class Document(NamedTuple):
    """One state of a document. `content` is shared by its readers: never change it in place.

    What `decode` and the store make has its list of records as a `RecordList`.
    """

    content: Mapping[str, Json]

    @property
    def revision(self) -> int:
        """How many changes made it; 0 for a document of an old folder, which has none yet."""
        revision = self.content.get(REVISION)
        return revision if type(revision) is int and revision > 0 else 0

    def list_of(self, name: str) -> RecordList:
        """The records, of which the layout tells the name; empty where there is no such list."""
        return RecordList.of(self.content.get(name))

    @property
    def bytes_kept(self) -> int:
        """About how many bytes of JSON its records keep beside themselves."""
        return sum(one.bytes_kept for one in self._lists())

    def forget_bytes(self) -> None:
        """Lets go of these; they are made again when somebody asks for them."""
        for one in self._lists():
            one.forget_bytes()

    def _lists(self) -> list[RecordList]:
        return [value for value in self.content.values() if isinstance(value, RecordList)]
