"""The port: the contract between the store and the backends that hold its documents.

Terms. A *version* is a backend's opaque token for one stored state of a document; a document that
does not exist has the version `ABSENT`. A *change* leads one document from one version to the next;
its *edits* give each value that differs, before and after. A *commit* is one or more changes,
applied all or none. A *backend* stores documents and applies commits.

Guarantees of every backend (checked by tests/docstore/backends/conformance.py):

1. When `commit` returns, or the `exclusive` block around it ends, the commit is durable and every
   later read, by any process, returns it.
2. When `commit` raises `Conflict`, nothing was changed: a document's version was not the expected
   one.
3. When `commit` raises any other error, it was applied as a whole or not at all. Reads show which;
   after a disk failure, at the latest those of the next process.
4. No reader sees a part of a commit to a document, or a commit that a crash can undo. The exception
   is a *relaxed* commit: a power cut may undo it, as a whole, and nothing else.
5. Reading an unreadable document raises `Corrupt`, and its file remains as it is.
6. A reader that calls `entries` with the number of the last entry it received gets every later
   entry exactly once, in commit order, across crashes. No crash undoes an entry that was returned,
   relaxed or not. If an entry is no longer stored, `entries` raises `HistoryGone`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path as FilePath
from typing import Any, BinaryIO, Final, NamedTuple, Protocol, TypeVar, runtime_checkable

from docstore.document import CollectionLayout, Document, Json, Key
from docstore.errors import Corrupt
from docstore.json_positions import Path
from docstore.observer import Observer
from docstore.stats import Condition

Version = Hashable
# In the root of a store on files: the folder with everything that is no document.
WORK_FOLDER: Final = ".neuralflow"
ENTRIES_BYTES: Final = 4 * 1024 * 1024
Result = TypeVar("Result")


class _Absent(Enum):
    ABSENT = "ABSENT"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent.ABSENT


class Stored(NamedTuple):
    """A document as read, with its version: None and `ABSENT` if it does not exist."""

    document: Document | None
    version: Version


class Copy(NamedTuple):
    """A stored document: its bytes, open for reading, and its parsed form; None if unreadable."""

    file: BinaryIO
    document: Document | None


class Edit(NamedTuple):
    """One value of a document before and after; `ABSENT` if it does not exist then.

    `path` leads to the value. In a list of records, the record's id stands for its index, so that
    the edit has the same meaning at any position.
    """

    path: Path
    before: Json
    after: Json


class Given(NamedTuple):
    """A record that was added by hand, as in the file, and the id that the store assigned to it.

    `written` is the id in the file if that was taken; 0 if the file has none. An `id` of 0 marks an
    entry that is stored without one.
    """

    item: Json
    id: int
    written: int = 0


class FileMerged(NamedTuple):
    """A manually edited file that a commit merged.

    `token` and `digest` identify the file and its content. `revision` is the revision in the file,
    and `edits` lead from that state of the document to the file. `buffer` is the digest of the
    first merged file of the same editor's buffer.
    """

    token: tuple[int, int, int] | None
    digest: str
    revision: int
    edits: tuple[Edit, ...] = ()
    given: tuple[Given, ...] = ()
    buffer: str = ""


class Change(NamedTuple):
    """One document's step from version `expect` to the state `after`; None deletes the document.

    `merged` is the manually edited file that the change merges, if any.
    """

    key: Key
    expect: Version
    after: Document | None
    edits: tuple[Edit, ...]
    merged: FileMerged | None = None


class Commit(NamedTuple):
    """Changes that are applied together, with their time, actor and request."""

    changes: tuple[Change, ...]
    at: datetime
    actor: str = ""
    request_id: str = ""
    relaxed: bool = False


class EntryChange(NamedTuple):
    """The edits of one document in a commit. An empty path stands for the whole document."""

    key: Key
    edits: tuple[Edit, ...]


class Entry(NamedTuple):
    """A commit as the change feed returns it: its number, time, actor, request and changes.

    `restored`: not a commit, but the restore of a backup. Any document may be different after it.
    """

    sequence: int
    at: str
    actor: str
    request_id: str
    changes: tuple[EntryChange, ...]
    restored: bool = False


class Entries(NamedTuple):
    """A batch of entries in commit order. To continue, ask for the entries after `through`."""

    told: tuple[Entry, ...]
    through: int


@dataclass(frozen=True)
class Aside:
    """A file of a document that was set aside: its name, the remarks on it, its content."""

    name: str
    remarks: tuple[str, ...]
    content: bytes


@dataclass(frozen=True)
class Finding:
    """One problem that the integrity check reports.

    Line and column count from 1; 0 means unknown.
    """

    document: str
    problem: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.document}{place}: {self.problem}"


@runtime_checkable
class SharedNotes(Protocol):
    """Values, other than documents, on which machines with one store agree."""

    def note(self, name: str) -> str | None:
        """Return the content of a note, or None. Raises `Unavailable`."""

    def set_note(self, name: str, content: str) -> None:
        """Replace a note. Raises `Unavailable`."""

    def only_one(self, name: str) -> AbstractContextManager[bool]:
        """Yield whether this is the only process in a block of this name. Does not wait.

        The lock ends with the process, and with its connection.
        """


class Backend(Protocol):
    """A storage of documents. The contract is at the top of this module."""

    @property
    def published(self) -> Published | None:
        """Return what is possible because documents are files; None if they are not."""

    @property
    def snapshots(self) -> Snapshots | None:
        """Return the snapshots of all files; None if documents are not files."""

    def read(self, key: Key) -> Stored:
        """Return the document and its version. Raises `Corrupt`, `Unavailable`."""

    def raw(self, key: Key) -> bytes | None:
        """Return the stored bytes, readable or not; None if the document does not exist."""

    def size(self, key: Key) -> int:
        """Return about how many bytes the stored document has, 0 if it does not exist.

        Reads no content.

        Where documents are files, it is the size of the file, which may be behind.
        """

    def history_bytes(self, actor: str) -> int:
        """Return about how many bytes of the retained history are the actor's commits.

        Reads no content: the backend counts in the background, so the result may be minutes old.
        """

    def aside_bytes(self, owner: int) -> int:
        """Return about how many bytes the owner's versions that were set aside take.

        Reads no content, like `history_bytes`.
        """

    def copies(self, keys: Sequence[Key]) -> AbstractContextManager[Mapping[Key, Copy]]:
        """Yield copies of those of the documents that exist, all as of one moment.

        They are readable until the block ends. Where documents are files, this takes little memory.
        Raises `Unavailable`, and `Corrupt` if a file cannot be opened.
        """

    def name(self, key: Key) -> str:
        """Return the name of the document for people: `tasks/tasks_7.json`."""

    def keys(self, collection: str) -> Iterator[Key]:
        """Return the keys of all documents of a collection, ordered by owner."""

    def exclusive(self) -> AbstractContextManager[object]:
        """Admit one writer at a time, if the backend can; otherwise do nothing.

        This saves retries under contention. Correctness never depends on it: `commit` checks
        versions. Inside the block, reads may return commits that are not durable yet, and commits
        need not become so. Leaving the block waits until all of these are durable, and raises
        `Unavailable` if they cannot become so.
        """

    def together(self, work: Callable[[], Result], *, here: bool = False) -> Result:
        """Run `work` as if under `exclusive`; return its result or raise its error.

        It may run on another thread, in a batch with the work of other threads (group commit), in
        the caller's `contextvars` context. With `here` it runs on the calling thread.
        """

    def commit(self, commit: Commit) -> int:
        """Make the changes durable, then visible; return their number in `entries`.

        Raises `Conflict`, `Unavailable`, `TooLarge`.
        """

    def sequence(self) -> int:
        """Return the number up to which `entries` returns what happened.

        It grows, and is cheap to read.

        Some numbers belong to no commit. Raises `Unavailable`.
        """

    def entry(self, number: int) -> Entry | None:
        """Return the commit with this number; None if the number belongs to no commit.

        Unlike `entries`, it also returns a commit that followers cannot receive yet. Raises
        `HistoryGone`, `Corrupt`, `Unavailable`.
        """

    def entries(
        self, since: int, wanted: Callable[[Key], bool], bytes_max: int = ENTRIES_BYTES
    ) -> Entries:
        """Return the commits after number `since`, with only the changes of `wanted` documents.

        One call scans about `bytes_max` bytes of history, so more may follow an empty result.
        Raises `HistoryGone`, `Corrupt`, `Unavailable`.
        """

    def merge_with(self, merge: Callable[[Any], object]) -> None:
        """Register the method that merges a manual edit of a document's file.

        It is called with a `docstore.file_edits.FileEdit`. The backend holds only a weak reference
        to its object.
        """

    def observe(self, observer: Observer) -> None:
        """Report reads and syncs of this process to the observer."""

    def set_aside(self, key: Key, remarks: Sequence[str]) -> str:
        """Preserve a manual edit under another name, with a note of remarks; return that name."""

    def fault(self, key: Key) -> Corrupt | None:
        """Return why the document's file cannot be merged; None if it can, or needs no merge.

        While there is a fault, `read` returns the last good state, and `commit` raises the fault.
        """

    def damage(self, key: Key) -> Corrupt | None:
        """Return the error of stored bytes that changed without an edit, or None.

        Raises `Corrupt` and `Unavailable` if they cannot be read.
        """

    def aside(self, key: Key) -> list[Aside]:
        """Return the versions of the document's file that were set aside, oldest first."""

    def discard_aside(self, key: Key, name: str) -> None:
        """Remove a version that was set aside, and its note. Raises `NotFound`."""

    def publish(self) -> None:
        """Bring the documents' files up to date, if the backend writes them with a delay.

        Raises `Unavailable`, `OutOfSpace`.
        """

    def check(self) -> Iterator[Finding]:
        """Yield problems of the storage itself: missing folders, unexpected names."""

    def close(self) -> None:
        """Release all resources.

        Closing is not needed for durability. The next use opens the storage again.
        """


class Published(Backend, Protocol):
    """A backend whose documents are also files under `root`, which are written with a delay."""

    @property
    def root(self) -> FilePath:
        """Return the data folder."""

    def make_folder(self, path: FilePath) -> None:
        """Create a folder under the root durably. Raises `OSError`."""

    def checkpoint(self) -> None:
        """Make every file up to date and durable by itself, and delete old history.

        Raises `Unavailable`, `OutOfSpace`.
        """

    def condition(self) -> Condition:
        """Return statistics at a cost that does not grow with the data. Raises `Unavailable`."""

    def remove_leftovers(self, now: float, keep_seconds: float) -> list[str]:
        """Remove leftovers of failures, and old versions that were set aside; return their names.

        `now` is in seconds of the file system's clock. Raises `Unavailable`.
        """

    def last_good(self, key: Key) -> tuple[Document, str] | None:
        """Return the last good state of a document whose file is faulty, and where it is from.

        That is "journal" or "backup". Return None if neither has the document.
        """

    def repair_file(self, key: Key, document: Document | None, remarks: Sequence[str]) -> str:
        """Set a faulty file aside and put the document in its place; return the name of the first.

        None leaves no file. Raises `Unavailable`, `OutOfSpace`.
        """


class Snapshots(Published, Protocol):
    """A backend that holds all files of one moment, and replaces them."""

    @property
    def layouts(self) -> Mapping[str, CollectionLayout]:
        """Return the layouts of the collections, by name."""

    def path(self, key: Key) -> FilePath:
        """Return the path of the document's file."""

    def layout_of(self, name: str) -> CollectionLayout | None:
        """Return the layout of the document with this name; None for any other file."""

    def is_own_name(self, name: str) -> bool:
        """Return whether an archive's file may be written under the root: `<collection>/<file>`."""

    def document_names(self) -> list[str]:
        """Return the names of all documents under the root."""

    def still(self) -> AbstractContextManager[None]:
        """Block all writers during the block, with all files up to date."""

    def pinned(
        self, select: Callable[[], Iterable[str]] | None = None
    ) -> AbstractContextManager[dict[str, FilePath]]:
        """Yield hard links to files of the collections, by name, all as of one moment.

        `select` runs while all writers are blocked and returns the names of the files; without it,
        every file is linked.
        """

    def replace(self, contents: Mapping[str, bytes | None]) -> None:
        """Replace the contents of files under the root (None removes one), all or none."""

    def sync_folder(self, path: FilePath) -> None:
        """Make the names in a folder under the root durable. Raises `OSError`."""

    def fall_back_on(self, contents: Callable[[str], Iterable[bytes]]) -> None:
        """Register a source of backups: it yields older contents of the file with a name.

        They are tried in order if a file is broken and nothing else has its document.
        """
