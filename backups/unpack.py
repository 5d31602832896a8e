"""Unpack a backup into a folder, with every content checked on the way."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from backups.create import work_folder
from backups.manifest import SUFFIX, Backup, File
from docstore import Corrupt
from docstore.backend import Snapshots
from docstore.disk.filesystem import PRIVATE_FILE
from docstore.disk.locks import in_use, is_in_use
from docstore.errors import from_os_error

Progress = Callable[[int, int], None]
DATABASE: Final = ".accounts"


@contextmanager
def scratch_folder(backend: Snapshots) -> Iterator[Path]:
    """Yield an empty folder below the data folder, and remove it afterwards.

    It is on the same disk as the documents. Those of dead processes are removed first.
    """
    parent = work_folder(backend.root)
    backend.make_folder(parent)
    path = parent / f"scratch-{secrets.token_hex(8)}"
    with ExitStack() as stack:
        with backend.exclusive():  # or another process could take this folder for an abandoned one
            for dead in parent.glob("scratch-*"):
                if not is_in_use(dead):
                    shutil.rmtree(dead, ignore_errors=True)
            path.mkdir(0o700)
            stack.callback(shutil.rmtree, path, ignore_errors=True)
            stack.enter_context(in_use(path))
        yield path


def unpack(backup: Backup, folder: Path, backend: Snapshots, progress: Progress) -> list[File]:
    """Write the files of a backup into a folder, the database as `.accounts`; return the files.

    Raises `Corrupt` if anything is missing, damaged or not listed, or has a name that does not
    belong to this store.
    """
    files = backup.files()
    for file in files:
        if not backend.is_own_name(file.name):
            raise Corrupt(backup.name + SUFFIX, f"{file.name!r} in it is no name of this store")
    try:
        for collection in backend.layouts:
            (folder / collection).mkdir(0o700)
        in_order = sorted(files, key=lambda file: (file.pack, file.offset))
        for done, file in enumerate(in_order, 1):
            _write(folder / file.name, backup.content(file))
            progress(done, len(files))
        _unpack_database(backup, folder / DATABASE)
    except OSError as error:
        raise from_os_error(error, "cannot unpack the backup") from error
    return files


def _write(path: Path, data: bytes) -> None:
    with open(path, "xb", buffering=0, opener=_private) as file:
        file.write(data)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_FILE)


def _unpack_database(backup: Backup, path: Path) -> None:
    database = backup.manifest.database
    if database is None:
        return
    total, size = hashlib.sha256(), 0
    with open(path, "xb", opener=_private) as file:
        for part in backup.database_parts():
            file.write(part)
            total.update(part)
            size += len(part)
    if total.hexdigest() != database.sha256 or size != database.bytes:
        raise Corrupt(backup.name + SUFFIX, f"{database.name} differs from its SHA-256")
