"""The cache of documents in a process: their files, with the journal applied on top.

A `CachedDocument` has three parts. *Versions* are states in memory, each with the sequence number
of the frame that made it, from the newest visible one on (MVCC). *Pending* changes are those that
its file does not show yet. *Tokens* identify the files that are known to show the document (inode,
size, mtime), each with the frame up to which its file does so. A file with another token was
written by a person or another program.

    nothing pending     the file is the document: if its token is known, the versions are valid,
                        otherwise the file must be read
    something pending   the journal is the document, on top of the file that it began from;
                        publication detects manual edits made meanwhile

With `merges`, a manually edited file is not the document but an edit of it, which the backend
merges (`EditedByHand`). Until that is done, or while the file cannot be read, the document is the
version in memory, or the image of the last checkpoint (`images`) with the journal applied.

Documents without pending changes are evicted when the cache is full, by the second-chance (CLOCK)
algorithm: those not used recently go first. The document read last always stays, however large, and
none counts for more than half of the cache. So a large document evicts neither itself nor all
others.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import stat
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Final

import msgspec

from docstore.backend import ABSENT, Stored, Version
from docstore.backends.files.asides import is_aside, set_aside, write_note
from docstore.backends.files.folder import DataFolder
from docstore.backends.files.images import Head, Image, Images, digest_of
from docstore.codec import decode, encode
from docstore.disk.filesystem import Status
from docstore.document import Document, Key
from docstore.errors import Corrupt, Unavailable, from_os_error
from docstore.journal.entries import DocumentDelta, decode_entry
from docstore.journal.frames import Frame, Kind
from docstore.journal.log import Journal
from docstore.observer import IGNORING, Observer
from docstore.salvage import Salvaged, salvage
from docstore.timestamps import utc_now

CACHE_BYTES_MAX: Final = 64 * 1024 * 1024
log = logging.getLogger(__name__)

_READS_MAX: Final = 100
# Within a tick of the clock, a file that is changed in place keeps its mtime, so its token does not
# show the change. Without this minimal age, the cache would miss it. Files of the store need none.
SETTLED_NS: Final = 50_000_000
NEWEST: Final = sys.maxsize  # a frame after all others
# Errors of a file that only a person can make readable again.
_FOR_A_PERSON: Final = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENOTDIR}

Token = tuple[int, int, int]


_READ_AHEAD_BYTES_MAX: Final = 1024 * 1024
DAMAGED: Final = (
    "differs from its checksum, although nobody edited it: the disk changed it. Run setup_data"
    " --repair"
)


class EditedByHand(Exception):
    """The document's file is not one that the store wrote. The backend merges it."""

    def __init__(self, live: CachedDocument) -> None:
        super().__init__(live.name)
        self.live = live  # the document without the edit


class PublishedNote(msgspec.Struct):
    """The entry of one document in a publication note: the file that shows it up to a frame.

    `file` is its inode, size and mtime in nanoseconds; None if the document was deleted.
    """

    collection: str
    owner: int
    sequence: int
    file: Token | None


_decode_notes: Final = msgspec.json.Decoder(list[PublishedNote]).decode


@dataclass(slots=True, eq=False)
class CachedDocument:
    """The cache entry of a document. `versions` is empty until the document is loaded."""

    key: Key
    name: str
    path: str
    versions: tuple[tuple[int, Document | None], ...] = ()
    pending: list[tuple[int, bytes]] = field(default_factory=list)  # frames with their payloads
    tokens: dict[Token, int] = field(default_factory=dict)  # each with the last frame it shows
    base: Version = ABSENT  # the version of what was read from the file
    is_ours: bool = False  # whether the store wrote the file, so that it is durable
    size: int = 0  # of its file, estimated
    counted: int = 0  # the bytes of the cache that it counts for
    is_used: bool = False  # read since it was last considered for eviction
    since: float = 0.0  # time of the first pending change, in monotonic seconds
    is_own: bool = False  # whether this process made a pending change
    is_loading: bool = False  # prevents its eviction
    merged: set[Token] = field(default_factory=set)  # files merged by pending changes

    def at(self, limit: int) -> tuple[int, Document | None]:
        """Return the newest version up to a frame, and its frame; 0 for the version in the file."""
        versions = self.versions
        for version in reversed(versions):
            if version[0] <= limit:
                return version
        return versions[0]

    def exactly_at(self, sequence: int) -> Document | None:
        """Return the document as of a frame; None if that is not in memory or is a deletion."""
        if not self.versions or self.versions[0][0] > sequence:
            return None
        return self.at(sequence)[1]

    def stored(self, limit: int) -> Stored:
        """Return the newest version up to a frame as the port defines it."""
        sequence, document = self.at(limit)
        if document is None:
            return Stored(None, ABSENT)
        return Stored(document, sequence or self.base)

    def add_version(self, sequence: int, document: Document | None, visible: int) -> None:
        """Add a newer version, and drop those that no reader can ask for any more."""
        versions = self.versions
        while len(versions) > 1 and versions[1][0] <= visible:
            versions = versions[1:]
        self.versions = (*versions, (sequence, document))


class FileDocumentCache:
    """The cache of a data folder's documents, kept current from the journal and the files.

    `mutex` guards everything except reading cached versions. Appending requires the folder's lock
    as well.
    """

    def __init__(
        self,
        folder: DataFolder,
        journal: Journal,
        cache_bytes: int = CACHE_BYTES_MAX,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.root, self.layouts, self.files = folder.root, folder.layouts, folder.files
        self.journal, self.name = journal, folder.name
        self.images = Images(folder.files, folder.work / "images", folder.layouts)
        self.observer: Observer = IGNORING
        self.clock = clock  # for the names of files that are set aside
        self.merges = False  # whether to merge manually edited files, or to accept them as they are
        self.mutex = threading.RLock()
        self._base = f"{folder.root}/"
        self._cache_bytes = cache_bytes
        self.forget()

    def forget(self) -> None:
        """Clear the cache. Required before the journal is followed from its checkpoint."""
        self._live: dict[Key, CachedDocument] = {}
        # The file read last for its digest: path, bytes, status. It need not be read again.
        self._read_ahead: tuple[str, bytes, Status] | None = None
        # Documents that may be evicted, the next candidate first. Changed only under the mutex: a
        # reader only marks a document as used, without moving it.
        self._evictable: OrderedDict[Key, CachedDocument] = OrderedDict()
        self.pending: dict[Key, CachedDocument] = {}
        self._bytes = 0
        # Files that cannot be merged, with their tokens and the reasons.
        self.faults: dict[Key, tuple[Token | None, Corrupt]] = {}
        # Files published since the last checkpoint, whose images the next one writes.
        self.published: dict[Key, tuple[PublishedNote, Document | None]] = {}
        self.is_checkpointed = True  # whether no commit followed the last checkpoint

    # Following

    def follow(self) -> None:
        """Apply what the journal has beyond the state of this process."""
        with self.mutex:
            self._be_sure()
            for frame in self.journal.follow():
                self._apply_frame(frame)

    def recover_tail(self) -> None:
        """Like `follow`, after a writer died during an append. Requires the folder's lock."""
        with self.mutex:
            self._be_sure()
            for frame in self.journal.recover_tail():
                self._apply_frame(frame)

    def _be_sure(self) -> None:
        """Clear the cache and follow again if an interruption left a frame half applied."""
        if self.journal.is_in_doubt:
            self.forget()
            self.journal.begin_again()

    def _apply_frame(self, frame: Frame) -> None:
        if frame.kind in (Kind.COMMIT, Kind.RELAXED):
            for applied in decode_entry(frame.payload):
                self._apply_delta(frame, applied)
        elif frame.kind in (Kind.PUBLISHING, Kind.PUBLISHED):
            # A note of an earlier incarnation only proves that the store wrote these files: a power
            # cut may have undone their renames.
            is_done = self._has_names(frame)
            self.note_files(_decode_notes(frame.payload), is_done=is_done)
        elif frame.kind == Kind.CHECKPOINT:
            self.is_checkpointed = not self.pending
            self.published.clear()
        elif frame.kind == Kind.RESTORED:
            self.forget_files()
        elif frame.kind == Kind.TRIMMED:  # this process fell behind: open it again
            self.journal.leave()

    def _has_names(self, frame: Frame) -> bool:
        """Return whether the files of a note have their published names."""
        return frame.kind == Kind.PUBLISHED and frame.epoch == self.journal.epoch

    def forget_files(self) -> None:
        """Discard what is known of files: a restore replaces them, which is no manual edit."""
        with self.mutex:
            self.published.clear()
            for live in list(self._live.values()):
                if not live.pending:
                    self._drop(live)

    def _apply_delta(self, frame: Frame, applied: DocumentDelta) -> None:
        live = self.live(applied.key)
        if applied.base:
            live.versions = ()
            live.pending.clear()
        elif applied.reset and not live.pending and not self.is_current(live):
            live.versions = ()  # their file was removed meanwhile
        self.add_pending(live, frame.sequence, frame.payload, is_own=False)
        if applied.merged is not None:
            self.note_merged(live, applied.merged.token)
        if live.versions:
            document = live.versions[-1][1]
            try:
                after = applied.apply(document, self.layouts[applied.key.collection])
            except ValueError:  # it is read again, and the error is reported then
                live.versions = ()
            else:
                live.add_version(frame.sequence, after, self.journal.visible)

    def add_pending(
        self, live: CachedDocument, sequence: int, payload: bytes, *, is_own: bool
    ) -> None:
        """Add a change that the document's file does not show yet."""
        if not live.pending:
            live.since, live.is_own = time.monotonic(), False
            self.pending[live.key] = live
            self._evictable.pop(live.key, None)
        live.is_own = live.is_own or is_own
        live.pending.append((sequence, payload))
        live.size += len(payload)
        self.is_checkpointed = False

    def note_merged(self, live: CachedDocument, token: Token | None) -> None:
        """Note that a pending change merged this file, so that publishing may replace it."""
        self.faults.pop(live.key, None)
        if token is not None:
            live.merged.add(token)

    def note_files(self, notes: list[PublishedNote], *, is_done: bool) -> None:
        """Apply a note of files that are about to show documents or, if `is_done`, do so now."""
        for note in notes:
            live = self.live(Key(note.collection, note.owner))
            if not is_done:
                if note.file:
                    live.tokens[note.file] = note.sequence
                continue
            live.tokens = {note.file: note.sequence} if note.file else {}
            live.is_ours = True
            self.faults.pop(live.key, None)
            live.merged.clear()
            self.published[live.key] = note, live.exactly_at(note.sequence)
            live.pending = [change for change in live.pending if change[0] > note.sequence]
            live.since, live.is_own = time.monotonic(), bool(live.pending) and live.is_own
            if not live.pending:
                self.pending.pop(live.key, None)
                self._keep(live)

    # Documents

    def live(self, key: Key) -> CachedDocument:
        """Return the cache entry of a document; create an empty one if it is missing."""
        live = self._live.get(key)
        if live is None:
            live = self._live[key] = self.unknown(key)
        return live

    def unknown(self, key: Key) -> CachedDocument:
        """Return a new, empty cache entry, which is not added to the cache."""
        name = self.name(key)
        return CachedDocument(key, name, self._base + name)

    def stored(self, key: Key, limit: int) -> Stored:
        """Return the document up to a frame. Raises `Corrupt`, `Unavailable`, `EditedByHand`."""
        live = self._live.get(key)
        if live is None or not live.versions or not (live.pending or self.is_current(live)):
            self.observer.on_read(is_cached=False)
            return self._load(key).stored(limit)
        self.observer.on_read(is_cached=True)
        live.is_used = True
        return live.stored(limit)

    def last_good(self, key: Key, limit: int) -> Stored:
        """Return the document up to a frame, ignoring any manual edit of its file.

        Raises `Corrupt` if only the file has the document and it is unreadable.
        """
        with self.mutex:
            self.follow()
            live = self.live(key)
            if live.versions:
                return live.stored(limit)
            try:
                return self._load(key).stored(limit)
            except EditedByHand as edited:
                return edited.live.stored(limit)

    def fault(self, key: Key) -> Corrupt | None:
        """Return why the document's file cannot be merged; None if it can, or was not examined."""
        known_fault = self.faults.get(key)
        if known_fault is None or known_fault[0] != self.token(self.unknown(key)):
            return None
        return known_fault[1]

    def is_current(self, live: CachedDocument) -> bool:
        """Return whether the current file is known to show the document."""
        try:
            status = self.files.status(live.path)
        except OSError:
            return False
        return file_id_of(status) in live.tokens

    def is_of_store(self, live: CachedDocument) -> bool:
        """Return whether the store wrote the current file, as far as journal and image show."""
        token = self.token(live)
        head = self.images.head(live.key)
        known = {*live.tokens, head.file} if head is not None else live.tokens
        return token is not None and token in known

    def _load(self, key: Key) -> CachedDocument:
        with self.mutex:
            self.follow()
            live = self.live(key)
            if live.versions and (live.pending or self.is_current(live)):
                return live
            if self.merges and live.versions and live.versions[-1][1] is not None:
                self._refuse_edited(live)
                return live
            try:
                if live.pending:
                    self._load_pending(live)
                elif not self._load_image(live):
                    self._load_file(live)
            except EditedByHand:
                raise
            except BaseException:
                live.versions = ()  # perhaps only a part of the pending changes is in them
                self._drop(live)
                raise
            return live

    def _refuse_edited(self, live: CachedDocument) -> None:
        """Raise `EditedByHand` unless the file is one that is known to be faulty."""
        token = self.token(live)
        if token is None or self.faults.get(live.key, (None,))[0] != token:
            raise EditedByHand(live)

    def _load_image(self, live: CachedDocument) -> bool:
        """Load the image as the document if the file was edited since the image was written.

        Return False if the file itself counts. Raises `EditedByHand` after the document was loaded.
        """
        before = self._state_before_edit(live)
        if live.pending:
            self._load_pending(live)
            return True
        if before is None:
            return False
        sequence, document = before
        live.versions, live.base = ((sequence, document),), next(iter(live.tokens), ABSENT)
        live.is_ours, live.size = True, len(encode(document))
        self._live[live.key] = live
        self._keep(live)
        self._refuse_edited(live)
        return True

    def _state_before_edit(self, live: CachedDocument) -> tuple[int, Document] | None:
        """Return the document without the edit of its file, and its frame, if the file was edited.

        That is the document as published since the last checkpoint, or else the image of the
        checkpoint. Return None if the file is the store's, or if nothing but the file is known. The
        journal is followed after the image was read. Otherwise the image could be newer than the
        frames followed, and later frames would be applied to it twice. A missing file counts as
        edited.
        """
        if not self.merges or self.token(live) in live.tokens:
            return None
        head = self.images.head(live.key)
        self._follow_for(live)
        if self._is_known(live, head):
            return None
        image = self.images.read(live.key)
        self._follow_for(live)
        token = self.token(live)
        if token is not None and token in live.tokens:
            return None
        note, document = self.published.get(live.key, (None, None))
        if note is not None:
            if note.file is None:
                return None
            live.tokens[note.file] = note.sequence
            if token == note.file:
                return None
            try:
                document = document or self._published_again(live, image, note.sequence)
            except FileNotFoundError:  # another process made a checkpoint and pruned its frames
                return self._state_before_edit(live)
            if document is None:
                return None
            if token is not None and self._has_digest(live, digest_of(encode(document))):
                live.tokens[token] = note.sequence
                return None
            return note.sequence, document
        if image is None:
            return None
        live.tokens[image.file] = image.sequence
        if token is not None and self._has_digest(live, image.digest):
            live.tokens[token] = image.sequence
            return None
        document = image.document(live.name, self.layouts[live.key.collection])
        if token == image.file and (damage := self.damage(live.key)) is not None:
            if document is None:
                raise damage
            self.faults[live.key] = token, damage
            log.error("%s", damage)
        return None if document is None else (image.sequence, document)

    def damage(self, key: Key) -> Corrupt | None:
        """Return the error of a file whose bytes changed without an edit, or None.

        An edit changes the file's inode, size or time. Raises `Corrupt` and `Unavailable` if the
        file cannot be read.
        """
        head = self.images.head(key)
        if head is None:
            return None
        live = self.unknown(key)
        data, status = self.content(live)
        if status is None or file_id_of(status) != head.file or digest_of(data) == head.digest:
            return None
        image = self.images.read(key)
        if image is None or image.file != head.file or image.is_copy_of(data):
            return None  # replaced meanwhile, or the checksum is damaged and not the file
        return Corrupt(live.name, DAMAGED)

    def _follow_for(self, live: CachedDocument) -> None:
        """Follow the journal while the document is loaded."""
        live.is_loading = True
        try:
            self.follow()
        finally:
            live.is_loading = False

    def _is_known(self, live: CachedDocument, head: Head | None) -> bool:
        """Return whether the file is the store's, or nothing but the file is known.

        It takes the first line of the image only. Without it, each cold read would load the whole
        image.
        """
        token = self.token(live)
        if token is not None and token in live.tokens:
            return True
        note, _ = self.published.get(live.key, (None, None))
        if note is not None:
            if note.file is not None:
                live.tokens[note.file] = note.sequence
            return note.file in (None, token)
        if head is None:
            return True
        # Also for a token that is known: a disk may change bytes and leave the file's time.
        if not (token and self._has_digest(live, head.digest)):
            return False
        live.tokens[head.file] = live.tokens[token or head.file] = head.sequence
        return True

    def _published_again(
        self, live: CachedDocument, image: Image | None, sequence: int
    ) -> Document | None:
        """Return the document as of a frame after the last checkpoint, from image and journal.

        Return None if they do not lead to it.
        """
        layout = self.layouts[live.key.collection]
        document = image.document(live.name, layout) if image else None
        frame_of_image = image.sequence if image else 0
        is_known = document is not None
        for frame in self.journal.frames_since(self.journal.checkpointed):
            if not frame_of_image < frame.sequence <= sequence:
                continue
            for applied in decode_entry(frame.payload):
                if applied.key == live.key and (is_known or applied.reset):
                    try:
                        document, is_known = applied.apply(document, layout), True
                    except ValueError:
                        return None
        return document

    def _has_digest(self, live: CachedDocument, digest: str) -> bool:
        """Return whether the file's bytes have this digest: then it copies the store's file."""
        try:
            data, status = self.files.read(live.path)
        except OSError:
            return False
        is_whole = digest_of(data) == digest
        if is_whole and len(data) <= _READ_AHEAD_BYTES_MAX:
            self._read_ahead = live.path, data, status
        return is_whole

    def _load_file(self, live: CachedDocument) -> None:
        """Load the file as the document; without a file, the document does not exist."""
        live.versions = ()
        document, status, shown = self._read_known(live)
        if live.pending:  # a change arrived while the file was read
            self._load_pending(live)
            return
        self._drop(live)
        live.versions, live.is_ours = ((0, document),), shown > 0
        if status is None:
            return
        token = file_id_of(status)
        live.tokens, live.base, live.size = {token: shown}, token, status.st_size
        is_settled = live.is_ours or time.time_ns() - status.st_mtime_ns > SETTLED_NS
        if is_settled and not self.journal.is_restoring:
            self._live[live.key] = live
            self._keep(live)

    def _load_pending(self, live: CachedDocument) -> None:
        """Load the file with the pending changes, or these alone if they begin the document."""
        before = self._state_before_edit(live)
        token = self.token(live)
        begins = self._last_reset(live)
        document, shown = None, 0
        if begins > (live.tokens.get(token, 0) if token else 0):
            changes = [change for change in self._changes(live) if change[0] >= begins]
        elif before is not None:
            shown, document = before
            changes = [change for change in self._changes(live) if change[0] > shown]
        else:
            document, status, shown = self._read_known(live)
            changes = self._changes(live)
            if document is not None and status is not None:
                changes = _unseen(changes, shown, document)
                if changes and not shown:
                    _refuse_older(live, document, changes[0][1])
                live.base = file_id_of(status)
                live.tokens[file_id_of(status)] = shown
                live.size += status.st_size
            elif changes and not changes[0][1].reset:
                raise Corrupt(live.name, f"is gone, and {len(changes)} changes need it: restore it")
        loaded = CachedDocument(live.key, live.name, live.path, ((shown, document),))
        for sequence, applied in changes:
            document = self._applied(live, applied, document)
            loaded.add_version(sequence, document, self.journal.visible)
        live.versions = loaded.versions  # all of them or none

    def _changes(self, live: CachedDocument) -> list[tuple[int, DocumentDelta]]:
        """Return the pending changes of the document, each with its frame."""
        return [
            (sequence, applied)
            for sequence, payload in live.pending
            for applied in decode_entry(payload)
            if applied.key == live.key
        ]

    def _last_reset(self, live: CachedDocument) -> int:
        """Return the last visible pending frame in which the document begins or ends; 0 for none.

        A frame that is not visible cannot be the start: readers need the versions before it.
        """
        visible = self.journal.visible
        frames = (frame for frame, applied in self._changes(live) if applied.reset)
        return max((frame for frame in frames if frame <= visible), default=0)

    def _read_known(self, live: CachedDocument) -> tuple[Document | None, Status | None, int]:
        """Return the file, its metadata, and the frame up to which it shows the document.

        The frame is 0 for a manually edited file. An unknown file may have been published since the
        journal was last followed. Its note is in the journal before the file gets its name. So
        following the journal decides, unless yet another file was published meanwhile: then it is
        read again. Raises `Unavailable` if that continues.
        """
        for _ in range(_READS_MAX):
            document, status = self._read(live)
            token = file_id_of(status) if status else None
            if token not in live.tokens:
                self._follow_for(live)
            if token is not None and token in live.tokens:
                return document, status, live.tokens[token]
            if self.token(live) == token:
                return document, status, 0
        raise Unavailable(f"{live.name} is being replaced all the time")

    def _applied(
        self, live: CachedDocument, applied: DocumentDelta, document: Document | None
    ) -> Document | None:
        try:
            return applied.apply(document, self.layouts[live.key.collection])
        except ValueError as misfit:
            raise Corrupt(live.name, f"is not what the journal goes on from: {misfit}") from misfit

    def version(self, live: CachedDocument, limit: int) -> tuple[int, Document | None]:
        """Return the last frame and the document up to `limit`, while changes of it are pending.

        The frame may be a later one, since versions that no reader can ask for are dropped. Raises
        `Corrupt`.
        """
        with self.mutex:
            if not live.versions:
                self._load_pending(live)
            return live.at(limit)

    def matches_pending_base(self, live: CachedDocument, data: bytes) -> bool:
        """Return whether a file with these bytes is the state that the pending changes began from.

        This concerns a document that was deleted or begun again since: the entry of that change has
        its content before.
        """
        changes: list[DocumentDelta] = []
        with self.mutex:
            for _, payload in live.pending:
                changes += [change for change in decode_entry(payload) if change.key == live.key]
        # A merge without an image has the whole document, too, although it begins none.
        begun = next((item for item in changes if item.reset and item.merged is None), None)
        before = begun.before() if begun else None
        if before is None:
            return False
        layout = self.layouts[live.key.collection]
        try:
            document: Document | None = decode(data, live.name, layout)
            for change in itertools.takewhile(lambda each: each is not begun, changes):
                if document and change.revision > document.revision:
                    document = change.apply(document, layout)
        except (Corrupt, ValueError):
            return False
        return document is not None and encode(document) == encode(Document(before))

    def token(self, live: CachedDocument) -> Token | None:
        """Return the token of the current file; None if it is missing or cannot be examined."""
        try:
            return file_id_of(self.files.status(live.path))
        except OSError:
            return None

    def _read(self, live: CachedDocument) -> tuple[Document | None, Status | None]:
        data, status = self._take_read_ahead(live) or self.content(live)
        if status is None:
            return None, None
        layout = self.layouts[live.key.collection]
        try:
            return decode(data, live.name, layout), status
        except Corrupt:
            salvaged = salvage(data, live.name, layout)
            if salvaged is None or not self._is_retained(live, salvaged):
                raise
            return salvaged.document, status

    def _take_read_ahead(self, live: CachedDocument) -> tuple[bytes, Status | None] | None:
        """Return the content that was read for its digest, if the file is still the same."""
        ahead, self._read_ahead = self._read_ahead, None
        if ahead is None or ahead[0] != live.path or file_id_of(ahead[2]) != self.token(live):
            return None
        return ahead[1], ahead[2]

    def _is_retained(self, live: CachedDocument, salvaged: Salvaged) -> bool:
        """Set aside the file of a salvaged document, unless it is. Return whether it is then."""
        records = self.layouts[live.key.collection].records
        remarks = [lost.remark(salvaged.document, records) for lost in salvaged.lost]
        try:
            if not is_aside(self.files, live.path):
                name = set_aside(self.files, live.path, self.clock())
                write_note(self.files, live.path, name, remarks)
                log.error("%s is set aside as %s: %s", live.name, name, " ".join(remarks))
        except OSError as error:
            log.error("%s cannot be set aside: %s", live.name, error)
            return False
        return True

    def content(self, live: CachedDocument) -> tuple[bytes, Status | None]:
        """Return the bytes and the metadata of the file; None for the metadata if there is no file.

        Raises `Corrupt`, `Unavailable`.
        """
        try:
            self._refuse_pipe(live)
            return self.files.read(live.path)
        except OSError as error:
            self._refuse_unread(live, error)
            return b"", None

    def opened(self, live: CachedDocument) -> BinaryIO | None:
        """Open the file for reading; None if it does not exist.

        It remains the same file when another one replaces it. Raises `Corrupt`, `Unavailable`.
        """
        try:
            self._refuse_pipe(live)
            return os.fdopen(self.files.open(live.path, to_write=False), "rb")
        except OSError as error:
            self._refuse_unread(live, error)
            return None

    def _refuse_pipe(self, live: CachedDocument) -> None:
        """Raise `Corrupt` if the file is not a regular file: opening a pipe may block."""
        if not stat.S_ISREG(self.files.status(live.path).st_mode):
            raise Corrupt(live.name, "is not a file")

    def _refuse_unread(self, live: CachedDocument, error: OSError) -> None:
        """Raise the error of a file that could not be read; return if the file does not exist.

        A file that only a person can make readable counts as damaged and not as absent: an absent
        file would be overwritten.
        """
        if error.errno in _FOR_A_PERSON:
            raise Corrupt(live.name, f"cannot be read: {error.strerror}") from error
        if error.errno == errno.EBUSY:
            raise Unavailable(f"{live.name} {error.strerror}") from error
        if not isinstance(error, FileNotFoundError):
            raise from_os_error(error, f"cannot read {live.name}") from error
        if self.files.is_link(live.path):
            raise Corrupt(live.name, "is a link to a file that is not there") from error
        self.refuse_missing_root()

    def refuse_missing_root(self) -> None:
        """Raise `Unavailable` if the data folder is missing: its disk may not be mounted.

        Without this check, every document would seem not to exist.
        """
        if not self.files.exists(self.root):
            raise Unavailable(f"the data folder {self.root} is not there")

    def unpublished(self, collection: str) -> Iterator[CachedDocument]:
        """Return the collection's documents with pending changes."""
        with self.mutex:
            return iter(
                [live for live in self.pending.values() if live.key.collection == collection]
            )

    # Eviction

    def _keep(self, live: CachedDocument) -> None:
        """Cache a document without pending changes, and evict others if the cache is full."""
        if not live.versions or live.versions[-1][1] is None or not self._cache_bytes:
            self._drop(live)
            return
        size = min(live.size, self._cache_bytes // 2)
        self._bytes += size - live.counted
        live.counted = size
        self._evictable[live.key] = live
        self._evictable.move_to_end(live.key)
        while self._bytes > self._cache_bytes and len(self._evictable) > 1:
            oldest = next(iter(self._evictable.values()))
            if oldest is live or oldest.is_used:
                oldest.is_used = False
                self._evictable.move_to_end(oldest.key)
            else:
                self._drop(oldest)

    def _drop(self, live: CachedDocument) -> None:
        if not live.pending and not live.is_loading and self._live.get(live.key) is live:
            del self._live[live.key]
            self._evictable.pop(live.key, None)
            self._bytes -= live.counted
            live.counted = 0


def _unseen(
    changes: list[tuple[int, DocumentDelta]], shown: int, document: Document
) -> list[tuple[int, DocumentDelta]]:
    """Return the changes that a file does not show yet.

    `shown` is the last frame that it shows; 0 if unknown, when the revision in the file decides.
    """
    if shown:
        return [change for change in changes if change[0] > shown]
    # A reset restarts the revisions. A file that shows a reset has a known token.
    old = itertools.takewhile(
        lambda change: not change[1].reset and change[1].revision <= document.revision, changes
    )
    return changes[len(list(old)) :]


def _refuse_older(live: CachedDocument, document: Document, first: DocumentDelta) -> None:
    """Raise `Corrupt` if the file lacks changes that the journal no longer has.

    A person put this older file there. Applying later changes to it would make a document that
    never existed.
    """
    if not first.reset and first.revision > document.revision + 1:
        raise Corrupt(
            live.name,
            f"has revision {document.revision}, and the journal goes on from"
            f" {first.revision - 1}: restore that, or give this one its number",
        )


def file_id_of(status: Status) -> Token:
    """Return what distinguishes a file from every other that had its name: inode, size, mtime."""
    return status.st_ino, status.st_size, status.st_mtime_ns
