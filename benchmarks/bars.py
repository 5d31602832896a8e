"""The project's performance targets against its peers, and whether a run met them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.workloads import READS, WRITES, Figure

Medians = Mapping[Figure, float]
_OURS, _YARDSTICK, _ORM = "NeuralFlow", "sqlite3", "Django ORM"
_MICROSECONDS = 1e-6


def bars(medians: Medians) -> str:
    """Return a table of the targets that were measured: target, figure, and whether it is met."""
    rows = [
        f"| {bar} | {measured} | {'yes' if holds else '**no**'} |"
        for bar, measured, holds in _all(medians)
    ]
    return "\n".join(["**Bars**", "", "| bar | measured | holds |", "|---|---|---|", *rows])


def _all(medians: Medians) -> Iterator[tuple[str, str, bool]]:
    yield from _at_most(
        medians, "one writer, n = 100: at most 1.3 x the time of sqlite3", "append", 1.3
    )
    yield from _faster(
        medians, "one writer, n = 100: 1.4 x faster than the Django ORM", "append", _ORM, 1.4
    )
    for workload in WRITES:
        yield from _growth(medians, workload)
    yield from _faster(
        medians, "8 threads, own users: 4 x sqlite3", "8 threads, own users", _YARDSTICK, 4
    )
    yield from _faster(
        medians, "4 processes, own users: 2 x sqlite3", "4 processes, own users", _YARDSTICK, 2
    )
    yield from _faster(
        medians, "8 threads, one user: 4 x sqlite3", "8 threads, one user", _YARDSTICK, 4
    )
    yield from _lists(medians)
    yield from _faster(
        medians, "list of 100 as JSON: 3 x faster than sqlite3", "list as JSON", _YARDSTICK, 3
    )
    yield from _faster(
        medians, "list of 100 as JSON: 20 x faster than the Django ORM", "list as JSON", _ORM, 20
    )
    sizes = [size for _, workload, size in medians if workload == "one record"]
    if sizes:
        largest = max(sizes)
        bar = f"one record of {largest:,}: faster than sqlite3"
        yield from _faster(medians, bar, "one record", _YARDSTICK, 1, largest)


def _at_most(
    medians: Medians, bar: str, workload: str, most: float, size: int = 100
) -> Iterator[tuple[str, str, bool]]:
    ours, theirs = medians.get((_OURS, workload, size)), medians.get((_YARDSTICK, workload, size))
    if ours and theirs:
        yield bar, f"{ours / theirs:.2f} x", ours / theirs <= most


def _faster(
    medians: Medians, bar: str, workload: str, peer: str, least: float, size: int = 100
) -> Iterator[tuple[str, str, bool]]:
    ours, theirs = medians.get((_OURS, workload, size)), medians.get((peer, workload, size))
    if ours and theirs:
        yield bar, f"{theirs / ours:.1f} x", theirs / ours >= least


def _growth(medians: Medians, workload: str) -> Iterator[tuple[str, str, bool]]:
    sizes = [size for peer, name, size in medians if (peer, name) == (_OURS, workload)]
    if len(sizes) > 1:
        small, large = min(sizes), max(sizes)
        grown = medians[_OURS, workload, large] / medians[_OURS, workload, small]
        yield (
            f"{workload} at {large:,} records: at most 1.5 x that at {small}",
            f"{grown:.2f} x",
            grown <= 1.5,
        )


def _lists(medians: Medians) -> Iterator[tuple[str, str, bool]]:
    (name, *_), ours = READS, {}
    for peer, workload, size in medians:
        if (peer, workload) == (_OURS, name):
            ours[size] = medians[peer, workload, size] / _MICROSECONDS
    if ours:
        measured = ", ".join(f"{ours[size]:.1f}" for size in sorted(ours))
        bar = f"list of {' / '.join(f'{size:,}' for size in sorted(ours))}: at most 10 microseconds"
        yield bar, measured, max(ours.values()) <= 10
