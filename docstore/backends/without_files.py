"""The part of the port that is about files, for backends whose documents are not files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from docstore.backend import Aside, Finding
from docstore.document import Key
from docstore.errors import Corrupt, NotFound


class WithoutFiles:
    """Documents that change only through commits: nobody edits, damages or publishes a file."""

    published = snapshots = None

    def merge_with(self, merge: Callable[[Any], object]) -> None:
        """Do nothing: there are no edits to merge."""

    def set_aside(self, key: Key, remarks: Sequence[str]) -> str:
        raise NotFound("there is no file")

    def aside(self, key: Key) -> list[Aside]:
        return []

    def discard_aside(self, key: Key, name: str) -> None:
        raise NotFound(f"there is no {name}")

    def fault(self, key: Key) -> Corrupt | None:
        return None

    def damage(self, key: Key) -> Corrupt | None:
        """Return None: memory has no checksums, and a database has its own."""
        return None

    def publish(self) -> None:
        """Do nothing: a commit is visible when it returns."""

    def check(self) -> Iterator[Finding]:
        return iter(())
