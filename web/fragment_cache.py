"""A fragment cache for rendered parts of pages, keyed by all the values they depend on.

Rendering a row of a list costs a hundred times more than a look-up, and few rows change between two
pages. Entries never become stale, because the key contains the values and not a name: different
values are a different entry.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable

import msgspec
from django.utils.functional import Promise

KEPT_CHARACTERS = 16_000_000  # size of keys and fragments together, per process

NOT_KEPT = object()  # among the values of a fragment, it prevents caching


def _as_text(value: object) -> str:
    """Return the key text for a lazy or safe text, or for an exception.

    Raises TypeError for other types: distinct objects may have the same text.
    """
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if not isinstance(value, str | Promise):
        raise TypeError(f"a {type(value).__name__} cannot tell a part from another")
    return str.__str__(str(value))  # `str` of a safe text is a safe text again


_MAKES_KEY = msgspec.json.Encoder(enc_hook=_as_text)


def key_of(values: object) -> bytes | None:
    """Return a cache key for the values, or None if they cannot be serialized."""
    try:
        return _MAKES_KEY.encode(values)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


class FragmentCache:
    """An LRU cache of rendered fragments. Thread-safe."""

    def __init__(self, limit: int = KEPT_CHARACTERS) -> None:
        self._limit = limit
        self._parts: OrderedDict[bytes, str] = OrderedDict()
        self._size = 0
        self._mutex = threading.Lock()

    def __len__(self) -> int:
        return len(self._parts)

    def part(self, key: bytes | None, make: Callable[[], str]) -> str:
        """Return the cached fragment for the key, or render it with `make`.

        The key must contain every value that the fragment depends on. With a key of None, nothing
        is cached.
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
            if key not in self._parts:  # another thread may have added it meanwhile
                self._parts[key] = made
                self._size += len(key) + len(made)
            while self._size > self._limit:
                dropped, part = self._parts.popitem(last=False)
                self._size -= len(dropped) + len(part)
        return made
