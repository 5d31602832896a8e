"""The store's errors, one class for each reaction of the caller.

Every message is a sentence for a person. After any of these errors, nothing is half-written.
"""

from __future__ import annotations

import errno


class StoreError(Exception):
    """Any refusal of the store. Catch it where a page or a command must continue."""


class NotFound(StoreError):
    """The record or document does not exist. Report it; do not retry."""


class Conflict(StoreError):
    """Another writer was first. Read again, apply the change again, and retry."""


class TooLarge(StoreError):
    """The document would exceed its size limit. Remove records, or split them over owners."""


class InvalidValue(StoreError):
    """A value cannot be represented in JSON. Correct it; nothing was written."""


class RecordTooLarge(InvalidValue):
    """A record would exceed the size limit of its collection. Shorten or split it."""

    def __init__(self, count: int, most: int) -> None:
        super().__init__(f"must have at most {most} bytes as JSON; it would have {count}")


class TooMuchAtOnce(StoreError):
    """The change exceeds the limits of one commit, or takes longer than others may have to wait.

    Nothing was written. Change fewer or smaller records at a time.
    """


class Corrupt(StoreError):
    """Stored data is damaged or unreadable. A person has to repair or restore the file.

    The file remains exactly as it is: it is never treated as empty and never overwritten.
    `document` is its name under the data folder. `line` and `column` count from 1, in characters,
    and are 0 if the problem has no single position.
    """

    def __init__(self, document: str, reason: str, line: int = 0, column: int = 0) -> None:
        place = f", line {line}, column {column}" if line else ""
        super().__init__(f"{document}{place}: {reason}")
        self.document, self.reason, self.line, self.column = document, reason, line, column


class HistoryGone(StoreError):
    """The commits after this number are no longer stored, or the number is not of this store.

    Read `DocumentStore.sequence`, then all documents, and continue from that number.
    """


class Unavailable(StoreError):
    """The store cannot do this now. Retry after `retry_after` seconds, or see `reason`."""

    def __init__(self, reason: str, retry_after: int = 5) -> None:
        super().__init__(reason)
        self.reason, self.retry_after = reason, retry_after


class OutOfSpace(Unavailable):
    """The disk is full. Free some space. Reading continues to work, and nothing is lost."""


def from_os_error(error: OSError, what: str) -> Unavailable:
    """Return the store's error for a failed system call; `what` names the document or the step."""
    reason = f"{what}: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutOfSpace(reason, retry_after=30)
    return Unavailable(reason)
