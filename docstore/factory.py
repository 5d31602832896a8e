"""Opening a store from a URL: the only module that chooses a backend."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

from docstore.backend import Backend
from docstore.backends.files.backend import FilesBackend
from docstore.backends.files.document_cache import CACHE_BYTES_MAX
from docstore.backends.files.loading import FolderLoader
from docstore.backends.files.publisher import History
from docstore.backends.memory import MemoryBackend
from docstore.document import CollectionLayout
from docstore.merging import merge_file
from docstore.store import DocumentStore
from docstore.store_copy import Copied, Loader, Progress, Source, copy_store
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


def _postgres() -> ModuleType:
    try:
        return import_module("docstore.backends.postgres")
    except ImportError as error:
        raise ValueError(
            "a store in PostgreSQL needs psycopg: install NeuralFlow with the extra postgres"
        ) from error


def _in_postgres(
    url: str, layouts: Mapping[str, CollectionLayout], history: History | None, cache_bytes: int
) -> Backend:
    days = (history or History()).days
    retained = None if days < 0 else max(math.ceil(days), 1)
    backend: Backend = _postgres().PostgresBackend(
        url, layouts, cache_bytes=cache_bytes, days_kept=retained
    )
    return backend


def open_source(url: str, layouts: Mapping[str, CollectionLayout]) -> Source:
    """Open a store on files or in PostgreSQL to copy it. Raises `ValueError`, `Unavailable`."""
    if is_database(url):
        source: Source = _postgres().PostgresBackend(url, layouts)
        return source
    return FilesBackend(folder_of(url), layouts)


def open_loader(url: str, layouts: Mapping[str, CollectionLayout]) -> Loader:
    """Open the target of a copy. Raises `ValueError`, `Unavailable`."""
    if is_database(url):
        loader: Loader = _postgres().PostgresLoader(url, layouts)
        return loader
    return FolderLoader(folder_of(url), layouts)


def copy_url(
    source_url: str,
    target_url: str,
    collections: Iterable[CollectionLayout],
    progress: Progress = lambda done, total: None,
) -> Copied:
    """Copy a store into another one: see `docstore.store_copy`.

    Raises `ValueError` for a URL that is not understood, `Corrupt`, `Unavailable`.
    """
    layouts = {layout.name: layout for layout in collections}
    with ExitStack() as stack:
        source = open_source(source_url, layouts)
        stack.callback(source.close)
        target = open_loader(target_url, layouts)
        stack.callback(target.close)
        return copy_store(source, target, layouts, progress)


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
    backend = FilesBackend(
        folder_of(url), layouts, history=history, cache_bytes=cache_bytes, clock=clock
    )
    store = DocumentStore(backend, layouts, clock)
    store.merge_files_with(merge_file)
    return store
