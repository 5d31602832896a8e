"""Run the comparison and print it as tables: see `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.bars import bars
from benchmarks.peers import PEERS
from benchmarks.workloads import CONCURRENT, READS, WRITES, Figure

Times = dict[Figure, list[float]]

YARDSTICK = "sqlite3"
SIZES_WRITTEN, SIZES_READ = (100, 1_000, 10_000, 100_000), (100, 1_000, 10_000)
BAR_WIDTH = 30
SECONDS_MAX = 180


def figures(
    quick: bool, ends: bool = False, peers: Collection[str] = tuple(PEERS)
) -> Iterator[Figure]:
    """Yield the figures to measure; the peers take turns within each workload and size.

    `quick` omits the large sizes, `ends` all but the smallest and the largest.
    """
    most = 1_000 if quick else 10**9
    for workloads, sizes in ((WRITES, SIZES_WRITTEN), (READS, SIZES_READ), (CONCURRENT, (100,))):
        wanted = [size for size in sizes if size <= most]
        for workload in workloads:
            for size in sorted({wanted[0], wanted[-1]}) if ends else wanted:
                yield from ((peer, workload, size) for peer in peers if fits(peer, workload))


def fits(peer: str, workload: str) -> bool:
    """Return whether the peer supports the workload."""
    kind = PEERS[peer]
    return (kind.readable or workload not in READS) and (
        kind.shared_by_processes or "processes" not in workload
    )


def measure(figure: Figure) -> float | None:
    """Return the seconds per operation, measured in its own process; None if it took too long."""
    peer, workload, size = figure
    command = [sys.executable, "-m", "benchmarks.worker", peer, workload, str(size)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return float(done.stdout)


def run(rounds: int, wanted: Sequence[Figure]) -> Times:
    times: Times = {}
    for number in range(rounds):
        for done, figure in enumerate(wanted, 1):
            print(
                f"\r{number + 1}/{rounds} {done}/{len(wanted)} {figure}".ljust(70),
                end="",
                file=sys.stderr,
            )
            seconds = measure(figure)
            if seconds is not None:
                times.setdefault(figure, []).append(seconds)
    print(file=sys.stderr)
    return times


def report(times: Times, rounds: int) -> str:
    medians = {figure: statistics.median(values) for figure, values in times.items()}
    sizes = sorted({size for _, workload, size in medians if workload in WRITES})
    parts = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores,"
        f" Python {platform.python_version()}; medians of {rounds} rounds."
    ]
    for workload in WRITES:
        title = f"Durable {workload}, one writer, microseconds (times {YARDSTICK})"
        columns = [(f"n = {size:,}", workload, size) for size in sizes]
        parts.append(table(title, columns, medians))
    for workload in READS:
        sizes_read = sorted({size for _, name, size in medians if name == workload})
        columns = [(f"of {size:,}", workload, size) for size in sizes_read]
        parts.append(table(f"{workload.capitalize()}, warm, microseconds", columns, medians))
    columns = [(name, name, 100) for name in CONCURRENT]
    parts.append(table("Durable appends at once, microseconds for each", columns, medians))
    parts.append(chart("Durable append, n = 100, microseconds", "append", 100, medians))
    parts.append(bars(medians))
    return "\n\n".join(parts) + "\n"


def table(title: str, columns: list[tuple[str, str, int]], medians: dict[Figure, float]) -> str:
    lines = [f"**{title}**", "", "| |" + "".join(f" {head} |" for head, _, _ in columns)]
    lines.append("|---|" + "---:|" * len(columns))
    for peer, kind in PEERS.items():
        cells = [cell(peer, workload, size, medians) for _, workload, size in columns]
        if any(cells):
            name = peer if kind.durable else f"{peer} (not durable)"
            lines.append(f"| {name} |" + "".join(f" {text or '-'} |" for text in cells))
    return "\n".join(lines)


def cell(peer: str, workload: str, size: int, medians: dict[Figure, float]) -> str:
    seconds = medians.get((peer, workload, size))
    if seconds is None:
        return ""
    yardstick = medians.get((YARDSTICK, workload, size))
    ratio = f" ({seconds / yardstick:.2g} x)" if yardstick else ""
    return f"{seconds * 1e6:,.0f}{ratio}" if seconds > 1e-5 else f"{seconds * 1e6:.1f}{ratio}"


def chart(title: str, workload: str, size: int, medians: dict[Figure, float]) -> str:
    shown = {
        peer: medians[peer, workload, size] for peer in PEERS if (peer, workload, size) in medians
    }
    longest = max(shown.values())
    rows = [
        f"{peer:14} {'█' * max(1, round(seconds / longest * BAR_WIDTH))} {seconds * 1e6:,.0f}"
        for peer, seconds in sorted(shown.items(), key=lambda item: item[1])
    ]
    return f"**{title}**\n\n```text\n" + "\n".join(rows) + "\n```"


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--quick", action="store_true", help="collections of up to 1,000 only")
    parser.add_argument("--ends", action="store_true", help="smallest and largest sizes only")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), help="only these")
    parser.add_argument("--into", type=Path, help="write the tables into this file, too")
    options = parser.parse_args(None if arguments is None else list(arguments))
    wanted = list(figures(options.quick, options.ends, options.peers))
    text = report(run(options.rounds, wanted), options.rounds)
    print(text)
    if options.into:
        options.into.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
