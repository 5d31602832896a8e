"""The data folder: where each file of a store is, and the locks on it."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from docstore.backend import WORK_FOLDER
from docstore.disk.filesystem import FileSystem
from docstore.disk.locks import is_in_use
from docstore.document import CollectionLayout, Key
from docstore.errors import from_os_error


class DataFolder:
    """The paths of a store, and its locks. It opens nothing by itself.

    Invariant: a path is made of a layout's names and a number only, never of what a user typed.
    Lock order: `opening_lock`, `publishing_lock`, `lock`, then the mutex of the cache.
    """

    def __init__(
        self,
        root: Path,
        layouts: Mapping[str, CollectionLayout],
        files: FileSystem,
        lock_timeout: float,
    ) -> None:
        self.root, self.layouts, self.files = root.absolute(), layouts, files
        self.work = self.root / WORK_FOLDER
        self.journal = self.work / "journal"
        self.lock = files.lock(self.work / "lock", lock_timeout)
        self.opening_lock = files.lock(self.work / "opening", lock_timeout)
        self.publishing_lock = files.lock(self.work / "publishing", 6 * lock_timeout)
        self.processes = files.membership(self.work / "in-use")

    @property
    def is_there(self) -> bool:
        """Return whether the root is a folder."""
        try:
            return stat.S_ISDIR(self.files.status(self.root).st_mode)
        except OSError:
            return False

    def name(self, key: Key) -> str:
        """Return the name of the document's file under the root: `tasks/tasks_7.json`."""
        layout = self.layouts.get(key.collection)
        if layout is None:  # a collection that was not given when the store was opened
            return f"{key.collection}/{key.owner}"
        return f"{layout.name}/{layout.stem}_{key.owner}.json"

    def path(self, key: Key) -> Path:
        """Return the path of the document's file."""
        return self.root / self.name(key)

    def is_own_name(self, name: str) -> bool:
        """Return whether an archive's file may be written under the root: `<collection>/<file>`."""
        folder, _, file = name.partition("/")
        if not file.isprintable():  # control characters, and bytes that are not UTF-8
            return False
        return folder in self.layouts and re.fullmatch(r"[^./\\][^/\\]*", file) is not None

    def layout_of(self, name: str) -> CollectionLayout | None:
        """Return the layout of the document with this name; None for any other file."""
        folder, _, file = name.partition("/")
        layout = self.layouts.get(folder)
        is_document = layout and re.fullmatch(rf"{layout.stem}_[1-9][0-9]*\.json", file, re.ASCII)
        return layout if is_document else None

    def keys_of_files(self, collection: str) -> Iterator[Key]:
        """Return the keys of the collection's files, in no order.

        Raises `FileNotFoundError` if its folder is missing, and `Unavailable`.
        """
        layout = self.layouts[collection]
        pattern = re.compile(rf"{re.escape(layout.stem)}_([1-9][0-9]{{0,17}})\.json", re.ASCII)
        try:
            names = self.files.names(self.root / layout.name)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise from_os_error(error, f"cannot list {layout.name}") from error
        matches = map(pattern.fullmatch, names)
        return (Key(collection, int(match[1])) for match in matches if match)

    def own_files(self) -> Iterator[str]:
        """Yield the names of all files that belong into a backup."""
        for collection in self.layouts:
            for entry in sorted((self.root / collection).iterdir()):
                name = f"{collection}/{entry.name}"
                if entry.is_file() and self.is_own_name(name):
                    yield name

    def dead_pins(self) -> list[Path]:
        """Return the folders of hard links that backups left when they died."""
        return [pins for pins in self.work.glob("pins-*") if not is_in_use(pins)]
