"""The store against a plain dictionary: whatever happens in whatever order, both agree.

Rules add, change and remove records over several documents; commits that fail are among them,
and so are restarts, other processes' eyes, and hands that edit a file.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from docstore import DocumentStore, Key, Transaction
from docstore.backends.files import FilesBackend
from tests.docstore.layouts import LAYOUTS

OWNERS = st.sampled_from([1, 2, 30])
TEXTS = st.text(st.characters(codec="utf-8"), max_size=10)


class Refused(Exception):
    """An edit that changes its mind."""


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.model: dict[Key, dict[int, str]] = {}
        self.highest: dict[Key, int] = {}
        self.revisions: dict[Key, int] = {}
        self.store = DocumentStore(FilesBackend(self.root, LAYOUTS), LAYOUTS)

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @rule()
    def restart(self) -> None:
        self.store = DocumentStore(FilesBackend(self.root, LAYOUTS), LAYOUTS)

    @rule(owner=OWNERS, texts=st.lists(TEXTS, min_size=1, max_size=3), relaxed=st.booleans())
    def add(self, owner: int, texts: list[str], relaxed: bool) -> None:
        key = Key("notes", owner)

        def edit(transaction: Transaction) -> list[int]:
            if transaction.document(key) is None:
                transaction.create(key, {"notes": []})
            ids = []
            for text in texts:
                ids.append(transaction.new_id(key))
                transaction.put(key, {"id": ids[-1], "text": text})
            return ids

        ids = self.store.change(edit, relaxed=relaxed)
        first = self.highest.get(key, 0) + 1
        assert ids == list(range(first, first + len(texts)))
        self.highest[key] = ids[-1]
        self.model.setdefault(key, {}).update(zip(ids, texts, strict=True))
        self.revisions[key] = self.revisions.get(key, 0) + 1

    @precondition(lambda self: any(self.model.values()))
    @rule(data=st.data(), text=TEXTS)
    def move_between_owners(self, data: st.DataObject, text: str) -> None:
        """One commit over two documents: the record leaves one and comes to the other."""
        source = data.draw(st.sampled_from([key for key, notes in self.model.items() if notes]))
        target = data.draw(st.sampled_from(list(self.model)))
        note = data.draw(st.sampled_from(list(self.model[source])))

        def edit(transaction: Transaction) -> int:
            transaction.remove(source, note)
            new = transaction.new_id(target)
            transaction.put(target, {"id": new, "text": text})
            return new

        new = self.store.change(edit)
        assert new == self.highest[target] + 1
        del self.model[source][note]
        self.model[target][new] = text
        self.highest[target] = new
        for key in {source, target}:
            self.revisions[key] += 1

    @precondition(lambda self: bool(self.model))
    @rule(data=st.data())
    def change_ones_mind(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(list(self.model)))

        def edit(transaction: Transaction) -> None:
            transaction.put(key, {"id": transaction.new_id(key), "text": "never"})
            raise Refused

        try:
            self.store.change(edit)
        except Refused:
            return
        raise AssertionError("the edit's own error was swallowed")

    @precondition(lambda self: any(self.model.values()))
    @rule(data=st.data(), text=TEXTS)
    def edit_by_hand(self, data: st.DataObject, text: str) -> None:
        key = data.draw(st.sampled_from([key for key, notes in self.model.items() if notes]))
        path = self.root / f"notes/notes_{key.owner}.json"
        content = json.loads(path.read_text())
        content["notes"][0]["text"] = text
        path.write_text(json.dumps(content, indent=4))
        self.model[key][content["notes"][0]["id"]] = text

    @invariant()
    def both_agree(self) -> None:
        stranger = DocumentStore(FilesBackend(self.root, LAYOUTS), LAYOUTS)
        for store in (self.store, stranger):
            assert list(store.keys("notes")) == sorted(self.model)
            for key, notes in self.model.items():
                document = store.read(key)
                assert document is not None
                found: list[dict[str, Any]] = document.content["notes"]
                assert {note["id"]: note["text"] for note in found} == notes
                assert document.revision == self.revisions[key]


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
