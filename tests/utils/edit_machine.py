"""A state machine: people edit a file from states of any age while programs write.

The model says field by field what must be there: what was acknowledged and what a person changed.
Each value is written once, so that the model can tell whose it is.
"""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from docstore import DocumentStore
from docstore.backends.files import FilesBackend
from utils.documents import ensure, key_of
from utils.json_storage import JSONStorageManager
from utils.table import COLLECTIONS

OWNER = 1
FIELDS = ("title", "description")
STEPS = 50  # of one example
QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)

Fields = dict[str, str]


@dataclass
class Buffer:
    """What an editor has: the file as it was opened, as it is, and as it was saved last."""

    content: dict[str, Any]
    base: dict[int, Fields]
    saved: dict[int, Fields] = field(default_factory=dict)
    added: list[tuple[dict[str, Any], int]] = field(default_factory=list)  # record, its id

    def records(self) -> dict[int, Fields]:
        return {task["id"]: values_of(task) for task in self.content["tasks"] if "id" in task}


def values_of(task: dict[str, Any]) -> Fields:
    return {name: task[name] for name in FIELDS}


class EditMachine(RuleBasedStateMachine):
    """One person's tasks, in a folder of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="edits-"))
        self.path = self.root / f"tasks/tasks_{OWNER}.json"
        self.model: dict[int, Fields] = {}
        self.last_id = self.revision = 0
        self.buffers: list[Buffer] = []
        self.words = map("word {}".format, count())
        self.open()
        person = key_of("users", OWNER)
        self.storage.store.change(lambda transaction: ensure(transaction, person))

    def open(self) -> None:
        layouts = {name: spec.layout for name, spec in COLLECTIONS.items()}
        backend = FilesBackend(self.root, layouts, background=False)
        start = datetime(2026, 2, 28, 23, 0, tzinfo=UTC)
        self.storage = JSONStorageManager(DocumentStore(backend, layouts, lambda: start))

    def teardown(self) -> None:
        self.storage.close()
        shutil.rmtree(self.root)

    # Programs

    @initialize(number=st.integers(1, 4))
    def begin(self, number: int) -> None:
        for _ in range(number):
            self.create()

    @rule()
    def create(self) -> None:
        values = {name: next(self.words) for name in FIELDS}
        task = self.storage.create("tasks", OWNER, values)
        self.last_id += 1
        assert task["id"] == self.last_id
        self.model[task["id"]] = values

    @precondition(lambda self: self.model)
    @rule(data=st.data(), name=st.sampled_from(FIELDS))
    def update(self, data: st.DataObject, name: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.model)))
        word = next(self.words)
        self.storage.update("tasks", OWNER, number, {name: word})
        self.model[number] = self.model[number] | {name: word}

    @precondition(lambda self: len(self.model) > 1)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.model)))
        self.storage.delete("tasks", OWNER, number)
        del self.model[number]

    # Editors

    @precondition(lambda self: len(self.buffers) < 4)
    @rule()
    def open_file(self) -> None:
        self.storage.publish()
        content = json.loads(self.path.read_bytes())
        self.buffers.append(Buffer(content, copy.deepcopy(self.model)))

    @precondition(lambda self: self.buffers)
    @rule(data=st.data(), name=st.sampled_from(FIELDS))
    def type(self, data: st.DataObject, name: str) -> None:
        buffer = self.buffer(data)
        if buffer.content["tasks"]:
            data.draw(st.sampled_from(buffer.content["tasks"]))[name] = next(self.words)

    @precondition(lambda self: self.buffers)
    @rule(data=st.data())
    def add_line(self, data: st.DataObject) -> None:
        task = {name: next(self.words) for name in FIELDS}
        self.buffer(data).content["tasks"].append(task)

    @precondition(lambda self: self.buffers)
    @rule(data=st.data())
    def remove_line(self, data: st.DataObject) -> None:
        buffer = self.buffer(data)
        numbers = sorted(buffer.records())
        if numbers:
            number = data.draw(st.sampled_from(numbers))
            tasks = buffer.content["tasks"]
            buffer.content["tasks"] = [task for task in tasks if task.get("id") != number]

    @precondition(lambda self: self.buffers)
    @rule(data=st.data(), way=st.sampled_from(["rename", "in place", "backup", "while stopped"]))
    def save(self, data: st.DataObject, way: str) -> None:
        buffer = self.buffer(data)
        before = len(self.asides())
        self.write(json.dumps(buffer.content, indent=1), way)
        self.storage.list("tasks", OWNER)
        self.storage.publish()
        is_refused = self.merge(buffer)
        assert len(self.asides()) - before == is_refused, self.asides()

    @precondition(lambda self: self.buffers)
    @rule(data=st.data())
    def close_file(self, data: st.DataObject) -> None:
        self.buffers.remove(self.buffer(data))

    @rule()
    def restart(self) -> None:
        self.storage.close()
        self.open()

    @rule()
    def crash(self) -> None:
        self.storage.store.backend._abandon()  # type: ignore[attr-defined]
        self.open()

    # What must be there

    def buffer(self, data: st.DataObject) -> Buffer:
        return self.buffers[data.draw(st.integers(0, len(self.buffers) - 1))]

    def write(self, text: str, way: str) -> None:
        if way == "while stopped":
            self.storage.close()
        if way == "in place":
            self.path.write_text(text)
        elif way == "backup":
            self.path.replace(self.path.with_suffix(".bak"))
            self.path.write_text(text)
        else:
            draft = self.path.with_suffix(".new")
            draft.write_text(text)
            draft.replace(self.path)
        if way == "while stopped":
            self.open()

    def merge(self, buffer: Buffer) -> bool:
        """Do to the model what the save does; return whether a part of it cannot be done."""
        is_refused, now = False, buffer.records()
        for number, values in now.items():
            seen = buffer.saved.get(number) or buffer.base[number]
            changed = {name: word for name, word in values.items() if word != seen[name]}
            if changed and number in self.model:
                self.model[number] = self.model[number] | changed
            is_refused = is_refused or bool(changed and number not in self.model)
        for number, values in buffer.base.items():
            gone = number not in now and not (buffer.saved and number not in buffer.saved)
            if gone and number in self.model:
                is_as_seen = self.model[number] == (buffer.saved.get(number) or values)
                is_refused = is_refused or not is_as_seen
                if is_as_seen:
                    del self.model[number]
        for task in (task for task in buffer.content["tasks"] if "id" not in task):
            is_refused = self.merge_line(buffer, task) or is_refused
        buffer.saved = copy.deepcopy(now) or {0: {}}
        return is_refused

    def merge_line(self, buffer: Buffer, task: dict[str, Any]) -> bool:
        for index, (earlier, number) in enumerate(buffer.added):
            if earlier["at"] is task:
                changed = {n: task[n] for n in FIELDS if task[n] != earlier["was"][n]}
                buffer.added[index] = ({"at": task, "was": values_of(task)}, number)
                if number in self.model:
                    self.model[number] = self.model[number] | changed
                return bool(changed and number not in self.model)
        self.last_id += 1
        self.model[self.last_id] = values_of(task)
        buffer.added.append(({"at": task, "was": values_of(task)}, self.last_id))
        return False

    def asides(self) -> list[Any]:
        return [aside.remarks for aside in self.storage.store.aside(key_of("tasks", OWNER))]

    @invariant()
    def all_is_there(self) -> None:
        document = self.storage.store.read(key_of("tasks", OWNER))
        if document is None:
            return
        found = {task["id"]: values_of(task) for task in document.content["tasks"]}
        assert found == self.model
        assert len(document.content["tasks"]) == len(found)
        assert document.content["last_id"] == self.last_id
        assert document.revision >= self.revision
        self.revision = document.revision
