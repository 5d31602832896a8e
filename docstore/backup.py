"""Snapshots: a backup of all documents as one zip archive, whole or absent.

The archive holds the files as they are, under their names, readable or not, and last of all
`manifest.json`: {"format": 1, "created_at": ..., "files": {name: {"sha256": ..., "bytes": ...}}}.
It shows one moment: while writers wait, every file is pinned by a second name, which costs little
since documents are replaced and never changed in place. It is read back and checked before it gets
its name. Restoring is one commit: every document of the snapshot, and none that is not in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from docstore.backends.files import FilesBackend
from docstore.errors import Corrupt, NotFound, Unavailable, from_os_error
from docstore.store import DocumentStore

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_NAME = re.compile(r"neuralflow_[0-9TZ_.-]+\.zip")
Progress = Callable[[int, int], None]


def _files_backend(store: DocumentStore) -> FilesBackend:
    if not isinstance(store.backend, FilesBackend):
        raise Unavailable("only a store on files has snapshots of its own")
    return store.backend


def snapshots(folder: Path) -> list[str]:
    """The names of the snapshots in a folder, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if _NAME.fullmatch(entry.name))


def take_snapshot(
    store: DocumentStore, folder: Path, progress: Progress = lambda done, total: None
) -> Path:
    """Writes a snapshot into `folder` and returns its path. Raises `OutOfSpace`, `Unavailable`.

    `progress` is told how many files are done, of how many.
    """
    backend = _files_backend(store)
    draft = folder / f".snapshot-{os.getpid()}.draft"
    try:
        backend.make_folder(folder)
        with backend.pinned() as pins, draft.open("xb") as file:
            moment = datetime.now(UTC)
            os.fchmod(file.fileno(), 0o600)
            _write_archive(file, moment, _contents(pins, progress))
            file.flush()
            os.fsync(file.fileno())
        _read_archive(draft)
        target = folder / f"neuralflow_{moment:%Y-%m-%dT%H-%M-%S.%fZ}.zip"
        draft.rename(target)
        backend.sync_folder(folder)
    except OSError as error:
        raise from_os_error(error, "cannot write the backup") from error
    finally:
        draft.unlink(missing_ok=True)
    return target


def _contents(pins: Mapping[str, Path], progress: Progress) -> Iterator[tuple[str, bytes]]:
    for done, (name, pin) in enumerate(pins.items(), 1):
        yield name, pin.read_bytes()
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


def _read_archive(path: Path) -> dict[str, bytes]:
    """All files of a snapshot, each checked against the manifest. Raises `Corrupt`."""
    try:
        with zipfile.ZipFile(path) as archive:
            listed: Mapping[str, Mapping[str, Any]] = json.loads(archive.read(MANIFEST))["files"]
            contents = {
                name: _read_entry(archive, name, of["bytes"]) for name, of in listed.items()
            }
            if sorted(archive.namelist()) != sorted([*listed, MANIFEST]):
                raise ValueError("the archive holds other files than its manifest lists")
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
        raise Corrupt(path.name, f"is not a whole snapshot: {error}") from error
    for name, content in contents.items():
        if _digest(content) != listed[name]["sha256"]:
            raise Corrupt(path.name, f"{name} in it differs from the manifest")
    return contents


def _read_entry(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    """At most as much as the manifest says: an archive's own figures are not to be trusted."""
    with archive.open(name) as entry:
        content = entry.read(size + 1)
    if len(content) != size:
        raise ValueError(f"{name} does not have the {size} bytes that the manifest says")
    return content


def restore_snapshot(store: DocumentStore, path: Path) -> int:
    """Puts all documents back as a snapshot has them, in one commit; returns how many files.

    Raises `NotFound`, `Corrupt` for an archive that is not whole, `OutOfSpace`, `Unavailable`;
    then nothing has changed.
    """
    backend = _files_backend(store)
    if not path.is_file():
        raise NotFound(f"there is no backup {path.name}")
    contents = _read_archive(path)
    foreign = [name for name in contents if not backend.is_own_name(name)]
    if foreign:
        raise Corrupt(path.name, f"{foreign[0]} in it is no name of this store")
    with backend.exclusive():
        gone = {name: None for name in backend.document_names() if name not in contents}
        backend.replace({**contents, **gone})
    return len(contents)
