"""The history of a store in PostgreSQL: entries in the order of their numbers.

A number below the snapshot's xmin is final: no transaction that is still running can get a lower
one. So a follower never skips a commit. A long writing transaction anywhere in the cluster holds
the feed back; it holds back neither readers nor writers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from docstore.backend import Entries, Entry
from docstore.backends.postgres.connections import Connection
from docstore.document import Key
from docstore.errors import HistoryGone
from docstore.journal.entries import decode_payload, entry_of

COUNTED_SECONDS: Final = 300.0
_ACTORS_MAX: Final = 10_000
_BATCH: Final = 1_000
_BYTES_PER_ENTRY: Final = 500

_HORIZON: Final = """
(pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    + (SELECT number_offset FROM {schema}.store))
"""
_SEQUENCE: Final = """
SELECT greatest(
    (SELECT max(number) FROM {schema}.entry WHERE number < {horizon}),
    history_floor, copied_through
) FROM {schema}.store
"""
_BOUNDS: Final = """
SELECT history_floor,
    greatest((SELECT max(number) FROM {schema}.entry), history_floor, copied_through),
    greatest((SELECT max(number) FROM {schema}.entry WHERE number < {horizon}), history_floor,
             copied_through)
FROM {schema}.store
"""
_ENTRIES: Final = """
SELECT number, payload FROM {schema}.entry
WHERE number > %s AND number <= %s ORDER BY number LIMIT %s
"""
_ENTRY: Final = "SELECT payload FROM {schema}.entry WHERE number = %s"
_BYTES_OF: Final = "SELECT coalesce(sum(bytes), 0) FROM {schema}.entry WHERE actor = %s"
_FLOOR: Final = "SELECT history_floor FROM {schema}.store"


class History:
    """Reads the entries of a store."""

    def __init__(self, schema: str) -> None:
        horizon = _HORIZON.format(schema=schema)
        self._sequence = _SEQUENCE.format(schema=schema, horizon=horizon)
        self._bounds = _BOUNDS.format(schema=schema, horizon=horizon)
        self._entries = _ENTRIES.format(schema=schema)
        self._entry = _ENTRY.format(schema=schema)
        self._bytes_of = _BYTES_OF.format(schema=schema)
        self._floor = _FLOOR.format(schema=schema)

    def sequence(self, connection: Connection) -> int:
        """Return the number of the last entry that a follower may read."""
        row = connection.execute(self._sequence).fetchone()
        return int(row[0]) if row else 0

    def entry(self, connection: Connection, number: int) -> Entry | None:
        """Return the commit with this number, also one that followers may not read yet."""
        row = connection.execute(self._entry, (number,)).fetchone()
        if row is not None:
            return _decoded(number, row[0], lambda key: True)
        floor = connection.execute(self._floor).fetchone()
        if floor is not None and number <= floor[0]:
            raise HistoryGone(f"what change {number} did is no longer stored")
        return None

    def payloads(self, since: int, connection: Connection) -> list[tuple[int, str]]:
        """Return the first entries after a number, as they are stored."""
        final = self.sequence(connection)
        return connection.execute(self._entries, (since, final, _BATCH)).fetchall()

    def bytes_of(self, actor: str, connection: Connection) -> int:
        """Return the size of the retained commits of an actor."""
        row = connection.execute(self._bytes_of, (actor,)).fetchone()
        return int(row[0]) if row else 0

    def entries(
        self, connection: Connection, since: int, wanted: Callable[[Key], bool], bytes_max: int
    ) -> Entries:
        """Return the entries after `since`. See the port. Raises `HistoryGone`."""
        row = connection.execute(self._bounds).fetchone()
        floor, newest, final = row if row is not None else (0, 0, 0)
        if since < floor:
            raise HistoryGone(f"the history begins after {floor}, and {since} is before it")
        if since > newest:
            raise HistoryGone(f"{since} is not a number of this store, whose last is {newest}")
        entries, through = self._read(connection, since, final, wanted, bytes_max)
        row = connection.execute(self._floor).fetchone()
        if row is not None and since < row[0]:  # removed while it was read
            raise HistoryGone(f"what followed on {since} is no longer stored")
        return Entries(entries, through)

    def _read(
        self,
        connection: Connection,
        since: int,
        final: int,
        wanted: Callable[[Key], bool],
        bytes_max: int,
    ) -> tuple[tuple[Entry, ...], int]:
        entries: list[Entry] = []
        while since < final:
            batch = max(1, min(_BATCH, bytes_max // _BYTES_PER_ENTRY))
            rows = connection.execute(self._entries, (since, final, batch)).fetchall()
            for number, payload in rows:
                since = number
                entry = _decoded(number, payload, wanted)
                if entry is not None:
                    entries.append(entry)
                bytes_max -= len(payload)
                if bytes_max <= 0:
                    return tuple(entries), since
            if len(rows) < batch:
                break
        return tuple(entries), max(since, final)


class Usage:
    """The bytes of history by actor, counted again after some minutes. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counted: dict[str, tuple[float, int]] = {}

    def get(self, actor: str, count: Callable[[], int]) -> int:
        """Return the result of `count`, or its last one if that is recent."""
        now = self._clock()
        known = self._counted.get(actor)
        if known is None or known[0] + COUNTED_SECONDS < now:
            if len(self._counted) >= _ACTORS_MAX:
                self._counted = {}
            known = self._counted[actor] = now, count()
        return known[1]


def _decoded(number: int, payload: str, wanted: Callable[[Key], bool]) -> Entry | None:
    if '"changes":' not in payload:  # a store on files was restored, and then copied
        return Entry(number, decode_payload(payload.encode())["at"], "", "", (), restored=True)
    return entry_of(number, payload.encode(), wanted)
