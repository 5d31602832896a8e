"""Parse request bodies as strict JSON, with line and column in errors.

Refused in addition to what `json` refuses: text that is not UTF-8 or has a byte order mark, NaN and
Infinity, numbers that another JSON reader would change, duplicate keys, nesting deeper than
BODY_NESTING_MAX, and characters that no text may have (see `values`). Files are parsed by more
lenient rules (`docstore.codec`), because an existing file should be readable. New data is accepted
only if every reader of the files will parse it identically.

`json` parses in C. Its hooks detect invalid numbers and keys, but not their positions. `_scan`, a
second parser, goes through the tokens to locate a fault. It runs only after a hook refused a value,
or if the text is too deep or has an escape that may be an invalid character.
"""

import json
import math
import re
from itertools import accumulate
from typing import Any, NoReturn

import msgspec

from workspace.json_values import INTEGER_MAX, text_error

BODY_NESTING_MAX = 32
_BEGINNING = 4096  # characters examined first, to refuse a body of brackets cheaply
_INTEGER_CHARACTERS_MAX = len(str(-INTEGER_MAX))

# Possessive, with an optional closing quote. Otherwise an unclosed text would restart the search at
# each of its escaped quotes, which takes quadratic time.
_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]++|\\.)*+"?+)(?P<colon>[ \t\r\n]*+:)?
      | (?P<number>-?[0-9][0-9.eE+-]*+)
      | (?P<open>[\[{])
      | (?P<close>[\]}])
      | (?P<constant>NaN|-?Infinity)""",
    re.VERBOSE | re.DOTALL,
)

_BESIDE_BRACKETS = re.compile(r'(?:"(?:[^"\\]++|\\.)*+"?+|[^"\[\]{}]++)++', re.DOTALL)
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}

# `json` accepts control characters and lone surrogates only as escapes. (It also accepts \n, \r
# and \t in keys, which a hook checks.) False positives, such as an escaped backslash before "u00",
# only cost a `_scan`.
_SUSPECT_ESCAPE = re.compile(r"\\(?:[bf]|u00[01])")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")

_REASONS = {  # prefix of json's message to our message
    "Expecting value": "a value is missing here: a text in double quotes, a number, true, false,"
    " null, a list or an object",
    "Expecting property name": "a key in double quotes is expected here, and no comma may follow"
    " the last member",
    "Illegal trailing comma": "remove this comma; none may follow the last member",
    "Expecting ':'": "a colon must follow the key",
    "Expecting ','": "a comma or the closing bracket is missing here",
    "Extra data": "nothing may follow the end of the JSON value",
    "Unterminated string": "this text is not closed; add the double quote at its end",
    "Invalid control character": r"write line breaks and tabs inside a text as \n and \t",
    r"Invalid \uXXXX": r"\u must be followed by four hexadecimal digits",
    r"Invalid \escape": r"a backslash inside a text must be written as \\",
}


class MalformedBody(ValueError):
    """The body is not valid JSON. Correct it at the named position and send it again."""

    def __init__(self, reason: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {reason}")
        self.reason = reason
        self.line = line  # both count from 1; a column is a character, not a byte
        self.column = column


class _NotStrict(Exception):
    """A hook refused a value. `_scan` finds its position."""


def load_strict(data: bytes) -> Any:
    """Return the value in `data`. The caller must have limited its size. Raises `MalformedBody`."""
    text = _decoded(data)
    # Check the depth first, because the parser recurses. A body of brackets alone fails at its
    # beginning, which is cheap to examine.
    too_deep = _depth(text[:_BEGINNING]) > BODY_NESTING_MAX or _depth(text) > BODY_NESTING_MAX
    if too_deep or _SUSPECT_ESCAPE.search(text):
        _scan(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
        if _SURROGATE_ESCAPE.search(text):
            _refuse_half_pairs(value)
        return value
    except json.JSONDecodeError as error:
        reasons = (ours for theirs, ours in _REASONS.items() if error.msg.startswith(theirs))
        reason = next(reasons, error.msg)
        raise MalformedBody(reason, error.lineno, error.colno) from None
    except _NotStrict as unfit:
        _scan(text)
        raise MalformedBody(str(unfit), 1, 1) from None


def _decoded(data: bytes) -> str:
    if not data.strip(b" \t\r\n"):
        raise MalformedBody("the body is empty; send a JSON value", 1, 1)
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        raise MalformedBody("the body must be UTF-8, without a byte order mark", 1, 1)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        raise _malformed(
            f"the body must be UTF-8; byte {error.start + 1} (0x{data[error.start]:02X}) is not",
            before,
            len(before),
        ) from None


def _malformed(reason: str, text: str, offset: int) -> MalformedBody:
    line_start = text.rfind("\n", 0, offset) + 1
    return MalformedBody(reason, text.count("\n", 0, offset) + 1, offset - line_start + 1)


def _depth(text: str) -> int:
    """Return the maximum nesting depth of lists and objects, or an upper bound within the limit."""
    opened = text.count("[") + text.count("{")
    if opened <= BODY_NESTING_MAX:
        return opened
    brackets = _BESIDE_BRACKETS.sub("", text)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _NotStrict("each key of an object may be given once")
    for key in members:
        if not key.isprintable() and (fault := text_error(key, one_line=True)):
            raise _NotStrict(f"a key {fault}")
    return members


def _refuse_half_pairs(value: Any) -> None:
    """Raise `_NotStrict` for lone surrogates. Pairs are valid: escaped emoji are common."""
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise _NotStrict("half of a surrogate pair is not a character") from None


def _integer(digits: str) -> int:
    # Check the length first: int() of many digits is slow, and beyond 4,300 it raises ValueError.
    if len(digits) > _INTEGER_CHARACTERS_MAX or abs(int(digits)) > INTEGER_MAX:
        raise _NotStrict(f"an integer must lie between -{INTEGER_MAX} and {INTEGER_MAX}")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _NotStrict("this number is too large")
    return number


def _constant(name: str) -> NoReturn:
    raise _NotStrict(f"{name} is not JSON; send a number or null")


def _scan(text: str) -> None:
    """Raise `MalformedBody` for the first token that is refused although `json` accepts it.

    A malformed token ends the scan, because `json` reports it.
    """
    scopes: list[set[str]] = [set()]  # keys seen per open list or object; [0] is the top level
    for token in _TOKEN.finditer(text):
        try:
            _check_token(token, scopes)
        except _NotStrict as unfit:
            raise _malformed(str(unfit), text, token.start()) from None
        except ValueError:
            return


def _check_token(token: re.Match[str], scopes: list[set[str]]) -> None:
    if token["text"]:
        _check_text(token["text"], scopes[-1] if token["colon"] else None)
    elif token["open"]:
        scopes.append(set())
        if len(scopes) > BODY_NESTING_MAX + 1:
            raise _NotStrict(f"lists and objects may be nested at most {BODY_NESTING_MAX} deep")
    elif token["close"]:
        scopes.pop()
        if not scopes:
            raise ValueError("more brackets closed than opened")
    elif token["constant"]:
        _constant(token["constant"])
    elif token["number"].lstrip("-").isdigit():
        _integer(token["number"])
    else:
        _float(token["number"])


def _check_text(quoted: str, keys: set[str] | None) -> None:
    """Raise `_NotStrict` for an invalid text. `keys` are the previous keys if the text is a key."""
    text = json.loads(quoted) if "\\" in quoted else quoted[1:-1]
    if fault := text_error(text, one_line=keys is not None):
        raise _NotStrict(f"{'a key' if keys is not None else 'a text'} {fault}")
    if keys is None:
        return
    if text in keys:
        raise _NotStrict(f"the key {json.dumps(text, ensure_ascii=False)[:80]} is given twice")
    keys.add(text)
