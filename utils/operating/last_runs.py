"""What the last validation and the last count of a data folder said, for the operator's page.

Both read every document, which no page may do; whoever runs them keeps the result here, beside the
journal. Where nothing can be written, such as in a copy on a read-only disk, nothing is kept.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from docstore import Finding, utc_text

WORK_FOLDER: Final = ".neuralflow"
VALIDATED: Final = "validated.json"
COUNTED: Final = "counted.json"
FINDINGS_KEPT: Final = 100
_BYTES_MAX: Final = 1024 * 1024
_PRIVATE: Final = 0o600


class Validated(msgspec.Struct, frozen=True):
    """When everything was checked, how much was found, and the first of it."""

    at: str
    found: int
    findings: list[Finding]

    @property
    def more(self) -> int:
        """How many were found beside those that are kept."""
        return max(self.found - len(self.findings), 0)


class Counted(msgspec.Struct, frozen=True):
    """When everything was counted: how many of each, how many bytes, and what did not read."""

    at: str
    totals: dict[str, int]
    size_bytes: int
    unreadable: int


def keep_validated(folder: Path | None, findings: Sequence[Finding]) -> None:
    """Keeps what a validation found."""
    kept = [
        Finding(_as_text(each.document), _as_text(each.problem), each.line, each.column)
        for each in findings[:FINDINGS_KEPT]
    ]
    _keep(folder, VALIDATED, Validated(utc_text(datetime.now(UTC)), len(findings), kept))


def keep_counted(folder: Path | None, stats: dict[str, Any]) -> None:
    """Keeps what `DataInitializer.get_storage_stats` told."""
    totals = {
        name.removeprefix("total_"): figure
        for name, figure in stats.items()
        if name.startswith("total_")
    }
    unreadable = len(stats["unreadable_documents"])
    counted = Counted(utc_text(datetime.now(UTC)), totals, stats["size_bytes"]["total"], unreadable)
    _keep(folder, COUNTED, counted)


def last_validated(folder: Path) -> Validated | None:
    """None where nothing is kept, or nothing that can be read."""
    return _kept(folder, VALIDATED, Validated)


def last_counted(folder: Path) -> Counted | None:
    """None where nothing is kept, or nothing that can be read."""
    return _kept(folder, COUNTED, Counted)


def _as_text(name: str) -> str:
    """Names of files need not be text: what is none, is written out."""
    return name.encode("utf-8", "backslashreplace").decode()


def _keep(folder: Path | None, name: str, result: msgspec.Struct) -> None:
    if folder is None or not (folder / WORK_FOLDER).is_dir():  # never opened: leave it so
        return
    target = folder / WORK_FOLDER / name
    draft = target.with_name(f"{name}-{secrets.token_hex(8)}.draft")  # the next opening sweeps it
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
