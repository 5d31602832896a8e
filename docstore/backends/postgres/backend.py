"""The backend on PostgreSQL: many app servers, which hold no state, on one store.

A commit is one call of the function in `schema.py`: one round trip, all or nothing. A read asks for
the document's version, and fetches what is newer than the cache: see `reading.py`.

If the connection is lost during a commit, its end is unknown. It is sent again, with the same
commit id and the same expected versions, so it cannot be applied twice. If that ends in a conflict,
the commit id is looked up: the first attempt may have been the other writer.

A commit that met a conflict takes the documents' locks first when its edit runs again, so that busy
documents make progress. All commits take these locks for a moment.
"""

from __future__ import annotations

import io
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import psycopg
from psycopg import errors

from docstore.backend import (
    ABSENT,
    ENTRIES_BYTES,
    Change,
    Commit,
    Copy,
    Entries,
    Entry,
    Stored,
)
from docstore.backends.postgres import schema
from docstore.backends.postgres.cache import CACHE_BYTES_MAX, DocumentCache, State
from docstore.backends.postgres.connections import (
    PATIENCE_SECONDS,
    Connection,
    Connections,
    Deadline,
    address_of,
    is_transient,
    store_error,
    was_rolled_back,
)
from docstore.backends.postgres.history import History, Usage
from docstore.backends.postgres.partitions import DAYS_KEPT, Partitions
from docstore.backends.postgres.reading import Reader
from docstore.backends.postgres.rows import Rows, join, rows_of
from docstore.backends.without_files import WithoutFiles
from docstore.codec import encode
from docstore.document import CollectionLayout, Document, Key
from docstore.errors import Conflict, StoreError, TooLarge, Unavailable
from docstore.journal.entries import encode_entry
from docstore.observer import Observer

log = logging.getLogger(__name__)

Result = TypeVar("Result")

DOCUMENT_BYTES_MAX: Final = 256 * 1024 * 1024
UPKEEP_SECONDS: Final = 3_600.0
_FIRST_UPKEEP_SECONDS: Final = 300.0
_KEYS_BATCH: Final = 10_000
_COMMIT: Final = """
SELECT number, bases, next_places, drops FROM {schema}.commit_1(
    %s, %s, %s, %s::text[], %s::bigint[], %s::boolean[], %s::text[], %s::bigint[], %s::bigint[],
    %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::boolean[],
    %s::integer[], %s::integer[], %s::integer[], %s::integer[], %s::bigint[], %s::text[])
"""
_FIND_COMMIT: Final = """
SELECT number FROM {schema}.entry WHERE commit_id = %s
"""
_SIZE: Final = """
SELECT bytes FROM {schema}.document WHERE collection = %s AND owner = %s AND head IS NOT NULL
"""
_KEYS: Final = """
SELECT owner FROM {schema}.document
WHERE collection = %s AND owner > %s AND head IS NOT NULL ORDER BY owner LIMIT %s
"""
# Others wait for the locks: a process that hangs, or a machine that is gone, must lose them.
_BEGIN_TURN: Final = """
BEGIN; SET LOCAL lock_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = '15s'
"""
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))"


class _Turn(threading.local):
    """This thread's work under `together`: its connection, if it holds locks of documents.

    `reads` are the documents that the edit read so far, with their versions. If `is_optimistic`,
    they come from the cache without asking the database: the commit compares their versions. An
    edit that ended without a commit after such a guess runs again, and asks.
    """

    depth = 0
    connection: Connection | None = None
    is_optimistic = has_guessed = has_committed = False

    def __init__(self) -> None:
        self.reads: dict[Key, int | None] = {}

    def begin(self, *, optimistic: bool) -> None:
        self.is_optimistic, self.has_guessed, self.has_committed = optimistic, False, False
        self.reads.clear()


class _Applied(NamedTuple):
    """The result of a commit: its number, and what each document's row has for readers."""

    number: int
    bases: Sequence[int]
    next_places: Sequence[int]
    drops: Sequence[int]


class PostgresBackend(WithoutFiles):
    """Documents in the tables of one schema. Opening it creates what is missing there."""

    def __init__(
        self,
        url: str,
        layouts: Mapping[str, CollectionLayout],
        *,
        cache_bytes: int = CACHE_BYTES_MAX,
        days_kept: int | None = DAYS_KEPT,
        patience: float = PATIENCE_SECONDS,
        opens_copies: bool = False,
    ) -> None:
        address = address_of(url)
        self._layouts = layouts
        self.schema_name = address.schema
        self._connections = Connections(address, patience)
        self._cache = DocumentCache(cache_bytes)
        self._reader = Reader(address.schema, layouts, self._cache, self.name)
        self._history = History(address.schema)
        self._usage = Usage()
        self.partitions = Partitions(address.schema, days_kept)
        self._turn = _Turn()
        self._misfits: frozenset[Key] = frozenset()
        self._commit_sql = _COMMIT.format(schema=address.schema)
        self._opens_copies = opens_copies  # also those that are not finished
        self._upkeep_at = time.monotonic() + _FIRST_UPKEEP_SECONDS
        self._is_prepared = False
        self._preparing = threading.Lock()

    def __repr__(self) -> str:
        return f"<PostgresBackend {self._connections!r}>"

    # Opening and closing

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """Run read-only work: on the connection of this thread's turn, or on any."""
        self._prepare()
        held = self._turn.connection
        if held is not None:
            try:
                return work(held)
            except psycopg.Error as error:
                if not is_transient(error):
                    raise store_error(error) from error
                self._end_turn()  # the locks are lost; correctness does not depend on them
        return self._connections.run(work)

    def _prepare(self) -> None:
        """Create tables, function and partitions that are missing, once per process."""
        if self._is_prepared:
            return
        with self._preparing:
            if not self._is_prepared:
                self._connections.run(self._create)
                self._is_prepared = True

    def _create(self, connection: Connection) -> None:
        format_row = self._format(connection)
        if format_row is None:
            self._create_tables(connection)
            format_row = self._format(connection)
        if format_row is None or format_row[0] > schema.FORMAT:
            found = format_row[0] if format_row else "none"
            raise Unavailable(
                f"the store in the database has format {found}, and this version of NeuralFlow"
                f" reads format {schema.FORMAT}: install a newer one",
                60,
            )
        if format_row[2] and not self._opens_copies:
            raise Unavailable(
                "a copy into this store was not finished: run manage.py store_copy again", 60
            )
        if format_row[1]:
            self._execute(connection, schema.MOVE_STORE)
        self.partitions.add(connection)

    def _format(self, connection: Connection) -> tuple[int, bool, bool] | None:
        try:
            query = (
                f"SELECT format, cluster <> {schema.CLUSTER}, copying <> '' FROM {{schema}}.store"
            )
            row = self._execute(connection, query).fetchone()
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            return None
        return None if row is None else (int(row[0]), bool(row[1]), bool(row[2]))

    def _create_tables(self, connection: Connection) -> None:
        with connection.transaction():
            connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('neuralflow create', 0))"
            )
            self._execute(connection, schema.TABLES)
            self._execute(connection, schema.COMMIT)
            connection.execute(
                schema.BEGIN_STORE.format(schema=self.schema_name, cluster=schema.CLUSTER),
                {"format": schema.FORMAT},
            )

    def _execute(self, connection: Connection, text: str) -> psycopg.Cursor[Any]:
        return connection.execute(
            text.replace("{schema}", self.schema_name).replace("{cluster}", schema.CLUSTER)
        )

    def close(self) -> None:
        self._end_turn()
        self._connections.close()
        self._cache.clear()
        self._is_prepared = False

    # Reading

    def read(self, key: Key) -> Stored:
        turn = self._turn
        state = self._cache.get(key) if turn.is_optimistic else None
        if state is not None:
            turn.has_guessed = True
        else:
            state = self.run(lambda connection: self._reader.read(connection, key))
        if turn.depth:
            turn.reads[key] = None if state is None else state.version
        return Stored(None, ABSENT) if state is None else Stored(state.document, state.version)

    def raw(self, key: Key) -> bytes | None:
        document = self.read(key).document
        return encode(document) if document else None

    def size(self, key: Key) -> int:
        query = _SIZE.format(schema=self.schema_name)
        row = self.run(lambda connection: connection.execute(query, key).fetchone())
        return int(row[0]) if row else 0

    def history_bytes(self, actor: str) -> int:
        return self._usage.get(actor, lambda: self.run(partial(self._history.bytes_of, actor)))

    def aside_bytes(self, owner: int) -> int:
        """Return 0: no file is set aside."""
        return 0

    @contextmanager
    def copies(self, keys: Sequence[Key]) -> Iterator[Mapping[Key, Copy]]:
        self._prepare()
        documents = self._connections.run(lambda c: self._read_together(c, keys))
        yield {
            key: Copy(io.BytesIO(encode(document)), document) for key, document in documents.items()
        }

    def _read_together(self, connection: Connection, keys: Sequence[Key]) -> dict[Key, Document]:
        """Return the documents that exist, all from one snapshot."""
        documents = {}
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            for key in keys:
                state = self._reader.read(connection, key)
                if state is not None:
                    documents[key] = state.document
        return documents

    def name(self, key: Key) -> str:
        layout = self._layouts[key.collection]
        return f"{layout.name}/{layout.stem}_{key.owner}.json"

    def keys(self, collection: str) -> Iterator[Key]:
        query, last = _KEYS.format(schema=self.schema_name), -1
        while True:
            rows = self.run(partial(_fetch, query, (collection, last, _KEYS_BATCH)))
            for (owner,) in rows:
                yield Key(collection, owner)
                last = owner
            if len(rows) < _KEYS_BATCH:
                return

    # Writing

    def exclusive(self) -> AbstractContextManager[object]:
        """Do nothing: writers of different documents need not wait for each other."""
        return nullcontext()

    def together(self, work: Callable[[], Result], *, here: bool = False) -> Result:
        """Run `work`. After a conflict in it, its further attempts hold the documents' locks."""
        turn = self._turn
        if turn.depth:
            return work()
        turn.depth = 1
        try:
            turn.begin(optimistic=True)
            try:
                result = work()
            except Exception:
                if turn.has_committed or not turn.has_guessed:
                    raise
            else:
                if turn.has_committed or not turn.has_guessed:
                    return result
            turn.begin(optimistic=False)
            return work()
        finally:
            turn.depth = 0
            turn.begin(optimistic=False)
            self._end_turn()

    def _begin_turn(self, keys: Sequence[Key]) -> None:
        """Take the locks of these documents, in their order, and retain the connection."""
        self._end_turn()
        if not self._turn.depth:
            return
        connection = self._connections.take()
        try:
            connection.execute(_BEGIN_TURN)
            for key in sorted(keys):
                connection.execute(_LOCK, key)
        except BaseException:
            self._connections.give_back(connection, broken=True)
            raise
        self._turn.connection = connection

    def _end_turn(self) -> None:
        """Release the locks that this thread holds."""
        connection, self._turn.connection = self._turn.connection, None
        if connection is None:
            return
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:
            self._connections.give_back(connection, broken=True)
        else:
            self._connections.give_back(connection)

    def commit(self, commit: Commit) -> int:
        self._prepare()
        changes = sorted(commit.changes, key=lambda change: change.key)
        rows = [rows_of(change, self._layouts[change.key.collection]) for change in changes]
        self._refuse_too_large(changes, rows)
        payload = encode_entry(commit).decode()
        turn = self._turn
        keys = {change.key for change in changes}
        reads = {key: version for key, version in turn.reads.items() if key not in keys}
        try:
            applied = self._apply(changes, rows, reads, commit.actor, payload)
        except Conflict:
            turn.begin(optimistic=False)
            self._after_conflict([*keys, *reads])
            raise
        turn.reads.clear()
        turn.has_committed = True
        if self._misfits:
            self._misfits = self._misfits.difference(change.key for change in changes)
        self._begin_upkeep_if_due()
        for index, change in enumerate(changes):
            self._take_in(change, rows[index], applied, index)
        return applied.number

    def _after_conflict(self, keys: Sequence[Key]) -> None:
        try:
            self._begin_turn(keys)
        except psycopg.Error as error:
            log.info("cannot lock documents: %s", " ".join(str(error).split()))

    def _apply(
        self,
        changes: Sequence[Change],
        rows: Sequence[Rows],
        reads: Mapping[Key, int | None],
        actor: str,
        payload: str,
    ) -> _Applied:
        """Apply the commit once, however often it must be sent."""
        commit_id = uuid.uuid4()
        begin = (commit_id, actor, payload, *_locks(changes, reads))
        arguments = (*begin, *_arguments(changes, rows))
        deadline, is_ambiguous = Deadline(self._connections.patience), False
        while True:
            try:
                return self._send(arguments, deadline)
            except psycopg.Error as error:
                code = error.sqlstate
                if code == schema.CONFLICT or isinstance(error, errors.UniqueViolation):
                    applied = self._found(commit_id, changes, deadline) if is_ambiguous else None
                    if applied is not None:
                        return applied
                    raise Conflict("a document was changed meanwhile") from None
                if code == schema.MISFIT and not all(row.rewrites for row in rows):
                    self._refuse_misfit([change.key for change in changes])
                    rows = [_rewritten(change, self._layouts) for change in changes]
                    arguments = (*begin, *_arguments(changes, rows))
                    continue
                if isinstance(error, errors.CheckViolation):  # no partition for today
                    self._connections.run(self.partitions.add)
                    continue
                if not is_transient(error):
                    raise store_error(error) from error
                is_ambiguous = is_ambiguous or not was_rolled_back(error)
                if deadline.left <= 0:
                    return self._settle(commit_id, changes, deadline, error)
                deadline.pause()

    def _refuse_misfit(self, keys: Sequence[Key]) -> None:
        """Raise `Conflict` if the rows do not fit the change for the first time.

        The edit then runs again on what is stored, and not on what is cached. If the rows still do
        not fit, ids are repeated in the document, and it is written as a whole.
        """
        is_known = self._misfits.issuperset(keys)
        for key in keys:
            self._cache.discard(key)
        if not is_known:
            self._misfits = self._misfits | set(keys)
            raise Conflict("the document is read again")

    def _send(self, arguments: Sequence[object], deadline: Deadline) -> _Applied:
        held, self._turn.connection = self._turn.connection, None
        if held is None:
            with self._connections.connection(deadline) as connection:
                return self._call(connection, arguments)
        try:
            applied = self._call(held, arguments)
            held.execute("COMMIT")
        except BaseException:
            self._connections.give_back(held, broken=True)
            raise
        self._connections.give_back(held)
        return applied

    def _call(self, connection: Connection, arguments: Sequence[object]) -> _Applied:
        row = connection.execute(self._commit_sql, arguments).fetchone()
        assert row is not None
        return _Applied(*row)

    def _found(
        self, commit_id: uuid.UUID, changes: Sequence[Change], deadline: Deadline
    ) -> _Applied | None:
        """Return the result of the commit if an earlier attempt applied it."""
        query = _FIND_COMMIT.format(schema=self.schema_name)
        row = self._connections.run(lambda c: c.execute(query, (commit_id,)).fetchone())
        if row is None:
            return None
        for change in changes:
            self._cache.discard(change.key)
        return _Applied(int(row[0]), (), (), ())

    def _settle(
        self,
        commit_id: uuid.UUID,
        changes: Sequence[Change],
        deadline: Deadline,
        error: psycopg.Error,
    ) -> _Applied:
        """Look a last time whether the commit was applied; raise `Unavailable` if not."""
        applied = self._found(commit_id, changes, deadline)
        if applied is not None:
            return applied
        raise store_error(error) from error

    def _take_in(self, change: Change, rows: Rows, applied: _Applied, index: int) -> None:
        """Put the document after the commit into the cache."""
        if change.after is None or not applied.bases:
            self._cache.discard(change.key)
            return
        layout = self._layouts[change.key.collection]
        records = change.after.list_of(layout.records)
        document = join(dict(change.after.content), records, layout)
        before = None if rows.rewrites else self._cache.get(change.key)
        size = rows.size + (before.size if before is not None else len(rows.head or ""))
        state = State(
            applied.number,
            applied.bases[index],
            applied.next_places[index],
            applied.drops[index],
            document,
            size,
        )
        self._cache.put(change.key, state)

    def _refuse_too_large(self, changes: Sequence[Change], rows: Sequence[Rows]) -> None:
        """Raise `TooLarge` for a document beyond the limit, unless the change makes it smaller."""
        for change, row in zip(changes, rows, strict=True):
            state = self._cache.get(change.key)
            before = state.size if state is not None else 0
            size = row.size + (0 if row.rewrites else before)
            if size > max(DOCUMENT_BYTES_MAX, before):
                raise TooLarge(
                    f"{self.name(change.key)} would have {size} bytes; {DOCUMENT_BYTES_MAX} is most"
                )

    # History

    def sequence(self) -> int:
        return self.run(self._history.sequence)

    def entry(self, number: int) -> Entry | None:
        return self.run(lambda connection: self._history.entry(connection, number))

    def entries(
        self, since: int, wanted: Callable[[Key], bool], bytes_max: int = ENTRIES_BYTES
    ) -> Entries:
        return self.run(
            lambda connection: self._history.entries(connection, since, wanted, bytes_max)
        )

    def payloads(self, since: int) -> Iterator[tuple[int, bytes]]:
        """Yield the encoded entries after `since`: see `store_copy.Source`."""
        while rows := self.run(partial(self._history.payloads, since)):
            for since, payload in rows:
                yield since, payload.encode()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Block the writers of all servers during the block. They wait up to their patience."""
        self._prepare()
        connection = self._connections.take()
        try:
            with connection.transaction():
                self._execute(connection, "LOCK TABLE {schema}.document IN EXCLUSIVE MODE")
                yield
        finally:
            self._connections.give_back(connection)

    def _begin_upkeep_if_due(self) -> None:
        """Start upkeep on a thread of its own, once an hour while there are commits."""
        now = time.monotonic()
        if now < self._upkeep_at:
            return
        self._upkeep_at = now + UPKEEP_SECONDS
        threading.Thread(
            target=self._upkeep_in_background, name="store-upkeep", daemon=True
        ).start()

    def _upkeep_in_background(self) -> None:
        try:
            self.upkeep()
        except StoreError as fault:
            log.warning("upkeep of the store will be tried again: %s", fault)

    def upkeep(self) -> bool:
        """Drop old history and purge tombstones; return False if another server is at it."""
        return self.run(self.partitions.upkeep)

    # Shared by all servers, beside the documents

    def note(self, name: str) -> str | None:
        query = f"SELECT content FROM {self.schema_name}.note WHERE name = %s"
        row = self.run(lambda connection: connection.execute(query, (name,)).fetchone())
        return None if row is None else str(row[0])

    def set_note(self, name: str, content: str) -> None:
        query = (
            f"INSERT INTO {self.schema_name}.note VALUES (%s, %s)"
            " ON CONFLICT (name) DO UPDATE SET content = excluded.content"
        )
        self.run(lambda connection: connection.execute(query, (name, content)))

    @contextmanager
    def only_one(self, name: str) -> Iterator[bool]:
        # In a transaction without a transaction id: it holds nothing back, and pgbouncer in
        # transaction mode retains the connection for it.
        self._prepare()
        connection = self._connections.take()
        try:
            with connection.transaction():
                key = f"{self.schema_name} {name}"
                query = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 1))"
                yield connection.execute(query, (key,)).fetchone() == (True,)
        finally:
            self._connections.give_back(connection, broken=connection.broken)

    def observe(self, observer: Observer) -> None:
        self._reader.observer = observer


def _fetch(query: str, arguments: Sequence[object], connection: Connection) -> list[Any]:
    return connection.execute(query, arguments).fetchall()


def _rewritten(change: Change, layouts: Mapping[str, CollectionLayout]) -> Rows:
    layout = layouts[change.key.collection]
    return rows_of(change._replace(expect=ABSENT), layout)


def _locks(changes: Sequence[Change], reads: Mapping[Key, int | None]) -> tuple[list[object], ...]:
    """Return the arguments of `commit_1` for its locks, and for the documents that were read."""
    locks = {change.key: False for change in changes} | dict.fromkeys(reads, True)
    keys = sorted(locks)
    return (
        [key.collection for key in keys],
        [key.owner for key in keys],
        [locks[key] for key in keys],
        [key.collection for key in reads],
        [key.owner for key in reads],
        list(reads.values()),
    )


def _arguments(changes: Sequence[Change], rows: Sequence[Rows]) -> tuple[object, ...]:
    """Return the arguments of `commit_1` for the changed documents."""
    ids: list[int | None] = []
    bodies: list[str | None] = []
    for row in rows:
        for record_id in row.removed:
            ids.append(record_id)
            bodies.append(None)
        for record_id_, body in (*row.changed, *row.appended):
            ids.append(record_id_)
            bodies.append(body)
    return (
        [change.key.collection for change in changes],
        [change.key.owner for change in changes],
        [None if change.expect is ABSENT else change.expect for change in changes],
        [row.head for row in rows],
        [row.size for row in rows],
        [row.rewrites for row in rows],
        [row.cut for row in rows],
        [len(row.removed) for row in rows],
        [len(row.changed) for row in rows],
        [len(row.appended) for row in rows],
        ids,
        bodies,
    )
