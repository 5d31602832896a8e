"""Repair damaged files: from the journal, else from a backup, else set them aside.

The damaged file is always set aside under another name first, so nothing is lost. Whether a copy is
good is never guessed: it is the state that the journal or a whole backup has, or there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from docstore import Corrupt, Key, StoreError, Unavailable
from docstore.backend import Published
from workspace.schema.validation import COLLECTIONS
from workspace.workspace import Workspace

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Repair:
    """The repair of one document: what is wrong, and what helps.

    `source` is "journal", "backup", or "" if no good copy exists; then the file is only set aside.
    `aside` is the name that the damaged file got, "" if nothing was changed.
    """

    document: str
    problem: str
    source: str
    aside: str = ""
    failure: str = ""

    @property
    def is_unsolved(self) -> bool:
        """Whether the document is not healed."""
        return bool(self.failure) or not self.source

    def __str__(self) -> str:
        if self.failure:
            return f"{self.document}: cannot be repaired: {self.failure}"
        done = f"; the damaged file is {self.aside}" if self.aside else ""
        action = f"healed from the {self.source}" if self.source else "set aside: no good copy"
        return f"{self.document}: {self.problem}: {action}{done}"


def repairs(
    workspace: Workspace, *, apply: bool, progress: Progress = lambda done, total: None
) -> Iterator[Repair]:
    """Yield the repair of each document with a damaged file. Change something only with `apply`.

    Raises `Unavailable` if the store cannot be read or, with `apply`, written.
    """
    backend = workspace.store.backend.published
    if backend is None:
        raise Unavailable("only a store in a folder has files to repair")
    keys = [key for collection in COLLECTIONS for key in backend.keys(collection)]
    for done, key in enumerate(keys, 1):
        problem = _problem(backend, key)
        if problem is not None:
            yield _repair(backend, key, problem, apply=apply)
        progress(done, len(keys))


def _problem(backend: Published, key: Key) -> Corrupt | None:
    try:
        backend.read(key)
        return backend.fault(key) or backend.damage(key)
    except Corrupt as fault:
        return fault


def _repair(backend: Published, key: Key, problem: Corrupt, *, apply: bool) -> Repair:
    name, reason = backend.name(key), str(problem).removeprefix(backend.name(key)).lstrip(",: ")
    good = backend.last_good(key)
    document, source = good if good is not None else (None, "")
    if not apply:
        return Repair(name, reason, source)
    remark = f"Set aside by a repair: {reason}"
    try:
        aside = backend.repair_file(key, document, [remark])
    except StoreError as fault:
        return Repair(name, reason, source, failure=str(fault))
    remaining = _problem(backend, key)
    return Repair(name, reason, source, aside, str(remaining) if remaining else "")
