"""The port: what an engine must do so that the store above can keep its promises.

Words. A *version* is a backend's opaque token for one stored state of a document; `ABSENT` is the
version of a document that is not there. A *change* takes one document from one version to the
next; its *edits* say which values differ, before and after. A *commit* is one or more changes, all
or nothing. A *backend* keeps documents and applies commits.

What every backend keeps true (tests/docstore/backends/conformance.py checks it):

1. When `commit` returns, or `exclusive` around it ends, the commit is durable and every later
   read, by any process, shows it.
2. When `commit` raises `Conflict`, nothing of it happened: a version was not the expected one.
3. When it raises anything else, all of it happened or nothing; reads tell which, at the latest
   those of the next process when the disk failed.
4. Nobody reads a part of a commit's document, and nobody reads a commit that a crash can unmake.
   The exception is a *relaxed* commit: a power cut may take it back, whole, and only it.
5. A document that cannot be read raises `Corrupt` and stays as it is.
6. Who asks for the `entries` after the last that they were told misses none and is told none twice,
   in the order in which they happened, whatever crashed meanwhile. No crash can unmake what was
   told, relaxed or not. What is too old to be told raises `HistoryGone`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, BinaryIO, Final, NamedTuple, Protocol, TypeVar

from docstore.document import Document, Json, Key
from docstore.errors import Corrupt
from docstore.positions import Path

Version = Hashable
ENTRIES_BYTES: Final = 4 * 1024 * 1024
Result = TypeVar("Result")


class _Absent(Enum):
    ABSENT = "ABSENT"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent.ABSENT


class Stored(NamedTuple):
    """What a read found: the document, or None with the version `ABSENT`."""

    document: Document | None
    version: Version


class Copy(NamedTuple):
    """A document as it is kept: its bytes, to be read, and what they say; None where nobody can
    tell."""

    file: BinaryIO
    document: Document | None


class Edit(NamedTuple):
    """One value of a document before and after; `ABSENT` where there was or is none.

    `path` leads to it. In a list of records, a record is addressed by its id and not by its
    index, so that the edit means the same wherever the record stands.
    """

    path: Path
    before: Json
    after: Json


class Given(NamedTuple):
    """A record that was added by hand, as the file has it, and the id that it was given.

    `written` is the id in the file, which was not free; 0 if it has none.
    """

    item: Json
    id: int
    written: int = 0


class FileMerged(NamedTuple):
    """A file that a person changed and that a commit merged.

    `token` and `digest` identify the file and its content, `revision` is the one that it names, and
    `edits` lead from that state to the file.
    """

    token: tuple[int, int, int] | None
    digest: str
    revision: int
    edits: tuple[Edit, ...] = ()
    given: tuple[Given, ...] = ()


class Change(NamedTuple):
    """One document from the version `expect` to the state `after`; None deletes the document.

    `merged` is the file that a person changed, if that is what the change comes from.
    """

    key: Key
    expect: Version
    after: Document | None
    edits: tuple[Edit, ...]
    merged: FileMerged | None = None


class Commit(NamedTuple):
    """Changes that happen together, when, for whom (`actor`) and in which request."""

    changes: tuple[Change, ...]
    at: datetime
    actor: str = ""
    request_id: str = ""
    relaxed: bool = False


class EntryChange(NamedTuple):
    """What a commit did to one document. An empty path stands for the whole document."""

    key: Key
    edits: tuple[Edit, ...]


class Entry(NamedTuple):
    """A commit as the history tells it: its number, when, for whom, in which request, and what.

    `restored`: this is no commit; a backup was put back here, and all documents may be others.
    """

    sequence: int
    at: str
    actor: str
    request_id: str
    changes: tuple[EntryChange, ...]
    restored: bool = False


class Entries(NamedTuple):
    """Entries in their order. All up to the number `through` is told: ask for what is after it."""

    told: tuple[Entry, ...]
    through: int


@dataclass(frozen=True)
class Aside:
    """A version of a document's file that was set aside: its name, and what its note says."""

    name: str
    remarks: tuple[str, ...]
    content: bytes


@dataclass(frozen=True)
class Finding:
    """One thing that an integrity check reports. Line and column count from 1; 0 is unknown."""

    document: str
    problem: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.document}{place}: {self.problem}"


class Backend(Protocol):
    """Keeps documents. See the contract at the top of this module."""

    def read(self, key: Key) -> Stored:
        """The document and its version. Raises `Corrupt`, `Unavailable`."""

    def raw(self, key: Key) -> bytes | None:
        """The bytes as they are kept, readable or not; None where there is no document."""

    def copies(self, keys: Sequence[Key]) -> AbstractContextManager[Mapping[Key, Copy]]:
        """The bytes of those documents that there are, as they are at one moment.

        They can be read until the end of the block, in little memory where documents are files.
        Raises `Unavailable`.
        """

    def name(self, key: Key) -> str:
        """What a person calls the document: `tasks/tasks_7.json`."""

    def keys(self, collection: str) -> Iterator[Key]:
        """The keys of all documents of a collection, by owner."""

    def exclusive(self) -> AbstractContextManager[object]:
        """Lets one writer at a time pass, where the backend can; otherwise does nothing.

        Saves retries under contention. Correctness never rests on it: `commit` checks versions.
        What is read inside may not be durable yet; what is committed inside need not be. Leaving
        it waits until all of that is, and raises `Unavailable` where it cannot become so.
        """

    def together(self, work: Callable[[], Result], *, here: bool = False) -> Result:
        """Runs the work as if under `exclusive` and returns what it returns, or raises.

        It may run on another thread, with what other threads want done, in the caller's context
        (`contextvars`); with `here`, it runs on the calling thread.
        """

    def commit(self, commit: Commit) -> int:
        """Makes the changes durable, then visible; returns the number that `entries` tells them
        under. Raises `Conflict`, `Unavailable`, `TooLarge`."""

    def sequence(self) -> int:
        """The number up to which all is told that happened; it grows, and costs next to nothing.

        Also numbers that no commit has are counted. Raises `Unavailable`.
        """

    def entries(
        self, since: int, wanted: Callable[[Key], bool], bytes_max: int = ENTRIES_BYTES
    ) -> Entries:
        """The commits after number `since`, as far as they change documents that are wanted.

        Looks through about `bytes_max` bytes of history at a time, so there may be more when
        nothing was told. Raises `HistoryGone`, `Corrupt`, `Unavailable`.
        """

    def merge_with(self, merge: Callable[[Any], object]) -> None:
        """Have documents that a person changed outside the store merged by this method.

        It is called with a `docstore.file_edits.FileEdit`. The object that it belongs to is not
        kept alive.
        """

    def set_aside(self, key: Key, remarks: Sequence[str]) -> str:
        """Keep what a person made of the document under another name, with a note of remarks."""

    def fault(self, key: Key) -> Corrupt | None:
        """Return why the document's file cannot be merged; None if it shows the document.

        Meanwhile `read` returns the last good state, and `commit` raises this.
        """

    def aside(self, key: Key) -> list[Aside]:
        """Return the versions of the document's file that were set aside, oldest first."""

    def discard_aside(self, key: Key, name: str) -> None:
        """Remove a version that was set aside, and its note. Raises `NotFound`."""

    def publish(self) -> None:
        """Makes exact what people see of the documents, where that may be a moment behind.

        Raises `Unavailable`, `OutOfSpace`.
        """

    def check(self) -> Iterator[Finding]:
        """What is wrong with the place itself: missing folders, names that mean nothing."""

    def close(self) -> None:
        """Release what is held. Nothing is lost without it. The next use opens the place again."""
