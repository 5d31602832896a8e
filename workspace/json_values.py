"""Rules for JSON values in every field, and how faults are reported.

A value is null, a boolean, a text, an integer, a float, a list of values, or an object with text
keys. The rules are narrower than Python's `json`, because every other JSON reader must be able to
read the files:

* integers are within +-(2^53 - 1), because readers that store numbers as doubles change others;
* floats are finite, because JSON cannot represent others;
* texts have no lone surrogates (they have no UTF-8 form) and no control characters other than
  line break, carriage return and tab. One-line texts and keys do not have these either, nor DEL
  and the controls from U+0080 to U+009F;
* texts and keys are normalized to Unicode NFC.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from workspace.texts import normal

INTEGER_MAX = 2**53 - 1
NESTING_MAX = 16  # levels of lists and objects in a field, including the outermost
KEY_CHARACTERS_MAX = 200
FAULTS_MAX = 100  # bounds the size of a problem report: a hostile body can have a million faults

_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
# Beside control characters, those that turn the direction of what follows, so that a name reads as
# another one, and those that nobody sees. Joiners and marks that languages need are no part of it.
_HIDDEN = r"\u200b\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_UNFIT_IN_LINE = re.compile(rf"[\x00-\x1f\x7f-\x9f{_HIDDEN}\ud800-\udfff]")


@dataclass(frozen=True)
class FieldError:
    """A fault in a record: its position (a JSON Pointer, RFC 6901) and what to do about it."""

    pointer: str
    detail: str


class ErrorList:
    """A collector of faults that retains the first FAULTS_MAX."""

    def __init__(self) -> None:
        self.found: list[FieldError] = []

    def add(self, pointer: str, detail: str) -> None:
        if len(self.found) < FAULTS_MAX:
            self.found.append(FieldError(pointer, detail))

    @property
    def is_full(self) -> bool:
        """Return True if no further fault would be reported, so that none has to be looked for."""
        return len(self.found) >= FAULTS_MAX


def pointer_to(parent: str, step: str | int) -> str:
    """Return the JSON Pointer of the member or entry `step` of the value at `parent`."""
    return f"{parent}/{str(step).replace('~', '~0').replace('/', '~1')}"


def text_error(text: str, *, one_line: bool = False) -> str | None:
    """Return the fault of the characters of `text`, or None."""
    unfit = (_UNFIT_IN_LINE if one_line else _UNFIT).search(text)
    if unfit is None:
        return None
    code = ord(unfit.group())
    if 0xD800 <= code <= 0xDFFF:
        return f"must hold whole characters only; U+{code:04X} is half of a surrogate pair"
    if one_line:
        return f"must be one line without control characters; it holds U+{code:04X}"
    return f"must hold no control characters but line break and tab; it holds U+{code:04X}"


def key_error(key: object) -> str | None:
    """Return the fault of an object that has `key`, or None."""
    if not isinstance(key, str):
        return f"must have texts as keys; one is a Python {type(key).__name__}"
    if len(key) > KEY_CHARACTERS_MAX:
        return f"must have keys of at most {KEY_CHARACTERS_MAX} characters; one has {len(key)}"
    fault = text_error(key, one_line=True)
    # !a because the key may have characters that a response cannot encode.
    return fault and f"has the key {str(key)!a}, which {fault}"


def whole_number(value: object) -> object:
    """Return the integer for a float such as 5.0, and any other value unchanged.

    JSON Schema regards 5.0 as an integer. Beyond 2^53 a float stands for several integers, so it
    remains a float.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) <= INTEGER_MAX:
        return int(value)
    return value


def checked_copy(
    value: object, pointer: str, faults: ErrorList, *, one_line: bool = False, level: int = 1
) -> Any:
    """Return a deep copy of `value` in plain JSON types, and add its faults to `faults`.

    Instances of subclasses (members of an enumeration, safe text of templates) become plain values.
    After a fault the copy is incomplete and must not be used. The engine repeats these checks with
    less detailed messages, because it must not depend on its callers.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if detail := text_error(value, one_line=one_line):
            faults.add(pointer, detail)
        return normal(str.__str__(value))
    if isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            faults.add(pointer, f"must lie between -{INTEGER_MAX} and {INTEGER_MAX}")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            faults.add(pointer, "must be a finite number")
        return float(value)
    if not isinstance(value, list | dict):
        faults.add(pointer, f"must be a JSON value; it is a Python {type(value).__name__}")
        return None
    if level > NESTING_MAX:
        faults.add(pointer, f"must be nested at most {NESTING_MAX} levels deep")
        return None
    return _copied_container(value, pointer, faults, level + 1)


def _copied_container(
    value: list[object] | dict[object, object], pointer: str, faults: ErrorList, level: int
) -> Any:
    if isinstance(value, list):
        return [
            checked_copy(entry, pointer_to(pointer, index), faults, level=level)
            for index, entry in enumerate(value)
        ]
    copy = {}
    for key, member in value.items():
        if detail := key_error(key):
            faults.add(pointer, detail)
        elif isinstance(key, str):
            below = pointer_to(pointer, key)
            name = normal(str.__str__(key))
            if name in copy:
                faults.add(below, "is given twice, in two forms of the same characters")
            copy[name] = checked_copy(member, below, faults, level=level)
    return copy


def same_value(one: object, other: object) -> bool:
    """Return whether two values are equal as JSON: true is not 1, 1 is 1.0, key order is ignored.

    Iterative, so deep nesting cannot exhaust the stack.
    """
    pairs = [(one, other)]
    while pairs:
        a, b = pairs.pop()
        if isinstance(a, bool) or isinstance(b, bool):
            same = a is b
        elif isinstance(a, dict) and isinstance(b, dict):
            same = a.keys() == b.keys()
            pairs.extend((a[key], b[key]) for key in a if same)
        elif isinstance(a, list) and isinstance(b, list):
            same = len(a) == len(b)
            pairs.extend(zip(a, b, strict=False))
        else:
            same = bool(a == b)
        if not same:
            return False
    return True
