"""Set a version of a document's file aside under another name, with a note that says why."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from docstore.disk.filesystem import FileSystem


def set_aside(files: FileSystem, path: str, at: datetime, source: str = "") -> str:
    """Give the file, or a version of it at `source`, a second name durably. Return that name.

    The name has the time `at`, or the next free one.

    The first name remains until another file replaces it: a crash in between leaves a readable
    document. Raises `OSError`.
    """
    folder, _, name = path.rpartition("/")
    while True:
        stamp = f"{at.astimezone(UTC):%Y-%m-%dT%H-%M-%S.%fZ}"
        aside_name = f"{name.removesuffix('.json')}.set-aside-{stamp}.json"
        try:
            files.link("set-aside", source or path, f"{folder}/{aside_name}")
            break
        except FileExistsError:
            at += timedelta(microseconds=1)
    files.sync_file("set-aside", source or path)
    files.sync_folder("set-aside", folder)
    return aside_name


def is_aside(files: FileSystem, path: str, source: str = "") -> bool:
    """Return whether the file, or a version of it at `source`, is set aside already.

    It is if a set-aside name in its folder is a hard link to the same inode.
    """
    folder, _, name = path.rpartition("/")
    begin = f"{name.removesuffix('.json')}.set-aside-"
    inode = files.status(source or path).st_ino
    for other in files.names(folder):
        if other.startswith(begin) and other.endswith(".json"):
            with suppress(FileNotFoundError):  # a person removed it meanwhile
                if files.status(f"{folder}/{other}").st_ino == inode:
                    return True
    return False


def write_note(files: FileSystem, path: str, aside_name: str, remarks: Sequence[str]) -> None:
    """Write why a version was set aside, one remark per line. Raises `OSError`."""
    folder = Path(path).parent
    note = "".join(f"{remark}\n" for remark in remarks).encode()
    files.create("set-aside-note", folder / note_of(aside_name), note)
    files.sync_folder("set-aside", folder)


def note_of(aside_name: str) -> str:
    """Return the name of the note on a version that was set aside."""
    return f"{aside_name.removesuffix('.json')}.txt"
