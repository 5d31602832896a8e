"""Buffers for requests that are still arriving, with their time and size limits.

A worker has few threads: sixteen clients that send slowly, or stop halfway, would block all of
them. So the worker's event loop reads all requests without blocking, and hands a request to a
thread once it is complete.
"""

import re
import time
from typing import Any

from accounts.credentials import known_credentials
from neuralflow.client_socket import LEAST_RATE
from neuralflow.fair_queue import Lane

IDLE_SECONDS = 5  # until the first byte of a request
HEAD_SECONDS = 10  # from the first byte to the end of the headers
BODY_SECONDS = 30  # that a body may fall behind LEAST_RATE, from the end of the headers
BODY_MAX = 1024 * 1024  # bytes of a body to buffer; the thread reads the rest of a larger one
STRANGER_BODY_MAX = 64 * 1024  # bytes of a body without session or token; the rest is never read

BAD_REQUEST = b"400 Bad Request"
TIMEOUT = b"408 Request Timeout"
HEAD_TOO_LARGE = b"431 Request Header Fields Too Large"
BUSY = b"503 Service Unavailable"

_HEAD_END = re.compile(rb"\r\n\r\n")
_BARE_END = re.compile(rb"\n\n|[^\r]\n\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([^\r]*?)[ \t]*(?=\r\n)", re.I)
_NUMBER = re.compile(rb"[0-9]+")
_DIGITS_MAX = 18
_HOST = re.compile(rb"\r\nhost[ \t]*:", re.I)
_NEEDS_HOST = re.compile(rb"[^\r\n]* HTTP/1\.[1-9]\r\n")
# Token or session cookie. The loop does not check the value, but only looks it up in a cache.
_CREDENTIALS = re.compile(
    rb"\r\n(?:(authorization)[ \t]*:|cookie[ \t]*:[^\r\n]*?sessionid=)([^\r\n;]*)", re.I
)
_FORWARDED = re.compile(rb"\r\nx-forwarded-for[ \t]*:([^\r\n]*)(?=\r\n)", re.I)
_READS = (b"GET ", b"HEAD ", b"OPTIONS ")
_CALL = re.compile(rb"[A-Z]+ /accounts/api/")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.I)
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)", re.I)


class RequestBuffer:
    """The buffer for one request of a connection."""

    def __init__(self, connection: Any, head_max: int) -> None:
        self.connection = connection
        self.data = bytearray()
        self.whole = False  # True once all announced bytes have arrived
        self.watched = False  # registered with the worker's selector
        self._head_max = head_max
        self._chunked = False
        self._head_end = 0  # offset of the end of the headers; 0 until they have arrived
        self.lane = Lane.OTHER
        self.credential = b""  # the token or session as sent; b"" if there is none
        self.account: int | None = None  # the account that the credential opened before
        self._is_understood = True  # False if Content-Length is malformed or repeated
        self._fault = b""
        self._needed = 0  # bytes of headers and body
        self._searched = 0  # offset up to which the end of the headers was searched
        self._deadline = time.monotonic() + IDLE_SECONDS

    def add(self, data: bytes) -> None:
        if not self.data:
            data = data.lstrip(b"\r\n")  # RFC 9112, section 2.2
        if data and not self.data:
            self._deadline = time.monotonic() + HEAD_SECONDS
        self.data += data

    @property
    def idle(self) -> bool:
        return not self.data

    @property
    def has_head(self) -> bool:
        """Return whether all headers have arrived."""
        return self._head_end > 0

    @property
    def missing(self) -> int:
        """Return the bytes of the body that a thread may wait for: 0 without a credential."""
        return max(0, self._needed - len(self.data)) if self.credential else 0

    def forwarded_for(self) -> bytes:
        """Return the addresses of all X-Forwarded-For headers, comma-separated."""
        hops = _FORWARDED.findall(self.data, 0, self._head_end)
        return b",".join(map(bytes.strip, hops))

    def is_overdue(self, now: float) -> bool:
        body = len(self.data) - self._head_end if self._head_end else 0
        return now > self._deadline + body / LEAST_RATE

    def is_ready(self) -> bool:
        """Return whether a thread can take the request.

        This is so once the body has arrived, or as much of it as the loop may buffer.
        """
        if not self._head_end and not self._find_head():
            return False
        if self._fault:
            return False
        # Not worth waiting for: the parser refuses malformed lengths, the API refuses chunked
        # bodies, and to forms these are empty.
        is_clear = self._is_understood and not self._chunked
        self.whole = is_clear and len(self.data) >= self._needed
        body_max = BODY_MAX if self.credential else STRANGER_BODY_MAX
        return not is_clear or len(self.data) >= min(self._needed, self._head_end + body_max)

    def fault(self) -> bytes:
        """Return the status line to refuse the request with, or b"" if it is acceptable so far."""
        if self._head_end:
            return self._fault
        if len(self.data) > self._head_max:
            return HEAD_TOO_LARGE
        bare = _BARE_END.search(self.data, self._searched)
        self._searched = max(0, len(self.data) - 3)  # a separator may be split between two reads
        return BAD_REQUEST if bare else b""

    def take_expectation(self) -> int:
        """Remove an `Expect: 100-continue` header, so that it is answered only once.

        Return the number of bytes removed, or 0 if there is no such header or the body has begun.
        """
        if not 0 < self._head_end == len(self.data) < self._needed:
            return 0
        match = _EXPECTS.search(self.data)
        if match is None:
            return 0
        length = match.end() - match.start()
        del self.data[match.start() : match.end()]
        self._head_end -= length
        self._needed -= length
        return length

    def _look_who_asks(self, end: int) -> None:
        sent = _CREDENTIALS.findall(self.data, 0, end)
        has_token = any(is_token for is_token, _value in sent)
        if sent:
            self.credential = sent[0][1].strip() or b"-"
        accounts = (known_credentials.account_of(value.strip()) for _name, value in sent[:2])
        self.account = next(filter(None, accounts), None)
        if self.data.startswith(_READS) or (has_token and _CALL.match(self.data)):
            return
        # Any form may hash a password. A made-up credential must not lift it out of the
        # strangers' lane, or log-ins could take the threads of signed-in users.
        self.lane = Lane.STRANGER if self.account is None else Lane.FORM

    def _find_head(self) -> bool:
        match = _HEAD_END.search(self.data, self._searched)
        if match is None:
            return False
        end = self._head_end = match.end()
        lengths = _LENGTH.findall(self.data, 0, end)
        # The parser refuses repeated or malformed lengths. It needs only the headers for that.
        self._is_understood = not lengths or (
            len(lengths) == 1 and _NUMBER.fullmatch(lengths[0]) is not None
        )
        length = 0
        if lengths and self._is_understood:
            if len(lengths[0]) > _DIGITS_MAX:
                self._fault = BAD_REQUEST
            else:
                length = int(lengths[0])
        hosts = len(_HOST.findall(self.data, 0, end))
        if hosts > 1 or (not hosts and _NEEDS_HOST.match(self.data)):
            self._fault = BAD_REQUEST  # RFC 9112, section 3.2
        self._look_who_asks(end)
        self._needed = end + length
        if _CHUNKED.search(self.data, 0, end):
            self._chunked = True
        elif length:
            self._deadline = time.monotonic() + BODY_SECONDS
        return True
