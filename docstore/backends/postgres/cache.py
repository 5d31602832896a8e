"""Parsed documents that this process has read, each at one version."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final, NamedTuple

from docstore.document import Document, Key

CACHE_BYTES_MAX: Final = 64 * 1024 * 1024
# A parsed document takes about this many times the bytes of its JSON.
_PARSED_FACTOR: Final = 4


class State(NamedTuple):
    """A document at a version, with what is needed to apply later changes: see `schema.py`."""

    version: int
    base: int
    next_place: int
    dropped: int
    document: Document
    size: int


class DocumentCache:
    """The most recently used states, up to a bound of bytes. Thread-safe.

    A cached state is never returned without asking the database for the current version.
    """

    def __init__(self, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._states: OrderedDict[Key, State] = OrderedDict()
        self._bytes, self._bytes_max = 0, bytes_max
        self._lock = threading.Lock()

    def get(self, key: Key) -> State | None:
        """Return the state of a document, perhaps an old one."""
        with self._lock:
            state = self._states.get(key)
            if state is not None:
                self._states.move_to_end(key)
            return state

    def put(self, key: Key, state: State) -> None:
        """Add a state, unless there is a newer one. Another thread may have been slower."""
        with self._lock:
            before = self._states.get(key)
            if before is not None:
                if before.version > state.version:
                    return
                self._bytes -= before.size * _PARSED_FACTOR
            self._states[key] = state
            self._states.move_to_end(key)
            self._bytes += state.size * _PARSED_FACTOR
            while self._bytes > self._bytes_max and len(self._states) > 1:
                _, oldest = self._states.popitem(last=False)
                self._bytes -= oldest.size * _PARSED_FACTOR

    def discard(self, key: Key) -> None:
        """Remove the state of a document."""
        with self._lock:
            state = self._states.pop(key, None)
            if state is not None:
                self._bytes -= state.size * _PARSED_FACTOR

    def clear(self) -> None:
        """Remove all states."""
        with self._lock:
            self._states.clear()
            self._bytes = 0
