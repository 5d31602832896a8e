"""What a folder holds, for tests that nothing else changed.

A write is durable at once, and its file shows it a moment later: a test that opens a file, or
changes one by hand, asks for an `exact` one.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from utils.json_storage import JSONStorageManager, json_storage

WORK_FOLDER = ".neuralflow"
_NO_DOCUMENTS = (WORK_FOLDER, "backups")


def exact(path: Path, storage: JSONStorageManager = json_storage) -> Path:
    """The path, now that every file of the storage shows all that was acknowledged.

    Opens nothing: a storage that is not open has nothing to show.
    """
    if storage._store is not None:
        storage.publish()
    return path


def forget_journal(folder: Path, storage: JSONStorageManager = json_storage) -> None:
    """Leave the files of a data folder as an older program left them: without a journal.

    What is written into them then is no edit by hand of a document that is known.
    """
    storage.close()
    shutil.rmtree(folder / ".neuralflow", ignore_errors=True)


def contents(folder: Path, *, but: tuple[str, ...] = _NO_DOCUMENTS) -> dict[str, bytes]:
    """Every file below, exact, by its name, with its bytes; the top folders `but` are left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(exact(folder).rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in but
    }


def times(folder: Path, *, but: tuple[str, ...] = (WORK_FOLDER,)) -> dict[str, int]:
    """The folder, every exact file and every folder below, with the time of its last change."""
    return {
        str(path.relative_to(folder)): path.lstat().st_mtime_ns
        for path in sorted([folder, *exact(folder).rglob("*")])
        if path.relative_to(folder).parts[:1] not in {(name,) for name in but}
    }
