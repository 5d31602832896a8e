"""A state machine: people edit a file from states of any age while programs write.

The model says field by field what must be there: what was acknowledged and what a person changed.
Each value is written once, so that the model can tell whose it is. The store has only the texts: a
buffer is recognized by a value that it saved before and still has. One that has none of them is to
the store another buffer, and so it is to the model.
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
from docstore.backends.files.backend import FilesBackend
from utils.json_storage import JSONStorageManager
from workspace.documents import get_or_create, key_of
from workspace.schema.collections import COLLECTIONS

OWNER = 1
FIELDS = ("title", "description")
STEPS = 50  # of one example
QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)

Fields = dict[str, str]


@dataclass
class Line:
    """A new line of an editor, without an id in its text: as it was saved last, and its task."""

    task: dict[str, Any]
    saved: Fields
    number: int
    is_there: bool = True


@dataclass
class Save:
    """What was saved: the text, the tasks with ids, and whether anything in it was new."""

    text: str
    records: dict[int, Fields]
    is_edit: bool


@dataclass
class Buffer:
    """What an editor has: the file as it was opened, as it is, and as it was saved last."""

    content: dict[str, Any]
    base: dict[int, Fields]
    saved: dict[int, Fields] | None = None
    lines: list[Line] = field(default_factory=list)

    @property
    def revision(self) -> int:
        return int(self.content["revision"])

    def records(self) -> dict[int, Fields]:
        return {task["id"]: values_of(task) for task in self.content["tasks"] if "id" in task}

    def new_tasks(self) -> list[dict[str, Any]]:
        return [task for task in self.content["tasks"] if "id" not in task]

    def is_recognized(self) -> bool:
        """Return whether the text has a value that its last save brought into the document."""
        now, saved = self.records(), self.saved or {}
        return any(
            values[name] == saved[number][name] != self.base[number][name]
            for number, values in now.items()
            if number in saved
            for name in FIELDS
        ) or any(
            shares_a_word(line.task, line.saved)
            for line in self.lines
            if line.is_there and self.has(line)
        )

    def has(self, line: Line) -> bool:
        return any(task is line.task for task in self.content["tasks"])


def shares_a_word(task: dict[str, Any], saved: Fields) -> bool:
    """Return whether a line has a value of its last save, as it was or typed on."""
    return any(task[name].startswith(saved[name]) for name in FIELDS)


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
        self.saves: dict[int, list[Save]] = {}  # by the revision that they name
        self.words = map("{:05} word".format, count())
        self.open()
        person = key_of("users", OWNER)
        self.storage.store.change(lambda transaction: get_or_create(transaction, person))

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
    @rule(data=st.data(), name=st.sampled_from(FIELDS), is_typed_on=st.booleans())
    def type(self, data: st.DataObject, name: str, is_typed_on: bool) -> None:
        buffer = self.buffer(data)
        if buffer.content["tasks"]:
            task, word = data.draw(st.sampled_from(buffer.content["tasks"])), next(self.words)
            task[name] = f"{task[name]} {word}" if is_typed_on else word

    @precondition(lambda self: self.buffers)
    @rule(data=st.data())
    def add_line(self, data: st.DataObject) -> None:
        task = {name: next(self.words) for name in FIELDS}
        self.buffer(data).content["tasks"].append(task)

    @precondition(lambda self: self.buffers)
    @rule(data=st.data())
    def remove_line(self, data: st.DataObject) -> None:
        tasks = self.buffer(data).content["tasks"]
        if tasks:
            del tasks[data.draw(st.integers(0, len(tasks) - 1))]

    @precondition(lambda self: self.buffers)
    @rule(data=st.data(), way=st.sampled_from(["rename", "in place", "backup", "while stopped"]))
    def save(self, data: st.DataObject, way: str) -> None:
        buffer = self.buffer(data)
        before = len(self.asides())
        text = json.dumps(buffer.content, indent=1)
        self.write(text, way)
        self.storage.list("tasks", OWNER)
        self.storage.publish()
        is_reported = self.merge(buffer, text)
        assert len(self.asides()) - before == is_reported, self.asides()

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
        self.storage.store.backend._release()  # type: ignore[attr-defined]
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

    def merge(self, buffer: Buffer, text: str) -> bool:
        """Do to the model what the save does; return whether a part of it is to be reported."""
        saves = self.saves.setdefault(buffer.revision, [])
        now = buffer.records()
        is_edit = now != buffer.base or bool(buffer.new_tasks())
        same = [index for index, save in enumerate(saves) if save.text == text]
        later = [save for save in saves[same[-1] + 1 if same else 0 :] if save.is_edit]
        saves.append(Save(text, now, is_edit))
        if same or not is_edit:
            is_reported = any(
                not is_edit or self.contradicts(buffer.base, now, save.records) for save in later
            )
        else:
            is_reported = self.merge_text(buffer, now)
        buffer.saved = copy.deepcopy(now)
        return is_reported

    def contradicts(
        self, base: dict[int, Fields], one: dict[int, Fields], other: dict[int, Fields]
    ) -> bool:
        """Return whether two saves made different things of the same."""
        for number, values in base.items():
            mine, theirs = one.get(number), other.get(number)
            if mine is None or theirs is None:
                if mine != theirs and values not in (mine, theirs):
                    return True
            elif any(
                values[n] not in (mine[n], theirs[n]) and mine[n] != theirs[n] for n in FIELDS
            ):
                return True
        return False

    def merge_text(self, buffer: Buffer, now: dict[int, Fields]) -> bool:
        is_recognized, is_reported = buffer.is_recognized(), False
        saved = (buffer.saved or {}) if is_recognized else None
        for number, values in now.items():
            seen = (saved or {}).get(number) or buffer.base[number]
            changed = {name: word for name, word in values.items() if word != seen[name]}
            is_reported = is_reported or bool(changed and number not in self.model)
            if changed and number in self.model:
                self.model[number] = self.model[number] | changed
        for number, values in buffer.base.items():
            is_gone = number not in now and (saved is None or number in saved)
            if is_gone and number in self.model:
                is_as_seen = self.model[number] in (values, (saved or {}).get(number))
                is_reported = is_reported or not is_as_seen
                if is_as_seen:
                    del self.model[number]
        for line in buffer.lines:
            is_same = buffer.has(line) and shares_a_word(line.task, line.saved)
            if line.is_there and not is_same:
                line.is_there = False
                is_reported = is_reported or (is_recognized and line.number in self.model)
        for task in buffer.new_tasks():
            is_reported = self.merge_line(buffer, task) or is_reported
        return is_reported

    def merge_line(self, buffer: Buffer, task: dict[str, Any]) -> bool:
        line = next((x for x in buffer.lines if x.is_there and x.task is task), None)
        if line is None:
            self.last_id += 1
            self.model[self.last_id] = values_of(task)
            buffer.lines.append(Line(task, values_of(task), self.last_id))
            return False
        changed = {name: task[name] for name in FIELDS if task[name] != line.saved[name]}
        line.saved = values_of(task)
        if line.number in self.model:
            self.model[line.number] = self.model[line.number] | changed
        return bool(changed and line.number not in self.model)

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
