"""Documents encoded to bytes, and decoded strictly.

Encoding: UTF-8, indent of two spaces, one field a line, keys in their order, a newline at the end.
Decoding refuses, with line and column, what other readers may interpret differently: repeated keys,
NaN, half a surrogate pair, numbers beyond a double (compare RFC 8259, sections 4, 6 and 8.2).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Final, NoReturn

import msgspec

from docstore.document import CollectionLayout, Document, Json
from docstore.errors import Corrupt, InvalidValue
from docstore.json_positions import Places, duplicate_key, line_and_column
from docstore.record_list import RecordList

DEPTH_MAX: Final = 64
DIGITS_MAX: Final = 4_300  # Python reads no longer integers
INTEGER_BITS_MAX: Final = 12_000
_COMMON: Final = frozenset({str, int, float, bool, type(None), list, dict})
_SMALL: Final = 2**53
_TEXT_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class _DuplicateKey(ValueError):
    pass


class _NumberOutOfRange(ValueError):
    pass


def encode(document: Document) -> bytes:
    """Return the bytes of a document's file. Its values were checked when they were written."""
    return b"".join(pieces(document))


def digest_of(document: Document) -> str:
    """Return the SHA-256 of a document's file as hexadecimal digits."""
    return hashlib.sha256(encode(document)).hexdigest()


def pieces(document: Document) -> list[bytes]:
    """Return the bytes of a document's file as pieces to join or to write in order.

    For a long list of records, unchanged pieces come from its cache.
    """
    parts, fields = [b"{"], {}
    for name, value in document.content.items():
        if not isinstance(value, RecordList):
            fields[name] = value
            continue
        if fields:
            parts += (_indented_fields(fields), b",")
            fields = {}
        parts += (b"\n  ", msgspec.json.encode(name), b": ", *value.indented(), b",")
    if fields:
        parts.append(_indented_fields(fields))
    elif len(parts) > 1:
        parts.pop()  # the last comma
    parts.append(b"\n}\n" if len(parts) > 1 else b"}\n")
    return parts


def _indented_fields(fields: Mapping[str, Json]) -> bytes:
    """Return fields as in a file, without the braces."""
    return msgspec.json.format(msgspec.json.encode(fields), indent=2)[len(b"{") : -len(b"\n}")]


def _list_as_json(value: object) -> msgspec.Raw:
    if isinstance(value, RecordList):
        return msgspec.Raw(value.json())
    raise TypeError(f"{type(value).__name__} is not a JSON type")


def to_json(value: Json) -> bytes:
    """Return a value as compact JSON. Lists of records in it use their cached encodings."""
    return _COMPACT.encode(value)


_COMPACT: Final = msgspec.json.Encoder(enc_hook=_list_as_json)


def decode(data: bytes, name: str, layout: CollectionLayout) -> Document:
    """Return the document in these bytes. Raises `Corrupt` with reason, line and column.

    A byte order mark, which some editors add, is skipped; the next write drops it.
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
        if LONE_SURROGATE.search(text):
            msgspec.json.encode(value)  # raises UnicodeEncodeError for half a surrogate pair
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
    """Return the offset of the first value that is nested deeper than DEPTH_MAX; 0 for none."""
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
        surrogate = LONE_SURROGATE.search(text)
        return surrogate.start() if surrogate else 0
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
    """Return a deep copy of a JSON value. Raises `InvalidValue` for what a file cannot hold."""
    # Every write passes through here, so the most common types are checked first.
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

    A value that is the same object as in `before` is in the document already and is never changed,
    so it is shared. Without that, each change of a large record would copy all of it. A value that
    was too deep in a file edited by hand therefore remains, and does not prevent other changes.
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
