"""Requests on their way in, and how much patience they are given.

A worker has few threads. Whoever sends a request slowly, or a part of one and then nothing, must
not hold a thread meanwhile: sixteen such clients would stop the server. So the worker's one loop
reads all requests, none of which it waits for, and gives a thread what is whole.
"""

import re
import time
from typing import Any

from accounts.credentials import known_credentials
from neuralflow.fair_queue import Lane

IDLE_SECONDS = 5  # until the first byte of a request
HEAD_SECONDS = 10  # from there to the end of the headers
BODY_SECONDS = 30  # and to the end of the body
BODY_MAX = 1024 * 1024  # bytes that are waited for; a larger body is read by the one who takes it
STRANGER_BODY_MAX = 64 * 1024  # bytes of a body without session or token; nobody reads more of it

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
# Whoever has neither is a stranger. The value is for others to judge.
_CREDENTIALS = re.compile(
    rb"\r\n(?:(authorization)[ \t]*:|cookie[ \t]*:[^\r\n]*?sessionid=)([^\r\n;]*)", re.I
)
_FORWARDED = re.compile(rb"\r\nx-forwarded-for[ \t]*:(?:[^\r\n]*,)?([^\r\n,]*)(?=\r\n)", re.I)
_READS = (b"GET ", b"HEAD ", b"OPTIONS ")
_CALL = re.compile(rb"[A-Z]+ /accounts/api/")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.I)
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)", re.I)


class Arrival:
    """One request of a connection, as far as it has come."""

    def __init__(self, connection: Any, head_max: int) -> None:
        self.connection = connection
        self.data = bytearray()
        self.whole = False  # all that was announced is here
        self.watched = False  # the loop is told when there is more
        self._head_max = head_max
        self._chunked = False
        self._head_end = 0  # where the headers end; 0 while they have not
        self.lane = Lane.OTHER
        self.credential = b""  # the token or session as it was sent; b"" of a stranger
        self.account: int | None = None  # that a credential opened before
        self._is_understood = True  # its length is
        self._fault = b""
        self._needed = 0  # bytes in all
        self._searched = 0  # how far the end of the headers was looked for
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
        """Whether all of its headers are here."""
        return self._head_end > 0

    @property
    def missing(self) -> int:
        """Bytes of the body that a thread may wait for: none for a stranger."""
        return max(0, self._needed - len(self.data)) if self.credential else 0

    def forwarded_for(self) -> bytes:
        """The client as the nearest proxy names it, if there is one."""
        hops = _FORWARDED.findall(self.data, 0, self._head_end)
        return hops[-1].strip() if hops else b""

    def is_overdue(self, now: float) -> bool:
        return now > self._deadline

    def is_ready(self) -> bool:
        """Whether a thread can take it without having to wait for what `BODY_MAX` allows for."""
        if not self._head_end and not self._find_head():
            return False
        if self._fault:
            return False
        # Nothing here takes chunks, nor a length that is no number: such a request is refused by
        # its headers, and its body is not waited for.
        is_clear = self._is_understood and not self._chunked
        self.whole = is_clear and len(self.data) >= self._needed
        body_max = BODY_MAX if self.credential else STRANGER_BODY_MAX
        return not is_clear or len(self.data) >= min(self._needed, self._head_end + body_max)

    def fault(self) -> bytes:
        """The status to refuse it with; b"" where it may go on."""
        if self._head_end:
            return self._fault
        if len(self.data) > self._head_max:
            return HEAD_TOO_LARGE
        bare = _BARE_END.search(self.data, self._searched)
        self._searched = max(0, len(self.data) - 3)  # what the next bytes may complete
        return BAD_REQUEST if bare else b""

    def take_expectation(self) -> int:
        """Takes out the header by which the client asks for a word before it sends the body, so
        that it is given once. Returns how many bytes that were; 0 where it does not ask."""
        if not 0 < self._head_end == len(self.data) < self._needed:
            return 0
        found = _EXPECTS.search(self.data)
        if found is None:
            return 0
        length = found.end() - found.start()
        del self.data[found.start() : found.end()]
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
        # A form may hash a password, whatever credential was made up for it.
        self.lane = Lane.STRANGER if self.account is None else Lane.FORM

    def _find_head(self) -> bool:
        found = _HEAD_END.search(self.data, self._searched)
        if found is None:
            return False
        end = self._head_end = found.end()
        lengths = _LENGTH.findall(self.data, 0, end)
        # Several, or one that is no number, are for the parser to refuse, which has all it needs.
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
