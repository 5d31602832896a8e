"""Bounds on the cost of a request for others: bytes, and time under the writer lock."""

from __future__ import annotations

from typing import Final

from docstore import Bounds

RECORD_BYTES_MAX: Final = 1024 * 1024
COMMIT_BYTES_MAX: Final = 16 * 1024 * 1024
LOCK_SECONDS_MAX: Final = 1.0

#: Fractions of the bytes of the journal history. If the history is full, changes of users above
#: HISTORY_SHARE are trimmed first, but none of the last HISTORY_KEEP_SECONDS. A user may write
#: HOURLY_SHARE per hour.
HISTORY_SHARE: Final = 1 / 8
HISTORY_KEEP_SECONDS: Final = 3600.0
HOURLY_SHARE: Final = 1 / 8
# However small the history is, a user may write so many bytes per hour.
HOURLY_BYTES_MIN: Final = 64 * 1024 * 1024

#: The bounds of every change that a request makes.
ORDINARY_BOUNDS: Final = Bounds(COMMIT_BYTES_MAX, LOCK_SECONDS_MAX)

# How often an import is prepared again because its owner changed records meanwhile.
IMPORT_TRIES: Final = 5
# How many calls of the burst an import, or a look at what it would do, takes: it costs seconds.
IMPORT_CALLS: Final = 30
