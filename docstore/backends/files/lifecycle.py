"""Opens a data folder, again after another process recovered or replaced it, and closes it."""

from __future__ import annotations

import errno
import logging
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from docstore.backend import WORK_FOLDER
from docstore.backends.files.group_commit import WriterSession
from docstore.backends.files.leftovers import DRAFT
from docstore.backends.files.parts import FolderParts
from docstore.disk.mount_checks import refuse_network, require_shared_memory
from docstore.disk.shared_words import Words
from docstore.document import Key
from docstore.errors import OutOfSpace, Unavailable, from_os_error
from docstore.journal.log import Journal
from docstore.journal.state import STATE_WORDS

log = logging.getLogger(__name__)

DISPLACED: Final = re.compile(
    r"\.[^.]*_([1-9][0-9]*)\.json\.[0-9a-f]+(?:\.[0-9]+-[0-9]+-[0-9]+){1,2}\.exchange", re.ASCII
)
_FORBIDDEN: Final = {errno.EROFS, errno.EACCES, errno.EPERM}


class Lifecycle:
    """Whether the folder is open, and for what.

    Invariants: while `is_open`, the journal's position and the cache belong to the folder that has
    the name now, or the journal is stale. A process that opened for reading (`is_read_only`)
    changes nothing in the folder. After its disk failed, a process never writes again: a second
    sync would report the data that the first one lost as durable.
    """

    def __init__(
        self,
        parts: FolderParts,
        sessions: Sequence[WriterSession],
        *,
        may_write: bool,
        on_open: Callable[[], None],
    ) -> None:
        self._folder, self._files, self._journal = parts.folder, parts.folder.files, parts.journal
        self._cache, self._feed, self._publisher = parts.cache, parts.feed, parts.publisher
        self._replace, self._repair, self._sessions = parts.replace, parts.repair, sessions
        self._may_write, self._on_open = may_write, on_open
        self.is_open = self.is_read_only = False
        self._is_stopped = False  # the disk failed: this process no longer writes
        self._reason = Unavailable("")  # why it is read-only
        self._root_identity: tuple[int, int] | None = None
        self._displaced: list[tuple[Key, str]] = []  # files that dead processes displaced

    # Opening

    def ensure_open(self) -> None:
        """Open the folder, again after a fork or after another process recovered the journal."""
        if not self.is_open or self._journal.is_stale:
            self.open()

    def open(self) -> None:
        """Open the folder if it is not open. Finish what a dead process began."""
        with self._repair.opening:
            if self.is_open and not self._journal.is_stale:
                return
            self._rescue()
            self.is_open = False  # until it has succeeded: it may be interrupted at any line
            self._cache.forget()
            self._feed.forget()
            if not self._may_write:
                self._open_readonly(Unavailable(f"{self._folder.root} was opened for reading"))
                return
            try:
                self._open_to_write()
            except (OSError, Unavailable) as error:
                self._folder.processes.leave()
                reason = _as_unavailable(error, f"cannot open {self._folder.root}")
                if not self._folder.is_there or not _keeps_from_writing(error):
                    raise reason from error
                log.warning("%s can only be read: %s", self._folder.root, error)
                self._is_stopped = _is_failed_disk(error)
                self._open_readonly(reason)

    def reopen_to_write(self) -> None:
        """Open again if the folder could only be read: the disk may have room again."""
        if self.is_read_only and self._may_write and not self._is_stopped:
            self.is_open = False
            self.open()

    def _open_readonly(self, reason: Unavailable) -> None:
        """Open for reading, if writing is not wanted or not possible."""
        self.is_read_only, self._reason = True, reason
        self._journal.open_readonly()
        self.is_open = True

    def _open_to_write(self) -> None:
        folder = self._folder
        refuse_network(self._files, folder.root)
        for name in folder.layouts:
            self._files.make_folder("lay-out", folder.root / name)
        self._root_identity = self._files.identity(folder.root)
        self._files.make_folder("lay-out", folder.journal)
        with folder.opening_lock.hold():
            require_shared_memory(self._files, folder.work / "opening", folder.journal / "state")
            try:
                self._open_journal()
            except OSError as error:
                if not self._publisher.release_reserve(error):
                    raise
                self._open_journal()
            self._publisher.keep_reserve_if_possible()
            self._return_displaced()
        self.is_read_only = False
        self.is_open = True
        self._cache.follow()
        self._on_open()

    def _open_journal(self) -> None:
        folder = self._folder
        alone = folder.processes.join()
        words = self._files.shared_words(folder.journal / "state", STATE_WORDS)
        if self._must_recover(alone, words):
            with folder.lock.hold():
                self._sweep()
                if alone:
                    self._settle_folders()
                    self._displaced = self._sweep_drafts()
                self._journal.recover(words)
        else:
            if folder.lock.try_lock():  # a reader need not wait for a writer
                try:
                    self._sweep()
                finally:
                    folder.lock.release()
            self._journal.attach(words)
        for session in self._sessions:
            session.times_opened = folder.lock.times_opened

    @staticmethod
    def _must_recover(alone: bool, words: Words) -> bool:
        """Return whether to recover the journal: a crash makes the shared numbers meaningless."""
        return alone or Journal.must_recover(words)

    # What dead processes left

    def _settle_folders(self) -> None:
        """Make the folders durable: their creator may have been killed before they were."""
        folder = self._folder
        with suppress(PermissionError):  # then this process did not create the root in it
            self._files.sync_folder("lay-out", folder.root.parent)
        self._files.sync_folder("lay-out", folder.root)
        self._files.sync_folder("lay-out", folder.work)

    def _sweep(self) -> None:
        """Finish or discard the restores and backups of dead processes."""
        self._replace.finish_or_discard()
        for pins in self._folder.dead_pins():
            shutil.rmtree(pins, ignore_errors=True)

    def _sweep_drafts(self) -> list[tuple[Key, str]]:
        """Remove the drafts of dead processes; return the files that they had displaced.

        No other process has the folder open.
        """
        root, work = self._folder.root, self._folder.work
        displaced = []
        self._cache.images.sweep()
        for entry in self._files.names(work):
            if entry.endswith(".draft"):
                self._files.remove("sweep", work / entry)
        for name in self._folder.layouts:
            for entry in self._files.names(root / name):
                if DRAFT.fullmatch(entry):
                    self._files.remove("sweep", root / name / entry)
                elif match := DISPLACED.fullmatch(entry):
                    displaced.append((Key(name, int(match[1])), f"{root}/{name}/{entry}"))
        return displaced

    def _return_displaced(self) -> None:
        """Restore the saves that a dead process had displaced: see `Publisher.return_displaced`.

        Requires the opening lock: another process could not tell whose they are.
        """
        if self._displaced:
            self._cache.follow()
        while self._displaced:
            self._publisher.return_displaced(*self._displaced[-1])
            self._displaced.pop()

    # A journal that was taken away

    @property
    def must_open_again(self) -> bool:
        """Return whether the folder that was opened is gone or was replaced."""
        if self.is_read_only:
            return False
        return not self.is_open or self._journal.is_stale or self._journal.find_lost()

    def _rescue(self) -> None:
        """Restore a journal that was removed while this process had it open, from memory.

        The documents' files are written first. Raises `Unavailable` if it cannot be restored.
        """
        folder = self._folder
        if not self.is_open or not self._journal.find_lost():
            return
        there = self._files.identity(folder.root)
        if there is None:
            raise Unavailable(
                f"the data folder {folder.root} is not there: put it back or mount its disk"
            )
        if there != self._root_identity:
            return  # another folder took its place on purpose
        if folder.lock.held:
            raise Unavailable("the journal was deleted, moved or replaced: try again", 1)
        folder.processes.leave()
        try:
            self._files.make_folder("lay-out", folder.journal)
            with (
                folder.opening_lock.hold(),
                folder.publishing_lock.hold(),
                folder.lock.hold(),
                self._cache.mutex,
            ):
                if self._journal.is_replaced:
                    return  # another process did this first
                self._write_from_memory()
        except OSError as error:
            raise write_failed(self._journal, error, "cannot write the journal anew") from error

    def _write_from_memory(self) -> None:
        journal = self._journal
        if journal.has_segments:
            journal.release_page()
            return
        if journal.has_torn_append:
            self._cache.recover_tail()
        self._cache.follow()
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
            self._folder.journal,
            WORK_FOLDER,
        )

    # Refusals

    def require_writable(self) -> None:
        """Raise `Unavailable` if the folder was opened for reading."""
        if self.is_read_only:
            raise self._reason

    # Closing

    def close(self, publish: Callable[[], None]) -> None:
        """Bring every file up to date with `publish`, and release all resources."""
        if not self.is_open:
            return
        try:
            if not self.is_read_only and not self._journal.has_failed:
                publish()
                # Without the lock, a process could open the journal while this one closes it.
                with self._folder.opening_lock.hold():
                    if self._folder.processes.alone():
                        self._publisher.close()
        finally:
            self.release()

    def release(self) -> None:
        """Release all resources, as if the process had died."""
        folder = self._folder
        self.is_open = False
        self._journal.close()
        folder.processes.leave()
        for lock in (folder.lock, folder.publishing_lock, folder.opening_lock):
            lock.close()
        self._cache.forget()

    def reset_after_fork(self) -> None:
        """Reset in a forked child: it opens all files itself."""
        self.is_open = self._is_stopped = False


def write_failed(journal: Journal, error: OSError, what: str) -> Unavailable:
    """Return the error to raise if a file could not be written; an I/O error fails the journal."""
    if error.errno == errno.EIO:
        return journal.fail(error)
    return from_os_error(error, what)


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
