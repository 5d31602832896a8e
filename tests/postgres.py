"""A PostgreSQL of the tests: a cluster of its own on a free port, and a schema for each test.

Debian's server does not run as root. So as root it runs as the user `postgres`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

import psycopg
import pytest

READY_SECONDS: Final = 60
USER: Final = "neuralflow"
# Nothing of a test outlives the machine. Tests about durability pass settings of their own.
QUICK: Final = MappingProxyType({"fsync": "off", "full_page_writes": "off"})
_SETTINGS: Final = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "max_connections": "200",
    "shared_buffers": "'64MB'",
    "autovacuum": "off",
    "log_min_messages": "'fatal'",
}


def programs() -> Path | None:
    """Return the folder of the server's programs; None if it is not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name)
    places = [*reversed(debian)]
    if initdb := shutil.which("initdb"):
        places.append(Path(initdb).parent)
    return next((place for place in places if (place / "postgres").exists()), None)


def why_not() -> str:
    """Return why no server can be started here; "" if one can."""
    if programs() is None:
        return "there is no PostgreSQL server: apt-get install postgresql"
    if os.geteuid() == 0 and not _has_user():
        return "PostgreSQL does not run as root, and there is no user postgres"
    return ""


def _has_user() -> bool:
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _as_user() -> list[str]:
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


@dataclass
class Cluster:
    """A running server. Every connection is of its superuser."""

    folder: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=lambda: QUICK)
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres", **options: str) -> str:
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"postgres://{USER}@127.0.0.1:{self.port}/{database}{'?' if query else ''}{query}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        bins = programs()
        assert bins is not None
        options = [
            f"-c{name}={value.strip(chr(39))}"
            for name, value in (_SETTINGS | dict(self.settings)).items()
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_as_user(), str(bins / "postgres"), "-D", self.data, f"-p{self.port}", *options],
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise AssertionError(f"{error}; {(self.folder / 'log').read_text()}") from error
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: at once and cleanly (SIGINT), or as in a crash (SIGQUIT)."""
        if self.process is None:
            return
        os.kill(self.pid, how)
        self.process.wait(READY_SECONDS)
        self.process = None

    @property
    def pid(self) -> int:
        """Return the process id of the server, and not of what started it."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def execute(self, query: str, *arguments: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            cursor = connection.execute(query.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def cluster(settings: Mapping[str, str] = QUICK) -> Iterator[Cluster]:
    """Yield a new cluster that runs until the block ends."""
    bins = programs()
    assert bins is not None
    folder = Path(tempfile.mkdtemp(prefix="neuralflow-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        command = [str(bins / "initdb"), "-D", str(folder / "data"), "-U", USER, "-A", "trust"]
        command += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run([*_as_user(), *command], check=True, capture_output=True, cwd="/")
        server = Cluster(folder, _free_port(), settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """Yield the server of this process's tests."""
    if reason := why_not():
        pytest.skip(reason)
    with cluster() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_cluster: Cluster) -> Iterator[str]:
    """Yield the address of a store that is empty and of this test alone."""
    schema = f"test_{uuid.uuid4().hex}"
    yield postgres_cluster.url(schema=schema)
    postgres_cluster.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
