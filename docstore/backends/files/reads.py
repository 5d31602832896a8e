"""Reads documents: from the cache, which follows the journal, or from their files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

from docstore.backend import ABSENT, Copy, Stored
from docstore.backends.files.document_cache import NEWEST, EditedByHand
from docstore.backends.files.hand_edits import HandEdits
from docstore.backends.files.lifecycle import Lifecycle
from docstore.backends.files.parts import FolderParts
from docstore.backends.files.writer import WriterAccess
from docstore.codec import encode
from docstore.document import Document, Key
from docstore.errors import Corrupt, Unavailable, from_os_error

# How often to look for a moment without writes before blocking the writers for one.
_LOOKS_MAX: Final = 5


class DocumentReads:
    """The reads of a process.

    Invariant: a read outside of a writer session returns visible states only, at least as new as
    the visible frames when it began. Inside a session, it returns the newest state.
    """

    def __init__(
        self,
        parts: FolderParts,
        lifecycle: Lifecycle,
        writer: WriterAccess,
        hand_edits: HandEdits,
    ) -> None:
        self._folder, self._files, self._lock = parts.folder, parts.folder.files, parts.folder.lock
        self._cache, self._session, self._repair = parts.cache, parts.session, parts.repair
        self._state, self._cursor = parts.journal.state, parts.journal.cursor
        self._lifecycle, self._writer, self._hand_edits = lifecycle, writer, hand_edits

    def read(self, key: Key, *, is_again: bool = False) -> Stored:
        """Return the document and its version. Raises `Corrupt`, `Unavailable`."""
        state, cursor, lifecycle, cache = self._state, self._cursor, self._lifecycle, self._cache
        if not lifecycle.is_open or cursor.is_stale:
            lifecycle.ensure_open()
        if self._lock.held:
            return self._read_in_session(key)
        visible = state.visible
        if cursor.followed < visible or lifecycle.is_read_only:
            cache.follow()
            if visible > cursor.followed and not cursor.is_stale:
                fault = cursor.leave_incomplete()
                if is_again:
                    raise fault
                is_again = True
            if cursor.is_stale:
                return self.read(key, is_again=is_again)
            visible = max(visible, state.visible) if lifecycle.is_read_only else visible
        try:
            return cache.stored(key, visible)
        except EditedByHand:
            self._hand_edits.merge(key)
            return cache.last_good(key, max(visible, state.visible))

    def _read_in_session(self, key: Key) -> Stored:
        if self._cursor.is_in_doubt:
            self._session.catch_up()
        try:
            return self._cache.stored(key, NEWEST)
        except EditedByHand:
            self._hand_edits.merge(key)
            return self._cache.last_good(key, NEWEST)

    def follow(self) -> None:
        """Apply what the journal has to the cache."""
        with self._repair.guard():
            self._lifecycle.ensure_open()
            self._cache.follow()

    def raw(self, key: Key) -> bytes | None:
        """Return the stored bytes, readable or not; None if the document does not exist."""
        with self._repair.guard():
            self._lifecycle.ensure_open()
            self._cache.follow()
            # Without the mutex: the read may merge a manual edit, and takes the folder lock for it.
            if self._is_ahead(key):
                document = self.read(key).document
                return encode(document) if document else None
            data, status = self._cache.content(self._cache.unknown(key))
            return data if status else None

    def _is_ahead(self, key: Key) -> bool:
        """Return whether the document has changes that its file does not show yet."""
        return self._cache.pending.get(key) is not None and self._cache.fault(key) is None

    def size(self, key: Key) -> int:
        """Return the bytes of the document's file, 0 if it does not exist."""
        try:
            return self._files.status(self._folder.path(key)).st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise from_os_error(error, f"cannot read {self._folder.name(key)}") from error

    def keys(self, collection: str) -> Iterator[Key]:
        """Return the keys of all documents of a collection, ordered by owner."""
        self.follow()
        keys = set(self.keys_of_files(collection))
        for live in self._cache.unpublished(collection):
            if self.read(live.key).document is None:
                keys.discard(live.key)
            else:
                keys.add(live.key)
        return iter(sorted(keys))

    def keys_of_files(self, collection: str) -> Iterator[Key]:
        """Return the keys of the collection's files, in no order. Raises `Unavailable`."""
        try:
            return self._folder.keys_of_files(collection)
        except FileNotFoundError:
            self._cache.refuse_missing_root()
            return iter(())

    # Copies of one moment

    @contextmanager
    def copies(self, keys: Sequence[Key], publish: Callable[[], None]) -> Iterator[dict[Key, Copy]]:
        """Yield copies of the documents as of one moment: see `Backend.copies`."""
        with self._repair.guard(), ExitStack() as stack:
            for _ in range(_LOOKS_MAX):
                before = self._versions(keys)
                with suppress(Unavailable):  # on a full disk, memory has what no file shows
                    publish()
                with ExitStack() as opened:
                    copies = self._copies(keys, opened)
                    if self._versions(keys) == before:
                        stack.push(opened.pop_all())
                        break
            else:  # writers never pause
                with self._writer.exclusive():
                    copies = self._copies(keys, stack)
            yield copies

    def _versions(self, keys: Sequence[Key]) -> list[object]:
        return [self._read_or_error(key)[1] for key in keys]

    def _read_or_error(self, key: Key) -> tuple[Document | None, object]:
        """Return the document and its version; None and the reason if it is unreadable."""
        try:
            return self.read(key)
        except Corrupt as fault:
            return None, str(fault)

    def _copies(self, keys: Sequence[Key], stack: ExitStack) -> dict[Key, Copy]:
        copies = {}
        for key in keys:
            if self._is_ahead(key):
                document, version = self._read_or_error(key)
                if document is not None:
                    copies[key] = Copy(stack.enter_context(io.BytesIO(encode(document))), document)
                if version is ABSENT or document is not None:
                    continue
            file = self._cache.opened(self._cache.unknown(key))
            if file is not None:
                stack.enter_context(file)
                # While the file has a fault, reads return another state than its bytes.
                is_exact = self._cache.fault(key) is None
                copies[key] = Copy(file, self._read_or_error(key)[0] if is_exact else None)
        return copies
