"""Store the results of the last validation, count and backup for the operator page.

Validation and count read every document, and backups may be on another machine, which no page may
do. They store their results next to the journal. On a read-only disk nothing is stored.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from docstore import Finding, format_utc
from docstore.backend import WORK_FOLDER

VALIDATED: Final = "validated.json"
COUNTED: Final = "counted.json"
BACKED_UP: Final = "backed-up.json"
VERIFIED: Final = "verified.json"
FINDINGS_KEPT: Final = 100
_OWNER: Final = re.compile(r"_([1-9][0-9]{0,17})\.json$", re.ASCII)
_BYTES_MAX: Final = 1024 * 1024
_PRIVATE: Final = 0o600


class Validated(msgspec.Struct, frozen=True):
    """The time of the last validation, the number of findings, and the first of them."""

    at: str
    found: int
    findings: list[Finding]

    @property
    def more(self) -> int:
        """The number of findings that are not stored."""
        return max(self.found - len(self.findings), 0)


class Counted(msgspec.Struct, frozen=True):
    """The result of the last count: totals by kind, bytes, and unreadable documents."""

    at: str
    totals: dict[str, int]
    size_bytes: int
    unreadable: int


class LastBackup(msgspec.Struct, frozen=True):
    """The last backup: its name, place and size in bytes, and the moment that it shows."""

    name: str
    place: str
    size_bytes: int
    at: str


class LastVerified(msgspec.Struct, frozen=True):
    """The last verification of a backup: its name, the time, and the problem found, or "".

    `sound` and `sound_at` are name and time of the last one that found no problem.
    """

    name: str
    at: str
    problem: str
    sound: str
    sound_at: str

    @property
    def sound_moment(self) -> datetime | None:
        """The time of the last verification that found no problem; None if there was none."""
        return datetime.fromisoformat(self.sound_at) if self.sound_at else None


def keep_backup(folder: Path | None, backup: LastBackup) -> None:
    """Store the last backup."""
    _keep(folder, BACKED_UP, backup)


def keep_verified(folder: Path | None, name: str, at: str, problem: str) -> None:
    """Store the result of a verification."""
    before = last_verified(folder) if folder else None
    sound = (name, at) if not problem else (before.sound, before.sound_at) if before else ("", "")
    _keep(folder, VERIFIED, LastVerified(name, at, problem, *sound))


def last_backup(folder: Path) -> LastBackup | None:
    """Return the last backup, or None if none can be read."""
    return _kept(folder, BACKED_UP, LastBackup)


def last_verified(folder: Path) -> LastVerified | None:
    """Return the last verification, or None if none can be read."""
    return _kept(folder, VERIFIED, LastVerified)


def keep_validated(folder: Path | None, findings: Sequence[Finding]) -> None:
    """Store the findings of a validation."""
    stored = [
        Finding(_as_text(finding.document), _as_text(finding.problem), finding.line, finding.column)
        for finding in findings[:FINDINGS_KEPT]
    ]
    _keep(folder, VALIDATED, Validated(format_utc(datetime.now(UTC)), len(findings), stored))


def keep_validated_share(
    folder: Path | None, findings: Sequence[Finding], wanted: Callable[[int], bool]
) -> Validated | None:
    """Store the findings of a validation of some owners, with the earlier ones of the others."""
    last = last_validated(folder)
    earlier = [
        finding
        for finding in (last.findings if last else ())
        if (match := _OWNER.search(finding.document)) and not wanted(int(match[1]))
    ]
    keep_validated(folder, [*earlier, *findings])
    return last_validated(folder)


def keep_counted(folder: Path | None, stats: dict[str, Any]) -> None:
    """Store the result of `DataInitializer.get_storage_stats`."""
    totals = {
        name.removeprefix("total_"): figure
        for name, figure in stats.items()
        if name.startswith("total_")
    }
    unreadable = len(stats["unreadable_documents"])
    counted = Counted(
        format_utc(datetime.now(UTC)), totals, stats["size_bytes"]["total"], unreadable
    )
    _keep(folder, COUNTED, counted)


def last_validated(folder: Path | None) -> Validated | None:
    """Return the last validation, or None if none can be read."""
    return _kept(folder, VALIDATED, Validated) if folder is not None else None


def last_counted(folder: Path) -> Counted | None:
    """Return the last count, or None if none can be read."""
    return _kept(folder, COUNTED, Counted)


def _as_text(name: str) -> str:
    """Return a file name as text. Undecodable bytes become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _keep(folder: Path | None, name: str, result: msgspec.Struct) -> None:
    if folder is None or not (folder / WORK_FOLDER).is_dir():  # never opened by a store
        return
    target = folder / WORK_FOLDER / name
    # If a crash leaves the draft behind, the next opening of the store removes it.
    draft = target.with_name(f"{name}-{secrets.token_hex(8)}.draft")
    with suppress(OSError):
        try:
            draft.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
            draft.chmod(_PRIVATE)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)


Result = TypeVar("Result")


def _kept(folder: Path, name: str, kind: type[Result]) -> Result | None:
    try:
        with (folder / WORK_FOLDER / name).open("rb") as file:
            if os.fstat(file.fileno()).st_size > _BYTES_MAX:
                return None
            return msgspec.json.decode(file.read(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None
