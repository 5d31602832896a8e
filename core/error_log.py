"""The latest errors of the log, in a file that all processes of the server append to.

Staff see them on the maintenance page. The log itself goes to stderr, where a page cannot read it.
"""

from __future__ import annotations

import json
import logging
import os
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from workspace.timestamps import format_utc

FILE: Final = "errors.log"
BYTES_MAX: Final = 256 * 1024
_TEXT_MAX: Final = 2_000
_PRIVATE: Final = 0o600


class ErrorLogHandler(logging.Handler):
    """Appends each error as a JSON line. At its size limit, the file begins again.

    It never raises: an error that cannot be recorded has still been logged.
    """

    def __init__(self, folder: Path, clean: Callable[[str], str] = str) -> None:
        super().__init__(logging.ERROR)
        self._clean = clean  # removes secrets from a text
        self._path = folder / ".neuralflow" / FILE

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError, TypeError):
            line = json.dumps(_event(record, self._clean)).encode() + b"\n"
            self._begin_again()
            # One call, so that lines of threads and processes do not mix.
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _PRIVATE)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)

    def _begin_again(self) -> None:
        with suppress(FileNotFoundError):
            if self._path.stat().st_size > BYTES_MAX:
                self._path.replace(self._path.with_name(f"{FILE}.1"))


def _event(record: logging.LogRecord, clean: Callable[[str], str]) -> dict[str, Any]:
    text = record.getMessage()
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        last = traceback.extract_tb(error.__traceback__)[-1:]
        place = f" ({Path(last[0].filename).name}:{last[0].lineno})" if last else ""
        text += f": {type(error).__name__}: {error}{place}"
    request_id = getattr(getattr(record, "request", None), "request_id", "")
    at = format_utc(datetime.fromtimestamp(record.created, UTC))
    return {
        "at": at,
        "logger": record.name,
        "text": clean(text)[:_TEXT_MAX],
        "request_id": request_id,
    }


def record_errors(folder: Path | None, clean: Callable[[str], str] = str) -> None:
    """Record the errors of this process in the data folder."""
    if folder is not None:
        logging.getLogger().addHandler(ErrorLogHandler(folder, clean))


def latest_errors(folder: Path | None, count: int = 20) -> list[dict[str, str]]:
    """Return the latest errors, newest first."""
    errors: list[dict[str, str]] = []
    names = (FILE, f"{FILE}.1") if folder is not None else ()
    for name in names:
        with suppress(OSError):
            assert folder is not None
            data = (folder / ".neuralflow" / name).read_bytes()[-2 * BYTES_MAX :]
            for line in reversed(data.splitlines()):
                with suppress(ValueError):  # a torn line
                    value = json.loads(line)
                    errors.append({key: str(value[key]) for key in value})
                if len(errors) == count:
                    return errors
    return errors
