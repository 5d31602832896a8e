"""Loading a copy of another store into PostgreSQL: see `docstore/store_copy.py`.

Documents and entries are written directly, with the numbers of the source. While `copying` names a
source, no server opens the store.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from functools import partial
from typing import Any, Final

import msgspec

from docstore.backends.postgres.backend import PostgresBackend
from docstore.backends.postgres.connections import Connection
from docstore.backends.postgres.rows import row_of, split
from docstore.codec import digest_of
from docstore.document import CollectionLayout, Document, Key
from docstore.errors import Unavailable

_BATCH: Final = 1_000
_STATE: Final = """
SELECT copying, copied_from, copied_through,
    coalesce((SELECT max(number) FROM {schema}.entry), 0), history_floor,
    EXISTS (SELECT 1 FROM {schema}.document)
FROM {schema}.store
"""
_LOAD: Final = """
INSERT INTO {schema}.document
VALUES (%(collection)s, %(owner)s, %(number)s, %(number)s, %(count)s, 0, %(bytes)s, %(head)s)
ON CONFLICT (collection, owner) DO UPDATE
SET version = excluded.version, base = excluded.base, next_place = excluded.next_place,
    dropped = 0, bytes = excluded.bytes, head = excluded.head
"""
_CLEAR: Final = "DELETE FROM {schema}.record WHERE collection = %s AND owner = %s"
_REMOVE: Final = "DELETE FROM {schema}.document WHERE collection = %s AND owner = %s"
_RECORDS: Final = """
COPY {schema}.record (collection, owner, place, id, version, body) FROM STDIN
"""
_ENTRIES: Final = """
INSERT INTO {schema}.entry (number, made, commit_id, actor, bytes, payload)
SELECT * FROM unnest(%s::bigint[], %s::date[], %s::uuid[], %s::text[], %s::integer[], %s::text[])
ON CONFLICT DO NOTHING
"""
_RAISE_FLOOR: Final = """
UPDATE {schema}.store SET history_floor = greatest(history_floor, %s)
"""
_FINISH: Final = """
UPDATE {schema}.store
SET copying = '', copied_through = %(through)s,
    number_offset = greatest(
        number_offset, %(through)s + 1 - pg_current_xact_id()::text::bigint
    )
"""


class _Entry(msgspec.Struct):
    at: str = ""
    actor: str = ""


_decode: Final = msgspec.json.Decoder(_Entry).decode


class PostgresLoader:
    """Loads a copy into the tables of one schema, which must be empty or an unchanged copy."""

    def __init__(self, url: str, layouts: Mapping[str, CollectionLayout]) -> None:
        self._layouts = layouts
        self._backend = PostgresBackend(url, layouts, cache_bytes=0, opens_copies=True)

    def begin(self, source: str) -> int:
        self._backend.sequence()  # creates the tables
        row = self._one(_STATE)
        copying, copied_from, through, newest, floor, has_documents = row
        if source != (copying or copied_from) and (has_documents or newest):
            raise Unavailable(f"{self._backend!r} is not empty: name another database or schema")
        if not copying and newest > through:
            raise Unavailable(f"{self._backend!r} was changed since it was copied")
        self._execute("UPDATE {schema}.store SET copying = %s, copied_from = %s", source, source)
        return int(max(newest, floor))

    def digests(self, collection: str) -> Iterator[tuple[Key, str]]:
        for key in self._backend.keys(collection):
            document = self._backend.read(key).document
            if document is not None:
                yield key, digest_of(document)

    def load(self, key: Key, document: Document, number: int) -> None:
        head, records = split(document, self._layouts[key.collection])
        rows = [row_of(item) for item in records]
        size = len(head.encode()) + sum(len(body.encode()) for _, body in rows)
        values = {"number": number, "count": len(rows), "bytes": size, "head": head}

        def work(connection: Connection) -> None:
            with connection.transaction():
                self._do(connection, _CLEAR, key)
                self._do(connection, _LOAD, values | key._asdict())
                with connection.cursor().copy(_RECORDS.format(schema=self._schema)) as copy:
                    for place, (record_id, body) in enumerate(rows):
                        copy.write_row((*key, place, record_id, number, body))

        self._backend.run(work)

    def remove(self, key: Key) -> None:
        def work(connection: Connection) -> None:
            with connection.transaction():
                self._do(connection, _CLEAR, key)
                self._do(connection, _REMOVE, key)

        self._backend.run(work)

    def load_history(self, floor: int, payloads: Iterable[tuple[int, bytes]]) -> int:
        self._execute(_RAISE_FLOOR, floor)
        today = date.fromisoformat(str(self._one("SELECT (now() AT TIME ZONE 'UTC')::date")[0]))
        count, batch, days = 0, list[tuple[Any, ...]](), set[date]()
        for number, payload in payloads:
            count += 1
            if not payload:
                self._forget(number)
                batch = []
                continue
            entry = _decode(payload)
            made = min(_day(entry.at, today), today)
            if made not in days:
                self._backend.run(partial(self._backend.partitions.add_day, day=made))
                days.add(made)
            name = uuid.uuid5(uuid.NAMESPACE_OID, f"entry {number}")
            batch.append((number, made, name, entry.actor, len(payload), payload.decode()))
            if len(batch) >= _BATCH:
                self._execute(_ENTRIES, *map(list, zip(*batch, strict=True)))
                batch = []
        if batch:
            self._execute(_ENTRIES, *map(list, zip(*batch, strict=True)))
        return count

    def _forget(self, number: int) -> None:
        """Forget everything up to a commit whose content is no longer stored."""
        self._execute(_RAISE_FLOOR, number)
        self._execute("DELETE FROM {schema}.entry WHERE number <= %s", number)

    def finish(self, through: int) -> None:
        def work(connection: Connection) -> None:
            self._do(connection, _FINISH, {"through": through})

        self._backend.run(work)

    def close(self) -> None:
        self._backend.close()

    @property
    def _schema(self) -> str:
        return self._backend.schema_name

    def _do(self, connection: Connection, query: str, arguments: Any) -> None:
        connection.execute(query.format(schema=self._schema), arguments)

    def _execute(self, query: str, *arguments: object) -> None:
        self._backend.run(lambda connection: self._do(connection, query, arguments))

    def _one(self, query: str) -> tuple[Any, ...]:
        text = query.format(schema=self._schema)
        row = self._backend.run(lambda connection: connection.execute(text).fetchone())
        assert row is not None
        return tuple(row)


def _day(at: str, today: date) -> date:
    """Return the day of an entry; today if its time is not readable, or is before 2000."""
    try:
        day = date.fromisoformat(at[:10])
    except ValueError:
        return today
    return day if day.year >= 2000 else today - timedelta(days=1)
