"""The store: the one function that changes documents, for every caller.

`change` runs an edit in a transaction. The edit reads documents and records its changes; nothing is
written until it returns. Then all its changes become one commit, at the versions that it read
(optimistic concurrency control). If another writer was first, the edit runs again on the new state.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from docstore.backend import (
    ABSENT,
    Aside,
    Backend,
    Change,
    Commit,
    Edit,
    Entries,
    Entry,
    FileMerged,
    Stored,
)
from docstore.codec import checked_copy, checked_record, to_json
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
from docstore.errors import (
    Conflict,
    Corrupt,
    InvalidValue,
    NotFound,
    RecordTooLarge,
    TooMuchAtOnce,
)
from docstore.file_edits import FileEdit
from docstore.observer import IGNORING, Observer
from docstore.record_list import COUNTED_ID_MAX, RecordList, id_of
from docstore.timestamps import format_utc, utc_now

Result = TypeVar("Result")

ATTEMPTS_MAX: Final = 20
_NO_RECORDS: Final = RecordList()


class Bounds(NamedTuple):
    """The limits of one change, during which other writers may wait for the lock.

    `bytes_max` bounds what it writes (records put, appended and removed, fields set, documents
    created), as compact JSON; the entry in the journal is about twice as large. `cut` and `drop`
    are not bounded: otherwise a list that is too long could not become shorter. `seconds_max`
    bounds the processor time of the edit: unlike the wall clock, it does not depend on the load of
    the machine.
    """

    bytes_max: float = math.inf
    seconds_max: float = math.inf


UNBOUNDED: Final = Bounds()
# How many bytes a record above the size limit, from an old folder or a manual edit, may still grow:
# its timestamps are upgraded when it changes.
_STAMPS_BYTES: Final = 1024


class _Draft:
    """A document as changed in the transaction so far, with the edits."""

    __slots__ = ("content", "edits", "expect", "merged", "revision")

    def __init__(self, stored: Stored) -> None:
        self.expect = stored.version
        document = stored.document
        self.content = dict(document.content) if document else None
        self.revision = document.revision if document else 0
        self.edits: list[Edit] = []
        self.merged: FileMerged | None = None


class Transaction:
    """The operations of an edit. The documents and records that it returns must not be changed."""

    def __init__(
        self,
        backend: Backend,
        layouts: Mapping[str, CollectionLayout],
        now: datetime,
        bounds: Bounds = UNBOUNDED,
    ) -> None:
        self._backend, self._layouts, self._bounds = backend, layouts, bounds
        self._drafts: dict[Key, _Draft] = {}
        self._begun, self._begun_on_clock = time.thread_time(), time.perf_counter()
        self.now = now
        self.bytes_put = 0  # of the records put and removed, as compact JSON
        self._bytes_spent = 0  # of everything written: what `bounds` limits

    def document(self, key: Key) -> Mapping[str, Json] | None:
        """Return the document as of now in this transaction; None if it does not exist."""
        return self._draft(key).content

    def records(self, key: Key) -> RecordList:
        """Return the document's records as of now; empty if the document does not exist.

        Later changes in the transaction do not affect the result. Raises `TooMuchAtOnce`.
        """
        self.check_time()
        content = self._draft(key).content
        if content is None:
            return _NO_RECORDS
        return RecordList.of(content.get(self._layouts[key.collection].records))

    def fault(self, key: Key) -> Corrupt | None:
        """Return why a commit could not change the document; None if it could.

        While there is a fault, the transaction reads the last good state.
        """
        try:
            self._draft(key)
        except Corrupt as fault:
            return fault
        return self._backend.fault(key)

    def record(self, key: Key, record_id: int) -> Record:
        """Return the record with this id.

        Raises `NotFound`, and `Corrupt` if two records have it.
        """
        record = self._find(key, self.records(key), record_id)
        if record is None:
            raise NotFound(f"there is no {record_id} in {self._backend.name(key)}")
        return record

    def new_id(self, key: Key) -> int:
        """Return an id that no record of this document has or ever had."""
        return self._last_id(key, self._draft(key).content or {}, self.records(key)) + 1

    def _last_id(self, key: Key, content: Mapping[str, Json], records: RecordList) -> int:
        counted, last = content.get(LAST_ID), records.highest_id
        if type(counted) is int and last < counted <= COUNTED_ID_MAX:  # not a manual one
            last = counted
        return last

    def create(self, key: Key, content: Mapping[str, Json]) -> None:
        """Create a document with these fields. Raises `Conflict` if it exists."""
        draft = self._draft(key)
        if draft.content is not None:
            raise Conflict(f"{self._backend.name(key)} exists already")
        accepted = {name: self._accepted(key, name, value) for name, value in content.items()}
        self._spend(len(to_json(accepted)))
        draft.edits.append(Edit((), ABSENT, accepted))
        draft.content = dict(accepted)  # a copy: the edit retains the initial content

    def set(self, key: Key, fields: Mapping[str, Json]) -> None:
        """Set fields of the document; those that have their value already remain unchanged."""
        draft, content = self._writable(key)
        for name, value in fields.items():
            before = content.get(name, ABSENT)
            if before != value or (
                type(before) is not type(value) and not isinstance(before, RecordList)
            ):
                after = self._accepted(key, name, value)
                self._spend(len(to_json(after)))
                draft.edits.append(Edit((name,), before, after))
                content[name] = after

    def unset(self, key: Key, names: Iterable[str]) -> None:
        """Remove fields of the document."""
        draft, content = self._writable(key)
        for name in names:
            if name in content:
                draft.edits.append(Edit((name,), content.pop(name), ABSENT))

    def put(self, key: Key, record: Record) -> None:
        """Add a record, or replace the record with its id. Raises `NotFound` without a document.

        Raises `InvalidValue`, `RecordTooLarge`, `TooMuchAtOnce`.
        """
        draft, content = self._writable(key)
        record_id = id_of(record)
        if record_id is None:
            raise InvalidValue("a record needs an id: a whole number above 0")
        layout = self._layouts[key.collection]
        name = layout.records
        records = RecordList.of(content.get(name))
        before = self._find(key, records, record_id)
        record = checked_copy(record) if before is None else checked_record(record, before)
        self._measure(layout, record, before)
        if before is not None:
            content[name] = records.replace(record)
            draft.edits.append(Edit((name, record_id), before, record))
            return
        content[name] = records = records.append(record)
        draft.edits.append(Edit((name, record_id), ABSENT, record))
        self._count_ids(draft, content, self._last_id(key, content, records))

    def remove(self, key: Key, record_id: int) -> Record:
        """Remove a record and return it. Its id is not assigned again. Raises `NotFound`."""
        record, records = self.record(key, record_id), self.records(key)
        draft, content = self._writable(key)
        last, name = self._last_id(key, content, records), self._layouts[key.collection].records
        self._spend_record(len(to_json(record)))
        content[name] = records.remove(record_id)
        draft.edits.append(Edit((name, record_id), record, ABSENT))
        self._count_ids(draft, content, last)
        return record

    def append(self, key: Key, item: Json) -> None:
        """Add an item without an id to the end of the document's list.

        Raises `RecordTooLarge`, `TooMuchAtOnce`.
        """
        draft, content = self._writable(key)
        layout = self._layouts[key.collection]
        name = layout.records
        records, item = RecordList.of(content.get(name)), checked_copy(item)
        size = len(to_json(item))
        if layout.record_bytes_max and size > layout.record_bytes_max:
            raise RecordTooLarge(size, layout.record_bytes_max)
        self._spend(size)
        content[name] = records.append(item)
        draft.edits.append(Edit((name, len(records)), ABSENT, item))

    def cut(self, key: Key, count: int) -> list[Json]:
        """Remove the first `count` items of the document's list and return them.

        For a list that grows at its end: without ids, any other way to shorten it would put the
        complete list into the journal.
        """
        draft, content = self._writable(key)
        name = self._layouts[key.collection].records
        records = RecordList.of(content.get(name))
        items = records[:count]
        if items:
            content[name] = records.without_first(len(items))
            draft.edits.append(Edit((name, -len(items)), items, ABSENT))
        return items

    def drop(self, key: Key) -> None:
        """Delete the document."""
        draft = self._draft(key)
        if draft.content is not None:
            draft.edits.append(Edit((), draft.content, ABSENT))
            draft.content = None

    def check_time(self) -> None:
        """Raise `TooMuchAtOnce` if the edit took longer than it may.

        Reading and writing records calls it. An edit that computes for long calls it in between.
        """
        most = self._bounds.seconds_max
        # A thread works no longer than the clock runs, and the clock costs a quarter to read.
        if time.perf_counter() - self._begun_on_clock <= most:
            return
        if time.thread_time() - self._begun > most:
            raise TooMuchAtOnce(
                "this takes longer than others may have to wait: change fewer or smaller records"
                " at a time"
            )

    def lift_bounds(self) -> None:
        """Bound nothing from here on: the rest is upkeep, which the caller did not ask for."""
        self._bounds = UNBOUNDED

    def _measure(self, layout: CollectionLayout, record: Record, before: Record | None) -> None:
        size, most = len(to_json(record)), layout.record_bytes_max
        if most and size > most and (before is None or size > len(to_json(before)) + _STAMPS_BYTES):
            raise RecordTooLarge(size, most)
        self._spend_record(size)

    def _spend_record(self, size: int) -> None:
        self.bytes_put += size
        self._spend(size)

    def _spend(self, size: int) -> None:
        self._bytes_spent += size
        if self._bytes_spent > self._bounds.bytes_max:
            raise TooMuchAtOnce(
                f"this would change more than {self._bounds.bytes_max} bytes of records at once:"
                " change fewer or smaller records at a time"
            )
        self.check_time()

    def note_merged(self, key: Key, merged: FileMerged) -> None:
        """Record that this transaction merges a manually edited file.

        The document gets a new revision and its file is written, even if nothing else changes.
        """
        self._draft(key).merged = merged

    def reserve_ids(self, key: Key, last_id: int) -> None:
        """Count all ids up to this one as assigned."""
        draft, content = self._writable(key)
        self._count_ids(
            draft, content, max(last_id, self._last_id(key, content, self.records(key)))
        )

    def adopt(self, other: Transaction, keys: Iterable[Key]) -> bool:
        """Take over what another transaction did to these documents; return whether that was
        possible.

        It is not if one of them changed since the other one read it. So a long computation is done
        without the lock, in a transaction of `DocumentStore.trial`, and adopted under it.
        """
        drafts = {key: other._draft(key) for key in keys}
        for key, draft in drafts.items():
            if key in self._drafts or self._backend.read(key).version != draft.expect:
                return False
        self._drafts |= drafts
        self.bytes_put += other.bytes_put
        self._spend(other._bytes_spent)
        return True

    @property
    def changed(self) -> list[Key]:
        """Return the keys of the documents that differ so far."""
        return [key for key, draft in self._drafts.items() if draft.edits]

    def edits(self) -> Iterator[tuple[Key, Edit]]:
        """Yield the edits so far, document by document, for a check before the commit."""
        for key, draft in self._drafts.items():
            for edit in draft.edits:
                yield key, edit

    def changes(self) -> tuple[Change, ...]:
        """Return the changes for the commit. Each changed document gets its revision and time."""
        return tuple(
            Change(key, draft.expect, self._finished(draft), tuple(draft.edits), draft.merged)
            for key, draft in self._drafts.items()
            if draft.edits or draft.merged
        )

    def _finished(self, draft: _Draft) -> Document | None:
        if draft.content is None:
            return None
        draft.content[UPDATED_AT] = format_utc(self.now)
        draft.content[REVISION] = draft.revision + 1
        return Document(draft.content)

    def _draft(self, key: Key) -> _Draft:
        draft = self._drafts.get(key)
        if draft is None:
            draft = self._drafts[key] = _Draft(self._backend.read(key))
        return draft

    def _writable(self, key: Key) -> tuple[_Draft, dict[str, Json]]:
        draft = self._draft(key)
        if draft.content is None:
            raise NotFound(f"there is no {self._backend.name(key)}")
        return draft, draft.content

    def _accepted(self, key: Key, name: str, value: Json) -> Json:
        """Return a checked copy of a field's value, in the form that the document holds."""
        copy = checked_copy({name: value})[name]
        if copy is None or name != self._layouts[key.collection].records:
            return copy
        if not isinstance(copy, list):
            raise InvalidValue(f'"{name}" must be a list')
        return RecordList(copy)

    def _count_ids(self, draft: _Draft, content: dict[str, Json], last: int) -> None:
        before = content.get(LAST_ID, ABSENT)
        if before != last or type(before) is not int:
            draft.edits.append(Edit((LAST_ID,), before, last))
            content[LAST_ID] = last

    def _find(self, key: Key, records: RecordList, record_id: int) -> Record | None:
        matches = records.find(record_id)
        if len(matches) > 1:
            raise Corrupt(
                self._backend.name(key),
                f"{len(matches)} records have the id {record_id}: give each its own",
            )
        return matches[0] if matches else None


class DocumentStore:
    """Documents on a backend. Safe to share between threads and across a fork."""

    def __init__(
        self,
        backend: Backend,
        layouts: Mapping[str, CollectionLayout],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.backend, self._layouts, self.clock = backend, layouts, clock
        self._merge: Callable[[DocumentStore, FileEdit], object] | None = None
        self._observer: Observer = IGNORING

    def __repr__(self) -> str:
        return f"<DocumentStore on {self.backend!r}>"

    def observe(self, observer: Observer) -> None:
        """Report reads, commits, conflicts and syncs of this process to the observer."""
        self._observer = observer
        self.backend.observe(observer)

    def merge_files_with(self, merge: Callable[[DocumentStore, FileEdit], object]) -> None:
        """Have manually edited files merged by this function, in one commit each.

        Without it, such a file is accepted as it is. See `docstore.merging`.
        """
        self._merge = merge
        self.backend.merge_with(self._merge_file)

    def _merge_file(self, edit: FileEdit) -> None:
        if self._merge is not None:
            self._merge(self, edit)

    def read(self, key: Key) -> Document | None:
        """Return the document as of the last commit; None if it does not exist.

        Raises `Corrupt`, `Unavailable`.
        """
        return self.backend.read(key).document

    def records(self, key: Key) -> RecordList:
        """Return the document's records as of the last commit; empty if it does not exist.

        The cost does not depend on their number: `find` is a look-up, and `json` joins cached
        parts.
        """
        document = self.backend.read(key).document
        return document.list_of(self._layouts[key.collection].records) if document else _NO_RECORDS

    def keys(self, collection: str) -> Iterator[Key]:
        """Return the keys of a collection's documents, ordered by owner."""
        return self.backend.keys(collection)

    def change(
        self,
        edit: Callable[[Transaction], Result],
        *,
        actor: str = "",
        request_id: str = "",
        relaxed: bool = False,
        here: bool = False,
        bounds: Bounds = UNBOUNDED,
        note: Callable[[int], None] = lambda number: None,
    ) -> Result:
        """Run the edit and commit its changes, all or none; return the result of the edit.

        The edit may run several times and must only read and change the transaction. It may run on
        another thread, in the caller's `contextvars` context. With `here` it runs on the calling
        thread, for an edit that needs state of the thread. An error of the edit ends the
        transaction with nothing written. `relaxed` is for changes that a power cut may undo, such
        as counting a read. An edit that exceeds `bounds` ends with `TooMuchAtOnce`.

        If there is a commit, `note` is called with its number in `entries`, before the commit is
        durable. Raises `Conflict` if other writers were first at every attempt, and `Corrupt`,
        `Unavailable`, `OutOfSpace`, `TooLarge`.
        """

        def attempt() -> Result:
            for _ in range(ATTEMPTS_MAX):
                transaction = Transaction(self.backend, self._layouts, self.clock(), bounds)
                result = edit(transaction)
                changes = transaction.changes()
                if not changes:
                    return result
                try:
                    commit = Commit(changes, transaction.now, actor, request_id, relaxed)
                    number = self.backend.commit(commit)
                except Conflict:
                    self._observer.on_conflict()
                    continue
                self._observer.on_commit(len(changes))
                note(number)  # not in the `try`: its own `Conflict` would repeat the commit
                return result
            raise Conflict("other writers kept changing the same document")

        return self.backend.together(attempt, here=here)

    def trial(self) -> Transaction:
        """Return a transaction that is never committed: to try an edit, or to adopt documents."""
        return Transaction(self.backend, self._layouts, self.clock())

    def sequence(self) -> int:
        """Return the number up to which `entries` returns what happened. Cheap to read.

        To mirror the store, take the sequence, read the documents, then ask for the entries after
        it.
        """
        return self.backend.sequence()

    def entry(self, number: int) -> Entry | None:
        """Return the commit with this number; None if the number belongs to no commit.

        Raises `HistoryGone` if it is no longer stored, `Corrupt`, `Unavailable`.
        """
        return self.backend.entry(number)

    def entries(self, since: int, wanted: Callable[[Key], bool] = lambda key: True) -> Entries:
        """Return the commits after number `since`, with only the changes of `wanted` documents.

        All of them are durable, and in commit order. Continue from `through`: there may be more
        until it has reached `sequence`. Raises `HistoryGone` if some are no longer stored,
        `Corrupt`, `Unavailable`.
        """
        return self.backend.entries(since, wanted)

    def fault(self, key: Key) -> Corrupt | None:
        """Return why the document's file cannot be read or merged; None if it can.

        While there is a fault, `read` returns the last good state, and a change raises the fault.
        """
        return self.backend.fault(key)

    def set_aside(self, key: Key, remarks: Sequence[str]) -> str:
        """Preserve the document's file under another name, with a note; return the name."""
        return self.backend.set_aside(key, remarks)

    def aside(self, key: Key) -> list[Aside]:
        """Return the versions of the document's file that were set aside, oldest first."""
        return self.backend.aside(key)

    def discard_aside(self, key: Key, name: str) -> None:
        """Remove a version that was set aside. Raises `NotFound`."""
        self.backend.discard_aside(key, name)

    def layout(self, key: Key) -> CollectionLayout:
        """Return the layout of the document's collection."""
        return self._layouts[key.collection]

    def publish(self) -> None:
        """Bring all files up to date, which otherwise lag by a moment. Raises `Unavailable`."""
        self.backend.publish()

    def close(self) -> None:
        """Bring all files up to date and release locks and descriptors.

        The next use opens the same folder again. A store in memory is empty then.
        """
        self.backend.close()
