"""Documents whose file is broken and that only a backup still has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from docstore.backend import Stored
from docstore.backends.files.document_cache import Token
from docstore.backends.files.hand_edits import HandEdits
from docstore.backends.files.parts import FolderParts
from docstore.codec import decode
from docstore.document import UPDATED_AT, Document, Key
from docstore.editor_buffers import PastChange
from docstore.errors import Corrupt
from docstore.journal.replay import replay

# How many documents read from backups are cached.
_CACHED_MAX: Final = 16


class BackupFallback:
    """Reads the last good state of a document from backups and history.

    Invariant: changes are never based on such a state, and it is not cached with the documents: a
    repaired file counts again, and may be newer.
    """

    def __init__(self, parts: FolderParts, hand_edits: HandEdits) -> None:
        self._folder, self._cache, self._hand_edits = parts.folder, parts.cache, hand_edits
        self._contents_of: Callable[[str], Iterable[bytes]] | None = None
        self._states: dict[Key, tuple[Token | None, Stored]] = {}

    def register(self, contents: Callable[[str], Iterable[bytes]]) -> None:
        """Register a source of backups: it yields older contents of the file with a name.

        They are tried in order if a file is broken and neither memory nor an image has its
        document.
        """
        self._contents_of = contents

    def read(self, key: Key, fault: Corrupt) -> Stored:
        """Return the last good state in backups and history; otherwise raise the fault."""
        live = self._cache.unknown(key)
        if self._contents_of is None or fault.document != live.name:
            raise fault
        token = self._cache.token(live)
        state = self._states.get(key)
        if state is not None and state[0] == token:
            return state[1]
        document = self._backed_up(key)
        if document is None:
            raise fault
        self._hand_edits.note_fault(live, fault)
        if len(self._states) >= _CACHED_MAX:
            self._states.clear()
        stored = Stored(document, ("backup", token))
        self._states[key] = token, stored
        return stored

    def _backed_up(self, key: Key) -> Document | None:
        name, layout = self._folder.name(key), self._folder.layouts[key.collection]
        for content in self._contents_of(name) if self._contents_of else ():
            with suppress(Corrupt):
                return self._brought_forward(key, decode(content, name, layout))
        return None

    def _brought_forward(self, key: Key, document: Document) -> Document:
        """Apply the changes since the backup, if the history has all of them."""
        changes: list[PastChange] = []
        for change in self._hand_edits.past_of(key):
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
                layout = self._folder.layouts[key.collection]
                result = replay(result, change.edits or (), change.at, number, layout)
            except ValueError:
                return document
        return result or document
