"""Compare backups of many documents with other tools: `python -m benchmarks.backups`.

The folder has `--users` people with four documents each, and a database of accounts. Each tool
makes a full backup into an empty place on the same disk, and another one after the documents of one
user in a hundred have changed. Each run is a process of its own, its start included; files are in
the page cache. Times are of the wall clock, and of the processors.

NeuralFlow's backup shows one moment of documents and accounts. restic and borg copy the files as
they find them, and sqlite3 copies a database that holds the same documents as rows, by its backup
interface: it has no incremental backup. Contents are compressed by zstd, except for sqlite3.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import msgspec

from backups.accounts import SqliteAccounts
from backups.create import create_backup
from backups.manifest import Backup, backup_names
from backups.targets import FolderTarget
from backups.verify import verify_backup
from benchmarks.peers import task
from docstore import DocumentStore, Key, Transaction, open_store, utc_now
from workspace.schema.validation import COLLECTIONS

TASKS: Final = 8
NAMES: Final = ("users", "tasks", "projects", "models")
LAYOUTS: Final = [COLLECTIONS[name].layout for name in NAMES]


class Took(NamedTuple):
    """Seconds of the wall clock and of processors, and the bytes that the place grew by."""

    seconds: float
    processor: float
    stored: int


class Tool(NamedTuple):
    """A tool: a command that prepares its place, and one that backs up. `{0}` is the folder."""

    name: str
    prepare: list[str]
    back_up: list[str]


def tools(folder: Path) -> Iterator[Tool]:
    """Yield NeuralFlow and the peers that are installed."""
    own = [sys.executable, "-m", "benchmarks.backups", "--folder", str(folder)]
    yield Tool("NeuralFlow", [], [*own, "--run", "neuralflow"])
    sources = [str(folder / "data" / name) for name in NAMES] + [str(folder / "db.sqlite3")]
    if restic := shutil.which("restic"):
        command = [restic, "--quiet", "--repo", str(folder / "restic")]
        command += ["--cache-dir", str(folder / "restic-cache")]
        init = [*command, "init", "--repository-version", "2"]
        yield Tool("restic", init, [*command, "backup", *sources])
    if borg := shutil.which("borg"):
        place = str(folder / "borg")
        init = [borg, "init", "--encryption=none", place]
        yield Tool("borg", init, [borg, "create", "-C", "zstd,3", f"{place}::{{now:%f}}", *sources])
    yield Tool("sqlite3", [], [*own, "--run", "sqlite3"])


def fill(folder: Path, users: int) -> None:
    """Write the documents as files, the same as rows of a database, and accounts."""
    for layout in LAYOUTS:
        (folder / "data" / layout.name).mkdir(parents=True)
    with closing(sqlite3.connect(folder / "rows.sqlite3")) as rows:
        rows.execute("PRAGMA journal_mode=WAL")
        rows.execute("CREATE TABLE documents (name TEXT PRIMARY KEY, content TEXT)")
        for owner in range(1, users + 1):
            for layout in LAYOUTS:
                count = TASKS if layout.name == "tasks" else 2
                records = [{"id": n + 1, **task(owner * 100 + n)} for n in range(count)]
                content = {layout.records: records, "revision": 1, "last_id": count}
                data = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
                name = f"{layout.name}/{layout.stem}_{owner}.json"
                (folder / "data" / name).write_bytes(data)
                rows.execute("INSERT INTO documents VALUES (?, ?)", (name, data.decode()))
        rows.commit()
    with closing(sqlite3.connect(folder / "db.sqlite3")) as accounts:
        accounts.execute("PRAGMA journal_mode=WAL")
        accounts.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, password TEXT)")
        rows_of = ((owner, f"user{owner}", os.urandom(48).hex()) for owner in range(1, users + 1))
        accounts.executemany("INSERT INTO people VALUES (?, ?, ?)", rows_of)
        accounts.commit()


def change(folder: Path, users: int, round_number: int) -> int:
    """Change all documents of one user in a hundred; return the number of documents."""
    store, changed = _store(folder), 0
    with closing(sqlite3.connect(folder / "rows.sqlite3")) as rows:
        for owner in range(1 + round_number, users + 1, 100):
            store.change(lambda transaction, owner=owner: _edit(transaction, owner, round_number))
            changed += len(LAYOUTS)
            name = f"tasks/tasks_{owner}.json"
            content = f"changed {round_number}"
            rows.execute("UPDATE documents SET content = ? WHERE name = ?", (content, name))
        rows.commit()
    store.close()
    return changed


def _edit(transaction: Transaction, owner: int, number: int) -> None:
    for name in NAMES:
        key = Key(name, owner)
        if name == "users":
            transaction.set(key, {"note": f"changed {number}"})
        else:
            transaction.put(key, {"id": 1, **task(owner * 7 + number)})


def _store(folder: Path) -> DocumentStore:
    return open_store((folder / "data").as_uri(), LAYOUTS)


def back_up(folder: Path, tool: str) -> None:
    """Make a backup in this process."""
    if tool == "sqlite3":
        name = folder / "sqlite3" / f"{time.time_ns()}"
        name.parent.mkdir(exist_ok=True)
        with (
            closing(sqlite3.connect(folder / "rows.sqlite3")) as rows,
            closing(sqlite3.connect(name)) as copy,
        ):
            rows.backup(copy)
        return
    store = _store(folder)
    create_backup(
        store,
        FolderTarget(folder / "neuralflow"),
        program="benchmark",
        clock=utc_now,
        accounts=SqliteAccounts(folder / "db.sqlite3"),
    )
    store.close()


def measure(command: list[str], place: Path) -> Took:
    """Run a command, and return what it took."""
    size = _size(place)
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = {**os.environ, "RESTIC_PASSWORD": "x", "BORG_BASE_DIR": str(place.parent)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    seconds, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Took(seconds, processor, _size(place) - size)


def _size(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def verify(folder: Path) -> float:
    """Verify the newest backup, and return the seconds."""
    store, target = _store(folder), FolderTarget(folder / "neuralflow")
    begun = time.monotonic()
    backup = Backup(target, backup_names(target)[-1])
    result = verify_backup(
        store,
        backup,
        program="benchmark",
        clock=utc_now,
        accounts=SqliteAccounts(folder / "db.sqlite3"),
    )
    store.close()
    if result.problem:
        raise SystemExit(result.problem)
    return time.monotonic() - begun


def row(name: str, took: Took) -> str:
    megabytes = took.stored / 1e6
    return f"| {name} | {took.seconds:.2f} s | {took.processor:.2f} s | {megabytes:.1f} MB |"


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backups", description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="times to change 1 % and back up")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args(None if arguments is None else list(arguments))
    if options.run:
        back_up(options.folder, options.run)
        return
    with TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        fill(folder, options.users)
        _report(folder, options.users, options.rounds, print)


def _report(folder: Path, users: int, rounds: int, tell: Callable[[str], None]) -> None:
    store = _store(folder)  # its first opening lays out the work folder
    store.close()
    size = _size(folder / "data")
    tell(f"{users} users, {users * len(LAYOUTS)} documents, {size / 1e6:.0f} MB\n")
    head = "| {} | wall clock | processors | stored |\n|---|---|---|---|"
    peers = list(tools(folder))
    os.sync()
    tell(head.format("full backup"))
    for tool in peers:
        if tool.prepare:
            measure(tool.prepare, folder / tool.name.lower())
        tell(row(tool.name, measure(tool.back_up, folder / tool.name.lower())))
    taken: dict[str, list[Took]] = {tool.name: [] for tool in peers}
    for number in range(rounds):
        changed = change(folder, users, number)
        for tool in peers:
            taken[tool.name].append(measure(tool.back_up, folder / tool.name.lower()))
    tell("\n" + head.format(f"{changed} documents changed, median of {rounds}"))
    for name, all_taken in taken.items():
        middle = sorted(all_taken)[len(all_taken) // 2]
        tell(row(name, middle))
    tell(f"\nNeuralFlow verifies the newest backup in {verify(folder):.1f} s.")


if __name__ == "__main__":
    main()
