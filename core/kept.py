"""Parts of pages that are kept once they were made, by all that they were made from.

A row of a list costs a hundred times more to render than to look up, and hardly one of fifty has
changed since the last page. What is kept is never out of date, since it is found by its values and
not by a name: other values are another part.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable

import msgspec
from django.utils.functional import Promise

KEPT_CHARACTERS = 16_000_000  # of parts and of their values together, in each process

NOT_KEPT = object()  # among the values of a part: it is made anew each time


def _as_text(value: object) -> str:
    """What stands in a key for a text, lazy or safe, or for a fault: what it says now.

    Anything else is refused: two objects that differ may well be called the same.
    """
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if not isinstance(value, str | Promise):
        raise TypeError(f"a {type(value).__name__} cannot tell a part from another")
    return str.__str__(str(value))  # of a safe text, `str` is the text itself


_MAKES_KEY = msgspec.json.Encoder(enc_hook=_as_text)


def key_of(values: object) -> bytes | None:
    """What tells these values from any others; None where they cannot be told."""
    try:
        return _MAKES_KEY.encode(values)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


class KeptParts:
    """The parts that were asked for last."""

    def __init__(self, limit: int = KEPT_CHARACTERS) -> None:
        self._limit = limit
        self._parts: OrderedDict[bytes, str] = OrderedDict()
        self._size = 0
        self._mutex = threading.Lock()

    def __len__(self) -> int:
        return len(self._parts)

    def part(self, key: bytes | None, make: Callable[[], str]) -> str:
        """What `make` returns for the values of the key; made only where it is not known.

        The values must be all that it depends on. Where they have no key, it is made each time.
        """
        if key is None:
            return make()
        with self._mutex:
            known = self._parts.get(key)
            if known is not None:
                self._parts.move_to_end(key)
                return known
        made = make()
        with self._mutex:
            if key not in self._parts:  # another thread may have been quicker
                self._parts[key] = made
                self._size += len(key) + len(made)
            while self._size > self._limit:
                dropped, part = self._parts.popitem(last=False)
                self._size -= len(dropped) + len(part)
        return made
