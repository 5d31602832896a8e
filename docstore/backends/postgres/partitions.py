"""Retention: the history in one partition a day, and what no reader needs any more.

Dropping a partition costs the same for any number of entries, and leaves nothing to vacuum.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import psycopg
from psycopg import errors

from docstore.backends.postgres.connections import Connection

DAYS_AHEAD: Final = 3
DAYS_KEPT: Final = 30
# One of all servers at a time does upkeep; the number is arbitrary, but the same for all.
_UPKEEP: Final = "hashtextextended('neuralflow upkeep {schema}', 0)"
_TOMBSTONES: Final = 1_000

_ADD: Final = """
DO $$
BEGIN
    FOR ahead IN -1 .. {days} LOOP
        DECLARE
            day date := (now() AT TIME ZONE 'UTC')::date + ahead;
        BEGIN
            IF to_regclass(format('{schema}.entry_%s', to_char(day, 'YYYYMMDD'))) IS NULL THEN
                EXECUTE format(
                    'CREATE TABLE {schema}.entry_%s PARTITION OF {schema}.entry'
                    ' FOR VALUES FROM (%L) TO (%L)', to_char(day, 'YYYYMMDD'), day, day + 1);
            END IF;
        END;
    END LOOP;
END
$$
"""
_ADD_DAY: Final = """
CREATE TABLE IF NOT EXISTS {schema}.entry_{name} PARTITION OF {schema}.entry
FOR VALUES FROM ('{day}') TO (date '{day}' + 1)
"""
_OLD: Final = """
SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = '{schema}.entry'::regclass
    AND c.relname < to_char((now() AT TIME ZONE 'UTC')::date - %s::integer, '"entry_"YYYYMMDD')
ORDER BY c.relname
"""
_PURGE: Final = """
WITH old AS MATERIALIZED (
    SELECT collection, owner, place, version FROM {schema}.record
    WHERE body IS NULL AND version <= %(number)s
        AND (collection, owner) = (
            SELECT collection, owner FROM {schema}.record
            WHERE body IS NULL AND version <= %(number)s ORDER BY version LIMIT 1
        )
    LIMIT %(most)s
), locked AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtextextended(collection, owner)) AS is_locked
    FROM (SELECT DISTINCT collection, owner FROM old) AS document
), raised AS (
    UPDATE {schema}.document AS d
    SET base = greatest(d.base, least(%(number)s, d.version))
    FROM (SELECT DISTINCT collection, owner FROM old) AS document
    WHERE d.collection = document.collection AND d.owner = document.owner
        AND (SELECT is_locked FROM locked)
)
DELETE FROM {schema}.record AS r USING old
WHERE r.collection = old.collection AND r.owner = old.owner AND r.place = old.place
    AND r.body IS NULL AND (SELECT is_locked FROM locked)
"""
_DELETED: Final = """
DELETE FROM {schema}.document WHERE head IS NULL AND version <= %s
"""
_BEFORE_TODAY: Final = """
SELECT coalesce(max(number), (SELECT history_floor FROM {schema}.store)) FROM {schema}.entry
WHERE made < (now() AT TIME ZONE 'UTC')::date
    AND number < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
        + (SELECT number_offset FROM {schema}.store)
"""


class Partitions:
    """The partitions of a store's history, and its upkeep."""

    def __init__(self, schema: str, days_kept: int | None = DAYS_KEPT) -> None:
        self._schema, self._days_kept = schema, days_kept

    def add(self, connection: Connection) -> None:
        """Add the partitions of the next days that are missing."""
        with connection.transaction():
            self._execute(connection, f"SELECT pg_advisory_xact_lock({_UPKEEP})")
            connection.execute(_ADD.format(schema=self._schema, days=DAYS_AHEAD))

    def add_day(self, connection: Connection, day: date) -> None:
        """Add the partition of one day, if it is missing."""
        connection.execute(_ADD_DAY.format(schema=self._schema, name=f"{day:%Y%m%d}", day=day))

    def upkeep(self, connection: Connection) -> bool:
        """Drop old history and purge tombstones; return False if another server is at it."""
        with connection.transaction():
            taken = self._execute(connection, f"SELECT pg_try_advisory_xact_lock({_UPKEEP})")
            if taken.fetchone() != (True,):
                return False
            connection.execute(_ADD.format(schema=self._schema, days=DAYS_AHEAD))
            if self._days_kept is not None:
                self._drop_old(connection, self._days_kept)
        row = self._execute(connection, _BEFORE_TODAY).fetchone()
        self.purge(connection, int(row[0]) if row else 0)
        return True

    def _drop_old(self, connection: Connection, days: int) -> None:
        # Not behind a long reader: everybody who commits would wait behind this.
        connection.execute("SET LOCAL lock_timeout = '1s'")
        for (name,) in connection.execute(_OLD.format(schema=self._schema), (days,)).fetchall():
            try:
                with connection.transaction():
                    self._drop(connection, name)
            except errors.LockNotAvailable:
                return

    def _drop(self, connection: Connection, name: str) -> None:
        schema = self._schema
        connection.execute(
            f"UPDATE {schema}.store SET history_floor = greatest(history_floor,"
            f" (SELECT max(number) FROM {schema}.{name}))"
        )
        connection.execute(f"DROP TABLE {schema}.{name}")

    def purge(self, connection: Connection, number: int) -> None:
        """Remove the tombstones of commits up to this number, which must be final.

        Readers that may not know one of them read the document again as a whole.
        """
        purge = _PURGE.format(schema=self._schema)
        arguments = {"number": number, "most": _TOMBSTONES}
        while connection.execute(purge, arguments).rowcount > 0:
            pass
        connection.execute(_DELETED.format(schema=self._schema), (number,))

    def _execute(self, connection: Connection, text: str) -> psycopg.Cursor[Any]:
        return connection.execute(text.format(schema=self._schema))
