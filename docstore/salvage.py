"""Read documents despite fields of records that are no valid JSON, where the syntax is intact.

These are values nested too deeply, integers of too many digits, NaN, infinite and other numbers
beyond a double, halves of surrogate pairs, and repeated keys. Only a person's editor or program
writes them. They do not make the document unreadable: the field counts as null, the rest is read,
and the file is set aside with a note before anything replaces it. A fault outside of the fields of
records does make it unreadable: nothing that cannot be parsed is taken for empty.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from docstore.codec import DEPTH_MAX, DIGITS_MAX, LONE_SURROGATE, decode
from docstore.document import CollectionLayout, Document
from docstore.errors import Corrupt
from docstore.file_edits import State
from docstore.json_positions import line_and_column
from docstore.record_list import RecordList, id_of

# Texts, punctuation, and the numbers that may be faulty.
_TOKEN: Final = re.compile(
    r"""
    "(?:[^"\\]|\\.)*+"?
    | [\[\]{},:]
    | -?(?:NaN|Infinity)\b
    | (?<![\w.+-])-?\d+(?:\.\d*)?[eE][+-]?\d+
    | (?<![\w.+-])-?\d{300,}(?:\.\d*)?
    """,
    re.DOTALL | re.VERBOSE,
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

    These records are as in the base. The result has no new record with a lost value. If the id of
    one is lost, no record of the base counts as removed, since it may be that one.
    """
    items = list(document.content[records])
    has_lost_id = any(id_of(items[value.position]) is None for value in lost)
    for index in sorted({value.position for value in lost}, reverse=True):
        record_id = id_of(items[index])
        if base is not None and record_id in base.records:
            items[index] = base.records[record_id]
        else:
            del items[index]
    if base is not None and has_lost_id:
        present = {id_of(item) for item in items}
        items += [record for number, record in base.records.items() if number not in present]
    return Document({**document.content, records: RecordList(items)})


def salvage(data: bytes, name: str, layout: CollectionLayout) -> Salvaged | None:
    """Return the document with null for the faulty fields of its records.

    Return None if it has none, or has other faults.
    """
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None
    scan = _Scan(text, layout.records)
    for token in _TOKEN.finditer(text):
        scan.take(token[0], token.start())
    if not scan.lost or scan.is_elsewhere:
        return None
    parts, end = [], 0
    for piece in scan.pieces:
        parts += [text[end : piece.begin], piece.text]
        end = piece.end
    try:
        document = decode("".join((*parts, text[end:])).encode(), name, layout)
    except Corrupt:
        return None  # it has other faults
    return Salvaged(document, tuple(scan.lost))


class _Piece(NamedTuple):
    """A record in the text, and the text that replaces it."""

    begin: int
    end: int
    text: str


class _Fault(NamedTuple):
    reason: str
    offset: int


@dataclass
class _Field:
    """A field of a record: its key, where its value begins, and its first fault."""

    token: str
    key: str
    begin: int
    end: int = 0
    fault: _Fault | None = None


@dataclass
class _Open:
    """An object or a list that is not closed yet."""

    is_object: bool
    begin: int
    awaits_key: bool = False
    key: str = ""  # the last one
    keys: set[str] = field(default_factory=set)


class _Scan:
    """A tokenizer's state, which collects the faulty fields of a document's records."""

    def __init__(self, text: str, records: str) -> None:
        self.lost: list[Lost] = []
        self.pieces: list[_Piece] = []  # the records with faults
        self.is_elsewhere = False  # a fault is outside of the fields of records
        self._text, self._records = text, records
        self._stack: list[_Open] = []
        self._index = 0  # in the list of records
        self._fields: list[_Field] = []  # of the current record

    def take(self, token: str, offset: int) -> None:
        if token in "[{":
            self._open(token, offset)
        elif token in "]}":
            self._close(offset)
        elif token == ",":
            self._go_on(offset)
        elif token == ":":
            self._begin_value(offset + 1)
        elif token[0] == '"':
            self._take_text(token, offset)
        else:
            self._take_number(token, offset)

    @property
    def _is_in_record(self) -> bool:
        """Return whether the scan is directly in a record, or in one of its fields."""
        stack = self._stack
        return (
            len(stack) >= _RECORD
            and stack[0].key == self._records
            and stack[0].is_object
            and not stack[_LIST - 1].is_object
            and stack[_RECORD - 1].is_object
        )

    def _open(self, token: str, offset: int) -> None:
        self._stack.append(_Open(token == "{", offset, awaits_key=token == "{"))
        depth = len(self._stack)
        if depth == _LIST:
            self._index = 0
        elif depth == _RECORD:
            self._fields = []
        elif depth > DEPTH_MAX:
            self._note(f"is nested deeper than {DEPTH_MAX} levels", offset)

    def _close(self, offset: int) -> None:
        if not self._stack:
            self.is_elsewhere = True
            return
        if len(self._stack) == _RECORD and self._is_in_record:
            self._end_field(offset)
            self._end_record(offset + 1)
        self._stack.pop()

    def _go_on(self, offset: int) -> None:
        depth = len(self._stack)
        if not depth:
            return
        self._stack[-1].awaits_key = self._stack[-1].is_object
        if depth == _LIST:
            self._index += 1
        elif depth == _RECORD:
            self._end_field(offset)

    def _begin_value(self, begin: int) -> None:
        if self._stack:
            self._stack[-1].awaits_key = False
        if len(self._stack) == _RECORD and self._fields:
            self._fields[-1].begin = begin

    def _take_text(self, token: str, offset: int) -> None:
        text, is_half = _decoded(token)
        reason = "has half of a surrogate pair, which is not a character" if is_half else ""
        top = self._stack[-1] if self._stack else None
        if top is None or not top.awaits_key:
            if reason:
                self._note(reason, offset)
            return
        if text in top.keys and not reason:
            reason = (
                "stands twice in its record"
                if len(self._stack) == _RECORD
                else f"has the key {token[:50]} twice"
            )
        top.keys.add(text)
        top.key = text
        if len(self._stack) == _RECORD and self._is_in_record:
            self._fields.append(_Field(token, text, offset))
        if reason:
            self._note(reason, offset)

    def _take_number(self, token: str, offset: int) -> None:
        if token.lstrip("-").isdigit():
            if len(token.lstrip("-")) > DIGITS_MAX:
                self._note(f"has an integer of more than {DIGITS_MAX:,} digits", offset)
        elif not math.isfinite(float(token)):
            self._note(f"has {token[:40]}, which is not a number that JSON can carry", offset)

    def _note(self, reason: str, offset: int) -> None:
        if not self._is_in_record or not self._fields:
            self.is_elsewhere = True
        elif self._fields[-1].fault is None:
            self._fields[-1].fault = _Fault(reason, offset)

    def _end_field(self, end: int) -> None:
        if self._fields and not self._fields[-1].end:
            self._fields[-1].end = end

    def _end_record(self, end: int) -> None:
        """Replace the record if it has faults: by null for each, without keys that cannot be."""
        faulty = {each.key: each.fault for each in self._fields if each.fault}
        if not faulty:
            return
        parts: dict[str, str] = {}
        for each in self._fields:
            if each.key not in faulty:
                parts[each.key] = f"{each.token}:{self._text[each.begin : each.end]}"
            elif not _decoded(each.token)[1]:
                parts[each.key] = f"{each.token}: null"
        for key, (reason, offset) in faulty.items():
            name = key.encode("utf-8", "backslashreplace").decode()
            place = line_and_column(self._text, offset)
            self.lost.append(Lost(self._index, name, reason, *place))
        content = "{" + ",".join(parts.values()) + "}"
        self.pieces.append(_Piece(self._stack[-1].begin, end, content))


def _decoded(token: str) -> tuple[str, bool]:
    """Return the text of a JSON text, and whether it has half of a surrogate pair."""
    if "\\" not in token:
        return token.strip('"'), False
    try:
        text = str(json.loads(token, strict=False))
    except ValueError:  # the decoder refuses it
        return token.strip('"'), False
    if LONE_SURROGATE.search(token) is None:
        return text, False
    try:
        text.encode()
    except UnicodeEncodeError:
        return text, True
    return text, False
