"""Connections to PostgreSQL: a pool per process, bounded retries, and errors of the store.

A failover, a restart of the server or a lost connection ends with another attempt on another
connection, for up to `PATIENCE_SECONDS`; then the caller gets `Unavailable`. A forked child gets a
pool of its own: a connection that two processes share mixes up their answers.
"""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import errors
from psycopg_pool import ConnectionPool, PoolTimeout

from docstore.errors import OutOfSpace, StoreError, TooLarge, Unavailable

Connection = psycopg.Connection[Any]
Result = TypeVar("Result")

PATIENCE_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 0.05
PAUSE_MOST_SECONDS: Final = 1.0
POOL_MAX: Final = 16
SCHEMES: Final = ("postgres", "postgresql")
SCHEMA: Final = "neuralflow"
# A server that no longer answers is given up within seconds, and not after the kernel's two hours.
_DEFAULTS: Final = {
    "application_name": "neuralflow",
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "target_session_attrs": "read-write",
    "tcp_user_timeout": "10000",
}


class Address(NamedTuple):
    """A store's address: how to connect, and the schema with its tables.

    Without `prepares`, no prepared statements are used: pgbouncer before 1.21 loses them.
    """

    conninfo: str
    schema: str = SCHEMA
    pool_max: int = POOL_MAX
    prepares: bool = True


def address_of(url: str) -> Address:
    """Return the address in a URL: what libpq understands, with `schema`, `pool` and `prepare`.

    Raises `ValueError`.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or len(parts.path) < 2:
        raise ValueError(
            "the address of a store in PostgreSQL is postgres://user:password@host:5432/database"
        )
    options = _DEFAULTS | dict(parse_qsl(parts.query, keep_blank_values=True))
    schema = options.pop("schema", SCHEMA)
    if not (schema.isascii() and schema.isidentifier() and schema == schema.lower()):
        raise ValueError("schema= must have lower-case letters, digits and underscores only")
    pool_max = options.pop("pool", str(POOL_MAX))
    if not pool_max.isdecimal() or not 1 <= int(pool_max) <= 1_000:
        raise ValueError("pool= must be a number of connections from 1 to 1000")
    prepares = options.pop("prepare", "yes") != "no"
    conninfo = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(options), ""))
    try:
        psycopg.conninfo.conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError as error:
        raise ValueError(f"the address of the database is not understood: {error}") from None
    return Address(conninfo, schema, int(pool_max), prepares)


def is_transient(error: BaseException) -> bool:
    """Return whether another attempt, perhaps on another connection, may succeed."""
    if isinstance(error, errors.DiskFull):
        return False
    if isinstance(error, errors.ReadOnlySqlTransaction):  # a primary that became a standby
        return True
    if isinstance(error, errors.InvalidPassword | errors.InvalidCatalogName):
        return False
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


def was_rolled_back(error: BaseException) -> bool:
    """Return whether the transaction that failed was certainly rolled back."""
    return isinstance(
        error,
        errors.SerializationFailure | errors.DeadlockDetected | errors.ReadOnlySqlTransaction,
    )


def store_error(error: Exception) -> StoreError:
    """Return the store's error for an error of the database."""
    if isinstance(error, errors.DiskFull):
        return OutOfSpace("the database's disk is full", retry_after=30)
    if isinstance(error, errors.ProgramLimitExceeded):
        return TooLarge("the document would be larger than the database accepts")
    if isinstance(error, PoolTimeout):
        return Unavailable("the database does not accept a connection")
    reason = " ".join(str(error).split()) or type(error).__name__
    return Unavailable(f"the database cannot be used: {reason}")


class Deadline:
    """The time until which attempts are repeated, with pauses that grow, and vary by chance."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._pause = PAUSE_SECONDS

    @property
    def left(self) -> float:
        return self._end - time.monotonic()

    def pause(self) -> None:
        """Sleep before the next attempt."""
        seconds = min(self._pause * random.uniform(0.5, 1.5), max(self.left, 0))
        self._pause = min(2 * self._pause, PAUSE_MOST_SECONDS)
        time.sleep(seconds)


class Connections:
    """The connections of this process to one database. Thread-safe and fork-safe."""

    def __init__(self, address: Address, patience: float = PATIENCE_SECONDS) -> None:
        self._address, self.patience = address, patience
        self._pool: ConnectionPool[Connection] | None = None
        self._lock = threading.Lock()
        _all.add(self)

    def __repr__(self) -> str:
        details = psycopg.conninfo.conninfo_to_dict(self._address.conninfo)
        return f"{details.get('host', 'local')}/{details.get('dbname')}, {self._address.schema}"

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` on a connection, and again after a transient error.

        For work that may run twice. Raises `Unavailable`, `OutOfSpace`.
        """
        deadline = Deadline(self.patience)
        while True:
            try:
                with self.connection(deadline) as connection:
                    return work(connection)
            except psycopg.Error as error:
                if not is_transient(error) or deadline.left <= 0:
                    raise store_error(error) from error
                deadline.pause()

    @contextmanager
    def connection(self, deadline: Deadline) -> Iterator[Connection]:
        """Yield a connection from the pool, in autocommit mode."""
        pool = self._opened()
        connection = pool.getconn(timeout=max(deadline.left, 0.1))
        try:
            yield connection
        except psycopg.Error as error:
            if is_transient(error) and not was_rolled_back(error):
                connection.close()  # also one to a server that is no longer the primary
            raise
        except StoreError:
            raise
        except BaseException:
            connection.close()  # an interruption may have left an answer unread
            raise
        finally:
            pool.putconn(connection)

    def take(self) -> Connection:
        """Return a connection, for longer than one call. The caller must give it back."""
        return self._opened().getconn(timeout=max(self.patience, 0.1))

    def give_back(self, connection: Connection, *, broken: bool = False) -> None:
        """Return a connection to the pool; a broken one is closed."""
        if broken:
            connection.close()
        self._opened().putconn(connection)

    def _opened(self) -> ConnectionPool[Connection]:
        pool = self._pool
        if pool is None:
            with self._lock:
                pool = self._pool
                if pool is None:
                    pool = self._pool = self._open()
        return pool

    def _open(self) -> ConnectionPool[Connection]:
        address = self._address
        return ConnectionPool(
            address.conninfo,
            min_size=0,
            max_size=address.pool_max,
            max_idle=60.0,
            max_waiting=1_000,
            reconnect_timeout=1.0,
            open=True,
            name="neuralflow-store",
            kwargs={"autocommit": True, "prepare_threshold": 5 if address.prepares else None},
        )

    def close(self) -> None:
        """Close all connections. The next use opens new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def forked(self) -> None:
        """Leave the connections to the parent process, and begin without any.

        Closing them here would say good-bye to the server in the parent's name. So they are
        retained unused: their finalizer would do the same.
        """
        if self._pool is not None:
            _left_to_parents.append(self._pool)
        self._pool, self._lock = None, threading.Lock()


_left_to_parents: Final[list[object]] = []
_all: weakref.WeakSet[Connections] = weakref.WeakSet()


def _renew_after_fork() -> None:
    for connections in tuple(_all):
        connections.forked()


os.register_at_fork(after_in_child=_renew_after_fork)
