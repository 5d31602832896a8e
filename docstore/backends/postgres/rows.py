"""A document as rows, and a change of it as operations on rows.

The rows of a change come from its edits, so that they do not grow with the document. If the edits
replace the list of records as a whole, all rows are written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from docstore.backend import ABSENT, Change, Edit
from docstore.codec import to_json
from docstore.document import CollectionLayout, Document, Json
from docstore.record_list import RecordList, id_of


class Rows(NamedTuple):
    """The operations on a document's rows. `head` is None if the document is deleted.

    `size` is the size of all records with `rewrites`, otherwise what it grows by. `removed` are
    ids, `changed` and `appended` are pairs of an id (None: without one) and the record as JSON.
    `cut` records are removed from the beginning.
    """

    head: str | None
    rewrites: bool
    size: int
    cut: int = 0
    removed: tuple[int, ...] = ()
    changed: tuple[tuple[int | None, str], ...] = ()
    appended: tuple[tuple[int | None, str], ...] = ()


def rows_of(change: Change, layout: CollectionLayout) -> Rows:
    """Return the operations that lead the stored rows to the state after the change."""
    document = change.after
    if document is None:
        return Rows(None, rewrites=True, size=0)
    head, records = split(document, layout)
    if change.expect is not ABSENT:
        operations = _Operations(layout.records)
        if operations.take(change.edits) and operations.fits(len(records)):
            return operations.rows(head)
    appended = tuple(row_of(item) for item in records)
    return Rows(head, rewrites=True, size=_size(appended), appended=appended)


def split(document: Document, layout: CollectionLayout) -> tuple[str, RecordList]:
    """Return the head as JSON, with `[]` in place of the records, and the records."""
    fields = dict(document.content)
    records = fields.get(layout.records)
    if isinstance(records, list | RecordList):
        fields[layout.records] = []
        return to_json(fields).decode(), RecordList.of(records)
    return to_json(fields).decode(), RecordList()


def join(fields: dict[str, Json], records: RecordList, layout: CollectionLayout) -> Document:
    """Return the document with this head and these records. The opposite of `split`."""
    if isinstance(fields.get(layout.records), list):
        fields[layout.records] = records
    return Document(fields)


class _Operations:
    """The edits of one change, reduced to one operation for each row."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed: dict[int, str] = {}
        self._removed: set[int] = set()
        self._appended: list[tuple[int | None, str] | None] = []
        self._appended_at: dict[int, int] = {}
        self._cut = self._size = 0

    def take(self, edits: Iterable[Edit]) -> bool:
        """Take the edits; return False if one replaces the whole list."""
        for edit in edits:
            if not edit.path or edit.path == (self._name,):
                return False
            if edit.path[0] == self._name:
                self._take(edit)
        return True

    def _take(self, edit: Edit) -> None:
        if edit.before is ABSENT:
            record_id, body = row_of(edit.after)
            if record_id is not None:
                self._appended_at[record_id] = len(self._appended)
            self._appended.append((record_id, body))
            self._size += len(body.encode())
        elif edit.after is ABSENT:
            number = int(edit.path[1])
            if number < 0:
                self._cut -= number
                self._size -= sum(len(to_json(item)) for item in edit.before)
            else:
                self._remove(number)
                self._size -= len(to_json(edit.before))
        else:
            record_id, body = row_of(edit.after)
            assert record_id is not None, "a record is replaced by its id"
            self._size += len(body.encode()) - len(to_json(edit.before))
            if record_id in self._appended_at:
                self._appended[self._appended_at[record_id]] = (record_id, body)
            else:
                self._changed[record_id] = body

    def _remove(self, record_id: int) -> None:
        if record_id in self._appended_at:
            self._appended[self._appended_at.pop(record_id)] = None
        else:
            self._changed.pop(record_id, None)
            self._removed.add(record_id)

    def fits(self, length: int) -> bool:
        """Return whether only stored records were cut, given the length of the list afterwards."""
        appended = sum(row is not None for row in self._appended)
        return length >= appended

    def rows(self, head: str) -> Rows:
        return Rows(
            head,
            rewrites=False,
            size=self._size,
            cut=self._cut,
            removed=tuple(sorted(self._removed)),
            changed=tuple(sorted(self._changed.items())),
            appended=tuple(row for row in self._appended if row is not None),
        )


def row_of(item: Any) -> tuple[int | None, str]:
    """Return the id of a record (None: without a valid one) and the record as JSON."""
    return id_of(item), to_json(item).decode()


def _size(rows: Iterable[tuple[int | None, str]]) -> int:
    return sum(len(body.encode()) for _, body in rows)
