"""Inspect a store: journal, entries, documents. Also forces a checkpoint.

`manage.py store_dump` and `manage.py store_checkpoint` use it. All methods but `checkpoint` are
read-only, so they work next to a running server, on a read-only folder and on a damaged one.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from docstore import Key, NotFound, Unavailable
from docstore.backends.files.backend import FilesBackend
from docstore.codec import decode
from docstore.errors import from_os_error
from docstore.journal.reader import JournalReader, Segment
from workspace.documents import deep_copy
from workspace.schema.validation import COLLECTIONS
from workspace.workspace import Workspace

Told = dict[str, Any]


class Inspector:
    """Inspects the data folder of a workspace."""

    def __init__(self, manager: Workspace) -> None:
        self._manager = manager

    @property
    def folder(self) -> Path:
        """The data folder. Raises `Unavailable` if there is none."""
        folder = self._manager.folder
        if folder is None:
            raise Unavailable("the store is not on files: it has no journal")
        if not folder.is_dir():
            raise Unavailable(f"the data folder {folder} is not there")
        return folder

    # The journal

    def summary(self) -> Told:
        """Return the segments, the pending changes per document, and remains of failures."""
        segments = self._segments()
        checkpoint = max((segment.checkpoint for segment in segments), default=0)
        return {
            "folder": str(self.folder),
            "segments": [asdict(segment) for segment in segments],
            "size_bytes": sum(segment.size for segment in segments),
            "last": max((segment.last for segment in segments), default=0),
            "epoch": segments[-1].epoch if segments else 0,
            "checkpoint": checkpoint,
            "pending": self._pending(checkpoint),
            "torn": self._names(".neuralflow/journal/torn-*"),
            "set_aside": self._names("*/*.set-aside-*.json"),
            "reserve": (self.folder / ".neuralflow/reserve").exists(),
            "problems": _problems(segments),
        }

    def entries(self, since: int = 0, document: str = "", limit: int | None = None) -> list[Told]:
        """Return the newest entries after frame `since`, oldest first, optionally of one document.

        Each has `sequence`, `at`, `actor`, `request`, `relaxed` and `changes`. A change has
        `document`, `revision` and `edits`. An edit has `path`, and `before` and `after` unless
        absent. In a damaged journal, the intact entries are returned.
        """
        if document:
            self._key(document)
        entries = self._entries(since, document)
        return list(entries if limit is None else deque(entries, maxlen=max(limit, 0)))

    def _entries(self, since: int, document: str) -> Iterator[Told]:
        try:
            for entry in JournalReader(self.folder).entries(since, damaged=True):
                changes = [_change(change) for change in entry["changes"]]
                if not document or any(described["document"] == document for described in changes):
                    yield {
                        "sequence": entry["sequence"],
                        "at": entry["at"],
                        "actor": entry.get("actor", ""),
                        "request": entry.get("request", ""),
                        "relaxed": "relaxed" in entry,
                        "changes": changes,
                    }
        except OSError as error:
            raise from_os_error(error, "cannot read the journal") from error

    def problems(self) -> list[str]:
        """Return a sentence for each damaged or missing part of the journal."""
        return _problems(self._segments())

    def _segments(self) -> list[Segment]:
        try:
            return JournalReader(self.folder).segments()
        except OSError as error:
            raise from_os_error(error, "cannot read the journal") from error

    def _pending(self, checkpoint: int) -> dict[str, int]:
        """Return, by document, how many changes are not known to be in its file yet."""
        journal = JournalReader(self.folder)
        published, pending = journal.published_sequence(checkpoint), Counter[str]()
        for entry in journal.entries(checkpoint):
            for change in entry["changes"]:
                key = change["collection"], change["owner"]
                if entry["sequence"] > published.get(key, 0):
                    pending[_name(*key)] += 1
        return dict(sorted(pending.items()))

    def _names(self, pattern: str) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.glob(pattern))

    # Documents

    def document(self, name: str) -> Told:
        """Return the committed document: `revision`, `content`, and whether its file `is_exact`.

        If the journal is damaged, `problem` describes it, and `content` is that of the file. Raises
        `NotFound` and `Corrupt`.
        """
        key, path = self._key(name), self.folder / name
        problem = "; ".join(self.problems())
        data = _content(path) if problem else self._backend().raw(key)
        if data is None:
            raise NotFound(f"there is no {name}")
        document = decode(data, name, COLLECTIONS[key.collection].layout)
        return {
            "document": name,
            "revision": document.revision,
            "is_exact": not problem and _content(path) == data,
            "problem": problem,
            "content": deep_copy(document.content),
        }

    def _backend(self) -> FilesBackend:
        layouts = {name: spec.layout for name, spec in COLLECTIONS.items()}
        return FilesBackend(self.folder, layouts, lay_out=False)

    @staticmethod
    def _key(name: str) -> Key:
        for spec in COLLECTIONS.values():
            layout = spec.layout
            pattern = rf"{layout.name}/{layout.stem}_([1-9][0-9]{{0,17}})\.json"
            if match := re.fullmatch(pattern, name, re.ASCII):
                return Key(layout.name, int(match[1]))
        raise NotFound(f"there is no document {name}: they are called like tasks/tasks_7.json")

    # The checkpoint

    def checkpoint(self) -> Told:
        """Publish all files durably, and delete journal history beyond its retention.

        Raises `Unavailable` and `OutOfSpace`.
        """
        self.folder  # noqa: B018 (raises if there is none)
        published = self._manager.store.backend.published
        assert published is not None  # it has a folder
        before = {segment.name for segment in self._segments()}
        published.checkpoint()
        segments = self._segments()
        return {
            "checkpoint": max((segment.checkpoint for segment in segments), default=0),
            "retired": len(before - {segment.name for segment in segments}),
            "segments": len(segments),
            "size_bytes": sum(segment.size for segment in segments),
        }


def _name(collection: str, owner: int) -> str:
    spec = COLLECTIONS.get(collection)
    return f"{collection}/{spec.layout.stem if spec else '?'}_{owner}.json"


def _change(change: Mapping[str, Any]) -> Told:
    return {
        "document": _name(change["collection"], change["owner"]),
        "revision": change["revision"],
        "edits": change["edits"],
    }


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise from_os_error(error, f"cannot read {path}") from error


def _problems(segments: Sequence[Segment]) -> list[str]:
    problems = []
    for part, before in zip(segments, [None, *segments], strict=False):
        if part.gap and before:
            problems.append(f"the frames {before.last + 1} to {part.first - 1} are missing")
        if part.end == "damaged":
            problems.append(
                f"{part.name} is damaged at byte {part.used}: frame {part.last + 1} is broken,"
                f" and {part.frames_after_gap} whole frames are behind it"
            )
    return problems
