"""Commits that carry a hash chain, and the judge who verifies it.

Every commit stores in each document that it changes the digest of the content before. So each
document carries a chain back to its beginning, and a store can be judged after a crash from what it
shows alone. The writers only record what they were about to do, what was acknowledged, and what was
read.

A document that is created and deleted repeatedly (the *guest*) cannot carry a chain. Its *host*, a
document that changes in the same commits, has the digest that the guest must have.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from docstore import CollectionLayout, DocumentStore, Key, Transaction, open_store

NOTES: Final = CollectionLayout(name="notes", stem="notes", records="notes")
PEOPLE: Final = CollectionLayout(name="people", stem="person", records="log")
LAYOUTS: Final = {layout.name: layout for layout in (NOTES, PEOPLE)}
RECORDS_MAX: Final = 12
GONE: Final = ""  # the digest of a document that does not exist

Mark = Callable[[bytes], None]
Edit = Callable[[Transaction, Key], None]
# The revision and the content's digest of each document that a store shows.
Shown = dict[Key, tuple[int, str]]


def opened(root: Path) -> DocumentStore:
    """Open the store in a folder."""
    return open_store(root.as_uri(), LAYOUTS.values())


def digest(content: Mapping[str, Any] | None) -> str:
    """Return the digest of a document's content without the store's revision and time."""
    if content is None:
        return GONE
    own = {name: content[name] for name in content if name not in ("revision", "updated_at")}
    text = json.dumps(own, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def text_of(key: Key) -> str:
    return f"{key.collection}/{key.owner}"


def key_of(text: str) -> Key:
    collection, _, owner = text.partition("/")
    return Key(collection, int(owner))


def guest_of(host: Key) -> Key:
    return Key("notes", 1000 + host.owner)


class Writer:
    """Changes documents at random, and records by `mark` what it does. `name` is unique."""

    def __init__(self, store: DocumentStore, name: str, mark: Mark, dice: random.Random) -> None:
        self.store, self.name, self.dice = store, name, dice
        self._mark, self._commits = mark, 0

    def mark(self, **said: object) -> None:
        self._mark(json.dumps(said).encode() + b"\n")

    def change(self, keys: Iterable[Key], edit: Edit, *, relaxed: bool = False) -> None:
        """Apply the edit to each document in one commit. Raises the errors of the store."""
        self._commits += 1
        keys, tries, name = tuple(keys), 0, ""

        def attempt(transaction: Transaction) -> None:
            nonlocal tries, name
            tries += 1
            name = f"{self.name}.{self._commits}.{tries}"
            steps = {text_of(key): self._stamp(transaction, key, edit, name) for key in keys}
            self.mark(attempt=name, relaxed=relaxed, steps=steps)

        self.store.change(attempt, relaxed=relaxed)
        self.mark(acknowledged=name)

    @staticmethod
    def _stamp(transaction: Transaction, key: Key, edit: Edit, name: str) -> tuple[int, str, str]:
        """Apply the edit and extend the chain; return the revision and both digests."""
        before = transaction.document(key)
        digest_before, revision = digest(before), before["revision"] if before else 0
        if before is None:
            transaction.create(key, {LAYOUTS[key.collection].records: []})
        edit(transaction, key)
        transaction.set(key, {"before": digest_before, "by": name})
        return revision + 1, digest_before, digest(transaction.document(key))

    def look(self, key: Key) -> None:
        """Read a document, and record that. A state that was read must not be lost."""
        revision, state = shown(self.store, [key])[key]
        self.mark(seen=text_of(key), revision=revision, digest=state)

    def step(self, own: Key, shared: Key, host: Key) -> None:
        """Do one random operation. `shared` is a document of notes, `host` one of people."""
        what = self.dice.choices(STEPS, WEIGHTS)[0]
        if what == "look":
            self.look(self.dice.choice([own, shared, host]))
        elif what == "pair":
            self.change([own, shared], self.add)
        elif what == "guest":
            self.change([host], self.play_host)
        elif what == "log":
            self.change([host], self.append, relaxed=self.dice.random() < 0.5)
        elif what == "relaxed pair":
            self.change([shared, host], self.touch, relaxed=True)
        else:
            self.change([self.dice.choice([own, shared])], getattr(self, what))

    def add(self, transaction: Transaction, key: Key) -> None:
        """Add a record; remove the oldest if there are many."""
        records = transaction.records(key)
        if len(records) >= RECORDS_MAX:
            transaction.remove(key, records[0]["id"])
        text = "ü" * self.dice.choice([1, 20, 400])
        transaction.put(key, {"id": transaction.new_id(key), "text": text})

    def update(self, transaction: Transaction, key: Key) -> None:
        records = transaction.records(key)
        if records:
            record = self.dice.choice(records)
            transaction.put(key, {**record, "text": f"changed {self.dice.random()}"})

    def remove(self, transaction: Transaction, key: Key) -> None:
        records = transaction.records(key)
        if records:
            transaction.remove(key, self.dice.choice(records)["id"])

    def touch(self, transaction: Transaction, key: Key) -> None:
        transaction.set(key, {"touched": self.dice.random()})

    def append(self, transaction: Transaction, key: Key) -> None:
        """Add a line to a log, which is emptied first if it is long."""
        if len(transaction.records(key)) >= RECORDS_MAX:
            transaction.set(key, {LAYOUTS[key.collection].records: []})
        transaction.append(key, {"line": self.dice.random()})

    def play_host(self, transaction: Transaction, host: Key) -> None:
        """Create, change or delete the host's guest, and record its digest in the host."""
        guest = guest_of(host)
        if transaction.document(guest) is None:
            transaction.create(guest, {"notes": [], "n": self.dice.random()})
        elif self.dice.random() < 0.5:
            transaction.set(guest, {"n": self.dice.random()})
        else:
            return self.drop_guest(transaction, host)
        transaction.set(host, {"guest": digest(transaction.document(guest))})

    def drop_guest(self, transaction: Transaction, host: Key) -> None:
        transaction.drop(guest_of(host))
        transaction.set(host, {"guest": GONE})


STEPS: Final = (
    ["add", "update", "remove", "pair", "guest", "log", "relaxed pair", "look"]
)  # fmt: skip
WEIGHTS: Final = [4, 3, 1, 4, 3, 3, 1, 4]


def shown(store: DocumentStore, keys: Iterable[Key]) -> Shown:
    """Return what the store shows of these documents."""
    states = {}
    for key in keys:
        document = store.read(key)
        content = document.content if document else None
        states[key] = (document.revision if document else 0, digest(content))
    return states


@dataclass(frozen=True)
class _Step:
    """The part of one document in an attempted commit."""

    revision: int
    before: str
    attempt: str
    relaxed: bool


@dataclass
class Judge:
    """Takes the marks of all writers in order, and judges what a store shows afterwards.

    `forgetful`: the power may have been cut, so that relaxed commits may be gone.
    """

    forgetful: bool
    acknowledgements: int = 0
    _base: Shown = field(default_factory=dict)
    _steps: dict[tuple[Key, str], _Step] = field(default_factory=dict)
    _attempts: dict[str, list[tuple[Key, str]]] = field(default_factory=dict)
    _owed: dict[tuple[Key, str], str] = field(default_factory=dict)
    _pairs: list[str] = field(default_factory=list)

    def take(self, marks: bytes) -> None:
        """Take complete lines; a killed writer may leave an incomplete one, which is ignored."""
        for line in marks.splitlines(keepends=True):
            if line.endswith(b"\n"):
                self._take(json.loads(line))

    def _take(self, said: dict[str, Any]) -> None:
        if name := said.get("attempt"):
            steps = self._attempts[name] = []
            for text, (revision, before, after) in said["steps"].items():
                steps.append((key_of(text), after))
                self._steps[steps[-1]] = _Step(revision, before, name, said["relaxed"])
            if len(steps) > 1:
                self._pairs.append(name)
        elif name := said.get("acknowledged"):
            self.acknowledgements += 1
            for place in self._attempts[name]:
                if not (self.forgetful and self._steps[place].relaxed):
                    self._owed.setdefault(place, f"{name} was acknowledged")
        elif text := said.get("seen"):
            self._owe_seen(key_of(text), said["digest"])

    def _owe_seen(self, key: Key, found: str) -> None:
        """Note that a reader saw a state: it, or the last strict one before it, must stay."""
        while self.forgetful and (step := self._steps.get((key, found))) and step.relaxed:
            found = step.before
        if found != self._base.get(key, (0, GONE))[1]:
            self._owed.setdefault((key, found), f"{found} was read")

    def keys(self) -> list[Key]:
        """Return the keys of all documents that carry a chain."""
        return sorted({key for key, _ in self._steps} | set(self._base))

    def faults(self, store: DocumentStore) -> list[str]:
        """Return what is wrong with what a store shows. Raises the errors of reading."""
        states = shown(store, self.keys())
        faults: list[str] = []
        reached: set[tuple[Key, str]] = set()
        for key, (revision, state) in states.items():
            faults += self._follow(key, revision, state, reached)
        for (key, state), why in self._owed.items():
            if (key, state) not in reached:
                faults.append(f"lost in {text_of(key)}: {why}")
        for name in self._pairs:
            if len({place in reached for place in self._attempts[name]}) > 1:
                faults.append(f"half of {name} is there")
        return faults + list(self._guest_faults(store))

    def _follow(
        self, key: Key, revision: int, state: str, kept: set[tuple[Key, str]]
    ) -> Iterator[str]:
        """Verify the chain of a document backwards, adding its states to `kept`."""
        base_revision, base = self._base.get(key, (0, GONE))
        while state != base:
            step = self._steps.get((key, state))
            if step is None:
                yield f"{text_of(key)} shows what nobody wrote, at revision {revision}"
                return
            if step.revision != revision:
                yield f"{text_of(key)} counts {revision} where {step.attempt} made {step.revision}"
            kept.add((key, state))
            revision, state = revision - 1, step.before
        if revision != base_revision:
            yield f"{text_of(key)} skips revisions: {revision} where {base_revision} was the base"

    def _guest_faults(self, store: DocumentStore) -> Iterator[str]:
        for key in self.keys():
            document = store.read(key)
            if key.collection == "people":
                wanted = document.content.get("guest", GONE) if document else GONE
                guest = store.read(guest_of(key))
                if digest(guest.content if guest else None) != wanted:
                    yield f"{text_of(guest_of(key))} is not what its host says"

    def start_from(self, store: DocumentStore) -> None:
        """Make the current state of the store the base, and discard older marks."""
        self._base = shown(store, self.keys())
        for forgotten in (self._steps, self._attempts, self._owed):
            forgotten.clear()
        self._pairs.clear()


def file_faults(store: DocumentStore, root: Path) -> list[str]:
    """Return how the files of a closed store differ from what reads return."""
    faults = []
    names = set()
    for collection in LAYOUTS:
        for key in store.keys(collection):
            names.add(store.backend.name(key))
            document = store.read(key)
            try:
                held = json.loads((root / store.backend.name(key)).read_bytes())
            except (OSError, ValueError) as error:
                faults.append(f"the file of {text_of(key)} cannot be read: {error}")
                continue
            content = document.content if document else None
            if held != json.loads(json.dumps(content, default=list)):
                faults.append(f"the file of {text_of(key)} differs from what is read")
        entries = (root / collection).iterdir() if (root / collection).is_dir() else ()
        strays = {f"{collection}/{entry.name}" for entry in entries} - names
        faults += [f"{stray} is left behind" for stray in sorted(strays)]
    return faults


def verdict(root: Path, judge: Judge) -> list[str]:
    """Open the store twice, as after a crash; return what is wrong with it.

    The second opening must find nothing to do: it shows the same, and the files remain as they are.
    """
    try:
        with closing(opened(root)) as store:
            faults = judge.faults(store)
            first = shown(store, judge.keys())
        faults += [f"{path} stays open after close" for path in _held(root)]
        files = _files(root)
        with closing(opened(root)) as store:
            faults += file_faults(store, root)
            if shown(store, judge.keys()) != first:
                faults.append("a second opening shows something else")
        if _files(root) != files:
            faults.append("a second opening changed files")
    except Exception as error:
        return [f"the store cannot be used: {error!r}"]
    return faults


def _held(root: Path) -> set[str]:
    """Return the files under a folder that this process has open."""
    held = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            held.add(str(descriptor.readlink()))
    return {path for path in held if path.startswith(f"{root}/")}


def _files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for collection in LAYOUTS
        for path in sorted((root / collection).glob("*"))
    }
