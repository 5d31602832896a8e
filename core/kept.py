"""Parts of pages that are kept once they were made, by all that they were made from.

A row of a list costs a hundred times more to render than to look up, and hardly one of fifty has
changed since the last page. What is kept is never out of date, since it is found by its values and
not by a name: other values are another part.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable

import msgspec
from django.utils.functional import Promise

KEPT_PARTS = 5_000  # of about 2 KB each, in each process

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


class KeptParts:
    """The parts that were asked for last."""

    def __init__(self, limit: int = KEPT_PARTS) -> None:
        self._limit = limit
        self._parts: OrderedDict[bytes, str] = OrderedDict()
        self._mutex = threading.Lock()

    def __len__(self) -> int:
        return len(self._parts)

    def part(self, values: Iterable[object], make: Callable[[], str]) -> str:
        """What `make` returns for these values; made only where it is not known.

        The values must be all that it depends on. Where one has no key, it is made anew each time.
        """
        try:
            key = _MAKES_KEY.encode(list(values))
        except (TypeError, ValueError, OverflowError, RecursionError):
            return make()
        with self._mutex:
            if key in self._parts:
                self._parts.move_to_end(key)
                return self._parts[key]
        made = make()
        with self._mutex:
            self._parts[key] = made
            if len(self._parts) > self._limit:
                self._parts.popitem(last=False)
        return made
