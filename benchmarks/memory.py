"""The memory that a store takes: `python -m benchmarks.memory` prints a table.

It opens a folder with documents of many users, counts them, and reads them one after the other.
Documents that were not read take no memory, and those that were read at most the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peers import task
from docstore import CollectionLayout, Key, open_store

LAYOUT = CollectionLayout(name="tasks", stem="tasks", records="tasks")
MEGABYTE = 1 << 20
CACHE_BYTES = 16 * MEGABYTE


def fill(folder: Path, users: int, tasks: int) -> int:
    """Write files in the store's format, without the store; return their total bytes."""
    records = [{"id": number, **task(number)} for number in range(1, tasks + 1)]
    content = json.dumps({"tasks": records, "last_id": tasks, "revision": 1}, indent=2).encode()
    (folder / "tasks").mkdir()
    for owner in range(1, users + 1):
        (folder / "tasks" / f"tasks_{owner}.json").write_bytes(content)
    return len(content) * users


def resident() -> float:
    """Return the resident memory of this process in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def steps(folder: Path) -> Iterator[tuple[str, float]]:
    """Yield each step that was done, with the megabytes in memory after it."""
    yield "nothing opened", resident()
    store = open_store(folder.as_uri(), [LAYOUT], cache_bytes=CACHE_BYTES)
    yield "opened", resident()
    yield f"{sum(1 for _ in store.keys('tasks')):,} documents counted", resident()
    store.read(Key("tasks", 1))
    yield "one read", resident()
    for number, key in enumerate(store.keys("tasks"), 1):
        store.read(key)
        if number in (1_000, 5_000, 20_000):
            yield f"{number:,} read", resident()
        if number == 20_000:
            break
    store.close()


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--tasks", type=int, default=10, help="of each user")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(None if arguments is None else list(arguments))
    if options.folder:
        for name, megabytes in steps(options.folder):
            print(f"| {name} | {megabytes:,.0f} |", flush=True)
        return
    with TemporaryDirectory(prefix="benchmark-") as name:
        size = fill(Path(name), options.users, options.tasks) / MEGABYTE
        cache = f"at most {CACHE_BYTES >> 20} MB of them remembered"
        print(f"{options.users:,} documents, {size:,.0f} MB of files in all; {cache}.")
        print("\n| then | MB in memory |\n|---|---:|", flush=True)
        command = [sys.executable, "-m", "benchmarks.memory", "--folder", name]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
