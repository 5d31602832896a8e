"""What only a socket can send, to a real server: messages whose end or beginning is disputed."""

import socket
from collections.abc import Iterator

import pytest

from tests.attacks.counting import Count
from tests.folders import contents
from tests.server import Server, running_server

ADDRESSES = ("/", "/accounts/login/", "/accounts/api/tasks/", "/static/css/neuralflow.css", "/none")
pytestmark = pytest.mark.xdist_group("attacks on the wire")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("attacked")) as server:
        yield server


def exchange(server: Server, message: bytes) -> bytes:
    """What comes back for a message sent as it is; empty when nothing does."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        try:
            connection.sendall(message)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before all of it was sent
        received = b""
        try:
            while part := connection.recv(65536):
                received += part
        except OSError:
            pass  # closed with something of ours unread
    return received


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


HOST = b"Host: 127.0.0.1\r\n"
POST, GET = b"POST %s HTTP/1.1\r\n" + HOST, b"GET %s HTTP/1.1\r\n" + HOST
DISPUTED = {
    "two ways to tell the end": POST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "two lengths in one": POST + b"Content-Length: 4, 5\r\n\r\nabcde",
    "a length with a sign": POST + b"Content-Length: +4\r\n\r\nabcd",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: chunked, cow\r\n\r\n0\r\n\r\n",
    "line feeds alone": b"GET %s HTTP/1.1\nHost: 127.0.0.1\n\n",
    "a name with a space": GET + b"Content-Length : 4\r\n\r\nabcd",
    "a folded line": GET + b"X-A: b\r\n c\r\n\r\n",
    "a NUL in a header": GET + b"X-A: b\x00c\r\n\r\n",
    "200 headers": GET + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\n",
    "a long header": GET + b"X-A: " + b"a" * 9000 + b"\r\n\r\n",
    "a long line": b"GET %s?" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "no version": b"GET %s\r\n\r\n",
    "another version": b"GET %s HTTP/9.9\r\n" + HOST + b"\r\n",
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03%s",
    "another host": b"GET %s HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "two hosts": GET + b"Host: evil.example\r\n\r\n",
    "another host in the line": b"GET http://evil.example%s HTTP/1.1\r\nHost: evil.example\r\n\r\n",
}


@pytest.mark.parametrize("name", DISPUTED)
def test_disputed_messages(server: Server, count: Count, name: str) -> None:
    before = contents(server.documents)
    for address in ADDRESSES:
        answer = exchange(server, DISPUTED[name].replace(b"%s", address.encode()))
        told = f"{name} {address}: {answer[:200]!r}"
        # 501 is what RFC 9112 asks for where a transfer coding is not known.
        assert 400 <= status(answer) < 500 or status(answer) == 501 or answer == b"", told
        assert answer.count(b"HTTP/1.1 ") <= 1, told  # a second message was never seen
        count("disputed messages", 1)
    assert contents(server.documents) == before


@pytest.mark.parametrize(
    "target",
    [
        "/static/../manage.py",
        "/static/%2e%2e/manage.py",
        "/static/..%2f..%2fetc/passwd",
        "/static/",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/data/",
        "/.git/config",
        "/.env",
        "/.secret_key",
    ],
)
def test_nothing_but_static_files_is_served(server: Server, count: Count, target: str) -> None:
    answer = exchange(server, GET.replace(b"%s", target.encode()) + b"Connection: close\r\n\r\n")

    assert status(answer) in (301, 400, 404), answer[:200]
    count("disputed messages", 1)


@pytest.mark.parametrize(
    "body", [b"zz\r\nbroken", b"ffffffffffffffffff\r\n", b"4\r\nab", b"-1\r\n"]
)
@pytest.mark.parametrize("address", ADDRESSES)
def test_broken_chunks(server: Server, count: Count, address: str, body: bytes) -> None:
    head = POST.replace(b"%s", address.encode()) + b"Transfer-Encoding: chunked\r\n\r\n"

    answer = exchange(server, head + body)

    assert status(answer) < 500, answer[:200]
    count("disputed messages", 1)


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_server_goes_on_and_says_nothing_of_itself(server: Server, address: str) -> None:
    answer = exchange(server, GET.replace(b"%s", address.encode()) + b"Connection: close\r\n\r\n")
    head = answer.partition(b"\r\n\r\n")[0].lower()

    assert status(answer) in (200, 401, 404)
    for word in (b"python", b"django", b"whitenoise", b"neuralflow/", b"access-control-"):
        assert word not in head
