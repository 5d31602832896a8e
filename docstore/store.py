"""The store: one function that changes documents, whichever door the change came through.

`change` runs an edit in a transaction. The edit reads documents and says what is to be different;
nothing is written until it returns. Then everything it said becomes one commit, at the versions
that it read. Where someone else wrote first, the edit runs again on what is there now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar

from docstore.backend import ABSENT, Backend, Change, Commit, Edit, Version
from docstore.codec import checked_copy
from docstore.document import (
    LAST_ID,
    REVISION,
    UPDATED_AT,
    CollectionLayout,
    Document,
    Json,
    Key,
    Record,
)
from docstore.errors import Conflict, Corrupt, InvalidValue, NotFound

Result = TypeVar("Result")

ATTEMPTS_MAX: Final = 20
ID_MAX: Final = 2**53 - 1


def utc_text(moment: datetime) -> str:
    """A moment as RFC 3339, to the microsecond: `2026-11-23T12:04:05.123456Z`; naive is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


@dataclass
class _Draft:
    """A document as the transaction has it so far, and how it came to differ."""

    expect: Version
    content: dict[str, Json] | None
    revision: int
    edits: list[Edit] = field(default_factory=list)
    own_list: bool = False


class Transaction:
    """What an edit may do. Documents and records it hands out are to be read, never changed."""

    def __init__(
        self, backend: Backend, layouts: Mapping[str, CollectionLayout], now: datetime
    ) -> None:
        self._backend, self._layouts = backend, layouts
        self._drafts: dict[Key, _Draft] = {}
        self.now = now

    def document(self, key: Key) -> Mapping[str, Json] | None:
        """The document as this transaction has it so far; None where there is none."""
        return self._draft(key).content

    def records(self, key: Key) -> list[Json]:
        """The document's list of records; empty where there is no document."""
        content = self.document(key) or {}
        return content.get(self._layouts[key.collection].records) or []

    def record(self, key: Key, record_id: int) -> Record:
        """The record with this id. Raises `NotFound`, and `Corrupt` where two records have it."""
        record: Record = self.records(key)[self._index(key, record_id)]
        return record

    def new_id(self, key: Key) -> int:
        """An id that no record of this document has or ever had."""
        last = (self.document(key) or {}).get(LAST_ID)
        ids = [record_id for record_id in map(id_of, self.records(key)) if record_id]
        new = max([last if type(last) is int else 0, *ids]) + 1
        if new > ID_MAX:  # of a file changed by hand: no other reader could tell it from its like
            raise Corrupt(self._backend.name(key), f"an id in it, or {LAST_ID!r}, is too large")
        return new

    def create(self, key: Key, content: Mapping[str, Json]) -> None:
        """Begins a document with these fields. Raises `Conflict` where there is one."""
        draft = self._draft(key)
        if draft.content is not None:
            raise Conflict(f"{self._backend.name(key)} exists already")
        draft.content = checked_copy(content)
        draft.own_list = True
        draft.edits.append(Edit((), ABSENT, draft.content))

    def set(self, key: Key, fields: Mapping[str, Json]) -> None:
        """Sets head fields; those that have their value already are left alone."""
        draft, content = self._writable(key)
        for name, value in fields.items():
            before = content.get(name, ABSENT)
            if before != value or type(before) is not type(value):
                content[name] = checked_copy(value)
                draft.edits.append(Edit((name,), before, content[name]))

    def put(self, key: Key, record: Record) -> None:
        """Adds a record, or replaces the one with its id. The document must exist."""
        draft, name, records = self._writable_records(key)
        record, record_id = checked_copy(record), id_of(record)
        if record_id is None:
            raise InvalidValue("a record needs an id: a whole number above 0")
        try:
            index = self._index(key, record_id)
        except NotFound:
            draft.edits.append(Edit((name, record_id), ABSENT, record))
            records.append(record)
            self.set(key, {LAST_ID: self.new_id(key) - 1})
        else:
            draft.edits.append(Edit((name, record_id), records[index], record))
            records[index] = record

    def remove(self, key: Key, record_id: int) -> Record:
        """Takes a record out and returns it. Its id is not given again."""
        index, last = self._index(key, record_id), self.new_id(key) - 1
        draft, name, records = self._writable_records(key)
        record: Record = records.pop(index)
        draft.edits.append(Edit((name, record_id), record, ABSENT))
        self.set(key, {LAST_ID: last})
        return record

    def append(self, key: Key, item: Json) -> None:
        """Adds an item without an id to the end of the document's list."""
        draft, name, records = self._writable_records(key)
        records.append(checked_copy(item))
        draft.edits.append(Edit((name, len(records) - 1), ABSENT, records[-1]))

    def drop(self, key: Key) -> None:
        """Deletes the document."""
        draft = self._draft(key)
        if draft.content is not None:
            draft.edits.append(Edit((), draft.content, ABSENT))
            draft.content = None

    def changes(self) -> tuple[Change, ...]:
        """What the commit is made of. Each changed document gets its revision and time."""
        return tuple(
            Change(key, draft.expect, self._finished(draft), tuple(draft.edits))
            for key, draft in self._drafts.items()
            if draft.edits
        )

    def _finished(self, draft: _Draft) -> Document | None:
        if draft.content is None:
            return None
        draft.content[UPDATED_AT] = utc_text(self.now)
        draft.content[REVISION] = draft.revision + 1
        return Document(draft.content)

    def _draft(self, key: Key) -> _Draft:
        draft = self._drafts.get(key)
        if draft is None:
            stored = self._backend.read(key)
            document = stored.document
            content = dict(document.content) if document else None
            revision = document.revision if document else 0
            draft = self._drafts[key] = _Draft(stored.version, content, revision)
        return draft

    def _writable(self, key: Key) -> tuple[_Draft, dict[str, Json]]:
        draft = self._draft(key)
        if draft.content is None:
            raise NotFound(f"there is no {self._backend.name(key)}")
        return draft, draft.content

    def _writable_records(self, key: Key) -> tuple[_Draft, str, list[Json]]:
        """The draft, the name of its list, and a list that is the transaction's own."""
        draft, content = self._writable(key)
        name = self._layouts[key.collection].records
        if not draft.own_list:
            content[name] = list(content.get(name) or [])
            draft.own_list = True
        records: list[Json] = content.setdefault(name, [])
        return draft, name, records

    def _index(self, key: Key, record_id: int) -> int:
        found = [index for index, item in enumerate(self.records(key)) if id_of(item) == record_id]
        if not found:
            raise NotFound(f"there is no {record_id} in {self._backend.name(key)}")
        if len(found) > 1:
            raise Corrupt(
                self._backend.name(key),
                f"{len(found)} records have the id {record_id}: give each its own",
            )
        return found[0]


def id_of(item: Json) -> int | None:
    """The id of a record; None where it has none that counts (old folders have such records)."""
    record_id = item.get("id") if isinstance(item, dict) else None
    return record_id if type(record_id) is int and record_id > 0 else None


class DocumentStore:
    """Documents over a backend. Safe to share between threads, and to inherit over a fork."""

    def __init__(
        self,
        backend: Backend,
        layouts: Mapping[str, CollectionLayout],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.backend, self._layouts, self._clock = backend, layouts, clock

    def __repr__(self) -> str:
        return f"<DocumentStore on {self.backend!r}>"

    def read(self, key: Key) -> Document | None:
        """The document as the last commit left it. Raises `Corrupt`, `Unavailable`."""
        return self.backend.read(key).document

    def keys(self, collection: str) -> Iterator[Key]:
        """The keys of a collection's documents, by owner."""
        return self.backend.keys(collection)

    def change(
        self,
        edit: Callable[[Transaction], Result],
        *,
        actor: str = "",
        request_id: str = "",
        relaxed: bool = False,
    ) -> Result:
        """Runs the edit and commits what it changed, all or nothing; returns what it returns.

        The edit may run several times and must do nothing but read and change the transaction.
        What it raises ends the transaction with nothing written. `relaxed` is for changes that a
        power cut may take back, such as the count of a read. Raises `Conflict` when other
        writers win every time, and `Corrupt`, `Unavailable`, `OutOfSpace`, `TooLarge`.
        """
        for _ in range(ATTEMPTS_MAX):
            with self.backend.exclusive():
                transaction = Transaction(self.backend, self._layouts, self._clock())
                result = edit(transaction)
                changes = transaction.changes()
                if not changes:
                    return result
                commit = Commit(changes, transaction.now, actor, request_id, relaxed)
                try:
                    self.backend.commit(commit)
                except Conflict:
                    continue
                return result
        raise Conflict("other writers kept changing the same document")

    def close(self) -> None:
        """Lets go of what is held."""
        self.backend.close()
