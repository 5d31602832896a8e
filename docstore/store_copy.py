"""Copy a store into another one, while it is in use.

1. Copy every document, and the history, while writers go on.
2. Copy what the change feed says was changed meanwhile, until little is left.
3. Block the writers of the source, copy the rest, and compare the two stores.

A copy that was interrupted, or is behind, is continued: documents that are the same are not written
again. The copy cannot be opened as a store until it has been compared.

The *root hash* is the SHA-256 of what `sha256sum` prints for the files of all documents, sorted by
name. Documents are compared as the store writes them: two spaces of indent, one field a line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Final, NamedTuple, Protocol

from docstore.backend import Backend
from docstore.codec import digest_of
from docstore.document import CollectionLayout, Document, Key
from docstore.errors import HistoryGone, Unavailable

ROUNDS_MAX: Final = 20
# When fewer documents than this were changed during a round, the rest is copied in the pause.
FEW_DOCUMENTS: Final = 50
Progress = Callable[[int, int], None]


class Source(Backend, Protocol):
    """A backend that can be copied."""

    def payloads(self, since: int) -> Iterator[tuple[int, bytes]]:
        """Yield the entries after `since`, as `encode_entry` returns them, with their numbers.

        The payload of the restore of a backup has no changes. An empty payload stands for a commit
        whose content is no longer stored.
        """

    def still(self) -> AbstractContextManager[None]:
        """Block all writers during the block."""


class Loader(Protocol):
    """Writes a copy. Numbers of its history are those of the source, or follow their order."""

    def begin(self, source: str) -> int:
        """Begin or continue a copy; return the number of the source up to which it has history.

        Raises `Unavailable` if the target holds anything else.
        """

    def digests(self, collection: str) -> Iterator[tuple[Key, str]]:
        """Yield the documents of the copy, each with the digest of its file, ordered by owner."""

    def load(self, key: Key, document: Document, number: int) -> None:
        """Write a document durably. `number` is that of an entry, none after it has changed it."""

    def remove(self, key: Key) -> None:
        """Remove a document, if there is one."""

    def load_history(self, floor: int, payloads: Iterable[tuple[int, bytes]]) -> int:
        """Append entries; return how many. Nothing up to number `floor` is stored."""

    def close(self) -> None:
        """Release all resources."""

    def finish(self, through: int) -> None:
        """Make the copy a store that can be opened: it has all commits up to `through`."""


class Copied(NamedTuple):
    """The result of a copy. `written` counts documents that were not there or different."""

    documents: int
    written: int
    entries: int
    root_hash: str


def root_hash(digests: Mapping[str, str]) -> str:
    """Return the digest of all documents, given those of their files by name."""
    lines = (f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def store_digests(backend: Backend, collections: Iterable[str]) -> dict[str, str]:
    """Return the digests of all documents by name, each as the store would write it."""
    return {
        backend.name(key): digest_of(document)
        for collection in collections
        for key in backend.keys(collection)
        if (document := backend.read(key).document) is not None
    }


def copy_store(
    source: Source,
    target: Loader,
    layouts: Mapping[str, CollectionLayout],
    progress: Progress = lambda done, total: None,
) -> Copied:
    """Copy all documents and the history. Raises `Unavailable`, and `Corrupt` for the document.

    Raises `Unavailable` if the copy differs from the source afterwards.
    """
    return _Copy(source, target, layouts, progress).run()


class _Copy:
    def __init__(
        self,
        source: Source,
        target: Loader,
        layouts: Mapping[str, CollectionLayout],
        progress: Progress,
    ) -> None:
        self._source, self._target, self._layouts = source, target, layouts
        self._progress = progress
        self._digests: dict[Key, str] = {}
        self._written = self._entries = 0

    def run(self) -> Copied:
        self._through = self._target.begin(repr(self._source))
        number = self._source.sequence()
        self._copy_all(number)
        for _ in range(ROUNDS_MAX):
            changed, number = self._changed_since(number)
            self._copy_each(changed, number)
            if len(changed) < FEW_DOCUMENTS:
                break
        self._copy_history(number)
        with self._source.still():
            changed, number = self._changed_since(number)
            self._copy_each(changed, number)
            self._copy_history(number)
            self._compare()
            self._target.finish(number)
        names = {self._source.name(key): digest for key, digest in self._digests.items()}
        return Copied(len(names), self._written, self._entries, root_hash(names))

    def _copy_all(self, number: int) -> None:
        keys = {key for name in self._layouts for key in self._source.keys(name)}
        there = self._copied()
        for done, key in enumerate(sorted(keys), 1):
            self._copy(key, number, there.get(key, ""))
            self._progress(done, len(keys))
        for key in there.keys() - self._digests.keys():
            self._target.remove(key)

    def _copied(self) -> dict[Key, str]:
        return {key: digest for name in self._layouts for key, digest in self._target.digests(name)}

    def _copy(self, key: Key, number: int, there: str = "") -> None:
        document = self._source.read(key).document
        if fault := self._source.fault(key):
            raise fault
        if document is None:
            self._digests.pop(key, None)
            self._target.remove(key)
            return
        digest = digest_of(document)
        if digest != there:
            self._target.load(key, document, number)
            self._written += 1
        self._digests[key] = digest

    def _copy_each(self, keys: Iterable[Key], number: int) -> None:
        for key in sorted(keys):
            self._copy(key, number)

    def _changed_since(self, number: int) -> tuple[set[Key], int]:
        """Return the documents that were changed after the number, and the number up to which."""
        changed: set[Key] = set()
        final = self._source.sequence()
        while number < final:
            entries, number = self._source.entries(number, self._is_copied)
            for entry in entries:
                if entry.restored:
                    raise Unavailable("a backup was restored meanwhile: run the copy again", 1)
                changed |= {change.key for change in entry.changes}
        return changed, number

    def _is_copied(self, key: Key) -> bool:
        return key.collection in self._layouts

    def _copy_history(self, through: int) -> None:
        """Append the entries up to a number that the copy does not have yet."""
        floor = 0
        try:
            self._source.entries(self._through, lambda key: False, 1)
        except HistoryGone:  # the copy begins where the history of the source does
            first = next(iter(self._source.payloads(0)), (through + 1, b""))
            floor = first[0] - 1
        payloads = (
            (number, payload)
            for number, payload in self._source.payloads(max(self._through, floor))
            if number <= through
        )
        self._entries += self._target.load_history(floor, payloads)
        self._through = max(self._through, through)

    def _compare(self) -> None:
        """Read the copy, and raise `Unavailable` unless it has the documents of the source."""
        there = self._copied()
        different = [
            key
            for key in there.keys() | self._digests.keys()
            if there.get(key) != self._digests.get(key)
        ]
        if different:
            names = ", ".join(map(self._source.name, sorted(different)[:5]))
            raise Unavailable(f"the copy differs in {len(different)} documents: {names}")
