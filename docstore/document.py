"""The terms of the store: layout, key, document.

A *document* is one owner's records in one collection: a JSON object with a list of records and a
few *head* fields. The store maintains four fields itself: `revision` counts the document's changes,
`last_id` is the highest id ever assigned to a record, `updated_at` is the time of the last change,
and the list of records has the name that the layout gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from docstore.record_list import RecordList

# A value as `json.loads` returns it. A recursive alias would cost more than it explains.
Json = Any
Record = dict[str, Json]

REVISION: Final = "revision"
LAST_ID: Final = "last_id"
UPDATED_AT: Final = "updated_at"


@dataclass(frozen=True)
class CollectionLayout:
    """The layout of a collection: folder `name`, files `<stem>_<owner>.json`, list `records`.

    If `begun_later`, a missing folder or document of the collection is no finding.
    `record_bytes_max` bounds a record after a change, in bytes of compact JSON; 0 means no bound.
    """

    name: str
    stem: str
    records: str
    begun_later: bool = False
    record_bytes_max: int = 0


class Key(NamedTuple):
    """The key of a document: its collection and the id of its owner."""

    collection: str
    owner: int

    def __str__(self) -> str:
        return f"{self.collection} of owner {self.owner}"


class Document(NamedTuple):
    """A state of a document. Its readers share `content`: never change it in place.

    In what `decode` and the store return, the list of records is a `RecordList`.
    """

    content: Mapping[str, Json]

    @property
    def revision(self) -> int:
        """Return the number of changes so far; 0 for a document of an old folder without one."""
        revision = self.content.get(REVISION)
        return revision if type(revision) is int and revision > 0 else 0

    def list_of(self, name: str) -> RecordList:
        """Return the list of records in the field `name`, which the layout gives; may be empty."""
        return RecordList.of(self.content.get(name))

    @property
    def cached_bytes(self) -> int:
        """Return the estimated bytes that its lists of records cache."""
        return sum(records.cached_bytes for records in self._lists())

    def clear_caches(self) -> None:
        """Clear these caches. They fill again on use."""
        for records in self._lists():
            records.clear_caches()

    def _lists(self) -> list[RecordList]:
        return [value for value in self.content.values() if isinstance(value, RecordList)]
