"""Opening a store from a URL: the only module that chooses a backend."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from docstore.backend import Backend
from docstore.backends.files.backend import FilesBackend
from docstore.backends.files.document_cache import CACHE_BYTES_MAX
from docstore.backends.files.publisher import History
from docstore.backends.memory import MemoryBackend
from docstore.document import CollectionLayout
from docstore.merging import merge_file
from docstore.store import DocumentStore
from docstore.timestamps import utc_now


def folder_of(url: str) -> Path:
    """Return the folder that a `file:///...` URL names. Raises `ValueError` for any other URL."""
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path:
        raise ValueError(f"{url!r} does not name a folder: write file:///path/to/data")
    return Path(unquote(parts.path))


def has_folder(url: str) -> bool:
    """Return whether the URL names a folder, or is no valid URL, and not a store without files."""
    return url != "memory:" and not is_database(url)


def is_database(url: str) -> bool:
    """Return whether the URL names a store in PostgreSQL."""
    return urlsplit(url).scheme in ("postgres", "postgresql")


def _in_postgres(
    url: str, layouts: Mapping[str, CollectionLayout], history: History | None, cache_bytes: int
) -> Backend:
    try:
        from docstore.backends.postgres import PostgresBackend
    except ImportError as error:
        raise ValueError(
            "a store in PostgreSQL needs psycopg: install NeuralFlow with the extra postgres"
        ) from error
    days = (history or History()).days
    retained = None if days < 0 else max(math.ceil(days), 1)
    return PostgresBackend(url, layouts, cache_bytes=cache_bytes, days_kept=retained)


def open_store(
    url: str,
    collections: Iterable[CollectionLayout],
    *,
    clock: Callable[[], datetime] = utc_now,
    history: History | None = None,
    cache_bytes: int = CACHE_BYTES_MAX,
) -> DocumentStore:
    """Open `file:///path/to/data`, `postgres://host/database` or `memory:`.

    Opening a folder finishes what a dead writer began. A database needs the extra `postgres`.

    `history` bounds how long the journal of a folder is retained, by default 30 days and 1 GiB.
    `cache_bytes` bounds the files whose parsed documents are cached. Raises `ValueError` for an
    unknown URL, and `Unavailable` if the folder cannot be used.

    Manual edits of files are merged by the engine's rules, which know no fields;
    `DocumentStore.merge_files_with` sets others.
    """
    layouts = {layout.name: layout for layout in collections}
    if url == "memory:":
        return DocumentStore(MemoryBackend(layouts), layouts, clock)
    if is_database(url):
        return DocumentStore(_in_postgres(url, layouts, history, cache_bytes), layouts, clock)
    backend = FilesBackend(folder_of(url), layouts, history=history, cache_bytes=cache_bytes)
    store = DocumentStore(backend, layouts, clock)
    store.merge_files_with(merge_file)
    return store
