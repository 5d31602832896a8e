"""Repairs documents whose file is faulty: from the journal, from images, or from backups."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress

from docstore.backends.files.backup_fallback import BackupFallback
from docstore.backends.files.hand_edits import HandEdits
from docstore.backends.files.lifecycle import Lifecycle, write_failed
from docstore.backends.files.parts import FolderParts
from docstore.backends.files.reads import DocumentReads
from docstore.backends.files.rebuilding import rebuilt
from docstore.backends.files.writer import WriterAccess
from docstore.codec import encode
from docstore.document import Document, Key
from docstore.errors import Corrupt


class FileRepair:
    """The repair of one document's file.

    Invariant: the faulty file is set aside, durably, before another one gets its name.
    """

    def __init__(
        self,
        parts: FolderParts,
        lifecycle: Lifecycle,
        writer: WriterAccess,
        reads: DocumentReads,
        hand_edits: HandEdits,
        fallback: BackupFallback,
    ) -> None:
        self._folder, self._files, self._repair = parts.folder, parts.folder.files, parts.repair
        self._journal, self._cache = parts.journal, parts.cache
        self._lifecycle, self._writer, self._reads = lifecycle, writer, reads
        self._hand_edits, self._fallback = hand_edits, fallback

    def last_good(self, key: Key) -> tuple[Document, str] | None:
        """Return the last good state of a document whose file is faulty, and where it is from.

        That is "journal" (its history, or the image of the last checkpoint with it) or "backup".
        Return None if neither has the document.
        """
        with self._repair.guard():
            try:
                document, source = self._reads.read(key).document, "journal"
            except Corrupt as fault:
                layout = self._folder.layouts[key.collection]
                document, source = rebuilt(self._journal.segments, key, layout), "journal"
                if document is None:
                    with suppress(Corrupt):
                        document, source = self._fallback.read(key, fault).document, "backup"
            return (document, source) if document is not None else None

    def repair_file(self, key: Key, document: Document | None, remarks: Sequence[str]) -> str:
        """Set a faulty file aside and put the document in its place; return the name of the first.

        None leaves no file. Raises `Unavailable`, `OutOfSpace`.
        """
        path = self._folder.path(key)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.draft")
        with self._repair.guard():
            self._lifecycle.ensure_open()
            self._lifecycle.require_writable()
            with self._folder.publishing_lock.hold(), self._writer.exclusive():
                aside_name = self._hand_edits.set_aside(key, remarks)
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
                    name = self._folder.name(key)
                    raise write_failed(self._journal, error, f"cannot repair {name}") from error
                self._cache.faults.pop(key, None)
        return aside_name
