"""Documents in a dictionary: the simplest implementation of the port.

Durable for the life of the process, and visible to its threads only.
"""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final, TypeVar

from docstore.backend import (
    ABSENT,
    ENTRIES_BYTES,
    Commit,
    Copy,
    Entries,
    Entry,
    Stored,
    Version,
)
from docstore.backends.without_files import WithoutFiles
from docstore.codec import encode
from docstore.document import CollectionLayout, Document, Key
from docstore.errors import Conflict, HistoryGone
from docstore.journal.entries import encode_entry, entry_of
from docstore.observer import Observer

Result = TypeVar("Result")

HISTORY_MAX: Final = 10_000  # commits


class MemoryBackend(WithoutFiles):
    """A backend for tests, demonstrations and scripts that need no durable storage."""

    def __init__(self, layouts: Mapping[str, CollectionLayout]) -> None:
        self._layouts = layouts
        self._documents: dict[Key, tuple[Document, int]] = {}
        self._count = 0
        self._history: deque[tuple[int, Commit]] = deque(maxlen=HISTORY_MAX)
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<MemoryBackend {len(self._documents)} documents>"

    def _version(self, key: Key) -> Version:
        stored = self._documents.get(key)
        return stored[1] if stored else ABSENT

    def read(self, key: Key) -> Stored:
        with self._lock:
            stored = self._documents.get(key)
        return Stored(*stored) if stored else Stored(None, ABSENT)

    def raw(self, key: Key) -> bytes | None:
        document = self.read(key).document
        return encode(document) if document else None

    def size(self, key: Key) -> int:
        return len(self.raw(key) or b"")

    def history_bytes(self, actor: str) -> int:
        """Return 0: the history shares its values with the documents."""
        return 0

    def aside_bytes(self, owner: int) -> int:
        return 0

    @contextmanager
    def copies(self, keys: Sequence[Key]) -> Iterator[Mapping[Key, Copy]]:
        with self._lock:
            documents = {key: self.read(key).document for key in keys}
        yield {
            key: Copy(io.BytesIO(encode(document)), document)
            for key, document in documents.items()
            if document
        }

    def name(self, key: Key) -> str:
        layout = self._layouts[key.collection]
        return f"{layout.name}/{layout.stem}_{key.owner}.json"

    def keys(self, collection: str) -> Iterator[Key]:
        with self._lock:
            return iter(sorted(key for key in self._documents if key.collection == collection))

    def exclusive(self) -> AbstractContextManager[object]:
        return self._lock

    def together(self, work: Callable[[], Result], *, here: bool = False) -> Result:
        with self._lock:
            return work()

    def commit(self, commit: Commit) -> int:
        with self._lock:
            for change in commit.changes:
                if self._version(change.key) != change.expect:
                    raise Conflict(f"{self.name(change.key)} was changed meanwhile")
            self._count += 1
            self._history.append((self._count, commit))
            for change in commit.changes:
                if change.after is None:
                    self._documents.pop(change.key, None)
                else:
                    self._documents[change.key] = (change.after, self._count)
            return self._count

    def sequence(self) -> int:
        return self._count

    def entry(self, number: int) -> Entry | None:
        entries = self.entries(number - 1, lambda key: True, 1).told[:1]
        return next((entry for entry in entries if entry.sequence == number), None)

    def entries(
        self, since: int, wanted: Callable[[Key], bool], bytes_max: int = ENTRIES_BYTES
    ) -> Entries:
        with self._lock:
            through, history = self._count, list(self._history)
        if not through - len(history) <= since <= through:
            raise HistoryGone(f"{since} is not within the history that is kept")
        entries: list[Entry] = []
        for sequence, commit in history[since - through :] if since < through else ():
            payload = encode_entry(commit)
            entry = entry_of(sequence, payload, wanted)
            if entry is not None:
                entries.append(entry)
            bytes_max -= len(payload)
            if bytes_max <= 0:
                return Entries(tuple(entries), sequence)
        return Entries(tuple(entries), through)

    def observe(self, observer: Observer) -> None:
        """Do nothing: no read misses a cache, and nothing is synced."""

    def close(self) -> None:
        with self._lock:
            self._documents.clear()
            self._history.clear()
            self._count += 1  # readers cannot continue from an earlier number
