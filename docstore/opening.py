"""Opens a store from a URL: the one place that knows which backend is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from docstore.backends.files import FilesBackend
from docstore.backends.memory import MemoryBackend
from docstore.document import CollectionLayout
from docstore.following import CACHE_BYTES_MAX
from docstore.merging import merge_file
from docstore.moments import utc_now
from docstore.publishing import History
from docstore.store import DocumentStore


def folder_of(url: str) -> Path:
    """The folder that a `file:///...` URL names. Raises `ValueError` for any other URL."""
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path:
        raise ValueError(f"{url!r} does not name a folder: write file:///path/to/data")
    return Path(unquote(parts.path))


def open_store(
    url: str,
    collections: Iterable[CollectionLayout],
    *,
    clock: Callable[[], datetime] = utc_now,
    history: History | None = None,
    cache_bytes: int = CACHE_BYTES_MAX,
) -> DocumentStore:
    """Opens `file:///path/to/data` or `memory:` and finishes what a dead writer began.

    `history` is how long the journal of a folder is kept, by default 30 days and at most 1 GiB;
    `cache_bytes` of files at most are remembered as parsed documents. Raises `ValueError` for a URL
    it does not know, `Unavailable` where the place cannot be used.

    A file that a person changes is merged by the engine's rules, which know no fields;
    `DocumentStore.merge_files_with` sets others.
    """
    layouts = {layout.name: layout for layout in collections}
    if url == "memory:":
        return DocumentStore(MemoryBackend(layouts), layouts, clock)
    backend = FilesBackend(folder_of(url), layouts, history=history, cache_bytes=cache_bytes)
    store = DocumentStore(backend, layouts, clock)
    store.merge_files_with(merge_file)
    return store
