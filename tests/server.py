"""A real NeuralFlow on a free port: gunicorn with its processes and threads."""

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from docstore.backends.files.backend import FilesBackend
from workspace.schema.validation import COLLECTIONS

PROJECT = Path(__file__).parents[1]
DATABASE = "db.sqlite3"

_TABLES = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("createcachetable", verbosity=0)
"""

_PEOPLE = """
import json, sys
import django
django.setup()
from accounts.models import User
from accounts.tokens import create_token
user = User.objects.create_user(sys.argv[1], password=None, api_calls_limit=int(sys.argv[2]))
print(json.dumps([user.pk, create_token(user)[1]]))
"""


class Exchanged(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    value: Any


@dataclass
class Person:
    """Someone with an account on the server."""

    server: "Server"
    id: int
    token: str

    def call(self, method: str, path: str, data: Any = None) -> tuple[int, Any]:
        """Status and value of one call, over a connection of its own."""
        answer = self.exchange(method, path, data)
        return answer.status, answer.value

    def exchange(
        self, method: str, path: str, data: Any = None, headers: Mapping[str, str] | None = None
    ) -> Exchanged:
        """The answer to one call with these headers, over a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        told = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        body = None if data is None else json.dumps(data)
        connection.request(method, f"/accounts/api/{path}", body, told | dict(headers or {}))
        response = connection.getresponse()
        content = response.read()
        connection.close()
        value = json.loads(content) if content else None
        return Exchanged(response.status, dict(response.getheaders()), value)

    def document(self, collection: str, stem: str) -> Any:
        """What the file holds."""
        path = self.server.documents / collection / f"{stem}_{self.id}.json"
        return json.loads(path.read_bytes())


@dataclass
class Server:
    """Where it is, and the environment that its commands run in."""

    folder: Path
    port: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def documents(self) -> Path:
        """The data folder, now that its files show all that the server has acknowledged."""
        layouts = {name: spec.layout for name, spec in COLLECTIONS.items()}
        backend = FilesBackend(self.data, layouts, background=False)
        backend.publish()
        backend.close()
        return self.data

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def user_id(self, username: str) -> int:
        """The id under which the data folder knows a person."""
        for path in (self.documents / "users").glob("user_*.json"):
            if f'"username": "{username}"' in path.read_text():
                return int(path.stem.removeprefix("user_"))
        raise AssertionError(f"{username} has no document")

    def run(self, *command: str) -> str:
        """The output of a Python command in the server's environment."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=PROJECT,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def person(self, name: str, api_calls_limit: int = 1000) -> Person:
        """A new account with a token."""
        person_id, token = json.loads(self.run("-c", _PEOPLE, name, str(api_calls_limit)))
        return Person(self, person_id, token)


def prepared_server(folder: Path) -> Server:
    """What a server needs, before it runs."""
    server = _server_in(folder)
    shutil.copyfile(_empty_database(), folder / DATABASE)
    return server


def server_on_database(
    folder: Path, environment: Mapping[str, str], *, migrate: bool = True
) -> Server:
    """Return what a server needs whose environment names a database server's database.

    With `migrate`, its tables are made.
    """
    server = _server_in(folder)
    server.environment |= environment
    if migrate:
        server.run("-c", _TABLES)
    return server


def _server_in(folder: Path) -> Server:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "neuralflow.settings",
        "NEURALFLOW_STORE": (folder / "data").as_uri(),
        "NEURALFLOW_BURST": "1000000/60",
        "NEURALFLOW_SIGNUPS_PER_HOUR": "0",
        "NEURALFLOW_MAINTENANCE": "off",  # or the time of the day could change a test
        "NEURALFLOW_SECRET_KEY": "a key for this test",
        "DATABASE_URL": f"sqlite:///{folder / DATABASE}",
        "HOST": "127.0.0.1",
        "PORT": "0",
        "WEB_CONCURRENCY": "2",
    }
    return Server(folder, environment=environment)


@cache
def _empty_database() -> Path:
    """A database with all tables, made once in this process: migrations take seconds."""
    folder = Path(tempfile.mkdtemp(prefix="neuralflow-tables-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _server_in(folder).run("-c", _TABLES)
    return folder / DATABASE


def started(
    server: Server, stdin: int = subprocess.DEVNULL, options: Iterable[str] = ()
) -> subprocess.Popen[str]:
    """Its processes, in a session of their own, as soon as they have said where they listen."""
    command = ["-m", "gunicorn", "--config", "python:neuralflow.gunicorn_conf", *options]
    command.append("neuralflow.wsgi")
    with server.log.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=PROJECT,
            env=server.environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    assert process.stdout is not None
    said = process.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:(\d+) ", said)
    assert found, f"{said!r}; {server.log.read_text()}"
    server.port = int(found[1])
    return process


@contextmanager
def running_server(
    folder: Path, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Server]:
    """Serves until the end of the block, then stops as on SIGTERM."""
    server = prepared_server(folder)
    server.environment |= environment
    with started(server) as process:
        try:
            yield server
        finally:
            process.terminate()
            process.wait(30)
