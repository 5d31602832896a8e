"""Where a value stands in a JSON text: line and column for a path of keys and indexes.

Used on the error path only. Parsers report where a text stops being JSON, but not where a
perfectly readable value is the wrong one, nor where a key stands for the second time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

Path = tuple[str | int, ...]

_TOKEN = re.compile(r'[ \t\r\n]*("(?:[^"\\]|\\.)*"|[{}\[\],:]|[^ \t\r\n{}\[\],:"]+)')


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """The place of a character, both counted from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def value_offsets(text: str) -> Iterator[tuple[Path, int]]:
    """Every value of a JSON text with its path, in the order of the text.

    A key that stands twice in one object yields its path twice. The text must be JSON otherwise.
    """
    steps: list[str | int | None] = []  # None: an object whose next token is a key
    for match in _TOKEN.finditer(text):
        token, offset = match[1], match.start(1)
        if token in "]}":
            steps.pop()
        elif token == ",":
            last = steps[-1]
            steps[-1] = last + 1 if isinstance(last, int) else None
        elif token == ":":
            continue
        elif steps and steps[-1] is None:
            steps[-1] = json.loads(token)
        else:
            yield tuple(step for step in steps if step is not None), offset
            if token in "[{":
                steps.append(0 if token == "[" else None)


def duplicate_key(text: str) -> tuple[str, int] | None:
    """The first key that stands twice in one object, and where it does so again."""
    seen: set[Path] = set()
    for path, offset in value_offsets(text):
        if path in seen:
            return str(path[-1]), offset
        seen.add(path)
    return None


class Places:
    """Finds many values of one text after reading it once."""

    def __init__(self, data: bytes) -> None:
        self._text = data.decode("utf-8", "replace")
        self._offsets = dict(value_offsets(self._text))

    def of(self, path: Path) -> tuple[int, int]:
        """Line and column of the value, or of the nearest one around it that is there."""
        while path and path not in self._offsets:
            path = path[:-1]
        return line_and_column(self._text, self._offsets.get(path, 0))
