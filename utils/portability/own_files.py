"""A person's own files as they are kept: what is told of each, and its bytes, readable or not.

    with own_file(json_storage.store, "tasks", 7) as file:
        print(file.name, file.size, file.revision)
        shown = file.excerpt()

Which files there are stands in the table of collections; their names come from the store.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

from docstore import Corrupt, Document, DocumentStore, Key, NotFound
from utils.documents import key_of
from utils.table import COLLECTIONS, RECORD_COLLECTIONS

# Not `requests`: what is kept there is of use to programs only, and for a day.
OWN_FILES: Final = ("users", "activities", *RECORD_COLLECTIONS, "shared")
SHOWN_BYTES: Final = 20_000


@dataclass(frozen=True)
class Excerpt:
    """A part of a file, or all of it. What is no text in it is shown as U+FFFD.

    `before`, `line` and `after` follow one another; of a file that cannot be read, `line` is the
    one at fault, and else it is empty. `first_line` counts from 1.
    """

    before: str
    line: str = ""
    after: str = ""
    first_line: int = 1
    is_whole: bool = True

    @property
    def size(self) -> int:
        """In bytes."""
        return len((self.before + self.line + self.after).encode())


@dataclass(frozen=True)
class OwnFile:
    """A file, open. Of one that cannot be read, `fault` says why, and `document` is None."""

    collection: str
    name: str
    size: int
    document: Document | None
    fault: Corrupt | None
    _file: BinaryIO

    @property
    def base_name(self) -> str:
        """Without its folder: `tasks_7.json`."""
        return self.name.rpartition("/")[2]

    @property
    def revision(self) -> int | None:
        return self.document.revision if self.document else None

    @property
    def records(self) -> int | None:
        """How many records it lists; of the person's own file, activities."""
        if self.document is None:
            return None
        return len(self.document.list_of(COLLECTIONS[self.collection].layout.records))

    @property
    def updated_at(self) -> object:
        """The time of the last change as the file has it; None where it does not tell."""
        return self.document.content.get("updated_at") if self.document else None

    def content(self) -> bytes:
        """All of it, as it is."""
        self._file.seek(0)
        return self._file.read()

    def excerpt(self, most: int = SHOWN_BYTES) -> Excerpt:
        """The beginning, about `most` bytes, or what is around the fault, in whole lines."""
        if self.fault is not None and self.fault.line:
            return _around(self.content(), self.fault.line, self.fault.column, most)
        self._file.seek(0)
        data = self._file.read(most)
        if len(data) < self.size:
            data = data[: data.rfind(b"\n") + 1] or data
        return Excerpt(_text(data), is_whole=len(data) == self.size)


@contextmanager
def own_file(store: DocumentStore, collection: str, owner: int) -> Iterator[OwnFile]:
    """The owner's file of a collection, of one moment.

    Raises `NotFound` where there is none, `Unavailable`, and `Corrupt` for what cannot even be
    read as bytes.
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
    return None  # mended in this moment


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").removeprefix("\ufeff")


def _around(data: bytes, line: int, column: int, most: int) -> Excerpt:
    """The lines around a fault; of a line that is too long itself, what is around the column."""
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
