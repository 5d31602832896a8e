"""Documents as JSON files in a folder, made durable by a write-ahead log, the journal.

    users/user_7.json  tasks/tasks_7.json ...   the documents
    .neuralflow/journal/                        their changes: see docstore/journal/log.py
    .neuralflow/lock, publishing, opening       locks for writing, publishing and opening
    .neuralflow/in-use                          locked by every process that has the folder open
    .neuralflow/drafts/                         a restore in progress: see atomic_replace.py

The journal makes a commit durable, the files make it visible to people, and a checkpoint makes old
segments of the journal dispensable. A commit appends one frame under the lock, releases the lock,
and returns when the frame is durable. It shares the sync with all other commits of that time (group
commit). A read checks whether the journal has grown, applies new frames to the cache, and answers
from that. The files are written from the journal in the background, and on closing.

A manually edited file is merged (`merge_with`) in one commit by the next read of the document or
the next publication, whichever comes first: see docstore/file_edits.py.

The version of a document is the sequence number of the frame that made it or, until there is one,
inode, size and mtime of its file.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from docstore.backend import (
    ENTRIES_BYTES,
    Aside,
    Commit,
    Copy,
    Entries,
    Entry,
    Finding,
    Stored,
)
from docstore.backends.files.atomic_replace import FileSetReplace
from docstore.backends.files.backup_fallback import BackupFallback
from docstore.backends.files.commits import Committer
from docstore.backends.files.document_cache import CACHE_BYTES_MAX, FileDocumentCache
from docstore.backends.files.file_repair import FileRepair
from docstore.backends.files.folder import DataFolder
from docstore.backends.files.folder_check import FolderCheck
from docstore.backends.files.group_commit import DurableWriterSession, GroupCommit, WriterSession
from docstore.backends.files.hand_edits import HandEdits
from docstore.backends.files.interruptions import InterruptionRepair
from docstore.backends.files.leftovers import remove_leftovers
from docstore.backends.files.lifecycle import Lifecycle, write_failed
from docstore.backends.files.parts import FolderParts
from docstore.backends.files.publisher import History, Publisher
from docstore.backends.files.publishing_loop import PublishingLoop
from docstore.backends.files.reads import DocumentReads
from docstore.backends.files.snapshots import FileSnapshots
from docstore.backends.files.writer import WriterAccess
from docstore.disk.filesystem import FileSystem
from docstore.document import CollectionLayout, Document, Key
from docstore.errors import Corrupt, HistoryGone, StoreError, Unavailable
from docstore.file_edits import FileEdit
from docstore.journal.change_feed import ChangeFeed
from docstore.journal.frames import Kind
from docstore.journal.log import SEGMENT_BYTES, Journal
from docstore.journal.reader import JournalReader
from docstore.journal.segments import reading_failed
from docstore.observer import Observer
from docstore.stats import Condition
from docstore.timestamps import utc_now

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class FilesBackend:
    """The backend on a local file system. Opening it finishes what a dead process began.

    With `lay_out=False` it only reads: it creates no folder and changes nothing. Without
    `background`, the caller calls `publish` and `checkpoint`.

    It puts the parts together, and repairs what an interruption of its methods leaves behind.
    """

    def __init__(
        self,
        root: Path,
        layouts: Mapping[str, CollectionLayout],
        *,
        files: FileSystem | None = None,
        lock_timeout: float = 10.0,
        lay_out: bool = True,
        background: bool = True,
        history: History | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        cache_bytes: int = CACHE_BYTES_MAX,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        files = files or FileSystem()
        self._folder = folder = DataFolder(root, layouts, files, lock_timeout)
        self.root = folder.root
        self._journal = journal = Journal(files, folder.journal, segment_bytes)
        self._feed = ChangeFeed(files, journal)
        self._cache = cache = FileDocumentCache(folder, journal, cache_bytes, clock)
        self._replace = FileSetReplace(files, folder.root, folder.work / "drafts")
        found = cache, self._invalidate, self._finish_restore
        session, exclusive = (
            WriterSession(folder.lock, *found),
            DurableWriterSession(folder.lock, *found),
        )
        self._repair = InterruptionRepair(folder, journal, cache, self._feed)
        self._group = GroupCommit(session, cache, lock_timeout, self._repair.repair)
        self._repair.attach(self._group)
        self._publisher = Publisher(cache, folder.publishing_lock, session, history or History())
        parts = FolderParts(
            *(folder, journal, self._feed, cache),
            *(session, self._publisher, self._replace, self._repair),
        )
        self._loop = PublishingLoop(parts, in_background=background)
        self._lifecycle = Lifecycle(
            parts, (session, exclusive), may_write=lay_out, on_open=self._loop.wake
        )
        self._writer = WriterAccess(parts, self._lifecycle, exclusive, self._group)
        self._hand_edits = HandEdits(parts, self._writer)
        self._loop.attach(self._lifecycle, self._hand_edits)
        self._committer = Committer(parts, self._lifecycle, self._hand_edits)
        self._reads = DocumentReads(parts, self._lifecycle, self._writer, self._hand_edits)
        self._fallback = BackupFallback(parts, self._hand_edits)
        self._snapshots = FileSnapshots(
            parts, self._lifecycle, self._writer, self._loop, self._committer
        )
        self._check = FolderCheck(parts, self._reads, self._hand_edits, self._writer)
        self._file_repair = FileRepair(
            parts, self._lifecycle, self._writer, self._reads, self._hand_edits, self._fallback
        )
        _backends.add(self)
        self._lifecycle.open()

    def __repr__(self) -> str:
        failure = self._journal.failure
        return f"<FilesBackend {self.root}{f', stopped: {failure}' if failure else ''}>"

    @property
    def published(self) -> FilesBackend:
        return self

    @property
    def snapshots(self) -> FilesBackend:
        return self

    def observe(self, observer: Observer) -> None:
        self._journal.observe(observer)
        self._cache.observer = observer

    # Opening and closing

    def _invalidate(self) -> None:
        """Mark the folder as replaced: the next use opens the one that has its name now."""
        self._journal.leave()
        self._folder.processes.leave()

    def _finish_restore(self) -> None:
        """Finish the restore of a process that died."""
        self._replace.finish_or_discard()
        self._journal.is_restoring = False

    def close(self) -> None:
        """Bring every file up to date and release all resources.

        The next use opens the folder again.
        """
        with self._repair.guard(), self._repair.opening:
            self._loop.stop()
            self._lifecycle.close(self._loop.publish)

    def _release(self) -> None:
        """Release all resources, as if the process had died."""
        self._lifecycle.release()

    def _reset_after_fork(self) -> None:
        """Reset in a forked child: it has no threads of its parent, and opens all files itself."""
        self._repair.reset_after_fork()
        self._cache.mutex = threading.RLock()
        self._loop.reset_after_fork()
        self._lifecycle.reset_after_fork()
        self._journal.reset_after_fork()
        self._group.forked()
        self._cache.forget()

    # Reading

    @property
    def layouts(self) -> Mapping[str, CollectionLayout]:
        """Return the layouts of the collections, by name."""
        return self._folder.layouts

    def name(self, key: Key) -> str:
        return self._folder.name(key)

    def path(self, key: Key) -> Path:
        """Return the path of the document's file, made of a layout's names and a number only."""
        return self._folder.path(key)

    def read(self, key: Key) -> Stored:
        try:
            return self._reads.read(key)
        except Corrupt as fault:
            return self._fallback.read(key, fault)
        except StoreError:
            raise
        except BaseException:
            self._repair.repair()
            raise

    def raw(self, key: Key) -> bytes | None:
        return self._reads.raw(key)

    def size(self, key: Key) -> int:
        return self._reads.size(key)

    def keys(self, collection: str) -> Iterator[Key]:
        return self._reads.keys(collection)

    def copies(self, keys: Sequence[Key]) -> AbstractContextManager[Mapping[Key, Copy]]:
        return self._reads.copies(keys, self._loop.publish)

    def fall_back_on(self, contents: Callable[[str], Iterable[bytes]]) -> None:
        """Register a source of backups: see `BackupFallback`."""
        self._fallback.register(contents)

    # Writing

    def exclusive(self) -> AbstractContextManager[object]:
        """Admit one writer over threads and processes, with the journal applied to its end.

        Leaving the block waits until everything read and written inside is durable. Raises
        `Unavailable`.
        """
        return self._writer.exclusive()

    def together(self, work: Callable[[], Result], *, here: bool = False) -> Result:
        return self._writer.run(work, self._hand_edits.merge, same_thread=here)

    def commit(self, commit: Commit) -> int:
        inside = self._writer.is_held
        try:
            if inside:
                return self._commit(commit)
            with self.exclusive():
                return self._commit(commit)
        except StoreError:
            raise
        except BaseException:
            self._repair.repair_after(inside=inside)
            raise

    def _commit(self, commit: Commit) -> int:
        sequence, is_news = self._committer.commit(commit)
        if is_news:
            self._loop.wake()
        return sequence

    # Edits of files by hand

    def merge_with(self, merge: Callable[[FileEdit], object]) -> None:
        """Register the method that merges manually edited files; its object is referenced weakly.

        It is called under the lock, and commits what it accepts with `Transaction.note_merged`.
        Without it, such a file is accepted as it is, and set aside if a change was pending.
        """
        self._hand_edits.merge_with(merge)

    def fault(self, key: Key) -> Corrupt | None:
        return self._cache.fault(key)

    def damage(self, key: Key) -> Corrupt | None:
        with self._repair.guard():
            self._lifecycle.ensure_open()
            return self._cache.damage(key)

    def last_good(self, key: Key) -> tuple[Document, str] | None:
        """Return the last good state of a faulty document, and its source: see `FileRepair`."""
        return self._file_repair.last_good(key)

    def repair_file(self, key: Key, document: Document | None, remarks: Sequence[str]) -> str:
        """Set a faulty file aside and put the document in its place: see `FileRepair`."""
        return self._file_repair.repair_file(key, document, remarks)

    def set_aside(self, key: Key, remarks: Sequence[str]) -> str:
        return self._hand_edits.set_aside(key, remarks)

    def aside(self, key: Key) -> list[Aside]:
        return self._hand_edits.versions_aside(key)

    def discard_aside(self, key: Key, name: str) -> None:
        size = self._hand_edits.discard_aside(key, name)
        self._publisher.usage.remove_aside(key.owner, size)

    # The change feed

    def sequence(self) -> int:
        with self._repair.guard():
            self._lifecycle.ensure_open()
            if self._lifecycle.is_read_only:
                self._cache.follow()
        synced = self._journal.synced
        # While a restore replaces files, its number is withheld: a cache would read them too
        # early. Checked after reading the number: before, it could miss a restore that has just
        # begun.
        return min(synced, self._journal.checkpointed) if self._journal.is_restoring else synced

    def entry(self, number: int) -> Entry | None:
        entries = self.entries(number - 1, lambda key: True, 1).told[:1]
        return next((entry for entry in entries if entry.sequence == number), None)

    def entries(
        self, since: int, wanted: Callable[[Key], bool], bytes_max: int = ENTRIES_BYTES
    ) -> Entries:
        limit = self.sequence()
        if since > self._journal.synced:
            raise HistoryGone(f"{since} is yet to come: was another data folder put here?")
        if since >= limit:
            return Entries((), since)
        with self._repair.guard():
            return self._feed.entries(since, limit, wanted, bytes_max)

    def payloads(self, since: int) -> Iterator[tuple[int, bytes]]:
        """Yield the encoded entries after `since`: see `store_copy.Source`."""
        self._lifecycle.ensure_open()
        for frame in JournalReader(self.root, self._folder.files).frames(since):
            if frame.kind in (Kind.COMMIT, Kind.RELAXED, Kind.RESTORED):
                yield frame.sequence, frame.payload
            elif frame.kind == Kind.TRIMMED:
                yield frame.sequence, b""

    # Files from the journal

    def publish(self) -> None:
        """Bring every file up to date. Raises `Unavailable`, `OutOfSpace`."""
        with self._repair.guard():
            self._loop.publish()

    def checkpoint(self) -> None:
        """Make every file up to date and durable by itself, and delete old history.

        Raises `Unavailable`, `OutOfSpace`.
        """
        with self._repair.guard():
            self._lifecycle.ensure_open()
            self._lifecycle.require_writable()
            self._publisher.checkpoint()
            self._publisher.retire()  # also without changes: the retention may have changed

    def remove_leftovers(self, now: float, keep_seconds: float) -> list[str]:
        """Remove leftovers of failures, and old versions that were set aside; return their names.

        `now` is in seconds of the file system's clock. Raises `Unavailable`.
        """
        with self._repair.guard():
            self._lifecycle.ensure_open()
            self._lifecycle.require_writable()
            files, root = self._folder.files, self.root
            try:
                return remove_leftovers(files, root, self.layouts, now, keep_seconds)
            except OSError as error:
                raise write_failed(self._journal, error, "cannot remove leftovers") from error

    def check(self) -> Iterator[Finding]:
        return self._check.findings()

    def condition(self) -> Condition:
        """Return statistics at a cost that does not grow with the data. Raises `Unavailable`."""
        self._reads.follow()
        journal = self._journal
        numbers = journal.segments.numbers()
        try:
            sizes = journal.segments.sizes(numbers)
        except OSError as error:
            raise reading_failed(error) from error
        with self._repair.guard(), self._cache.mutex:
            since = [live.since for live in self._cache.pending.values()]
        return Condition(
            refusal=self._refusal(),
            first=min(numbers, default=0),
            last=journal.appended,
            checkpoint=journal.checkpointed,
            segments=len(sizes),
            journal_bytes=sum(sizes.values()),
            waiting=len(since),
            behind=time.monotonic() - min(since) if since else 0.0,
        )

    def _refusal(self) -> str:
        try:
            self._lifecycle.require_writable()
            self._committer.require_unblocked()
        except Unavailable as fault:
            return fault.reason
        return ""

    def history_bytes(self, actor: str) -> int:
        return self._publisher.usage.history_bytes(actor)

    def aside_bytes(self, owner: int) -> int:
        return self._publisher.usage.aside_bytes(owner)

    def count_usage(self) -> None:
        """Count now what `history_bytes` and `aside_bytes` return."""
        self._publisher.usage.count_all()

    # Snapshots

    def document_names(self) -> list[str]:
        """Return the names of all documents under the root."""
        return [self.name(key) for collection in self.layouts for key in self.keys(collection)]

    def is_own_name(self, name: str) -> bool:
        """Return whether an archive's file may be written under the root: `<collection>/<file>`."""
        return self._folder.is_own_name(name)

    def layout_of(self, name: str) -> CollectionLayout | None:
        """Return the layout of the document with this name; None for any other file."""
        return self._folder.layout_of(name)

    def still(self) -> AbstractContextManager[None]:
        """Block all writers during the block, with all files up to date."""
        return self._snapshots.still()

    def pinned(
        self, select: Callable[[], Iterable[str]] | None = None
    ) -> AbstractContextManager[dict[str, Path]]:
        """Yield hard links to files, by name, all as of one moment: see `FileSnapshots`."""
        return self._snapshots.pinned(select)

    def replace(self, contents: Mapping[str, bytes | None]) -> None:
        """Replace the contents of files under the root, all or none: see `FileSnapshots`."""
        self._snapshots.replace(contents)

    def make_folder(self, path: Path) -> None:
        """Create a folder under the root durably."""
        self._folder.files.make_folder("lay-out", path)

    def sync_folder(self, path: Path) -> None:
        """Make the names in such a folder durable."""
        self._folder.files.sync_folder("settle-names", path)


_backends: weakref.WeakSet[FilesBackend] = weakref.WeakSet()


def _renew_after_fork() -> None:
    for backend in tuple(_backends):
        backend._reset_after_fork()


def _close_all() -> None:
    for backend in tuple(_backends):
        try:
            if backend._loop.is_running:  # a process that wrote nothing has nothing to finish
                backend.close()
        except (Unavailable, Corrupt) as fault:
            log.error("closing %s: %s", backend.root, fault)


os.register_at_fork(after_in_child=_renew_after_fork)
atexit.register(_close_all)
