"""How a store on files does, for whoever runs it."""

from __future__ import annotations

from typing import NamedTuple


class Condition(NamedTuple):
    """Figures that cost the same however much is stored.

    `refusal` is why nothing can be written, as the last attempt found it; "" when it can. The
    journal has the frames from `first` to `last`, in `segments` that take `journal_bytes`; up to
    `checkpoint` the files are durable without it. Of `waiting` documents the files are behind,
    the first of them for `behind` seconds.
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
        """How many frames the journal could not be without."""
        return max(self.last - self.checkpoint, 0)
