"""The observations of a concurrent history, and whether one order explains all of them.

The changes of a document are numbered: a document counts its revisions, and one that was deleted
and created again counts its lives as well. So the order of the changes is known. It remains to
check it against the clock, which all processes of a machine share. A history is in order if, for
each document:

1. The changes have the numbers 1, 2, 3 ... without gaps or repetitions.
2. No operation saw or made a number below one that another had seen or made before it began, and
   the number that it made is above.
3. What was read under a number is what was written under it.

This is equivalent to linearizability (Herlihy and Wing, "Linearizability: A Correctness Condition
for Concurrent Objects", 1990), and takes one pass over the events in time order. Over several
documents, a transaction must see each commit completely.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import combinations, pairwise
from typing import Final

import msgspec

GONE: Final = 0  # the digest of a document that does not exist
_REVISION_BITS: Final = 32
_UNKNOWN: Final = -1  # the version of an absent document, whose life a reader cannot see


def version(life: int, revision: int) -> int:
    """Return the number of a state. Within a life, the numbers of changes have no gaps."""
    return life << _REVISION_BITS | revision


def said(number: int) -> str:
    """Format a version for people."""
    return f"{number >> _REVISION_BITS}.{number & (1 << _REVISION_BITS) - 1}"


class Sight(msgspec.Struct, array_like=True, frozen=True):
    """One document as an operation saw it or left it.

    A document that does not exist has the digest `GONE`. A deletion has a version like any other
    change, which a reader does not know.
    """

    document: str
    version: int
    digest: int
    wrote: bool = False


def absent(document: str) -> Sight:
    """Return what a reader sees of a document that does not exist."""
    return Sight(document, _UNKNOWN, GONE)


class Operation(msgspec.Struct, array_like=True, frozen=True):
    """One operation: its actor, its times (nanoseconds of the monotonic clock), and what it saw.

    `together`: all of it was seen at one moment. `total` is a sum that must stay constant.
    """

    who: str
    invoked: int
    returned: int
    sights: tuple[Sight, ...]
    together: bool = False
    total: int | None = None


class _Numbers:
    """Rows of integers of 8 bytes each."""

    def __init__(self, width: int) -> None:
        self._width, self._cells = width, array("q")

    def add(self, *numbers: int) -> None:
        self._cells.extend(numbers)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        cells = iter(self._cells)
        return zip(*[cells] * self._width, strict=True)


class History:
    """A history of operations, added in any order; takes some 50 bytes for each."""

    def __init__(self) -> None:
        self.operations = 0
        self._documents: dict[str, _Numbers] = {}
        self._commits: dict[tuple[str, str], _Numbers] = {}
        self._views: dict[tuple[str, str], _Numbers] = {}
        self._names: dict[str, int] = {}
        self._total: int | None = None
        self._torn: list[str] = []

    def add(self, operation: Operation) -> None:
        self.operations += 1
        who = self._names.setdefault(operation.who, len(self._names))
        for sight in operation.sights:
            self._documents.setdefault(sight.document, _Numbers(6)).add(
                operation.invoked, operation.returned, sight.wrote, sight.version, sight.digest, who
            )
        if operation.together:
            self._add_pairs(operation)
        if operation.total is not None:
            if self._total is None:
                self._total = operation.total
            if operation.total != self._total:
                self._torn.append(f"{operation.who} saw a sum of {operation.total}")

    def _add_pairs(self, operation: Operation) -> None:
        """Record a commit of the documents that it wrote or, without writes, a view of all."""
        wrote = any(sight.wrote for sight in operation.sights)
        pairs = self._commits if wrote else self._views
        known = [s for s in operation.sights if s.wrote == wrote and s.version != _UNKNOWN]
        for first, other in combinations(sorted(known, key=lambda sight: sight.document), 2):
            names = first.document, other.document
            pairs.setdefault(names, _Numbers(2)).add(first.version, other.version)

    def faults(self) -> Iterator[str]:
        """Yield what no order explains."""
        yield from self._torn
        names = list(self._names)
        for document, rows in sorted(self._documents.items()):
            for fault in _faults_of_one(sorted(rows), names):
                yield f"{document}: {fault}"
        for pair, commits in sorted(self._commits.items()):
            for fault in _faults_of_two(sorted(commits), self._views.get(pair, ())):
                yield f"{pair[0]} and {pair[1]}: {fault}"


def _faults_of_one(rows: list[tuple[int, ...]], names: list[str]) -> Iterator[str]:
    """Yield the faults of one document.

    `rows` are invoked, returned, wrote, version, digest and actor; sorted.
    """
    written: dict[int, tuple[int, int]] = {}  # digest of a version, and begin of its write
    for invoked, _, wrote, number, digest, _ in rows:
        if wrote:
            if number in written:
                yield f"{said(number)} was written twice"
            written[number] = digest, invoked
    yield from _gaps(written)
    drops = {number >> _REVISION_BITS: number for number in written if written[number][0] == GONE}
    returning = sorted(range(len(rows)), key=lambda row: rows[row][1])
    versions = [row[3] for row in rows]
    bound, done = 0, 0
    for place, (invoked, returned, wrote, number, digest, who) in enumerate(rows):
        while rows[returning[done]][1] < invoked:
            bound = max(bound, versions[returning[done]])
            done += 1
        if number == _UNKNOWN:  # the first state without the document that is not before `bound`
            versions[place] = number = drops.get(bound >> _REVISION_BITS, bound)
            if number and (
                drops.get(number >> _REVISION_BITS) != number or written[number][1] > returned
            ):
                yield f"{names[who]} did not find what was there, {said(bound)}"
        elif number not in written:
            yield f"{names[who]} read {said(number)}, which nobody wrote"
        elif written[number][0] != digest:
            yield f"{names[who]} read something else under {said(number)} than was written"
        if number < bound or (wrote and number == bound):
            done_what = "wrote" if wrote else "read"
            yield f"{names[who]} {done_what} {said(number)} when {said(bound)} was there"


def _gaps(written: dict[int, tuple[int, int]]) -> Iterator[str]:
    numbers = [0, *sorted(written)]
    for before, after in pairwise(numbers):
        born = not before or written[before][0] == GONE
        expected = version((before >> _REVISION_BITS) + 1, 1) if born else before + 1
        if after != expected:
            yield f"{said(after)} was written, and {said(expected)} was not"


def _faults_of_two(
    commits: list[tuple[int, ...]], views: Iterable[tuple[int, ...]]
) -> Iterator[str]:
    """Yield the faults of two documents; `commits` (sorted) and `views` are their versions."""
    ones, others = [first for first, _ in commits], [other for _, other in commits]
    for before, after in pairwise(others):
        if after <= before:
            yield f"a later commit is before {said(before)} with {said(after)}"
    if others != sorted(others):
        return
    for first, other in views:
        if bisect_right(ones, first) != bisect_right(others, other):
            yield f"a part of a commit was seen, at {said(first)} and {said(other)}"
