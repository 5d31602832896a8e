"""Bounds on what one request may cost the others: bytes, and time under the lock of all writers."""

from __future__ import annotations

from typing import Final

from docstore import Bounds

RECORD_BYTES_MAX: Final = 1024 * 1024
COMMIT_BYTES_MAX: Final = 16 * 1024 * 1024
LOCK_SECONDS_MAX: Final = 1.0

#: Of the bytes of the history: what one person may have of them before theirs is trimmed first, and
#: what one person may write in an hour, of which nothing is trimmed.
HISTORY_SHARE: Final = 1 / 8
HISTORY_KEEP_SECONDS: Final = 3600.0
HOURLY_SHARE: Final = 1 / 8

#: Of every change that a request makes.
ORDINARY_BOUNDS: Final = Bounds(COMMIT_BYTES_MAX, LOCK_SECONDS_MAX)
