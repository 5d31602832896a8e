"""Snapshots: backups of all documents as one zip archive, complete or absent.

The archive holds the files unchanged under their names, readable or not, and last `manifest.json`:
{"format": 1, "created_at": ..., "files": {name: {"sha256": ..., "bytes": ...}}}. It shows one
moment: while writers wait, every file gets a hard link. That is cheap, and safe since files are
replaced and never changed in place. The archive is read back and checked before it gets its name. A
restore is one atomic step: every document of the snapshot, and no other.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from docstore.backend import Finding, Snapshots
from docstore.codec import decode
from docstore.disk.descriptors import open_high
from docstore.disk.filesystem import PRIVATE_FILE
from docstore.disk.locks import in_use, is_in_use
from docstore.errors import Corrupt, NotFound, Unavailable, from_os_error
from docstore.store import DocumentStore

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_NAME = re.compile(r"neuralflow_([0-9TZ_.-]+)\.zip", re.ASCII)
_NAMED_AFTER = "%Y-%m-%dT%H-%M-%S.%fZ"
# How many of the newest snapshots to search for a document that nothing else has.
_TRIED_MAX: Final = 10
Progress = Callable[[int, int], None]


def _snapshots_of(store: DocumentStore) -> Snapshots:
    if store.backend.snapshots is None:
        raise Unavailable("only a store on files has snapshots of its own")
    return store.backend.snapshots


def snapshots(folder: Path) -> list[str]:
    """Return the names of the snapshots in a folder, oldest first, including renamed ones."""
    if not folder.is_dir():
        return []
    moments = {entry.name: _moment_of(entry) for entry in folder.iterdir()}
    dated = sorted((moment, name) for name, moment in moments.items() if moment)
    return [name for _moment, name in dated]


def _moment_of(entry: Path) -> str:
    """Return the time of a snapshot, as in its original name; "" for any other file."""
    if named := _NAME.fullmatch(entry.name):
        return named[1]
    if entry.name.startswith(".") or entry.suffix.lower() != ".zip" or not entry.is_file():
        return ""
    try:
        with zipfile.ZipFile(entry) as archive:
            moment = datetime.fromisoformat(json.loads(archive.read(MANIFEST))["created_at"])
    except Exception:  # `zipfile` raises errors of many types for a file that is no archive
        return ""
    return f"{moment.astimezone(UTC):{_NAMED_AFTER}}"


def snapshot_findings(store: DocumentStore, path: Path) -> list[Finding]:
    """Return the documents of a snapshot that do not decode. The snapshot holds them all the same.

    One file at a time is in memory. Raises like `check_snapshot`.
    """
    backend = _snapshots_of(store)
    findings = []
    with _opened(path) as snapshot:
        for name in snapshot:
            layout = backend.layout_of(name)
            try:
                if layout is not None:
                    decode(snapshot[name], name, layout)
            except Corrupt as fault:
                findings.append(Finding(name, fault.reason, fault.line, fault.column))
    return findings


def take_snapshot(
    store: DocumentStore, folder: Path, progress: Progress = lambda done, total: None
) -> Path:
    """Write a snapshot into `folder` and return its path. Raises `OutOfSpace`, `Unavailable`.

    Raises `Corrupt` if a file cannot be read. `progress` is called with the number of files done
    and the number of all.
    """
    backend = _snapshots_of(store)
    try:
        backend.make_folder(folder)
        with backend.pinned() as pins, _draft(backend, folder) as (draft, file):
            moment = store.clock().astimezone(UTC)
            _write_archive(file, moment, _contents(pins, progress))
            file.flush()
            os.fsync(file.fileno())
            with _opened(draft) as snapshot:
                snapshot.check()
            target = folder / f"neuralflow_{moment:{_NAMED_AFTER}}.zip"
            draft.rename(target)
            backend.sync_folder(folder)
    except OSError as error:
        raise from_os_error(error, "cannot write the backup") from error
    return target


@contextmanager
def _draft(backend: Snapshots, folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Yield a temporary file for the archive, under a name that no backup has.

    It is removed afterwards unless it was renamed. The next backup removes one whose process died.
    """
    draft = folder / f".snapshot-{secrets.token_hex(8)}.draft"
    with ExitStack() as stack:
        with backend.exclusive():  # or another backup could take this file for an abandoned one
            for dead in dead_drafts(folder):
                dead.unlink(missing_ok=True)
            file = stack.enter_context(open(draft, "xb", opener=open_high))
            stack.callback(draft.unlink, missing_ok=True)
            stack.enter_context(in_use(draft))
        os.fchmod(file.fileno(), PRIVATE_FILE)
        yield draft, file


def dead_drafts(folder: Path) -> list[Path]:
    """Return the temporary files in `folder` of backups whose processes died."""
    return sorted(draft for draft in folder.glob(".snapshot-*.draft") if not is_in_use(draft))


def _contents(pins: Mapping[str, Path], progress: Progress) -> Iterator[tuple[str, bytes]]:
    for done, (name, pin) in enumerate(pins.items(), 1):
        try:
            content = pin.read_bytes()
        except OSError as error:  # without it, the backup would be incomplete
            raise Corrupt(name, f"cannot be read: {error.strerror}") from error
        yield name, content
        progress(done, len(pins))


def _write_archive(file: Any, moment: datetime, contents: Iterator[tuple[str, bytes]]) -> None:
    manifest: dict[str, Any] = {"format": FORMAT, "created_at": moment.isoformat(), "files": {}}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for name, content in contents:
            archive.writestr(name, content)
            manifest["files"][name] = {"sha256": _digest(content), "bytes": len(content)}
        archive.writestr(MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _Snapshot(Mapping[str, bytes]):
    """The files of an open archive, each checked against the manifest whenever it is read.

    One file at a time is in memory. Raises `Corrupt`.
    """

    def __init__(self, name: str, archive: zipfile.ZipFile) -> None:
        self._name, self._archive = name, archive
        with _whole(name):
            manifest = json.loads(archive.read(MANIFEST))
            self._listed = {
                file: (int(of["bytes"]), str(of["sha256"]))
                for file, of in manifest["files"].items()
            }
            if manifest["format"] != FORMAT:
                raise ValueError(f"its format is {manifest['format']}; {FORMAT} is understood")
            if sorted(archive.namelist()) != sorted([*self._listed, MANIFEST]):
                raise ValueError("the archive holds other files than its manifest lists")

    def __getitem__(self, file: str) -> bytes:
        size, digest = self._listed[file]
        with _whole(self._name), self._archive.open(file) as entry:
            # Do not trust the sizes in the archive itself: its files could unpack without end.
            content = entry.read(max(size, 0) + 1)
            if len(content) != size or _digest(content) != digest:
                raise ValueError(f"{file} in it differs from the manifest")
        return content

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)

    def check(self) -> None:
        """Read and check every file."""
        for file in self:
            self[file]


@contextmanager
def _whole(name: str) -> Iterator[None]:
    """Raise every error within the block as `Corrupt`.

    `zipfile` and `zlib` raise errors of many types for a damaged archive.
    """
    try:
        yield
    except Exception as error:
        raise Corrupt(name, f"is not a whole snapshot: {error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[_Snapshot]:
    with ExitStack() as stack:
        with _whole(path.name):
            archive = stack.enter_context(zipfile.ZipFile(path))
        yield _Snapshot(path.name, archive)


class _Replacement(Mapping[str, bytes | None]):
    """A snapshot's files, and None for each other document."""

    def __init__(self, snapshot: _Snapshot, documents: list[str]) -> None:
        self._snapshot = snapshot
        self._names = [*snapshot, *(name for name in documents if name not in snapshot)]

    def __getitem__(self, name: str) -> bytes | None:
        return self._snapshot.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def read_from_snapshots(store: DocumentStore, folder: str) -> None:
    """Have documents with broken files read from the newest snapshots in a folder of the store.

    That is done if nothing else has the document. Changes of it are still refused.
    """
    files = store.backend.snapshots
    if files is not None:
        files.fall_back_on(partial(contents_in_snapshots, files.root / folder))


def contents_in_snapshots(folder: Path, name: str) -> Iterator[bytes]:
    """Yield the contents of a file in the newest snapshots, newest first."""
    for snapshot_name in snapshots(folder)[: -_TRIED_MAX - 1 : -1]:
        with suppress(Corrupt, OSError), _opened(folder / snapshot_name) as snapshot:
            content = snapshot.get(name)
            if content is not None:
                yield content


def check_snapshot(store: DocumentStore, path: Path) -> int:
    """Check a snapshot completely, change nothing, and return the number of its files.

    Raises `NotFound`, and `Corrupt` for an archive that `restore_snapshot` would refuse.
    """
    backend = _snapshots_of(store)
    if not path.is_file():
        raise NotFound(f"there is no backup {path.name}")
    with _opened(path) as snapshot:
        for name in snapshot:
            if not backend.is_own_name(name):
                raise Corrupt(path.name, f"{name} in it is no name of this store")
        snapshot.check()
        return len(snapshot)


def restore_snapshot(store: DocumentStore, path: Path) -> int:
    """Replace all documents by those of a snapshot, atomically; return the number of files.

    Raises `NotFound`, `Corrupt` for a damaged archive, `OutOfSpace` or `Unavailable`. Then nothing
    has changed.
    """
    backend = _snapshots_of(store)
    count = check_snapshot(store, path)
    with _opened(path) as snapshot, backend.still():
        backend.replace(_Replacement(snapshot, backend.document_names()))
    return count
