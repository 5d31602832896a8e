"""The store against a plain dictionary: after any operations in any order, both agree.

Rules add, change, move and remove records over several documents, create and delete documents, and
commit several changes at once; some commits fail. On a folder, three doors lead to the same
documents, two store objects and another process. All of them must agree after every step, while
stores are closed or dropped, processes are killed, and files are edited by hand.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from docstore import Conflict, Corrupt, DocumentStore, Key, NotFound, Transaction, open_store
from docstore.backends.files.backend import FilesBackend
from docstore.merging import merge_file
from tests.docstore.layouts import LAYOUTS
from tests.examples import examples

OWNERS = st.sampled_from([1, 2, 30])
TEXTS = st.text(st.characters(codec="utf-8"), max_size=10)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.lists(TEXTS, max_size=2), TEXTS)
PATIENCE = 20  # seconds until a file must show what was acknowledged

Content = dict[str, Any]


class Refused(Exception):
    """An error that an edit raises itself."""


def notes_of(owner: int) -> Key:
    return Key("notes", owner)


def log_of(owner: int) -> Key:
    return Key("people", owner)


# Edits by name, since another process must be able to run them, too.


def add(transaction: Transaction, owner: int, texts: list[str], logged: bool) -> list[int]:
    """Add notes for an owner and, if `logged`, a line to the owner's log. Return their ids."""
    key = notes_of(owner)
    if transaction.document(key) is None:
        transaction.create(key, {"notes": []})
    ids = []
    for text in texts:
        ids.append(transaction.new_id(key))
        transaction.put(key, {"id": ids[-1], "text": text})
    if logged:
        if transaction.document(log_of(owner)) is None:
            transaction.create(log_of(owner), {"log": []})
        transaction.append(log_of(owner), {"added": ids})
    return ids


def alter(transaction: Transaction, owner: int, note: int, value: Any) -> None:
    record = transaction.record(notes_of(owner), note)
    transaction.put(notes_of(owner), {**record, "value": value})


def remove(transaction: Transaction, owner: int, note: int) -> None:
    transaction.remove(notes_of(owner), note)


def move(transaction: Transaction, source: int, target: int, note: int) -> int:
    record = transaction.remove(notes_of(source), note)
    new = transaction.new_id(notes_of(target))
    transaction.put(notes_of(target), {**record, "id": new})
    return new


def set_head(transaction: Transaction, owner: int, value: Any) -> None:
    transaction.set(notes_of(owner), {"head": value})


def drop(transaction: Transaction, owners: list[int]) -> None:
    for owner in owners:
        transaction.drop(notes_of(owner))


def drop_and_begin(transaction: Transaction, owner: int) -> None:
    transaction.drop(notes_of(owner))
    transaction.create(notes_of(owner), {"notes": [{"id": 7, "text": "anew"}]})


def change_ones_mind(transaction: Transaction, owner: int) -> None:
    transaction.set(notes_of(owner), {"head": "never"})
    transaction.put(notes_of(owner), {"id": transaction.new_id(notes_of(owner))})
    raise Refused


def begin_again(transaction: Transaction, owner: int) -> None:
    transaction.set(notes_of(owner), {"head": "never"})
    transaction.create(notes_of(owner), {"notes": []})


def remove_nothing(transaction: Transaction, owner: int) -> None:
    transaction.set(notes_of(owner), {"head": "never"})
    transaction.remove(notes_of(owner), 10**9)


def content_of_all(store: DocumentStore) -> dict[Key, Content]:
    """Return all documents without the time of their last change."""
    contents = {}
    for collection in LAYOUTS:
        for key in store.keys(collection):
            document = store.read(key)
            assert document is not None
            contents[key] = timeless(document.content)
    return contents


def timeless(content: Any) -> Content:
    fields = {name: value for name, value in content.items() if name != "updated_at"}
    return fields | {name: list(fields[name]) for name in ("notes", "log") if name in fields}


# Doors


class Door:
    """A store object in this process."""

    def __init__(self, open_one: Callable[[], DocumentStore]) -> None:
        self.open = open_one
        self.store = open_one()

    def change(self, edit: Callable[..., Any], *arguments: Any, relaxed: bool = False) -> Any:
        return self.store.change(lambda transaction: edit(transaction, *arguments), relaxed=relaxed)

    def look(self) -> dict[Key, Content]:
        return content_of_all(self.store)

    def publish(self) -> None:
        self.store.publish()

    def see(self, key: Key) -> Content | None:
        document = self.store.read(key)
        return timeless(document.content) if document else None

    def is_refused(self, key: Key) -> bool:
        """Return whether the broken file becomes known, and changes are refused then."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                if self.store.read(key) is not None and self.store.fault(key) is None:
                    time.sleep(0.002)  # a publication may be under way
                    continue
                self.store.change(lambda transaction: transaction.set(key, {"refused": True}))
            except Corrupt:
                return True
            break
        return False

    def close(self) -> None:
        self.store.close()

    def renew(self) -> None:
        self.store = self.open()

    def crash(self) -> None:
        """Open the folder again without closing the old store."""
        self.renew()


def serve(pipe: Connection, open_one: Callable[[], DocumentStore]) -> None:
    """Run the other process until it is killed."""
    door = Door(open_one)
    while True:
        try:
            name, arguments, options = pipe.recv()
        except EOFError:
            os._exit(0)
        try:
            pipe.send((getattr(door, name)(*arguments, **options), None))
        except Exception as fault:
            pipe.send((None, fault))


class FarDoor:
    """A store object in a separate process."""

    def __init__(self, open_one: Callable[[], DocumentStore]) -> None:
        self.open = open_one
        self.renew()

    def renew(self) -> None:
        self.pipe, there = multiprocessing.Pipe()
        fork = multiprocessing.get_context("fork")
        self.process = fork.Process(target=self._serve, args=(self.pipe, there), daemon=True)
        self.process.start()
        there.close()

    def _serve(self, here: Connection, there: Connection) -> None:
        here.close()
        serve(there, self.open)

    def _ask(self, name: str, *arguments: Any, **options: Any) -> Any:
        self.pipe.send((name, arguments, options))
        assert self.pipe.poll(PATIENCE), f"no answer to {name}"
        result, fault = self.pipe.recv()
        if fault:
            raise fault
        return result

    def change(self, edit: Callable[..., Any], *arguments: Any, relaxed: bool = False) -> Any:
        return self._ask("change", edit, *arguments, relaxed=relaxed)

    def look(self) -> dict[Key, Content]:
        contents: dict[Key, Content] = self._ask("look")
        return contents

    def publish(self) -> None:
        self._ask("publish")

    def see(self, key: Key) -> Content | None:
        content: Content | None = self._ask("see", key)
        return content

    def is_refused(self, key: Key) -> bool:
        return bool(self._ask("is_refused", key))

    def close(self) -> None:
        self._ask("close")
        self.end()

    def crash(self) -> None:
        self.end()
        self.renew()

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


# The model and its rules


class StoreMachine(RuleBasedStateMachine):
    """The machine on memory: one store, one door."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[Key, Content] = {}
        self.doors: list[Any] = []
        self.open_doors()

    def open_doors(self) -> None:
        self.doors = [Door(lambda: open_store("memory:", LAYOUTS.values()))]

    def teardown(self) -> None:
        for door in self.doors:
            door.close()

    def door(self, data: st.DataObject) -> Any:
        return data.draw(st.sampled_from(self.doors), label="door")

    def owners(self, having_notes: bool = False) -> list[int]:
        return [
            key.owner
            for key, content in self.model.items()
            if key.collection == "notes" and (content["notes"] or not having_notes)
        ]

    def draw_owner(self, data: st.DataObject, having_notes: bool = False) -> int:
        return data.draw(st.sampled_from(self.owners(having_notes)))

    def draw_note(self, data: st.DataObject, owner: int) -> int:
        notes: list[int] = [note["id"] for note in self.model[notes_of(owner)]["notes"]]
        return data.draw(st.sampled_from(notes))

    def next_id(self, key: Key) -> int:
        content = self.model[key]
        ids: list[int] = [note["id"] for note in content["notes"]]
        last: int = content.get("last_id", 0)
        return max([last, *ids]) + 1

    def counted(self, *keys: Key) -> None:
        """Note that a commit changed these documents."""
        for key in keys:
            self.model[key]["revision"] = self.model[key].get("revision", 0) + 1

    @rule(
        data=st.data(),
        owner=OWNERS,
        texts=st.lists(TEXTS, min_size=1, max_size=3),
        relaxed=st.booleans(),
        logged=st.booleans(),
    )
    def add(
        self, data: st.DataObject, owner: int, texts: list[str], relaxed: bool, logged: bool
    ) -> None:
        ids = self.door(data).change(add, owner, texts, logged, relaxed=relaxed)
        key = notes_of(owner)
        content = self.model.setdefault(key, {"notes": []})
        first = self.next_id(key)
        assert ids == list(range(first, first + len(texts)))
        pairs = zip(ids, texts, strict=True)
        content["notes"] += [{"id": note, "text": text} for note, text in pairs]
        content["last_id"] = ids[-1]
        self.counted(key)
        if logged:
            self.model.setdefault(log_of(owner), {"log": []})["log"].append({"added": ids})
            self.counted(log_of(owner))

    @precondition(lambda self: self.owners(having_notes=True))
    @rule(data=st.data(), value=VALUES, relaxed=st.booleans())
    def alter(self, data: st.DataObject, value: Any, relaxed: bool) -> None:
        owner = self.draw_owner(data, having_notes=True)
        note = self.draw_note(data, owner)
        self.door(data).change(alter, owner, note, value, relaxed=relaxed)
        for record in self.model[notes_of(owner)]["notes"]:
            if record["id"] == note:
                record["value"] = value
        self.counted(notes_of(owner))

    def taken_out(self, owner: int, note: int) -> Content:
        content = self.model[notes_of(owner)]
        content["last_id"] = self.next_id(notes_of(owner)) - 1
        record: Content = next(record for record in content["notes"] if record["id"] == note)
        content["notes"].remove(record)
        return record

    @precondition(lambda self: self.owners(having_notes=True))
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        owner = self.draw_owner(data, having_notes=True)
        note = self.draw_note(data, owner)
        self.door(data).change(remove, owner, note)
        self.taken_out(owner, note)
        self.counted(notes_of(owner))

    @precondition(lambda self: self.owners(having_notes=True))
    @rule(data=st.data(), relaxed=st.booleans())
    def move_between_owners(self, data: st.DataObject, relaxed: bool) -> None:
        """Move a record to another document in one commit."""
        source = self.draw_owner(data, having_notes=True)
        target = self.draw_owner(data)
        note = self.draw_note(data, source)
        new = self.door(data).change(move, source, target, note, relaxed=relaxed)
        record = self.taken_out(source, note)
        assert new == self.next_id(notes_of(target))
        self.model[notes_of(target)]["notes"].append({**record, "id": new})
        self.model[notes_of(target)]["last_id"] = new
        self.counted(*{notes_of(source), notes_of(target)})

    @precondition(lambda self: self.owners())
    @rule(data=st.data(), value=VALUES, relaxed=st.booleans())
    def set_head(self, data: st.DataObject, value: Any, relaxed: bool) -> None:
        owner = self.draw_owner(data)
        self.door(data).change(set_head, owner, value, relaxed=relaxed)
        content = self.model[notes_of(owner)]
        before = content.get("head", Refused)
        if before != value or type(before) is not type(value):
            content["head"] = value
            self.counted(notes_of(owner))

    @precondition(lambda self: self.owners())
    @rule(data=st.data(), relaxed=st.booleans())
    def drop(self, data: st.DataObject, relaxed: bool) -> None:
        """Delete one document, or several in one commit."""
        owners = data.draw(st.lists(st.sampled_from(self.owners()), min_size=1, unique=True))
        self.door(data).change(drop, owners, relaxed=relaxed)
        for owner in owners:
            del self.model[notes_of(owner)]

    @precondition(lambda self: self.owners())
    @rule(data=st.data())
    def drop_and_begin(self, data: st.DataObject) -> None:
        owner = self.draw_owner(data)
        self.door(data).change(drop_and_begin, owner)
        revision = self.model[notes_of(owner)].get("revision", 0)
        self.model[notes_of(owner)] = {
            "notes": [{"id": 7, "text": "anew"}],
            "revision": revision,
        }
        self.counted(notes_of(owner))

    @precondition(lambda self: self.owners())
    @rule(
        data=st.data(),
        failing=st.sampled_from(
            [(change_ones_mind, Refused), (begin_again, Conflict), (remove_nothing, NotFound)]
        ),
    )
    def fail(
        self, data: st.DataObject, failing: tuple[Callable[..., None], type[Exception]]
    ) -> None:
        edit, error = failing
        try:
            self.door(data).change(edit, self.draw_owner(data))
        except error:
            return
        raise AssertionError("the error was swallowed")

    @invariant()
    def all_agree(self) -> None:
        for door in self.doors:
            look = door.look()
            assert look == self.model, (look, self.model)


class FolderMachine(StoreMachine):
    """The machine on a folder: three doors, and failures of folders and processes."""

    cache_bytes: int | None = None

    def open_doors(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.doors = [Door(self.opened), Door(self.opened), FarDoor(self.opened)]

    def opened(self) -> DocumentStore:
        if self.cache_bytes is None:
            backend = FilesBackend(self.root, LAYOUTS)
        else:
            backend = FilesBackend(self.root, LAYOUTS, cache_bytes=self.cache_bytes)
        store = DocumentStore(backend, LAYOUTS)
        store.merge_files_with(merge_file)
        return store

    def teardown(self) -> None:
        with suppress(AttributeError):  # if even opening failed
            super().teardown()
        shutil.rmtree(self.root, ignore_errors=True)  # a store that crashed may still write

    def path(self, key: Key) -> Path:
        return self.root / key.collection / f"{LAYOUTS[key.collection].stem}_{key.owner}.json"

    def in_file(self, key: Key) -> Content | None:
        try:
            return timeless(json.loads(self.path(key).read_bytes()))
        except FileNotFoundError:
            return None

    def wait_for_file(self, key: Key) -> None:
        """Wait until the file shows what was acknowledged, and every door knows it.

        A file that is put or removed while a change is pending may appear or disappear with that.
        """
        for door in self.doors:
            door.publish()
        deadline = time.monotonic() + PATIENCE
        while self.in_file(key) != self.model.get(key):
            assert time.monotonic() < deadline, f"{self.path(key)} does not come up"
            time.sleep(0.002)

    def by_hand(self, data: st.DataObject, key: Key, text: str | None) -> None:
        """Write or remove the file by hand, then read through all doors until it shows.

        A publication may be under way: then the file is examined after it. A merge is a commit and
        counts; a file that was never known is accepted as it is.
        """
        expected = timeless(json.loads(text)) | {"revision": 0} if text is not None else None
        self.write(key, text, data.draw(st.booleans(), label="in place"))
        deadline = time.monotonic() + PATIENCE
        while True:
            seen, *others = (door.see(key) for door in self.doors)
            shown = seen | {"revision": 0} if seen else None
            if shown == expected and all(other == seen for other in others):
                break
            assert time.monotonic() < deadline, (seen, others, expected)
            time.sleep(0.002)
        if seen is None:
            del self.model[key]
        else:
            self.model[key] = seen

    def write(self, key: Key, text: str | None, in_place: bool) -> None:
        path = self.path(key)
        if text is None:
            path.unlink()
        elif in_place:
            path.write_text(text, "utf-8")
        else:
            edited = path.with_name("edited")
            edited.write_text(text, "utf-8")
            edited.replace(path)

    def text_in_file(self, key: Key) -> str | None:
        try:
            return self.path(key).read_text("utf-8")
        except FileNotFoundError:
            return None

    def close(self, data: st.DataObject) -> None:
        door = self.door(data)
        door.close()
        door.renew()

    @rule(data=st.data())
    def closing_makes_files_exact(self, data: st.DataObject) -> None:
        """Close all doors, whichever wrote last."""
        self.close(data)
        for collection in LAYOUTS:
            for owner in (1, 2, 30):
                key = Key(collection, owner)
                assert self.in_file(key) == self.model.get(key)

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        self.door(data).crash()

    @rule()
    def all_crash(self) -> None:
        for door in self.doors:
            door.crash()

    @precondition(lambda self: self.owners(having_notes=True))
    @rule(data=st.data(), text=TEXTS, indent=st.sampled_from([None, 4]))
    def edit_by_hand(self, data: st.DataObject, text: str, indent: int | None) -> None:
        key = notes_of(self.draw_owner(data, having_notes=True))
        self.wait_for_file(key)
        content = json.loads(self.path(key).read_bytes())
        content["notes"][0]["text"] = text
        content["by hand"] = [text]
        self.by_hand(data, key, json.dumps(content, indent=indent))

    @rule(data=st.data(), owner=OWNERS, text=TEXTS)
    def put_a_file_by_hand(self, data: st.DataObject, owner: int, text: str) -> None:
        """Put an old file, without a revision, where there is none."""
        key = notes_of(owner)
        if key in self.model:
            return
        self.wait_for_file(key)
        self.by_hand(data, key, json.dumps({"notes": [{"id": 3, "text": text}]}))

    @precondition(lambda self: self.owners())
    @rule(data=st.data())
    def remove_a_file_by_hand(self, data: st.DataObject) -> None:
        key = notes_of(self.draw_owner(data))
        self.wait_for_file(key)
        self.by_hand(data, key, None)

    @precondition(lambda self: self.owners())
    @rule(data=st.data(), in_place=st.booleans())
    def break_a_file_and_mend_it(self, data: st.DataObject, in_place: bool) -> None:
        key = notes_of(self.draw_owner(data))
        self.wait_for_file(key)
        good = self.path(key).read_text("utf-8")
        broken = good[: len(good) // 2]
        self.write(key, broken, in_place)
        for door in self.doors:
            assert door.is_refused(key)
        self.crash(data)
        assert self.text_in_file(key) == broken
        self.write(key, good, in_place)


class CachelessMachine(FolderMachine):
    """The machine on a folder without a cache, as if every document were too large for it."""

    cache_bytes = 0


TestMemory = StoreMachine.TestCase
TestFolder = FolderMachine.TestCase
TestFolderWithoutCache = CachelessMachine.TestCase


def _run(machine: Any, count: int) -> None:
    machine.settings = settings(
        max_examples=examples(count),
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


_run(TestMemory, 40)
_run(TestFolder, 12)
_run(TestFolderWithoutCache, 5)
