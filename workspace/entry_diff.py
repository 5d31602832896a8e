"""The records that a journal entry changed, before and after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from docstore import ABSENT, EntryChange, id_of
from workspace.schema.collections import COLLECTIONS, Record


def records_of(change: EntryChange) -> dict[int, tuple[Record | None, Record | None]]:
    """Return each record that a change touched, before and after it. None means absent."""
    states_by_id: dict[int, tuple[Record | None, Record | None]] = {}
    for record_id, before, after in _steps(change):
        first = states_by_id[record_id][0] if record_id in states_by_id else before
        states_by_id[record_id] = first, after
    return {
        record_id: states
        for record_id, states in states_by_id.items()
        if states[0] is not None or states[1] is not None
    }


def _steps(change: EntryChange) -> Iterator[tuple[int, Record | None, Record | None]]:
    name = COLLECTIONS[change.key.collection].layout.records
    for path, before, after in change.edits:
        if not path or path == (name,):
            was, became = (
                _by_id(_list_of(value, name) if not path else value) for value in (before, after)
            )
            for record_id in was | became:
                old, new = was.get(record_id), became.get(record_id)
                if old != new:
                    yield record_id, old, new
        elif path[0] == name and isinstance(path[1], int):
            yield path[1], _record(before), _record(after)


def _list_of(content: Any, name: str) -> Any:
    return content.get(name) if isinstance(content, Mapping) else None


def _by_id(records: Any) -> dict[int, Record]:
    """Return the records of a list by id. Records of old files without an id are omitted."""
    listed: Iterable[Any] = records if isinstance(records, list) else ()
    by_id = ((id_of(record), record) for record in listed if isinstance(record, dict))
    return {record_id: record for record_id, record in by_id if record_id is not None}


def _record(value: Any) -> Record | None:
    return None if value is ABSENT else value
