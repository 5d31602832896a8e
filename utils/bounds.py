"""Bounds on what one request may cost the others: bytes, and time under the lock of all writers."""

from __future__ import annotations

from typing import Final

from docstore import Bounds

RECORD_BYTES_MAX: Final = 1024 * 1024
COMMIT_BYTES_MAX: Final = 16 * 1024 * 1024
LOCK_SECONDS_MAX: Final = 1.0

#: Of every change that a request makes.
ORDINARY_BOUNDS: Final = Bounds(COMMIT_BYTES_MAX, LOCK_SECONDS_MAX)
