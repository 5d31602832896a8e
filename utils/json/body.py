"""Request bodies: strict JSON, or a reason with line and column that a person can act on.

Refused beyond what `json` refuses: anything but UTF-8 without a byte order mark, NaN and
Infinity, numbers that a JSON reader elsewhere would change, a key given twice, nesting deeper
than BODY_NESTING_MAX, and characters that no text may hold (see `values`). Files are read by
wider rules (`docstore.codec`): what a person keeps is to be read if it can be, what a stranger
sends only if every other reader of the files will read it the same.

`json` does the parsing, in C; its hooks notice unfit numbers and keys but not where they are. So
there is a second reader, `_scan`, which goes through the tokens one by one. It runs only when the
text is too deep or holds an escape that may stand for an unfit character, and to find the place
of what a hook has refused.
"""

import json
import math
import re
from itertools import accumulate
from typing import Any, NoReturn

import msgspec

from utils.json.values import INTEGER_MAX, text_fault

BODY_NESTING_MAX = 32
_BEGINNING = 4096  # characters
_INTEGER_CHARACTERS_MAX = len(str(-INTEGER_MAX))

# Possessive, and with the closing quote optional: a text that is never closed must not make the
# search start again at each of its escaped quotes.
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

# Control characters and surrogates get past `json` as escapes only. (It takes \n, \r and \t in
# keys as well, but keys are seen by a hook.) An escaped backslash before "u00" matches too: no
# harm, `_scan` knows better.
_SUSPECT_ESCAPE = re.compile(r"\\(?:[bf]|u00[01])")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")

_REASONS = {  # how json's messages begin, and what we say
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
    """The body is not JSON as NeuralFlow takes it. Mend it at the place named and send it again."""

    def __init__(self, reason: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {reason}")
        self.reason = reason
        self.line = line  # both count from 1; a column is a character, not a byte
        self.column = column


class _Unfit(Exception):
    """A hook met a value that is refused; where, `_scan` finds out."""


def load_body(data: bytes) -> Any:
    """The value in `data`; its size must have been limited before. Raises MalformedBody."""
    text = _decoded(data)
    # Depth before parsing, because the parser recurses. A look at the beginning is cheap, and
    # that is where bodies that are nothing but depth show it.
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
    except _Unfit as unfit:
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
    """How deep lists and objects are nested in `text`, at most."""
    opened = text.count("[") + text.count("{")
    if opened <= BODY_NESTING_MAX:
        return opened
    brackets = _BESIDE_BRACKETS.sub("", text)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Unfit("each key of an object may be given once")
    for key in members:
        if not key.isprintable() and (fault := text_fault(key, one_line=True)):
            raise _Unfit(f"a key {fault}")
    return members


def _refuse_half_pairs(value: Any) -> None:
    """Whole pairs are common, as an emoji is written; only what has no UTF-8 form is refused."""
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise _Unfit("half of a surrogate pair is not a character") from None


def _integer(digits: str) -> int:
    # The length first: int() of very many digits is slow, and past 4,300 an error of its own.
    if len(digits) > _INTEGER_CHARACTERS_MAX or abs(int(digits)) > INTEGER_MAX:
        raise _Unfit(f"an integer must lie between -{INTEGER_MAX} and {INTEGER_MAX}")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _Unfit("this number is too large")
    return number


def _constant(name: str) -> NoReturn:
    raise _Unfit(f"{name} is not JSON; send a number or null")


def _scan(text: str) -> None:
    """Raise MalformedBody for the first token that is refused though `json` would take it.

    What `json` refuses itself is left to `json`: a token that is not well formed ends the scan.
    """
    scopes: list[set[str]] = [set()]  # of each open list or object the keys seen; [0]: outside
    for token in _TOKEN.finditer(text):
        try:
            _check_token(token, scopes)
        except _Unfit as unfit:
            raise _malformed(str(unfit), text, token.start()) from None
        except ValueError:
            return


def _check_token(token: re.Match[str], scopes: list[set[str]]) -> None:
    if token["text"]:
        _check_text(token["text"], scopes[-1] if token["colon"] else None)
    elif token["open"]:
        scopes.append(set())
        if len(scopes) > BODY_NESTING_MAX + 1:
            raise _Unfit(f"lists and objects may be nested at most {BODY_NESTING_MAX} deep")
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
    """Check one text; `keys`, when it is a key, are those before it in the same object."""
    text = json.loads(quoted) if "\\" in quoted else quoted[1:-1]
    if fault := text_fault(text, one_line=keys is not None):
        raise _Unfit(f"{'a key' if keys is not None else 'a text'} {fault}")
    if keys is None:
        return
    if text in keys:
        raise _Unfit(f"the key {json.dumps(text, ensure_ascii=False)[:80]} is given twice")
    keys.add(text)
