"""Merges the files that people edited by hand, and preserves what cannot be merged."""

from __future__ import annotations

import logging
import re
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from docstore import editor_buffers, file_edits
from docstore.backend import Aside
from docstore.backends.files import asides
from docstore.backends.files.asides import note_of
from docstore.backends.files.document_cache import NEWEST, SETTLED_NS, CachedDocument, file_id_of
from docstore.backends.files.images import digest_of
from docstore.backends.files.lifecycle import write_failed
from docstore.backends.files.parts import FolderParts
from docstore.backends.files.writer import UnsettledFile, WriterAccess
from docstore.codec import decode
from docstore.document import Key
from docstore.editor_buffers import PastChange
from docstore.errors import Corrupt, NotFound, StoreError, Unavailable, from_os_error
from docstore.file_edits import EarlierSaves, FileEdit, State, is_same_document
from docstore.journal.entries import past_changes
from docstore.journal.frames import Kind
from docstore.journal.segments import reading_failed
from docstore.journal.trimming import is_missed
from docstore.salvage import Lost, salvage, without_lost

log = logging.getLogger(__name__)

# Seconds that a file may be missing before it counts as removed.
ABSENCE_SECONDS: Final = 0.25


class HandEdits:
    """The edits that people made in documents' files.

    Invariant: no save is lost. An edited file is merged in one commit, or set aside, or remains in
    its place with a fault that says why, before the store writes another file under its name.
    """

    def __init__(self, parts: FolderParts, writer: WriterAccess) -> None:
        self._folder, self._files = parts.folder, parts.folder.files
        self._layouts = parts.folder.layouts
        self._journal, self._cache, self._writer = parts.journal, parts.cache, writer
        self._merge: weakref.WeakMethod[Callable[[FileEdit], object]] | None = None
        self._merging: set[Key] = set()

    def merge_with(self, merge: Callable[[FileEdit], object]) -> None:
        """Register the method that merges edited files: see `Backend.merge_with`."""
        self._merge = weakref.WeakMethod(merge)
        self._cache.merges = True

    def is_merging(self, key: Key) -> bool:
        """Return whether the edit of this document's file is being merged."""
        return key in self._merging

    def merge(self, key: Key) -> None:
        """Merge a manual edit of the document's file, which may leave the document unchanged.

        If merging is not possible now, log that; a later read or publication tries again.
        """
        if key in self._merging and self._writer.is_held:
            return
        if self._writer.is_leading and not self._is_settled(key):
            raise UnsettledFile(key)  # waiting here would stall all writers
        self._wait_for_editor(key)
        try:
            with self._writer.exclusive():
                self._merge_under_lock(key)
        except Unavailable as fault:  # it is tried again
            name = self._folder.name(key)
            log.warning("%s was changed by hand and cannot be merged now: %s", name, fault)

    def _is_settled(self, key: Key) -> bool:
        """Return whether `_wait_for_editor` would not wait."""
        try:
            changed = getattr(self._files.status(self._folder.path(key)), "st_ctime_ns", 0)
        except OSError:
            return False
        return not 0 < SETTLED_NS - (time.time_ns() - changed) <= SETTLED_NS

    def _wait_for_editor(self, key: Key) -> None:
        """Wait until the file is old enough for every later save to change its mtime.

        Without this, a save in place within the same tick of the clock is lost. A missing file may
        come back: some editors rename the old file before they write the new one.
        """
        path, deadline = self._folder.path(key), time.monotonic() + ABSENCE_SECONDS
        while not self._files.exists(path) and time.monotonic() < deadline:
            time.sleep(SETTLED_NS / 1e10)
        with suppress(OSError):
            changed = getattr(self._files.status(path), "st_ctime_ns", 0)
            rest = SETTLED_NS - (time.time_ns() - changed)
            if 0 < rest <= SETTLED_NS:
                time.sleep(rest / 1e9)

    def _merge_under_lock(self, key: Key) -> None:
        merge = self._merge() if self._merge is not None else None
        if merge is None:  # the store is gone: accept the file as it is
            self._cache.merges = False
            return
        edit = self._edit_of(key)
        if edit is None:
            return
        live = self._cache.pending.get(key)
        if live is not None and file_edits.changes_nothing(
            edit, self._layouts[key.collection].records
        ):
            self._cache.note_merged(live, edit.token)  # the pending change replaces the file
            return
        self._merging.add(key)
        try:
            merge(edit)
        except Unavailable:
            raise
        except (StoreError, ValueError) as error:
            live = self._cache.live(key)
            self.note_fault(live, Corrupt(live.name, f"cannot be merged: {error}"))
        finally:
            self._merging.discard(key)

    def note_fault(self, live: CachedDocument, fault: Corrupt) -> None:
        """Record why the document's file cannot be merged or read."""
        with self._cache.mutex:
            self._cache.faults[live.key] = self._cache.token(live), fault
        log.error("changed by hand: %s", fault)

    def _edit_of(self, key: Key) -> FileEdit | None:
        """Return the manual edit of the file; None if it has none, or if it cannot be read."""
        cache, layout = self._cache, self._layouts[key.collection]
        data, lost = b"", tuple[Lost, ...]()
        with cache.mutex:
            ours = cache.last_good(key, NEWEST).document
            live = cache.live(key)
            token = cache.token(live)
            if token is not None and (token in live.tokens or token in live.merged):
                return None
            if ours is None and (token is None or not live.pending):
                return None
            try:
                data, status = cache.content(live)
                theirs = decode(data, live.name, layout) if status else None
            except Corrupt as fault:
                salvaged = salvage(data, live.name, layout)
                if salvaged is None:
                    self.note_fault(live, fault)
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
                live.tokens[file_id_of(status)] = live.at(NEWEST)[0]
                return None
        digest = digest_of(data)
        base, doubt, saves = editor_buffers.find_base(
            ours, theirs, self.past_of(key), layout.records
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
            file_id_of(status),
            digest,
            theirs.revision,
            state,
            base,
            doubt,
            earlier,
            remarks,
        )

    def past_of(self, key: Key) -> Iterator[PastChange]:
        """Yield the changes of a document that the journal still has, newest first."""
        segments = self._journal.segments
        mark = f'"collection":"{key.collection}","owner":{key.owner},'.encode()
        for number in reversed(segments.numbers()):
            try:
                frames = list(segments.frames(number))
            except FileNotFoundError:
                return
            except OSError as error:
                raise reading_failed(error) from error
            for frame in reversed(frames):
                if frame.kind == Kind.RESTORED or is_missed(frame, lambda known: known == key):
                    return
                if frame.kind in (Kind.COMMIT, Kind.RELAXED) and mark in frame.payload:
                    yield from past_changes(frame.payload, key)

    # Versions that were set aside

    def set_aside(self, key: Key, remarks: Sequence[str]) -> str:
        """Preserve the document's manually edited file under another name, and return that.

        A note next to it has one remark per line. Raises `Unavailable`, `OutOfSpace`.
        """
        live = self._cache.live(key)
        try:
            name = asides.set_aside(self._files, live.path, self._cache.clock())
            asides.write_note(self._files, live.path, name, remarks)
        except OSError as error:
            raise write_failed(self._journal, error, f"cannot set {live.name} aside") from error
        return name

    def versions_aside(self, key: Key) -> list[Aside]:
        """Return the versions of the document's file that were set aside, oldest first."""
        folder, stem = self._folder.path(key).parent, self._folder.path(key).stem
        pattern = re.compile(rf"{re.escape(stem)}\.set-aside-[-0-9TZ.]+\.json", re.ASCII)
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
            versions.append(Aside(name, tuple(self.remarks_in(folder / note_of(name))), content))
        return versions

    def remarks_in(self, path: Path) -> list[str]:
        """Return the remarks in a note on a version that was set aside; none without a note."""
        try:
            return self._files.read(path)[0].decode("utf-8", "replace").splitlines()
        except OSError:
            return []

    def discard_aside(self, key: Key, name: str) -> int:
        """Remove a version that was set aside, and its note; return its bytes.

        Raises `NotFound`, `Unavailable`.
        """
        sizes = {aside.name: len(aside.content) for aside in self.versions_aside(key)}
        if name not in sizes:
            raise NotFound(f"there is no {name}")
        folder = self._folder.path(key).parent
        try:
            self._files.remove("discard-aside", folder / name)
            self._files.remove("discard-aside", folder / note_of(name))
            self._files.sync_folder("discard-aside", folder)
        except OSError as error:
            raise write_failed(self._journal, error, f"cannot remove {name}") from error
        return sizes[name]
