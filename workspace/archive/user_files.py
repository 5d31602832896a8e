"""Read a user's own files with their metadata, even if they cannot be parsed.

    with own_file(json_storage.store, "tasks", 7) as file:
        print(file.name, file.size, file.revision)
        shown = file.excerpt()

The table of collections defines which files exist. The store names them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

from docstore import Corrupt, Document, DocumentStore, Key, NotFound
from workspace.documents import key_of
from workspace.schema.collections import COLLECTIONS, RECORD_COLLECTIONS

# Not `requests`: its idempotency records are of use to programs only, and expire after a day.
OWN_FILES: Final = ("users", "activities", *RECORD_COLLECTIONS, "shared")
SHOWN_BYTES: Final = 20_000


@dataclass(frozen=True)
class Excerpt:
    """A part of a file, or all of it. Bytes that are not UTF-8 appear as U+FFFD.

    `before`, `line` and `after` are consecutive. `line` is the faulty line of an unreadable file
    and empty otherwise. `first_line` counts from 1.
    """

    before: str
    line: str = ""
    after: str = ""
    first_line: int = 1
    is_whole: bool = True

    @property
    def size(self) -> int:
        """The size in bytes of UTF-8."""
        return len((self.before + self.line + self.after).encode())


@dataclass(frozen=True)
class OwnFile:
    """An open file. If it cannot be parsed, `fault` has the reason and `document` is None."""

    collection: str
    name: str
    size: int
    document: Document | None
    fault: Corrupt | None
    _file: BinaryIO

    @property
    def base_name(self) -> str:
        """The file name without its folder: `tasks_7.json`."""
        return self.name.rpartition("/")[2]

    @property
    def revision(self) -> int | None:
        return self.document.revision if self.document else None

    @property
    def records(self) -> int | None:
        """The number of records (activities in the user's own file), or None if unreadable."""
        if self.document is None:
            return None
        return len(self.document.list_of(COLLECTIONS[self.collection].layout.records))

    @property
    def updated_at(self) -> object:
        """The `updated_at` of the file, or None if it has none."""
        return self.document.content.get("updated_at") if self.document else None

    def content(self) -> bytes:
        """Return the complete file, unmodified."""
        self._file.seek(0)
        return self._file.read()

    def excerpt(self, most: int = SHOWN_BYTES) -> Excerpt:
        """Return whole lines: the first `most` bytes or so, or those around the fault."""
        if self.fault is not None and self.fault.line:
            return _around(self.content(), self.fault.line, self.fault.column, most)
        self._file.seek(0)
        data = self._file.read(most)
        if len(data) < self.size:
            data = data[: data.rfind(b"\n") + 1] or data
        return Excerpt(_text(data), is_whole=len(data) == self.size)


@contextmanager
def own_file(store: DocumentStore, collection: str, owner: int) -> Iterator[OwnFile]:
    """Open a consistent snapshot of the owner's file of a collection.

    Raises `NotFound` if there is none, `Unavailable`, and `Corrupt` if it cannot be read even as
    bytes.
    """
    key = key_of(collection, owner)
    with store.backend.copies([key]) as copies:
        if key not in copies:
            raise NotFound(f"there is no {store.backend.name(key)}")
        file, document = copies[key]
        fault = store.fault(key) or (None if document else _fault(store, key))
        document = None if fault else document
        size = file.seek(0, os.SEEK_END)
        yield OwnFile(collection, store.backend.name(key), size, document, fault, file)


def _fault(store: DocumentStore, key: Key) -> Corrupt | None:
    try:
        store.read(key)
    except Corrupt as fault:
        return fault
    return None  # repaired since the snapshot was taken


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").removeprefix("\ufeff")


def _around(data: bytes, line: int, column: int, most: int) -> Excerpt:
    """Return the lines around a fault, or the text around its column if the line is too long."""
    text = _text(data)
    begin = 0
    for _ in range(line - 1):
        begin = text.find("\n", begin) + 1
    end = text.find("\n", begin) + 1 or len(text)
    half = most // 2
    first, last = max(begin - half, 0), min(end + half, len(text))
    if first:
        first = text.find("\n", first) + 1
    if last < len(text):
        last = max(text.rfind("\n", 0, last) + 1, end)
    if end - begin > half:
        begin, end = max(begin, begin + column - half), min(end, begin + column + half)
        first, last = begin, end
    return Excerpt(
        text[first:begin],
        text[begin:end],
        text[end:last],
        text.count("\n", 0, first) + 1,
        first == 0 and last == len(text),
    )
