"""Hostile connections of each kind beside ordinary requests to a real server.

A full run opens 300 connections of each kind, and sends 60 ordinary requests beside them. Each
request must be answered as without them, within `SECONDS_MAX`.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from tests.harness.report import Report
from tests.server import Person, Server, running_server

CONNECTIONS, REQUESTS = 300, 60
SECONDS_MAX: Final = 2.0
TRICKLE: Final = 0.5  # seconds from one byte to the next
FILLING: Final = 2.0  # seconds in which answers that nobody takes fill what the system has for them
ENVIRONMENT: Final = {"NEURALFLOW_TRUSTED_PROXIES": "127.0.0.1", "WEB_CONCURRENCY": "2"}
BIG: Final = 900_000  # bytes of a record that few clients take at once

_HOST: Final = b"Host: localhost\r\n"
_LOGIN: Final = b"POST /accounts/login/ HTTP/1.1\r\n" + _HOST
_FORM: Final = b"Content-Type: application/x-www-form-urlencoded\r\n"
_SESSION: Final = b"Cookie: sessionid=x; csrftoken=x\r\n"


@dataclass(frozen=True)
class Kind:
    """What each connection sends at once, and whether it then sends single bytes or nothing."""

    first: Callable[[int], bytes]
    trickles: bool = True
    window: int = 0  # bytes that its system takes of an answer; 0: as usual


class World:
    """A server, its users, and what an attacker may know about them."""

    NAMES: Final = (
        "silent",
        "half a head",
        "half a body",
        "a length with zeros before it",
        "a length that is no number",
        "bodies but for a byte",
        "bodies of strangers but for a byte",
        "large bodies",
        "pipelined, nothing taken",
        "large answers, nothing taken",
        "exports, nothing taken",
        "log-ins",
        "streams",
    )

    def __init__(self, server: Server) -> None:
        self.server = server
        self.people = [server.person(name, 1_000_000) for name in ("ann", "ben", "cat")]
        for number in range(6):  # more than the system takes of an answer
            model = {"name": f"m{number}", "parameters": {"weights": "x" * BIG}}
            status, _ = self.ann.call("POST", "models/", model)
            assert status == 201, status
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", "/accounts/login/")
        page = connection.getresponse()
        token = re.search(rb'csrfmiddlewaretoken" value="(\w+)"', page.read())
        assert token, page.status
        self.csrf = token[1]
        self.csrf_cookie = str(page.headers["Set-Cookie"]).split(";")[0].encode()
        connection.close()

    @property
    def ann(self) -> Person:
        return self.people[0]

    def kinds(self) -> dict[str, Kind]:
        """Return all kinds of hostile connections by name."""
        kinds = (
            Kind(lambda _: b"", trickles=False),
            Kind(lambda _: b"GET / HTTP/1.1\r\nHost: local"),
            Kind(lambda _: _LOGIN + _FORM + b"Content-Length: 900\r\n\r\nlogin=a"),
            Kind(lambda _: _LOGIN + _FORM + _SESSION + b"Content-Length: %019d\r\n\r\nlogin" % 900),
            Kind(lambda _: _LOGIN + _FORM + _SESSION + b"Content-Length: 9e2\r\n\r\nlogin"),
            Kind(lambda _: self._held(_SESSION), trickles=False),
            Kind(lambda _: self._held(b""), trickles=False),
            Kind(
                lambda _: (
                    _LOGIN
                    + _FORM
                    + _SESSION
                    + b"Content-Length: 3000000\r\n\r\n"
                    + b"x" * 1_100_000
                )
            ),
            Kind(
                lambda _: 40 * (b"GET /accounts/api/openapi.json HTTP/1.1\r\n" + _HOST + b"\r\n"),
                trickles=False,
                window=4096,
            ),
            Kind(lambda _: self._call(self.ann, b"models/"), trickles=False, window=4096),
            Kind(lambda _: self._call(self.ann, b"export/"), trickles=False, window=4096),
            Kind(self._log_in, trickles=False),
            Kind(
                lambda n: self._call(
                    self.people[n % 2], b"changes/", b"Accept: text/event-stream\r\n"
                ),
                trickles=False,
                window=4096,
            ),
        )
        return dict(zip(self.NAMES, kinds, strict=True))

    def _held(self, credentials: bytes) -> bytes:
        head = _LOGIN + _FORM + credentials + b"Content-Length: 1048576\r\n\r\n"
        return head + b"x" * 1_048_575

    def _call(self, person: Person, path: bytes, headers: bytes = b"") -> bytes:
        line = b"GET /accounts/api/" + path + b" HTTP/1.1\r\n" + _HOST
        return (
            line + b"Authorization: Bearer " + person.token.encode() + b"\r\n" + headers + b"\r\n"
        )

    def _log_in(self, number: int) -> bytes:
        """Return a log-in with a wrong password, each from another network as the proxy says."""
        body = b"login=nobody%d&password=x&csrfmiddlewaretoken=%s" % (number, self.csrf)
        return (
            _LOGIN
            + _FORM
            + b"Cookie: %s\r\n" % self.csrf_cookie
            + b"X-Forwarded-For: 10.%d.%d.1\r\n" % divmod(number % 60_000, 250)
            + b"Content-Length: %d\r\n\r\n" % len(body)
            + body
        )


class Attackers:
    """A number of connections of a kind. Those that the server closes are opened again."""

    def __init__(self, port: int, kind: Kind, size: int) -> None:
        self._port, self._kind = port, kind
        self._numbers = count()
        self._sockets = [self._opened() for _ in range(size)]
        self.opened_again = 0

    def press(self, until: threading.Event) -> None:
        """Send single bytes until the event is set."""
        while not until.wait(TRICKLE):
            for place, link in enumerate(self._sockets):
                if until.is_set():
                    return
                if not self._is_open(link):
                    link.close()
                    self._sockets[place] = self._opened()
                    self.opened_again += 1

    def _opened(self) -> socket.socket:
        link = socket.socket()
        if self._kind.window:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._kind.window)
        link.settimeout(60)
        link.connect(("127.0.0.1", self._port))
        with suppress(OSError):  # it may be refused before all of it is sent
            link.sendall(self._kind.first(next(self._numbers)))
        return link

    def _is_open(self, link: socket.socket) -> bool:
        try:
            if self._kind.trickles:
                link.send(b"x", socket.MSG_DONTWAIT)
            if self._kind.window:
                return True  # it reads nothing
            return link.recv(65_536, socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        for link in self._sockets:
            link.close()


@contextmanager
def attacked(world: World, kind: Kind, size: int) -> Iterator[Attackers]:
    """Hold the connections open during the block."""
    attackers, over = Attackers(world.server.port, kind, size), threading.Event()
    thread = threading.Thread(target=attackers.press, args=(over,))
    thread.start()
    try:
        if kind.window:
            time.sleep(FILLING)
        yield attackers
    finally:
        over.set()
        thread.join()
        attackers.close()


def times(world: World, requests: int, patience: float) -> list[float]:
    """Return the seconds that each ordinary request took. Raises `AssertionError` if one fails."""
    person = world.people[2]
    token = {"Authorization": f"Bearer {person.token}", "Content-Type": "application/json"}
    task = json.dumps({"title": "One more"})
    calls = [
        ("GET", "/accounts/login/", None, {}, 200),
        ("GET", "/accounts/api/tasks/", None, token, 200),
        ("POST", "/accounts/api/tasks/", task, token, 201),
        ("GET", "/static/css/neuralflow.css", None, {}, 200),
    ]
    taken = []
    for number in range(requests):
        method, path, body, headers, status = calls[number % len(calls)]
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", world.server.port, timeout=patience)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != status:
            raise AssertionError(f"{method} {path} is answered {answer.status}")
        taken.append(time.monotonic() - began)
    return taken


def seconds_to_stream(person: Person, patience: float) -> float:
    """Return the seconds until the user has a stream of changes, retrying as a browser does."""
    began = time.monotonic()
    while time.monotonic() < began + patience:
        connection = http.client.HTTPConnection("127.0.0.1", person.server.port, timeout=patience)
        headers = {"Authorization": f"Bearer {person.token}", "Accept": "text/event-stream"}
        connection.request("GET", "/accounts/api/changes/", headers=headers)
        status = connection.getresponse().status
        connection.close()
        if status == 200:
            return time.monotonic() - began
        time.sleep(TRICKLE)
    raise AssertionError(f"no stream in {patience:.0f} s")


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Yield a server to attack."""
    with running_server(folder, ENVIRONMENT) as server:
        yield World(server)


def told(name: str, alone: list[float], beside: list[float]) -> str:
    """Return a line of figures in milliseconds."""
    figures = [
        round(1000 * value)
        for measured in (alone, beside)
        for value in (statistics.median(measured), max(measured))
    ]
    text = "{}: alone {} (at most {}), beside them {} (at most {}) ms"
    return text.format(name, *figures)


def run(cases: int, seed: int) -> Report:
    """Try all kinds in turns, in random order, until `cases` are done."""
    report, rng = Report("connections"), random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as place:
        while report.cases < cases:
            kinds = list(place.kinds().items())
            rng.shuffle(kinds)
            for name, kind in kinds[: cases - report.cases]:
                report.cases += 1
                alone = times(place, REQUESTS, 60)
                try:
                    with attacked(place, kind, CONNECTIONS):
                        beside = times(place, REQUESTS, 60)
                except (OSError, http.client.HTTPException, AssertionError) as fault:
                    report.lose(f"{name}: not answered ({fault!r})")
                    continue
                report.notes.append(told(name, alone, beside))
                if max(beside) > SECONDS_MAX:
                    report.lose(f"{name}: an answer took {max(beside):.1f} s")
        with attacked(place, place.kinds()["streams"], CONNECTIONS):
            seconds = seconds_to_stream(place.people[2], 60)
        report.notes.append(f"a stream beside two accounts that hold all places: {seconds:.1f} s")
    return report.finish(cases)
