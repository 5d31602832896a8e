"""Export a store as the files that a store in a folder has, once or continuously.

`grep`, `git` and `rsync` then work beside a store in a database. The files are for reading: nothing
reads them back, and edits are overwritten when the document changes.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from docstore.codec import encode
from docstore.document import CollectionLayout, Key
from docstore.errors import HistoryGone, Unavailable, from_os_error
from docstore.store import DocumentStore

FOLLOW_SECONDS: Final = 0.5
_WORK_FOLDER: Final = ".neuralflow"


class Export:
    """The files of a store in a folder. `written` and `removed` count what was done so far."""

    def __init__(
        self, store: DocumentStore, folder: Path, layouts: Mapping[str, CollectionLayout]
    ) -> None:
        self._store, self._folder, self._layouts = store, folder, layouts
        self.written = self.removed = 0

    def run(self) -> int:
        """Export all documents; return the number after which `follow` continues.

        Files with the right content remain untouched. Raises `Unavailable`, `OutOfSpace`, and
        `Corrupt` for a document that cannot be read.
        """
        if (self._folder / _WORK_FOLDER).exists():
            raise Unavailable(f"{self._folder} is a data folder: name another folder")
        through = self._store.sequence()
        try:
            for name, layout in self._layouts.items():
                (self._folder / name).mkdir(0o700, parents=True, exist_ok=True)
                keys = set(self._store.keys(name))
                for key in sorted(keys | self._exported(name, layout)):
                    self._write(key)
        except OSError as error:
            raise from_os_error(error, f"cannot write into {self._folder}") from error
        return through

    def follow(self, through: int) -> int:
        """Export what was changed after the number; return the number to continue from."""
        try:
            while through < self._store.sequence():
                entries, through = self._store.entries(through)
                if any(entry.restored for entry in entries):
                    return self.run()
                self._write_all({change.key for entry in entries for change in entry.changes})
        except HistoryGone:
            return self.run()
        except OSError as error:
            raise from_os_error(error, f"cannot write into {self._folder}") from error
        return through

    def follow_until(self, through: int, is_over: Callable[[float], bool]) -> None:
        """Follow until `is_over` returns True. It is called with the seconds that it may wait."""
        while not is_over(FOLLOW_SECONDS):
            through = self.follow(through)

    def _exported(self, name: str, layout: CollectionLayout) -> set[Key]:
        names = [path.name for path in (self._folder / name).iterdir()]
        matches = [re.fullmatch(rf"{layout.stem}_([1-9][0-9]*)\.json", name) for name in names]
        return {Key(name, int(match[1])) for match in matches if match}

    def _write_all(self, keys: Iterable[Key]) -> None:
        for key in sorted(keys):
            if key.collection in self._layouts:
                self._write(key)

    def _write(self, key: Key) -> None:
        layout, document = self._layouts[key.collection], self._store.read(key)
        path = self._folder / key.collection / f"{layout.stem}_{key.owner}.json"
        if document is None:
            if path.exists():
                path.unlink()
                self.removed += 1
            return
        data = encode(document)
        if path.is_file() and path.read_bytes() == data:
            return
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        draft.replace(path)
        self.written += 1
