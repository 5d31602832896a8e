"""Stops of a server under load, with a check of every byte that it leaves.

Twelve writers change tasks of two users over persistent connections. At a random time the server is
stopped: by SIGTERM to the master, as services do; SIGINT, as Ctrl-C; SIGHUP, as a closed terminal;
SIGQUIT; or its master is killed, and the workers have to notice. When the last process has ended:

- every document is byte for byte what its changes in the journal make of it; every acknowledged
  change is in it; if the last round did not change it, its checksum is the same;
- every segment is frames and then zeros, the spare and the reserve are zeros, locks are empty;
- the database passes SQLite's own check;
- no wake-up byte of a late request went anywhere but into the worker's own pipe.

A case is a stop. The server has a slow disk and slow threads: see `slow_server`.
"""

from __future__ import annotations

import hashlib
import json
import os
import pty
import random
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

from docstore import Key
from tests.docstore.independent_reader import COMMIT, RELAXED, Damaged, applied, frames_of
from tests.harness.apart import scratch
from tests.harness.report import Report
from tests.server import Person, prepared_server, started
from workspace.schema.validation import COLLECTIONS

PEOPLE: Final = 2
WRITERS: Final = 12
STOPS_OF_A_FOLDER: Final = 20
ENDED_WITHIN: Final = 60  # seconds, for a busy machine
CALLS: Final = 10**9
LOCKS: Final = ("lock", "opening", "publishing", "in-use", "journal/syncing")
CONFIGURATION: Final = ("--config", "python:tests.harness.slow_server")
SIGNALS: Final = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def run(count: int, seed: int) -> Report:
    """Stop a server `count` times. Raises `AssertionError` if no change was acknowledged."""
    report, dice = Report("stops"), random.Random(seed)
    acknowledged = late = 0
    while report.cases < count and not report.lost:
        with scratch("stops") as folder:
            attack = Attack(folder, dice)
            for _ in range(min(STOPS_OF_A_FOLDER, count - report.cases)):
                number = SIGNALS[report.cases % len(SIGNALS)]
                report.cases += 1
                if faults := attack.stop(number):
                    report.lose(f"stop {report.cases}, {number.name}: {'; '.join(faults)}")
                    break
        acknowledged, late = acknowledged + attack.acknowledged, late + attack.late
        print(f"stops: {report.cases} of {count}, {acknowledged} changes", flush=True)
    report.notes.append(f"{acknowledged} acknowledged changes, {late} late wake-up bytes")
    if not acknowledged:
        raise AssertionError("stops: no change was acknowledged, so none could be lost")
    return report.finish(0 if report.lost else count)


class Writer:
    """Creates and changes tasks until the server is gone."""

    def __init__(self, person: Person, name: str, seed: int) -> None:
        self.person, self.name, self._dice = person, name, random.Random(seed)
        self.acknowledged: dict[int, str] = {}  # title by id
        self.unanswered: dict[int, str] = {}  # what the last call requested; 0 is a new task
        self.changes = 0
        self.fault = ""

    def work(self) -> None:
        """Write until the connection ends."""
        connection = HTTPConnection("127.0.0.1", self.person.server.port, timeout=30)
        try:
            with closing(connection), suppress(OSError, HTTPException):
                while not self.fault:
                    self._step(connection)
        except Exception as fault:
            self.fault = f"{self.name} raised {fault!r}"

    def _step(self, connection: HTTPConnection) -> None:
        title = f"{self.name} {self.changes} {'x' * self._dice.randrange(1, 100)}"
        known = sorted(self.acknowledged)
        task = self._dice.choice(known) if len(known) > self._dice.randrange(4, 8) else 0
        self.unanswered = {task: title}
        method, path = ("PATCH", f"tasks/{task}/") if task else ("POST", "tasks/")
        headers = {
            "Authorization": f"Bearer {self.person.token}",
            "Content-Type": "application/json",
        }
        body = json.dumps({"title": title})
        connection.request(method, f"/accounts/api/{path}", body, headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status not in (200, 201):
            self.fault = f"{method} answered {response.status}: {answer!r}"
            return
        self.acknowledged[json.loads(answer)["id"]] = title
        self.unanswered = {}
        self.changes += 1

    def missing(self, titles: dict[int, str]) -> Iterator[str]:
        """Yield acknowledged changes that are missing. An unanswered change may be there or not."""
        for task, title in self.acknowledged.items():
            if titles.get(task) not in (title, self.unanswered.get(task)):
                yield f"task {task} of {self.person.id} is {titles.get(task)!r}, not {title!r}"
            elif task in titles:
                self.acknowledged[task] = titles[task]
        if self.fault:
            yield self.fault


@dataclass
class Attack:
    """One folder, whose server is stopped several times."""

    folder: Path
    dice: random.Random
    acknowledged: int = 0
    late: int = 0
    checksums: dict[str, tuple[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server = prepared_server(self.folder)
        self.server.environment["LATE_BYTES"] = str(self.folder / "late")
        people = [self.server.person(f"person{number}", CALLS) for number in range(PEOPLE)]
        self.writers = [
            Writer(people[number % PEOPLE], f"writer {number}", self.dice.getrandbits(32))
            for number in range(WRITERS)
        ]

    def stop(self, number: signal.Signals) -> list[str]:
        """Start the server, let the writers write, stop it; return what is wrong afterwards."""
        before = [writer.changes for writer in self.writers]
        with _terminal() as terminal, started(self.server, terminal, CONFIGURATION) as process:
            threads = [threading.Thread(target=writer.work) for writer in self.writers]
            for thread in threads:
                thread.start()
            while all(thread.is_alive() for thread in threads) and any(
                writer.changes == count for writer, count in zip(self.writers, before, strict=True)
            ):
                time.sleep(0.01)  # the workers are still loading
            time.sleep(self.dice.uniform(0, 0.3))
            _send(process, number)
            try:  # every process has the pipe open: it ends with the last one
                process.communicate(timeout=ENDED_WITHIN)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return [f"it still ran after {ENDED_WITHIN} seconds"]
            for thread in threads:
                thread.join()
        self.acknowledged += sum(writer.changes for writer in self.writers) - sum(before)
        return [*self._documents(), *self._rest(), *self._log()]

    def _documents(self) -> Iterator[str]:
        titles: dict[int, dict[int, str]] = {}
        try:
            documents = dict(documents_told(self.server.data))
        except Damaged as fault:
            yield f"the journal is damaged: {fault}"
            return
        there = {
            f"{layout.name}/{path.name}"
            for layout in _LAYOUTS
            for path in (self.server.data / layout.name).iterdir()
        }
        if strays := there - documents.keys():
            yield f"files that nobody made: {sorted(strays)}"
        for name, (key, document) in documents.items():
            data = (self.server.data / name).read_bytes() if name in there else b""
            yield from self._wrong(name, data, document)
            if key.collection == "tasks":
                titles[key.owner] = {task["id"]: task["title"] for task in document["tasks"]}
        for writer in self.writers:
            yield from writer.missing(titles[writer.person.id])

    def _wrong(self, name: str, data: bytes, told: Any) -> Iterator[str]:
        checksum = hashlib.sha256(data).hexdigest()
        text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
        if checksum != hashlib.sha256(text.encode()).hexdigest():
            pairs = enumerate(zip(data, text.encode(), strict=False))
            at = next(
                (at for at, (is_now, told) in pairs if is_now != told), min(len(data), len(text))
            )
            yield f"{name} is not what the journal says at byte {at}: {data[at : at + 40]!r}"
        before = self.checksums.get(name)
        if before and before[0] == told["revision"] and before[1] != checksum:
            yield f"{name} has another checksum than before at revision {before[0]}"
        self.checksums[name] = told["revision"], checksum

    def _rest(self) -> Iterator[str]:
        """Check all files that are not documents."""
        work = self.server.data / ".neuralflow"
        for path in [*(work / "journal").glob("spare"), *work.glob("reserve")]:
            if path.read_bytes().strip(b"\0"):
                yield f"{path.name} holds more than zeros"
        for name in LOCKS:
            for lock in work.glob(f"{name}*"):
                if lock.suffix in ("", ".turn") and lock.stat().st_size:
                    yield f"the lock {lock.name} has content"
        yield from (f"{path.name} was left" for path in work.rglob("*.draft"))
        database = self.server.folder / "db.sqlite3"
        if not database.read_bytes().startswith(b"SQLite format 3\0"):
            yield "the database has lost its head"
            return
        with closing(sqlite3.connect(database)) as connection:
            (result,) = connection.execute("PRAGMA integrity_check").fetchone()
            if result != "ok":
                yield f"the database: {result}"

    def _log(self) -> Iterator[str]:
        log = self.server.log.read_text()
        if "Traceback" in log or "ERROR" in log:
            yield f"the log says {log[-2000:]}"
        late = self.folder / "late"
        targets = late.read_text().splitlines() if late.exists() else []
        late.unlink(missing_ok=True)
        self.late += len(targets)
        if wrong := sorted({target for target in targets if not target.startswith("pipe:")}):
            yield f"late wake-up bytes went to {', '.join(wrong)}"


@contextmanager
def _terminal() -> Iterator[int]:
    """Yield a terminal from which to start the server."""
    mine, its = pty.openpty()
    try:
        yield its
    finally:
        os.close(mine)
        os.close(its)


def _send(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send the signal as in practice: one from a terminal reaches every process."""
    if number in (signal.SIGTERM, signal.SIGKILL):
        process.send_signal(number)
    else:
        os.killpg(process.pid, number)


_LAYOUTS: Final = [spec.layout for spec in COLLECTIONS.values()]


def documents_told(data: Path) -> Iterator[tuple[str, tuple[Key, Any]]]:
    """Yield each document by name, as the journal makes it from its first frame on.

    Raises `Damaged`, also if anything but zeros follows the frames of a segment.
    """
    documents: dict[Key, Any] = {}
    for path in sorted((data / ".neuralflow" / "journal").glob("*.journal")):
        content = path.read_bytes()
        frames = frames_of(content, int(path.stem))
        if content[frames[-1].end :].strip(b"\0"):
            raise Damaged(f"{path.name}: something is behind byte {frames[-1].end}")
        for frame in frames:
            if frame.kind not in (COMMIT, RELAXED):
                continue
            for change in frame.payload["changes"]:
                key = Key(change["collection"], change["owner"])
                changed = applied(documents.get(key), frame.payload["at"], change)
                documents[key] = changed
    for key, document in documents.items():
        if document is not None:
            layout = COLLECTIONS[key.collection].layout
            yield f"{layout.name}/{layout.stem}_{key.owner}.json", (key, document)
