"""Gunicorn's worker with threads: how it hears that it is to stop, and what a thread gets to see.

Gunicorn's own gives each connection a thread, which then waits for the request, and its one loop
waits for clients that do not hang up. Here the loop reads, and never waits. Gunicorn's would also
wait for clients when it is to stop; here only for those that have begun to send a request.
"""

import gc
import os
import signal
import socket
import struct
import time
from concurrent.futures import Future
from functools import lru_cache, partial
from ipaddress import ip_address
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Any

from gunicorn import http
from gunicorn.workers.gthread import PollableMethodQueue, TConn, ThreadWorker

from accounts.waiting import places, places_of
from neuralflow.arriving import BUSY, TIMEOUT, Arrival
from neuralflow.client_socket import ClientSocket, Intake
from neuralflow.fair_queue import FairQueue
from neuralflow.settings import NEURALFLOW_TRUSTED_PROXIES

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter

ARRIVING_MAX = 400  # connections of a worker that have sent no whole request yet
HELD_MAX = 64 * 1024 * 1024  # bytes that these may have sent, all together
LINGER_SECONDS = 2.0  # until a client has taken note that the connection ends
LINGERING_MAX = 400
ANSWERING_MAX = 150  # connections of a worker whose answer is not taken yet
SPOOLED_MAX = 1024 * 1024 * 1024  # bytes of such answers in temporary files, all together
READ_SECONDS = 10  # that a thread waits for some more of a large body
READER_SECONDS = 5.0  # after which a thread's client may be given up for another one,
READER_RATE = 100_000  # unless it sends so many bytes a second

_HELD_BACK = {signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP}
_READ_AT_ONCE = 65_536


class LastingQueue(PollableMethodQueue):
    """Retains its pipe until the process ends.

    Gunicorn's closes the pipe when the loop ends and writes a byte to its number whenever a request
    ends after that. By then the number may be that of a document, or of the database.
    """

    def close(self) -> None:
        """Leave the pipe open: requests that are still under way will write to it."""


def _subject(arrival: Arrival) -> bytes:
    """Name who asks: by token or session, else by address."""
    if arrival.account is not None:
        return b"account %d" % arrival.account
    peer = arrival.connection.client[0]
    return (arrival.forwarded_for() if _is_trusted(peer) else b"") or peer.encode()


@lru_cache(maxsize=256)
def _is_trusted(peer: str) -> bool:
    address = ip_address(peer.partition("%")[0])
    return any(address in network for network in NEURALFLOW_TRUSTED_PROXIES)


class Worker(ThreadWorker):
    """Stops once it has answered what is under way, however it is told; whoever only waits for
    something to happen is answered at once."""

    alive: bool

    def init_process(self) -> None:
        places.limit = places_of(self.cfg.threads)
        self._arrivals: dict[TConn, Arrival] = {}  # the oldest first
        self._lingering: dict[TConn, float] = {}  # until when
        self._held = 0  # bytes of all arrivals
        self._waiting: FairQueue[TConn] = FairQueue(self.cfg.threads)
        self._readers: set[TConn] = set()  # those whose threads read the rest of a body
        self._answering: dict[TConn, bool | None] = {}  # keep-alive; None: the thread is not done
        self.method_queue = LastingQueue()
        super().init_process()

    def init_signals(self) -> None:
        super().init_signals()
        # Ctrl-C and a closed terminal reach every process. The master hears them too and tells
        # its workers; a worker that was told twice at a time could wait for itself.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # The master's word after Ctrl-C. By itself it would cut off the requests under way.
        signal.signal(signal.SIGQUIT, self.handle_exit)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)

    def run(self) -> None:
        super().run()
        # At its end Python looks for cycles among all objects: a third of a second for nothing.
        gc.freeze()

    def is_parent_alive(self) -> bool:
        """Return False, and stop, once the master is dead. Gunicorn's would go on taking requests
        on open connections and cut them off after the grace period."""
        has_master = bool(super().is_parent_alive())
        if not has_master:
            self.alive = False
            places.close()
        return has_master

    def handle_exit(self, sig: int, frame: Any) -> None:
        if not self.booted:
            os._exit(0)  # nothing is under way yet, and loading takes a while
        places.close()
        super().handle_exit(sig, frame)

    # Requests come in

    def accept(self, listener: socket.socket) -> None:
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        # Of the system, not of Python: what gunicorn sets on the socket would undo the latter.
        limit = struct.pack("ll", READ_SECONDS, 0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        if len(self._arrivals) >= ARRIVING_MAX:
            # Whoever has waited longest is the least likely to send anything.
            self._drop(next(iter(self._arrivals.values())))
        connection: TConn

        def on_rest() -> None:
            self.method_queue.defer(self._watch_answer, connection)

        sock = ClientSocket(client, on_rest)
        connection = TConn(self.cfg, sock, address, listener.getsockname())
        self._expect(connection)

    def _expect(self, conn: TConn, data: bytes = b"") -> None:
        """Waits for the next request of the connection, of which `data` has come already."""
        conn.part = True  # of a request there may be more to come
        conn.sock.setblocking(False)
        fields = self.cfg.limit_request_fields * (self.cfg.limit_request_field_size + 2)
        arrival = self._arrivals[conn] = Arrival(conn, self.cfg.limit_request_line + fields)
        self._take(arrival, data)
        self._receive(arrival, conn.sock)  # it has often come by now
        if conn not in self._arrivals:
            return
        if arrival.idle and not self.alive:
            self._drop(arrival)
            return
        self.poller.register(conn.sock, EVENT_READ, partial(self._receive, arrival))
        arrival.watched = True

    def _receive(self, arrival: Arrival, sock: socket.socket) -> None:
        """Takes what there is, without waiting for more."""
        if arrival.connection not in self._arrivals:
            return  # it was dropped after the loop had heard of it
        try:
            data = sock.recv(_READ_AT_ONCE)
        except BlockingIOError:
            data = None
        except OSError:
            self._drop(arrival)
            return
        ended = data == b""  # the client sends no more; it may still want to be answered
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
            # Not whoever sends next: the one that holds most, of several the oldest.
            self._refuse(max(self._arrivals.values(), key=lambda each: len(each.data)), BUSY)

    def _take(self, arrival: Arrival, data: bytes) -> None:
        self._held -= len(arrival.data)
        arrival.add(data)
        self._held += len(arrival.data)

    def _hand_over(self, arrival: Arrival) -> None:
        """Gives the request to a thread. Those that read the rest of a large body themselves, and
        may have to wait for it, get no more than a part of the threads."""
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
        """Makes room by giving up the client that sends its large body most slowly. Returns False
        if all of them are fast enough, or done."""
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
        self._shut(conn.sock, socket.SHUT_RD)  # its thread hears that the body has ended
        return True

    def handle_request(self, req: Any, conn: TConn) -> bool:
        conn.sock.hold_head()
        try:
            return bool(super().handle_request(req, conn))
        finally:
            conn.sock.send_head()

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        # Of a body that is not here, nobody waits for the rest to throw it away.
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

    # Answers that are not taken at once

    def _watch_answer(self, conn: TConn) -> None:
        """Sends the rest of the answer as the client takes it. Until then nothing more is read from
        the connection, so that of requests sent together one at a time is answered."""
        if conn in self._answering or not conn.sock.rest:
            return
        if len(self._answering) >= ANSWERING_MAX:
            now = time.monotonic()
            self._give_up(min(self._answering, key=lambda each: each.sock.rate(now)))
        self._answering[conn] = None
        self.poller.register(conn.sock, EVENT_WRITE, partial(self._send_rest, conn))
        while sum(each.sock.spooled for each in self._answering) > SPOOLED_MAX:
            self._give_up(max(self._answering, key=lambda each: each.sock.spooled))

    def _send_rest(self, conn: TConn, sock: ClientSocket) -> None:
        if conn not in self._answering:
            return  # it was given up after the loop had heard of it
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
        """Ends an answer that is taken too slowly, or by nobody any more."""
        conn.sock.drop()
        if self._answering[conn]:
            self._answering[conn] = False
        self._end_answer(conn)

    # Connections end

    def murder_keepalived(self, force: bool = False) -> None:
        """Ends what is overdue. The loop calls it at least once a second."""
        now = time.monotonic()
        for arrival in [each for each in self._arrivals.values() if force or each.is_overdue(now)]:
            if arrival.idle or force:
                self._drop(arrival)
            else:
                self._refuse(arrival, TIMEOUT)
        for conn in [each for each in self._answering if force or each.sock.is_too_slow(now)]:
            self._give_up(conn)
        for conn in [conn for conn, until in self._lingering.items() if force or now > until]:
            self._close(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """The worker stops. Gunicorn would wait a while for what clients may still ask for."""
        for arrival in [each for each in self._arrivals.values() if each.idle]:
            self._receive(arrival, arrival.connection.sock)  # it may have come by now
            if arrival.idle and arrival.connection in self._arrivals:
                self._drop(arrival)
        for conn in list(self._lingering):
            self._hang_up(conn)

    def _refuse(self, arrival: Arrival, status: bytes) -> None:
        self._forget(arrival)
        head = b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        self._say(arrival.connection.sock, head)
        self._linger(arrival.connection)

    @staticmethod
    def _say(sock: socket.socket, text: bytes) -> None:
        """Some bytes, that the system takes at once or not at all."""
        try:
            sock.send(text)
        except OSError:
            return

    @staticmethod
    def _shut(sock: socket.socket, direction: int) -> bool:
        """Ends one direction. Returns False if the client has ended the connection."""
        try:
            sock.shutdown(direction)
        except OSError:
            return False
        return True

    def _drop(self, arrival: Arrival) -> None:
        self._forget(arrival)
        self._end(arrival.connection)

    def _forget(self, arrival: Arrival) -> None:
        del self._arrivals[arrival.connection]
        self._held -= len(arrival.data)
        if arrival.watched:
            self.poller.unregister(arrival.connection.sock)

    def _linger(self, conn: TConn) -> None:
        """Ends the connection when the client has: closed with bytes of it unread, the system would
        take back the answer (RFC 9112, section 9.6)."""
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
        """Ends the connection now, unless the client may still be sending."""
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
    """A new worker has the handlers of the master until it has its own, and would take the word
    to stop for one to the master. It is to hear it afterwards."""
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK),
    )


def stop_with_the_terminal(server: "Arbiter") -> None:
    """Where a terminal started it, its end stops the server. Gunicorn would load itself anew and
    stay, out of reach. `nohup` and services are no terminals."""

    def stop(number: int, frame: Any) -> None:
        server.signal(signal.SIGTERM, frame)

    if os.isatty(0):
        signal.signal(signal.SIGHUP, stop)
