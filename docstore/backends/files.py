"""Documents as JSON files in a folder, durable without a journal.

    users/user_7.json  tasks/tasks_7.json ...   the documents
    .neuralflow/lock                            held by the one writer
    .neuralflow/drafts/                         new contents on their way, and the intent

A commit, by cases. The writer holds the lock. It writes every new content as a *draft* and makes
the drafts durable, names and all. Then it writes the *intent*, the list of what goes where; when
that is durable, so is the commit: this is the commit point. Then each draft gets its document's
name too, in place of what had it, and the folders are made durable. Then the intent is forgotten,
durably, and last of all the drafts go.

If the power fails before the commit point, the documents are untouched, and what lies in the
folder of drafts is thrown away. If it fails after, whoever takes the lock next finds the intent and
finishes: the drafts are all there, for they outlive the intent. Doing that twice, or dying in it,
changes nothing. Readers take no lock: a rename shows them the old content or the new one, and only
after the commit point. (A draft is linked and not simply renamed: POSIX does not promise that a
rename over two folders keeps the file under one of its names when the power fails.)

A version is inode, size and time of the file. A clock's tick is coarse and inodes are used again,
so the writer itself gives each file a time later than that of the file it replaces.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from docstore.backend import ABSENT, Change, Commit, Finding, Stored, Version
from docstore.cache import DocumentCache
from docstore.codec import decode, encode
from docstore.document import CollectionLayout, Key
from docstore.errors import Conflict, TooLarge, Unavailable, from_os_error
from docstore.filesystem import PRIVATE_FOLDER, FileSystem
from docstore.locking import FolderLock, in_use, is_in_use

DOCUMENT_BYTES_MAX: Final = 256 * 1024 * 1024
READS_MAX: Final = 100
WORK_FOLDER: Final = ".neuralflow"
# A file changed in place within one tick of the clock looks the same before and after. A file
# younger than this is not remembered unless we wrote it.
_SETTLED_NS: Final = 50_000_000


# A name under the root, and the draft that becomes it; "" where the file is to go.
_Moves = dict[str, str]


class FilesBackend:
    """The backend on a local file system. Opening it finishes what a dead writer began.

    Opened with `lay_out=False` it only looks: it makes no folder, and sweeps nothing up.
    """

    def __init__(
        self,
        root: Path,
        layouts: Mapping[str, CollectionLayout],
        *,
        files: FileSystem | None = None,
        lock_timeout: float = 10.0,
        lay_out: bool = True,
    ) -> None:
        self.root = root.absolute()
        self._layouts = layouts
        self._files = files or FileSystem()
        self._work = self.root / WORK_FOLDER
        self._drafts = self._work / "drafts"
        self._intent = self._drafts / "intent.json"
        self._lock = FolderLock(self._work / "lock", lock_timeout)
        self._cache = DocumentCache()
        self._failure = ""
        if lay_out:
            self._lay_out()

    def __repr__(self) -> str:
        state = f", stopped: {self._failure}" if self._failure else ""
        return f"<FilesBackend {self.root}{state}>"

    def _lay_out(self) -> None:
        """Makes the folders and sweeps up after dead writers; a read-only folder can be read."""
        try:
            for name in self._layouts:
                self._files.make_folder("lay-out", self.root / name)
            self._files.make_folder("lay-out", self._drafts)
            with self.exclusive():
                self._sweep()
                for pins in self._dead_pins():
                    shutil.rmtree(pins, ignore_errors=True)
        except OSError as error:
            if not self.root.is_dir():
                raise from_os_error(error, f"cannot open {self.root}") from error
        except Unavailable:
            return  # another process writes; it has swept

    # Reading

    def name(self, key: Key) -> str:
        layout = self._layouts[key.collection]
        return f"{layout.name}/{layout.stem}_{key.owner}.json"

    def path(self, key: Key) -> Path:
        """Where the document's file is. The parts are ours: a layout's names and a number."""
        return self.root / self.name(key)

    def _version(self, key: Key) -> Version:
        try:
            return _token(self.path(key).stat())
        except FileNotFoundError:
            return ABSENT
        except OSError as error:
            raise from_os_error(error, f"cannot read {self.name(key)}") from error

    def read(self, key: Key) -> Stored:
        version = self._version(key)
        if version is ABSENT:
            return Stored(None, ABSENT)
        document = self._cache.get(key, version)
        if document is not None:
            return Stored(document, version)
        data, status = self._load(key)
        if status is None:
            return Stored(None, ABSENT)
        document = decode(data, self.name(key), self._layouts[key.collection])
        if time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
            self._cache.put(key, _token(status), document, status.st_size)
        return Stored(document, _token(status))

    def _load(self, key: Key) -> tuple[bytes, os.stat_result | None]:
        """Content and status of one and the same file, read again while someone writes in it."""
        for _ in range(READS_MAX):
            try:
                with self.path(key).open("rb") as file:
                    before = os.fstat(file.fileno())
                    data = file.read()
                    after = os.fstat(file.fileno())
            except FileNotFoundError:
                return b"", None
            except OSError as error:
                raise from_os_error(error, f"cannot read {self.name(key)}") from error
            if _token(before) == _token(after):
                return data, after
        raise Unavailable(f"{self.name(key)} is being written in place all the time")

    def raw(self, key: Key) -> bytes | None:
        data, status = self._load(key)
        return data if status else None

    def keys(self, collection: str) -> Iterator[Key]:
        layout = self._layouts[collection]
        pattern = re.compile(rf"{re.escape(layout.stem)}_([1-9][0-9]{{0,17}})\.json", re.ASCII)
        try:
            names = [entry.name for entry in (self.root / layout.name).iterdir()]
        except FileNotFoundError:
            names = []
        except OSError as error:
            raise from_os_error(error, f"cannot list {layout.name}") from error
        matches = map(pattern.fullmatch, names)
        return iter(sorted(Key(collection, int(match[1])) for match in matches if match))

    def check(self) -> Iterator[Finding]:
        for name in self._layouts:
            folder = self.root / name
            if not folder.is_dir():
                yield Finding(f"{name}/", "the folder is missing: run setup_data")
        strays = self._strays()
        if strays:  # a writer at work leaves such names for a moment
            with suppress(Unavailable), self.exclusive():
                strays = self._strays()
        yield from strays

    def _strays(self) -> list[Finding]:
        """What lies in the folders and is no document."""
        findings = []
        for name in filter(lambda name: (self.root / name).is_dir(), self._layouts):
            known = {self.path(key).name for key in self.keys(name)} | {"_index.json"}
            for entry in sorted((self.root / name).iterdir()):
                if entry.name in known:
                    problem = "" if entry.is_file() else "is not a file"
                elif re.fullmatch(r"\..*\.draft", entry.name):
                    problem = "is a draft that a writer left when it died: remove it"
                else:
                    problem = "is not a document and is left alone"
                if problem:
                    findings.append(Finding(f"{name}/{entry.name}", problem))
        drafts = self._drafts.iterdir() if self._drafts.is_dir() else iter(())
        for left in sorted([*drafts, *self._dead_pins()]):
            problem = "was left by a writer that died: the next start removes it"
            findings.append(Finding(str(left.relative_to(self.root)), problem))
        return findings

    def _dead_pins(self) -> list[Path]:
        """What backups pinned and did not live to let go of."""
        return [pins for pins in self._work.glob("pins-*") if not is_in_use(pins)]

    def document_names(self) -> list[str]:
        """The names of all documents under the root."""
        return [self.name(key) for collection in self._layouts for key in self.keys(collection)]

    def is_own_name(self, name: str) -> bool:
        """Whether a name of an archive may be written under the root: `<collection>/<file>`."""
        folder, _, file = name.partition("/")
        if not file.isprintable():  # control characters, and bytes that are not UTF-8
            return False
        return folder in self._layouts and re.fullmatch(r"[^./\\][^/\\]*", file) is not None

    @contextmanager
    def pinned(self) -> Iterator[dict[str, Path]]:
        """Every file of the collections as it is at one moment: its name, and where to read it."""
        pins = self._work / f"pins-{secrets.token_hex(8)}"
        with ExitStack() as stack:
            with self.exclusive():
                pins.mkdir(PRIVATE_FOLDER)
                stack.callback(shutil.rmtree, pins, ignore_errors=True)
                stack.enter_context(in_use(pins))
                pinned = self._pin_all(pins)
            yield pinned

    def _pin_all(self, pins: Path) -> dict[str, Path]:
        pinned: dict[str, Path] = {}
        for collection in self._layouts:
            for entry in sorted((self.root / collection).iterdir()):
                name = f"{collection}/{entry.name}"
                if entry.is_file() and self.is_own_name(name):
                    pinned[name] = pins / f"{len(pinned)}"
                    pinned[name].hardlink_to(entry)
        return pinned

    def make_folder(self, path: Path) -> None:
        """A folder beside the documents, durable."""
        self._files.make_folder("lay-out", path)

    def sync_folder(self, path: Path) -> None:
        """Makes the names in such a folder durable."""
        self._files.sync_folder("settle-names", path)

    # Writing

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._lock.hold() as taken:
            if taken and self._intent.exists():
                self._finish()
            yield

    def commit(self, commit: Commit) -> None:
        with self.exclusive():
            contents = {self.name(change.key): self._content(change) for change in commit.changes}
            written = self.replace(contents, relaxed=commit.relaxed)
            for change in commit.changes:
                self._remember(change, written.get(self.name(change.key)))

    def _content(self, change: Change) -> bytes | None:
        name = self.name(change.key)
        if self._version(change.key) != change.expect:
            raise Conflict(f"{name} was changed meanwhile")
        content = encode(change.after) if change.after else None
        if content and len(content) > DOCUMENT_BYTES_MAX:
            raise TooLarge(f"{name} would have {len(content)} bytes; {DOCUMENT_BYTES_MAX} is most")
        return content

    def _remember(self, change: Change, status: os.stat_result | None) -> None:
        """Remembers what we wrote, under the version of the very file that we wrote.

        To ask for the version by the file's name could find what an editor put there since.
        """
        self._cache.forget(change.key)
        if change.after is not None and status is not None:
            self._cache.put(change.key, _token(status), change.after, status.st_size)

    def replace(
        self, contents: Mapping[str, bytes | None], *, relaxed: bool = False
    ) -> dict[str, os.stat_result]:
        """Gives files under the root new contents (None removes one), all of them or none.

        Returns what each new file is. A relaxed replacement of one file may be taken back by a
        power cut, whole.
        """
        with self.exclusive():
            if self._failure:
                raise Unavailable(f"writing stopped until a restart: {self._failure}")
            moves: _Moves = {}
            try:
                for name, content in contents.items():
                    moves[name] = self._draft(name, content) if content is not None else ""
                # A draft becomes the document, and its inode, size and time stay.
                written = {
                    name: (self._drafts / moves[name]).stat() for name in moves if moves[name]
                }
                if relaxed and len(moves) == 1:
                    self._publish(moves)
                    self._sweep()
                    return written
                self._decide(moves)
            except OSError as error:
                self._take_back(moves)
                raise self._failed(error) from error
            self._finish()
            return written

    def _draft(self, name: str, content: bytes) -> str:
        target, draft = self.root / name, secrets.token_hex(8) + ".draft"
        # Whoever took the folder away: behind the commit point it would stop every writer.
        self._files.make_folder("lay-out", target.parent)
        now = time.time_ns()
        before = target.stat().st_mtime_ns if target.exists() else now
        self._files.create("draft", self._drafts / draft, content, max(now, before + 1))
        return draft

    def _decide(self, moves: _Moves) -> None:
        """The commit point. The drafts' names are durable before the intent speaks of them."""
        self._files.sync_folder("settle-drafts", self._drafts)
        self._files.create("intent", self._intent, json.dumps(moves).encode())
        self._files.sync_folder("commit", self._drafts)

    def _take_back(self, moves: _Moves) -> None:
        """Undoes what came before the commit point.

        The intent goes first, for good: without its drafts it would read as half done.
        """
        with suppress(OSError):
            if self._intent.exists():
                self._files.remove("take-back", self._intent)
                self._files.sync_folder("take-back", self._drafts)
            for draft in filter(None, moves.values()):
                self._files.remove("take-back", self._drafts / draft)

    def _finish(self) -> None:
        """Does what the intent says: after a commit point, or after a crash behind one."""
        try:
            moves = self._read_intent()
            self._publish(moves)
            for folder in {(self.root / name).parent for name in moves}:
                self._files.sync_folder("settle-names", folder)
            self._files.remove("forget", self._intent)
            self._files.sync_folder("settle-forgotten", self._drafts)
            self._sweep()
        except OSError as error:
            what = f"cannot finish the commit in {self._intent.relative_to(self.root)}"
            raise self._failed(error, what) from error

    def _read_intent(self) -> _Moves:
        """The moves of the intent; none where a crash cut its writing short."""
        try:
            moves: _Moves = json.loads(self._intent.read_bytes())
        except ValueError:
            return {}  # it was never durable, so it was never acknowledged
        return moves

    def _publish(self, moves: _Moves) -> None:
        for name, draft in moves.items():
            target = self.root / name
            if draft:
                self._show(self._drafts / draft, target)
            else:
                self._files.remove("unpublish", target)

    def _show(self, draft: Path, target: Path) -> None:
        """Puts the draft in the place of the document. Does nothing where it is there already."""
        if target.exists() and target.samefile(draft):
            return
        second_name = target.parent / f".{draft.name}"
        self._files.remove("clear", second_name)
        self._files.link("link", draft, second_name)
        self._files.rename("publish", second_name, target)

    def _sweep(self) -> None:
        """Throws away what lies in the folder of drafts. The lock is held: nobody needs it."""
        for draft in self._drafts.iterdir():
            self._files.remove("sweep", draft)

    def _failed(self, error: OSError, what: str = "cannot write") -> Unavailable:
        if error.errno == errno.EIO:
            # The system drops the pages it could not write and then says that all is well. Only
            # a new process, reading what the disk really has, may go on.
            self._failure = f"the disk failed a write ({error.strerror})"
        return from_os_error(error, what)

    def close(self) -> None:
        """Nothing is open between calls."""


def _token(status: os.stat_result) -> Version:
    return status.st_ino, status.st_size, status.st_mtime_ns
