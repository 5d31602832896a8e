"""What can go wrong, named by what the caller does next.

Every message is a sentence for a person. None of these errors leaves anything half-written.
"""

from __future__ import annotations

import errno


class StoreError(Exception):
    """Any refusal of the store. Catch it where a page or a command must go on."""


class NotFound(StoreError):
    """There is no such record or document. Tell the caller; do not retry."""


class Conflict(StoreError):
    """Someone else wrote first. Read again, re-apply, retry."""


class TooLarge(StoreError):
    """The document would outgrow its limit. Remove records, or split them over owners."""


class InvalidValue(StoreError):
    """A value that JSON cannot carry was offered. Mend the value; nothing was written."""


class RecordTooLarge(InvalidValue):
    """A record would be larger than a record may be. Shorten it, or split it."""

    def __init__(self, count: int, most: int) -> None:
        super().__init__(f"must have at most {most} bytes as JSON; it would have {count}")


class TooMuchAtOnce(StoreError):
    """The change is more than one commit may hold, or takes longer than others may have to wait.

    Nothing was written. Change fewer or smaller records at a time.
    """


class Corrupt(StoreError):
    """A document does not read as what it should be. A person has to mend or restore the file.

    The file stays exactly as it is: it is never treated as empty and never overwritten.
    `document` is the name under the data folder; `line` and `column` count from 1, in
    characters, and are 0 where no single place is to blame.
    """

    def __init__(self, document: str, reason: str, line: int = 0, column: int = 0) -> None:
        place = f", line {line}, column {column}" if line else ""
        super().__init__(f"{document}{place}: {reason}")
        self.document, self.reason, self.line, self.column = document, reason, line, column


class HistoryGone(StoreError):
    """The commits after this number are no longer kept, or the number is none of this store.

    Read everything anew, and go on from `DocumentStore.sequence`, asked for before.
    """


class Unavailable(StoreError):
    """The store cannot do this now. Try again after `retry_after` seconds, or see `reason`."""

    def __init__(self, reason: str, retry_after: int = 5) -> None:
        super().__init__(reason)
        self.reason, self.retry_after = reason, retry_after


class OutOfSpace(Unavailable):
    """The disk is full. Free some space; reading goes on meanwhile, and nothing is lost."""


def from_os_error(error: OSError, what: str) -> Unavailable:
    """The store's word for a failed system call; `what` names the document or the step."""
    reason = f"{what}: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutOfSpace(reason, retry_after=30)
    return Unavailable(reason)
