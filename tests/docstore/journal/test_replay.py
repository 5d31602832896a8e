"""Replayed edits lead to the same document, byte for byte and key for key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docstore import ABSENT, Commit, Corrupt, Document, DocumentStore, Edit, Key, Transaction
from docstore.backends.memory import MemoryBackend
from docstore.codec import decode, encode, to_json
from docstore.journal.replay import replay
from docstore.record_list import RecordList
from docstore.store import format_utc
from tests.docstore.layouts import ALICE, ALICE_NOTES, LAYOUTS

TEXTS = st.text(st.characters(codec="utf-8"), max_size=4)
KEYS = st.sampled_from([ALICE_NOTES, ALICE])
NAMES = st.sampled_from(["a", "b", "updated_at", "last_id", "revision"])
VALUES = st.none() | st.booleans() | st.integers(0, 9) | TEXTS | st.lists(TEXTS, max_size=2)
IDS = st.integers(1, 6)

Deed = tuple[Any, ...]
DEEDS = st.one_of(
    st.tuples(st.just("create"), KEYS, st.dictionaries(NAMES, VALUES, max_size=3)),
    st.tuples(st.just("create with"), KEYS, st.lists(st.none() | st.builds(dict, id=IDS))),
    st.tuples(st.just("set list"), KEYS, st.lists(st.none() | st.builds(dict, id=IDS))),
    st.tuples(st.just("set"), KEYS, st.dictionaries(NAMES, VALUES, max_size=3)),
    st.tuples(st.just("put"), KEYS, st.builds(dict, id=IDS, text=TEXTS)),
    st.tuples(st.just("remove"), KEYS, IDS),
    st.tuples(st.just("append"), KEYS, VALUES | st.builds(dict, id=IDS)),
    st.tuples(st.just("cut"), KEYS, st.integers(0, 4)),
    st.tuples(st.just("drop"), KEYS),
)


class KeepingBackend(MemoryBackend):
    """A backend that records documents before and after each commit."""

    def __init__(self) -> None:
        super().__init__(LAYOUTS)
        self.commits: list[tuple[dict[Key, Document | None], Commit]] = []

    def commit(self, commit: Commit) -> int:
        before = {change.key: self.read(change.key).document for change in commit.changes}
        number = super().commit(commit)
        self.commits.append((before, commit))
        return number


def do(transaction: Transaction, deed: Deed) -> None:
    name, key, *arguments = deed
    there, list_name = transaction.document(key) is not None, LAYOUTS[key.collection].records
    if name == "drop":
        transaction.drop(key)
    elif name.startswith("create"):
        if not there:
            transaction.create(
                key, {list_name: arguments[0]} if name == "create with" else arguments[0]
            )
    elif there and name == "set list":
        transaction.set(key, {list_name: arguments[0]})
    elif there and (name != "remove" or transaction.records(key).find(arguments[0])):
        getattr(transaction, name)(key, *arguments)


@given(st.lists(st.lists(DEEDS, min_size=1, max_size=8), max_size=8))
def test_edits_made_again_lead_to_the_same_bytes(changes: list[list[Deed]]) -> None:
    backend = KeepingBackend()
    moments = (datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=n) for n in range(99))
    store = DocumentStore(backend, LAYOUTS, clock=lambda: next(moments))
    for deeds in changes:
        try:
            store.change(lambda transaction, deeds=deeds: [do(transaction, deed) for deed in deeds])
        except Corrupt:
            continue  # a repeated id
    for before, commit in backend.commits:
        for change in commit.changes:
            old, after, layout = before[change.key], change.after, LAYOUTS[change.key.collection]
            revision = after.revision if after else 0
            at_text = format_utc(commit.at)
            assert told(replay(old, change.edits, at_text, revision, layout)) == told(after)
            # And as another process has them: from a file and from JSON.
            old = decode(encode(old), "n", layout) if old else None
            edits = tuple(map(through_json, change.edits))
            assert told(replay(old, edits, at_text, revision, layout)) == told(after)


def told(document: Document | None) -> bytes | None:
    return encode(document) if document else None


def through_json(edit: Edit) -> Edit:
    before, after = (
        value if value is ABSENT else msgspec.json.decode(to_json(value))
        for value in (edit.before, edit.after)
    )
    return Edit(edit.path, before, after)


@pytest.mark.parametrize(
    "edit",
    [
        Edit(("notes", 2), {"id": 2}, ABSENT),
        Edit(("notes", -2), [{"id": 1}, {"id": 2}], ABSENT),
        Edit(("notes", 2), {"id": 2}, {"id": 2, "text": "x"}),
        Edit(("other",), 1, ABSENT),
        Edit(("other", 1), 1, 2),
    ],
)
def test_edits_of_another_state_are_refused(edit: Edit) -> None:
    document = Document({"notes": [{"id": 1}]})
    with pytest.raises(ValueError, match="does not fit"):
        replay(document, [edit], "", 1, LAYOUTS["notes"])
    with pytest.raises(ValueError, match="does not fit"):
        replay(None, [edit], "", 1, LAYOUTS["notes"])


def test_the_document_before_stays_as_it_was() -> None:
    document = Document({"notes": [{"id": 1}], "a": 1})
    edits = [Edit(("notes", 1), {"id": 1}, {"id": 1, "x": 2}), Edit(("a",), 1, ABSENT)]
    after = replay(document, edits, "now", 2, LAYOUTS["notes"])
    assert after is not None
    assert after.content == {"notes": [{"id": 1, "x": 2}], "updated_at": "now", "revision": 2}
    assert document.content == {"notes": [{"id": 1}], "a": 1}


def test_a_document_begun_again_has_its_records_by_id() -> None:
    begun = [Edit((), ABSENT, {"notes": [{"id": 1}], "a": [1]})]
    after = replay(None, begun, "now", 1, LAYOUTS["notes"])
    assert after is not None
    assert isinstance(after.content["notes"], RecordList)
    assert after.content["a"] == [1]
    assert begun[0].after == {"notes": [{"id": 1}], "a": [1]}, "the edit stays as it was"
