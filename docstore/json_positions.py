"""A source map of JSON: line and column of a value, by its path of keys and indexes.

Used on the error path only. Parsers report where a text stops being JSON, but not the position of a
value that is valid JSON and wrong, or of a repeated key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

Path = tuple[str | int, ...]

_TOKEN = re.compile(r'[ \t\r\n]*("(?:[^"\\]|\\.)*"|[{}\[\],:]|[^ \t\r\n{}\[\],:"]+)')


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Return line and column of a character, both counted from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def value_offsets(text: str) -> Iterator[tuple[Path, int]]:
    """Yield the path and the offset of every value of a JSON text, in text order.

    A key that is repeated in an object yields its path again. Otherwise the text must be valid
    JSON.
    """
    for path, offset, _ in _offsets(text):
        yield path, offset


def _offsets(text: str) -> Iterator[tuple[Path, int, int]]:
    """Yield the path of every value, its offset, and that of the latest key before it."""
    key_offset = 0
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
            steps[-1], key_offset = json.loads(token), offset
        else:
            yield tuple(step for step in steps if step is not None), offset, key_offset
            if token in "[{":
                steps.append(0 if token == "[" else None)


def duplicate_key(text: str) -> tuple[str, int] | None:
    """Return the first repeated key and the offset of its repetition; None if none is."""
    seen: set[Path] = set()
    for path, _, offset in _offsets(text):
        if path in seen:
            return str(path[-1]), offset
        seen.add(path)
    return None


class Places:
    """A source map that finds many values of a text after parsing it once."""

    def __init__(self, data: bytes) -> None:
        self._text = data.decode("utf-8", "replace")
        self._offsets = dict(value_offsets(self._text))

    def of(self, path: Path) -> tuple[int, int]:
        """Return line and column of the value, or of the nearest enclosing value that exists."""
        while path and path not in self._offsets:
            path = path[:-1]
        return line_and_column(self._text, self._offsets.get(path, 0))
