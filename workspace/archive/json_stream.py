"""Parse a document incrementally: head fields and records, one at a time.

For documents from untrusted sources, which could take many times their size in memory when parsed
at once. Refused are the inputs that `docstore.codec` refuses in a file, and records longer than
RECORD_CHARACTERS_MAX.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, NoReturn

RECORD_CHARACTERS_MAX: Final = 1024 * 1024  # without the indentation of lines
HEAD_FIELDS_MAX: Final = 100

_SPACE: Final = re.compile(r"[ \t\r\n]*")
# Indentation. JSON strings hold no raw line breaks, so this never removes content. Without it, deep
# indentation could push a legitimate record over the limit.
_INDENT: Final = re.compile(r"(?<=\n)[ \t]+")


class MalformedDocument(ValueError):
    """The document cannot be parsed. `line` counts from 1."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.reason, self.line = reason, line


class StreamItem(NamedTuple):
    """A head field of the document, or an item of its list of records (`position` from 0)."""

    name: str
    position: int | None
    value: Any


def iter_items(chunks: Iterable[bytes], records: str) -> Iterator[StreamItem]:
    """Yield the head fields and the items of the list `records` in document order.

    Raises `MalformedDocument`, at the latest after the last piece, and any exception of `chunks`.
    """
    text = _Text(chunks)
    text.expect("{", "must be an object: { ... }")
    seen: set[str] = set()
    while not (text.taken("}") if not seen else text.end_or_comma("}")):
        key = text.value()
        if not isinstance(key, str):
            text.refuse("a key in double quotes is expected here")
        if key in seen:
            text.refuse(f"the key {key[:80]!a} stands twice")
        seen.add(key)
        if len(seen) > HEAD_FIELDS_MAX:
            text.refuse(f"it has more than {HEAD_FIELDS_MAX} fields beside its records")
        text.expect(":", "a colon must follow the key")
        if key == records:
            yield from _items(text, records)
        else:
            yield StreamItem(key, None, text.value())
    if not text.at_end():
        text.refuse("nothing may follow the end of the document")


def _items(text: _Text, records: str) -> Iterator[StreamItem]:
    text.expect("[", f'"{records}" must be a list: [ ... ]')
    position = 0
    while not (text.taken("]") if not position else text.end_or_comma("]")):
        yield StreamItem(records, position, text.value())
        position += 1


class _Text:
    """A buffered reader that holds little more than the longest permitted record."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._held, self._at, self._line = "", 0, 1
        self._all_came = self._any_came = False

    def expect(self, mark: str, otherwise: str) -> None:
        if not self.taken(mark):
            self.refuse(otherwise)

    def taken(self, mark: str) -> bool:
        """Skip `mark` and return True if it comes next."""
        self._pass_space()
        if not self._held.startswith(mark, self._at):
            return False
        self._at += 1
        return True

    def end_or_comma(self, end: str) -> bool:
        """Skip the token after a member. Return True for `end`, False for a comma."""
        if self.taken(end):
            return True
        self.expect(",", f"a comma or {end} is missing here")
        return False

    def at_end(self) -> bool:
        self._pass_space()
        return self._at == len(self._held)

    def value(self) -> Any:
        """Return the next JSON value."""
        self._pass_space()
        try:
            value, end = _decoder.raw_decode(self._held, self._at)
        except json.JSONDecodeError as fault:
            if self._is_cut_off(fault):
                self._refuse_long()
            self._at = fault.pos
            self.refuse(fault.msg)
        except RecursionError:
            self.refuse("is nested too deeply")
        except ValueError as fault:
            self.refuse(str(fault) if isinstance(fault, _Unparsable) else "this number is too long")
        if end - self._at > RECORD_CHARACTERS_MAX:
            self._refuse_long()
        self._at = end
        return value

    def refuse(self, reason: str) -> NoReturn:
        raise MalformedDocument(reason, self._line + self._held.count("\n", 0, self._at))

    def _is_cut_off(self, fault: json.JSONDecodeError) -> bool:
        """Return True if the fault is only that the buffer ends within the value."""
        reached_end = fault.pos > len(self._held) - len("\\uD83D\\uDE00")
        return not self._all_came and (reached_end or fault.msg.startswith("Unterminated string"))

    def _refuse_long(self) -> NoReturn:
        self.refuse(f"a record may have {RECORD_CHARACTERS_MAX} characters; this one has more")

    def _pass_space(self) -> None:
        """Skip white space, and fill the buffer so that a complete record is in it."""
        while True:
            self._hold()
            match = _SPACE.match(self._held, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._held) or self._all_came:
                break
        self._hold()

    def _hold(self) -> None:
        if self._all_came or len(self._held) - self._at > RECORD_CHARACTERS_MAX:
            return
        self._line += self._held.count("\n", 0, self._at)
        parts, length = [self._held[self._at :]], len(self._held) - self._at
        while not self._all_came and length <= RECORD_CHARACTERS_MAX + RECORD_CHARACTERS_MAX // 4:
            begins_line = next((part[-1] == "\n" for part in reversed(parts) if part), False)
            parts.append(self._next(begins_line))
            length += len(parts[-1])
        self._held, self._at = "".join(parts), 0

    def _next(self, begins_line: bool) -> str:
        """Return the next chunk as text without indentation.

        `begins_line` is True if the chunk continues at the beginning of a line.
        """
        chunk = next(self._chunks, None)
        try:
            text = self._decode(chunk or b"", final=chunk is None)
        except UnicodeDecodeError:
            self.refuse("this document is not UTF-8 text")
        self._all_came = chunk is None
        if text and not self._any_came:
            self._any_came = True
            text = text.removeprefix("\ufeff")
        if begins_line:
            text = text.lstrip(" \t")
        return _INDENT.sub("", text)


class _Unparsable(ValueError):
    """A hook refused a value that no document may have."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Unparsable("a key stands twice in its object")
    return value


def _constant(name: str) -> NoReturn:
    raise _Unparsable(f"{name} is not JSON")


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _Unparsable(f"{digits[:40]} is not a number that JSON can carry")
    return number


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_float
)
