"""A folder can be read by docs/format.md alone, at any moment of its life."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from docstore import Conflict, DocumentStore, Key, NotFound, Transaction
from docstore.backends.files.backend import FilesBackend
from docstore.codec import encode
from docstore.journal.frames import HEADER_BYTES, Kind
from tests.docstore.independent_reader import NEURALFLOW, Damaged, documents_in
from tests.docstore.layouts import LAYOUTS
from workspace.schema.validation import COLLECTIONS as TABLE

COLLECTIONS = {layout.name: layout.stem for layout in LAYOUTS.values()}
KEYS = [Key("notes", 1), Key("notes", 2), Key("people", 1), Key("people", 2)]


def as_the_engine_says(backend: FilesBackend) -> dict[str, str]:
    """Return every document as JSON text, with the keys in order."""
    documents = {}
    for collection in LAYOUTS:
        for key in backend.keys(collection):
            document = backend.read(key).document
            assert document is not None
            documents[backend.name(key)] = json.dumps(json.loads(encode(document)))
    return documents


def as_the_format_says(root: Path, *, in_use: bool = False) -> dict[str, str]:
    documents = documents_in(root, COLLECTIONS, in_use=in_use)
    return {name: json.dumps(document) for name, document in documents}


class Life:
    """Random work on a folder: changes, publications, checkpoints, restarts, manual edits."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.random = root, random.Random(seed)
        self.open()

        self.is_edited = False  # by hand, since a checkpoint: a crash then sets the edit aside

    def open(self) -> None:
        self.backend = FilesBackend(self.root, LAYOUTS, background=False, segment_bytes=8192)
        self.store = DocumentStore(self.backend, LAYOUTS)

    def step(self) -> None:
        works = [self.change] * 12 + [self.backend.publish] * 2
        works += [self.checkpoint, self.edit_by_hand, self.end_in_order, self.kill]
        self.random.choice(works)()

    def change(self) -> None:
        def edit(transaction: Transaction) -> None:
            for key in self.random.sample(KEYS, self.random.choice((1, 1, 2))):
                self.edit(transaction, key)

        with suppress(Conflict, NotFound):  # then nothing happened
            self.store.change(edit, actor="7", relaxed=self.random.random() < 0.2)

    def edit(self, transaction: Transaction, key: Key) -> None:
        number = self.random.randrange(1, 6)
        records = LAYOUTS[key.collection].records
        if transaction.document(key) is None:
            transaction.create(key, {records: [], "títle": "ünicode"})
        kind = self.random.choice(("set", "set", "unset", "put", "put", "remove", "drop"))
        if kind == "drop":
            transaction.drop(key)
        elif kind == "set":
            transaction.set(key, {f"field {number}": self.random.random()})
        elif kind == "unset":
            transaction.set(key, {f"field {number}": None})
        elif key.collection == "people":
            transaction.append(key, {"line": number, "text": "x" * self.random.randrange(900)})
        elif kind == "put":
            transaction.put(key, {"id": number, "text": "y" * self.random.randrange(900)})
        else:
            transaction.remove(key, number)

    def checkpoint(self) -> None:
        self.backend.checkpoint()
        self.is_edited = False

    def edit_by_hand(self) -> None:
        self.backend.publish()
        self.is_edited = True
        for path in self.root.glob("*/*_1.json"):
            content = json.loads(path.read_text())
            content["by hand"] = self.random.random()
            draft = path.with_suffix(".own")
            draft.write_text(json.dumps(content))
            draft.replace(path)

    def end_in_order(self) -> None:
        self.backend.checkpoint()
        self.backend.close()
        self.is_edited = False
        self.open()

    def kill(self) -> None:
        self.backend._release()
        self.open()


@pytest.mark.parametrize("seed", range(4))
def test_the_current_state_can_be_read_at_any_moment(tmp_path: Path, seed: int) -> None:
    life = Life(tmp_path / "data", seed)
    for step in range(150):
        life.step()
        documents = as_the_engine_says(life.backend)
        assert as_the_format_says(life.root, in_use=True) == documents, f"step {step}"
        if step % 10 == 0:
            copy = tmp_path / f"copy {step}"
            shutil.copytree(life.root, copy)  # other inodes, the same times
            copied = as_the_format_says(copy)
            again = FilesBackend(copy, LAYOUTS, background=False)
            assert as_the_engine_says(again) == copied
            again.close()
            assert as_the_format_says(copy) == copied
            assert life.is_edited or copied == documents
    life.backend.close()
    assert as_the_format_says(life.root) == as_the_engine_says(life.backend)


def test_a_folder_can_be_copied_while_it_is_written(tmp_path: Path) -> None:
    """The copy has the journal first, then the files: it lacks no change acknowledged before."""
    root, (receiving, sending) = tmp_path / "data", os.pipe()
    writer = os.fork()
    if not writer:
        _write_without_end(root, sending)
    try:
        for number in range(10):
            acknowledged = _last_of(receiving)
            copy = tmp_path / f"copy {number}"
            shutil.copytree(root / ".neuralflow", copy / ".neuralflow", ignore=_gone)
            for collection in LAYOUTS:
                shutil.copytree(root / collection, copy / collection, ignore=_gone)
            by_format = {name: json.loads(text) for name, text in as_the_format_says(copy).items()}
            assert by_format["notes/notes_1.json"]["n"] >= acknowledged
            assert len(by_format["people/person_1.json"]["log"]) >= acknowledged
            backend = FilesBackend(copy, LAYOUTS, background=False)
            by_engine = {
                name: json.loads(text) for name, text in as_the_engine_says(backend).items()
            }
            assert by_engine == by_format
            backend.close()
    finally:
        os.kill(writer, 9)
        os.waitpid(writer, 0)


def _gone(folder: Any, names: list[str]) -> list[str]:
    """Return the names beside the documents that come and go."""
    return [name for name in names if name.endswith(".draft") or name == "spare"]


def _write_without_end(root: Path, tell: int) -> None:
    try:
        store = DocumentStore(FilesBackend(root, LAYOUTS), LAYOUTS)
        store.change(lambda transaction: transaction.create(KEYS[0], {"notes": []}))
        store.change(lambda transaction: transaction.create(KEYS[2], {"log": []}))
        for number in range(1, 100_000):

            def edit(transaction: Transaction, number: int = number) -> None:
                transaction.set(KEYS[0], {"n": number})
                transaction.append(KEYS[2], number)

            store.change(edit)
            os.write(tell, number.to_bytes(4, "little"))
    finally:
        os._exit(1)


def _last_of(told: int) -> int:
    data = os.read(told, 65536)
    return int.from_bytes(data[-4:], "little")


def _create(number: int, transaction: Transaction) -> None:
    transaction.create(Key("notes", number + 1), {"notes": [], "n": number})


def test_damage_is_noticed(tmp_path: Path) -> None:
    backend = FilesBackend(tmp_path, LAYOUTS, background=False)
    store = DocumentStore(backend, LAYOUTS)
    for number in range(5):
        store.change(partial(_create, number))
    backend._release()
    (segment,) = (tmp_path / ".neuralflow/journal").glob("*.journal")
    data = bytearray(segment.read_bytes())
    data[data.index(b'"n":2')] ^= 1
    segment.write_bytes(data)
    with pytest.raises(Damaged):
        as_the_format_says(tmp_path)


GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "journal"


def test_a_folder_of_the_first_release_with_a_journal_is_readable_for_ever(tmp_path: Path) -> None:
    """A killed server and a power cut left changes, a manual edit, a deletion and a torn tail."""
    expected = json.loads((GOLDEN / "expected.json").read_text("utf-8"))
    assert dict(documents_in(GOLDEN / "data", NEURALFLOW)) == expected
    data = tmp_path / "data"
    shutil.copytree(GOLDEN / "data", data)
    layouts = {name: spec.layout for name, spec in TABLE.items()}
    for _ in range(2):
        backend = FilesBackend(data, layouts, background=False)
        keys = [key for collection in layouts for key in backend.keys(collection)]
        raw = {backend.name(key): backend.raw(key) or b"" for key in keys}
        assert {name: json.loads(data) for name, data in raw.items()} == expected
        backend.close()
        assert {name: json.loads((data / name).read_text("utf-8")) for name in expected} == expected
    (torn,) = (data / ".neuralflow/journal").glob("torn-*")
    assert torn.read_bytes() == b"\xf7NFJtorn by a power cut"


def test_the_tables_of_the_format_are_what_the_engine_does() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs/format.md").read_text("utf-8")
    chapter = text.partition("### Frames")[2].partition("### Entries")[0]
    kinds = dict(re.findall(r"^\| (\d+) \| ([A-Z]+) \|", chapter, re.MULTILINE))
    assert kinds == {str(kind.value): kind.name for kind in Kind}
    offsets = re.findall(r"^\| (\d+) \| (\d+|length) \| (\w+)", chapter, re.MULTILINE)
    assert offsets[-1][:2] == (str(HEADER_BYTES), "length")
    end = 0
    for offset, size, _ in offsets[:-1]:
        assert int(offset) == end
        end += int(size)
    assert end == HEADER_BYTES
