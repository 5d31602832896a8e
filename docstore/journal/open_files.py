"""Notices that a file which this process writes has lost its name.

A person may delete, move or replace the journal while processes have it open. Their writes then go
into files without a name: acknowledging one would lose it.
"""

from __future__ import annotations

import errno
import time
from typing import Final

from docstore.disk.filesystem import FileSystem
from docstore.errors import Unavailable
from docstore.journal.segments import OpenSegment, SegmentFolder
from docstore.journal.state import JournalState

_SETTLED_NS: Final = 50_000_000


class OpenFiles:
    """The identities of the shared numbers and of the current segment.

    Invariant: after a sync, `require_names` returns only if both still have their names, so no
    commit in a nameless file is acknowledged. `is_lost` is never reset but by opening again.
    """

    def __init__(self, files: FileSystem, segments: SegmentFolder, state: JournalState) -> None:
        self._files, self._segments, self._state = files, segments, state
        self._page_path = segments.folder / "state"
        self._page: tuple[int, int] | None = None  # identity of the file of the shared numbers
        self._names: tuple[int, int] | None = None  # inode and mtime of the folder when checked
        self.is_read_only = True
        self.is_lost = False  # the file written to was deleted, moved or replaced

    def watch(self) -> None:
        """Note the file that the shared numbers have now."""
        self._page, self._names = self._files.identity(self._page_path), None
        self.is_read_only = False

    @property
    def has_page(self) -> bool:
        """Return whether the name of the shared numbers leads to the file that is in use."""
        return self.is_read_only or self._files.identity(self._page_path) == self._page

    @property
    def is_replaced(self) -> bool:
        """Return whether the name of the shared numbers leads to another file."""
        return self._files.identity(self._page_path) not in (None, self._page)

    def has_segment(self, segment: OpenSegment | None) -> bool:
        """Return whether the segment, if it is the one being written, has its name."""
        if self.is_read_only or segment is None or segment.number != self._state.segment:
            return True
        if self._files.identity(self._segments.path(segment.number)) == segment.identity:
            return True
        # Read again: other processes may have begun a segment and pruned this one in between.
        return segment.number != self._state.segment

    def find_lost(self, segment: OpenSegment | None) -> bool:
        """Return whether a file being written has lost its name, and note that."""
        self.is_lost = not self.has_page or not self.has_segment(segment)
        return self.is_lost

    def require_names(self, segment: OpenSegment) -> None:
        """Raise `Unavailable` if the segment just synced, or the shared numbers, lost its name."""
        try:
            folder = self._files.status(self._segments.folder)
        except OSError:
            names = None
        else:
            names = folder.st_ino, folder.st_mtime_ns
            if names == self._names:
                return  # no name in the folder changed since the last check
        if names and self.has_page and self.has_segment(segment):
            # Within a tick of the clock, a second change leaves the folder's mtime as it is.
            # Remembering such an mtime would hide that change from the next check.
            if time.time_ns() - names[1] > _SETTLED_NS:
                self._names = names
            return
        self.is_lost = True
        raise Unavailable(
            "the journal was deleted, moved or replaced while a change was written: read whether"
            " the change happened",
            1,
        )

    def require_page(self) -> None:
        """Raise `OSError` if other processes no longer share this process's numbers.

        Requires the folder lock. Called before entering or beginning a segment: after a recovery by
        others, the segment of that name is another file. Without this check, outdated offsets would
        overwrite it.
        """
        if not self.has_page:
            self.is_lost = True
            raise FileNotFoundError(errno.ENOENT, "the shared numbers were deleted or replaced")

    def release_page(self) -> None:
        """Remove the name of the shared numbers.

        All other processes notice, and the next process to open the journal recovers it.
        """
        self._files.remove("rescue", self._page_path)
