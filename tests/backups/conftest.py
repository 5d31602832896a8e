"""A store with accounts in SQLite, and a folder for their backups."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backups.accounts import SqliteAccounts
from backups.create import Created, create_backup
from backups.manifest import Backup
from backups.targets import FolderTarget, Target
from docstore import DocumentStore, Key, Transaction, open_store
from tests.docstore.layouts import ALICE, ALICE_NOTES, BOB_NOTES, LAYOUTS
from tests.folders import contents
from tests.harness.apart import scratch


@dataclass
class World:
    """A store, its accounts, and where they are backed up. Each call of the clock is a second."""

    folder: Path
    store: DocumentStore
    target: Target
    accounts: SqliteAccounts
    now: datetime = datetime(2026, 11, 23, 12, tzinfo=UTC)

    @property
    def root(self) -> Path:
        return self.folder / "data"

    def clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def back_up(self, **options: Any) -> Created:
        given = {"program": "test", "clock": self.clock, "accounts": self.accounts} | options
        return create_backup(self.store, given.pop("target", self.target), **given)

    def backup(self, created: Created) -> Backup:
        return Backup(self.target, created.name)

    def documents(self) -> dict[str, bytes]:
        self.store.publish()
        return contents(self.root)

    def names(self) -> list[str]:
        """Return the names in the accounts database."""
        with closing(sqlite3.connect(self.folder / "db.sqlite3")) as connection:
            return [name for (name,) in connection.execute("SELECT name FROM people ORDER BY 1")]

    def sign_up(self, name: str) -> None:
        with closing(sqlite3.connect(self.folder / "db.sqlite3")) as connection:
            connection.execute("INSERT INTO people VALUES (?)", (name,))
            connection.commit()


@pytest.fixture
def world() -> Iterator[World]:
    """Alice with a note and a profile, a file that does not read, and a stray."""
    with scratch("backups") as folder:  # a restore syncs hundreds of times
        yield from _world(folder)


def _world(folder: Path) -> Iterator[World]:
    database = folder / "db.sqlite3"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE people (name TEXT)")
    root = folder / "data"
    store = open_store(root.as_uri(), LAYOUTS.values())
    world = World(folder, store, FolderTarget(root / "backups"), SqliteAccounts(database))
    store.clock = world.clock
    world.sign_up("alice")

    def fill(transaction: Transaction) -> None:
        transaction.create(ALICE_NOTES, {"notes": [{"id": 1, "text": "größer 😀"}]})
        transaction.create(ALICE, {"log": []})

    store.change(fill)
    store.publish()
    (root / "notes/notes_7.json").write_text('{"notes": [\n  {"id": 1,}]}')
    (root / "notes/_index.json").write_text("{}")
    yield world
    store.close()


def spoil(world: World) -> None:
    """Change one document, delete one and add one; and another account."""

    def edit(transaction: Transaction) -> None:
        transaction.put(ALICE_NOTES, {"id": 2, "text": "later"})
        transaction.drop(ALICE)
        transaction.create(BOB_NOTES, {"notes": []})

    world.store.change(edit)
    world.sign_up("bob")


def put(world: World, record_id: int, text: str, key: Key = ALICE_NOTES) -> None:
    world.store.change(lambda transaction: transaction.put(key, {"id": record_id, "text": text}))
