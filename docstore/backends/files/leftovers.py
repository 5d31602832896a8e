"""Remove expired leftovers of failures and manual edits.

That is: drafts of writers that died, torn tails of the journal that recovery set aside, foreign
files that a rescue replaced, and versions of edited files that nobody used or discarded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from docstore.backends.files.asides import note_of
from docstore.disk.filesystem import FileSystem

DRAFT: Final = re.compile(r"\..*\.draft")
SET_ASIDE: Final = re.compile(r".*\.set-aside-[-0-9TZ.]+\.json", re.ASCII)
TORN: Final = re.compile(r"(torn|replaced)-[-0-9a-f]+\.bin", re.ASCII)
# No writer takes that long for a draft, so one of this age has no writer.
DRAFT_SECONDS: Final = 24 * 3600.0


def remove_leftovers(
    files: FileSystem, root: Path, folders: Iterable[str], now: float, keep_seconds: float
) -> list[str]:
    """Remove leftovers older than `keep_seconds`, durably, and return their names.

    The age is that of the file's last change of any kind (ctime): a version set aside is a second
    name of an older file. Raises `OSError`.
    """
    work = root / ".neuralflow"
    removed: list[str] = []
    for folder in folders:
        for name in _names(files, root / folder):
            limit = DRAFT_SECONDS if DRAFT.fullmatch(name) else keep_seconds
            if DRAFT.fullmatch(name) or SET_ASIDE.fullmatch(name):
                removed += _remove(files, root, root / folder / name, now - limit)
    for name in _names(files, work / "journal"):
        if TORN.fullmatch(name):
            removed += _remove(files, root, work / "journal" / name, now - keep_seconds)
    for name in _names(files, work):
        if name.endswith(".draft"):
            removed += _remove(files, root, work / name, now - DRAFT_SECONDS)
    for folder_path in {(root / name).parent for name in removed}:
        files.sync_folder("leftovers", folder_path)
    return removed


def _names(files: FileSystem, folder: Path) -> list[str]:
    try:
        return sorted(files.names(folder))
    except FileNotFoundError:
        return []


def _remove(files: FileSystem, root: Path, path: Path, before: float) -> Iterator[str]:
    with suppress(FileNotFoundError):  # a person removed it meanwhile
        status = files.status(path)
        changed = max(getattr(status, "st_ctime_ns", 0), status.st_mtime_ns) / 1e9
        if changed >= before:
            return
        files.remove("leftovers", path)
        if SET_ASIDE.fullmatch(path.name):
            files.remove("leftovers", path.with_name(note_of(path.name)))
        yield str(path.relative_to(root))
