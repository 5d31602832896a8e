"""Merge a file that a person edited: apply the edit to the current document in one commit.

`merge_file` applies the engine's own rules, which know no fields. An application implements
`Editor` to validate the values, and calls `merge_edit` and `note_aside` as `merge_file` does.
"""

from __future__ import annotations

from typing import Protocol

from docstore.backend import ABSENT, FileMerged, Given
from docstore.document import LAST_ID, REVISION, Json, Key, Record
from docstore.file_edits import (
    ID_JUMP_MAX,
    Differences,
    FileEdit,
    State,
    differences,
    edits_between,
)
from docstore.record_list import RecordList, id_of
from docstore.store import DocumentStore, Transaction

# The actor of a commit that merges a file.
FILE_ACTOR = "file"


class Editor(Protocol):
    """Applies parts of an edit to one document. Each method returns remarks on what it refused."""

    def set_fields(self, fields: dict[str, Json]) -> list[str]:
        """Set fields of the document; `ABSENT` removes one."""

    def change(self, record_id: int, fields: dict[str, Json]) -> list[str]:
        """Change fields of a record; `ABSENT` removes one."""

    def remove(self, record_id: int) -> list[str]:
        """Remove a record."""

    def add(self, item: Json, wanted: int | None) -> tuple[int | None, list[str]]:
        """Add a record under the wanted id, by default the next one. Return its id, or None."""


class MergeResult:
    """The outcome of an edit. `remarks` are sentences about what was not applied."""

    def __init__(self, done: Differences) -> None:
        self.done = done
        self.remarks = list(done.remarks)
        self.given: list[Given] = []


def merge_edit(
    transaction: Transaction,
    edit: FileEdit,
    records_name: str,
    editor: Editor,
    *,
    keep_items: bool = False,
) -> MergeResult:
    """Apply the changes that a person made to a file, and record that the file is merged.

    With `keep_items`, entries of the list may be without an id, as activities are.
    """
    if edit.theirs is None:
        transaction.drop(edit.key)
        transaction.note_merged(edit.key, FileMerged(None, "", 0))
        return MergeResult(Differences())
    if transaction.document(edit.key) is None:  # it was deleted: the file creates a new one
        content = {name: v for name, v in edit.theirs.content.items() if name != REVISION}
        transaction.create(edit.key, content)
        transaction.note_merged(edit.key, FileMerged(edit.token, edit.digest, 0))
        return MergeResult(Differences(remarks=list(edit.remarks)))
    result = apply_edit(transaction, edit, records_name, editor, keep_items=keep_items)
    edits = edits_between(edit.base, edit.theirs, records_name) if edit.base is not None else ()
    given = (*result.done.given, *result.given)
    merged = FileMerged(
        edit.token, edit.digest, edit.revision, tuple(edits), given, edit.earlier.buffer
    )
    transaction.note_merged(edit.key, merged)
    return result


def apply_edit(
    transaction: Transaction,
    edit: FileEdit,
    records_name: str,
    editor: Editor,
    *,
    keep_items: bool = False,
) -> MergeResult:
    """Apply the differences between the edit's base and the person's version."""
    last_id = transaction.new_id(edit.key) - 1
    ours = State.of(transaction.document(edit.key) or {}, records_name)
    result = MergeResult(differences(edit, ours, last_id, keep_items=keep_items))
    _apply(transaction, edit.key, result, records_name, editor)
    _reserve_ids(transaction, edit, last_id)
    return result


def _apply(
    transaction: Transaction, key: Key, result: MergeResult, records_name: str, editor: Editor
) -> None:
    done = result.done
    if done.fields:
        result.remarks += editor.set_fields(done.fields)
    for record_id, fields in done.changed.items():
        result.remarks += editor.change(record_id, fields)
    for record_id in done.removed:
        result.remarks += editor.remove(record_id)
    if done.items_added or done.items_removed:
        items = list(RecordList.of((transaction.document(key) or {}).get(records_name)))
        for item in done.items_removed:
            items.remove(item)
        transaction.set(key, {records_name: [*items, *done.items_added]})
        result.given += [Given(item, 0) for item in done.items_added]
    for addition in done.added:
        added, remarks = editor.add(addition.item, addition.wanted)
        result.remarks += remarks
        if added is not None and added != id_of(addition.item):
            result.given.append(Given(addition.item, added, id_of(addition.item) or 0))


def _reserve_ids(transaction: Transaction, edit: FileEdit, last_id: int) -> None:
    """Reserve ids up to a `last_id` that the person raised by at most `ID_JUMP_MAX`."""
    counted = edit.theirs.fields.get(LAST_ID) if edit.theirs else None
    if type(counted) is int and last_id < counted <= last_id + ID_JUMP_MAX:
        transaction.reserve_ids(edit.key, counted)


def note_aside(store: DocumentStore, edit: FileEdit, result: MergeResult) -> None:
    """Set the file aside if not all of it was applied.

    Call this before the commit: from then on, the store may replace the file at any time, and the
    changes that were not applied would be lost.
    """
    if result.remarks:
        store.set_aside(edit.key, result.remarks)


# The engine's own rules


class PlainEditor:
    """An `Editor` that applies all changes without validation."""

    def __init__(self, transaction: Transaction, key: Key) -> None:
        self._transaction, self._key = transaction, key

    def set_fields(self, fields: dict[str, Json]) -> list[str]:
        removed = [name for name, value in fields.items() if value is ABSENT]
        values = {name: value for name, value in fields.items() if value is not ABSENT}
        self._transaction.set(self._key, values)
        self._transaction.unset(self._key, removed)
        return []

    def change(self, record_id: int, fields: dict[str, Json]) -> list[str]:
        record = with_fields(self._transaction.record(self._key, record_id), fields)
        self._transaction.put(self._key, record)
        return []

    def remove(self, record_id: int) -> list[str]:
        self._transaction.remove(self._key, record_id)
        return []

    def add(self, item: Json, wanted: int | None) -> tuple[int | None, list[str]]:
        if not isinstance(item, dict):
            self._transaction.append(self._key, item)
            return None, []
        record_id = wanted or self._transaction.new_id(self._key)
        self._transaction.put(self._key, {**item, "id": record_id})
        return record_id, []


def with_fields(record: Record, fields: dict[str, Json]) -> Record:
    """Return the record with other values of these fields; `ABSENT` removes one."""
    remaining = {name: value for name, value in record.items() if fields.get(name) is not ABSENT}
    return remaining | {name: value for name, value in fields.items() if value is not ABSENT}


def merge_file(store: DocumentStore, edit: FileEdit) -> None:
    """Merge a file in one commit, without validation of its values."""

    def change(transaction: Transaction) -> None:
        editor = PlainEditor(transaction, edit.key)
        result = merge_edit(transaction, edit, store.layout(edit.key).records, editor)
        note_aside(store, edit, result)

    store.change(change, actor=FILE_ACTOR)
