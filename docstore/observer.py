"""The interface through which a store reports its work, such as to metrics.

The engine calls these methods on the threads of its callers, some under its locks. They must be
quick, must not raise, and must not use the store.
"""

from __future__ import annotations


class Observer:
    """Receives what a store does. This one ignores everything."""

    def on_read(self, *, is_cached: bool) -> None:
        """Note that a document was read, from the cache or from its file."""

    def on_commit(self, changes: int) -> None:
        """Note that a commit with this many changed documents was appended."""

    def on_sync(self, seconds: float, frames: int) -> None:
        """Note that one sync made this many frames of the journal durable (group commit)."""

    def on_conflict(self) -> None:
        """Note that another writer was first, so that an edit runs again."""


IGNORING = Observer()
