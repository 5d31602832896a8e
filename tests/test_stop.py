"""The server stops when it is told to: soon, without a word, and after what is under way."""

import json
import os
import pty
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.api.events import Stream
from tests.server import Server, prepared_server, started

pytestmark = pytest.mark.slow
SOON = 8  # seconds, on a busy machine; gunicorn gives up waiting after ten

# The server as it is, but that it would wait a minute for a client that it waits for at all.
PATIENT = """
from neuralflow.gunicorn_conf import *
from neuralflow import request_buffer, worker
request_buffer.IDLE_SECONDS = worker.LINGER_SECONDS = graceful_timeout = 60
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    return prepared_server(tmp_path_factory.mktemp("stopped"))


def get(server: Server) -> HTTPConnection:
    """A connection that has been answered and stays open, as browsers keep theirs."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", "/")
    assert connection.getresponse().read()
    return connection


def assert_gone(server: Server, process: subprocess.Popen[str], within: float = SOON) -> None:
    begin = time.monotonic()
    process.wait(60)
    took = time.monotonic() - begin
    log = server.log.read_text()
    assert "gunicorn.error" not in log and "Traceback" not in log, log
    assert took < within
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("wait", [0, 0.4])
def test_it_stops_while_it_is_starting(server: Server, number: signal.Signals, wait: float) -> None:
    with started(server) as process:
        time.sleep(wait)
        os.killpg(process.pid, number)  # as Ctrl-C does, which reaches every process
        assert_gone(server, process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_with_a_browser_connected(server: Server, number: signal.Signals) -> None:
    with started(server) as process:
        connection = get(server)
        os.killpg(process.pid, number)
        assert_gone(server, process)
        connection.close()


def test_it_stops_when_only_its_master_is_told(server: Server) -> None:
    with started(server) as process:
        get(server).close()
        process.terminate()
        assert_gone(server, process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_completes_requests_in_progress(server: Server, number: signal.Signals) -> None:
    body = b'{"title": "Train the baseline"}'
    head = "POST /accounts/api/tasks/ HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    with started(server) as process:
        person = server.person(f"person{number}")
        head += f"Authorization: Bearer {person.token}\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(head.encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")  # it waits for the body

            os.killpg(process.pid, number)
            time.sleep(0.5)
            connection.sendall(body)

            assert connection.recv(4096).startswith(b"HTTP/1.1 201 ")
        assert_gone(server, process)
    file = server.data / "tasks" / f"tasks_{person.id}.json"  # exact once the workers have ended
    assert [task["title"] for task in json.loads(file.read_bytes())["tasks"]] == [
        "Train the baseline"
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_disconnects_waiting_clients(
    server: Server, number: signal.Signals, tmp_path: Path
) -> None:
    patient = tmp_path / "patient.py"
    patient.write_text(PATIENT)
    with started(server, options=["--config", str(patient)]) as process, ExitStack() as stack:
        person, other = (server.person(f"{name}{number}") for name in ("streaming", "polling"))
        polling, idle = get(server), get(server)
        since = other.call("GET", "changes/")[1]["next"]
        headers = {"Authorization": f"Bearer {other.token}"}
        polling.request("GET", f"/accounts/api/changes/?since={since}&wait=30", headers=headers)
        answered = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        answered.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        while answered.recv(65536):
            pass
        stream = stack.enter_context(Stream(person).begun())

        os.killpg(process.pid, number)

        assert_gone(server, process)  # no client has closed, or as much as heard of it
        assert list(stream) == []
        answer = polling.getresponse()
        assert (answer.status, json.load(answer)["changes"]) == (200, [])
        assert idle.sock.recv(1) == b""


def test_it_stops_when_its_terminal_is_closed(server: Server) -> None:
    mine, its = pty.openpty()
    try:
        with started(server, stdin=its) as process:
            get(server).close()
            os.killpg(process.pid, signal.SIGHUP)
            assert_gone(server, process)
    finally:
        os.close(mine)
        os.close(its)


def test_a_service_outlives_the_terminal_of_whoever_started_it(server: Server) -> None:
    with started(server) as process:
        get(server).close()
        os.killpg(process.pid, signal.SIGHUP)
        get(server).close()
        process.terminate()
        assert_gone(server, process)
