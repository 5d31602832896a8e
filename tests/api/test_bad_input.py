"""The attack list: each is refused with its reason, soon, and without a byte changed."""

import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from pytest_django.fixtures import Settings

from tests.api.conftest import Caller
from tests.attacks.hostile import ENCODINGS, MALFORMED, MEDIA_TYPES
from tests.folders import contents
from tests.server import Person, Server
from utils.json_storage import json_storage

# Of the processor, not of the clock. What grows with the square of a body takes minutes; the
# figure itself (50 ms on an idle machine) is measured elsewhere.
SECONDS_MAX = 2.0

INVALID: dict[str, Any] = {
    "a list": [],
    "a list of records": [{"title": "A"}],
    "null": None,
    "a number": 7,
    "a text": "title",
    "true": True,
    "no field": {},
    "missing field": {"priority": "high"},
    "blank title": {"title": "  "},
    "title of two lines": {"title": "A\nB"},
    "title too long": {"title": "A" * 201},
    "title is a number": {"title": 7},
    "title is null": {"title": None},
    "__proto__": {"title": "A", "__proto__": {"is_admin": True}},
    "constructor": {"title": "A", "constructor": {"prototype": {}}},
    "unknown field": {"title": "A", "is_admin": True},
    "another owner": {"title": "A", "user_id": 99},
    "an id": {"title": "A", "id": 7},
    "password": {"title": "A", "password": "x"},
    "revision": {"title": "A", "revision": 7},
    "unknown status": {"title": "A", "status": "done"},
    "true for an id": {"title": "A", "project_id": True},
    "no such project": {"title": "A", "project_id": 99},
    "a date that is none": {"title": "A", "due_date": "2026-02-30"},
    "tags as a text": {"title": "A", "tags": "ml"},
    "too many tags": {"title": "A", "tags": ["t"] * 51},
    "tags within tags": {"title": "A", "tags": [["ml"]]},
    "metadata as a list": {"title": "A", "metadata": []},
    "nested too deep for a field": {
        "title": "A",
        "metadata": json.loads('{"a":' * 20 + "1" + "}" * 20),
    },
    "a million faults": {"title": "A", "tags": [0] * 100_000},
}

NOWHERE = [
    "tasks/0/",
    "tasks/01/",
    "tasks/-1/",
    "tasks/+1/",
    "tasks/1.0/",
    "tasks/1e0/",
    "tasks/0x1/",
    "tasks/1_0/",
    "tasks/%D9%A3/",  # an Arabic three
    "tasks/1%00/",
    "tasks/%31%20/",
    "tasks/1234567890123456789/",
    "tasks/12345678901234567890123456/",
    "tasks/%2e%2e/",
    "tasks/..%2f..%2fusers/",
    "tasks/../projects/x/",
    "tasks/1/../../../../etc/passwd/",
    "tasks/None/",
    "tasks//",
    "users/1/",
    "tasks/1/delete/",
    "%0a",
    "%ff%fe",
    "",
]


@pytest.fixture
def unchanged(alice: Caller, data_folder: Path) -> Any:
    """Alice has a task, and after the test every byte is what it was before."""
    assert alice.post("tasks/", {"title": "A"}).status_code == 201
    before = contents(data_folder)
    yield
    assert contents(data_folder) == before


def check_problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.content[:500]
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Cache-Control"] == "no-store"
    problem: dict[str, Any] = answer.json()
    assert re.fullmatch("/problems/[a-z-]+", problem["type"])
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


def test_it_works(alice: Caller, unchanged: None) -> None:
    answer = alice.post("tasks/", b'{\n  "title": "A",\n  "title": "B"\n}')

    problem = check_problem(answer, 400)
    assert problem["type"] == "/problems/malformed-body"
    assert problem["detail"].startswith("Line 3, column 3: ")
    assert (problem["line"], problem["column"]) == (3, 3)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_bodies(alice: Caller, unchanged: None, method: str, name: str) -> None:
    body = MALFORMED[name]
    address = "tasks/" if method == "POST" else "tasks/1/"
    headers = {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body))}
    start = time.process_time()
    answer = alice.client.generic(method, f"/accounts/api/{address}", body, **headers)
    took = time.process_time() - start

    problem = check_problem(answer, 400)
    assert problem["line"] >= 1
    assert problem["column"] >= 1
    assert took < SECONDS_MAX


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("name", INVALID)
def test_invalid_records(alice: Caller, unchanged: None, method: str, name: str) -> None:
    start = time.process_time()
    answer = alice.call(method, "tasks/" if method == "POST" else "tasks/1/", INVALID[name])
    took = time.process_time() - start

    problem = check_problem(answer, 422)
    assert problem["errors"]
    assert all(set(error) == {"pointer", "detail"} for error in problem["errors"])
    assert len(answer.content) < 20_000
    assert took < SECONDS_MAX


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_other_media_types(alice: Caller, unchanged: None, media_type: str) -> None:
    answer = alice.client.generic("POST", "/accounts/api/tasks/", b'{"title": "A"}', media_type)

    check_problem(answer, 415)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encoded_bodies(alice: Caller, unchanged: None, encoding: str) -> None:
    answer = alice.client.generic(
        "POST",
        "/accounts/api/tasks/",
        b'{"title": "A"}',
        "application/json",
        headers={"content-encoding": encoding},
    )

    check_problem(answer, 415)


def test_the_limit_of_a_body(alice: Caller, unchanged: None) -> None:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    largest = b'{"title":"' + b"A" * (limit - 12) + b'"}'
    assert len(largest) == limit

    check_problem(alice.post("tasks/", largest), 422)
    check_problem(alice.post("tasks/", largest + b" "), 413)


@pytest.mark.parametrize("length", ["1e3", "-1", "+5", "٣", "9" * 19, "9" * 5000])
def test_lengths_that_are_none(alice: Caller, unchanged: None, length: str) -> None:
    answer = alice.client.generic(
        "POST", "/accounts/api/tasks/", b"{}", "application/json", CONTENT_LENGTH=length
    )

    check_problem(answer, 400)


def test_a_body_without_a_length(alice: Caller, unchanged: None) -> None:
    answer = alice.client.generic("POST", "/accounts/api/tasks/", CONTENT_TYPE="application/json")

    assert check_problem(answer, 411)["type"] == "/problems/length-required"


@pytest.mark.parametrize("address", NOWHERE)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_addresses_that_lead_nowhere(
    alice: Caller, unchanged: None, method: str, address: str
) -> None:
    check_problem(alice.call(method, address, {"title": "A"}), 404)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_methods_of_other_addresses(alice: Caller, unchanged: None, method: str) -> None:
    answer = alice.call(method, "tasks/", {"title": "B"})

    check_problem(answer, 405)
    assert answer["Allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "BREW", "LOCK"])
def test_methods_of_no_address(alice: Caller, unchanged: None, method: str) -> None:
    for client in (alice.client, Client()):
        answer = client.generic(method, "/accounts/api/tasks/")

        check_problem(answer, 405)
        assert "GET" in answer["Allow"]


@pytest.mark.parametrize(
    "query", ["a=b", "=", "a", "id=1&id=2", "%00=1", "&".join(f"a{n}=1" for n in range(1001))]
)
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_parameters(alice: Caller, unchanged: None, method: str, query: str) -> None:
    check_problem(alice.call(method, f"tasks/1/?{query}", {"title": "B"}), 400)


def test_a_strange_host(alice: Caller, unchanged: None) -> None:
    answer = alice.get("tasks/", headers={"host": "evil.example"})

    problem = check_problem(answer, 400)
    assert "evil" not in problem["detail"]


# What only a socket can send


@pytest.fixture(scope="module")
def victim(server: Server) -> Person:
    return server.person("victim")


def exchange(person: Person, *lines: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
    """Status and problem for a POST with these header lines and this body, sent as they are."""
    head = [
        "POST /accounts/api/tasks/ HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {person.token}",
        "Content-Type: application/json",
        "Connection: close",
        *lines,
    ]
    with socket.create_connection(("127.0.0.1", person.server.port), timeout=30) as connection:
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
    answer, _, content = received.partition(b"\r\n\r\n")
    return int(answer.split()[1]), json.loads(content) if content.startswith(b"{") else {}


@pytest.mark.parametrize(
    ("lines", "body", "status"),
    [
        (["Transfer-Encoding: chunked"], b'e\r\n{"title": "A"}\r\n0\r\n\r\n', 411),
        (["Transfer-Encoding: chunked"], b"zz\r\nbroken", 411),
        (["Content-Length: 14", "Transfer-Encoding: chunked"], b'{"title": "A"}', 400),
        (["Content-Length: 14", "Content-Length: 15"], b'{"title": "A"}', 400),
        (["Content-Length: 100"], b'{"title": "A"}', 400),
        (["Content-Length: 99999999999"], b'{"title": "A"}', 413),
        (["Content-Length: 14", "Content-Encoding: gzip"], b'{"title": "A"}', 415),
        ([], b"", 411),
    ],
)
def test_on_the_wire(victim: Person, lines: list[str], body: bytes, status: int) -> None:
    before = contents(victim.server.documents)

    answered, problem = exchange(victim, *lines, body=body)

    assert answered == status
    assert problem.get("status", status) == status
    assert contents(victim.server.documents) == before


def test_on_the_wire_a_good_call_passes(victim: Person) -> None:
    assert exchange(victim, "Content-Length: 14", body=b'{"title": "A"}')[0] == 201


@pytest.mark.parametrize("target", ["tasks/../tasks/", "tasks/%2e%2e/", "tasks/..%2f..%2f", "%00/"])
def test_on_the_wire_dots_are_not_folded(victim: Person, target: str) -> None:
    status, problem = victim.call("GET", target)

    assert status == 404
    assert problem["type"] == "/problems/no-such-address"


def test_refused_calls_take_from_the_burst_and_none_from_the_hour(
    alice: Caller, settings: Settings
) -> None:
    settings.NEURALFLOW_BURST = (4, 3600)
    refused = [
        alice.post("tasks/", {"titel": "x"}),
        alice.get("tasks/99/"),
        alice.post("tasks/bulk/", {"operations": [{"op": "delete", "id": 9}]}),
        alice.get("nowhere/"),
    ]
    assert [answer.status_code for answer in refused] == [422, 404, 422, 404]
    assert '"burst";r=0' in refused[-1]["RateLimit"]
    for answer in (alice.get("quota/"), alice.post("tasks/", {"titel": "x"})):
        check_problem(answer, 429)
        assert answer["Retry-After"] == "900"
    assert json_storage.quota(alice.id).used == 0
