"""The integrity check: read everything, report problems, change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from docstore.backend import Backend, Finding
from docstore.codec import decode
from docstore.document import LAST_ID, REVISION, CollectionLayout, Document, Key
from docstore.errors import Corrupt, Unavailable
from docstore.json_positions import Path, Places
from docstore.record_list import COUNTED_ID_MAX, ID_MAX, id_of


def verify(backend: Backend, layouts: Mapping[str, CollectionLayout]) -> Iterator[Finding]:
    """Yield the problems of the folders and of each document. See `examine`."""
    yield from backend.check()
    for collection in layouts:
        for key in backend.keys(collection):
            yield from examine(backend, key, layouts[collection]).findings


@dataclass
class DocumentReport:
    """The result of checking a document; `document` is None if it is missing or unreadable.

    `data` is its stored bytes, None if there are none.
    """

    name: str
    data: bytes | None
    document: Document | None
    findings: list[Finding] = field(default_factory=list)

    def add(self, path: Path, problem: str) -> None:
        """Report a problem of the value at `path`, with its line and column."""
        self.findings.append(Finding(self.name, problem, *self._places.of(path)))

    @cached_property
    def _places(self) -> Places:
        return Places(self.data or b"")


def examine(backend: Backend, key: Key, layout: CollectionLayout) -> DocumentReport:
    """Check a document: that it reads, and that its counters, records and ids are valid.

    Ids must be unique and not too large. Records without an id are accepted.
    """
    name = backend.name(key)
    data = None
    try:
        data = backend.raw(key)
        document = decode(data, name, layout) if data is not None else None
        damage = backend.damage(key)
    except Corrupt as fault:
        return DocumentReport(
            name, data, None, [Finding(name, fault.reason, fault.line, fault.column)]
        )
    except Unavailable as fault:
        return DocumentReport(name, data, None, [Finding(name, fault.reason)])
    examined = DocumentReport(name, data, document)
    if damage is not None:
        examined.findings.append(Finding(name, damage.reason))
    for path, problem in _problems(document, layout) if document else ():
        examined.add(path, problem)
    return examined


def _problems(document: Document, layout: CollectionLayout) -> Iterator[tuple[Path, str]]:
    for name in (REVISION, LAST_ID):
        value = document.content.get(name, 1)
        if type(value) is not int or value < 0:
            yield (name,), f'"{name}" must be a whole number, 0 or more'
        elif value > (most := COUNTED_ID_MAX if name == LAST_ID else ID_MAX):
            yield (name,), f'"{name}" must be at most {most}'
    seen: dict[int, int] = {}
    for index, item in enumerate(document.content.get(layout.records) or []):
        record_id = id_of(item)
        if not isinstance(item, dict):
            yield (layout.records, index), "a record must be an object: { ... }"
        elif type(item.get("id")) is int and item["id"] > COUNTED_ID_MAX:
            yield (layout.records, index, "id"), f"the id must be at most {COUNTED_ID_MAX}"
        elif record_id in seen:
            yield (layout.records, index, "id"), f"the id {record_id} is taken by an earlier record"
        elif record_id:
            seen[record_id] = index
    last = document.content.get(LAST_ID)
    if type(last) is int and seen and max(seen) > last >= 0:
        yield (LAST_ID,), f'"{LAST_ID}" is below the highest id, {max(seen)}'
