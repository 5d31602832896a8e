"""One moment of all files, for backups, and the replacement of all files by those of a backup."""

from __future__ import annotations

import errno
import logging
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from docstore.backends.files.commits import Committer
from docstore.backends.files.lifecycle import Lifecycle, write_failed
from docstore.backends.files.parts import FolderParts
from docstore.backends.files.publishing_loop import PublishingLoop
from docstore.backends.files.writer import WriterAccess
from docstore.disk.filesystem import PRIVATE_FOLDER
from docstore.disk.locks import in_use
from docstore.errors import Unavailable
from docstore.journal.frames import Kind
from docstore.timestamps import format_utc

log = logging.getLogger(__name__)

_ROUNDS_MAX: Final = 5


class FileSnapshots:
    """The files of all documents at once.

    Invariants: within `still`, no process changes a document, and every file is up to date. A
    replacement is all or none, and the change feed reports it before the first file changes.
    """

    def __init__(
        self,
        parts: FolderParts,
        lifecycle: Lifecycle,
        writer: WriterAccess,
        loop: PublishingLoop,
        committer: Committer,
    ) -> None:
        self._folder, self._journal, self._cache = parts.folder, parts.journal, parts.cache
        self._publisher, self._replace = parts.publisher, parts.replace
        self._repair = parts.repair
        self._lifecycle, self._writer = lifecycle, writer
        self._loop, self._committer = loop, committer

    @contextmanager
    def still(self) -> Iterator[None]:
        """Block all writers during the block, with all files up to date."""
        with self._repair.guard():
            self._lifecycle.ensure_open()
            self._lifecycle.require_writable()
            with self._folder.publishing_lock.hold(), self._writer.exclusive():
                for _ in range(_ROUNDS_MAX):
                    if self._cache.pending:
                        self._journal.wait_durable(self._journal.followed)
                        self._publisher.publish()
                    if not self._loop.merge_edited():
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
        pins = self._folder.work / f"pins-{secrets.token_hex(8)}"
        with ExitStack() as stack:
            with self.still():
                pins.mkdir(PRIVATE_FOLDER)
                stack.callback(shutil.rmtree, pins, ignore_errors=True)
                stack.enter_context(in_use(pins))
                pinned: dict[str, Path] = {}
                for name in select() if select else self._folder.own_files():
                    pinned[name] = pins / f"{len(pinned)}"
                    pinned[name].hardlink_to(self._folder.root / name)
            yield pinned

    def replace(self, contents: Mapping[str, bytes | None]) -> None:
        """Replace the contents of files under the root (None removes one), all or none.

        Afterwards, no earlier change is pending. Raises `Unavailable` or `OutOfSpace` if nothing
        was replaced. If only a part could be replaced, logs that and stops writing: the next
        process that opens the folder finishes the rest. If it is unknown whether the restore will
        be finished, raises `Unavailable` and stops writing.
        """
        with self._repair.guard(), self.still():
            self._publisher.checkpoint()
            self._committer.require_unblocked()
            try:  # otherwise the backup's files would be merged as manual edits
                self._cache.images.clear()
            except OSError as error:
                raise write_failed(self._journal, error, "cannot remove the images") from error
            self._note_restore()
            try:
                self._replace.replace(contents)
                self._cache.forget_files()
                self._journal.is_restoring = False
            except OSError as error:
                if self._replace.is_undecided:
                    # The next process may finish the restore: it would undo changes that are
                    # acknowledged until then.
                    raise self._journal.fail(error) from error
                self._journal.is_restoring = False
                raise write_failed(self._journal, error, "cannot write") from error
            except Unavailable as fault:  # it is committed: the next process to open finishes it
                self._journal.fail(OSError(errno.EIO, str(fault)))
                log.error("%s", fault)

    def _note_restore(self) -> None:
        """Record durably that any document may change, before the restore changes it.

        The process that finishes a restore after a crash could not know whether this was recorded.
        """
        payload = msgspec.json.encode({"at": format_utc(datetime.now(UTC))})
        self._journal.is_restoring = True
        try:
            with self._cache.mutex:
                sequence = self._journal.append(Kind.RESTORED, payload)
                self._journal.mark_applied(sequence, relaxed=True)
            self._journal.sync()
        except BaseException:
            self._journal.is_restoring = False
            raise
