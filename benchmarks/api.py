"""The API over HTTP against Django REST Framework: same calls, server, settings and machine.

    .uv/bin/uv run --frozen --group bench python -m benchmarks.api
    … python -m benchmarks.api --rounds 1 --calls 50  # a first look
    … python -m benchmarks.api --clients 1 8 32  # calls a second: see benchmarks.rates

Both are served by gunicorn with two processes of eight threads. A user with a token reads their 100
tasks and adds a task, over one connection, sequentially. The servers take turns. NeuralFlow counts
and logs each call; the peer does neither.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peers import task

TASKS = 100
BARS = {"GET of 100 tasks": 4.0, "POST of a task": 1.5}
# The settings of neuralflow/gunicorn_conf.py for both, so that a connection may wait for its turn.
_GUNICORN = ("--workers", "2", "--threads", "8", "--keep-alive", "60")
_WORKER = ("--worker-class", "neuralflow.worker.Worker")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)

_PEOPLE = """
import django, sys
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("createcachetable", verbosity=0)
from accounts.models import User
from accounts.tokens import create_token
from benchmarks.peers import task
from utils.json_storage import json_storage
user = User.objects.create_user("alice", password=None, api_calls_limit=2**31 - 1)
for number in range(int(sys.argv[1])):
    json_storage.save_task_data(user.pk, task(number))
print(create_token(user)[1])
"""


@dataclass(frozen=True)
class Api:
    """One of the compared APIs: how to prepare, serve and call it."""

    name: str
    prepare: tuple[str, ...]
    application: str
    address: str
    scheme: str

    def environment(self, folder: Path) -> dict[str, str]:
        return {
            **os.environ,
            "NEURALFLOW_STORE": (folder / "data").as_uri(),
            "NEURALFLOW_SECRET_KEY": secrets.token_hex(),
            "NEURALFLOW_BURST": "1000000/1",
            "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
            "BENCHMARK_DATABASE": str(folder / "drf.sqlite3"),
        }


OURS = Api(
    "NeuralFlow",
    ("-c", _PEOPLE),
    "neuralflow.wsgi",
    "/accounts/api/tasks/",
    "Bearer",
)
PEER = Api(
    "Django REST Framework",
    ("-m", "benchmarks.drf.prepare"),
    "benchmarks.drf.wsgi",
    "/tasks/",
    "Token",
)
BARE = Api("bare Django view", ("-c", "print('-')"), "benchmarks.bare.plain", "/bare/", "Bearer")


class Client:
    """A client with one persistent connection and minimal overhead."""

    def __init__(self, api: Api, port: int, token: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{port}{api.address}"
        self.authorization = f"{api.scheme} {token}"
        self._head = (
            f"{{}} {api.address} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: {self.authorization}\r\n"
        )

    def call(self, request: bytes, status: bytes) -> bytes:
        """Send the request and return the body of the response."""
        self._socket.sendall(request)
        answer = self._socket.recv(65_536)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if not head.startswith(b"HTTP/1.1 " + status) or length is None:
            raise SystemExit(answer[:1000].decode(errors="replace"))
        parts, missing = [body], int(length[1]) - len(body)
        while missing > 0:
            parts.append(self._socket.recv(65_536))
            missing -= len(parts[-1])
        return b"".join(parts)

    def get(self) -> bytes:
        return self.call((self._head.format("GET") + "\r\n").encode(), b"200")

    def post(self, number: int) -> bytes:
        body = json.dumps(task(number)).encode()
        head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return self.call((self._head.format("POST") + head).encode() + body, b"201")


@contextmanager
def served(api: Api, folder: Path) -> Iterator[Client]:
    """Serve the API with fresh documents during the block, and yield a client of it."""
    environment = api.environment(folder)
    if api is OURS:
        environment["DJANGO_SETTINGS_MODULE"] = "neuralflow.settings"
    token = subprocess.run(
        [sys.executable, *api.prepare, str(TASKS)],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", *_GUNICORN, *_WORKER, "--log-level", "error"]
    command += ["--no-control-socket", "--bind", f"127.0.0.1:{port}", api.application]
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield _connected(api, port, token)
        finally:
            process.terminate()
            process.wait(30)


def _connected(api: Api, port: int, token: str) -> Client:
    for _attempt in range(300):
        try:
            return Client(api, port, token)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit(f"{api.name} did not begin to listen")


def seconds(operation: str, client: Client, calls: int) -> list[float]:
    """Return the seconds of each of the calls, after ten that are not counted."""
    times = []
    for number in range(calls + 10):
        before = time.perf_counter()
        content = client.get() if operation.startswith("GET") else client.post(number)
        times.append(time.perf_counter() - before)
    assert content
    return times[10:]


def measured(rounds: int, calls: int) -> dict[tuple[str, str], list[float]]:
    """Return the times of all calls, by operation and API. Each round has fresh servers."""
    times: dict[tuple[str, str], list[float]] = {}
    for _round in range(rounds):
        with TemporaryDirectory(prefix="benchmark-") as folder, ExitStack() as stack:
            clients = {api: stack.enter_context(served(api, Path(folder))) for api in (OURS, PEER)}
            for operation in BARS:
                for _turn in range(4):
                    for api, client in clients.items():
                        took = seconds(operation, client, max(calls // 4, 1))
                        times.setdefault((operation, api.name), []).extend(took)
    return times


def report(times: dict[tuple[str, str], list[float]]) -> str:
    lines = [
        "**Calls over HTTP, microseconds, median (9 of 10 within)**\n",
        f"| | {OURS.name} | {PEER.name} | ratio | bar | holds |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for operation, bar in BARS.items():
        ours, theirs = (times[operation, api.name] for api in (OURS, PEER))
        ratio = statistics.median(theirs) / statistics.median(ours)
        holds = "yes" if ratio >= bar else "**no**"
        lines.append(
            f"| {operation} | {_cell(ours)} | {_cell(theirs)} | {ratio:.1f} x | {bar} x | {holds} |"
        )
    return "\n".join(lines)


def _cell(times: list[float]) -> str:
    ninth = sorted(times)[len(times) * 9 // 10]
    return f"{statistics.median(times) * 1e6:,.0f} ({ninth * 1e6:,.0f})"


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="with fresh servers each")
    parser.add_argument("--calls", type=int, default=400, help="of each kind in a round")
    parser.add_argument("--clients", type=int, nargs="+", help="measure rates, with wrk")
    options = parser.parse_args(None if arguments is None else list(arguments))
    if options.clients:
        from benchmarks import rates

        clients = [str(count) for count in options.clients]
        return rates.main(["--rounds", str(options.rounds), "--clients", *clients])
    print(report(measured(options.rounds, options.calls)))


if __name__ == "__main__":
    main()
