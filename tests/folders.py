"""What a folder holds, for tests that nothing else changed."""

from __future__ import annotations

from pathlib import Path

_NO_DOCUMENTS = (".neuralflow", "backups")


def contents(folder: Path, *, but: tuple[str, ...] = _NO_DOCUMENTS) -> dict[str, bytes]:
    """Every file below, by its name, with its bytes; the top folders `but` are left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in but
    }


def times(folder: Path) -> dict[str, int]:
    """Every file and folder below, with the time of its last change."""
    return {
        str(path.relative_to(folder)): path.lstat().st_mtime_ns
        for path in sorted([folder, *folder.rglob("*")])
    }
