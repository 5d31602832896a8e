"""Sockets of clients: a thread writes an answer and goes on, however slowly it is taken.

A thread that waited for a client to take its answer would be lost to all others meanwhile, and
sixteen such clients would stop the server. So what the system does not take at once is retained
here, a little of it in memory and the rest in a temporary file, and the worker's loop sends it when
there is room. In the other direction a thread waits only for bodies that are too large for the
loop, and only while they come at `LEAST_RATE`.
"""

import errno
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from typing import IO, Any

LEAST_RATE = 10_000  # bytes a second, on the average
GRACE_SECONDS = 30.0  # that a client may fall behind it
MEMORY_MAX = 256 * 1024  # bytes of an answer; beyond that they go to a temporary file
_PIECE = 256 * 1024  # bytes of a file read at once


def _do_nothing() -> None:
    """Nobody is to hear of a rest any more."""


class Pace:
    """Bytes moved since somebody began to wait for them."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.moved = 0

    def is_too_slow(self, now: float) -> bool:
        return now > self.began + GRACE_SECONDS + self.moved / LEAST_RATE

    def rate(self, now: float) -> float:
        """Return the bytes a second so far."""
        return self.moved / max(now - self.began, 0.001)


class Intake:
    """The rest of a body that a thread may read."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.pace = Pace()

    def take(self, size: int) -> None:
        self.left -= size
        self.pace.moved += size


class ClientSocket(socket.socket):
    """A connection that a thread writes to without waiting; the loop sends the rest."""

    def __init__(self, accepted: socket.socket, on_rest: Callable[[], None]) -> None:
        family, kind, protocol = accepted.family, accepted.type, accepted.proto
        super().__init__(family, kind, protocol, fileno=accepted.detach())
        self.intake: Intake | None = None  # None: the thread has all of the request
        self.pace: Pace | None = None  # of the answer, while there is a rest
        self._on_rest = on_rest
        self._lock = threading.Lock()
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._sent = self._written = 0  # bytes of the file
        self._is_dropped = False

    @property
    def rest(self) -> int:
        """Bytes of the answer that are not sent yet."""
        return len(self._memory) + self.spooled

    @property
    def spooled(self) -> int:
        """Those of them that are in a file."""
        return self._written - self._sent

    def is_too_slow(self, now: float) -> bool:
        """Return whether the client takes its answer more slowly than it may."""
        pace = self.pace
        return pace is not None and pace.is_too_slow(now)

    def rate(self, now: float) -> float:
        """Return at how many bytes a second it does."""
        pace = self.pace
        return 0.0 if pace is None else pace.rate(now)

    # Called by threads

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Read more of the body. Raises `TimeoutError` if it comes too slowly, or if the thread has
        been given all that it may have."""
        if flags or not self.getblocking():
            return super().recv(size, flags)
        intake = self.intake
        if intake is None or intake.pace.is_too_slow(time.monotonic()):
            raise TimeoutError(errno.ETIMEDOUT, "the rest of the request has not come in time")
        data = super().recv(size)
        intake.take(len(data))
        return data

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send what the system takes now and retain the rest. Raises `BrokenPipeError` if the
        connection was given up."""
        view = memoryview(data)
        with self._lock:
            if self._is_dropped:
                raise BrokenPipeError(errno.EPIPE, "the client took its answer too slowly")
            begins = not self.rest
            if begins:
                view = view[self._send_now(view) :]
                if not view:
                    return
            self._retain(view)
            if begins:
                self.pace = Pace()
        if begins:
            self._on_rest()

    def sendfile(self, file: IO[bytes], offset: int = 0, count: int | None = None) -> int:  # type: ignore[override]
        """Send a part of a file, read from its descriptor; its position stays as it is."""
        done = 0
        while count is None or done < count:
            size = _PIECE if count is None else min(_PIECE, count - done)
            piece = os.pread(file.fileno(), size, offset + done)
            if not piece:
                break
            self.sendall(piece)
            done += len(piece)
        return done

    def close(self) -> None:
        """End the connection, and leave it to the loop to release its number: while the loop
        watches that, the system must not give it to another file."""
        try:
            self.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the client has closed it

    # Called by the loop

    def send_rest(self) -> bool:
        """Send what the system takes now. Returns whether nothing is left."""
        with self._lock:
            while self.rest:
                if self._memory:
                    piece = bytes(self._memory[:_PIECE])
                    sent = self._send_now(memoryview(piece))
                    del self._memory[:sent]
                else:
                    assert self._file is not None
                    piece = os.pread(self._file.fileno(), _PIECE, self._sent)
                    sent = self._send_now(memoryview(piece))
                    self._sent += sent
                if self.pace is not None:
                    self.pace.moved += sent
                if sent < len(piece):
                    return False
            self._empty()
            return True

    def drop(self) -> None:
        """Discard the rest and let no thread send any more."""
        with self._lock:
            self._is_dropped = True
            self._memory.clear()
            self._empty()
        self.close()

    def release(self) -> None:
        """Close the connection, and the file with its rest."""
        with self._lock:
            self._is_dropped = True
            self._empty()
            self._on_rest = _do_nothing  # it refers to what refers to this
        super().close()

    # Under the lock

    def _send_now(self, view: memoryview) -> int:
        sent = 0
        try:
            while sent < len(view):
                sent += self.send(view[sent:], socket.MSG_DONTWAIT)
        except BlockingIOError:
            return sent
        return sent

    def _retain(self, view: memoryview) -> None:
        if self._file is None and len(self._memory) + len(view) <= MEMORY_MAX:
            self._memory += view
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  until `_empty`
        while view:
            size = os.pwrite(self._file.fileno(), view, self._written)
            self._written += size
            view = view[size:]

    def _empty(self) -> None:
        self.pace = None
        if self._file is not None:
            self._file.close()
        self._file, self._sent, self._written = None, 0, 0
