"""What a command prints: tables for people, JSON for programs.

What others wrote is printed without its control characters: a title must not be able to move the
cursor, or to look like something that `nf` says.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.cells import cell_len, set_cell_size

_NAMES = {"due_date": "due", "project_id": "project", "end_date": "end", "model_type": "type"}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")  # as the API tells times

Record = Mapping[str, Any]


def as_json(value: Any) -> None:
    """Prints the value as the API told it."""
    print(json.dumps(value, indent=2, ensure_ascii=not _takes_unicode()))


def table(records: Sequence[Record], columns: Sequence[str]) -> None:
    """Prints a line for each record, with the columns named; the last has what is left of it."""
    names = ["id", *columns]
    rows = [[_NAMES.get(name, name).upper() for name in names]]
    rows += [[cell(record.get(name)) for name in names] for record in records]
    widths = [max(cell_len(row[place]) for row in rows) for place in range(len(names) - 1)]
    width = shutil.get_terminal_size((10_000, 24)).columns if sys.stdout.isatty() else 10_000
    for row in rows:
        line = "  ".join(set_cell_size(text, size) for text, size in zip(row, widths, strict=False))
        line = f"{line}  {row[-1]}"
        print(set_cell_size(line, width).rstrip() if cell_len(line) > width else line.rstrip())


def record(value: Record) -> None:
    """Prints all that a record holds, a line for each field that holds something."""
    told = {name: field for name, field in value.items() if field not in (None, "", [], {})}
    size = max(map(len, told), default=0)
    for name, field in told.items():
        if isinstance(field, str) and "\n" in field:
            lines = [plain(line) for line in field.split("\n")]
            print(f"{plain(name):<{size}}  " + f"\n{'':{size}}  ".join(lines))
        else:
            print(f"{plain(name):<{size}}  {cell(field)}")


def cell(value: Any) -> str:
    """A value on one line; a time by the clock on the wall."""
    if isinstance(value, str) and _TIME.fullmatch(value):
        return _by_the_clock(value)
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(entry, str | int) for entry in value):
        return ", ".join(plain(str(entry)) for entry in value) or "-"
    if isinstance(value, list | dict):
        return plain(json.dumps(value, ensure_ascii=False))
    return plain(str(value)) or "-"


def _by_the_clock(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError):  # at the ends of time there is no local one
        return text


def plain(text: str) -> str:
    """The text without what a terminal would act upon."""
    return "".join(char if char.isprintable() else " " for char in text)


def plain_lines(text: str) -> str:
    """The same of several lines, which stay several."""
    return "\n".join(plain(line) for line in text.split("\n"))


def lines(texts: Iterable[str]) -> None:
    """Prints texts of our own, line by line."""
    for text in texts:
        print(text)


def _takes_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().startswith("utf")
