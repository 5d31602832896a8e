"""The time to open a store after its process died: `python -m benchmarks.recovery`.

The process leaves the given number of changes in the journal that no file shows yet. Opening the
folder reads all of them. The files are published afterwards, in the background.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peers import task
from docstore import CollectionLayout, DocumentStore, Key, Transaction
from docstore.backends.files import writer
from docstore.backends.files.backend import FilesBackend
from docstore.disk.filesystem import FileSystem

LAYOUTS = {"tasks": CollectionLayout(name="tasks", stem="tasks", records="tasks")}


class NotWaiting(FileSystem):
    """A file system without syncs, to fill the journal quickly before the measurement."""

    def sync_data(self, step: str, handle: int) -> None:
        """Do nothing."""


def leave(folder: Path, changes: int, owners: int) -> None:
    """Append tasks to the documents of `owners` users, and publish nothing."""
    backend = FilesBackend(folder, LAYOUTS, files=NotWaiting(), background=False)
    store = DocumentStore(backend, LAYOUTS)
    for number in range(changes):
        store.change(lambda transaction, number=number: append(transaction, number, owners))


def append(transaction: Transaction, number: int, owners: int) -> None:
    key = Key("tasks", number % owners + 1)
    if transaction.document(key) is None:
        transaction.create(key, {"tasks": []})
    transaction.put(key, {"id": transaction.new_id(key), **task(number)})


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--changes", type=int, default=100_000)
    parser.add_argument("--owners", type=int, default=1_000)
    parser.add_argument("--leave", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(None if arguments is None else list(arguments))
    if options.leave:
        writer.BACKLOG_MAX = options.changes
        leave(options.leave, options.changes, options.owners)
        return
    with TemporaryDirectory(prefix="benchmark-") as name:
        command = [sys.executable, "-m", "benchmarks.recovery", "--leave", name]
        command += ["--changes", str(options.changes), "--owners", str(options.owners)]
        subprocess.run(command, check=True)
        measure(Path(name), options.changes)


def measure(folder: Path, changes: int) -> None:
    """Open the folder and print the seconds of opening, first read and publishing."""
    began = time.perf_counter()
    backend = FilesBackend(folder, LAYOUTS, background=False)
    opened = time.perf_counter()
    backend.read(Key("tasks", 1))
    read = time.perf_counter()
    backend.close()
    closed = time.perf_counter()
    print("| pending changes | open | first read | all files made |\n|---:|---:|---:|---:|")
    print(
        f"| {changes:,} | {opened - began:.2f} s | {read - opened:.2f} s | {closed - read:.1f} s |"
    )


if __name__ == "__main__":
    main()
