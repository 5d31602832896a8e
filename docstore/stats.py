"""Statistics of a store on files, for its operator."""

from __future__ import annotations

from typing import NamedTuple


class Condition(NamedTuple):
    """Figures whose cost does not grow with the stored data.

    `refusal` is the reason why writing is refused, by the last attempt; "" if it is possible. The
    journal has the frames from `first` to `last`, in `segments` that take `journal_bytes`. Up to
    `checkpoint`, the files are durable without it. The files of `waiting` documents are outdated,
    the longest for `behind` seconds.
    """

    refusal: str
    first: int
    last: int
    checkpoint: int
    segments: int
    journal_bytes: int
    waiting: int
    behind: float

    @property
    def since_checkpoint(self) -> int:
        """Return the number of frames after the checkpoint, held durably by the journal only."""
        return max(self.last - self.checkpoint, 0)
