"""What lies in the store, for a person who looks: journal, entries, documents; and the checkpoint.

`manage.py store_dump` and `manage.py store_checkpoint` are its commands. All but `checkpoint` only
looks: beside a running server, in a folder that can only be read, and in one that is damaged.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from docstore import Key, NotFound, Unavailable
from docstore.backends.files import FilesBackend
from docstore.codec import decode
from docstore.errors import from_os_error
from docstore.history import History, Segment
from utils.documents import own_copy
from utils.json_storage import JSONStorageManager, json_storage
from utils.records import COLLECTIONS

Told = dict[str, Any]


class Inspector:
    """Looks into the folder of a storage, by default of the one that the settings name."""

    def __init__(self, manager: JSONStorageManager | None = None) -> None:
        self._manager = manager or json_storage

    @property
    def folder(self) -> Path:
        """The data folder. Raises `Unavailable` where there is none."""
        folder = self._manager.folder
        if folder is None:
            raise Unavailable("the store is kept in memory: it has no journal")
        if not folder.is_dir():
            raise Unavailable(f"the data folder {folder} is not there")
        return folder

    # The journal

    def summary(self) -> Told:
        """What the journal consists of, what waits for its file, and what is left of mishaps."""
        segments = self._segments()
        checkpoint = max((each.checkpoint for each in segments), default=0)
        return {
            "folder": str(self.folder),
            "segments": [asdict(each) for each in segments],
            "size_bytes": sum(each.size for each in segments),
            "last": max((each.last for each in segments), default=0),
            "epoch": segments[-1].epoch if segments else 0,
            "checkpoint": checkpoint,
            "pending": self._pending(checkpoint),
            "torn": self._names(".neuralflow/journal/torn-*"),
            "set_aside": self._names("*/*.set-aside-*.json"),
            "reserve": (self.folder / ".neuralflow/reserve").exists(),
            "problems": _problems(segments),
        }

    def entries(self, since: int = 0, document: str = "", limit: int | None = None) -> list[Told]:
        """The newest entries after frame `since`, oldest first; of one document, if it is named.

        Each has `sequence`, `at`, `actor`, `request`, `relaxed` and `changes`: of these each has
        `document`, `revision` and `edits`, with `path`, and `before` and `after` where there was
        or is something. What is whole of a damaged journal is among them.
        """
        if document:
            self._key(document)
        found = self._entries(since, document)
        return list(found if limit is None else deque(found, maxlen=max(limit, 0)))

    def _entries(self, since: int, document: str) -> Iterator[Told]:
        try:
            for entry in History(self.folder).entries(since, damaged=True):
                changes = [_change(change) for change in entry["changes"]]
                if not document or any(each["document"] == document for each in changes):
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
        """What of the journal is damaged or missing, each a sentence."""
        return _problems(self._segments())

    def _segments(self) -> list[Segment]:
        try:
            return History(self.folder).segments()
        except OSError as error:
            raise from_os_error(error, "cannot read the journal") from error

    def _pending(self, checkpoint: int) -> dict[str, int]:
        """By document, how many changes its file is not known to show yet."""
        history = History(self.folder)
        shown, pending = history.shown(checkpoint), Counter[str]()
        for entry in history.entries(checkpoint):
            for change in entry["changes"]:
                key = change["collection"], change["owner"]
                if entry["sequence"] > shown.get(key, 0):
                    pending[_name(*key)] += 1
        return dict(sorted(pending.items()))

    def _names(self, pattern: str) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.glob(pattern))

    # Documents

    def document(self, name: str) -> Told:
        """The document as acknowledged: `revision`, whether the file `is_exact`, and `content`.

        Where the journal is damaged, `problem` says so, and the content is the file's.
        Raises `NotFound`, `Corrupt`.
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
            "content": own_copy(document.content),
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
        """Makes all files exact and durable, and retires history that is older than the settings
        want. Raises `Unavailable`, `OutOfSpace`.
        """
        self.folder  # noqa: B018 (raises where there is none)
        backend = self._manager.store.backend
        assert isinstance(backend, FilesBackend)
        before = {each.name for each in self._segments()}
        backend.checkpoint()
        segments = self._segments()
        return {
            "checkpoint": max((each.checkpoint for each in segments), default=0),
            "retired": len(before - {each.name for each in segments}),
            "segments": len(segments),
            "size_bytes": sum(each.size for each in segments),
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
    found = []
    for each, before in zip(segments, [None, *segments], strict=False):
        if each.gap and before:
            found.append(f"the frames {before.last + 1} to {each.first - 1} are missing")
        if each.end == "damaged":
            found.append(
                f"{each.name} is damaged at byte {each.used}: frame {each.last + 1} is broken,"
                f" and {each.behind} whole frames are behind it"
            )
    return found


inspector = Inspector()
"""Looks into the storage that the settings name."""
