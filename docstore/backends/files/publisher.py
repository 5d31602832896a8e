"""Publishing: writing the documents' files from the journal, and checkpoints.

Steps of a publication: Each due document is written to a draft (a temporary file) beside its file,
durably. A note in the journal lists which drafts are about to become which files, and is made
durable with everything before it. So no file ever shows what the journal could lose, and the token
of such a file proves that the store wrote it. Then the drafts are renamed, and a second note says
so.

None of this makes the new *names* durable. After a power cut, a file may be an older one, complete
and known, and the journal has the changes that it lacks. A *checkpoint* publishes everything, makes
the names durable, and records up to which frame. Older segments are then history, retained as
`History` says. The checkpoint also writes the images of what was published (`images`).

A file that a person edited while changes for it were pending is noted in `_edited` and not
replaced: the backend merges it first. If the store does not merge, the edited file is preserved
under another name.
"""

from __future__ import annotations

import errno
import logging
import math
import resource
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from docstore.backends.files.asides import set_aside
from docstore.backends.files.document_cache import (
    CachedDocument,
    FileDocumentCache,
    PublishedNote,
    Token,
    file_id_of,
)
from docstore.backends.files.group_commit import WriterSession
from docstore.backends.files.images import Shown
from docstore.backends.files.usage import Usage
from docstore.codec import encode
from docstore.disk.filesystem import Draft, Status
from docstore.disk.locks import FolderLock, ring
from docstore.document import Document, Key
from docstore.errors import Corrupt, StoreError, Unavailable, from_os_error
from docstore.journal.frames import Kind
from docstore.journal.pruning import FULL
from docstore.journal.trimming import Trimmer

log = logging.getLogger(__name__)

# Seconds after the first pending change until a document is published: for changes of this process,
# and for those of other processes, which publish them first; the same for larger documents.
GATHER: Final = 0.06
LEAVE: Final = 0.25
GATHER_LARGE: Final = 0.4
LEAVE_LARGE: Final = 1.5
LARGE_BYTES: Final = 1_000_000
CHECKPOINT_SECONDS: Final = 5.0
# The largest share of the time that checkpoints take, however many documents change.
_CHECKPOINT_SHARE: Final = 0.05
_REST: Final = 0.01
RETRY_SECONDS: Final = 0.25
RESERVE_BYTES: Final = 1024 * 1024
_TOO_MANY_OPEN: Final = {errno.EMFILE, errno.ENFILE}
_BATCH_BYTES: Final = 16 * 1024 * 1024
_BATCH_FILES: Final = 64
# Open files that a process needs besides: connections, locks, the journal, libraries.
FILES_NEEDED: Final = 64


def files_at_once() -> int:
    """Return how many files to write at once: at most half of the limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _BATCH_FILES
    return max(1, min(_BATCH_FILES, (soft - FILES_NEEDED) // 2))


@dataclass(frozen=True)
class History:
    """The retention of journal segments that the files no longer need.

    Segments older than `days` are deleted (never, if negative). If all together exceed `bytes_max`,
    actors whose changes exceed their `share` of that lose their oldest changes first, and then the
    oldest segments are deleted. Nothing of the last `keep_seconds` is deleted for its size, unless
    the disk is full.
    """

    days: float = 30.0
    bytes_max: int = 1024 * 1024 * 1024
    share: float = 1.0
    keep_seconds: float = 0.0


def displaced_name(path: str, expected: Token, draft: Token) -> str:
    """Return the name under which a draft waits to be exchanged with the document's file.

    It tells the store's own files from a save that the exchange displaced: the expected file, and
    the draft itself.
    """
    folder, _, name = path.rpartition("/")
    start = ".".join(name.split(".")[:4])  # ".tasks_7.json.<random>"
    return f"{folder}/{start}.{_token_text(expected)}.{_token_text(draft)}.exchange"


def _token_text(token: Token) -> str:
    return "-".join(map(str, token))


@dataclass(slots=True)
class _TempFile:
    """A document's new file before the rename.

    `path` is empty if nothing is to be written: the document was deleted, or its file is up to
    date.
    """

    live: CachedDocument
    sequence: int
    path: str = ""
    content: bytes = b""
    mtime_ns: int = 0
    file: Token | None = None

    @property
    def note(self) -> PublishedNote:
        """Return the draft's entry in a publication note."""
        key = self.live.key
        return PublishedNote(key.collection, key.owner, self.sequence, self.file)


class Publisher:
    """The publisher of a cache's documents.

    Lock order: a holder of `lock` may enter `writing`, but not the other way round.
    """

    def __init__(
        self,
        cache: FileDocumentCache,
        lock: FolderLock,
        writing: WriterSession,
        history: History,
    ) -> None:
        self._cache, self._writing, self._history = cache, writing, history
        self._files, self._journal = cache.files, cache.journal
        self.lock = lock
        self._trimmer = Trimmer(self._files, self._journal, writing)
        folders = [cache.root / layout.name for layout in cache.layouts.values()]
        self.usage = Usage(self._files, self._journal, folders)
        self._reserve = cache.root / ".neuralflow" / "reserve"
        self._checkpointed_at = time.monotonic()
        self._checkpoint_seconds = CHECKPOINT_SECONDS  # until the next one
        self._complaint = ""
        self._files_max = files_at_once()
        self._edited: set[Key] = set()
        self._faults: dict[Key, str] = {}  # why documents cannot be published, as logged

    def take_edited(self) -> list[Key]:
        """Return the documents whose files were edited, and clear the list."""
        edited, self._edited = self._edited, set()
        return sorted(edited)

    def publish(self, is_due: Callable[[CachedDocument], bool] = lambda live: True) -> None:
        """Publish all documents that are visible and due. Raises `Unavailable`, `OutOfSpace`."""
        if not self._cache.pending:
            return
        with self.lock.hold():
            self._journal.refuse_failed()
            self._cache.follow()
            try:
                self._publish_with_room(is_due)
            except OSError as error:
                if not self.release_reserve(error):
                    raise self._failed(error) from error
                failure = self._failed(error)
                try:
                    self._publish_all(is_due)
                except OSError:
                    raise failure from error

    def _publish_with_room(self, is_due: Callable[[CachedDocument], bool]) -> None:
        """Publish, and make room for it if the disk is full or too many files are open.

        On a full disk, history is deleted. With too many open files, fewer are written at once.
        Raises `OSError`.
        """
        while True:
            try:
                self._publish_all(is_due)
            except OSError as error:
                if error.errno in _TOO_MANY_OPEN and self._files_max > 1:
                    self._files_max = max(self._files_max // 4, 1)
                elif not self._journal.make_room(error):
                    raise
            else:
                return

    def _publish_all(self, is_due: Callable[[CachedDocument], bool]) -> None:
        visible = self._journal.visible
        for batch in self._batches(filter(is_due, list(self._cache.pending.values()))):
            self._publish(batch, visible)

    # Space. Acknowledged changes must reach the files on a full disk, too. A reserve file holds the
    # space for that. Once it is used, writing stops until it can be created again.

    def keep_reserve(self) -> None:
        """Create the reserve if it is missing. Raises `OSError`, such as for a full disk."""
        if not self._files.exists(self._reserve):
            draft = self._reserve.with_name(f"reserve-{secrets.token_hex(8)}.draft")
            try:
                self._files.create_zeroed("reserve", draft, RESERVE_BYTES)
                self._files.rename("reserve-name", draft, self._reserve)
            except OSError:
                with suppress(OSError):
                    self._files.remove("reserve", draft)
                raise

    def keep_reserve_if_possible(self) -> None:
        """Create the reserve; if there is no room for it, block writing until there is."""
        try:
            self.keep_reserve()
        except OSError as error:
            self._failed(error)

    def release_reserve(self, error: OSError) -> bool:
        """Remove the reserve if `error` means a full disk; return whether that freed room."""
        if error.errno not in FULL or not self._files.exists(self._reserve):
            return False
        try:
            self._files.remove("reserve-used", self._reserve)
        except OSError:
            return False
        return True

    def unblock(self) -> None:
        """Publish everything, create the reserve, and allow writing.

        Raises `Unavailable`, `OutOfSpace`.
        """
        with self.lock.hold():
            self._cache.follow()
            self.publish()
            while True:
                try:
                    self.keep_reserve()
                    break
                except OSError as error:
                    if not self._journal.make_room(error):
                        raise self._failed(error) from error
            self._journal.blocked = 0

    def _batches(self, due: Iterable[CachedDocument]) -> Iterable[list[CachedDocument]]:
        batch: list[CachedDocument] = []
        for live in due:
            if live.key.collection not in self._cache.layouts:
                continue  # of a process with more layouts, which knows its file's name
            batch.append(live)
            if len(batch) >= self._files_max or sum(other.size for other in batch) > _BATCH_BYTES:
                yield batch
                batch = []
        if batch:
            yield batch

    def _publish(self, batch: list[CachedDocument], visible: int) -> None:
        drafts: list[_TempFile] = []
        try:
            for live in batch:
                drafts += self._draft(live, visible)
            if not drafts:
                return
            self._write([draft for draft in drafts if draft.path])
            notes = [draft.note for draft in drafts]
            noted = self._note(Kind.PUBLISHING, notes, is_done=False)
            # Durable before the renames: otherwise a power cut could leave a file that shows more
            # than the journal has.
            self._settle(noted)
            named = []
            while drafts:
                if self._name(drafts[-1]):
                    named.append(drafts[-1].note)
                elif drafts[-1].path:
                    self._files.remove("take-back", drafts[-1].path)
                drafts.pop()
            if named:
                self._note(Kind.PUBLISHED, named[::-1], is_done=True)
        finally:
            for draft in drafts:
                if draft.path:
                    with suppress(OSError):
                        self._files.remove("take-back", draft.path)

    def _settle(self, sequence: int) -> None:
        """Make the frame durable. Without this, a file could show what a power cut takes back."""
        if self._journal.synced < sequence:
            self._journal.sync()

    def publish_without_notes(self) -> None:
        """Publish all files and make them durable while no journal can take notes.

        Requires all locks and all frames followed. Raises `OSError`, `Unavailable`.
        """
        last = self._journal.appended
        for batch in self._batches(list(self._cache.pending.values())):
            drafts = [draft for live in batch for draft in self._draft(live, last)]
            self._write([draft for draft in drafts if draft.path])
            for draft in drafts:
                self._name(draft)
                if draft.file is not None:  # so that a repeated attempt recognizes its file
                    draft.live.tokens[draft.file] = draft.sequence
        self._settle_names()

    def _note(self, kind: Kind, notes: list[PublishedNote], *, is_done: bool) -> int:
        with self._writing, self._cache.mutex:
            sequence = self._journal.append(kind, msgspec.json.encode(notes))
            self._cache.note_files(notes, is_done=is_done)
            self._journal.mark_applied(sequence, relaxed=True)
        return sequence

    def _write(self, drafts: list[_TempFile]) -> None:
        """Write the new files, durable except for their names."""
        self._cache.refuse_missing_root()
        for folder in {Path(draft.path).parent for draft in drafts}:
            self._files.make_folder("lay-out", folder)
        files = [Draft(draft.path, draft.content, draft.mtime_ns) for draft in drafts]
        for draft, status in zip(drafts, self._files.create_all("draft", files), strict=True):
            draft.file = file_id_of(status)
            draft.live.size = len(draft.content)

    def _draft(self, live: CachedDocument, visible: int) -> list[_TempFile]:
        """Return a draft that makes the file show the visible document; none if nothing is due."""
        if not live.pending or live.pending[0][0] > visible:
            return []
        try:
            shown, document = self._cache.version(live, visible)
        except Corrupt as fault:  # a person has to repair the file; other documents go on
            if self._faults.get(live.key) != str(fault):  # log it once
                log.error("cannot publish: %s", fault)
            self._faults[live.key] = str(fault)
            return []
        self._faults.pop(live.key, None)
        sequence = max(shown, *(frame for frame, _ in live.pending if frame <= visible))
        content = encode(document) if document else None
        before = self._look_at(live)
        if before and self._is_edit(live, before, content):
            return []
        if before and live.tokens.get(file_id_of(before), 0) >= sequence and content is not None:
            return [_TempFile(live, sequence, file=file_id_of(before))]
        if content is None:
            return [_TempFile(live, sequence)]
        earliest = before.st_mtime_ns + 1 if before else 0
        mtime_ns = max(time.time_ns(), earliest)
        return [_TempFile(live, sequence, self._draft_path(live), content, mtime_ns)]

    @staticmethod
    def _draft_path(live: CachedDocument) -> str:
        folder, _, name = live.path.rpartition("/")
        return f"{folder}/.{name}.{secrets.token_hex(8)}.draft"

    def _look_at(self, live: CachedDocument) -> Status | None:
        """Return the metadata of the file to replace; None if it does not exist."""
        try:
            return self._files.status(live.path)
        except FileNotFoundError:
            return None

    def _is_outdated(self, live: CachedDocument, content: bytes | None) -> bool:
        """Return whether an unknown file has no content that the journal does not have.

        That is so for the file of a document that was deleted or begun again, if a crash prevented
        its publication.
        """
        try:
            data, _ = self._files.read(live.path)
        except OSError:
            return False
        return data == content or self._cache.matches_pending_base(live, data)

    def _is_edit(self, live: CachedDocument, there: Status, content: bytes | None) -> bool:
        """Return whether the file is an edit to be merged first; then note it.

        Without this check, the publication would replace what a person has just saved.
        """
        token = file_id_of(there)
        if not self._cache.merges or token in live.tokens or token in live.merged:
            return False
        if self._cache.faults.get(live.key, (None,))[0] == token:
            return True
        if self._is_outdated(live, content):
            return False
        self._edited.add(live.key)
        return True

    def _set_aside(self, live: CachedDocument) -> None:
        aside_name = set_aside(self._files, live.path, self._cache.clock())
        log.warning(
            "%s was edited by hand while a change was pending: the edited file is preserved as %s,"
            " and the change is in %s",
            live.name,
            aside_name,
            live.name,
        )

    def _name(self, draft: _TempFile) -> bool:
        """Rename the draft, or remove the file; return False if the file must be merged first.

        The file is examined only now, since a person may have saved it while the draft was written.
        """
        live = draft.live
        if not draft.path and draft.file is not None:
            return True  # the file shows it already
        there, content = self._look_at(live), draft.content or None
        if there is not None and self._is_edit(live, there, content):
            return False
        if not self._shows_ours(live, there) and not self._is_outdated(live, content):
            self._set_aside(live)
        if not draft.path:
            if there is not None:  # or it could remove a file that is just created
                self._files.remove("unpublish", live.path)
        elif there is not None and self._cache.merges:
            return self._replace(draft, file_id_of(there))
        else:
            self._files.rename("publish", draft.path, live.path)
        return True

    @staticmethod
    def _shows_ours(live: CachedDocument, there: Status | None) -> bool:
        """Return whether the file is missing, written by the store, or merged."""
        return there is None or file_id_of(there) in live.tokens or file_id_of(there) in live.merged

    def _replace(self, draft: _TempFile, expected: Token) -> bool:
        """Replace the file by the draft if it is still the expected one; otherwise return False.

        Without the exchange, a save between the check and the rename would be lost.
        """
        live, path = draft.live, draft.live.path
        assert draft.file is not None, "only a written draft replaces a file"
        # Under a draft's name, the next opening would sweep a displaced save away if this process
        # died before it gave the save back.
        displaced_path = displaced_name(draft.path, expected, draft.file)
        self._files.rename("publish-ready", draft.path, displaced_path)
        draft.path = ""  # from here on, the name may hold a save, which no error may remove
        try:
            is_exchanged = self._files.exchange("publish", displaced_path, path)
        except OSError:
            with suppress(OSError):
                self._files.remove("take-back", displaced_path)
            raise
        if not is_exchanged:
            self._files.rename("publish", displaced_path, path)
            return True
        placed, displaced = draft.file, file_id_of(self._files.status(displaced_path))
        if displaced == expected:
            self._files.remove("publish-replaced", displaced_path)
            return True
        self._edited.add(live.key)
        is_settled = False
        while not is_settled:  # until no save came in between: then the file is the newest save
            self._files.exchange("publish-back", displaced_path, path)
            before, placed = placed, displaced
            displaced = file_id_of(self._files.status(displaced_path))
            is_settled = displaced == before
        if displaced == draft.file:
            self._files.remove("take-back", displaced_path)
        else:
            self._set_displaced_aside(live, displaced_path)
        return False

    def _set_displaced_aside(self, live: CachedDocument, path: str) -> None:
        """Preserve a save that a newer one displaced, which is merged instead."""
        aside_name = set_aside(self._files, live.path, self._cache.clock(), path)
        self._files.remove("publish-replaced", path)
        log.warning(
            "%s was saved twice by hand while the store wrote it: the first save is preserved as"
            " %s, and the second one is merged",
            live.name,
            aside_name,
        )

    def return_displaced(self, key: Key, path: str) -> None:
        """Give back a save that a process displaced from the document's file before it died.

        It becomes the file again, to be merged, or is set aside if the file is another save. A file
        of the store is removed. No other process may have the folder open. Raises `OSError`.
        """
        live = self._cache.live(key)
        token = file_id_of(self._files.status(path))
        is_done = token in live.merged or self._has_other_name(live, path)
        is_ours = token in live.tokens or _token_text(token) in path.split(".")
        if is_done or is_ours:
            self._files.remove("sweep", path)
        elif self._cache.is_of_store(live):
            self._files.rename("publish-back", path, live.path)
        else:
            self._set_displaced_aside(live, path)

    def _has_other_name(self, live: CachedDocument, path: str) -> bool:
        """Return whether the displaced file is the document's file, or was set aside.

        A power cut may bring the displaced name back after the file got the other one. Without this
        check, the save would be merged over newer ones.
        """
        folder, _, name = live.path.rpartition("/")
        start = f"{name.removesuffix('.json')}.set-aside-"
        others = [other for other in self._files.names(folder) if other.startswith(start)]
        identity = self._files.identity(path)
        return any(
            self._files.identity(f"{folder}/{other}") == identity for other in [name, *others]
        )

    def _failed(self, error: OSError) -> Unavailable:
        if error.errno == errno.EIO:
            return self._journal.fail(error)
        self._journal.blocked = error.errno or errno.EIO
        return from_os_error(error, "cannot write the files of documents")

    # Checkpoints

    def checkpoint(self) -> None:
        """Publish everything durably, and retire the segments that are no longer needed.

        Raises `Unavailable`, `OutOfSpace`.
        """
        with self.lock.hold():
            self._cache.follow()
            visible = self._journal.visible
            self.publish()
            begin = self._checkpointed_at = time.monotonic()
            if self._cache.is_checkpointed:
                return
            try:
                # The note comes last: segments up to it may be deleted, so names and images must be
                # durable.
                self._settle_names()
                self._write_images()
                self._note_checkpoint(visible)
            except OSError as error:
                raise self._failed(error) from error
            took = time.monotonic() - begin
            self._checkpoint_seconds = max(CHECKPOINT_SECONDS, took / _CHECKPOINT_SHARE)
            self.retire()

    def close(self) -> None:
        """Write the last checkpoint and close the journal. No other process has it open."""
        self.checkpoint()
        with self._writing, self._cache.mutex:
            if not self._cache.pending and not self._journal.is_closed_cleanly:
                self._journal.close_cleanly()

    def _settle_names(self) -> None:
        for layout in self._cache.layouts.values():
            with suppress(FileNotFoundError):  # a person removed the folder
                self._files.sync_folder("settle-names", self._cache.root / layout.name)

    def _write_images(self) -> None:
        """Write the images of what was published since the last checkpoint, durably.

        Without them, the checkpoint would retire the only copy of a document whose file a person
        then overwrites.
        """
        with self._cache.mutex:
            published = dict(self._cache.published)
        images = self._cache.images
        if not self._cache.merges:
            images.remove(published)
            return
        try:
            written = images.write(self._shown(published))
            images.remove(set(published) - written)  # an older state
        except OSError as error:
            if error.errno not in FULL:
                raise
            images.remove(published)

    def _shown(
        self, published: Mapping[Key, tuple[PublishedNote, Document | None]]
    ) -> Iterator[Shown]:
        for key, (note, document) in published.items():
            if note.file is None:
                continue
            if document is not None:
                yield Shown(key, note.sequence, note.file, encode(document))
                continue
            with suppress(OSError):
                data, status = self._files.read(self._cache.root / self._cache.name(key))
                if file_id_of(status) == note.file:
                    yield Shown(key, note.sequence, note.file, data)

    def _note_checkpoint(self, visible: int) -> None:
        with self._writing, self._cache.mutex:
            left = [live.pending[0][0] for live in self._cache.pending.values()]
            self._journal.checkpoint(min([visible, *(frame - 1 for frame in left)]))
            self._cache.is_checkpointed = not left
            self._cache.published.clear()

    def retire(self) -> None:
        """Trim and delete what exceeds the retention of the history."""
        history, now = self._history, time.time()
        oldest = -math.inf if history.days < 0 else now - history.days * 86_400
        young_from = now - history.keep_seconds if history.keep_seconds else math.inf
        try:
            with self.lock.hold():
                self._journal.sync()  # or an older checkpoint may need a deleted segment
                self._trimmer.trim(history.bytes_max, history.share, young_from)
                retired = self._journal.prune(oldest, history.bytes_max, young_from)
        except OSError as error:
            raise self._failed(error) from error
        if retired:
            log.info("%d segments of the journal's history were retired", len(retired))

    # In the background

    def is_due(self, live: CachedDocument) -> bool:
        """Return whether the document's file is outdated for long enough to be published."""
        return time.monotonic() >= self._due_at(live)

    def _due_at(self, live: CachedDocument) -> float:
        if live.size > LARGE_BYTES:
            return live.since + (GATHER_LARGE if live.is_own else LEAVE_LARGE)
        return live.since + (GATHER if live.is_own else LEAVE)

    def work(self) -> float:
        """Do what is due, and return the seconds until more is due, at most 1."""
        if self._journal.failure:
            return 1.0
        try:
            self._cache.follow()
            if self._journal.blocked:
                self.unblock()
            self.publish(self.is_due)
            if time.monotonic() > self._checkpointed_at + self._checkpoint_seconds:
                self.checkpoint()
            self._prepare_spare()
            self.usage.count_some()
        except StoreError as fault:
            if str(fault) != self._complaint:  # log it once and not at each attempt
                log.warning("publishing is delayed: %s", fault)
            self._complaint = str(fault)
            return RETRY_SECONDS
        self._complaint = ""
        due = [self._due_at(live) for live in list(self._cache.pending.values())]
        if not due:
            return 1.0
        return min(max(min(due) - time.monotonic(), 0.001), 1.0)

    def _prepare_spare(self) -> None:
        try:
            if self._journal.needs_spare and self.lock.try_lock():
                try:
                    self._journal.prepare_spare()
                finally:
                    self.lock.release()
        except OSError as error:
            if not self._journal.make_room(error):  # or else the next look tries again
                raise self._failed(error) from error


class PublisherThread:
    """The publishing thread of a process. It holds only a weak reference to its backend."""

    def __init__(self, work: Callable[[], float]) -> None:
        self._work = weakref.WeakMethod(work)
        self._is_stopped = False
        self._bell = threading.Lock()  # not an `Event`: an interruption inside one would block it
        self._bell.acquire()
        self._thread = threading.Thread(target=self._run, name="docstore-publisher", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Return whether the thread runs: an exception sent by another thread may have ended it."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Notify the thread that there is something to publish."""
        if self._bell.locked():
            ring(self._bell)

    def stop(self) -> None:
        """End the thread after its current step."""
        self._is_stopped = True
        self.wake()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        pause = 0.0
        while not self._is_stopped:
            if self._bell.acquire(timeout=pause) and not self._is_stopped:
                time.sleep(_REST)  # many documents may wake it in a row
                self._bell.acquire(blocking=False)
            work = self._work()
            if work is None or self._is_stopped:
                return
            try:
                pause = work()
            except Exception:
                log.exception("publishing failed unexpectedly; retrying")
                pause = 1.0
            del work
