"""Clients that send slowly, too much, or nothing, beside one that wants an answer."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from selectors import DefaultSelector
from typing import Any

import pytest

from accounts.credentials import KnownCredentials
from neuralflow import request_buffer
from neuralflow.client_socket import LEAST_RATE, ClientSocket
from neuralflow.fair_queue import Lane
from neuralflow.request_buffer import BAD_REQUEST, HEAD_TOO_LARGE, RequestBuffer
from neuralflow.worker import Worker
from tests.server import Server, prepared_server, started

POST = b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\n"
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
CALL = b"POST /accounts/api/tasks/ HTTP/1.1\r\nHost: a\r\n"
FORM = POST + b"Content-Type: application/x-www-form-urlencoded\r\n"
SLOW = {
    "nothing": b"",
    "a line": b"GET / HT",
    "some headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n",
    "half a body": FORM + b"Content-Length: 1000\r\n\r\nlogin=alice&",
    "chunks without an end": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nlogin",
    "a body that waits to be asked for": POST
    + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n",
    "a large body": POST
    + b"Cookie: sessionid=x\r\nContent-Length: 3000000\r\n\r\n"
    + b"x" * 1_100_000,
    "half a second request": b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTT",
    "its answer not taken": b"GET /static/css/neuralflow.css HTTP/1.0\r\n\r\n",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = prepared_server(tmp_path_factory.mktemp("slow"))
    with started(server) as process:
        try:
            assert is_answered(server)
            yield server
        finally:
            process.terminate()
            process.wait(30)


def send(server: Server, data: bytes) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    link.sendall(data)
    return link


def answer(server: Server, data: bytes) -> bytes:
    with closing(send(server, data)) as link:
        return link.recv(100).split(b"\r\n")[0]


def is_answered(server: Server) -> bool:
    """Whether somebody else gets a page before all of the slow ones are given up."""
    link = HTTPConnection("127.0.0.1", server.port, timeout=request_buffer.BODY_SECONDS - 2)
    try:
        link.request("GET", "/accounts/login/")
        return link.getresponse().status == 200
    except TimeoutError:
        return False
    finally:
        link.close()


@pytest.mark.parametrize("slow", SLOW)
def test_forty_slow_clients_do_not_keep_others_from_their_answer(served: Server, slow: str) -> None:
    with ExitStack() as links:
        for _ in range(40):
            links.enter_context(closing(send(served, SLOW[slow])))
        assert is_answered(served)
        assert is_answered(served)


def test_slow_request_responds_408(served: Server) -> None:
    with closing(send(served, b"GET / HTTP/1.1\r\nHost: loc")) as link:
        assert link.recv(100).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 70 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 9000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 600_000, b"431"),
        (b"GET / HTTP/1.1\nHost: localhost\n\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", b"400"),
        (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", b"400"),
        (POST + b"Content-Length: 0000000000000000003\r\n\r\nabc", b"400"),
        (POST + b"Content-Length: 99999999999999999999\r\n\r\nabc", b"400"),
        (POST + b"Content-Length: 3e0\r\n\r\nabc", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /accounts/api/ HTTP/1.1\r\nConnection: close\r\nX-Host: a\r\n\r\n", b"400"),
        (b"GET /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", b"400"),
        (b"GET /accounts/login/ HTTP/1.0\r\n\r\n", b"200"),
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
    ],
)
def test_heads_are_bounded_and_have_one_meaning(
    served: Server, request_: bytes, status: bytes
) -> None:
    assert answer(served, request_).split()[1] == status


def test_requests_that_come_in_pieces_or_together_are_answered(served: Server) -> None:
    one = b"GET /nowhere/%d/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with closing(send(served, b"")) as link:
        for number in range(3):
            for byte in one % number:
                link.sendall(bytes([byte]))
        link.sendall(b"".join(one % number for number in range(3)))
        received = b""
        while received.count(b"HTTP/1.1 404") < 6:
            part = link.recv(65_536)
            assert part, received[-500:]
            received += part


def test_log_lines_cannot_be_forged(served: Server) -> None:
    forged = "x\r\n2026-01-01 INFO all is well\x1b[2J\x00\u2028"
    escaped = "".join(f"%{byte:02x}" for byte in forged.encode())
    before = served.log.stat().st_size
    head = f"GET /{escaped}/?{escaped} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a\x1b[2Jb\r\n\r\n"
    assert answer(served, head.encode()).split()[1] in {b"404", b"400"}
    body = f"login={escaped}&password=x"
    link = HTTPConnection("127.0.0.1", served.port, timeout=60)
    link.request(
        "POST", "/accounts/login/", body, {"Host": "evil\x1b[2J", "X-Forwarded-For": forged[:1]}
    )
    assert link.getresponse().status == 400
    lines = served.log.read_bytes()[before:].splitlines()
    assert lines
    for line in lines:
        assert line.isascii()
        event: dict[str, Any] = json.loads(line)
        assert event["time"].endswith("Z")
        assert {"level", "logger", "message"} <= event.keys()


@pytest.fixture
def arrival() -> RequestBuffer:
    return RequestBuffer(None, head_max=100)


def test_a_request_is_whole_when_its_body_is(arrival: RequestBuffer) -> None:
    for part in (
        b"\r\nPOST / HTTP/1.1\r\nHo",
        b"st: a\r",
        b"\ncontent-LENGTH : 5\r\n\r",
        b"\nab",
        b"cd",
    ):
        arrival.add(part)
        assert not arrival.is_ready()
        assert arrival.fault() == b""
    arrival.add(b"e")
    assert arrival.is_ready()
    assert arrival.whole
    assert arrival.data.startswith(b"POST")


def test_expect_continue_is_taken_once(arrival: RequestBuffer) -> None:
    arrival.add(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert not arrival.is_ready()
    assert arrival.take_expectation() > 0
    assert arrival.take_expectation() == 0
    arrival.add(b"ab")
    assert arrival.is_ready()
    assert arrival.data == b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"


def test_a_large_body_is_not_waited_for(
    arrival: RequestBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_buffer, "BODY_MAX", 10)
    arrival.add(HEAD + b"Authorization: Bearer t\r\nContent-Length: 50\r\n\r\n123456789")
    assert not arrival.is_ready()
    arrival.add(b"0")
    assert arrival.is_ready()
    assert not arrival.whole
    assert arrival.missing == 40


def test_body_of_a_stranger_is_hardly_waited_for(
    arrival: RequestBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_buffer, "STRANGER_BODY_MAX", 5)
    arrival.add(HEAD + b"Cookie: theme=dark\r\nContent-Length: 50\r\n\r\n1234")
    assert not arrival.is_ready()
    arrival.add(b"5")
    assert arrival.is_ready()
    assert not arrival.whole
    assert arrival.missing == 0


@pytest.mark.parametrize(
    ("digits", "fault"), [(b"000000000000000005", b""), (b"0000000000000000005", BAD_REQUEST)]
)
def test_length_has_at_most_18_digits(arrival: RequestBuffer, digits: bytes, fault: bytes) -> None:
    arrival.add(HEAD + b"Content-Length: " + digits + b"\r\n\r\n1234")
    assert not arrival.is_ready()
    assert arrival.fault() == fault


@pytest.mark.parametrize("value", [b"", b"-1", b"4x", b"4 4", b"4, 4", b"\xb2", b"4\x00"])
def test_length_that_is_no_number_makes_a_part(arrival: RequestBuffer, value: bytes) -> None:
    arrival.add(HEAD + b"Content-Length: " + value + b"\r\n\r\nabcd")
    assert arrival.is_ready()
    assert not arrival.whole
    assert arrival.missing == 0


@pytest.mark.parametrize(
    ("headers", "lane", "account"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n", Lane.OTHER, None),
        (b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b; sessionid=s1; c=d\r\n", Lane.OTHER, 7),
        (b"GET / HTTP/1.1\r\nHost: a\r\nCookie: sessionid=made-up\r\n", Lane.OTHER, None),
        (HEAD, Lane.STRANGER, None),
        (HEAD + b"cookie: __Host-sessionid=s1\r\n", Lane.FORM, 7),
        (HEAD + b"cookie: __Host-sessionid=made-up\r\n", Lane.STRANGER, None),
        (HEAD + b"authorization: Basic x\r\ncookie: sessionid=s1\r\n", Lane.FORM, 7),
        (HEAD + b"authorization: Bearer t1\r\n", Lane.FORM, 8),
        (HEAD + b"authorization: Bearer made-up\r\n", Lane.STRANGER, None),
        (CALL + b"authorization: Bearer t1\r\n", Lane.OTHER, 8),
        (CALL + b"authorization: bearer  made-up\r\n", Lane.OTHER, None),
    ],
)
def test_lane_and_account_of_a_request(
    arrival: RequestBuffer,
    headers: bytes,
    lane: Lane,
    account: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = KnownCredentials()
    monkeypatch.setattr("neuralflow.request_buffer.known_credentials", known)
    known.note("s1", 7)
    known.note("t1", 8)
    arrival.add(headers + b"X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n\r\n")
    assert arrival.is_ready()
    assert (arrival.lane, arrival.account) == (lane, account)
    assert arrival.forwarded_for() == b"1.2.3.4, 5.6.7.8"


def test_heads_without_an_end_are_refused(arrival: RequestBuffer) -> None:
    arrival.add(b"x" * 101)
    assert not arrival.is_ready()
    assert arrival.fault() == HEAD_TOO_LARGE


@pytest.mark.parametrize(
    "parts", [[b"GET /\n\n"], [b"GET /\nA: b\n", b"\r\n"], [b"GET /\n", b"\n"]]
)
def test_lines_that_end_otherwise_are_refused(arrival: RequestBuffer, parts: list[bytes]) -> None:
    faults = []
    for part in parts:
        arrival.add(part)
        assert not arrival.is_ready()
        faults.append(arrival.fault())
    assert faults[-1] == BAD_REQUEST


def test_patience_ends(arrival: RequestBuffer, monkeypatch: pytest.MonkeyPatch) -> None:
    now = request_buffer.time.monotonic()

    def at(seconds: float) -> None:
        monkeypatch.setattr(request_buffer.time, "monotonic", lambda: now + seconds)

    assert arrival.is_overdue(now + request_buffer.IDLE_SECONDS + 1)
    at(3)
    arrival.add(b"P")
    at(9)
    arrival.add(b"OST / HTTP/1.1\r\nHost: a\r\n")  # further bytes buy no more time
    arrival.is_ready()
    assert not arrival.is_overdue(now + 12)
    assert arrival.is_overdue(now + 3 + request_buffer.HEAD_SECONDS + 1)
    arrival.add(b"Content-Length: 9\r\n\r\n")
    arrival.is_ready()
    assert not arrival.is_overdue(now + 30)
    assert arrival.is_overdue(now + 9 + request_buffer.BODY_SECONDS + 1)


def test_body_at_the_least_rate_is_never_overdue(
    arrival: RequestBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(request_buffer.time, "monotonic", lambda: now)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nCookie: sessionid=a\r\n\r\n"
    arrival.add(head)
    assert not arrival.is_ready()
    for second in range(1, 100):
        arrival.add(b"x" * LEAST_RATE)
        assert not arrival.is_ready()
        assert not arrival.is_overdue(now + second)
        assert arrival.is_overdue(now + second + request_buffer.BODY_SECONDS + 1)
    arrival.add(b"x" * LEAST_RATE)
    assert arrival.is_ready()


class _Answer:
    """A connection with a response that its client does not read."""

    def __init__(self, worker: Worker) -> None:
        accepted, self.client = socket.socketpair()
        self.sock = ClientSocket(accepted, lambda: worker._watch_answer(self))


def test_growing_responses_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuralflow.worker.SPOOLED_MAX", 3_000_000)
    monkeypatch.setattr("neuralflow.client_socket.SPOOL_STEP", 100_000)
    server = Worker.__new__(Worker)
    server._answering, server.poller = {}, DefaultSelector()
    answers = [_Answer(server) for _ in range(2)]
    small, large = answers
    try:
        for _ in range(10):
            small.sock.sendall(b"x" * 100_000)
        with pytest.raises(BrokenPipeError):
            for _ in range(100):
                large.sock.sendall(b"x" * 100_000)
        assert list(server._answering) == [small]
        assert large.sock.spooled == 0 < small.sock.spooled
    finally:
        server.poller.close()
        for answer in answers:
            answer.sock.release()
            answer.client.close()
