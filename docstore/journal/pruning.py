"""Deletes the segments that are only history: by age, by size, or for room on a full disk."""

from __future__ import annotations

import errno
import itertools
import logging
import math
from collections.abc import Callable
from typing import Final

from docstore.disk.filesystem import FileSystem
from docstore.journal.segments import SegmentFolder
from docstore.journal.state import JournalState

log = logging.getLogger(__name__)

FULL: Final = {errno.ENOSPC, errno.EDQUOT}
_ROOM_SEGMENTS: Final = 2  # segments to remove at a time when the disk is full


class Pruner:
    """Deletes old segments of a journal, the oldest first, so that no gap appears.

    Invariant: a segment with a frame after the durable checkpoint stays.
    """

    def __init__(
        self,
        files: FileSystem,
        segments: SegmentFolder,
        state: JournalState,
        sync: Callable[[], None],
    ) -> None:
        self._files, self._segments, self._state, self._sync = files, segments, state, sync
        self._oldest = 0  # the oldest segment when this process looked for room last

    def reset(self) -> None:
        """Note the oldest segment as of now."""
        self._oldest = min(self._segments.numbers(), default=0)

    def prune(self, keep_from: float, bytes_max: int, young_from: float = math.inf) -> list[int]:
        """Delete segments: see `Journal.prune`."""
        stamps = self._segments.stamps(self._segments.numbers())
        total = sum(size for size, _ in stamps.values())
        deleted = []
        for number, successor in itertools.pairwise(stamps):
            size, time_ns = stamps[number]
            is_spare = total > bytes_max and time_ns < young_from * 1e9
            is_needed = successor > self._state.checkpoint + 1
            if is_needed or not (time_ns < keep_from * 1e9 or is_spare):
                break
            self._files.remove("retire", self._segments.path(number))
            total -= size
            deleted.append(number)
        return deleted

    def make_room(self, error: OSError) -> bool:
        """Delete the oldest history if `error` means a full disk: see `Journal.make_room`."""
        if error.errno not in FULL:
            return False
        try:
            self._sync()  # a durable checkpoint, as `prune` requires
            numbers = self._segments.numbers()
            oldest, self._oldest = self._oldest, min(numbers, default=0)
            if 0 < oldest < self._oldest:
                return True  # another process made room since this one looked last
            sizes = self._segments.sizes(numbers)
            most = max(sizes.values(), default=0)
            deleted = self.prune(-math.inf, max(sum(sizes.values()) - _ROOM_SEGMENTS * most, 0))
        except OSError:
            return False
        if deleted:
            log.warning(
                "the disk is full: %d segments of the journal's history were given up, up to change"
                " %d. Free some space, or lower NEURALFLOW_HISTORY_BYTES",
                len(deleted),
                self._segments.numbers()[0] - 1,
            )
        # A segment without a size was removed by another process, which made room, too.
        return bool(deleted) or len(sizes) < len(numbers)
