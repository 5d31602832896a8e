"""Read documents despite values that cannot be parsed: too deep, or integers of too many digits.

Only a person's editor or program writes such values. They do not make the document unreadable: the
value counts as null, the rest is read, and the file is set aside with a note before anything
replaces it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from docstore.codec import DEPTH_MAX, DIGITS_MAX, decode
from docstore.document import CollectionLayout, Document
from docstore.errors import Corrupt
from docstore.file_edits import State
from docstore.json_positions import line_and_column
from docstore.record_list import RecordList, id_of

_TOKEN: Final = re.compile(
    r'"(?:[^"\\]|\\.)*+"?|[\[\]{},]|(?<![\w.+-])-?\d{' + str(DIGITS_MAX + 1) + r",}(?![\d.eE])",
    re.DOTALL,
)
_LIST, _RECORD = 2, 3  # depth within the list of records, and within one of them


class Lost(NamedTuple):
    """A value of a record that was read as null."""

    position: int  # in the list, from 0
    field: str
    reason: str
    line: int
    column: int

    def remark(self, document: Document, records: str) -> str:
        """Return a sentence about it for a person."""
        record_id = id_of(document.content[records][self.position])
        record = f"record {record_id}" if record_id is not None else f"entry {self.position + 1}"
        place = f"line {self.line}, column {self.column}"
        return f'"{self.field}" of {record} cannot be read: it {self.reason} ({place})'


class Salvaged(NamedTuple):
    """The readable part of a document, and the values that could not be read."""

    document: Document
    lost: tuple[Lost, ...]


def without_lost(
    document: Document, lost: tuple[Lost, ...], base: State | None, records: str
) -> Document:
    """Return the document without the changes to records that have lost values.

    These records are as in the base. The result has no new record with a lost value.
    """
    items = list(document.content[records])
    for index in sorted({value.position for value in lost}, reverse=True):
        record_id = id_of(items[index])
        if base is not None and record_id in base.records:
            items[index] = base.records[record_id]
        else:
            del items[index]
    return Document({**document.content, records: RecordList(items)})


class _Value(NamedTuple):
    begin: int
    end: int
    lost: Lost


def salvage(data: bytes, name: str, layout: CollectionLayout) -> Salvaged | None:
    """Return the document with null for the faulty values of its records.

    Return None if it has none, or has other faults.
    """
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None
    values = _faulty(text, layout.records)
    if not values:
        return None
    parts, end = [], 0
    for value in values:
        parts += [text[end : value.begin], "null"]
        end = value.end
    try:
        document = decode("".join((*parts, text[end:])).encode(), name, layout)
    except Corrupt:
        return None  # it has other faults
    return Salvaged(document, tuple(value.lost for value in values))


class _Scan:
    """A tokenizer's state, which collects the faulty values of a document's records."""

    def __init__(self, text: str, records: str) -> None:
        self.values: list[_Value] = []
        self.is_elsewhere = False  # a fault is outside of the records
        self._text, self._records = text, f'"{records}"'
        self._depth, self._index = 0, 0
        self._keys = ["", "", "", ""]  # the last text at each depth
        self._begin = 0  # of the field's value
        self._fault: tuple[str, int] | None = None

    def take(self, token: str, offset: int) -> None:
        if token in "[{":
            self._open(offset)
        elif token in "]}":
            self._close(offset + 1)
        elif token == ",":
            self._index += self._depth == _LIST
        elif token[0] == '"':
            if self._depth <= _RECORD:
                self._keys[self._depth] = token
        else:
            self._note(f"has an integer of more than {DIGITS_MAX:,} digits", offset)
            if self._depth == _RECORD:
                self._end_value(offset, offset + len(token))

    def _open(self, offset: int) -> None:
        self._depth += 1
        if self._depth == _LIST:
            self._index = 0
        elif self._depth == _RECORD + 1:
            self._begin = offset
        elif self._depth > DEPTH_MAX:
            self._note(f"is nested deeper than {DEPTH_MAX} levels", offset)

    def _close(self, end: int) -> None:
        if self._depth == _RECORD + 1:
            self._end_value(self._begin, end)
        self._depth -= 1

    def _note(self, reason: str, offset: int) -> None:
        if self._depth < _RECORD or self._keys[1] != self._records:
            self.is_elsewhere = True
        self._fault = self._fault or (reason, offset)

    def _end_value(self, begin: int, end: int) -> None:
        if self._fault is not None:
            reason, offset = self._fault
            place = line_and_column(self._text, offset)
            lost = Lost(self._index, self._keys[_RECORD].strip('"'), reason, *place)
            self.values.append(_Value(begin, end, lost))
            self._fault = None


def _faulty(text: str, records: str) -> list[_Value]:
    scan = _Scan(text, records)
    for token in _TOKEN.finditer(text):
        scan.take(token[0], token.start())
    return [] if scan.is_elsewhere else scan.values
