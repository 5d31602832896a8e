"""The accounts database: a copy of one moment, and its atomic replacement.

A database's `moment` is pinned while the store's writers are blocked, so the copy and the documents
show the same moment. Nobody waits for the copying: readers and writers of the database go on.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Final, Protocol

from docstore import Corrupt, Unavailable

PART_BYTES: Final = 64 * 1024
_BUSY_SECONDS: Final = 20


class Moment(Protocol):
    """A database as of the moment when it was pinned."""

    def copy(self, path: Path) -> None:
        """Write it to a new file. Raises `Unavailable`."""


class Accounts(Protocol):
    """The database with the accounts."""

    kind: str
    file_name: str

    def exists(self) -> bool:
        """Return whether there is a database to back up. A restore creates it."""

    def pinned(self) -> AbstractContextManager[Moment]:
        """Yield the current moment. Raises `Unavailable`."""

    def check(self, path: Path) -> None:
        """Raise `Corrupt` if the copy in the file cannot be opened, or is damaged."""

    def restore(self, path: Path) -> None:
        """Replace the database's content by a copy, all or none. Raises `Unavailable`."""


def parts_of(path: Path) -> Iterator[bytes]:
    """Yield the content of a copy in parts of one size.

    SQLite changes pages in place, so most parts of the next copy are the same.
    """
    with path.open("rb") as file:
        while part := file.read(PART_BYTES):
            yield part


class _SqliteMoment:
    def __init__(self, connection: sqlite3.Connection, without: Sequence[str]) -> None:
        self._connection, self._without = connection, without

    def copy(self, path: Path) -> None:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            with closing(sqlite3.connect(path)) as copy:
                copy.execute("PRAGMA synchronous=OFF")
                copy.execute("PRAGMA journal_mode=OFF")
                self._connection.backup(copy)
                self._empty(copy)
        except sqlite3.Error as error:
            raise Unavailable(f"cannot copy the accounts database: {error}") from error

    def _empty(self, copy: sqlite3.Connection) -> None:
        copy.execute("PRAGMA secure_delete=ON")
        for (name,) in copy.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table'"
        ).fetchall():
            if name in self._without:
                copy.execute(f'DELETE FROM "{name}"')
        copy.commit()


class SqliteAccounts:
    """Accounts in a file of SQLite, by its backup interface.

    Copies have no rows of the tables in `without`.
    """

    kind = "sqlite"
    file_name = "db.sqlite3"

    def __init__(self, path: Path, without: Sequence[str] = ()) -> None:
        self._path, self._without = path, without

    def exists(self) -> bool:
        return self._path.is_file()

    @contextmanager
    def pinned(self) -> Iterator[Moment]:
        with closing(self._connect()) as connection:
            try:
                # The transaction begins with the first read: it pins the moment.
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            except sqlite3.Error as error:
                raise Unavailable(f"cannot read the accounts database: {error}") from error
            yield _SqliteMoment(connection, self._without)

    def _connect(self) -> sqlite3.Connection:
        try:
            return sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        except sqlite3.Error as error:
            raise Unavailable(f"cannot open {self._path}: {error}") from error

    def check(self, path: Path) -> None:
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as copy:
                problems = [row[0] for row in copy.execute("PRAGMA integrity_check(3)")]
        except sqlite3.Error as error:
            raise Corrupt(self.file_name, f"cannot be opened: {error}") from error
        if problems != ["ok"]:
            raise Corrupt(self.file_name, "; ".join(problems))

    def restore(self, path: Path) -> None:
        def refuse_busy(status: int, remaining: int, total: int) -> None:
            if status == sqlite3.SQLITE_BUSY:  # `backup` would wait for ever
                raise Unavailable("the accounts database is locked by another program: try again")

        os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600))
        try:
            with (
                closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as copy,
                closing(self._connect()) as connection,
            ):
                # One transaction: a crash leaves the earlier content.
                copy.backup(connection, progress=refuse_busy)
        except sqlite3.Error as error:
            raise Unavailable(f"cannot replace the accounts database: {error}") from error


class _PostgresMoment:
    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._command, self._environment = command, environment

    def copy(self, path: Path) -> None:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _run([*self._command, f"--file={path}"], self._environment)


class PostgresAccounts:
    """Accounts on PostgreSQL, by pg_dump of an exported snapshot, and psql.

    `parameters` are those of libpq: host, port, user, password, dbname. Copies have no rows of the
    tables in `without`.
    """

    kind = "postgresql"
    file_name = "accounts.sql"

    def __init__(self, parameters: dict[str, str], without: Sequence[str] = ()) -> None:
        self._parameters = {name: value for name, value in parameters.items() if value}
        self._without = without

    def exists(self) -> bool:
        return True

    @contextmanager
    def pinned(self) -> Iterator[Moment]:
        import psycopg

        try:
            with psycopg.connect(psycopg.conninfo.make_conninfo(**self._parameters)) as connection:
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                row = connection.execute("SELECT pg_export_snapshot()").fetchone()
                command = ["pg_dump", "--no-owner", "--no-privileges", "--clean", "--if-exists"]
                command += [f"--exclude-table-data={table}" for table in self._without]
                yield _PostgresMoment([*command, f"--snapshot={row and row[0]}"], self._environment)
        except psycopg.Error as error:
            raise Unavailable(f"cannot read the accounts database: {error}") from error

    @property
    def _environment(self) -> dict[str, str]:
        names = {"dbname": "PGDATABASE"}
        given = {
            names.get(name, f"PG{name.upper()}"): value for name, value in self._parameters.items()
        }
        return {**os.environ, **given}

    def check(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            end = file.read()
        if b"PostgreSQL database dump complete" not in end:
            raise Corrupt(self.file_name, "does not end as pg_dump ends a dump")

    def restore(self, path: Path) -> None:
        command = ["psql", "--no-psqlrc", "--quiet", "--single-transaction"]
        _run(
            [*command, "--set=ON_ERROR_STOP=1", "--output=/dev/null", f"--file={path}"],
            self._environment,
        )


def _run(command: list[str], environment: dict[str, str]) -> None:
    try:
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise Unavailable(
            f"cannot run {command[0]} (Debian: postgresql-client): {error.strerror}"
        ) from error
    if result.returncode:
        reason = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
        raise Unavailable(f"{command[0]}: {reason[-1]}")
