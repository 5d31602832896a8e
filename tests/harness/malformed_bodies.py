"""Malformed request bodies for every URL that accepts a body, over real connections.

Each is made from a valid body and broken in a way that leaves no doubt, so every response must be a
refusal: a 4xx status with problem details. Afterwards not one byte of any document may differ.

If a mutation alone might make another valid body (such as a flipped bit in a title), the body is
*spoilt* first: it gets unknown members in several places, or impossible operations, and no two
flipped bits can hide them all.
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException, RemoteDisconnected
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.harness.api_cases import CALLS, ENVIRONMENT
from tests.harness.report import Report
from tests.server import Person, Server, running_server

CONNECTIONS: Final = 16
SPARE: Final = 5  # of 1,000 bodies, how many exceed the size limit
_METHODS: Final = ("post", "put", "patch")


class Target(NamedTuple):
    """The destination of a body, its declared media type, and a valid body."""

    method: str
    path: str
    media_type: str
    good: Any


class Sent(NamedTuple):
    """A body with its headers."""

    body: bytes
    headers: dict[str, str]


def targets(document: dict[str, Any]) -> list[Target]:
    """Return every URL, method and media type with a request body in the OpenAPI document."""
    return [
        Target(method.upper(), _filled(template), media_type, _example(document, content["schema"]))
        for template, path in document["paths"].items()
        for method in _METHODS
        if method in path and "requestBody" in path[method]
        for media_type, content in path[method]["requestBody"]["content"].items()
    ]


def _filled(template: str) -> str:
    """Fill the template with ids of 1, which exist where possible."""
    while "{" in template:
        before, _, rest = template.partition("{")
        template = f"{before}1{rest.partition('}')[2]}"
    return template


def _example(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    examples = document["components"]["schemas"].get(name, schema).get("examples")
    return examples[0] if examples else {"anything": 1}


# ---- Mutations


def _spoilt(good: Any, rng: random.Random) -> Any:
    """Return a similar body that must be refused, whatever one or two flipped bits do to it."""
    if isinstance(good, list):  # operations: of a patch, or of any kind
        undoable = {"op": "test", "path": "/nowhere/at/all", "value": 1}
        return [undoable, *good, undoable, undoable]
    if not isinstance(good, dict):
        return {"zz": good}
    members = [
        (key, _spoilt(value, rng) if key == "operations" else value) for key, value in good.items()
    ]
    rng.shuffle(members)
    middle = len(members) // 2
    return dict(
        [("zz_before", 1), *members[:middle], ("zz_amid", [2]), *members[middle:], ("zz", 3)]
    )


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _truncated(good: Any, rng: random.Random) -> bytes:
    text = _text(good)
    return text[: rng.randrange(len(text))]


def _flipped(good: Any, rng: random.Random) -> bytes:
    text = bytearray(_text(_spoilt(good, rng)))
    for _ in range(rng.randint(1, 2)):
        text[rng.randrange(len(text))] ^= 1 << rng.randrange(8)
    return bytes(text)


def _not_utf8(good: Any, rng: random.Random) -> bytes:
    text = _text(good)
    at = rng.randrange(len(text) + 1)
    bad = rng.choice(
        [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x80", b"\xe2\x82"]
    )
    return text[:at] + bad + text[at:]


def _encoded_otherwise(good: Any, rng: random.Random) -> bytes:
    text = _text(good).decode()
    return text.encode(rng.choice(["utf-16", "utf-32", "utf-8-sig", "utf-16-be", "utf-32-le"]))


def _key_twice(good: Any, rng: random.Random) -> bytes:
    key = rng.choice(["title", "name", "zz", ""])
    twice = f"{json.dumps(key)}: 1, {json.dumps(key)}: 1"
    if isinstance(good, dict) and rng.random() < 0.5:
        return b"%s, %s}" % (_text(good)[:-1], twice.encode())
    return f'{{"metadata": {{{twice}}}}}'.encode()


def _nested(good: Any, rng: random.Random) -> bytes:
    depth = rng.choice([33, 34, 100, 1_000, 20_000])
    opening, closing = rng.choice([("[", "]"), ('{"a":', "}")])
    inner = opening * depth + "1" + closing * rng.choice([depth, depth, 0, depth - 1])
    return f'{{"title": "a", "name": "a", "metadata": {inner}}}'.encode()


def _numbers(good: Any, rng: random.Random) -> bytes:
    digits = "9" * rng.choice([17, 20, 400, 5_000])
    number = rng.choice(
        [
            digits,
            f"-{digits}",
            "1e999",
            "-1E+999",
            "NaN",
            "Infinity",
            "-Infinity",
            "01",
            "+1",
            ".5",
            "1.",
            "0x1F",
            "1_000",
        ]
    )
    key = rng.choice(["budget", "accuracy", "project_id", "training_data_size", "id", "zz"])
    return f'{{"title": "a", "name": "a", "{key}": {number}}}'.encode()


def _unfit_text(good: Any, rng: random.Random) -> bytes:
    unfit = rng.choice(
        [
            r"\u0000",
            r"\u001b",
            r"\ud800",
            r"\udc00x",
            r"\ud800\ud800",
            "\x01",
            "\n",
            r"\x41",
            r"\u12",
        ]
    )
    key = rng.choice(["title", "name", "description", "who", "role"])
    return f'{{"{key}": "a{unfit}b", "zz": 1}}'.encode()


def _of_other_types(good: Any, rng: random.Random) -> bytes:
    wrong: list[Any] = [
        None,
        True,
        0,
        -1,
        1.5,
        "",
        "x" * 60_000,
        [],
        {},
        [[]],
        {"a": None},
        "1",
        [None] * 60,
    ]
    spoilt = _spoilt(good, rng)
    for key in rng.sample(list(spoilt), min(len(spoilt), 3)) if isinstance(spoilt, dict) else ():
        if not key.startswith("zz") and key != "operations":
            spoilt[key] = rng.choice(wrong)
    return _text(spoilt)


def _no_object(good: Any, rng: random.Random) -> bytes:
    values: list[Any] = [None, True, 7, 1.5, "title", [1], [[]], [None], ["title"], [{"op": "no"}]]
    return _text(rng.choice(values))


def _followed(good: Any, rng: random.Random) -> bytes:
    return _text(good) + rng.choice([b"x", b"{}", b",", b"]", b"}", b"\0", b"// no", b'"'])


def _noise(good: Any, rng: random.Random) -> bytes:
    return rng.choice(
        [b"", b" ", b"\n", b"{", b"}", b'"', b"'", rng.randbytes(rng.randint(1, 300)) + b"\xff"]
    )


def _hostile_names(good: Any, rng: random.Random) -> bytes:
    spoilt = {
        "zz": 1,
        rng.choice(["__proto__", "constructor", "is_admin", "password", "k" * 201, "a\tb"]): 1,
    }
    return _text(good | spoilt if isinstance(good, dict) else spoilt)


def _too_large(good: Any, rng: random.Random) -> bytes:
    return _text({"title": "a", "name": "a", "description": "x" * (2**20 + rng.randrange(1000))})


BREAKS: Final[tuple[Callable[[Any, random.Random], bytes], ...]] = (
    _truncated,
    _flipped,
    _not_utf8,
    _encoded_otherwise,
    _key_twice,
    _nested,
    _numbers,
    _unfit_text,
    _of_other_types,
    _no_object,
    _followed,
    _noise,
    _hostile_names,
)


def broken(target: Target, rng: random.Random) -> tuple[str, Sent]:
    """Return the name of a mutation, and the mutated body."""
    headers = {"Content-Type": target.media_type}
    if rng.randrange(1000) < SPARE:
        return "_too_large", Sent(_too_large(target.good, rng), headers)
    if rng.random() < 0.03:
        headers |= rng.choice(
            [
                {"Content-Type": "text/plain"},
                {"Content-Encoding": "gzip"},
                {"Content-Type": "application/json; charset=latin-1"},
            ]
        )
        return "_said_otherwise", Sent(_text(target.good), headers)
    how = rng.choice(BREAKS)
    return how.__name__, Sent(how(target.good, rng), headers)


# ---- Sending


class Sender(threading.Thread):
    """Sends its share over one connection, which it keeps open as long as the server does."""

    def __init__(self, person: Person, goals: list[Target], count: int, seed: int) -> None:
        super().__init__()
        self.person, self.goals, self.count = person, goals, count
        self.rng = random.Random(seed)
        self.statuses: Counter[int] = Counter()
        self.faults: list[str] = []
        self.connection = HTTPConnection("127.0.0.1", person.server.port, timeout=60)

    def run(self) -> None:
        for _ in range(self.count):
            target = self.rng.choice(self.goals)
            how, sent = broken(target, self.rng)
            try:
                status, problem = self._answered(target, sent)
            except (OSError, HTTPException, ValueError) as fault:
                self.faults.append(f"{how} to {target[:3]}: {fault!r}; sent {sent.body[:300]!r}")
                continue
            self.statuses[status] += 1
            if not 400 <= status < 500 or not str(problem.get("type")).startswith("/problems/"):
                self.faults.append(
                    f"{how} to {target[:3]} was answered {status}; sent {sent.body[:300]!r}"
                )

    def _answered(self, target: Target, sent: Sent) -> tuple[int, Any]:
        """Return the status and the problem of the response.

        If the server has closed the connection, as it does after a body that it did not read (RFC
        9112, section 9.3.1), a new one is opened.
        """
        try:
            return self._send(target, sent)
        except (ConnectionError, RemoteDisconnected):
            self.connection.close()
            return self._send(target, sent)

    def _send(self, target: Target, sent: Sent) -> tuple[int, Any]:
        headers = {**sent.headers, "Authorization": f"Bearer {self.person.token}"}
        self.connection.request(target.method, target.path, sent.body, headers)
        response = self.connection.getresponse()
        content = response.read()
        if response.will_close:
            self.connection.close()
        return response.status, json.loads(content) if content else {}


def run(count: int, seed: int) -> Report:
    """Send `count` bodies to a separate server."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(Path(folder), ENVIRONMENT) as server,
    ):
        return send(server, count, seed)


def send(server: Server, count: int, seed: int) -> Report:
    """Send `count` bodies as a user with a few records."""
    report = Report("malformed_bodies")
    person = server.person("mallory", CALLS)
    for path, record in _records():
        status, _ = person.call("POST", path, record)
        assert status == 201, f"{path} was answered {status}"
    _, document = person.call("GET", "openapi.json")
    goals, before = targets(document), dict(_digests(server))
    share = -(-count // CONNECTIONS)
    senders = [Sender(person, goals, share, seed + number) for number in range(CONNECTIONS)]
    for sender in senders:
        sender.start()
    statuses: Counter[int] = Counter()
    for sender in senders:
        sender.join()
        statuses += sender.statuses
        report.cases += sender.statuses.total()
        for fault in sender.faults:
            report.lose(fault)
    after = dict(_digests(server))
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            report.lose(f"{name} is no longer what it was")
    counts = ", ".join(f"{number} times {status}" for status, number in sorted(statuses.items()))
    report.notes.append(f"{len(goals)} ways to send a body; answered {counts}")
    return report.finish(count)


def _records() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "projects/", {"name": "Reading X-rays", "team_members": ["Ann"]}
    for number in range(3):
        yield "tasks/", {"title": f"Label {number}", "tags": ["ml"], "project_id": 1}
        yield "models/", {"name": f"resnet{number}", "parameters": {"depth": 50}}


def _digests(server: Server) -> Iterator[tuple[str, str]]:
    """Yield the name and the digest of every document's file."""
    for path in sorted(server.documents.glob("*/*.json")):
        if not path.parent.name.startswith("."):
            name = str(path.relative_to(server.data))
            yield name, hashlib.sha256(path.read_bytes()).hexdigest()
