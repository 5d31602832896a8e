"""What a process knows of the documents: their files, and the journal followed on top of them.

A `Live` document has its newest *versions*, each with the sequence number of the frame that made
it, from the newest that everybody may see on; the *pending* changes, which its file does not show
yet; and the *tokens* of the files that are known to show it, which are inode, size and time, each
with the frame up to which it does. A file with another token was made by a person, or another
program.

    nothing pending     the file is the document: a known token means that the versions still hold,
                        an unknown one that the file is to be read
    something pending   the journal is the document, on top of the file that it was begun from;
                        what a person does to the file meanwhile is noticed at publication

With `merges`, a file that a person made is not the document but an edit of it, which the backend
merges (`EditedByHand`). Until then, and as long as the file cannot be read, the document is what
memory has, or the image of the last checkpoint (`images`) with the journal on top.

Documents of which nothing is pending are evicted when the cache is full: those first that nobody
used for the longest time. The document just read always stays, however large, and none counts for
more than half of the cache: so a large one neither evicts itself nor all others.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from docstore.backend import ABSENT, Stored, Version
from docstore.codec import decode, encode
from docstore.document import CollectionLayout, Document, Key
from docstore.entries import Applied, decode_entry
from docstore.errors import Corrupt, Unavailable, from_os_error
from docstore.filesystem import FileSystem, Status
from docstore.frames import Frame, Kind
from docstore.images import Image, Images, digest_of
from docstore.journal import Journal

CACHE_BYTES_MAX: Final = 64 * 1024 * 1024
# A file changed in place within one tick of the clock looks the same before and after. A file
# younger than this is not remembered unless we wrote it.
_READS_MAX: Final = 100
SETTLED_NS: Final = 50_000_000
# Why a file cannot be read until a person changes something about it.
_FOR_A_PERSON: Final = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENOTDIR}

Token = tuple[int, int, int]


class EditedByHand(Exception):
    """The document's file is another one than the store wrote. The backend merges it."""

    def __init__(self, live: Live) -> None:
        super().__init__(live.name)
        self.live = live  # the document without the edit


class FileShown(msgspec.Struct):
    """What a note about publishing says of one document: which file shows it up to which frame.

    `file` is inode, size and time of it in nanoseconds; None where the document is no more.
    """

    collection: str
    owner: int
    sequence: int
    file: Token | None


_decode_notes: Final = msgspec.json.Decoder(list[FileShown]).decode


@dataclass(slots=True, eq=False)
class Live:
    """A document as this process knows it. `versions` is empty until somebody asks for it."""

    key: Key
    name: str
    path: str
    versions: tuple[tuple[int, Document | None], ...] = ()
    pending: list[tuple[int, bytes]] = field(default_factory=list)  # frame and its payload
    tokens: dict[Token, int] = field(default_factory=dict)  # the last frame that the file shows
    base: Version = ABSENT  # the version of what was read from the file
    is_ours: bool = False  # whether the file is durable because we made it
    size: int = 0  # of its file, roughly
    counted: int = 0  # the part of the cache that it takes
    is_used: bool = False  # read since it last came up for eviction
    since: float = 0.0  # when the first of the pending changes came, in monotonic seconds
    is_own: bool = False  # whether this process made one of them
    is_loading: bool = False  # not to be forgotten just now
    merged: set[Token] = field(default_factory=set)  # files that pending changes have merged

    def at(self, limit: int) -> tuple[int, Document | None]:
        """The newest version up to a frame, and its frame; 0 for what was read from the file."""
        versions = self.versions
        for version in reversed(versions):
            if version[0] <= limit:
                return version
        return versions[0]

    def exactly_at(self, sequence: int) -> Document | None:
        """The document as of a frame, if it is in memory."""
        if not self.versions or self.versions[0][0] > sequence:
            return None
        return self.at(sequence)[1]

    def stored(self, limit: int) -> Stored:
        """The same as the port has it."""
        sequence, document = self.at(limit)
        if document is None:
            return Stored(None, ABSENT)
        return Stored(document, sequence or self.base)

    def add_version(self, sequence: int, document: Document | None, visible: int) -> None:
        """Notes a newer version; those that nobody can ask for any more go."""
        versions = self.versions
        while len(versions) > 1 and versions[1][0] <= visible:
            versions = versions[1:]
        self.versions = (*versions, (sequence, document))


class Follower:
    """The documents of a data folder as the journal and the files tell them.

    `mutex` guards all but reading what is known. Whoever appends holds the folder's lock, too.
    """

    def __init__(
        self,
        root: Path,
        layouts: Mapping[str, CollectionLayout],
        files: FileSystem,
        journal: Journal,
        cache_bytes: int = CACHE_BYTES_MAX,
    ) -> None:
        self.root, self.layouts, self.files, self.journal = root, layouts, files, journal
        self.images = Images(files, root / ".neuralflow" / "images", layouts)
        self.merges = False  # whether files changed by hand are merged, or taken as they are
        self.mutex = threading.RLock()
        self._base = f"{root}/"
        self._cache_bytes = cache_bytes
        self.forget()

    def forget(self) -> None:
        """Forgets everything; to be called before the journal is followed from its checkpoint."""
        self._live: dict[Key, Live] = {}
        # Those that may be evicted, the next one first. Only changed under the mutex: a reader
        # marks a document as used, and moves nothing.
        self._evictable: OrderedDict[Key, Live] = OrderedDict()
        self.pending: dict[Key, Live] = {}
        self._bytes = 0
        # The files published since the last checkpoint: their images are to be written.
        # Files that cannot be merged, and why.
        self.faults: dict[Key, tuple[Token | None, Corrupt]] = {}
        self.published: dict[Key, tuple[FileShown, Document | None]] = {}
        self.is_checkpointed = True  # whether nothing was committed since the last checkpoint

    # Following

    def follow(self) -> None:
        """Takes in what the journal has beyond what this process knows."""
        with self.mutex:
            self._be_sure()
            for frame in self.journal.follow():
                self._absorb(frame)

    def find_end(self) -> None:
        """The same after a writer has died amid an append. Under the folder's lock."""
        with self.mutex:
            self._be_sure()
            for frame in self.journal.find_end():
                self._absorb(frame)

    def _be_sure(self) -> None:
        """Forgets everything where somebody was interrupted while taking in a frame."""
        if self.journal.is_in_doubt:
            self.forget()
            self.journal.begin_again()

    def _absorb(self, frame: Frame) -> None:
        if frame.kind in (Kind.COMMIT, Kind.RELAXED):
            for applied in decode_entry(frame.payload):
                self._absorb_change(frame, applied)
        elif frame.kind in (Kind.PUBLISHING, Kind.PUBLISHED):
            # Of an earlier incarnation it only tells which files are ours: the names of those that
            # it published may have been lost in a power cut.
            is_done = self._has_names(frame)
            self.note_files(_decode_notes(frame.payload), is_done=is_done)
        elif frame.kind == Kind.CHECKPOINT:
            self.is_checkpointed = not self.pending
            self.published.clear()
        elif frame.kind == Kind.RESTORED:
            self.forget_files()
        elif frame.kind == Kind.TRIMMED:  # this process slept since before it was
            self.journal.leave()

    def _has_names(self, frame: Frame) -> bool:
        """Return whether the files of a note have the names that they were published under."""
        return frame.kind == Kind.PUBLISHED and frame.epoch == self.journal.epoch

    def forget_files(self) -> None:
        """Forget what files showed: a backup's files take their place, and are no edits by hand."""
        with self.mutex:
            self.published.clear()
            for live in list(self._live.values()):
                if not live.pending:
                    self._drop(live)

    def _absorb_change(self, frame: Frame, applied: Applied) -> None:
        live = self.live(applied.key)
        if applied.base:
            live.versions = ()
            live.pending.clear()
        elif applied.reset and not live.pending and not self.is_as_known(live):
            live.versions = ()  # the file that they are of was taken away meanwhile
        self.add_pending(live, frame.sequence, frame.payload, is_own=False)
        if applied.merged is not None:
            self.note_merged(live, applied.merged.token)
        if live.versions:
            document = live.versions[-1][1]
            try:
                after = applied.apply(document, self.layouts[applied.key.collection])
            except ValueError:  # to be read anew, and said then
                live.versions = ()
            else:
                live.add_version(frame.sequence, after, self.journal.visible)

    def add_pending(self, live: Live, sequence: int, payload: bytes, *, is_own: bool) -> None:
        """Notes a change that the document's file does not show yet."""
        if not live.pending:
            live.since, live.is_own = time.monotonic(), False
            self.pending[live.key] = live
            self._evictable.pop(live.key, None)
        live.is_own = live.is_own or is_own
        live.pending.append((sequence, payload))
        live.size += len(payload)
        self.is_checkpointed = False

    def note_merged(self, live: Live, token: Token | None) -> None:
        """Note that a pending change has merged this file: it may be replaced."""
        self.faults.pop(live.key, None)
        if token is not None:
            live.merged.add(token)

    def note_files(self, notes: list[FileShown], *, is_done: bool) -> None:
        """Takes in which files are about to show which documents, or do so now."""
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

    def name(self, key: Key) -> str:
        """The file's name under the root: `tasks/tasks_7.json`."""
        layout = self.layouts.get(key.collection)
        if layout is None:  # of a collection that was not named when the store was opened
            return f"{key.collection}/{key.owner}"
        return f"{layout.name}/{layout.stem}_{key.owner}.json"

    def live(self, key: Key) -> Live:
        """What is known of the document, be it nothing."""
        live = self._live.get(key)
        if live is None:
            live = self._live[key] = self.unknown(key)
        return live

    def unknown(self, key: Key) -> Live:
        """The document as one that nothing is known of."""
        name = self.name(key)
        return Live(key, name, self._base + name)

    def stored(self, key: Key, limit: int) -> Stored:
        """The document up to a frame. Raises `Corrupt`, `Unavailable`."""
        live = self._live.get(key)
        if live is None or not live.versions or not (live.pending or self.is_as_known(live)):
            return self._load(key).stored(limit)
        live.is_used = True
        return live.stored(limit)

    def last_good(self, key: Key, limit: int) -> Stored:
        """The same, whatever a person made of the file. Raises `Corrupt` if nothing else has it."""
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
        """Why the document's file cannot be merged; None if it can, or nobody has looked yet."""
        found = self.faults.get(key)
        if found is None or found[0] != self.token(self.unknown(key)):
            return None
        return found[1]

    def is_as_known(self, live: Live) -> bool:
        """Whether the file is one that is known to show the document."""
        try:
            status = self.files.status(live.path)
        except OSError:
            return False
        return token_of(status) in live.tokens

    def _load(self, key: Key) -> Live:
        with self.mutex:
            self.follow()
            live = self.live(key)
            if live.versions and (live.pending or self.is_as_known(live)):
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
                live.versions = ()  # of the changes that are pending, perhaps not all are in them
                self._drop(live)
                raise
            return live

    def _refuse_edited(self, live: Live) -> None:
        """Raise `EditedByHand` if the file is a new edit: none that is known to be faulty."""
        token = self.token(live)
        if token is None or self.faults.get(live.key, (None,))[0] != token:
            raise EditedByHand(live)

    def _load_image(self, live: Live) -> bool:
        """Take the image as the document if the file is not the one that the image is of.

        Return False if the file itself counts. Raises `EditedByHand`, with the document loaded.
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

    def _state_before_edit(self, live: Live) -> tuple[int, Document] | None:
        """Return the document without its file, and its frame, if the file is another's.

        That is what was published since the last checkpoint or, if nothing was, the image of it.
        None if the file is the store's, or if nothing but the file is known. The journal is
        followed after the image was read. Without this, the image may be of frames that are yet to
        come, and these would be applied to it again.
        """
        if not self.merges or self.token(live) in live.tokens:
            return None
        image = self.images.read(live.key)
        live.is_loading = True
        try:
            self.follow()
        finally:
            live.is_loading = False
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
            document = document or self._published_again(live, image, note.sequence)
            if document is None:
                return None
            if token is not None and self._has_digest(live, digest_of(encode(document))):
                live.tokens[token] = note.sequence
                return None
            return note.sequence, document
        if image is None:
            return None
        live.tokens[image.file] = image.sequence
        if token is not None and (token == image.file or self._has_digest(live, image.digest)):
            live.tokens[token] = image.sequence
            return None
        document = image.document(live.name, self.layouts[live.key.collection])
        return None if document is None else (image.sequence, document)

    def _published_again(self, live: Live, image: Image | None, sequence: int) -> Document | None:
        """Return the document as of a frame since the last checkpoint, from image and journal."""
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

    def _has_digest(self, live: Live, digest: str) -> bool:
        """Return whether the file's bytes have this digest: it is a copy of a file of the store."""
        try:
            data, _ = self.files.read(live.path)
        except OSError:
            return False
        return digest_of(data) == digest

    def _load_file(self, live: Live) -> None:
        """Takes the file as the document; where there is none, there is no document."""
        live.versions = ()
        document, status, shown = self._read_known(live)
        if live.pending:  # something came while the file was read
            self._load_pending(live)
            return
        self._drop(live)
        live.versions, live.is_ours = ((0, document),), shown > 0
        if status is None:
            return
        token = token_of(status)
        live.tokens, live.base, live.size = {token: shown}, token, status.st_size
        is_settled = live.is_ours or time.time_ns() - status.st_mtime_ns > SETTLED_NS
        if is_settled and not self.journal.is_restoring:
            self._live[live.key] = live
            self._keep(live)

    def _load_pending(self, live: Live) -> None:
        """Applies what is pending to the file, or to nothing where the document begins in it."""
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
                live.base = token_of(status)
                live.tokens[token_of(status)] = shown
                live.size += status.st_size
            elif changes and not changes[0][1].reset:
                raise Corrupt(live.name, f"is gone, and {len(changes)} changes need it: restore it")
        loaded = Live(live.key, live.name, live.path, ((shown, document),))
        for sequence, applied in changes:
            document = self._applied(live, applied, document)
            loaded.add_version(sequence, document, self.journal.visible)
        live.versions = loaded.versions  # all of them, or none

    def _changes(self, live: Live) -> list[tuple[int, Applied]]:
        """What is pending of the document, each with its frame."""
        return [
            (sequence, applied)
            for sequence, payload in live.pending
            for applied in decode_entry(payload)
            if applied.key == live.key
        ]

    def _last_reset(self, live: Live) -> int:
        """The last visible frame of those pending in which the document begins or ends, or 0.

        One that is not visible yet is not to be begun from.
        """
        visible = self.journal.visible
        frames = (frame for frame, applied in self._changes(live) if applied.reset)
        return max((frame for frame in frames if frame <= visible), default=0)

    def _read_known(self, live: Live) -> tuple[Document | None, Status | None, int]:
        """The file, and up to which frame it shows the document; 0 where a person made it.

        A file that is not known may have been published since the journal was followed. The note
        is in the journal before the file has its name, so following tells; unless yet another file
        was published meanwhile.
        """
        for _ in range(_READS_MAX):
            document, status = self._read(live)
            token = token_of(status) if status else None
            if token not in live.tokens:
                live.is_loading = True
                try:
                    self.follow()
                finally:
                    live.is_loading = False
            if token is not None and token in live.tokens:
                return document, status, live.tokens[token]
            if self.token(live) == token:
                return document, status, 0
        raise Unavailable(f"{live.name} is being replaced all the time")

    def _applied(self, live: Live, applied: Applied, document: Document | None) -> Document | None:
        try:
            return applied.apply(document, self.layouts[live.key.collection])
        except ValueError as misfit:
            raise Corrupt(live.name, f"is not what the journal goes on from: {misfit}") from misfit

    def version(self, live: Live, limit: int) -> tuple[int, Document | None]:
        """The document up to a frame, something of it being pending, and the last frame in it.

        That may be a later one: what nobody can ask for any more was let go of. Raises `Corrupt`.
        """
        with self.mutex:
            if not live.versions:
                self._load_pending(live)
            return live.at(limit)

    def leads_to_pending(self, live: Live, data: bytes) -> bool:
        """Whether a file with these bytes is what the pending changes began from.

        Asked where the document was deleted or begun anew since: its content before that is told.
        """
        changes: list[Applied] = []
        with self.mutex:
            for _, payload in live.pending:
                changes += [each for each in decode_entry(payload) if each.key == live.key]
        # A merge has the whole document only for want of an image: nothing was begun anew.
        begun = next((each for each in changes if each.reset and each.merged is None), None)
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

    def token(self, live: Live) -> Token | None:
        """The token of the file that is there; None where there is none that can be read."""
        try:
            return token_of(self.files.status(live.path))
        except OSError:
            return None

    def _read(self, live: Live) -> tuple[Document | None, Status | None]:
        data, status = self.content(live)
        if status is None:
            return None, None
        return decode(data, live.name, self.layouts[live.key.collection]), status

    def content(self, live: Live) -> tuple[bytes, Status | None]:
        """The bytes of the file and what it is; None where there is no file."""
        try:
            self._refuse_pipe(live)
            return self.files.read(live.path)
        except OSError as error:
            self._refuse_unread(live, error)
            return b"", None

    def opened(self, live: Live) -> BinaryIO | None:
        """The file, opened for reading: it stays what it is though another gets its name."""
        try:
            self._refuse_pipe(live)
            return os.fdopen(self.files.open(live.path, to_write=False), "rb")
        except OSError as error:
            self._refuse_unread(live, error)
            return None

    def _refuse_pipe(self, live: Live) -> None:
        """To open a pipe would be to wait for ever."""
        if not stat.S_ISREG(self.files.status(live.path).st_mode):
            raise Corrupt(live.name, "is not a file")

    def _refuse_unread(self, live: Live, error: OSError) -> None:
        """Raises what is wrong when a file could not be read; where there is none, that is not.

        What only a person can make readable is as good as broken: never absent, and so never
        written over.
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
        """A disk that is not mounted, perhaps: that nobody has any records would be a lie."""
        if not self.files.exists(self.root):
            raise Unavailable(f"the data folder {self.root} is not there")

    def unpublished(self, collection: str) -> Iterator[Live]:
        """The collection's documents of which something is pending."""
        with self.mutex:
            return iter(
                [live for live in self.pending.values() if live.key.collection == collection]
            )

    # Room

    def _keep(self, live: Live) -> None:
        """Caches a document of which nothing is pending, and evicts others if the cache is full."""
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

    def _drop(self, live: Live) -> None:
        if not live.pending and not live.is_loading and self._live.get(live.key) is live:
            del self._live[live.key]
            self._evictable.pop(live.key, None)
            self._bytes -= live.counted
            live.counted = 0


def _unseen(
    changes: list[tuple[int, Applied]], shown: int, document: Document
) -> list[tuple[int, Applied]]:
    """The changes that a file does not show; `shown` is the last frame it does, 0 for unknown."""
    if shown:
        return [change for change in changes if change[0] > shown]
    # Revisions begin anew with a reset. A file that shows one is known.
    old = itertools.takewhile(
        lambda change: not change[1].reset and change[1].revision <= document.revision, changes
    )
    return changes[len(list(old)) :]


def _refuse_older(live: Live, document: Document, first: Applied) -> None:
    """Raises `Corrupt` for a file that a person put there and that lacks what the journal forgot.

    To go on from it would be to do again what it may show already.
    """
    if not first.reset and first.revision > document.revision + 1:
        raise Corrupt(
            live.name,
            f"has revision {document.revision}, and the journal goes on from"
            f" {first.revision - 1}: restore that, or give this one its number",
        )


def token_of(status: Status) -> Token:
    """What tells a file from every other that had its name: inode, size and time."""
    return status.st_ino, status.st_size, status.st_mtime_ns
