"""Create a backup: one moment of all documents and the accounts, while writes go on.

1. Scan the folders: names and metadata, no contents. A file whose identity (inode, size, mtime,
   ctime) is that of the last backup is unchanged and is not read.
2. Read the other files and store their contents. Writers go on.
3. **The cut**: block the writers, and ask the change feed which documents were changed since the
   scan. Give their files a second name (a hard link; files are replaced, never changed in place),
   and pin the accounts database. The writers wait for this step only. It costs as the changes
   during steps 1 and 2 do.
4. Read the pinned files, copy the database, write the listings, and last the manifest.

What earlier backups stored is in the *index*, a file in the store's work folder. It is a cache: if
it is missing or packs have been removed, contents are read and stored again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from backups.accounts import Accounts, Moment, parts_of
from backups.encryption import Envelope
from backups.manifest import (
    FORMAT,
    SUFFIX,
    Database,
    File,
    Listing,
    Manifest,
    backup_name,
    group_of,
    root_hash,
    with_checksum,
    write_listing,
)
from backups.objects import PackWriter, Place, digest_of, pack_of, pack_writer
from backups.targets import Target
from docstore import (
    CollectionLayout,
    Corrupt,
    DocumentStore,
    Finding,
    HistoryGone,
    Unavailable,
    decode,
    format_utc,
)
from docstore.backend import WORK_FOLDER, Snapshots
from docstore.errors import from_os_error

Progress = Callable[[int, int], None]
# A file that was changed less than this before it was read may change again within the same tick of
# the clock. Its identity is not trusted next time.
_SETTLED_NS: Final = 100_000_000
_PART_BYTES: Final = 16 * 1024 * 1024
_INDEX_FORMAT: Final = 1

Identity = tuple[int, int, int, int]


class Known(msgspec.Struct, array_like=True, gc=False):
    """A file as the last backup read it. `identity` is None if it must be read again."""

    identity: Identity | None
    sha256: str
    size: int
    records: int | None
    finding: Finding | None = None


class Index(msgspec.Struct, array_like=True):
    """Everything that the backups in a target hold, as of the last one that was created here."""

    format: int = _INDEX_FORMAT
    files: dict[str, Known] = {}
    objects: dict[str, Place] = {}
    listings: dict[str, tuple[str, int]] = {}


@dataclass(frozen=True)
class Created:
    """The result of a backup. `read` counts the files that were read, `added` the stored bytes."""

    name: str
    manifest: Manifest
    read: int
    added: int


def work_folder(root: Path) -> Path:
    """Return the folder in a data folder where backups keep indexes and temporary files."""
    return root / WORK_FOLDER / "backups"


def files_backend(store: DocumentStore) -> Snapshots:
    """Return the backend of a store on files. Raises `Unavailable` for any other."""
    if store.backend.snapshots is None:
        raise Unavailable("only a store in a folder can be backed up")
    return store.backend.snapshots


@contextmanager
def only_one(root: Path, backend: Snapshots) -> Iterator[Path]:
    """Admit one process at a time that creates or removes backups of this store.

    Yields the work folder. Without this, one could remove a pack that another is about to use.
    """
    folder = work_folder(root)
    backend.make_folder(folder)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(descriptor)


def create_backup(
    store: DocumentStore,
    target: Target,
    *,
    program: str,
    clock: Callable[[], datetime],
    accounts: Accounts | None = None,
    recipients: Sequence[str] = (),
    progress: Progress = lambda done, total: None,
) -> Created:
    """Create a backup and return what it holds. Raises `OutOfSpace`, `Unavailable`.

    Raises `Corrupt` if a file cannot be read at all. A document that does not decode is in the
    backup as it is, and in the manifest's `findings`.
    """
    backend = files_backend(store)
    if accounts is not None and not accounts.exists():
        accounts = None
    try:
        with only_one(backend.root, backend) as folder:
            envelope = Envelope(recipients)
            index_path = folder / f"{digest_of(repr((target.url, recipients)).encode())[:16]}.index"
            stored = _stored_packs(target, envelope)
            index = _load_index(index_path, stored)
            with pack_writer(target, envelope, index.objects, stored) as packs:
                creation = _Creation(backend, store, folder, index, packs, progress)
                created = creation.run(target, accounts, program, clock, recipients)
            _save_index(index_path, index)
    except OSError as error:
        raise from_os_error(error, "cannot write the backup") from error
    return created


def _stored_packs(target: Target, envelope: Envelope) -> dict[str, int]:
    """Return the packs in a target that a backup may use, with their stored bytes."""
    sizes = target.names("packs").items()
    return {pack_of(name): size for name, size in sizes if name.endswith(envelope.suffix)}


def _load_index(path: Path, stored: Mapping[str, int]) -> Index:
    """Return the index, without objects in packs that the target does not have any more."""
    index = Index()
    with suppress(OSError, msgspec.MsgspecError):
        index = msgspec.msgpack.decode(path.read_bytes(), type=Index)
    if index.format != _INDEX_FORMAT:
        index = Index()
    if any(place.pack not in stored for place in index.objects.values()):
        index.objects = {
            digest: place for digest, place in index.objects.items() if place.pack in stored
        }
    return index


def _save_index(path: Path, index: Index) -> None:
    draft = path.with_suffix(f".{secrets.token_hex(4)}")
    draft.write_bytes(msgspec.msgpack.encode(index))
    draft.chmod(0o600)
    draft.replace(path)


def _counter(layout: CollectionLayout) -> msgspec.json.Decoder[Any]:
    """Return a decoder that counts a document's records without decoding them."""
    records: Any = msgspec.field(name=layout.records, default_factory=list)
    return msgspec.json.Decoder(
        msgspec.defstruct("Counted", [("records", list[msgspec.Raw], records)])
    )


def _by_number(group: str) -> int:
    return int(group or -1)


def _read(path: str) -> tuple[bytes, os.stat_result]:
    """Return content and metadata of a file. For small files, `open` costs more than the read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        data = os.read(descriptor, status.st_size + 1)
        if len(data) != status.st_size:  # a large file, or one that is being written
            parts = [data]
            while part := os.read(descriptor, _PART_BYTES):
                parts.append(part)
            data = b"".join(parts)
        return data, status
    finally:
        os.close(descriptor)


def _identity(status: os.stat_result) -> Identity:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class _Creation:
    """The creation of one backup."""

    def __init__(
        self,
        backend: Snapshots,
        store: DocumentStore,
        folder: Path,
        index: Index,
        packs: PackWriter,
        progress: Progress,
    ) -> None:
        self._backend, self._store, self._folder = backend, store, folder
        self._index, self._packs, self._progress = index, packs, progress
        self._layouts = backend.layouts
        self._root = str(backend.root)  # a `Path` for each file would cost more than to read it
        self._counters = {name: _counter(layout) for name, layout in self._layouts.items()}
        self._documents = {
            name: re.compile(rf"{re.escape(layout.stem)}_[1-9][0-9]*\.json", re.ASCII).fullmatch
            for name, layout in self._layouts.items()
        }
        self._before = index.files
        self._files: dict[str, Known] = {}
        self._changed: set[str] = set()  # groups of files that were added, changed or removed
        self._done = self._total = self._sequence = 0
        self._moment: Moment | None = None

    def run(
        self,
        target: Target,
        accounts: Accounts | None,
        program: str,
        clock: Callable[[], datetime],
        recipients: Sequence[str],
    ) -> Created:
        since = self._backend.sequence()
        self._backend.publish()
        scanned = self._scan()
        unread = [name for name, identity in scanned.items() if self._is_new(name, identity)]
        self._total = len(unread)
        for name in unread:
            # A file that was removed meanwhile is in the change feed.
            with suppress(FileNotFoundError):
                self._take(name, f"{self._root}/{name}")
        with _pinned(accounts) as pin:
            with self._backend.pinned(lambda: self._cut(since, scanned, pin, clock)) as pins:
                for name, path in pins.items():
                    self._take(name, str(path))
            copied = self._copy_database(accounts)
        gone = self._before.keys() - self._files.keys()
        self._changed.update(map(group_of, gone))
        self._packs.flush()
        lines = sorted((name, known.sha256) for name, known in self._files.items())
        database_listing = self._list_database(accounts, copied)
        listings = self._write_listings([name for name, _ in lines])
        database = self._database(accounts, database_listing, copied)
        if database is not None:
            lines = sorted([*lines, (database.name, database.sha256)])
        root = root_hash(lines)
        used = {self._index.objects[known.sha256].pack for known in self._files.values()}
        used |= {listing.pack for listing in listings}
        if database is not None:
            used |= {database.listing.pack, *self._database_packs}
        manifest = Manifest(
            format=FORMAT,
            name=backup_name(self._at),
            created_at=format_utc(self._at),
            program=program,
            sequence=self._sequence,
            files=len(self._files),
            bytes=sum(known.size for known in self._files.values()),
            root=root,
            counts=self._counts(),
            findings=[known.finding for known in self._files.values() if known.finding],
            recipients=list(recipients),
            database=database,
            listings=listings,
            packs={pack: self._packs.sizes[pack] for pack in sorted(used)},
        )
        data, _ = with_checksum(manifest)
        target.write(manifest.name + SUFFIX, data)
        self._index.files = self._files
        return Created(manifest.name, manifest, self._done, self._packs.bytes_written + len(data))

    # Files

    def _scan(self) -> dict[str, Identity | None]:
        """Return the identity of every file that belongs into a backup, by name.

        A file that the last backup did not have is read in any case: its identity is None.
        """
        scanned: dict[str, Identity | None] = {}
        before, is_own_name = self._before, self._backend.is_own_name
        for collection in self._layouts:
            with os.scandir(f"{self._root}/{collection}") as entries:
                for entry in entries:
                    name = f"{collection}/{entry.name}"
                    if name in before:
                        with suppress(FileNotFoundError):
                            if entry.is_file():
                                scanned[name] = _identity(entry.stat())
                    elif is_own_name(name) and entry.is_file():
                        scanned[name] = None
        return scanned

    def _is_new(self, name: str, identity: Identity | None) -> bool:
        """Return whether a file must be read; otherwise take over what the last backup read."""
        known = self._before.get(name)
        if (
            known is None
            or identity is None
            or known.identity != identity
            or known.sha256 not in self._index.objects
        ):
            return True
        self._files[name] = known
        return False

    def _take(self, name: str, path: str) -> None:
        """Read a file and store its content."""
        try:
            data, status = _read(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise Corrupt(name, f"cannot be read: {error.strerror}") from error
        newest = max(status.st_mtime_ns, status.st_ctime_ns)
        is_settled = time.time_ns() - newest > _SETTLED_NS
        sha256 = hashlib.sha256(data).hexdigest()
        before = self._before.get(name)
        records, finding = self._examine(name, data)
        identity = _identity(status) if is_settled else None
        self._files[name] = Known(identity, sha256, len(data), records, finding)
        if before is None or before.sha256 != sha256 or sha256 not in self._index.objects:
            self._changed.add(group_of(name))
        self._packs.add(sha256, data)
        self._done += 1
        self._progress(self._done, max(self._total, self._done))

    def _examine(self, name: str, data: bytes) -> tuple[int | None, Finding | None]:
        """Return the number of a document's records, and why it cannot be read, if so."""
        collection, _, file = name.partition("/")
        layout = self._layouts[collection]
        if not self._documents[collection](file):
            return None, None
        try:
            data.decode()  # the decoder does not look into the texts that it skips
            return len(self._counters[layout.name].decode(data).records), None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            try:
                decoded = decode(data, name, layout)
            except Corrupt as fault:
                return None, Finding(name, fault.reason, fault.line, fault.column)
            return len(decoded.list_of(layout.records)), None

    # The cut

    def _cut(
        self,
        since: int,
        scanned: Mapping[str, Identity | None],
        pin: Callable[[], Moment | None],
        clock: Callable[[], datetime],
    ) -> Iterable[str]:
        """Pin the accounts, and return the files to pin. Runs while all writers are blocked."""
        self._at, self._sequence = clock(), self._backend.sequence()
        self._moment = pin()
        names = self._changed_since(since)
        if names is None:
            names = self._changed_on_disk()
        else:
            names |= self._strays(scanned)
        for name in names:
            self._files.pop(name, None)
        return sorted(name for name in names if (self._backend.root / name).is_file())

    def _changed_since(self, since: int) -> set[str] | None:
        """Return the documents that were changed since; None if the history does not say."""
        names: set[str] = set()
        try:
            while since < self._sequence:
                entries = self._backend.entries(since, lambda key: True)
                for entry in entries.told:
                    if entry.restored:
                        return None
                    names.update(self._backend.name(change.key) for change in entry.changes)
                since = entries.through
        except HistoryGone:
            return None
        return names

    def _changed_on_disk(self) -> set[str]:
        """Return the files that differ from those that were read, by their identity."""
        names: set[str] = set()
        for collection in self._layouts:
            with os.scandir(f"{self._root}/{collection}") as entries:
                for entry in entries:
                    name = f"{collection}/{entry.name}"
                    known = self._files.get(name)
                    if known is None:
                        names |= {name} if self._backend.is_own_name(name) else set()
                    elif known.identity != _identity(entry.stat()):
                        names.add(name)
        present = {name for name in self._files if os.path.exists(f"{self._root}/{name}")}  # noqa: PTH110
        return names | (self._files.keys() - present)

    def _strays(self, scanned: Mapping[str, Identity | None]) -> set[str]:
        """Return files that appeared since the scan and are no documents, such as those set aside.

        Names only, since the change feed has all documents.
        """
        return {
            name
            for collection in self._layouts
            for entry in os.listdir(self._backend.root / collection)  # noqa: PTH208
            if (name := f"{collection}/{entry}") not in scanned and self._backend.is_own_name(name)
        }

    # The accounts

    _database_packs: frozenset[str] = frozenset()

    def _copy_database(self, accounts: Accounts | None) -> list[tuple[str, int]]:
        """Store a copy of the accounts database; return SHA-256 and size of its parts."""
        if accounts is None or self._moment is None:
            return []
        path = self._folder / f"accounts-{secrets.token_hex(8)}"
        try:
            self._moment.copy(path)
            parts, total = [], hashlib.sha256()
            for part in parts_of(path):
                digest = digest_of(part)
                total.update(part)
                self._packs.add(digest, part)
                parts.append((digest, len(part)))
            self._database_digest = total.hexdigest()
            return parts
        finally:
            path.unlink(missing_ok=True)

    def _list_database(
        self, accounts: Accounts | None, parts: list[tuple[str, int]]
    ) -> tuple[str, str, int] | None:
        """Add the listing of the database's parts; None if the backup has no accounts."""
        if accounts is None or not parts:
            return None
        files = []
        for number, (digest, size) in enumerate(parts):
            place = self._index.objects[digest]
            name = f"{accounts.file_name}/{number:08}"
            files.append(File(name, size, digest, None, place.pack, place.offset))
        self._database_packs = frozenset(file.pack for file in files)
        return self._write_listing("database", files)

    def _database(
        self,
        accounts: Accounts | None,
        listing: tuple[str, str, int] | None,
        parts: list[tuple[str, int]],
    ) -> Database | None:
        if accounts is None or listing is None:
            return None
        size, digest = sum(size for _, size in parts), self._database_digest
        return Database(accounts.kind, accounts.file_name, size, digest, self._placed(listing))

    # Listings

    def _write_listings(self, names: list[str]) -> list[Listing]:
        """Write the listings of changed groups, and return all."""
        groups: dict[str, list[str]] = {}
        for name in names:
            groups.setdefault(group_of(name), []).append(name)
        written = self._index.listings
        for group in written.keys() - groups.keys():
            del written[group]
        for group, members in groups.items():
            known = written.get(group)
            if group in self._changed or known is None or known[0] not in self._index.objects:
                files = [self._file(name) for name in members]
                written[group] = self._write_listing(group, files)[1:]
        self._packs.flush()
        return [self._placed((group, *written[group])) for group in sorted(groups, key=_by_number)]

    def _file(self, name: str) -> File:
        known = self._files[name]
        place = self._index.objects[known.sha256]
        return File(name, known.size, known.sha256, known.records, place.pack, place.offset)

    def _write_listing(self, group: str, files: list[File]) -> tuple[str, str, int]:
        data = write_listing(files)
        digest = digest_of(data)
        self._packs.add(digest, data)
        return group, digest, len(files)

    def _placed(self, listing: tuple[str, str, int]) -> Listing:
        group, digest, count = listing
        place = self._index.objects[digest]
        return Listing(group, count, digest, place.size, place.pack, place.offset)

    def _counts(self) -> dict[str, dict[str, int]]:
        counts = {name: {"documents": 0, "records": 0} for name in self._layouts}
        for name, known in self._files.items():
            if known.records is not None:
                count = counts[name.partition("/")[0]]
                count["documents"] += 1
                count["records"] += known.records
        return counts


@contextmanager
def _pinned(accounts: Accounts | None) -> Iterator[Callable[[], Moment | None]]:
    """Yield a function that pins the accounts' moment until the end of the block."""
    if accounts is None:
        yield lambda: None
        return
    with ExitStack() as stack:
        yield lambda: stack.enter_context(accounts.pinned())
