"""The store: one function that changes documents, whichever door the change came through.

`change` runs an edit in a transaction. The edit reads documents and says what is to be different;
nothing is written until it returns. Then everything it said becomes one commit, at the versions
that it read. Where someone else wrote first, the edit runs again on what is there now.
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
from docstore.moments import utc_now, utc_text
from docstore.record_list import COUNTED_ID_MAX, RecordList, id_of

Result = TypeVar("Result")

ATTEMPTS_MAX: Final = 20
_NO_RECORDS: Final = RecordList()


class Bounds(NamedTuple):
    """The most that one change may cost while other writers wait for the lock.

    `bytes_max` bounds the records it puts and removes, as compact JSON; the entry in the journal is
    about twice as large. `seconds_max` bounds the processor time of the edit: unlike the time of a
    clock, that does not depend on what else the machine does.
    """

    bytes_max: float = math.inf
    seconds_max: float = math.inf


UNBOUNDED: Final = Bounds()
# How much a record that is too large already, from an old folder or by hand, may still grow: its
# stamps are upgraded when it changes.
_STAMPS_BYTES: Final = 1024


class _Draft:
    """A document as the transaction has it so far, and how it came to differ."""

    __slots__ = ("content", "edits", "expect", "merged", "revision")

    def __init__(self, stored: Stored) -> None:
        self.expect = stored.version
        document = stored.document
        self.content = dict(document.content) if document else None
        self.revision = document.revision if document else 0
        self.edits: list[Edit] = []
        self.merged: FileMerged | None = None


class Transaction:
    """What an edit may do. Documents and records it hands out are to be read, never changed."""

    def __init__(
        self,
        backend: Backend,
        layouts: Mapping[str, CollectionLayout],
        now: datetime,
        bounds: Bounds = UNBOUNDED,
    ) -> None:
        self._backend, self._layouts, self._bounds = backend, layouts, bounds
        self._drafts: dict[Key, _Draft] = {}
        self._begun = time.thread_time()
        self.now = now
        self.bytes_put = 0  # of the records put and removed so far, as compact JSON

    def document(self, key: Key) -> Mapping[str, Json] | None:
        """The document as this transaction has it so far; None where there is none."""
        return self._draft(key).content

    def records(self, key: Key) -> RecordList:
        """The document's records as they are now; empty where there is no document.

        What the transaction does later does not show in it. Raises `TooMuchAtOnce`.
        """
        self.check_time()
        content = self._draft(key).content
        if content is None:
            return _NO_RECORDS
        return RecordList.of(content.get(self._layouts[key.collection].records))

    def record(self, key: Key, record_id: int) -> Record:
        """The record with this id. Raises `NotFound`, and `Corrupt` where two records have it."""
        record = self._find(key, self.records(key), record_id)
        if record is None:
            raise NotFound(f"there is no {record_id} in {self._backend.name(key)}")
        return record

    def new_id(self, key: Key) -> int:
        """An id that no record of this document has or ever had."""
        return self._last_id(key, self._draft(key).content or {}, self.records(key)) + 1

    def _last_id(self, key: Key, content: Mapping[str, Json], records: RecordList) -> int:
        counted, last = content.get(LAST_ID), records.highest_id
        if type(counted) is int and last < counted <= COUNTED_ID_MAX:  # a greater one is by hand
            last = counted
        return last

    def create(self, key: Key, content: Mapping[str, Json]) -> None:
        """Begins a document with these fields. Raises `Conflict` where there is one."""
        draft = self._draft(key)
        if draft.content is not None:
            raise Conflict(f"{self._backend.name(key)} exists already")
        whole = {name: self._accepted(key, name, value) for name, value in content.items()}
        draft.edits.append(Edit((), ABSENT, whole))
        draft.content = dict(whole)  # the edit tells how the document began, not what became of it

    def set(self, key: Key, fields: Mapping[str, Json]) -> None:
        """Sets head fields; those that have their value already are left alone."""
        draft, content = self._writable(key)
        for name, value in fields.items():
            before = content.get(name, ABSENT)
            if before != value or (
                type(before) is not type(value) and not isinstance(before, RecordList)
            ):
                after = self._accepted(key, name, value)
                draft.edits.append(Edit((name,), before, after))
                content[name] = after

    def unset(self, key: Key, names: Iterable[str]) -> None:
        """Remove fields of the document."""
        draft, content = self._writable(key)
        for name in names:
            if name in content:
                draft.edits.append(Edit((name,), content.pop(name), ABSENT))

    def put(self, key: Key, record: Record) -> None:
        """Adds a record, or replaces the one with its id. The document must exist.

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
        """Takes a record out and returns it. Its id is not given again."""
        record, records = self.record(key, record_id), self.records(key)
        draft, content = self._writable(key)
        last, name = self._last_id(key, content, records), self._layouts[key.collection].records
        self._spend(len(to_json(record)))
        content[name] = records.remove(record_id)
        draft.edits.append(Edit((name, record_id), record, ABSENT))
        self._count_ids(draft, content, last)
        return record

    def append(self, key: Key, item: Json) -> None:
        """Adds an item without an id to the end of the document's list."""
        draft, content = self._writable(key)
        name = self._layouts[key.collection].records
        records, item = RecordList.of(content.get(name)), checked_copy(item)
        content[name] = records.append(item)
        draft.edits.append(Edit((name, len(records)), ABSENT, item))

    def cut(self, key: Key, count: int) -> list[Json]:
        """Removes the first `count` items of the document's list, whatever they are; returns them.

        For a list that grows at its end: of items without ids no other way leads to a shorter list
        that does not tell the journal all of it.
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
        """Deletes the document."""
        draft = self._draft(key)
        if draft.content is not None:
            draft.edits.append(Edit((), draft.content, ABSENT))
            draft.content = None

    def check_time(self) -> None:
        """Raises `TooMuchAtOnce` if the edit took longer than it may.

        Reading and writing records checks it; an edit that computes for long calls it in between.
        """
        if time.thread_time() - self._begun > self._bounds.seconds_max:
            raise TooMuchAtOnce(
                "this takes longer than others may have to wait: change fewer or smaller records"
                " at a time"
            )

    def _measure(self, layout: CollectionLayout, record: Record, before: Record | None) -> None:
        size, most = len(to_json(record)), layout.record_bytes_max
        if most and size > most and (before is None or size > len(to_json(before)) + _STAMPS_BYTES):
            raise RecordTooLarge(size, most)
        self._spend(size)

    def _spend(self, size: int) -> None:
        self.bytes_put += size
        if self.bytes_put > self._bounds.bytes_max:
            raise TooMuchAtOnce(
                f"this would change more than {self._bounds.bytes_max} bytes of records at once:"
                " change fewer or smaller records at a time"
            )
        self.check_time()

    def note_merged(self, key: Key, merged: FileMerged) -> None:
        """Record that this transaction merges a file that a person changed.

        The document gets a new revision and its file is written, even if nothing else changes.
        """
        self._draft(key).merged = merged

    def reserve_ids(self, key: Key, last_id: int) -> None:
        """Count all ids up to this one as given."""
        draft, content = self._writable(key)
        self._count_ids(
            draft, content, max(last_id, self._last_id(key, content, self.records(key)))
        )

    @property
    def changed(self) -> list[Key]:
        """The documents that differ so far."""
        return [key for key, draft in self._drafts.items() if draft.edits]

    def edits(self) -> Iterator[tuple[Key, Edit]]:
        """What differs so far, document by document, for who judges it before it is committed."""
        for key, draft in self._drafts.items():
            for edit in draft.edits:
                yield key, edit

    def changes(self) -> tuple[Change, ...]:
        """What the commit is made of. Each changed document gets its revision and time."""
        return tuple(
            Change(key, draft.expect, self._finished(draft), tuple(draft.edits), draft.merged)
            for key, draft in self._drafts.items()
            if draft.edits or draft.merged
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
            draft = self._drafts[key] = _Draft(self._backend.read(key))
        return draft

    def _writable(self, key: Key) -> tuple[_Draft, dict[str, Json]]:
        draft = self._draft(key)
        if draft.content is None:
            raise NotFound(f"there is no {self._backend.name(key)}")
        return draft, draft.content

    def _accepted(self, key: Key, name: str, value: Json) -> Json:
        """A copy of a field's value, as the document is to hold it."""
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
        found = records.find(record_id)
        if len(found) > 1:
            raise Corrupt(
                self._backend.name(key),
                f"{len(found)} records have the id {record_id}: give each its own",
            )
        return found[0] if found else None


class DocumentStore:
    """Documents over a backend. Safe to share between threads, and to inherit over a fork."""

    def __init__(
        self,
        backend: Backend,
        layouts: Mapping[str, CollectionLayout],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.backend, self._layouts, self.clock = backend, layouts, clock
        self._merge: Callable[[DocumentStore, FileEdit], object] | None = None

    def __repr__(self) -> str:
        return f"<DocumentStore on {self.backend!r}>"

    def merge_files_with(self, merge: Callable[[DocumentStore, FileEdit], object]) -> None:
        """Have files that a person changed merged by this function, in one commit each.

        Without it, such a file is taken as it is. See `docstore.merging`.
        """
        self._merge = merge
        self.backend.merge_with(self._merge_file)

    def _merge_file(self, edit: FileEdit) -> None:
        if self._merge is not None:
            self._merge(self, edit)

    def read(self, key: Key) -> Document | None:
        """The document as the last commit left it. Raises `Corrupt`, `Unavailable`."""
        return self.backend.read(key).document

    def records(self, key: Key) -> RecordList:
        """The document's records as `read` finds them; empty where there is no document.

        Costs the same however many they are: `find` is a look-up, and `json` joins what is there.
        """
        document = self.backend.read(key).document
        return document.list_of(self._layouts[key.collection].records) if document else _NO_RECORDS

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
        here: bool = False,
        bounds: Bounds = UNBOUNDED,
        note: Callable[[int], None] = lambda number: None,
    ) -> Result:
        """Runs the edit and commits what it changed, all or nothing; returns what it returns.

        The edit may run several times and must do nothing but read and change the transaction. It
        may run on another thread, in the caller's context; with `here` it runs on this one, for
        an edit that needs what belongs to the thread. What it raises ends the transaction with
        nothing written. `relaxed` is for changes that a power cut may take back, such as the count
        of a read. An edit that goes beyond `bounds` ends with `TooMuchAtOnce`. `note` is told the
        number that `entries` gives the commit, where there is one; the commit may not be durable
        yet. Raises `Conflict` when other writers win every time, and `Corrupt`, `Unavailable`,
        `OutOfSpace`, `TooLarge`.
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
                    note(self.backend.commit(commit))
                except Conflict:
                    continue
                return result
            raise Conflict("other writers kept changing the same document")

        return self.backend.together(attempt, here=here)

    def sequence(self) -> int:
        """The number up to which `entries` tells what happened. Costs next to nothing.

        Who keeps a copy asks for it first, then reads, and then asks for the entries after it.
        """
        return self.backend.sequence()

    def entry(self, number: int) -> Entry | None:
        """The commit with this number; None where that is the number of no commit.

        Raises `HistoryGone` where it is no longer kept, `Corrupt`, `Unavailable`.
        """
        found = self.backend.entries(number - 1, lambda key: True, 1).told[:1]
        return next((entry for entry in found if entry.sequence == number), None)

    def entries(self, since: int, wanted: Callable[[Key], bool] = lambda key: True) -> Entries:
        """The commits after number `since` in their order, as far as they change documents that are
        wanted; go on from `through`. What is told is durable.

        There may be more than is told at a time, until `through` has reached `sequence`. Raises
        `HistoryGone` where not all of them are kept, `Corrupt`, `Unavailable`.
        """
        return self.backend.entries(since, wanted)

    def fault(self, key: Key) -> Corrupt | None:
        """Return why the document's file cannot be read; None if it can.

        Meanwhile `read` returns the last good state, and a change raises this.
        """
        return self.backend.fault(key)

    def set_aside(self, key: Key, remarks: Sequence[str]) -> str:
        """Keep the document's file under another name, with a note; return the name."""
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
        """Makes the files exact that are otherwise a moment behind. Raises `Unavailable`."""
        self.backend.publish()

    def close(self) -> None:
        """Make the files exact and release locks and descriptors.

        The next use opens the same place again. A store in memory is empty then.
        """
        self.backend.close()
