"""What a JSON value may be in NeuralFlow: rules that hold for every field, and how faults are told.

A value is null, a boolean, a text, an integer, a float, a list of values, or an object with text
keys. Narrower than Python's `json`, because files must be readable by every other JSON reader:

* integers lie within +-(2^53 - 1), or a reader that keeps numbers as doubles would change them;
* floats are finite, since JSON has no way to write the others;
* texts hold no lone surrogates (they have no UTF-8 form) and no control characters other than
  line break, carriage return and tab. One-line texts and keys hold not even those, nor DEL and the
  controls from U+0080 to U+009F;
* texts and keys are in Unicode's normal form C, whichever form was given.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from utils.texts import normal

INTEGER_MAX = 2**53 - 1
NESTING_MAX = 16  # lists and objects within each other in one field, the outermost counted
KEY_CHARACTERS_MAX = 200
FAULTS_MAX = 100  # a hostile body can have a million; nobody reads more than these

_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_UNFIT_IN_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class FieldError:
    """One fault in a record: where it is (a JSON Pointer, RFC 6901) and what to do about it."""

    pointer: str
    detail: str


class Faults:
    """The faults found so far, at most FAULTS_MAX of them."""

    def __init__(self) -> None:
        self.found: list[FieldError] = []

    def add(self, pointer: str, detail: str) -> None:
        if len(self.found) < FAULTS_MAX:
            self.found.append(FieldError(pointer, detail))


def pointer_to(parent: str, step: str | int) -> str:
    """The JSON Pointer of the member or entry `step` of what is at `parent`."""
    return f"{parent}/{str(step).replace('~', '~0').replace('/', '~1')}"


def text_fault(text: str, *, one_line: bool = False) -> str | None:
    """What is wrong with the characters of `text`, or None."""
    unfit = (_UNFIT_IN_LINE if one_line else _UNFIT).search(text)
    if unfit is None:
        return None
    code = ord(unfit.group())
    if code >= 0xD800:
        return f"must hold whole characters only; U+{code:04X} is half of a surrogate pair"
    if one_line:
        return f"must be one line without control characters; it holds U+{code:04X}"
    return f"must hold no control characters but line break and tab; it holds U+{code:04X}"


def key_fault(key: object) -> str | None:
    """What is wrong with the object around `key` because of that key, or None."""
    if not isinstance(key, str):
        return f"must have texts as keys; one is a Python {type(key).__name__}"
    if len(key) > KEY_CHARACTERS_MAX:
        return f"must have keys of at most {KEY_CHARACTERS_MAX} characters; one has {len(key)}"
    fault = text_fault(key, one_line=True)
    # !a because the key may hold what cannot be written into an answer.
    return fault and f"has the key {str(key)!a}, which {fault}"


def whole_number(value: object) -> object:
    """Return the integer that a float such as 5.0 stands for, and any other value as it is.

    To JSON Schema 5.0 is an integer. Beyond 2^53 a float stands for many of them, so it stays one.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) <= INTEGER_MAX:
        return int(value)
    return value


def checked_copy(
    value: object, pointer: str, faults: Faults, *, one_line: bool = False, level: int = 1
) -> Any:
    """`value` in plain JSON types, sharing nothing with the caller's; breaches go to `faults`.

    Subclasses (an enumeration's member, a template's safe text) become what they stand for. The
    engine, which must stand by itself, refuses once more what no file could hold, and says less.
    After a fault the copy is incomplete and must not be used.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if detail := text_fault(value, one_line=one_line):
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
    value: list[object] | dict[object, object], pointer: str, faults: Faults, level: int
) -> Any:
    if isinstance(value, list):
        return [
            checked_copy(entry, pointer_to(pointer, index), faults, level=level)
            for index, entry in enumerate(value)
        ]
    copy = {}
    for key, member in value.items():
        if detail := key_fault(key):
            faults.add(pointer, detail)
        elif isinstance(key, str):
            below = pointer_to(pointer, key)
            name = normal(str.__str__(key))
            if name in copy:
                faults.add(below, "is given twice, in two forms of the same characters")
            copy[name] = checked_copy(member, below, faults, level=level)
    return copy


def same_value(one: object, other: object) -> bool:
    """Whether two values say the same in JSON: true is not 1, but 1 is 1.0; key order is nothing.

    Works without recursion, so that no nesting can exhaust the stack.
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
