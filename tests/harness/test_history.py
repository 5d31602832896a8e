"""Histories of the real store are in order, and the judge detects those that are not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from docstore import Commit, Conflict, Document, DocumentStore, Key, Transaction
from tests.harness.history import LAYOUTS, ORDINARY, opened, record, run
from tests.harness.observations import GONE, History, Operation, Sight, absent, version

# Small histories. Times are in units of ten; a document's changes have a content of 100 and more.


def wrote(begin: int, end: int, revision: int, life: int = 1, document: str = "a") -> Operation:
    return Operation(
        "writer",
        begin,
        end,
        (Sight(document, version(life, revision), 100 + revision, wrote=True),),
    )


def dropped(begin: int, end: int, revision: int, life: int = 1) -> Operation:
    return Operation("writer", begin, end, (Sight("a", version(life, revision), GONE, True),))


def read(begin: int, end: int, revision: int, life: int = 1, digest: int = 0) -> Operation:
    seen = Sight("a", version(life, revision), digest or 100 + revision)
    return Operation("reader", begin, end, (seen,))


def missed(begin: int, end: int) -> Operation:
    return Operation("reader", begin, end, (absent("a"),))


def both(begin: int, end: int, one: int, other: int, written: bool) -> Operation:
    sights = tuple(
        Sight(document, version(1, revision), 100 + revision, written)
        for document, revision in (("a", one), ("b", other))
    )
    return Operation("transfer" if written else "view", begin, end, sights, together=True)


def faults(*operations: Operation) -> list[str]:
    history = History()
    for operation in reversed(operations):  # the order of adding is irrelevant
        history.add(operation)
    return list(history.faults())


FIRST = wrote(0, 10, 1)
RIGHT = {
    "one after another": [FIRST, read(20, 30, 1), wrote(40, 50, 2), read(60, 70, 2)],
    "a read beside a write finds the old": [FIRST, wrote(20, 90, 2), read(30, 40, 1)],
    "or the new": [FIRST, wrote(20, 90, 2), read(30, 40, 2), read(50, 60, 2)],
    "writes at once, in either order": [FIRST, wrote(20, 90, 3), wrote(21, 89, 2)],
    "reads at once, in either order": [FIRST, wrote(20, 90, 2), read(30, 50, 2), read(31, 49, 1)],
    "not there yet": [missed(0, 10), wrote(5, 20, 1)],
    "gone, and back": [
        FIRST,
        dropped(20, 30, 2),
        missed(40, 50),
        wrote(45, 60, 1, life=2),
        read(70, 80, 1, life=2),
    ],
    "a view before and a view after": [
        both(0, 10, 1, 1, True),
        both(20, 30, 1, 1, False),
        both(20, 60, 2, 2, True),
        both(40, 50, 2, 2, False),
    ],
}


@pytest.mark.parametrize("operations", RIGHT.values(), ids=list(RIGHT))
def test_history_with_a_valid_order_has_no_fault(operations: list[Operation]) -> None:
    assert faults(*operations) == []


WRONG = {
    "stale read": ([FIRST, wrote(20, 30, 2), read(40, 50, 1)], "read 1.1 when 1.2 was there"),
    "lost update": ([FIRST, wrote(20, 30, 3)], "1.3 was written, and 1.2 was not"),
    "first change lost": ([wrote(20, 30, 2)], "1.2 was written, and 1.1 was not"),
    "revision twice": ([FIRST, wrote(20, 40, 2), wrote(30, 50, 2)], "1.2 was written twice"),
    "reads going back": (
        [FIRST, wrote(20, 90, 2), read(30, 40, 2), read(50, 60, 1)],
        "read 1.1 when 1.2 was there",
    ),
    "writes going back": (
        [FIRST, wrote(20, 30, 3), wrote(40, 50, 2)],
        "wrote 1.2 when 1.3 was there",
    ),
    "future read": ([FIRST, read(20, 30, 2), wrote(40, 50, 2)], "wrote 1.2 when 1.2 was there"),
    "a read of nothing": ([FIRST, read(20, 30, 7)], "read 1.7, which nobody wrote"),
    "other content": ([FIRST, read(20, 30, 1, digest=5)], "read something else under 1.1"),
    "missing in the end": ([FIRST, missed(20, 30)], "did not find what was there"),
    "missing before the drop": (
        [FIRST, missed(20, 30), dropped(40, 50, 2)],
        "did not find what was there",
    ),
    "back from the dead": (
        [FIRST, dropped(20, 30, 2), read(40, 50, 1)],
        "read 1.1 when 1.2 was there",
    ),
    "missing once, then as before": (
        [FIRST, dropped(15, 90, 2), missed(20, 30), read(40, 50, 1)],
        "read 1.1 when 1.2 was there",
    ),
    "a life left out": (
        [FIRST, dropped(20, 30, 2), wrote(40, 50, 1, life=3)],
        "3.1 was written, and 2.1 was not",
    ),
    "half of a transfer": (
        [both(0, 10, 1, 1, True), both(20, 60, 2, 2, True), both(30, 40, 2, 1, False)],
        "a part of a commit was seen, at 1.2 and 1.1",
    ),
    "commits in different orders": (
        [both(0, 10, 1, 1, True), both(20, 60, 2, 3, True), both(20, 60, 3, 2, True)],
        "a later commit is before 1.3 with 1.2",
    ),
    "another sum": (
        [
            Operation("auditor", 0, 1, (), total=4000),
            Operation("auditor", 2, 3, (), total=3999),
        ],
        "saw a sum of",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_history_without_a_valid_order_has_a_fault(name: str) -> None:
    operations, problem = WRONG[name]
    assert any(problem in fault for fault in faults(*operations)), faults(*operations)


@pytest.mark.slow
def test_writers_and_readers_of_many_processes_and_threads_agree() -> None:
    report = run(ORDINARY // 2, seed=1)
    assert not report.lost, report.notes


# Stores with a bug, on any backend.


class ReadsWhatItSawLately(DocumentStore):
    """A store in which every other read returns the result of the one before."""

    seen: dict[Key, Document | None] = {}

    def read(self, key: Key) -> Document | None:
        with suppress(KeyError):
            return self.seen.pop(key)
        document = self.seen[key] = super().read(key)
        return document


class CommitsEachDocumentByItself(DocumentStore):
    """A store that lets others write between the parts of a commit."""

    def change(self, edit: Callable[[Transaction], Any], **options: Any) -> Any:
        with self.backend.exclusive():
            transaction = Transaction(self.backend, self._layouts, self.clock())
            result = edit(transaction)
            parts = [Commit((change,), transaction.now) for change in transaction.changes()]
            for part in parts[:1]:
                self.backend.commit(part)
        for part in parts[1:]:
            with suppress(Conflict):
                self.backend.commit(part)
        return result


class OverwritesOthers(DocumentStore):
    """A store that ignores the versions that it has read."""

    def change(self, edit: Callable[[Transaction], Any], **options: Any) -> Any:
        transaction = Transaction(self.backend, self._layouts, self.clock())
        result = edit(transaction)
        if not transaction.changes():
            return super().change(edit, **options)
        with self.backend.exclusive():
            changes = [
                change._replace(expect=self.backend.read(change.key).version)
                for change in transaction.changes()
            ]
            self.backend.commit(Commit(tuple(changes), transaction.now))
        return result


@pytest.mark.parametrize(
    "bug", [ReadsWhatItSawLately, CommitsEachDocumentByItself, OverwritesOthers]
)
def test_a_history_finds_a_planted_bug(tmp_path: Path, bug: type[DocumentStore]) -> None:
    threads = set(threading.enumerate())
    assert _is_found(tmp_path, bug), f"{bug.__name__} survived"
    left = {thread.name for thread in threading.enumerate() if thread not in threads}
    assert "docstore-publisher" not in left  # it would report the bug during other tests


def _is_found(tmp_path: Path, bug: type[DocumentStore]) -> bool:
    def opening(folder: Path) -> DocumentStore:
        layouts = {layout.name: layout for layout in LAYOUTS}
        return bug(opened(folder).backend, layouts)

    for attempt in range(5):
        folder = tmp_path / f"{attempt}"
        folder.mkdir()
        try:
            faults = list(record(folder, 500, attempt, opening).faults())
        except AssertionError:  # the workers could not even continue
            return True
        if faults:
            return True
    return False
