"""The integrity check: reads everything, reports, changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from docstore.backend import Backend, Finding
from docstore.codec import decode
from docstore.document import LAST_ID, REVISION, CollectionLayout, Document, Key
from docstore.errors import Corrupt, Unavailable
from docstore.positions import Path, Places
from docstore.store import id_of


def verify(backend: Backend, layouts: Mapping[str, CollectionLayout]) -> Iterator[Finding]:
    """What is wrong with the folders, and with each document as such. See `verify_document`."""
    yield from backend.check()
    for collection in layouts:
        for key in backend.keys(collection):
            yield from verify_document(backend, key, layouts[collection])


def verify_document(backend: Backend, key: Key, layout: CollectionLayout) -> Iterator[Finding]:
    """Whether a document reads, counts its changes, and gives each record an id of its own."""
    name = backend.name(key)
    try:
        data = backend.raw(key)
        document = decode(data, name, layout) if data is not None else None
    except Corrupt as fault:
        yield Finding(name, fault.reason, fault.line, fault.column)
        return
    except Unavailable as fault:
        yield Finding(name, fault.reason)
        return
    if data is None or document is None:
        return
    problems = list(_problems(document, layout))
    places = Places(data) if problems else None
    for path, problem in problems:
        line, column = places.of(path) if places else (0, 0)
        yield Finding(name, problem, line, column)


def _problems(document: Document, layout: CollectionLayout) -> Iterator[tuple[Path, str]]:
    for name in (REVISION, LAST_ID):
        value = document.content.get(name, 1)
        if type(value) is not int or value < 0:
            yield (name,), f'"{name}" must be a whole number, 0 or more'
    seen: dict[int, int] = {}
    for index, item in enumerate(document.content.get(layout.records) or []):
        record_id = id_of(item)
        if not isinstance(item, dict):
            yield (layout.records, index), "a record must be an object: { ... }"
        elif record_id in seen:
            yield (layout.records, index, "id"), f"the id {record_id} is taken by an earlier record"
        elif record_id:
            seen[record_id] = index
    last = document.content.get(LAST_ID)
    if type(last) is int and seen and max(seen) > last >= 0:
        yield (LAST_ID,), f'"{LAST_ID}" is below the highest id, {max(seen)}'
