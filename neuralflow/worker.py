"""A threaded gunicorn worker whose event loop reads requests and sends the rest of responses.

Gunicorn's own worker gives each connection a thread, which blocks until the request arrives, and
its event loop blocks on clients that do not close their connections. This loop never blocks, and a
thread gets a request only once it is complete, or too large to buffer. On shutdown, the worker
waits only for clients that have begun to send a request.
"""

import gc
import os
import signal
import socket
import struct
import time
from concurrent.futures import Future
from functools import lru_cache, partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Any

from gunicorn import http
from gunicorn.workers.gthread import PollableMethodQueue, TConn, ThreadWorker

from api.long_poll import places, places_of
from neuralflow.client_socket import ClientSocket, Intake
from neuralflow.fair_queue import FairQueue
from neuralflow.request_buffer import BUSY, TIMEOUT, RequestBuffer
from neuralflow.settings import NEURALFLOW_TRUSTED_PROXIES

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter

ARRIVING_MAX = 400  # connections of a worker whose request is incomplete
HELD_MAX = 64 * 1024 * 1024  # buffered bytes of these connections, in total
LINGER_SECONDS = 2.0  # the longest wait for a client to close its side of a connection
LINGERING_MAX = 400
ANSWERING_MAX = 150  # connections of a worker with a partly sent response
SPOOLED_MAX = 1024 * 1024 * 1024  # bytes of these responses in temporary files, in total
READ_SECONDS = 10  # a thread's timeout for each read of a large body
READER_SECONDS = 5.0  # after this time, a slow sender of a large body may lose its thread,
READER_RATE = 100_000  # unless it sends at least this many bytes per second

_HELD_BACK = {signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP}
_READ_AT_ONCE = 65_536


class LastingQueue(PollableMethodQueue):
    """A queue whose pipe stays open until the process ends.

    Gunicorn closes the pipe when the event loop ends, but requests that end later still write a
    byte to its descriptor. By then the kernel may have reused the descriptor for a document or the
    database, and the byte would corrupt it.
    """

    def close(self) -> None:
        """Leave the pipe open: running requests still write to it."""


def _subject(arrival: RequestBuffer) -> bytes:
    """Return the subject for fair scheduling: the account if known, else the client's network.

    `X-Forwarded-For` counts as far as the proxies are trusted.
    """
    if arrival.account is not None:
        return b"account %d" % arrival.account
    return _network_of(arrival.connection.client[0], arrival.forwarded_for().decode("latin-1"))


@lru_cache(maxsize=256)
def _network_of(peer: str, forwarded_for: str) -> bytes:
    """Return the client's IPv4 address or IPv6 /64 network."""
    # These need settings, which the master has not loaded.
    from utils.middleware import client_address, client_network

    address = client_address(peer.partition("%")[0], forwarded_for, NEURALFLOW_TRUSTED_PROXIES)
    return client_network(address).encode()


class Worker(ThreadWorker):
    """A worker that finishes running requests before it stops, whatever signal stops it.

    Long polls and event streams end at once.
    """

    alive: bool

    def init_process(self) -> None:
        places.limit = places_of(self.cfg.threads)
        self._arrivals: dict[TConn, RequestBuffer] = {}  # oldest first
        self._lingering: dict[TConn, float] = {}  # deadlines, in monotonic seconds
        self._held = 0  # buffered bytes of all arrivals
        self._waiting: FairQueue[TConn] = FairQueue(self.cfg.threads)
        self._readers: set[TConn] = set()  # connections whose thread reads the rest of a body
        self._answering: dict[TConn, bool | None] = {}  # keep-alive; None while the thread runs
        self.method_queue = LastingQueue()
        super().init_process()

    def init_signals(self) -> None:
        super().init_signals()
        # Ctrl-C and a closed terminal signal every process, and the master then signals its
        # workers again. A second signal inside the handler of the first could deadlock a worker.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # The master sends SIGQUIT after Ctrl-C. Gunicorn's handler would abort running requests.
        signal.signal(signal.SIGQUIT, self.handle_exit)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)

    def run(self) -> None:
        super().run()
        # Without this, Python's final garbage collection delays the exit by a third of a second.
        gc.freeze()

    def is_parent_alive(self) -> bool:
        """Return whether the master is alive, and stop the worker if it is not.

        Gunicorn's worker would accept further requests on open connections and abort them after
        the grace period.
        """
        has_master = bool(super().is_parent_alive())
        if not has_master:
            self.alive = False
            places.close()
        return has_master

    def handle_exit(self, sig: int, frame: Any) -> None:
        if not self.booted:
            os._exit(0)  # no request is running yet, and loading takes long
        places.close()
        super().handle_exit(sig, frame)

    # Receiving requests

    def accept(self, listener: socket.socket) -> None:
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        # A kernel timeout: gunicorn resets Python's timeout when it makes the socket blocking.
        limit = struct.pack("ll", READ_SECONDS, 0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        if len(self._arrivals) >= ARRIVING_MAX:
            # The client that has been silent longest is the least likely to send a request.
            self._drop(next(iter(self._arrivals.values())))
        connection: TConn

        def on_rest() -> None:
            self.method_queue.defer(self._watch_answer, connection)

        sock = ClientSocket(client, on_rest)
        connection = TConn(self.cfg, sock, address, listener.getsockname())
        self._expect(connection)

    def _expect(self, conn: TConn, data: bytes = b"") -> None:
        """Start to receive the connection's next request. `data` are its bytes read so far."""
        conn.part = True  # the client may still be sending
        conn.sock.setblocking(False)
        fields = self.cfg.limit_request_fields * (self.cfg.limit_request_field_size + 2)
        arrival = self._arrivals[conn] = RequestBuffer(conn, self.cfg.limit_request_line + fields)
        self._take(arrival, data)
        self._receive(arrival, conn.sock)  # the request has often arrived already
        if conn not in self._arrivals:
            return
        if arrival.idle and not self.alive:
            self._drop(arrival)
            return
        self.poller.register(conn.sock, EVENT_READ, partial(self._receive, arrival))
        arrival.watched = True

    def _receive(self, arrival: RequestBuffer, sock: socket.socket) -> None:
        """Read the bytes that have arrived, without blocking, and act on the request's state."""
        if arrival.connection not in self._arrivals:
            return  # dropped after the selector had reported it
        try:
            data = sock.recv(_READ_AT_ONCE)
        except BlockingIOError:
            data = None
        except OSError:
            self._drop(arrival)
            return
        ended = data == b""  # the client sends nothing more, but may await a response
        if ended and not arrival.has_head:
            self._drop(arrival)
            return
        self._take(arrival, data or b"")
        is_ready = arrival.is_ready()
        if fault := arrival.fault():
            self._refuse(arrival, fault)
        elif ended or is_ready:
            self._hand_over(arrival)
        elif length := arrival.take_expectation():
            self._held -= length
            self._say(sock, b"HTTP/1.1 100 Continue\r\n\r\n")
        while self._held > HELD_MAX:
            # Refusing the current sender instead would hurt clients with small requests. Of
            # arrivals of equal size, `max` returns the oldest.
            self._refuse(max(self._arrivals.values(), key=lambda each: len(each.data)), BUSY)

    def _take(self, arrival: RequestBuffer, data: bytes) -> None:
        self._held -= len(arrival.data)
        arrival.add(data)
        self._held += len(arrival.data)

    def _hand_over(self, arrival: RequestBuffer) -> None:
        """Queue the request for a thread.

        At most a quarter of the threads may serve requests whose body has not fully arrived, as
        these threads block on the client. Without a free one, refuse the request with 503.
        """
        conn, missing = arrival.connection, arrival.missing
        if missing:
            if len(self._readers) >= max(1, self.cfg.threads // 4) and not self._end_slow_reader():
                self._refuse(arrival, BUSY)
                return
            self._readers.add(conn)
        conn.part = not arrival.whole
        conn.sock.intake = Intake(missing) if missing else None
        self._forget(arrival)
        if conn.parser is None:
            conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
        conn.parser.unreader.unread(bytes(arrival.data))
        conn.initialized = conn.data_ready = True
        self._waiting.add(conn, arrival.lane, _subject(arrival))
        self._start_next()

    def _start_next(self) -> None:
        while conn := self._waiting.next():
            self.enqueue_req(conn)

    def _end_slow_reader(self) -> bool:
        """Abort the slowest upload of a large body, to free its thread.

        Return False if all uploads are complete, too recent to judge, or fast enough.
        """
        now = time.monotonic()
        slow = {
            conn: intake.pace.rate(now)
            for conn in self._readers
            if (intake := conn.sock.intake) and intake.left > 0
            if now > intake.pace.began + READER_SECONDS
        }
        if not slow or min(slow.values()) >= READER_RATE:
            return False
        conn = min(slow, key=lambda each: slow[each])
        self._readers.remove(conn)
        self._shut(conn.sock, socket.SHUT_RD)  # wakes its thread, which reads the end of the body
        return True

    def handle_request(self, req: Any, conn: TConn) -> bool:
        conn.sock.hold_head()
        try:
            return bool(super().handle_request(req, conn))
        finally:
            conn.sock.send_head()

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        # Without this check, a thread would block to read and discard the rest of the body.
        return not conn.part and bool(super()._keepalive_after(conn, keepalive))

    def finish_request(self, conn: TConn, done: "Future[Any]") -> None:
        self._readers.discard(conn)
        self._waiting.done(conn)
        self._start_next()
        keepalive = not done.cancelled() and done.exception() is None and bool(done.result())
        if conn in self._answering:
            self._answering[conn] = keepalive
        else:
            self._go_on(conn, keepalive)

    def _go_on(self, conn: TConn, keepalive: bool) -> None:
        if keepalive:
            self._expect(conn, conn.parser.unreader.take_buffered())
        else:
            self._linger(conn)

    # Sending the rest of responses

    def _watch_answer(self, conn: TConn) -> None:
        """Watch the connection, to send the rest of the response as the client reads it.

        Nothing more is read from the connection until then, so pipelined requests run one by one.
        Called again while the rest grows.
        """
        if conn in self._answering:
            self._bound_spooled()
            return
        if not conn.sock.rest:
            return
        if len(self._answering) >= ANSWERING_MAX:
            now = time.monotonic()
            self._give_up(min(self._answering, key=lambda each: each.sock.rate(now)))
        self._answering[conn] = None
        self.poller.register(conn.sock, EVENT_WRITE, partial(self._send_rest, conn))
        self._bound_spooled()

    def _bound_spooled(self) -> None:
        """Abort the largest responses while the temporary files of all are too large."""
        while sum(c.sock.spooled for c in self._answering) > SPOOLED_MAX:
            self._give_up(max(self._answering, key=lambda each: each.sock.spooled))

    def _send_rest(self, conn: TConn, sock: ClientSocket) -> None:
        if conn not in self._answering:
            return  # aborted after the selector had reported it
        try:
            is_over = sock.send_rest()
        except OSError:
            self._give_up(conn)
            return
        if is_over:
            self._end_answer(conn)

    def _end_answer(self, conn: TConn) -> None:
        keepalive = self._answering.pop(conn)
        self.poller.unregister(conn.sock)
        if keepalive is not None:
            self._go_on(conn, keepalive)

    def _give_up(self, conn: TConn) -> None:
        """Abort a response that the client reads too slowly or no longer."""
        conn.sock.drop()
        if self._answering[conn]:
            self._answering[conn] = False
        self._end_answer(conn)

    # Closing connections

    def murder_keepalived(self, force: bool = False) -> None:
        """Close overdue connections, or all if `force`. Called at least once per second."""
        now = time.monotonic()
        for arrival in [a for a in self._arrivals.values() if force or a.is_overdue(now)]:
            if arrival.idle or force:
                self._drop(arrival)
            else:
                self._refuse(arrival, TIMEOUT)
        for conn in [c for c in self._answering if force or c.sock.is_too_slow(now)]:
            self._give_up(conn)
        for conn in [conn for conn, until in self._lingering.items() if force or now > until]:
            self._close(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """Close idle connections at shutdown. Gunicorn would wait for further requests on them."""
        for arrival in [a for a in self._arrivals.values() if a.idle]:
            self._receive(arrival, arrival.connection.sock)  # a request may have just arrived
            if arrival.idle and arrival.connection in self._arrivals:
                self._drop(arrival)
        for conn in list(self._lingering):
            self._hang_up(conn)

    def _refuse(self, arrival: RequestBuffer, status: bytes) -> None:
        self._forget(arrival)
        head = b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        self._say(arrival.connection.sock, head)
        self._linger(arrival.connection)

    @staticmethod
    def _say(sock: socket.socket, text: bytes) -> None:
        """Send a few bytes if the kernel accepts them now. Ignore errors."""
        try:
            sock.send(text)
        except OSError:
            return

    @staticmethod
    def _shut(sock: socket.socket, direction: int) -> bool:
        """Shut down one direction. Return False if the client has closed the connection."""
        try:
            sock.shutdown(direction)
        except OSError:
            return False
        return True

    def _drop(self, arrival: RequestBuffer) -> None:
        self._forget(arrival)
        self._end(arrival.connection)

    def _forget(self, arrival: RequestBuffer) -> None:
        del self._arrivals[arrival.connection]
        self._held -= len(arrival.data)
        if arrival.watched:
            self.poller.unregister(arrival.connection.sock)

    def _linger(self, conn: TConn) -> None:
        """End the connection: send FIN, then wait for the client to close its side.

        If a socket is closed with unread bytes, the kernel resets the connection and the client may
        lose the response (RFC 9112, section 9.6).
        """
        conn.sock.setblocking(False)
        if not self._shut(conn.sock, socket.SHUT_WR):
            self._end(conn)
            return
        if len(self._lingering) >= LINGERING_MAX:
            self._end(conn)
            return
        self._lingering[conn] = time.monotonic() + LINGER_SECONDS
        self.poller.register(conn.sock, EVENT_READ, partial(self._drain, conn))
        if not self.alive:
            self._hang_up(conn)

    def _hang_up(self, conn: TConn) -> None:
        """Close the connection now, unless the client may still be sending."""
        self._drain(conn, conn.sock)
        if conn in self._lingering and not conn.part:
            self._close(conn)

    def _drain(self, conn: TConn, sock: socket.socket) -> None:
        if conn not in self._lingering:
            return
        try:
            over = not sock.recv(_READ_AT_ONCE)
        except BlockingIOError:
            over = False
        except OSError:
            over = True
        if over:
            self._close(conn)

    def _close(self, conn: TConn) -> None:
        del self._lingering[conn]
        self.poller.unregister(conn.sock)
        self._end(conn)

    def _end(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.sock.release()


def hold_signals_while_forking() -> None:
    """Block signals during a fork, until the new worker has installed its own handlers.

    Until then it has the master's handlers, which would swallow a signal to stop the worker.
    """
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK),
    )


def stop_with_the_terminal(server: "Arbiter") -> None:
    """Stop the server when its terminal closes (SIGHUP), if standard input is a terminal.

    Gunicorn would reload itself and run on without a terminal to stop it. Services have no
    terminal, so SIGHUP still reloads them.
    """

    def stop(number: int, frame: Any) -> None:
        server.signal(signal.SIGTERM, frame)

    if os.isatty(0):
        signal.signal(signal.SIGHUP, stop)
