"""A TCP proxy before PostgreSQL that injects faults into commits.

It knows a commit by the history entry among its arguments. A fault hits the next commit that is
asked for (`faults.put`), or commits and other calls by chance.
"""

from __future__ import annotations

import queue
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from typing import Final

_COMMIT: Final = b'"changes":['
_BYTES: Final = 1 << 16


class Fault(Enum):
    """What happens to one call."""

    RESET_BEFORE = auto()  # the server never receives it
    LOST_ANSWER = auto()  # the server has done it, and the client never hears of it
    CUT_OFF = auto()  # the connection to the client breaks while the server still works on it
    DELAY = auto()


class Proxy:
    """Listens on a port of its own and forwards to the server's."""

    def __init__(self, port: int, chance: float = 0.0, seed: int = 0) -> None:
        self._target = port
        self._random, self._chance = random.Random(seed), chance
        self._lock = threading.Lock()
        self.faults: queue.SimpleQueue[Fault] = queue.SimpleQueue()
        self.injected: Counter[Fault] = Counter()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._links: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            _reset(client)
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._links |= {client, server}
        loses_answer = threading.Event()
        back = threading.Thread(
            target=self._answer, args=(server, client, loses_answer), daemon=True
        )
        back.start()
        try:
            while data := client.recv(_BYTES):
                fault = self._fault(is_commit=_COMMIT in data)
                if fault is Fault.RESET_BEFORE:
                    break
                if fault is Fault.DELAY:
                    time.sleep(0.02)
                if fault is Fault.LOST_ANSWER:
                    loses_answer.set()
                server.sendall(data)
                if fault is Fault.CUT_OFF:
                    _reset(client)
                    client = socket.socket()  # the server may finish its work
                    back.join(5)
                    break
        except OSError:
            pass
        finally:
            for end in (client, server):
                _reset(end)
            self._links -= {client, server}

    def _answer(
        self, server: socket.socket, client: socket.socket, loses_answer: threading.Event
    ) -> None:
        with suppress(OSError):
            while data := server.recv(_BYTES):
                if loses_answer.is_set():
                    break
                client.sendall(data)
        _reset(client)

    def _fault(self, *, is_commit: bool) -> Fault | None:
        with self._lock:
            fault = None
            if is_commit:
                with suppress(queue.Empty):
                    fault = self.faults.get_nowait()
            share = self._chance if is_commit else self._chance / 10
            if fault is None and self._random.random() < share:
                fault = self._random.choice(list(Fault))
            if fault is not None:
                self.injected[fault] += 1
            return fault

    def reset_all(self) -> None:
        """Break all connections at once, as a failover does."""
        for link in tuple(self._links):
            _reset(link)

    def close(self) -> None:
        self._listener.close()
        self.reset_all()


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        end.close()


@contextmanager
def proxy(port: int, chance: float = 0.0, seed: int = 0) -> Iterator[Proxy]:
    """Yield a proxy that runs until the block ends."""
    running = Proxy(port, chance, seed)
    try:
        yield running
    finally:
        running.close()
