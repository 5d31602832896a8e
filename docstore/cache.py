"""Parsed documents, each valid for one version of its file.

Parsing costs far more than asking for a file's version, and most reads find what the last one
found. The cache is bounded by the size of the files whose content it holds.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from docstore.backend import Version
from docstore.document import Document, Key

CACHE_BYTES_MAX: Final = 64 * 1024 * 1024


@dataclass(frozen=True)
class _Entry:
    version: Version
    document: Document
    size: int


class DocumentCache:
    """Least recently used documents leave first."""

    def __init__(self, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._reset()
        _caches.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._bytes = 0

    def get(self, key: Key, version: Version) -> Document | None:
        """The document, if it was seen at this very version."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.version != version:
                return None
            self._entries.move_to_end(key)
            return entry.document

    def put(self, key: Key, version: Version, document: Document, size: int) -> None:
        """Remembers a document whose file has `size` bytes."""
        with self._lock:
            self._drop(key)
            if size > self._bytes_max:
                return
            self._entries[key] = _Entry(version, document, size)
            self._bytes += size
            while self._bytes > self._bytes_max:
                self._drop(next(iter(self._entries)))

    def forget(self, key: Key) -> None:
        """Drops a document, known or not."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry:
            self._bytes -= entry.size

    def __repr__(self) -> str:
        return f"<DocumentCache {len(self._entries)} documents, {self._bytes} bytes>"


_caches: weakref.WeakSet[DocumentCache] = weakref.WeakSet()


def _renew_after_fork() -> None:
    # Another thread of the parent may have held the lock at the fork; it does not exist here.
    for cache in _caches:
        cache._reset()


os.register_at_fork(after_in_child=_renew_after_fork)
