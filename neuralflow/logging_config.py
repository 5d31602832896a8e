"""Log one line per event to stderr: text on a terminal, otherwise JSON.

Messages contain untrusted values (a path, a user name, a header). Neither format permits them to
end the line and forge another one.
"""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

# A password-reset link works until it is used. Without this, the path of a refused request would
# put the link in the log, where anyone who can read the log could use it.
_LINK = re.compile(r"(/password/reset/key/)[^\s\"']+")


def without_links(text: str) -> str:
    """Return the text without the keys of password-reset links."""
    return _LINK.sub(r"\1...", text)


def one_line(text: str) -> str:
    """Return the text with unprintable characters escaped.

    Terminals and log readers may take them for line breaks, commands or changes of writing
    direction.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def _moment(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


def _tells_traceback(record: logging.LogRecord) -> bool:
    """Return whether to log the traceback of an event.

    Requests that Django refuses (a foreign host, too many fields) are not errors of the code. With
    tracebacks, anyone could fill the log.
    """
    return bool(record.exc_info) and not record.name.startswith("django.security.")


class LineFormatter(logging.Formatter):
    """Text for humans: time, level, logger, message, then an indented traceback."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"{_moment(record)} {record.levelname} {record.name}: "
        line = head + one_line(without_links(record.getMessage()))
        if record.exc_info and _tells_traceback(record):
            trace = without_links(self.formatException(record.exc_info)).splitlines()
            line += "".join(f"\n    {one_line(part)}" for part in trace)
        return line


class JsonFormatter(logging.Formatter):
    """A JSON object per line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "time": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": without_links(record.getMessage()),
        }
        request_id = getattr(getattr(record, "request", None), "request_id", None)
        if request_id:
            event["request_id"] = request_id
        if record.exc_info and _tells_traceback(record):
            event["traceback"] = without_links(self.formatException(record.exc_info))
        return json.dumps(event)


def logging_config(*, level: str, for_people: bool) -> dict[str, Any]:
    """Return a dictConfig that logs everything to stderr."""
    formatter = LineFormatter if for_people else JsonFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"event": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "event"}},
        "root": {"handlers": ["stderr"], "level": level},
        # Django adds handlers to these loggers, which would log events twice.
        "loggers": {
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": [], "level": level, "propagate": True},
        },
    }
