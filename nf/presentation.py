"""Print results: tables for users, JSON for programs.

Control characters in data of other users are removed. Otherwise a title could move the cursor or
imitate output of `nf`.
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
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")  # the API's format of times

Record = Mapping[str, Any]


def as_json(value: Any) -> None:
    """Print a value from the API as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=not _takes_unicode()))


def table(records: Sequence[Record], columns: Sequence[str]) -> None:
    """Print a line per record with these columns. The last one is truncated to the terminal."""
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
    """Print a line for each field of a record that is not empty."""
    fields = {name: field for name, field in value.items() if field not in (None, "", [], {})}
    size = max(map(len, fields), default=0)
    for name, field in fields.items():
        if isinstance(field, str) and "\n" in field:
            lines = [plain(line) for line in field.split("\n")]
            print(f"{plain(name):<{size}}  " + f"\n{'':{size}}  ".join(lines))
        else:
            print(f"{plain(name):<{size}}  {cell(field)}")


def cell(value: Any) -> str:
    """Return a value as one line of text, with times in local time."""
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
    except (ValueError, OverflowError):  # local time exceeds the years 1 to 9999
        return text


def plain(text: str) -> str:
    """Replace unprintable characters by spaces."""
    return "".join(char if char.isprintable() else " " for char in text)


def plain_lines(text: str) -> str:
    """Replace unprintable characters by spaces, except line breaks."""
    return "\n".join(plain(line) for line in text.split("\n"))


def lines(texts: Iterable[str]) -> None:
    """Print trusted texts, one per line."""
    for text in texts:
        print(text)


def _takes_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().startswith("utf")
