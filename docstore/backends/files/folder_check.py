"""The integrity check of a data folder: what is missing in it, and what does not belong there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Final

from docstore.backend import Finding
from docstore.backends.files.asides import note_of
from docstore.backends.files.hand_edits import HandEdits
from docstore.backends.files.leftovers import DRAFT, SET_ASIDE
from docstore.backends.files.lifecycle import DISPLACED
from docstore.backends.files.parts import FolderParts
from docstore.backends.files.reads import DocumentReads
from docstore.backends.files.writer import WriterAccess
from docstore.errors import Unavailable

_SET_ASIDE_NOTE: Final = re.compile(r".*\.set-aside-[-0-9TZ.]+\.txt", re.ASCII)


class FolderCheck:
    """The check of a folder's names. It changes nothing."""

    def __init__(
        self,
        parts: FolderParts,
        reads: DocumentReads,
        hand_edits: HandEdits,
        writer: WriterAccess,
    ) -> None:
        self._folder, self._replace, self._repair = parts.folder, parts.replace, parts.repair
        self._reads, self._hand_edits, self._writer = reads, hand_edits, writer

    def findings(self) -> Iterator[Finding]:
        """Yield missing folders and unexpected names: see `Backend.check`."""
        for name, layout in self._folder.layouts.items():
            if not layout.begun_later and not (self._folder.root / name).is_dir():
                yield Finding(f"{name}/", "the folder is missing: run setup_data")
        findings = self._unexpected_files()
        if findings:  # writers create such names for a moment
            with (
                suppress(Unavailable),
                self._repair.guard(),
                self._nobody_publishes(),
                self._writer.exclusive(),
            ):
                findings = self._unexpected_files()
        yield from findings

    def _nobody_publishes(self) -> AbstractContextManager[object]:
        is_there = self._folder.files.exists(self._folder.work / "publishing")
        return self._folder.publishing_lock if is_there else nullcontext()

    def _unexpected_files(self) -> list[Finding]:
        """Return findings about files in the folders that are not documents."""
        root = self._folder.root
        findings = []
        for name in filter(lambda name: (root / name).is_dir(), self._folder.layouts):
            keys = self._reads.keys_of_files(name)
            known = {self._folder.path(key).name for key in keys} | {"_index.json"}
            for entry in sorted((root / name).iterdir()):
                if entry.name in known:
                    problem = "" if entry.is_file() else "is not a file"
                elif DRAFT.fullmatch(entry.name):
                    problem = "is a draft that a writer left when it died: remove it"
                elif SET_ASIDE.fullmatch(entry.name):
                    remarks = self._hand_edits.remarks_in(entry.with_name(note_of(entry.name)))
                    problem = "is a version changed by hand that was not merged, or not wholly"
                    problem += f" ({'; '.join(remarks)})" if remarks else ""
                    problem += ": compare, then use or discard it on My files"
                elif DISPLACED.fullmatch(entry.name):
                    problem = "is what a writer that died was replacing: the next start uses it"
                elif _SET_ASIDE_NOTE.fullmatch(entry.name):
                    problem = ""
                else:
                    problem = "is not a document and is left alone"
                if problem:
                    findings.append(Finding(f"{name}/{entry.name}", problem))
        for left in sorted([*self._replace.left(), *self._folder.dead_pins()]):
            problem = "was left by a writer that died: the next start removes it"
            findings.append(Finding(str(left.relative_to(root)), problem))
        for torn in sorted(self._folder.journal.glob("torn-*")):
            problem = "is what a power cut left half written, and nobody was told of: remove it"
            findings.append(Finding(str(torn.relative_to(root)), problem))
        return findings
