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

Lock order: opening, publishing, lock, then the mutex of the cache.

A manually edited file is merged (`merge_with`) in one commit by the next read of the document or
the next publication, whichever comes first: see docstore/file_edits.py.

The version of a document is the sequence number of the frame that made it or, until there is one,
inode, size and mtime of its file.
"""

from __future__ import annotations

import atexit
import errno
import io
import logging
import os
import re
import secrets
import shutil
import stat
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

import msgspec

from docstore import editor_buffers, file_edits
from docstore.backend import (
    ABSENT,
    ENTRIES_BYTES,
    Aside,
    Change,
    Commit,
    Copy,
    Edit,
    Entries,
    Entry,
    Finding,
    Stored,
)
from docstore.backends.files import asides
from docstore.backends.files.asides import note_of
from docstore.backends.files.atomic_replace import Swap
from docstore.backends.files.document_cache import (
    CACHE_BYTES_MAX,
    SETTLED_NS,
    EditedByHand,
    Follower,
    Live,
    Token,
    token_of,
)
from docstore.backends.files.group_commit import Exclusive, Together, Writing
from docstore.backends.files.images import digest_of
from docstore.backends.files.leftovers import remove_leftovers
from docstore.backends.files.publisher import RETRY_SECONDS, Background, History, Publisher
from docstore.backends.files.rebuilding import rebuilt
from docstore.codec import decode, encode
from docstore.disk.filesystem import PRIVATE_FOLDER, FileSystem
from docstore.disk.locks import in_use, is_in_use, release_all
from docstore.disk.mount_checks import refuse_network, refuse_unshared
from docstore.disk.shared_words import Words
from docstore.document import UPDATED_AT, CollectionLayout, Document, Key
from docstore.editor_buffers import PastChange
from docstore.errors import (
    Conflict,
    Corrupt,
    HistoryGone,
    NotFound,
    OutOfSpace,
    StoreError,
    TooLarge,
    Unavailable,
    from_os_error,
)
from docstore.file_edits import (
    EarlierSaves,
    FileEdit,
    State,
    is_same_document,
)
from docstore.journal.change_feed import Feed
from docstore.journal.entries import encode_entry, past_changes
from docstore.journal.frames import Kind
from docstore.journal.log import SEGMENT_BYTES, Journal
from docstore.journal.reader import JournalReader
from docstore.journal.replay import replay
from docstore.journal.state import STATE_WORDS
from docstore.journal.trimming import is_missed
from docstore.observer import Observer
from docstore.salvage import Lost, salvage, without_lost
from docstore.stats import Condition
from docstore.timestamps import utc_now, utc_text

log = logging.getLogger(__name__)

Result = TypeVar("Result")

DOCUMENT_BYTES_MAX: Final = 256 * 1024 * 1024
WORK_FOLDER: Final = ".neuralflow"
# Seconds that a file may be missing before it counts as removed.
ABSENCE_SECONDS: Final = 0.25
# How many documents may have outdated files before writers help to publish.
BACKLOG_MAX: Final = 20_000
_NEWEST: Final = sys.maxsize
# How many documents read from backups are cached.
_BACKED_UP_MAX: Final = 16
# How often to look for a moment without writes before blocking the writers for one.
_LOOKS_MAX: Final = 5


class _Unsettled(StoreError):
    """Work under the lock read a file that an editor may be saving: merge it, and repeat the work.

    Raised to leave the lock. An edit reads before its one commit, so nothing was changed.
    """

    def __init__(self, key: Key) -> None:
        super().__init__(f"{key} is being saved")
        self.key = key


class _HandedOut:
    """The lock as handed to a caller of `exclusive`.

    If an interruption hits the caller between the steps of `with`, dropping the last reference to
    this releases the lock.
    """

    _holder = 0  # on the class, for an object that is interrupted in `__init__`

    def __init__(self, backend: FilesBackend, exclusive: Exclusive) -> None:
        self._backend, self._exclusive = backend, exclusive

    def __enter__(self) -> None:
        backend = self._backend
        try:
            self._exclusive.__enter__()
            self._holder = backend._handed_to = threading.get_ident()
        except BaseException:
            self._holder = 0
            backend._mend_after(inside=False)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._holder = self._backend._handed_to = 0
            self._exclusive.__exit__(kind, error, trace)
        except StoreError:
            raise
        except BaseException:
            self._backend._mend_after(inside=False)
            raise

    def __del__(self) -> None:
        if self._holder and self._holder == self._backend._handed_to:
            self._backend._handed_to = 0
            self._backend._lock.abandon(self._holder)


class FilesBackend:
    """The backend on a local file system. Opening it finishes what a dead process began.

    With `lay_out=False` it only reads: it creates no folder and changes nothing. Without
    `background`, the caller calls `publish` and `checkpoint`.
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
        self.root = root.absolute()
        self._layouts = layouts
        self._files = files or FileSystem()
        self._work = self.root / WORK_FOLDER
        self._may_write, self._in_background = lay_out, background
        self._lock = self._files.lock(self._work / "lock", lock_timeout)
        self._opening_lock = self._files.lock(self._work / "opening", lock_timeout)
        publishing = self._files.lock(self._work / "publishing", 6 * lock_timeout)
        self._membership = self._files.membership(self._work / "in-use")
        self._journal = Journal(self._files, self._work / "journal", segment_bytes)
        self._feed = Feed(self._files, self._journal)
        self._follower = Follower(
            self.root, layouts, self._files, self._journal, cache_bytes, clock
        )
        self._merge: weakref.WeakMethod[Callable[[FileEdit], object]] | None = None
        self._merging: set[Key] = set()
        self._contents_of: Callable[[str], Iterable[bytes]] | None = None
        self._from_backups: dict[Key, tuple[Token | None, Stored]] = {}
        self._writing = Writing(self._lock, self._follower, self._lose, self._finish_restore)
        self._exclusive = Exclusive(self._lock, self._follower, self._lose, self._finish_restore)
        self._together = Together(self._writing, self._follower, lock_timeout, self._mend)
        self._handed_to = 0  # the thread that holds the lock through `exclusive`
        self._publisher = Publisher(self._follower, publishing, self._writing, history or History())
        self._swap = Swap(self._files, self.root, self._work / "drafts")
        self._background: Background | None = None
        self._opening = threading.RLock()
        self._is_open = self._only_looks = False
        self._is_stopped = False  # the disk failed: this process no longer writes
        self._reason = Unavailable("")  # why it is read-only
        self._root_identity: tuple[int, int] | None = None
        self._displaced: list[tuple[Key, str]] = []  # files that dead processes displaced
        self._tried_to_publish = 0.0
        self._complaint = ""
        _backends.add(self)
        self._open()

    @property
    def layouts(self) -> Mapping[str, CollectionLayout]:
        """Return the layouts of the collections, by name."""
        return self._layouts

    def __repr__(self) -> str:
        failure = self._journal.failure
        return f"<FilesBackend {self.root}{f', stopped: {failure}' if failure else ''}>"

    # Opening and closing

    def _open(self) -> None:
        with self._opening:
            if self._is_open and not self._journal.is_stale:
                return
            self._rescue()
            self._is_open = False  # until it has succeeded: it may be interrupted at any line
            self._follower.forget()
            self._feed.forget()
            if not self._may_write:
                self._look(Unavailable(f"{self.root} was opened for reading"))
                return
            try:
                self._open_to_write()
            except (OSError, Unavailable) as error:
                self._membership.leave()
                reason = _as_unavailable(error, f"cannot open {self.root}")
                if not self._is_folder() or not _keeps_from_writing(error):
                    raise reason from error
                log.warning("%s can only be read: %s", self.root, error)
                # A second sync would report the data that the first one lost as durable.
                self._is_stopped = _is_failed_disk(error)
                self._look(reason)

    def _rescue(self) -> None:
        """Restore a journal that was removed while this process had it open, from memory.

        The documents' files are written first. Raises `Unavailable` if it cannot be restored.
        """
        if not self._is_open or not self._journal.find_lost():
            return
        there = self._files.identity(self.root)
        if there is None:
            raise Unavailable(
                f"the data folder {self.root} is not there: put it back or mount its disk"
            )
        if there != self._root_identity:
            return  # another folder took its place on purpose
        if self._lock.held:
            raise Unavailable("the journal was deleted, moved or replaced: try again", 1)
        self._membership.leave()
        try:
            self._files.make_folder("lay-out", self._work / "journal")
            with (
                self._opening_lock.hold(),
                self._publisher.lock.hold(),
                self._lock.hold(),
                self._follower.mutex,
            ):
                if self._journal.is_replaced:
                    return  # another process did this first
                self._write_from_memory()
        except OSError as error:
            raise self._failed(error, "cannot write the journal anew") from error

    def _write_from_memory(self) -> None:
        journal = self._journal
        if journal.has_segments:
            journal.release_page()
            return
        if journal.has_torn_append:
            self._follower.find_end()
        self._follower.follow()
        if journal.followed != journal.appended:
            raise Unavailable(
                "a part of the journal was deleted that this process does not remember: restart"
                " the server, and see docs/troubleshoot.md",
                60,
            )
        self._publisher.publish_without_notes()
        journal.rescue()
        log.error(
            "the journal in %s was deleted, moved or replaced under the running server. It was"
            " restored from memory: no acknowledged change is missing. Do not touch %s",
            self._work / "journal",
            WORK_FOLDER,
        )

    def _is_folder(self) -> bool:
        try:
            return stat.S_ISDIR(self._files.status(self.root).st_mode)
        except OSError:
            return False

    def _look(self, reason: Unavailable) -> None:
        """Open for reading, if writing is not wanted or not possible."""
        self._only_looks, self._reason = True, reason
        self._journal.open_readonly()
        self._is_open = True

    def _open_to_write(self) -> None:
        refuse_network(self._files, self.root)
        for name in self._layouts:
            self._files.make_folder("lay-out", self.root / name)
        self._root_identity = self._files.identity(self.root)
        journal = self._work / "journal"
        self._files.make_folder("lay-out", journal)
        with self._opening_lock.hold():
            refuse_unshared(self._files, self._work / "opening", journal / "state")
            try:
                self._open_journal(journal)
            except OSError as error:
                if not self._publisher.give_up_reserve(error):
                    raise
                self._open_journal(journal)
            self._publisher.keep_reserve_if_possible()
            self._return_displaced()
        self._only_looks = False
        self._is_open = True
        self._follower.follow()
        if self._in_background:  # it also publishes what other processes leave when they die
            self._wake()

    def _open_journal(self, journal: Path) -> None:
        alone = self._membership.join()
        words = self._files.shared_words(journal / "state", STATE_WORDS)
        if self._must_recover(alone, words):
            with self._lock.hold():
                self._sweep()
                if alone:
                    self._settle_folders()
                    self._displaced = self._sweep_drafts()
                self._journal.recover(words)
        else:
            if self._lock.try_lock():  # a reader need not wait for a writer
                try:
                    self._sweep()
                finally:
                    self._lock.release()
            self._journal.attach(words)
        for writing in (self._writing, self._exclusive):
            writing.times_opened = self._lock.times_opened

    @staticmethod
    def _must_recover(alone: bool, words: Words) -> bool:
        """Return whether to recover the journal: a crash makes the shared numbers meaningless."""
        return alone or Journal.must_recover(words)

    # Interruptions. An exception may occur at any line: from a signal handler, sent by another
    # thread, or a `MemoryError`. Each public method repairs what an exception that passes through
    # it left behind.

    def _mend(self) -> None:
        """Release everything that this thread holds, leads or waits for.

        If an edit, or a caller that holds the lock through `exclusive`, called the interrupted
        method, they retain the lock. A later use discards cached documents that are in doubt: see
        `Journal`.
        """
        for mutex in (self._follower.mutex, self._feed.mutex):
            release_all(mutex)
        self._journal.abandon()
        if self._together.is_led_here or self._handed_to == threading.get_ident():
            return
        for lock in (self._lock, self._publisher.lock, self._opening_lock):
            lock.abandon()
        release_all(self._opening)

    def _mend_after(self, *, inside: bool) -> None:
        """Like `_mend`, and release a lock held through `exclusive` unless `inside` its block."""
        if not inside and self._handed_to == threading.get_ident():
            self._handed_to = 0
        self._mend()

    @contextmanager
    def _mending(self) -> Iterator[None]:
        """Repair the state after an interruption that passes through the block."""
        inside = self._handed_to == threading.get_ident()
        try:
            yield
        except StoreError:
            raise
        except BaseException:
            self._mend_after(inside=inside)
            raise

    def _settle_folders(self) -> None:
        """Make the folders durable: their creator may have been killed before they were."""
        with suppress(PermissionError):  # then this process did not create the root in it
            self._files.sync_folder("lay-out", self.root.parent)
        self._files.sync_folder("lay-out", self.root)
        self._files.sync_folder("lay-out", self._work)

    def _sweep(self) -> None:
        """Finish or discard the restores and backups of dead processes."""
        if self._swap.is_unfinished:
            self._swap.finish_left()
        else:
            self._swap.forget()
        for pins in self._dead_pins():
            shutil.rmtree(pins, ignore_errors=True)

    def _sweep_drafts(self) -> list[tuple[Key, str]]:
        """Remove the drafts of dead processes; return the files that they had displaced.

        No other process has the folder open.
        """
        displaced = []
        self._follower.images.sweep()
        for entry in self._files.names(self._work):
            if entry.endswith(".draft"):
                self._files.remove("sweep", self._work / entry)
        for name in self._layouts:
            for entry in self._files.names(self.root / name):
                if _DRAFT.fullmatch(entry):
                    self._files.remove("sweep", self.root / name / entry)
                elif match := _DISPLACED.fullmatch(entry):
                    displaced.append((Key(name, int(match[1])), f"{self.root}/{name}/{entry}"))
        return displaced

    def _return_displaced(self) -> None:
        """Restore the saves that a dead process had displaced: see `Publisher.return_displaced`.

        Requires the opening lock: another process could not tell whose they are.
        """
        if self._displaced:
            self._follower.follow()
        while self._displaced:
            self._publisher.return_displaced(*self._displaced[-1])
            self._displaced.pop()

    def _ready(self) -> None:
        """Open the folder, again after a fork or after another process recovered the journal."""
        if not self._is_open or self._journal.is_stale:
            self._open()

    def _wake(self) -> None:
        background = self._background
        if background is None or not background.is_alive:
            with self._opening:
                background = self._background
                if background is None or not background.is_alive:
                    background = self._background = Background(self._work_off)
        background.wake()

    def _work_off(self) -> float:
        try:
            return self._work_off_all()
        except StoreError:
            raise
        except BaseException:
            self._mend()
            raise

    def _work_off_all(self) -> float:
        if self._is_open and not self._only_looks:
            self._journal.find_lost()
        try:
            self._ready()
        except StoreError as fault:
            if str(fault) != self._complaint:  # log it once and not each second
                log.error("%s", fault)
            self._complaint = str(fault)
            return 1.0
        self._complaint = ""
        if self._only_looks:
            return 1.0
        if self._journal.is_restoring and self._lock.try_lock():
            self._lock.release()  # the lock is free: the process that restored has died
            with suppress(Unavailable), self._writing:
                pass
        pause = self._publisher.work()
        return min(pause, RETRY_SECONDS / 4) if self._merge_found() else pause

    def publish(self) -> None:
        """Bring every file up to date. Raises `Unavailable`, `OutOfSpace`."""
        with self._mending():
            self._publish()

    def _publish(self) -> None:
        self._ready()
        if not self._only_looks:
            self._follower.follow()
            self._publisher.publish()
            for _ in range(_LOOKS_MAX):
                if not self._merge_found():
                    break
                self._publisher.publish()

    def _merge_found(self) -> bool:
        """Merge the edited files that the publication noted; return whether there were any."""
        edited = self._publisher.take_edited()
        for key in edited:
            self._merge_edit(key)
        return bool(edited)

    def checkpoint(self) -> None:
        """Make every file up to date and durable by itself, and delete old history.

        Raises `Unavailable`, `OutOfSpace`.
        """
        with self._mending():
            self._ready()
            self._refuse_looking()
            self._publisher.checkpoint()
            self._publisher.retire()  # also without changes: the retention may have changed

    def remove_leftovers(self, now: float, keep_seconds: float) -> list[str]:
        """Remove leftovers of failures, and old versions that were set aside; return their names.

        `now` is in seconds of the file system's clock. Raises `Unavailable`.
        """
        with self._mending():
            self._ready()
            self._refuse_looking()
            try:
                return remove_leftovers(self._files, self.root, self._layouts, now, keep_seconds)
            except OSError as error:
                raise self._failed(error, "cannot remove leftovers") from error

    def close(self) -> None:
        """Bring every file up to date and release all resources.

        The next use opens the folder again.
        """
        with self._mending(), self._opening:
            if self._background is not None:
                self._background.stop()
                self._background = None
            if not self._is_open:
                return
            try:
                if not self._only_looks and not self._journal.has_failed:
                    self._close_in_order()
            finally:
                self._abandon()

    def _close_in_order(self) -> None:
        self._publish()
        # Without the lock, a process could open the journal while this one closes it.
        with self._opening_lock.hold():
            if self._membership.alone():
                self._publisher.close()

    def _lose(self) -> None:
        """Mark the folder as replaced: the next use opens the one that has its name now."""
        self._journal.leave()
        self._membership.leave()

    def _abandon(self) -> None:
        """Release all resources, as if the process had died."""
        self._is_open = False
        self._journal.close()
        self._membership.leave()
        for lock in (self._lock, self._publisher.lock, self._opening_lock):
            lock.close()
        self._follower.forget()

    def _forked(self) -> None:
        """Reset in a forked child: it has no threads of its parent, and opens all files itself."""
        self._opening = threading.RLock()
        self._follower.mutex = threading.RLock()
        self._background = None
        self._is_open = self._is_stopped = False
        self._journal.reset_after_fork()
        self._together.forked()
        self._follower.forget()

    # Reading

    def name(self, key: Key) -> str:
        return self._follower.name(key)

    def path(self, key: Key) -> Path:
        """Return the path of the document's file, made of a layout's names and a number only."""
        return self.root / self.name(key)

    def read(self, key: Key) -> Stored:
        try:
            return self._read(key)
        except Corrupt as fault:
            return self._read_backup(key, fault)
        except StoreError:
            raise
        except BaseException:
            self._mend()
            raise

    def _read(self, key: Key) -> Stored:
        journal = self._journal
        if not self._is_open or journal.is_stale:
            self._ready()
        if self._lock.held:
            if journal.is_in_doubt:
                self._writing.catch_up()
            try:
                return self._follower.stored(key, _NEWEST)
            except EditedByHand:
                self._merge_edit(key)
                return self._follower.last_good(key, _NEWEST)
        visible = journal.visible
        if journal.followed < visible or self._only_looks:
            self._follower.follow()
            if journal.is_stale:
                return self._read(key)
            if visible > journal.followed:
                raise Unavailable("a part of the journal is missing: was the data folder changed?")
            visible = max(visible, journal.visible) if self._only_looks else visible
        try:
            return self._follower.stored(key, visible)
        except EditedByHand:
            self._merge_edit(key)
            return self._follower.last_good(key, max(visible, journal.visible))

    # Documents that only a backup has

    def fall_back_on(self, contents: Callable[[str], Iterable[bytes]]) -> None:
        """Register a source of backups: it yields older contents of the file with a name.

        They are tried in order if a file is broken and neither memory nor an image has its
        document.
        """
        self._contents_of = contents

    def _read_backup(self, key: Key, fault: Corrupt) -> Stored:
        """Return the last good state in backups and history; otherwise raise the fault.

        Changes are never based on it, and it is not cached with the documents: a repaired file
        counts again, and may be newer.
        """
        live = self._follower.unknown(key)
        if self._contents_of is None or fault.document != live.name:
            raise fault
        token = self._follower.token(live)
        cached = self._from_backups.get(key)
        if cached is not None and cached[0] == token:
            return cached[1]
        document = self._backed_up(key)
        if document is None:
            raise fault
        self._note_fault(live, fault)
        if len(self._from_backups) >= _BACKED_UP_MAX:
            self._from_backups.clear()
        stored = Stored(document, ("backup", token))
        self._from_backups[key] = token, stored
        return stored

    def _backed_up(self, key: Key) -> Document | None:
        name, layout = self.name(key), self._layouts[key.collection]
        for content in self._contents_of(name) if self._contents_of else ():
            with suppress(Corrupt):
                return self._brought_forward(key, decode(content, name, layout))
        return None

    def _brought_forward(self, key: Key, document: Document) -> Document:
        """Apply the changes since the backup, if the history has all of them."""
        changes: list[PastChange] = []
        for change in self._past_of(key):
            if change.revision == document.revision:
                if change.at != document.content.get(UPDATED_AT):
                    return document  # another document had this name
                break
            if change.edits is None or change.revision < document.revision:
                return document
            changes.append(change)
        else:
            return document
        result: Document | None = document
        for number, change in enumerate(reversed(changes), document.revision + 1):
            if change.revision != number:
                return document
            try:
                layout = self._layouts[key.collection]
                result = replay(result, change.edits or (), change.at, number, layout)
            except ValueError:
                return document
        return result or document

    # Manual edits

    def payloads(self, since: int) -> Iterator[tuple[int, bytes]]:
        """Yield the encoded entries after `since`: see `store_copy.Source`."""
        self._ready()
        for frame in JournalReader(self.root, self._files).frames(since):
            if frame.kind in (Kind.COMMIT, Kind.RELAXED, Kind.RESTORED):
                yield frame.sequence, frame.payload
            elif frame.kind == Kind.TRIMMED:
                yield frame.sequence, b""

    def merge_with(self, merge: Callable[[FileEdit], object]) -> None:
        """Register the method that merges manually edited files; its object is referenced weakly.

        It is called under the lock, and commits what it accepts with `Transaction.note_merged`.
        Without it, such a file is accepted as it is, and set aside if a change was pending.
        """
        self._merge = weakref.WeakMethod(merge)
        self._follower.merges = True

    def observe(self, observer: Observer) -> None:
        self._journal.observe(observer)
        self._follower.observer = observer

    def fault(self, key: Key) -> Corrupt | None:
        return self._follower.fault(key)

    def _merge_edit(self, key: Key) -> None:
        """Merge a manual edit of the document's file, which may leave the document unchanged.

        If merging is not possible now, log that; a later read or publication tries again.
        """
        if key in self._merging and self._lock.held:
            return
        if self._lock.held and self._together.is_led_here and not self._is_settled(key):
            raise _Unsettled(key)  # waiting here would stall all writers
        self._wait_for_editor(key)
        try:
            with self.exclusive():
                self._merge_under_lock(key)
        except Unavailable as fault:  # it is tried again
            log.warning(
                "%s was changed by hand and cannot be merged now: %s", self.name(key), fault
            )

    def _is_settled(self, key: Key) -> bool:
        """Return whether `_wait_for_editor` would not wait."""
        try:
            changed = getattr(self._files.status(self.path(key)), "st_ctime_ns", 0)
        except OSError:
            return False
        return not 0 < SETTLED_NS - (time.time_ns() - changed) <= SETTLED_NS

    def _wait_for_editor(self, key: Key) -> None:
        """Wait until the file is old enough for every later save to change its mtime.

        Without this, a save in place within the same tick of the clock is lost. A missing file may
        come back: some editors rename the old file before they write the new one.
        """
        deadline = time.monotonic() + ABSENCE_SECONDS
        while not self._files.exists(self.path(key)) and time.monotonic() < deadline:
            time.sleep(SETTLED_NS / 1e10)
        with suppress(OSError):
            changed = getattr(self._files.status(self.path(key)), "st_ctime_ns", 0)
            rest = SETTLED_NS - (time.time_ns() - changed)
            if 0 < rest <= SETTLED_NS:
                time.sleep(rest / 1e9)

    def _merge_under_lock(self, key: Key) -> None:
        merge = self._merge() if self._merge is not None else None
        if merge is None:  # the store is gone: accept the file as it is
            self._follower.merges = False
            return
        edit = self._edit_of(key)
        if edit is None:
            return
        live = self._follower.pending.get(key)
        if live is not None and file_edits.changes_nothing(
            edit, self._layouts[key.collection].records
        ):
            self._follower.note_merged(live, edit.token)  # the pending change replaces the file
            return
        self._merging.add(key)
        try:
            merge(edit)
        except Unavailable:
            raise
        except (StoreError, ValueError) as error:
            live = self._follower.live(key)
            self._note_fault(live, Corrupt(live.name, f"cannot be merged: {error}"))
        finally:
            self._merging.discard(key)

    def _note_fault(self, live: Live, fault: Corrupt) -> None:
        with self._follower.mutex:
            self._follower.faults[live.key] = self._follower.token(live), fault
        log.error("changed by hand: %s", fault)

    def _edit_of(self, key: Key) -> FileEdit | None:
        """Return the manual edit of the file; None if it has none, or if it cannot be read."""
        follower, layout = self._follower, self._layouts[key.collection]
        data, lost = b"", tuple[Lost, ...]()
        with follower.mutex:
            ours = follower.last_good(key, _NEWEST).document
            live = follower.live(key)
            token = follower.token(live)
            if token is not None and (token in live.tokens or token in live.merged):
                return None
            if ours is None and (token is None or not live.pending):
                return None
            try:
                data, status = follower.content(live)
                theirs = decode(data, live.name, layout) if status else None
            except Corrupt as fault:
                salvaged = salvage(data, live.name, layout)
                if salvaged is None:
                    self._note_fault(live, fault)
                    return None
                theirs, lost = salvaged
            if theirs is None or status is None:
                return FileEdit(key, live.name, None, "", 0, None, None)
            remarks = tuple(value.remark(theirs, layout.records) for value in lost)
            if ours is None:
                state = State.of(theirs.content, layout.records)
                return FileEdit(
                    key, live.name, token, "", theirs.revision, state, None, remarks=remarks
                )
            is_known = bool(live.versions) and not live.pending
            if not lost and is_known and is_same_document(theirs, ours):  # touched or restored
                live.tokens[token_of(status)] = live.at(_NEWEST)[0]
                return None
        digest = digest_of(data)
        base, doubt, saves = editor_buffers.find_base(
            ours, theirs, self._past_of(key), layout.records
        )
        if lost:
            theirs = without_lost(theirs, lost, base, layout.records)
        state = State.of(theirs.content, layout.records)
        earlier = EarlierSaves(digest)
        if base is not None:
            earlier = editor_buffers.earlier_saves(base, state, saves, layout.records, digest)
        return FileEdit(
            key,
            live.name,
            token_of(status),
            digest,
            theirs.revision,
            state,
            base,
            doubt,
            earlier,
            remarks,
        )

    def _past_of(self, key: Key) -> Iterator[PastChange]:
        """Yield the changes of a document that the journal still has, newest first."""
        mark = f'"collection":"{key.collection}","owner":{key.owner},'.encode()
        for number in reversed(self._journal.segments.numbers()):
            try:
                frames = list(self._journal.segments.frames(number))
            except FileNotFoundError:
                return
            except OSError as error:
                raise from_os_error(error, "cannot read the journal") from error
            for frame in reversed(frames):
                if frame.kind == Kind.RESTORED or is_missed(frame, lambda known: known == key):
                    return
                if frame.kind in (Kind.COMMIT, Kind.RELAXED) and mark in frame.payload:
                    yield from past_changes(frame.payload, key)

    def set_aside(self, key: Key, remarks: Sequence[str]) -> str:
        """Preserve the document's manually edited file under another name, and return that.

        A note next to it has one remark per line. Raises `Unavailable`, `OutOfSpace`.
        """
        live = self._follower.live(key)
        try:
            name = asides.set_aside(self._files, live.path, self._follower.clock())
            asides.write_note(self._files, live.path, name, remarks)
        except OSError as error:
            raise self._failed(error, f"cannot set {live.name} aside") from error
        return name

    def aside(self, key: Key) -> list[Aside]:
        folder = self.path(key).parent
        pattern = re.compile(
            rf"{re.escape(self.path(key).stem)}\.set-aside-[-0-9TZ.]+\.json", re.ASCII
        )
        try:
            names = sorted(filter(pattern.fullmatch, self._files.names(folder)))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise from_os_error(error, f"cannot list {folder.name}") from error
        versions = []
        for name in names:
            try:
                content, _ = self._files.read(folder / name)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise from_os_error(error, f"cannot read {folder.name}/{name}") from error
            versions.append(Aside(name, tuple(self._note(folder / note_of(name))), content))
        return versions

    def _note(self, path: Path) -> list[str]:
        try:
            return self._files.read(path)[0].decode("utf-8", "replace").splitlines()
        except OSError:
            return []

    def discard_aside(self, key: Key, name: str) -> None:
        sizes = {aside.name: len(aside.content) for aside in self.aside(key)}
        if name not in sizes:
            raise NotFound(f"there is no {name}")
        folder = self.path(key).parent
        try:
            self._files.remove("discard-aside", folder / name)
            self._files.remove("discard-aside", folder / note_of(name))
            self._files.sync_folder("discard-aside", folder)
        except OSError as error:
            raise self._failed(error, f"cannot remove {name}") from error
        self._publisher.usage.remove_aside(key.owner, sizes[name])

    def last_good(self, key: Key) -> tuple[Document, str] | None:
        """Return the last good state of a document whose file is faulty, and where it is from.

        That is "journal" (its history, or the image of the last checkpoint with it) or "backup".
        Return None if neither has the document.
        """
        with self._mending():
            try:
                document, source = self._read(key).document, "journal"
            except Corrupt as fault:
                layout = self._layouts[key.collection]
                document, source = rebuilt(self._journal.segments, key, layout), "journal"
                if document is None:
                    with suppress(Corrupt):
                        document, source = self._read_backup(key, fault).document, "backup"
            return (document, source) if document is not None else None

    def repair_file(self, key: Key, document: Document | None, remarks: Sequence[str]) -> str:
        """Set a faulty file aside and put the document in its place; return the name of the first.

        None leaves no file. Raises `Unavailable`, `OutOfSpace`.
        """
        path = self.path(key)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.draft")
        with self._mending():
            self._ready()
            self._refuse_looking()
            with self._publisher.lock.hold(), self.exclusive():
                aside_name = self.set_aside(key, remarks)
                try:
                    if document is None:
                        self._files.remove("repair", path)
                    else:
                        self._files.create("repair", draft, encode(document))
                        self._files.rename("repair", draft, path)
                    self._files.sync_folder("repair", path.parent)
                except OSError as error:
                    with suppress(OSError):
                        self._files.remove("repair", draft)
                    raise self._failed(error, f"cannot repair {self.name(key)}") from error
                self._follower.faults.pop(key, None)
        return aside_name

    def damage(self, key: Key) -> Corrupt | None:
        with self._mending():
            self._ready()
            return self._follower.damage(key)

    def raw(self, key: Key) -> bytes | None:
        with self._mending():
            self._ready()
            self._follower.follow()
            return self._raw(key)

    def _raw(self, key: Key) -> bytes | None:
        # Without the mutex: the read may merge a manual edit, and takes the folder lock for it.
        if self._is_ahead(key):
            document = self._read(key).document
            return encode(document) if document else None
        data, status = self._follower.content(self._follower.unknown(key))
        return data if status else None

    def _is_ahead(self, key: Key) -> bool:
        """Return whether the document has changes that its file does not show yet."""
        return self._follower.pending.get(key) is not None and self.fault(key) is None

    def size(self, key: Key) -> int:
        try:
            return self._files.status(self.path(key)).st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise from_os_error(error, f"cannot read {self.name(key)}") from error

    def history_bytes(self, actor: str) -> int:
        return self._publisher.usage.history_bytes(actor)

    def aside_bytes(self, owner: int) -> int:
        return self._publisher.usage.aside_bytes(owner)

    def count_usage(self) -> None:
        """Count now what `history_bytes` and `aside_bytes` return."""
        self._publisher.usage.count_all()

    @contextmanager
    def copies(self, keys: Sequence[Key]) -> Iterator[Mapping[Key, Copy]]:
        with self._mending(), ExitStack() as stack:
            for _ in range(_LOOKS_MAX):
                before = self._versions(keys)
                with suppress(Unavailable):  # on a full disk, memory has what no file shows
                    self.publish()
                with ExitStack() as opened:
                    copies = self._copies(keys, opened)
                    if self._versions(keys) == before:
                        stack.push(opened.pop_all())
                        break
            else:  # writers never pause
                with self.exclusive():
                    copies = self._copies(keys, stack)
            yield copies

    def _versions(self, keys: Sequence[Key]) -> list[object]:
        return [self._told(key)[1] for key in keys]

    def _told(self, key: Key) -> tuple[Document | None, object]:
        """Return the document and its version; None and the reason if it is unreadable."""
        try:
            return self._read(key)
        except Corrupt as fault:
            return None, str(fault)

    def _copies(self, keys: Sequence[Key], stack: ExitStack) -> dict[Key, Copy]:
        copies = {}
        for key in keys:
            if self._is_ahead(key):
                document, version = self._told(key)
                if document is not None:
                    copies[key] = Copy(stack.enter_context(io.BytesIO(encode(document))), document)
                if version is ABSENT or document is not None:
                    continue
            file = self._follower.opened(self._follower.unknown(key))
            if file is not None:
                stack.enter_context(file)
                # While the file has a fault, reads return another state than its bytes.
                document = self._told(key)[0] if self.fault(key) is None else None
                copies[key] = Copy(file, document)
        return copies

    def read_journal(self) -> None:
        """Apply what the journal has to the cache."""
        with self._mending():
            self._ready()
            self._follower.follow()

    def keys(self, collection: str) -> Iterator[Key]:
        self.read_journal()
        keys = set(self._keys_of_files(collection))
        for live in self._follower.unpublished(collection):
            if self.read(live.key).document is None:
                keys.discard(live.key)
            else:
                keys.add(live.key)
        return iter(sorted(keys))

    def _keys_of_files(self, collection: str) -> Iterator[Key]:
        layout = self._layouts[collection]
        pattern = re.compile(rf"{re.escape(layout.stem)}_([1-9][0-9]{{0,17}})\.json", re.ASCII)
        try:
            names = self._files.names(self.root / layout.name)
        except FileNotFoundError:
            self._follower.refuse_missing_root()
            names = []
        except OSError as error:
            raise from_os_error(error, f"cannot list {layout.name}") from error
        matches = map(pattern.fullmatch, names)
        return (Key(collection, int(match[1])) for match in matches if match)

    # History

    def sequence(self) -> int:
        with self._mending():
            self._ready()
            if self._only_looks:
                self._follower.follow()
        synced = self._journal.synced
        # While a restore replaces files, its number is withheld: a follower would read them too
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
        with self._mending():
            return self._feed.entries(since, limit, wanted, bytes_max)

    def condition(self) -> Condition:
        """Return statistics at a cost that does not grow with the data. Raises `Unavailable`."""
        self.read_journal()
        journal = self._journal
        numbers = journal.segments.numbers()
        sizes = []
        for number in numbers:
            try:
                sizes.append(self._files.status(journal.segments.path(number)).st_size)
            except FileNotFoundError:  # retired meanwhile
                continue
            except OSError as error:
                raise from_os_error(error, "cannot read the journal") from error
        with self._mending(), self._follower.mutex:
            since = [live.since for live in self._follower.pending.values()]
        return Condition(
            refusal=self._refusal(),
            first=min(numbers, default=0),
            last=journal.appended,
            checkpoint=journal.checkpointed,
            segments=len(sizes),
            journal_bytes=sum(sizes),
            waiting=len(since),
            behind=time.monotonic() - min(since) if since else 0.0,
        )

    def _refusal(self) -> str:
        try:
            self._refuse_looking()
            self._refuse_blocked()
        except Unavailable as fault:
            return fault.reason
        return ""

    # Writing

    def exclusive(self) -> AbstractContextManager[object]:
        """Admit one writer over threads and processes, with the journal applied to its end.

        Leaving the block waits until everything read and written inside is durable. Raises
        `Unavailable`.
        """
        if self._lock.held:
            return nullcontext()  # the outer block does everything
        with self._mending():
            self._prepare_to_write()
        if self._only_looks:
            return self._lock if self._files.exists(self._work / "lock") else nullcontext()
        return _HandedOut(self, self._exclusive)

    def _prepare_to_write(self) -> None:
        self._ready()
        if self._only_looks and self._may_write and not self._is_stopped:
            self._is_open = False  # the disk may have room again
            self._open()
        if self._journal.blocked or len(self._follower.pending) > BACKLOG_MAX:
            self._help_publishing()

    def _help_publishing(self) -> None:
        """Publish before more is written, since the reason why it failed may be gone."""
        if time.monotonic() < self._tried_to_publish + RETRY_SECONDS / 2:
            return
        with suppress(Unavailable):
            self._follower.follow()
            if self._journal.blocked:
                self._publisher.unblock()
            else:
                self._publisher.publish()
        self._tried_to_publish = time.monotonic()

    def _refuse_looking(self) -> None:
        if self._only_looks:
            raise self._reason

    def together(self, work: Callable[[], Result], *, here: bool = False) -> Result:
        if self._lock.held:
            return work()
        for _ in range(_LOOKS_MAX):
            try:
                return self._work_together(work, here)
            except _Unsettled as unsettled:
                with self._mending():
                    self._merge_edit(unsettled.key)
        return self._work_together(work, here=True)  # it waits under the lock

    def _work_together(self, work: Callable[[], Result], here: bool) -> Result:
        begun = []

        def begin() -> Result:
            begun.append(True)
            return work()

        try:
            try:
                return self._run(begin, here)
            except Unavailable:
                if begun or not self._is_to_be_opened_anew():
                    raise
                return self._run(work, here)  # nothing was done yet
        except StoreError:
            raise
        except BaseException:
            self._mend_after(inside=False)
            raise

    def _run(self, work: Callable[[], Result], here: bool) -> Result:
        if here:
            with self.exclusive():
                return work()
        self._prepare_to_write()
        return work() if self._only_looks else self._together.run(work)

    def _is_to_be_opened_anew(self) -> bool:
        """Return whether the folder that was opened is gone or was replaced."""
        if self._only_looks:
            return False
        return not self._is_open or self._journal.is_stale or self._journal.find_lost()

    def commit(self, commit: Commit) -> int:
        inside = self._lock.held
        try:
            if inside:
                return self._commit(commit)
            with self.exclusive():
                return self._commit(commit)
        except StoreError:
            raise
        except BaseException:
            self._mend_after(inside=inside)
            raise

    def _commit(self, commit: Commit) -> int:
        self._refuse_looking()
        if self._journal.is_in_doubt or self._journal.is_behind:
            self._writing.catch_up()
        self._refuse_blocked()
        with self._follower.mutex:
            on_files = {change.key for change in commit.changes if self._rests_on_file(change)}
            merged = [self._without_file(change) for change in commit.changes if change.merged]
            if merged:
                others = [change for change in commit.changes if not change.merged]
                commit = commit._replace(changes=(*merged, *others))
            payload = encode_entry(commit, on_files)
            for change in commit.changes:
                self._refuse_too_large(change, len(payload))
            kind = Kind.RELAXED if commit.relaxed else Kind.COMMIT
            # From here until `took`, an interruption leaves the cache in doubt: see `is_in_doubt`.
            sequence = self._journal.append(kind, payload)
            is_news = False
            for change in commit.changes:
                is_news = self._take_in(change, sequence, payload) or is_news
            self._journal.mark_applied(sequence, relaxed=commit.relaxed)
        if is_news and self._in_background:
            self._wake()
        return sequence

    def _refuse_blocked(self) -> None:
        self._journal.refuse_failed()
        if self._journal.blocked:
            error = OSError(self._journal.blocked, os.strerror(self._journal.blocked))
            raise from_os_error(error, "the files of documents cannot be written")

    def _rests_on_file(self, change: Change) -> bool:
        """Return whether the change is based on a file that the store did not write.

        Such a file is made durable first. Raises `Conflict` if the document's version is not the
        expected one.
        """
        try:
            stored = self._follower.stored(change.key, _NEWEST)
        except EditedByHand as edited:
            if change.merged is None and change.key not in self._merging:
                raise Conflict(f"{edited.live.name} was changed by hand meanwhile") from None
            stored = edited.live.stored(_NEWEST)
        if stored.version != change.expect:
            raise Conflict(f"{self.name(change.key)} was changed meanwhile")
        live = self._follower.live(change.key)
        if (fault := self._follower.fault(change.key)) is not None:
            raise fault
        if live.pending or live.is_ours or stored.document is None or change.merged is not None:
            return False
        try:
            self._files.sync_file("settle-base", live.path)
            self._files.sync_folder("settle-base", Path(live.path).parent)
        except OSError as error:
            raise self._failed(error, f"cannot make {live.name} durable") from error
        return True

    def _without_file(self, change: Change) -> Change:
        """Put the complete document into the entry if only the edited file and memory have it.

        Without this, a crash would leave only the file that the person overwrote.
        """
        image = self._follower.images.path(change.key)
        if change.after is None or self._files.exists(image):
            return change
        before = self._follower.last_good(change.key, _NEWEST).document
        replacement = Edit((), before.content if before else ABSENT, change.after.content)
        return change._replace(edits=(replacement,))

    def _take_in(self, change: Change, sequence: int, payload: bytes) -> bool:
        """Apply the change to the cache; return whether its file was up to date before."""
        live = self._follower.live(change.key)
        was_exact = not live.pending
        if not live.versions and change.after is not None and was_exact and change.expect is ABSENT:
            live.versions = ((0, None),)
        self._follower.add_pending(live, sequence, payload, is_own=True)
        if change.merged is not None:
            self._follower.note_merged(live, change.merged.token)
        if live.versions:
            live.add_version(sequence, change.after, self._journal.visible)
        return was_exact

    def _refuse_too_large(self, change: Change, added: int) -> None:
        live = self._follower.live(change.key)
        if change.after is None or live.size + added <= DOCUMENT_BYTES_MAX:
            return
        size = len(encode(change.after))
        before = self._follower.stored(change.key, _NEWEST).document
        # A change that shrinks the document is never refused: otherwise it could not become
        # smaller.
        if size > DOCUMENT_BYTES_MAX and not (before and size < len(encode(before))):
            raise TooLarge(f"{live.name} would have {size} bytes; {DOCUMENT_BYTES_MAX} is most")
        live.size = size - added

    def _failed(self, error: OSError, what: str) -> Unavailable:
        if error.errno == errno.EIO:
            return self._journal.fail(error)
        return from_os_error(error, what)

    # The folder: integrity, snapshots

    def check(self) -> Iterator[Finding]:
        for name, layout in self._layouts.items():
            if not layout.begun_later and not (self.root / name).is_dir():
                yield Finding(f"{name}/", "the folder is missing: run setup_data")
        strays = self._strays()
        if strays:  # writers create such names for a moment
            with (
                suppress(Unavailable),
                self._mending(),
                self._nobody_publishes(),
                self.exclusive(),
            ):
                strays = self._strays()
        yield from strays

    def _nobody_publishes(self) -> AbstractContextManager[object]:
        is_there = self._files.exists(self._work / "publishing")
        return self._publisher.lock if is_there else nullcontext()

    def _strays(self) -> list[Finding]:
        """Return findings about files in the folders that are not documents."""
        findings = []
        for name in filter(lambda name: (self.root / name).is_dir(), self._layouts):
            known = {self.path(key).name for key in self._keys_of_files(name)} | {"_index.json"}
            for entry in sorted((self.root / name).iterdir()):
                if entry.name in known:
                    problem = "" if entry.is_file() else "is not a file"
                elif _DRAFT.fullmatch(entry.name):
                    problem = "is a draft that a writer left when it died: remove it"
                elif _SET_ASIDE.fullmatch(entry.name):
                    remarks = self._note(entry.with_name(note_of(entry.name)))
                    problem = "is a version changed by hand that was not merged, or not wholly"
                    problem += f" ({'; '.join(remarks)})" if remarks else ""
                    problem += ": compare, then use or discard it on My files"
                elif _DISPLACED.fullmatch(entry.name):
                    problem = "is what a writer that died was replacing: the next start uses it"
                elif _SET_ASIDE_NOTE.fullmatch(entry.name):
                    problem = ""
                else:
                    problem = "is not a document and is left alone"
                if problem:
                    findings.append(Finding(f"{name}/{entry.name}", problem))
        for left in sorted([*self._swap.left(), *self._dead_pins()]):
            problem = "was left by a writer that died: the next start removes it"
            findings.append(Finding(str(left.relative_to(self.root)), problem))
        for torn in sorted((self._work / "journal").glob("torn-*")):
            problem = "is what a power cut left half written, and nobody was told of: remove it"
            findings.append(Finding(str(torn.relative_to(self.root)), problem))
        return findings

    def _dead_pins(self) -> list[Path]:
        """Return the folders of hard links that backups left when they died."""
        return [pins for pins in self._work.glob("pins-*") if not is_in_use(pins)]

    def document_names(self) -> list[str]:
        """Return the names of all documents under the root."""
        return [self.name(key) for collection in self._layouts for key in self.keys(collection)]

    def is_own_name(self, name: str) -> bool:
        """Return whether an archive's file may be written under the root: `<collection>/<file>`."""
        folder, _, file = name.partition("/")
        if not file.isprintable():  # control characters, and bytes that are not UTF-8
            return False
        return folder in self._layouts and re.fullmatch(r"[^./\\][^/\\]*", file) is not None

    def layout_of(self, name: str) -> CollectionLayout | None:
        """Return the layout of the document with this name; None for any other file."""
        folder, _, file = name.partition("/")
        layout = self._layouts.get(folder)
        is_document = layout and re.fullmatch(rf"{layout.stem}_[1-9][0-9]*\.json", file, re.ASCII)
        return layout if is_document else None

    @contextmanager
    def still(self) -> Iterator[None]:
        """Block all writers during the block, with all files up to date."""
        with self._mending():
            self._ready()
            self._refuse_looking()
            with self._publisher.lock.hold(), self.exclusive():
                for _ in range(_LOOKS_MAX):
                    if self._follower.pending:
                        self._journal.wait_durable(self._journal.followed)
                        self._publisher.publish()
                    if not self._merge_found():
                        break
                yield

    @contextmanager
    def pinned(
        self, select: Callable[[], Iterable[str]] | None = None
    ) -> Iterator[dict[str, Path]]:
        """Yield hard links to files of the collections, by name, all as of one moment.

        `select` runs while all writers are blocked and returns the names of the files; without it,
        every file is linked.
        """
        pins = self._work / f"pins-{secrets.token_hex(8)}"
        with ExitStack() as stack:
            with self.still():
                pins.mkdir(PRIVATE_FOLDER)
                stack.callback(shutil.rmtree, pins, ignore_errors=True)
                stack.enter_context(in_use(pins))
                pinned: dict[str, Path] = {}
                for name in select() if select else self._own_files():
                    pinned[name] = pins / f"{len(pinned)}"
                    pinned[name].hardlink_to(self.root / name)
            yield pinned

    def _own_files(self) -> Iterator[str]:
        """Yield the names of all files that belong into a backup."""
        for collection in self._layouts:
            for entry in sorted((self.root / collection).iterdir()):
                name = f"{collection}/{entry.name}"
                if entry.is_file() and self.is_own_name(name):
                    yield name

    def replace(self, contents: Mapping[str, bytes | None]) -> None:
        """Replace the contents of files under the root (None removes one), all or none.

        Afterwards, no earlier change is pending. Raises `Unavailable` or `OutOfSpace` if nothing
        was replaced. If only a part could be replaced, logs that and stops writing: the next
        process that opens the folder finishes the rest. If it is unknown whether the restore will
        be finished, raises `Unavailable` and stops writing.
        """
        with self._mending(), self.still():
            self._publisher.checkpoint()
            self._refuse_blocked()
            try:  # otherwise the backup's files would be merged as manual edits
                self._follower.images.clear()
            except OSError as error:
                raise self._failed(error, "cannot remove the images") from error
            self._note_restore()
            try:
                self._swap.replace(contents)
                self._follower.forget_files()
                self._journal.is_restoring = False
            except OSError as error:
                if self._swap.is_undecided:
                    # The next process may finish the restore: it would undo changes that are
                    # acknowledged until then.
                    raise self._journal.fail(error) from error
                self._journal.is_restoring = False
                raise self._failed(error, "cannot write") from error
            except Unavailable as fault:  # it is committed: the next process to open finishes it
                self._journal.fail(OSError(errno.EIO, str(fault)))
                log.error("%s", fault)

    def _note_restore(self) -> None:
        """Record durably that any document may change, before the restore changes it.

        The process that finishes a restore after a crash could not know whether this was recorded.
        """
        payload = msgspec.json.encode({"at": utc_text(datetime.now(UTC))})
        self._journal.is_restoring = True
        try:
            with self._follower.mutex:
                sequence = self._journal.append(Kind.RESTORED, payload)
                self._journal.mark_applied(sequence, relaxed=True)
            self._journal.sync()
        except BaseException:
            self._journal.is_restoring = False
            raise

    def _finish_restore(self) -> None:
        """Finish the restore of a process that died."""
        if self._swap.is_unfinished:
            self._swap.finish_left()
        else:
            self._swap.forget()
        self._journal.is_restoring = False

    def make_folder(self, path: Path) -> None:
        """Create a folder under the root durably."""
        self._files.make_folder("lay-out", path)

    def sync_folder(self, path: Path) -> None:
        """Make the names in such a folder durable."""
        self._files.sync_folder("settle-names", path)


_FORBIDDEN: Final = {errno.EROFS, errno.EACCES, errno.EPERM}
_DRAFT: Final = re.compile(r"\..*\.draft")
_DISPLACED: Final = re.compile(
    r"\.[^.]*_([1-9][0-9]*)\.json\.[0-9a-f]+\.[0-9]+-[0-9]+-[0-9]+\.exchange", re.ASCII
)
_SET_ASIDE: Final = re.compile(r".*\.set-aside-[-0-9TZ.]+\.json", re.ASCII)
_SET_ASIDE_NOTE: Final = re.compile(r".*\.set-aside-[-0-9TZ.]+\.txt", re.ASCII)


def _keeps_from_writing(error: Exception) -> bool:
    """Return whether the error only prevents writing, so that the folder can still be read."""
    if isinstance(error, OSError | OutOfSpace):
        return True
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _FORBIDDEN


def _is_failed_disk(error: OSError | Unavailable) -> bool:
    fault = error if isinstance(error, OSError) else error.__cause__
    return isinstance(fault, OSError) and fault.errno == errno.EIO


def _as_unavailable(error: OSError | Unavailable, what: str) -> Unavailable:
    return from_os_error(error, what) if isinstance(error, OSError) else error


_backends: weakref.WeakSet[FilesBackend] = weakref.WeakSet()


def _renew_after_fork() -> None:
    for backend in tuple(_backends):
        backend._forked()


def _close_all() -> None:
    for backend in tuple(_backends):
        try:
            if backend._background:  # a process that wrote nothing has nothing to finish
                backend.close()
        except (Unavailable, Corrupt) as fault:
            log.error("closing %s: %s", backend.root, fault)


os.register_at_fork(after_in_child=_renew_after_fork)
atexit.register(_close_all)
