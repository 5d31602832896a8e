"""The compared stores, each configured for durable writes as its documentation advises.

A peer stores, for each owner, records with ids. `Raw` stores nothing readable: it shows the limit
of the disk.
"""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from docstore import CollectionLayout, Key, Transaction, open_store

Record = dict[str, Any]


def task(number: int) -> Record:
    """Return a typical task of about 300 bytes."""
    return {
        "title": f"Train the baseline, run {number}",
        "description": "Small, honest, reproducible: seed 7, the split of last week.",
        "priority": "high",
        "status": "pending",
        "category": "experiments",
        "due_date": "2026-11-27",
        "tags": ["vision", "baseline"],
        "project_id": None,
        "metadata": {"seed": 7},
    }


class Peer:
    """One of the compared stores. Each method handles the records of one owner."""

    durable: ClassVar[bool] = True
    shared_by_processes: ClassVar[bool] = True
    readable: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, owner: int, records: Iterable[Record]) -> None:
        """Store the records under the ids 1, 2, 3 ... in any fast way."""
        raise NotImplementedError

    def append(self, owner: int, record: Record) -> int:
        """Store another record durably and return its id."""
        raise NotImplementedError

    def update(self, owner: int, record_id: int, changes: Record) -> None:
        """Change one record durably."""
        raise NotImplementedError

    def delete(self, owner: int, record_id: int) -> None:
        """Remove one record durably."""
        raise NotImplementedError

    def records(self, owner: int) -> Sequence[Record]:
        """Return all records, parsed."""
        raise NotImplementedError

    def as_json(self, owner: int) -> bytes:
        """Return all records as one JSON text, ready to send."""
        return json.dumps(self.records(owner)).encode()

    def record(self, owner: int, record_id: int) -> Record:
        """Return one record."""
        raise NotImplementedError

    def close(self) -> None:
        """Release all resources before the folder is removed."""


class NeuralFlow(Peer):
    """The project's store by itself: JSON files, one commit at a time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        layout = CollectionLayout(name="tasks", stem="tasks", records="tasks")
        self._store = open_store(folder.as_uri(), [layout])

    @staticmethod
    def _key(owner: int) -> Key:
        return Key("tasks", owner)

    def fill(self, owner: int, records: Iterable[Record]) -> None:
        tasks = [{"id": number, **record} for number, record in enumerate(records, 1)]
        content = {"tasks": tasks, "last_id": len(tasks)}
        self._store.change(lambda transaction: transaction.create(self._key(owner), content))

    def append(self, owner: int, record: Record) -> int:
        key = self._key(owner)

        def edit(transaction: Transaction) -> int:
            record_id = transaction.new_id(key)
            transaction.put(key, {"id": record_id, **record})
            return record_id

        return self._store.change(edit)

    def update(self, owner: int, record_id: int, changes: Record) -> None:
        key = self._key(owner)

        def edit(transaction: Transaction) -> None:
            transaction.put(key, {**transaction.record(key, record_id), **changes})

        self._store.change(edit)

    def delete(self, owner: int, record_id: int) -> None:
        self._store.change(lambda transaction: transaction.remove(self._key(owner), record_id))

    def records(self, owner: int) -> Sequence[Record]:
        return self._store.records(self._key(owner))

    def as_json(self, owner: int) -> bytes:
        return self._store.records(self._key(owner)).json()

    def record(self, owner: int, record_id: int) -> Record:
        records: tuple[Record, ...] = self._store.records(self._key(owner)).find(record_id)
        return records[0]

    def close(self) -> None:
        """Close the store, which publishes all files."""
        self._store.close()


class SQLite(Peer):
    """The standard library's sqlite3: write-ahead log, synchronous=FULL, a row for each record."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._local = threading.local()
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS tasks"
            " (owner INTEGER, id INTEGER, body TEXT, PRIMARY KEY (owner, id)) WITHOUT ROWID"
        )

    @property
    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            path = self.folder / "tasks.sqlite3"
            connection = sqlite3.connect(path, timeout=60, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            self._local.connection = connection
        return connection

    def fill(self, owner: int, records: Iterable[Record]) -> None:
        rows = ((owner, number, json.dumps(record)) for number, record in enumerate(records, 1))
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO tasks VALUES (?, ?, ?)", rows)
        self._connection.execute("COMMIT")

    def append(self, owner: int, record: Record) -> int:
        rows = self._connection.execute(
            "INSERT INTO tasks SELECT ?1, coalesce(max(id), 0) + 1, ?2 FROM tasks WHERE owner = ?1"
            " RETURNING id",
            (owner, json.dumps(record)),
        ).fetchall()
        return int(rows[0][0])

    def update(self, owner: int, record_id: int, changes: Record) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        body = json.dumps(self.record(owner, record_id) | changes)
        self._connection.execute(
            "UPDATE tasks SET body = ? WHERE owner = ? AND id = ?", (body, owner, record_id)
        )
        self._connection.execute("COMMIT")

    def delete(self, owner: int, record_id: int) -> None:
        self._connection.execute("DELETE FROM tasks WHERE owner = ? AND id = ?", (owner, record_id))

    def _bodies(self, owner: int) -> list[str]:
        query = "SELECT body FROM tasks WHERE owner = ? ORDER BY id"
        return [body for (body,) in self._connection.execute(query, (owner,))]

    def records(self, owner: int) -> list[Record]:
        return [json.loads(body) for body in self._bodies(owner)]

    def as_json(self, owner: int) -> bytes:
        return f"[{','.join(self._bodies(owner))}]".encode()

    def record(self, owner: int, record_id: int) -> Record:
        query = "SELECT body FROM tasks WHERE owner = ? AND id = ?"
        body = self._connection.execute(query, (owner, record_id)).fetchone()[0]
        record: Record = json.loads(body)
        return record


class DjangoORM(Peer):
    """Django's ORM with a JSONField on SQLite: write-ahead log, synchronous=FULL."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import django
        from django.conf import settings

        database = {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(folder / "tasks.sqlite3"),
            "OPTIONS": {
                "timeout": 60,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
            },
        }
        settings.configure(DATABASES={"default": database}, USE_TZ=True)
        django.setup()
        from django.db import connection, models

        class Task(models.Model):
            owner = models.IntegerField(db_index=True)
            body = models.JSONField()

            class Meta:
                app_label = "benchmarks"

            def __str__(self) -> str:
                return f"{self.owner}: {self.body['title']}"

        self._tasks = Task.objects
        self._first: dict[int, int] = {}
        if Task._meta.db_table not in connection.introspection.table_names():
            with connection.schema_editor() as editor:
                editor.create_model(Task)

    def fill(self, owner: int, records: Iterable[Record]) -> None:
        model = self._tasks.model
        rows = [model(owner=owner, body=record) for record in records]
        self._tasks.bulk_create(rows, batch_size=400)
        self._first[owner] = self._tasks.filter(owner=owner).order_by("pk")[0].pk if rows else 1

    def append(self, owner: int, record: Record) -> int:
        pk = int(self._tasks.create(owner=owner, body=record).pk)
        return pk - self._first.setdefault(owner, pk) + 1

    def _row(self, owner: int, record_id: int) -> Any:
        return self._tasks.get(owner=owner, pk=self._first[owner] + record_id - 1)

    def update(self, owner: int, record_id: int, changes: Record) -> None:
        row = self._row(owner, record_id)
        row.body |= changes
        row.save()

    def delete(self, owner: int, record_id: int) -> None:
        self._tasks.filter(owner=owner, pk=self._first[owner] + record_id - 1).delete()

    def records(self, owner: int) -> list[Record]:
        rows = self._tasks.filter(owner=owner).order_by("pk")
        return list(rows.values_list("body", flat=True))

    def record(self, owner: int, record_id: int) -> Record:
        record: Record = self._row(owner, record_id).body
        return record


class LMDB(Peer):
    """LMDB with a key for each record, and a sync for each commit."""

    def __init__(self, folder: Path) -> None:
        import lmdb

        super().__init__(folder)
        self._environment = lmdb.open(str(folder / "lmdb"), map_size=2**31, max_readers=512)

    @staticmethod
    def _key(owner: int, record_id: int) -> bytes:
        return struct.pack(">QQ", owner, record_id)

    def fill(self, owner: int, records: Iterable[Record]) -> None:
        with self._environment.begin(write=True) as transaction:
            for number, record in enumerate(records, 1):
                transaction.put(self._key(owner, number), json.dumps(record).encode())

    def append(self, owner: int, record: Record) -> int:
        with self._environment.begin(write=True) as transaction:
            cursor = transaction.cursor()
            is_beyond = cursor.set_range(self._key(owner + 1, 0))
            last = cursor.prev() if is_beyond else cursor.last()
            record_id = 1
            if last and cursor.key()[:8] == struct.pack(">Q", owner):
                record_id = struct.unpack(">QQ", cursor.key())[1] + 1
            transaction.put(self._key(owner, record_id), json.dumps(record).encode())
        return record_id

    def update(self, owner: int, record_id: int, changes: Record) -> None:
        with self._environment.begin(write=True) as transaction:
            key = self._key(owner, record_id)
            transaction.put(key, json.dumps(json.loads(transaction.get(key)) | changes).encode())

    def delete(self, owner: int, record_id: int) -> None:
        with self._environment.begin(write=True) as transaction:
            transaction.delete(self._key(owner, record_id))

    def _bodies(self, owner: int) -> list[bytes]:
        start = struct.pack(">Q", owner)
        bodies = []
        with self._environment.begin() as transaction:
            cursor = transaction.cursor()
            more = cursor.set_range(start)
            while more and cursor.key()[:8] == start:
                bodies.append(cursor.value())
                more = cursor.next()
        return bodies

    def records(self, owner: int) -> list[Record]:
        return [json.loads(body) for body in self._bodies(owner)]

    def as_json(self, owner: int) -> bytes:
        return b"[" + b",".join(self._bodies(owner)) + b"]"

    def record(self, owner: int, record_id: int) -> Record:
        with self._environment.begin() as transaction:
            record: Record = json.loads(transaction.get(self._key(owner, record_id)))
        return record


class ZODB(Peer):
    """ZODB on a FileStorage, with a BTree of records for each owner."""

    shared_by_processes = False

    def __init__(self, folder: Path) -> None:
        import ZODB as zodb

        super().__init__(folder)
        self._database = zodb.DB(str(folder / "tasks.fs"), pool_size=20)
        self._local = threading.local()

    def _trees(self) -> tuple[Any, Any]:
        """Return this thread's transaction manager and root."""
        import transaction

        if not hasattr(self._local, "root"):
            manager = transaction.TransactionManager(explicit=False)
            self._local.manager = manager
            self._local.root = self._database.open(transaction_manager=manager).root()
        return self._local.manager, self._local.root

    def _write(self, owner: int, work: Any) -> Any:
        from BTrees.IOBTree import IOBTree
        from ZODB.POSException import ConflictError

        while True:
            manager, root = self._trees()
            manager.begin()
            try:
                result = work(root.setdefault(owner, IOBTree()))
                manager.commit()
            except ConflictError:
                manager.abort()
                continue
            return result

    def fill(self, owner: int, records: Iterable[Record]) -> None:
        numbered = dict(enumerate(records, 1))
        self._write(owner, lambda tree: tree.update(numbered))

    def append(self, owner: int, record: Record) -> int:
        def work(tree: Any) -> int:
            record_id: int = tree.maxKey() + 1 if tree else 1
            tree[record_id] = record
            return record_id

        added: int = self._write(owner, work)
        return added

    def update(self, owner: int, record_id: int, changes: Record) -> None:
        def work(tree: Any) -> None:
            tree[record_id] = tree[record_id] | changes

        self._write(owner, work)

    def delete(self, owner: int, record_id: int) -> None:
        self._write(owner, lambda tree: tree.pop(record_id))

    def records(self, owner: int) -> list[Record]:
        manager, root = self._trees()
        manager.begin()
        return list(root[owner].values())

    def record(self, owner: int, record_id: int) -> Record:
        manager, root = self._trees()
        manager.begin()
        record: Record = root[owner][record_id]
        return record


class TinyDB(Peer):
    """TinyDB with a JSON file for each owner. Not durable: it never syncs. One thread at a time."""

    durable = False
    shared_by_processes = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._databases: dict[int, Any] = {}
        self._lock = threading.Lock()

    def _database(self, owner: int) -> Any:
        from tinydb import TinyDB as Database

        if owner not in self._databases:
            self._databases[owner] = Database(self.folder / f"{owner}.json")
        return self._databases[owner]

    def fill(self, owner: int, records: Iterable[Record]) -> None:
        self._database(owner).insert_multiple(list(records))

    def append(self, owner: int, record: Record) -> int:
        with self._lock:
            return int(self._database(owner).insert(record))

    def update(self, owner: int, record_id: int, changes: Record) -> None:
        with self._lock:
            self._database(owner).update(changes, doc_ids=[record_id])

    def delete(self, owner: int, record_id: int) -> None:
        with self._lock:
            self._database(owner).remove(doc_ids=[record_id])

    def records(self, owner: int) -> list[Record]:
        return list(self._database(owner).all())

    def record(self, owner: int, record_id: int) -> Record:
        record: Record = self._database(owner).get(doc_id=record_id)
        return record


class Raw(Peer):
    """The physical limit: overwrite 300 bytes of a zero-filled file and call fdatasync."""

    readable = False
    _size = 64 * 1024 * 1024

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._local = threading.local()

    def fill(self, owner: int, records: Iterable[Record]) -> None:
        """Do nothing: no records are stored."""

    def _file(self) -> int:
        if not hasattr(self._local, "file"):
            path = self.folder / f"raw-{os.getpid()}-{threading.get_ident()}"
            self._local.file = os.open(path, os.O_RDWR | os.O_CREAT)
            os.write(self._local.file, bytes(self._size // 64))
            os.fsync(self._local.file)
            self._local.offset = 0
        return int(self._local.file)

    def append(self, owner: int, record: Record) -> int:
        file = self._file()
        os.pwrite(file, json.dumps(record).encode(), self._local.offset)
        os.fdatasync(file)
        self._local.offset = (self._local.offset + 300) % (self._size // 64 - 1000)
        return 1

    def update(self, owner: int, record_id: int, changes: Record) -> None:
        self.append(owner, task(record_id))

    def delete(self, owner: int, record_id: int) -> None:
        self.append(owner, task(record_id))


PEERS: dict[str, type[Peer]] = {
    "NeuralFlow": NeuralFlow,
    "sqlite3": SQLite,
    "Django ORM": DjangoORM,
    "LMDB": LMDB,
    "ZODB": ZODB,
    "TinyDB": TinyDB,
    "raw fdatasync": Raw,
}
