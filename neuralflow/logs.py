"""One line per event on stderr: for people on a terminal, JSON for machines otherwise.

Values in a message come from strangers (a path, a user name, a header). Neither form lets them
end the line and begin one that looks like ours.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any


def one_line(text: str) -> str:
    """*text* with everything written out that some terminal or log reader takes for a new line, for
    a command to itself, or for the other direction of writing."""
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
    """What Django refuses from strangers (a foreign host, too many fields) is no fault of the code;
    with a traceback for each, anybody could fill the log."""
    return bool(record.exc_info) and not record.name.startswith("django.security.")


class LineFormatter(logging.Formatter):
    """For people: time, level, logger, message. A traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"{_moment(record)} {record.levelname} {record.name}: "
        line = head + one_line(record.getMessage())
        if record.exc_info and _tells_traceback(record):
            trace = self.formatException(record.exc_info).splitlines()
            line += "".join(f"\n    {one_line(part)}" for part in trace)
        return line


class JsonFormatter(logging.Formatter):
    """For machines: one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "time": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        request_id = getattr(getattr(record, "request", None), "request_id", None)
        if request_id:
            event["request_id"] = request_id
        if record.exc_info and _tells_traceback(record):
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event)


def logging_config(*, level: str, for_people: bool) -> dict[str, Any]:
    """A dictConfig that sends everything to stderr."""
    formatter = LineFormatter if for_people else JsonFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"event": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "event"}},
        "root": {"handlers": ["stderr"], "level": level},
        # Django gives these loggers handlers of their own; here each event is told once.
        "loggers": {
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": [], "level": level, "propagate": True},
        },
    }
