"""Reading documents: the current version first, then only the rows that are newer than the cache.

Each statement reads one snapshot, so the parts of a document always belong together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from docstore.backends.postgres.cache import DocumentCache, State
from docstore.backends.postgres.connections import Connection
from docstore.backends.postgres.rows import join
from docstore.document import CollectionLayout, Document, Key
from docstore.errors import Corrupt
from docstore.observer import IGNORING, Observer
from docstore.record_list import RecordList

_VERSION: Final = """
SELECT version FROM {schema}.document
WHERE collection = %s AND owner = %s AND head IS NOT NULL
"""
_WHOLE: Final = """
SELECT d.version, d.base, d.next_place, d.dropped, d.bytes, d.head, (
    SELECT string_agg(r.body, ',' ORDER BY r.place) FROM {schema}.record AS r
    WHERE r.collection = d.collection AND r.owner = d.owner AND r.body IS NOT NULL
) FROM {schema}.document AS d WHERE d.collection = %s AND d.owner = %s AND d.head IS NOT NULL
"""
_NEWER: Final = """
WITH d AS MATERIALIZED (
    SELECT * FROM {schema}.document AS d
    WHERE d.collection = %(collection)s AND d.owner = %(owner)s AND d.head IS NOT NULL
)
SELECT NULL AS place, NULL AS id, d.head AS body, d.version, d.base, d.next_place, d.dropped,
    d.bytes FROM d
UNION ALL
SELECT r.place, r.id, r.body, NULL, NULL, NULL, NULL, NULL FROM d, {schema}.record AS r
WHERE d.base <= %(since)s AND r.collection = %(collection)s AND r.owner = %(owner)s
    AND r.version > %(since)s
ORDER BY place NULLS FIRST
"""


class Reader:
    """Reads documents through the cache of this process."""

    def __init__(
        self,
        schema: str,
        layouts: Mapping[str, CollectionLayout],
        cache: DocumentCache,
        name: Callable[[Key], str],
    ) -> None:
        self._layouts, self._cache, self._name = layouts, cache, name
        self.observer: Observer = IGNORING
        self._version = _VERSION.format(schema=schema)
        self._whole = _WHOLE.format(schema=schema)
        self._newer = _NEWER.format(schema=schema)

    def read(self, connection: Connection, key: Key) -> State | None:
        """Return the current state of a document; None if it does not exist. Raises `Corrupt`."""
        cached = self._cache.get(key)
        if cached is not None:
            row = connection.execute(self._version, key).fetchone()
            if row is None:
                return None
            if row[0] == cached.version:
                self.observer.on_read(is_cached=True)
                return cached
        self.observer.on_read(is_cached=False)
        state = self._advanced(connection, key, cached) if cached is not None else None
        if state is None:
            state = self._read_whole(connection, key)
        if state is not None:
            self._cache.put(key, state)
        return state

    def _read_whole(self, connection: Connection, key: Key) -> State | None:
        row = connection.execute(self._whole, key).fetchone()
        if row is None:
            return None
        version, base, next_place, dropped, size, head, bodies = row
        records = RecordList(self._decoded(f"[{bodies}]", key) if bodies else ())
        document = self._document(key, head, records)
        return State(version, base, next_place, dropped, document, size)

    def _advanced(self, connection: Connection, key: Key, cached: State) -> State | None:
        """Return the current state, made from a cached one; None if that is not possible."""
        arguments = {"collection": key.collection, "owner": key.owner, "since": cached.version}
        rows = connection.execute(self._newer, arguments).fetchall()
        if not rows:
            return None
        (_, _, head, version, base, next_place, dropped, size), *changed = rows
        if base > cached.version or dropped < cached.dropped:
            return None
        layout = self._layouts[key.collection]
        records = cached.document.list_of(layout.records)
        if dropped > cached.dropped:
            records = records.without_first(dropped - cached.dropped)
        try:
            for place, record_id, body, *_ in changed:
                records = self._changed(records, key, cached, place, record_id, body)
        except KeyError:  # two records have this id
            return None
        document = self._document(key, head, records)
        return State(version, base, next_place, dropped, document, size)

    def _changed(
        self,
        records: RecordList,
        key: Key,
        cached: State,
        place: int,
        record_id: int | None,
        body: str | None,
    ) -> RecordList:
        if place >= cached.next_place:
            return records if body is None else records.append(self._decoded(body, key))
        if record_id is None:
            raise KeyError(place)
        return (
            records.remove(record_id) if body is None else records.replace(self._decoded(body, key))
        )

    def _document(self, key: Key, head: str, records: RecordList) -> Document:
        fields = self._decoded(head, key)
        if not isinstance(fields, dict):
            raise Corrupt(self._name(key), "its head in the database is not a JSON object")
        return join(fields, records, self._layouts[key.collection])

    def _decoded(self, text: str, key: Key) -> Any:
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise Corrupt(self._name(key), f"its rows in the database: {error}") from None
