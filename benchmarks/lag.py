"""The delay from a commit's acknowledgement until the published file shows the change.

    .venv/bin/python -m benchmarks.lag              # 100 records, 1 MB, 40 MB
    .venv/bin/python -m benchmarks.lag --changes 5  # a first look

One process changes a record, and polls the file from the moment the change returns.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peers import NeuralFlow, task

# Name, records, and the percentage of the changes to make: large documents take longer.
SIZES = [("100 records", 100, 100), ("1 MB", 2_400, 100), ("40 MB", 96_000, 20)]
SECONDS_MAX = 60.0
_REVISION = re.compile(rb'^  "revision": (\d+)', re.MULTILINE)


def lags(folder: Path, records: int, changes: int) -> Iterator[float]:
    """Yield the seconds from the return of each change until the file shows it."""
    peer = NeuralFlow(folder)
    peer.fill(1, map(task, range(records)))
    path = folder / "tasks" / "tasks_1.json"
    for number in range(changes):
        peer.update(1, number % records + 1, {"metadata": {"seed": number}})
        acknowledged = time.perf_counter()
        yield shown(path, number + 2, acknowledged) - acknowledged
    peer.close()


def shown(path: Path, revision: int, begin: float) -> float:
    """Return the time at which a file with this or a later revision was first seen."""
    looked_at = None
    while True:
        now = time.perf_counter()
        status = path.stat() if path.exists() else None
        state = status and (status.st_ino, status.st_mtime_ns)
        if state and state != looked_at:
            looked_at = state
            match = _REVISION.search(path.read_bytes())
            if match and int(match[1]) >= revision:
                return now
        if now - begin > SECONDS_MAX:
            raise SystemExit(f"{path} did not show revision {revision} in {SECONDS_MAX:.0f} s")
        time.sleep(0.000_5)


def row(name: str, seconds: list[float]) -> str:
    """Return a table row in milliseconds: median, 90th percentile, maximum."""
    inner = sorted(seconds)
    tenth = inner[min(len(inner) * 9 // 10, len(inner) - 1)]
    figures = (statistics.median(inner), tenth, inner[-1])
    return f"| {name} |" + "".join(f" {figure * 1e3:.1f} |" for figure in figures)


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lag", description=__doc__)
    parser.add_argument("--changes", type=int, default=100, help="of the smaller documents")
    parser.add_argument("--largest", type=int, default=10**9, help="records, at most")
    options = parser.parse_args(None if arguments is None else list(arguments))
    print("**From acknowledged to shown in the file, milliseconds**\n")
    print("| | median | 9 of 10 | all |\n|---|---:|---:|---:|")
    for name, records, share in SIZES:
        if records <= options.largest:
            with TemporaryDirectory() as folder:
                changes = max(1, options.changes * share // 100)
                print(row(name, list(lags(Path(folder), records, changes))), flush=True)


if __name__ == "__main__":
    main()
