"""Documents as JSON files in a folder, durable without a journal.

    users/user_7.json  tasks/tasks_7.json ...   the documents
    .neuralflow/lock                            held by the one writer
    .neuralflow/drafts/                         new contents on their way, and the intent

A commit, by cases. The writer holds the lock. It writes every new content as a *draft* and makes
the drafts durable, names and all. Then it writes the *intent*, the list of what goes where; when
that is durable, so is the commit: this is the commit point. Then each draft gets a second
name beside its document, and when all have one, its document's name in place of what had it; and
the folders are made durable. Then the intent is forgotten,
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
import logging
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from docstore.backend import ABSENT, Change, Commit, Finding, Stored, Version
from docstore.cache import DocumentCache
from docstore.codec import decode, encode
from docstore.document import CollectionLayout, Key
from docstore.errors import Conflict, Corrupt, TooLarge, Unavailable, from_os_error
from docstore.filesystem import PRIVATE_FOLDER, FileSystem
from docstore.locking import FolderLock, in_use, is_in_use

log = logging.getLogger(__name__)

DOCUMENT_BYTES_MAX: Final = 256 * 1024 * 1024
READS_MAX: Final = 100
WORK_FOLDER: Final = ".neuralflow"
# A file changed in place within one tick of the clock looks the same before and after. A file
# younger than this is not remembered unless we wrote it.
_SETTLED_NS: Final = 50_000_000
# Why a file cannot be read until a person changes something about it.
_FOR_A_PERSON: Final = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENOTDIR}


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
            status = self.path(key).stat()
        except OSError as error:
            self._refuse_unread(key, error)
            return ABSENT
        if not stat.S_ISREG(status.st_mode):  # to open a pipe would be to wait for ever
            raise Corrupt(self.name(key), "is not a file")
        return _token(status)

    def _refuse_unread(self, key: Key, error: OSError) -> None:
        """Raises what is wrong when a file could not be read; where there is none, that is not.

        What only a person can make readable is as good as broken: never absent, and so never
        written over.
        """
        name = self.name(key)
        if error.errno in _FOR_A_PERSON:
            raise Corrupt(name, f"cannot be read: {error.strerror}") from error
        if not isinstance(error, FileNotFoundError):
            raise from_os_error(error, f"cannot read {name}") from error
        if self.path(key).is_symlink():
            raise Corrupt(name, "is a link to a file that is not there") from error
        self._refuse_missing_root()

    def _refuse_missing_root(self) -> None:
        """A disk that is not mounted, perhaps: that nobody has any records would be a lie."""
        if not self.root.is_dir():
            raise Unavailable(f"the data folder {self.root} is not there")

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
            except OSError as error:
                self._refuse_unread(key, error)
                return b"", None
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
            self._refuse_missing_root()
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
                self._draft_all(contents, moves)
                # A draft becomes the document, and its inode, size and time stay.
                written = {
                    name: (self._drafts / moves[name]).stat() for name in moves if moves[name]
                }
                if relaxed and len(moves) == 1:
                    self._publish(moves)
                    self._sweep()
                    return written
                self._decide(moves)
                self._link(moves)
            except OSError as error:
                self._take_back(moves)
                raise self._failed(error) from error
            try:
                self._finish()
            except Unavailable as fault:  # decided all the same: whoever writes next finishes it
                log.error("%s", fault)
            return written

    def _draft_all(self, contents: Mapping[str, bytes | None], moves: _Moves) -> None:
        for name, content in contents.items():
            # Noted before it is begun: what a full disk took of it has to go again.
            moves[name] = f"{secrets.token_hex(8)}.draft" if content is not None else ""
            if content is not None:
                self._draft(name, moves[name], content)

    def _draft(self, name: str, draft: str, content: bytes) -> None:
        target = self.root / name
        # Whoever took the folder away: behind the commit point it would stop every writer.
        self._files.make_folder("lay-out", target.parent)
        now = time.time_ns()
        before = target.stat().st_mtime_ns if target.exists() else now
        self._files.create("draft", self._drafts / draft, content, max(now, before + 1))

    def _decide(self, moves: _Moves) -> None:
        """The commit point. The drafts' names are durable before the intent speaks of them.

        Until the first draft is shown, whoever still holds the lock can take it back.
        """
        self._files.sync_folder("settle-drafts", self._drafts)
        self._files.create("intent", self._intent, json.dumps(moves).encode())
        self._files.sync_folder("commit", self._drafts)

    def _take_back(self, moves: _Moves) -> None:
        """Undoes what came before the first draft was shown.

        The intent goes first, for good: without its drafts it would read as half done.
        """
        with suppress(OSError):
            if self._intent.exists():
                self._files.remove("take-back", self._intent)
                self._files.sync_folder("take-back", self._drafts)
            for name, draft in moves.items():
                if draft:
                    self._files.remove("take-back", self._second_name(name, draft))
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

    def _link(self, moves: _Moves) -> None:
        """Gives each draft its second name: all that may still need space on the disk."""
        for name, draft in moves.items():
            if draft and not self._is_shown(name, draft):
                second_name = self._second_name(name, draft)
                if not second_name.exists():
                    self._files.link("link", self._drafts / draft, second_name)

    def _publish(self, moves: _Moves) -> None:
        """Puts the drafts in the places of the documents. Those that are there already, stay."""
        self._link(moves)
        for name, draft in moves.items():
            target = self.root / name
            if not draft:
                self._files.remove("unpublish", target)
            elif not self._is_shown(name, draft):
                self._files.rename("publish", self._second_name(name, draft), target)

    def _is_shown(self, name: str, draft: str) -> bool:
        target = self.root / name
        return target.exists() and target.samefile(self._drafts / draft)

    def _second_name(self, name: str, draft: str) -> Path:
        return (self.root / name).parent / f".{draft}"

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
