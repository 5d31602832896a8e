"""Client sockets with buffered output, so that threads never wait for slow clients.

Without buffering, sixteen clients that read slowly would block all threads. Bytes that the kernel
does not accept at once are buffered, a little in memory and the rest in a temporary file, and the
worker's event loop sends them later. A thread waits only for request bodies too large for the loop,
and only while they arrive at `LEAST_RATE`.
"""

import errno
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from typing import IO, Any

LEAST_RATE = 10_000  # bytes per second, on average
GRACE_SECONDS = 30.0  # that a client may fall behind LEAST_RATE
MEMORY_MAX = 256 * 1024  # bytes of a response in memory; more go to a temporary file
HEAD_MAX = 8 * 1024  # bytes of a head that is held back
_JOINED_MAX = 64 * 1024  # bytes that are copied to be sent with it
# Bytes that are added to a temporary file before the loop is notified again, to bound all files.
SPOOL_STEP = 4 * 1024 * 1024
_PIECE = 256 * 1024  # bytes of a file read at once


def _do_nothing() -> None:
    """Replace the callback of a released socket."""


class Pace:
    """The bytes moved since a transfer began."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.moved = 0

    def is_too_slow(self, now: float) -> bool:
        return now > self.began + GRACE_SECONDS + self.moved / LEAST_RATE

    def rate(self, now: float) -> float:
        """Return the average bytes per second so far."""
        return self.moved / max(now - self.began, 0.001)


class Intake:
    """The remaining bytes of a body that a thread may read."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.pace = Pace()

    def take(self, size: int) -> None:
        self.left -= size
        self.pace.moved += size


class ClientSocket(socket.socket):
    """A connection that threads write to without blocking. The event loop sends the rest."""

    def __init__(self, accepted: socket.socket, on_rest: Callable[[], None]) -> None:
        family, kind, protocol = accepted.family, accepted.type, accepted.proto
        super().__init__(family, kind, protocol, fileno=accepted.detach())
        self.intake: Intake | None = None  # None if the complete request was read
        self.pace: Pace | None = None  # of the response, while bytes are buffered
        self._on_rest = on_rest
        self._lock = threading.Lock()
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._sent = self._written = 0  # offsets in the temporary file
        self._notified = 0  # `_written` when the loop was notified last
        self._is_dropped = False
        self._head: bytes | None = None  # the held-back head; b"" before it is written

    @property
    def rest(self) -> int:
        """The number of buffered bytes."""
        return len(self._memory) + self.spooled

    @property
    def spooled(self) -> int:
        """The number of buffered bytes in the temporary file."""
        return self._written - self._sent

    def is_too_slow(self, now: float) -> bool:
        """Return whether the client reads its response too slowly."""
        pace = self.pace
        return pace is not None and pace.is_too_slow(now)

    def rate(self, now: float) -> float:
        """Return the bytes per second at which the client reads."""
        pace = self.pace
        return 0.0 if pace is None else pace.rate(now)

    # Called by threads

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Read more of the body.

        Raises `TimeoutError` if it arrives too slowly, or if the thread may read no more.
        """
        if flags or not self.getblocking():
            return super().recv(size, flags)
        intake = self.intake
        if intake is None or intake.pace.is_too_slow(time.monotonic()):
            raise TimeoutError(errno.ETIMEDOUT, "the rest of the request has not come in time")
        data = super().recv(size)
        intake.take(len(data))
        return data

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send what the kernel accepts now, and buffer the rest.

        Raises `BrokenPipeError` if the connection was dropped.
        """
        if self._head is not None:
            if not self._head and len(data) <= HEAD_MAX:
                self._head = bytes(data)
                return
            head, self._head = self._head, None
            if len(data) <= _JOINED_MAX:
                data = head + data
            elif head:
                self.sendall(head)
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
            has_grown = self._written - self._notified >= SPOOL_STEP
            if has_grown:
                self._notified = self._written
        if begins or has_grown:
            self._on_rest()

    def hold_head(self) -> None:
        """Hold back the first write, the head of a response, to send it together with the body.

        This saves a TCP segment, and a wake-up of the client.
        """
        self._head = b""

    def send_head(self) -> None:
        """Send the head if nothing followed it."""
        head, self._head = self._head, None
        if head:
            self.sendall(head)

    def sendfile(self, file: IO[bytes], offset: int = 0, count: int | None = None) -> int:  # type: ignore[override]
        """Send a part of a file by its descriptor. The position of the file is unchanged."""
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
        """Shut down the connection, and leave closing the descriptor to the event loop.

        While the loop watches the descriptor, the kernel must not reuse its number for another
        file.
        """
        try:
            self.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the client has closed it

    # Called by the loop

    def send_rest(self) -> bool:
        """Send what the kernel accepts now. Return whether the buffer is empty."""
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
        """Discard the buffer and refuse further writes."""
        with self._lock:
            self._is_dropped = True
            self._memory.clear()
            self._empty()
        self.close()

    def release(self) -> None:
        """Close the connection and its temporary file."""
        with self._lock:
            self._is_dropped = True
            self._empty()
            self._on_rest = _do_nothing  # breaks a reference cycle
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
        self._file, self._sent, self._written, self._notified = None, 0, 0, 0
