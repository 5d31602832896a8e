"""Backups of a store and its accounts while 16 writers change both.

Each writer moves amounts between documents, so their sum is constant in every commit, and counts
its commits in the accounts database first and then in a document. A backup shows one moment if the
amounts have their sum, and the database is at most one commit ahead of the documents. A case is a
backup, restored into a folder of its own.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from backups.accounts import SqliteAccounts
from backups.create import Created, create_backup, files_backend
from backups.manifest import Backup
from backups.targets import FolderTarget
from backups.unpack import DATABASE, scratch_folder, unpack
from backups.verify import verify_backup
from docstore import DocumentStore, Key, Transaction, open_store, utc_now
from tests.docstore.layouts import LAYOUTS
from tests.harness.apart import in_own_process, scratch, start, wait
from tests.harness.report import Report

PROCESSES: Final = 4
THREADS: Final = 4
PURSES: Final = 6
AMOUNT: Final = 1_000
_VERIFIED_EVERY: Final = 10


def run(count: int, seed: int, planted: str = "") -> Report:
    """Create `count` backups. Raises `AssertionError` if fewer were, or nobody wrote."""
    report = in_own_process(__name__, count, seed, planted=planted)
    return report.finish(0 if report.lost else count)


def attack(count: int, seed: int) -> Report:
    report = Report("online backups")
    with scratch("backups") as folder:
        store = _opened(folder)
        store.change(_fill)
        accounts = sqlite_accounts(folder)
        target = FolderTarget(folder / "backups")
        read = commits = 0
        with _writers(folder, seed):
            while report.cases < count and not report.lost:
                created = create_backup(
                    store, target, program="test", clock=utc_now, accounts=accounts
                )
                report.cases += 1
                read += created.read
                commits = max(commits, created.manifest.sequence)
                for fault in _faults(store, target, created, report.cases):
                    report.lose(f"backup {report.cases}: {fault}")
        store.close()
    report.notes.append(f"{commits} frames of 16 writers, {read} files read")
    if read <= PURSES + PROCESSES * THREADS:
        raise AssertionError("online backups: nothing changed between backups")
    return report


def _opened(folder: Path) -> DocumentStore:
    return open_store((folder / "data").as_uri(), LAYOUTS.values())


def _fill(transaction: Transaction) -> None:
    for owner in range(1, PURSES + 1):
        transaction.create(Key("notes", owner), {"notes": [{"id": 1, "amount": AMOUNT}]})
    for writer in range(1, PROCESSES * THREADS + 1):
        transaction.create(Key("people", writer), {"log": [], "count": 0})


def _connected(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "db.sqlite3", timeout=60, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    return connection


def sqlite_accounts(folder: Path) -> SqliteAccounts:
    """Return a database with a row for each writer."""
    with closing(_connected(folder)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE counts (writer INTEGER PRIMARY KEY, count INTEGER)")
        writers = [(number, 0) for number in range(1, PROCESSES * THREADS + 1)]
        connection.executemany("INSERT INTO counts VALUES (?, ?)", writers)
    return SqliteAccounts(folder / "db.sqlite3")


@contextmanager
def _writers(folder: Path, seed: int) -> Iterator[None]:
    children = [start(partial(_write, folder, number, seed)) for number in range(PROCESSES)]
    try:
        yield
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            wait(child)


def _write(folder: Path, process: int, seed: int) -> None:
    store = _opened(folder)
    threads = [
        threading.Thread(target=_transfer, args=(folder, store, process * THREADS + number, seed))
        for number in range(1, THREADS + 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _transfer(folder: Path, store: DocumentStore, writer: int, seed: int) -> None:
    """Move amounts until killed."""
    dice, connection = random.Random(seed * 100 + writer), _connected(folder)
    number = 0
    while True:
        number += 1
        giver, taker = dice.sample(range(1, PURSES + 1), 2)
        change = "UPDATE counts SET count = ? WHERE writer = ?"
        connection.execute(change, (number, writer))
        store.change(partial(_move, giver, taker, dice.randint(1, 9), writer, number))


def _move(
    giver: int, taker: int, amount: int, writer: int, number: int, transaction: Transaction
) -> None:
    for owner, difference in ((giver, -amount), (taker, amount)):
        key = Key("notes", owner)
        before = transaction.record(key, 1)["amount"]
        transaction.put(key, {"id": 1, "amount": before + difference})
    transaction.set(Key("people", writer), {"count": number})


def _faults(
    store: DocumentStore, target: FolderTarget, created: Created, number: int
) -> Iterator[str]:
    """Restore the backup into a folder of its own, and yield how it is not of one moment."""
    backup = Backup(target, created.name)
    with scratch_folder(files_backend(store)) as folder:
        unpack(backup, folder, files_backend(store), lambda done, total: None)
        contents = {
            path.name: msgspec.json.decode(path.read_bytes()) for path in folder.glob("*/*.json")
        }
        amounts = [
            content["notes"][0]["amount"] for content in contents.values() if "notes" in content
        ]
        if (len(amounts), sum(amounts)) != (PURSES, PURSES * AMOUNT):
            yield f"the amounts {amounts} do not have their sum"
        with closing(sqlite3.connect(folder / DATABASE)) as connection:
            counts = dict(connection.execute("SELECT writer, count FROM counts"))
        for writer, count in counts.items():
            behind = count - contents[f"person_{writer}.json"]["count"]
            if behind not in (0, 1):
                yield f"the accounts are {behind} commits ahead of the documents"
    if number % _VERIFIED_EVERY == 0:
        verified = verify_backup(store, backup, program="test", clock=utc_now)
        if verified.problem or verified.findings:
            yield verified.problem or str(verified.findings[0])
