"""Documents as bytes, and back.

Written: UTF-8, two spaces of indent, one field a line, keys in their order, a newline at the end.
Read: strictly. What another reader might see differently (a key that stands twice, NaN, half a
surrogate pair, a number beyond a double) is a fault with line and column, not a guess.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Final, NoReturn

import msgspec

from docstore.document import CollectionLayout, Document, Json
from docstore.errors import Corrupt, InvalidValue
from docstore.positions import Places, duplicate_key, line_and_column
from docstore.record_list import RecordList

DEPTH_MAX: Final = 64
INTEGER_BITS_MAX: Final = 12_000  # Python reads integers of up to 4,300 digits
_COMMON: Final = frozenset({str, int, float, bool, type(None), list, dict})
_SMALL: Final = 2**53
_TEXT_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class _DuplicateKey(ValueError):
    pass


class _NumberOutOfRange(ValueError):
    pass


def encode(document: Document) -> bytes:
    """The bytes of a document's file. Its values were checked when they came in."""
    return b"".join(pieces(document))


def pieces(document: Document) -> list[bytes]:
    """The bytes of a document's file, to join or to write one after the other.

    Of a long list of records, what did not change since it was last asked for is not made again.
    """
    found, fields = [b"{"], {}
    for name, value in document.content.items():
        if not isinstance(value, RecordList):
            fields[name] = value
            continue
        if fields:
            found += (_indented_fields(fields), b",")
            fields = {}
        found += (b"\n  ", msgspec.json.encode(name), b": ", *value.indented(), b",")
    if fields:
        found.append(_indented_fields(fields))
    elif len(found) > 1:
        found.pop()  # the comma
    found.append(b"\n}\n" if len(found) > 1 else b"}\n")
    return found


def _indented_fields(fields: Mapping[str, Json]) -> bytes:
    """Fields as they stand in a file, without the braces around them."""
    return msgspec.json.format(msgspec.json.encode(fields), indent=2)[len(b"{") : -len(b"\n}")]


def _list_as_json(value: object) -> msgspec.Raw:
    if isinstance(value, RecordList):
        return msgspec.Raw(value.json())
    raise TypeError(f"{type(value).__name__} is not a JSON type")


def to_json(value: Json) -> bytes:
    """A value as JSON without any space. Lists of records in it come from what they keep."""
    return _COMPACT.encode(value)


_COMPACT: Final = msgspec.json.Encoder(enc_hook=_list_as_json)


def decode(data: bytes, name: str, layout: CollectionLayout) -> Document:
    """The document in these bytes; raises `Corrupt` with the place and the reason.

    A byte order mark, which some editors add, is passed over; the next write drops it.
    """
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        line, column = line_and_column(before, len(before))
        raise Corrupt(name, "this byte is not UTF-8 text", line, column) from None
    content = _parse(text, name)
    if not isinstance(content, dict):
        raise Corrupt(name, "must be an object: { ... }", 1, 1)
    if layout.records in content:
        records = content[layout.records]
        if not isinstance(records, list):
            line, column = Places(data).of((layout.records,))
            raise Corrupt(name, f'"{layout.records}" must be a list: [ ... ]', line, column)
        content[layout.records] = RecordList(records)
    return Document(content)


def _parse(text: str, name: str) -> Json:
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object_of_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        if _LONE_SURROGATE.search(text):
            msgspec.json.encode(value)  # refuses half a surrogate pair
    except json.JSONDecodeError as error:
        reason = error.msg if text.strip() else "the file is empty"
        raise Corrupt(name, reason, error.lineno, error.colno) from None
    except RecursionError:
        line, column = line_and_column(text, _offset_of_depth(text))
        raise Corrupt(name, "is nested too deeply", line, column) from None
    except ValueError as error:
        line, column = line_and_column(text, _offset_of_fault(text, error))
        raise Corrupt(name, _reason_of_fault(error), line, column) from None
    return value


def _offset_of_depth(text: str) -> int:
    """Return where the first value begins that is nested deeper than a written one may be."""
    depth = 0
    for token in _TEXT_OR_BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > DEPTH_MAX:
            return token.start()
    return 0


def _object_of_unique_keys(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _DuplicateKey
    return value


def _refuse_constant(constant: str) -> NoReturn:
    raise _NumberOutOfRange(constant)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _NumberOutOfRange(text)
    return number


def _offset_of_fault(text: str, error: ValueError) -> int:
    if isinstance(error, _DuplicateKey):
        duplicate = duplicate_key(text)
        return duplicate[1] if duplicate else 0
    if isinstance(error, UnicodeEncodeError):
        found = _LONE_SURROGATE.search(text)
        return found.start() if found else 0
    if isinstance(error, _NumberOutOfRange):
        return max(text.find(str(error)), 0)
    long_number = re.search(r"\d{4000,}", text)
    return long_number.start() if long_number else 0


def _reason_of_fault(error: ValueError) -> str:
    if isinstance(error, _DuplicateKey):
        return "this key stands twice in its object"
    if isinstance(error, UnicodeEncodeError):
        return "half of a surrogate pair is not a character"
    if isinstance(error, _NumberOutOfRange):
        return f"{str(error)[:40]} is not a number that JSON can carry"
    return "this number is too long"


def checked_copy(value: Json, depth: int = DEPTH_MAX) -> Json:
    """A deep copy of a JSON value; raises `InvalidValue` for what a file could not hold."""
    # Every write comes through here. What JSON values mostly are, is asked for first.
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _checked_text(value)
    if kind is dict or (kind not in _COMMON and isinstance(value, Mapping)):
        return _checked_object(value, _deeper(depth))
    if kind is list or (kind not in _COMMON and isinstance(value, list | tuple | RecordList)):
        below = _deeper(depth)
        return [checked_copy(item, below) for item in value]
    return _checked_scalar(value)


def checked_record(record: Mapping[str, Json], before: Mapping[str, Json]) -> dict[str, Json]:
    """Return a checked copy of a record that replaces `before`, which the store holds.

    A value that is the very object that `before` has was checked when it came in and never changes:
    it is shared. Without that, each change of a large record would copy all of it.
    """
    absent = object()
    copy = {
        key: value
        for key, value in record.items()
        if type(key) is not str or before.get(key, absent) is not value
    }
    if len(copy) < len(record):
        fresh = _checked_object(copy, DEPTH_MAX - 1)
        return {key: fresh.get(key, value) for key, value in record.items()}
    return _checked_object(copy, DEPTH_MAX - 1)


def _deeper(depth: int) -> int:
    if depth == 0:
        raise InvalidValue(f"is nested deeper than {DEPTH_MAX} levels")
    return depth - 1


def _checked_object(value: Mapping[Json, Json], depth: int) -> dict[str, Json]:
    copy: dict[str, Json] = {}
    for key, item in value.items():
        if type(key) is not str or not key.isascii():
            key = _checked_key(key)
        kind = type(item)
        if kind is str:
            plain = item.isascii()
        elif kind is int:
            plain = -_SMALL < item < _SMALL
        else:
            plain = item is None or kind is bool
        copy[key] = item if plain else checked_copy(item, depth)
    return copy


def _checked_scalar(value: Json) -> Json:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _checked_text(value)
    if isinstance(value, int):
        if value.bit_length() > INTEGER_BITS_MAX:
            raise InvalidValue("an integer of thousands of digits could not be read back")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidValue(f"{value} is not a number that JSON can carry")
        return value
    raise InvalidValue(f"{type(value).__name__} is not a JSON type")


def _checked_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidValue("half of a surrogate pair is not a character") from None
    return text


def _checked_key(key: Json) -> str:
    if not isinstance(key, str):
        raise InvalidValue(f"an object's keys are texts, not {type(key).__name__}")
    return _checked_text(key)
