"""The cost of pages relative to a bare one: server time, and bytes transferred.

    .venv/bin/python -m benchmarks.pages
    … python -m benchmarks.pages --rounds 1 --calls 20 --tasks 1000  # a first look

Served by gunicorn as in `make run`, after `collectstatic`. A user with 12 projects, 12 models and
the given number of tasks requests each page over a persistent connection, as a browser does (with a
session, and accepting gzip), alternating with a page that returns "ok" to the same user. The first
response, with empty caches, is reported separately.
"""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

TIMES_OF_BARE = 3.0
PAGE_BYTES = 60_000
PAGES = {
    "dashboard": "/dashboard/",
    "tasks": "/tasks/",
    "tasks, searched and sorted": "/tasks/?q=task&sort=due",
    "tasks, last page": "/tasks/?page=1000000",
    "board": "/tasks/board/",
    "agenda": "/tasks/agenda/",
    "new task": "/tasks/new/",
    "a task": "/tasks/1/edit/",
    "projects": "/projects/",
    "a project": "/projects/1/",
    "models": "/models/",
    "a model": "/models/1/",
    "activity": "/activity/",
    "my files": "/files/",
    "search": "/search/?q=task",
    "settings": "/settings/preferences/",
    "profile": "/accounts/profile/",
    "tokens": "/accounts/tokens/",
}

_PREPARE = """
import sys
from datetime import UTC, datetime, timedelta
import django
django.setup()
from django.conf import settings
from django.core.management import call_command
from django.test import Client
call_command("migrate", verbosity=0)
call_command("createcachetable", verbosity=0)
from accounts.models import User
from benchmarks.peers import task
from utils.json_storage import json_storage
user = User.objects.create_user("alice", password=None, api_calls_limit=2**31 - 1)
for number in range(1, 13):
    json_storage.create("projects", user.pk, {"name": f"Project {number}"})
    metrics = {"loss": [1 / (step + number) for step in range(20)], "accuracy": 0.9}
    model = {"name": f"Model {number}", "performance_metrics": metrics}
    json_storage.create("models", user.pk, model)
today = datetime.now(UTC).date()
for number in range(int(sys.argv[1])):
    due = str(today + timedelta(days=number % 400 - 30))
    made = task(number) | {"due_date": due, "project_id": number % 12 + 1}
    json_storage.create("tasks", user.pk, made)
client = Client()
client.force_login(user)
print(client.cookies[settings.SESSION_COOKIE_NAME].value)
"""


@dataclass
class Measured:
    """The figures of one page, in seconds: first response, later ones, and the bare page's."""

    status: int = 0
    bytes: int = 0
    first: float = 0.0
    times: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


class Browser:
    """A persistent connection with the session of the user."""

    def __init__(self, port: int, session: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Cookie": f"sessionid={session}", "Accept-Encoding": "gzip"}

    def get(self, address: str) -> tuple[float, int, int]:
        """Return the seconds a request took, its status, and the bytes received with headers."""
        before = time.perf_counter()
        self._connection.request("GET", address, headers=self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        took = time.perf_counter() - before
        head = sum(len(name) + len(value) + 4 for name, value in answer.getheaders())
        return took, answer.status, len(content) + head


@contextmanager
def served(folder: Path, tasks: int) -> Iterator[Browser]:
    """Serve a user with `tasks` tasks during the block, and yield a browser with their session."""
    environment = os.environ | {
        "NEURALFLOW_STORE": (folder / "data").as_uri(),
        "NEURALFLOW_SECRET_KEY": secrets.token_hex(),
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "benchmarks.bare.settings",
    }
    session = subprocess.run(
        [sys.executable, "-c", _PREPARE, str(tasks)],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split()[-1]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--config", "python:neuralflow.gunicorn_conf"]
    command += ["--workers", "1", "--log-level", "error", "--bind", f"127.0.0.1:{port}"]
    with subprocess.Popen([*command, "neuralflow.wsgi"], env=environment) as process:
        try:
            yield _connected(port, session)
        finally:
            process.terminate()
            process.wait(30)


def _connected(port: int, session: str) -> Browser:
    for _attempt in range(300):
        try:
            Browser(port, session).get("/ok/")
            return Browser(port, session)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit("NeuralFlow did not begin to listen")


def measured(tasks: int, rounds: int, calls: int) -> dict[str, Measured]:
    """Return the figures of each page and the bare one. Each round has a fresh server."""
    pages = {name: Measured() for name in PAGES}
    for _round in range(rounds):
        with (
            TemporaryDirectory(prefix="benchmark-") as folder,
            served(Path(folder), tasks) as browser,
        ):
            for name, address in PAGES.items():
                _measure(browser, address, calls, pages[name])
    return pages


def _measure(browser: Browser, address: str, calls: int, page: Measured) -> None:
    page.first, page.status, page.bytes = browser.get(address)
    for number in range(calls + 5):
        took, bare = browser.get(address)[0], browser.get("/ok/")[0]
        if number >= 5:
            page.times.append(took)
            page.bare.append(bare)


def report(pages: dict[str, Measured], tasks: int) -> str:
    lines = [
        f"**Pages of a person with {tasks:,} tasks, milliseconds, median (9 of 10 within)**\n",
        "| page | bytes | first | then | bare | times bare | holds |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    return "\n".join([*lines, *(_line(name, page) for name, page in pages.items())])


def _line(name: str, page: Measured) -> str:
    if page.status != 200:
        return f"| {name} | | | | | | answers {page.status} |"
    ratio = statistics.median(page.times) / statistics.median(page.bare)
    holds = "yes" if ratio < TIMES_OF_BARE and page.bytes < PAGE_BYTES else "**no**"
    return (
        f"| {name} | {page.bytes:,} | {page.first * 1000:.1f} | {_cell(page.times)} "
        f"| {_cell(page.bare)} | {ratio:.1f} | {holds} |"
    )


def _cell(times: list[float]) -> str:
    ninth = sorted(times)[len(times) * 9 // 10]
    return f"{statistics.median(times) * 1000:.1f} ({ninth * 1000:.1f})"


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="with a fresh server each")
    parser.add_argument("--calls", type=int, default=100, help="of each page in a round")
    options = parser.parse_args(None if arguments is None else list(arguments))
    print(report(measured(options.tasks, options.rounds, options.calls), options.tasks))


if __name__ == "__main__":
    main()
