"""Loading a copy of another store into a folder: see `docstore/store_copy.py`.

The copy grows in a folder beside the target, which gets its name at the end. The journal cannot
have gaps in its numbers, so entries are numbered anew, in the same order.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from docstore.codec import decode, digest_of, encode
from docstore.disk.filesystem import PRIVATE_FOLDER, FileSystem
from docstore.document import CollectionLayout, Document, Key
from docstore.errors import Unavailable, from_os_error
from docstore.journal.frames import Kind
from docstore.journal.log import Journal
from docstore.journal.state import STATE_WORDS

_STATE: Final = ".neuralflow/copy.json"


class _State(msgspec.Struct):
    """The source of a copy, up to which number of it the journal has entries, and its last frame.

    A copy whose journal has later frames was changed.
    """

    source: str
    through: int = 0
    last: int = 0


class FolderLoader:
    """Loads a copy into a folder that must not exist, or be an unchanged copy."""

    def __init__(self, root: Path, layouts: Mapping[str, CollectionLayout]) -> None:
        self._target = root.absolute()
        self._root = self._target.with_name(f"{self._target.name}.copying")
        self._layouts, self._files = layouts, FileSystem()
        self._state = _State("")

    def begin(self, source: str) -> int:
        try:
            if self._target.exists() and not self._is_empty(self._target):
                self._begin_again(source)
            elif self._root.exists():
                self._read_state(source)
            else:
                self._state = _State(source)
                for name in self._layouts:
                    self._files.make_folder("lay-out", self._root / name)
                self._files.make_folder("lay-out", self._root / ".neuralflow/journal")
                self._write_state()
        except OSError as error:
            raise from_os_error(error, f"cannot copy to {self._target}") from error
        return self._state.through

    @staticmethod
    def _is_empty(folder: Path) -> bool:
        return folder.is_dir() and not any(folder.iterdir())

    def _begin_again(self, source: str) -> None:
        """Continue a copy that was finished, if nothing else changed it."""
        if not (self._target / _STATE).is_file():
            raise Unavailable(f"{self._target} is not empty: name another folder")
        if self._root.exists():
            raise Unavailable(f"{self._root} is in the way: remove it, or the copy {self._target}")
        self._target.rename(self._root)
        try:
            self._read_state(source)
        except Unavailable:
            self._root.rename(self._target)
            raise

    def _read_state(self, source: str) -> None:
        state = msgspec.json.decode((self._root / _STATE).read_bytes(), type=_State)
        if state.source != source:
            raise Unavailable(f"{self._root} is a copy of {state.source}: remove it")
        journal = self._opened()
        appended = journal.appended
        journal.close()
        if state.last and appended != state.last:
            raise Unavailable(f"{self._target} was changed since it was copied")
        self._state = state

    def _write_state(self) -> None:
        path = self._root / _STATE
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        self._files.create("copy", draft, msgspec.json.encode(self._state))
        self._files.rename("copy", draft, path)

    def digests(self, collection: str) -> Iterator[tuple[Key, str]]:
        layout = self._layouts[collection]
        names = [path.name for path in (self._root / collection).iterdir()]
        matches = [re.fullmatch(rf"{layout.stem}_([1-9][0-9]*)\.json", name) for name in names]
        for key in sorted(Key(collection, int(match[1])) for match in matches if match):
            path = self._path(key)
            document = decode(path.read_bytes(), f"{collection}/{path.name}", layout)
            yield key, digest_of(document)

    def load(self, key: Key, document: Document, number: int) -> None:
        path = self._path(key)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.copying")
        try:
            self._files.create("copy", draft, encode(document))
            self._files.rename("copy", draft, path)
        except OSError as error:
            raise from_os_error(error, f"cannot write {path}") from error

    def remove(self, key: Key) -> None:
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: Key) -> Path:
        return (
            self._root / key.collection / f"{self._layouts[key.collection].stem}_{key.owner}.json"
        )

    def load_history(self, floor: int, payloads: Iterable[tuple[int, bytes]]) -> int:
        journal = self._opened()
        count, through = 0, floor
        try:
            for number, payload in payloads:
                through = number
                if not payload:
                    continue
                kind = Kind.COMMIT if b'"changes":' in payload else Kind.RESTORED
                journal.mark_applied(journal.append(kind, payload), relaxed=True)
                count += 1
            if count:
                journal.sync()
                journal.checkpoint(journal.appended)
                journal.close_cleanly()
            self._state.through = max(self._state.through, through)
            self._state.last = journal.appended
        finally:
            journal.close()
        self._write_state()
        return count

    def _opened(self) -> Journal:
        """Open the journal of the copy. Its end is its checkpoint: the files are complete."""
        folder = self._root / ".neuralflow/journal"
        journal = Journal(self._files, folder)
        journal.recover(self._files.shared_words(folder / "state", STATE_WORDS))
        for _ in journal.follow():  # appending begins where following ends
            pass
        return journal

    def finish(self, through: int) -> None:
        self._state.through = max(self._state.through, through)
        try:
            self._write_state()
            for folder in (*self._layouts, ".neuralflow"):
                for draft in (self._root / folder).glob(".*.copying"):
                    draft.unlink()
                self._files.sync_folder("copy", self._root / folder)
            if self._target.exists():
                self._target.rmdir()
            self._files.rename("copy", self._root, self._target)
            self._target.chmod(PRIVATE_FOLDER)
            self._files.sync_folder("copy", self._target.parent)
        except OSError as error:
            raise from_os_error(error, f"cannot finish {self._target}") from error

    def close(self) -> None:
        """Do nothing: no file is left open."""
