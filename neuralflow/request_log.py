"""The log of requests: one line each on stderr, JSON unless it is a terminal.

It does not use `logging`, whose records and locks cost several times as much as the line itself.
"""

import os
import sys
from datetime import UTC, datetime

import msgspec

from neuralflow.logging_config import one_line

_STDERR = 2


class RequestLine(msgspec.Struct, kw_only=True):
    """The logged values of a request. The URL is left out: it may contain a secret."""

    method: str
    route: str
    status: int
    duration_ms: float
    request_id: str
    user_id: int | None


class _Event(msgspec.Struct):
    """A line, with the fields that all lines of the log have."""

    time: str
    level: str
    logger: str
    message: str
    method: str
    route: str
    status: int
    duration_ms: float
    request_id: str
    user_id: int | None


class RequestLog:
    """Writes the lines. `configure` sets whether and how."""

    def __init__(self) -> None:
        self.is_on = False
        self._for_people = False
        self._encoder = msgspec.json.Encoder()

    def configure(self, *, is_on: bool, for_people: bool) -> None:
        """Set whether to write lines, and whether for a terminal."""
        self.is_on, self._for_people = is_on, for_people

    def write(self, line: RequestLine) -> None:
        """Write a line. Ignore errors of stderr, since there is nowhere else to report them."""
        text = self.text(line, datetime.now(UTC))
        try:
            # One call, so that lines of threads and processes do not mix.
            os.write(_STDERR, text)
        except OSError:
            return

    def text(self, line: RequestLine, now: datetime) -> bytes:
        """Return the line with its end."""
        moment = f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z"
        message = f"{line.method} {line.route} {line.status}"
        if self._for_people:
            user = f" user {line.user_id}" if line.user_id is not None else ""
            text = f"{moment} INFO request: {message} {line.duration_ms:.0f} ms{user}"
            return f"{one_line(text)}\n".encode(sys.stderr.encoding or "utf-8", "backslashreplace")
        fields = (line.method, line.route, line.status, line.duration_ms)
        who = line.request_id, line.user_id
        return self._encoder.encode(_Event(moment, "INFO", "request", message, *fields, *who)) + (
            b"\n"
        )


request_log = RequestLog()
