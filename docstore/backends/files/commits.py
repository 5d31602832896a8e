"""Appends commits to the journal, and applies them to the cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from docstore.backend import ABSENT, Change, Commit, Edit
from docstore.backends.files.document_cache import NEWEST, EditedByHand
from docstore.backends.files.hand_edits import HandEdits
from docstore.backends.files.lifecycle import Lifecycle, write_failed
from docstore.backends.files.parts import FolderParts
from docstore.codec import encode
from docstore.errors import Conflict, TooLarge, from_os_error
from docstore.journal.entries import encode_entry
from docstore.journal.frames import Kind

DOCUMENT_BYTES_MAX: Final = 256 * 1024 * 1024


class Committer:
    """The only writer of commits. Requires the folder lock.

    Invariants: a commit is one frame, appended only if all of its documents have the expected
    versions. What a change rests on is durable before the change is: the journal, or a file that a
    person wrote.
    """

    def __init__(self, parts: FolderParts, lifecycle: Lifecycle, hand_edits: HandEdits) -> None:
        self._folder, self._files = parts.folder, parts.folder.files
        self._journal, self._cache, self._session = parts.journal, parts.cache, parts.session
        self._lifecycle, self._hand_edits = lifecycle, hand_edits

    def commit(self, commit: Commit) -> tuple[int, bool]:
        """Append the commit; return its frame, and whether there is news for the publisher.

        Raises `Conflict`, `TooLarge`, `Unavailable`.
        """
        self._lifecycle.require_writable()
        if self._journal.is_in_doubt or self._journal.is_behind:
            self._session.catch_up()
        self.require_unblocked()
        with self._cache.mutex:
            on_files = {change.key for change in commit.changes if self._needs_file_base(change)}
            merged = [self._without_file(change) for change in commit.changes if change.merged]
            if merged:
                others = [change for change in commit.changes if not change.merged]
                commit = commit._replace(changes=(*merged, *others))
            payload = encode_entry(commit, on_files)
            for change in commit.changes:
                self._require_size(change, len(payload))
            kind = Kind.RELAXED if commit.relaxed else Kind.COMMIT
            # From here until `mark_applied`, an interruption leaves the cache in doubt: see
            # `Journal.is_in_doubt`.
            sequence = self._journal.append(kind, payload)
            is_news = False
            for change in commit.changes:
                is_news = self._apply_to_cache(change, sequence, payload) or is_news
            self._journal.mark_applied(sequence, relaxed=commit.relaxed)
        return sequence, is_news

    def require_unblocked(self) -> None:
        """Raise `Unavailable` if the disk failed, or if files cannot be written at present."""
        self._journal.refuse_failed()
        if self._journal.blocked:
            error = OSError(self._journal.blocked, os.strerror(self._journal.blocked))
            raise from_os_error(error, "the files of documents cannot be written")

    def _needs_file_base(self, change: Change) -> bool:
        """Return whether the change is based on a file that the store did not write.

        Such a file is made durable first. Raises `Conflict` if the document's version is not the
        expected one.
        """
        try:
            stored = self._cache.stored(change.key, NEWEST)
        except EditedByHand as edited:
            if change.merged is None and not self._hand_edits.is_merging(change.key):
                raise Conflict(f"{edited.live.name} was changed by hand meanwhile") from None
            stored = edited.live.stored(NEWEST)
        if stored.version != change.expect:
            raise Conflict(f"{self._folder.name(change.key)} was changed meanwhile")
        live = self._cache.live(change.key)
        if (fault := self._cache.fault(change.key)) is not None:
            raise fault
        if live.pending or live.is_ours or stored.document is None or change.merged is not None:
            return False
        try:
            self._files.sync_file("settle-base", live.path)
            self._files.sync_folder("settle-base", Path(live.path).parent)
        except OSError as error:
            raise write_failed(self._journal, error, f"cannot make {live.name} durable") from error
        return True

    def _without_file(self, change: Change) -> Change:
        """Put the complete document into the entry if only the edited file and memory have it.

        Without this, a crash would leave only the file that the person overwrote.
        """
        image = self._cache.images.path(change.key)
        if change.after is None or self._files.exists(image):
            return change
        before = self._cache.last_good(change.key, NEWEST).document
        replacement = Edit((), before.content if before else ABSENT, change.after.content)
        return change._replace(edits=(replacement,))

    def _apply_to_cache(self, change: Change, sequence: int, payload: bytes) -> bool:
        """Apply the change to the cache; return whether its file was up to date before."""
        live = self._cache.live(change.key)
        was_exact = not live.pending
        if not live.versions and change.after is not None and was_exact and change.expect is ABSENT:
            live.versions = ((0, None),)
        self._cache.add_pending(live, sequence, payload, is_own=True)
        if change.merged is not None:
            self._cache.note_merged(live, change.merged.token)
        if live.versions:
            live.add_version(sequence, change.after, self._journal.visible)
        return was_exact

    def _require_size(self, change: Change, added: int) -> None:
        """Raise `TooLarge` if the change would make the document larger than allowed."""
        live = self._cache.live(change.key)
        if change.after is None or live.size + added <= DOCUMENT_BYTES_MAX:
            return
        size = len(encode(change.after))
        before = self._cache.stored(change.key, NEWEST).document
        # A change that shrinks the document is never refused: otherwise it could not become
        # smaller.
        if size > DOCUMENT_BYTES_MAX and not (before and size < len(encode(before))):
            raise TooLarge(f"{live.name} would have {size} bytes; {DOCUMENT_BYTES_MAX} is most")
        live.size = size - added
