"""A client that takes its answer slowly, or not: no thread waits for it."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from neuralflow import client_socket
from neuralflow.client_socket import GRACE_SECONDS, LEAST_RATE, MEMORY_MAX, ClientSocket, Intake

LARGE = bytes(range(256)) * 40_000  # more than the system takes of an answer


class Pair:
    """Both ends of a connection, and how often the loop was told of a rest."""

    def __init__(self) -> None:
        accepted, self.client = socket.socketpair()
        self.told = 0
        self.server = ClientSocket(accepted, self._tell)
        self.client.settimeout(10)

    def _tell(self) -> None:
        self.told += 1

    def received(self, size: int) -> bytes:
        """Take so many bytes, while the loop sends as there is room."""
        data = b""
        while len(data) < size:
            self.server.send_rest()
            data += self.client.recv(65_536)
        return data


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.server.release()
    pair.client.close()


def test_answer_that_is_not_taken_is_sent_by_the_loop_in_order(pair: Pair) -> None:
    parts = [b"head", b"x" * 300_000, b"y" * (MEMORY_MAX // 2), b"z" * MEMORY_MAX, LARGE, b"end"]
    for part in parts:
        pair.server.sendall(part)  # in the thread that would have to read it: it would hang
    assert pair.told == 2  # when it began, and when its file grew by SPOOL_STEP
    assert pair.server.rest > pair.server.spooled > MEMORY_MAX
    whole = b"".join(parts)
    assert pair.received(len(whole)) == whole
    assert pair.server.send_rest()
    assert pair.server.rest == 0

    pair.server.sendall(b"next")
    assert pair.told == 2
    assert pair.client.recv(100) == b"next"


def test_file_is_sent_without_waiting_and_its_position_stays(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(LARGE)
    with path.open("rb") as file:
        assert pair.server.sendfile(file, 10, len(LARGE) - 20) == len(LARGE) - 20
        assert file.tell() == 0
    assert pair.received(len(LARGE) - 20) == LARGE[10:-10]


def test_answer_has_a_least_rate(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(client_socket.time, "monotonic", lambda: now)
    pair.server.sendall(LARGE)
    assert not pair.server.is_too_slow(now + GRACE_SECONDS)
    assert pair.server.is_too_slow(now + GRACE_SECONDS + 1)
    rest = pair.server.rest
    pair.received(20 * LEAST_RATE)
    sent = rest - pair.server.rest
    assert sent > LEAST_RATE
    patience = GRACE_SECONDS + sent / LEAST_RATE
    assert not pair.server.is_too_slow(now + patience)
    assert pair.server.is_too_slow(now + patience + 1)


def test_dropped_connection_lets_no_thread_send(pair: Pair) -> None:
    pair.server.sendall(LARGE)
    pair.server.drop()
    assert pair.server.rest == 0
    with pytest.raises(BrokenPipeError):
        pair.server.sendall(b"more")


def test_thread_that_has_all_of_a_request_waits_for_no_more(pair: Pair) -> None:
    with pytest.raises(TimeoutError):
        pair.server.recv(100)


def test_rest_of_a_large_body_has_a_least_rate(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(client_socket.time, "monotonic", lambda: now)
    pair.server.intake = Intake(3 * LEAST_RATE)
    pair.client.sendall(b"x" * 2 * LEAST_RATE)
    now += GRACE_SECONDS
    assert len(pair.server.recv(LEAST_RATE)) == LEAST_RATE
    now += 1
    assert len(pair.server.recv(LEAST_RATE)) == LEAST_RATE
    assert pair.server.intake.left == LEAST_RATE
    now += 2
    with pytest.raises(TimeoutError):
        pair.server.recv(LEAST_RATE)


def test_number_of_a_connection_is_released_by_the_loop_alone(pair: Pair) -> None:
    number = pair.server.fileno()
    pair.server.close()  # as a thread does after a fault
    assert pair.server.fileno() == number
    assert pair.client.recv(1) == b""
    pair.server.release()
    assert pair.server.fileno() == -1


def test_head_goes_with_what_follows_or_alone(pair: Pair) -> None:
    pair.server.hold_head()
    pair.server.sendall(b"head ")
    pair.client.setblocking(False)
    with pytest.raises(BlockingIOError):
        pair.client.recv(100)
    pair.client.settimeout(10)
    pair.server.sendall(b"body")
    assert pair.client.recv(100) == b"head body"
    pair.server.sendall(b" more")
    assert pair.client.recv(100) == b" more"
    pair.server.send_head()

    pair.server.hold_head()
    pair.server.sendall(b"head alone")
    pair.server.send_head()
    assert pair.client.recv(100) == b"head alone"

    pair.server.hold_head()
    pair.server.sendall(b"head ")
    pair.server.sendall(LARGE)
    assert pair.received(5 + len(LARGE)) == b"head " + LARGE
