"""The list of records against a plain list: both agree, and older versions stay unchanged."""

from __future__ import annotations

import copy
import json
import threading
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from docstore.record_list import BRANCH, CHUNK, KEEP_INDENTED_FROM, RecordList, id_of
from tests.examples import examples

IDS = st.integers(1, 12)
STRANGE = st.sampled_from([None, 7, "x", [], {}, {"id": "1"}, {"id": True}, {"id": 0}, [{"id": 1}]])
ITEMS = st.builds(lambda number, text: {"id": number, "text": text}, IDS, st.text(max_size=3))


def records(count: int) -> list[dict[str, Any]]:
    return [{"id": number, "text": f"note {number}"} for number in range(1, count + 1)]


def same(one: RecordList, model: list[Any]) -> bool:
    """Return whether every view of the list equals the model."""
    ids = [id_of(item) for item in model]
    by_id = {number: one.find(number) for number in range(14)}
    return (
        list(one) == model
        and one == model
        and len(one) == len(model)
        and bool(one) == bool(model)
        and list(reversed(one)) == model[::-1]
        and list(one.map_cached(repr)) == list(map(repr, model))
        and one.all_objects == all(isinstance(item, dict) for item in model)
        and one.highest_id >= max((number or 0 for number in ids), default=0)
        and by_id == {n: tuple(i for i in model if id_of(i) == n) for n in range(14)}
        and one.json() == msgspec.json.encode(model)
        and one.digest() == RecordList(model).digest()
        and same_by_position(one, model, ids)
    )


def same_by_position(one: RecordList, model: list[Any], ids: list[int | None]) -> bool:
    """Return whether slices equal those of the model, and ids lead to the same positions."""
    ends = {0, 1, 3, CHUNK - 1, CHUNK, CHUNK + 1, len(model) - 1, len(model), len(model) + 5}
    parts = [(a, b) for a in ends for b in ends if 0 <= a <= b]
    are_parts_equal = all(one.json_of(a, b) == msgspec.json.encode(model[a:b]) for a, b in parts)
    known = [number for number in ids if number is not None]
    in_order = len(known) == len(ids) and known == sorted(set(known))
    return (
        are_parts_equal
        and one.in_id_order == in_order
        and (
            not in_order
            or all(
                one.bisect_id(n) == len([i for i in known if i <= n])
                for n in (*range(14), *known, 2000)
            )
        )
    )


class ListMachine(RuleBasedStateMachine):
    """The list begins near the end of a chunk: 64 records in a chunk would hide errors there."""

    def __init__(self) -> None:
        super().__init__()
        self.model: list[Any] = []
        self.list = RecordList()
        self.kept: list[tuple[RecordList, list[Any]]] = []

    @rule(items=st.lists(ITEMS | STRANGE, max_size=4), filling=st.sampled_from([0, 60, 126]))
    def begin_again(self, items: list[Any], filling: int) -> None:
        fill = [{"id": 1000 + number} for number in range(filling)]
        self.model = [*items, *fill]
        self.list = RecordList(self.model)

    @rule(item=ITEMS | STRANGE)
    def append(self, item: Any) -> None:
        self.model.append(item)
        self.list = self.list.append(item)

    @rule(item=ITEMS)
    def append_and_let_go(self, item: Any) -> None:
        """Append as a transaction that is not committed."""
        lost = self.list.append(item).append(item)
        assert lost[-2:] == [item, item]

    @rule(record=ITEMS)
    def replace(self, record: Any) -> None:
        places = [i for i, item in enumerate(self.model) if id_of(item) == record["id"]]
        if len(places) == 1:
            self.model[places[0]] = record
            self.list = self.list.replace(record)
        else:
            with pytest.raises(KeyError):
                self.list.replace(record)

    @rule(record_id=IDS)
    def remove(self, record_id: int) -> None:
        if len([1 for item in self.model if id_of(item) == record_id]) == 1:
            self.model = [item for item in self.model if id_of(item) != record_id]
            self.list = self.list.remove(record_id)
        else:
            with pytest.raises(KeyError):
                self.list.remove(record_id)

    @rule()
    def go_back(self) -> None:
        """Continue from an older version, as a writer that was not first."""
        if self.kept:
            self.list, model = self.kept[0]
            self.model = list(model)

    @precondition(lambda self: len(self.kept) < 4)
    @rule()
    def keep(self) -> None:
        self.kept.append((self.list, copy.deepcopy(self.model)))

    @invariant()
    def all_versions_agree(self) -> None:
        assert same(self.list, self.model)
        for version, model in self.kept:
            assert same(version, model)


TestListMachine = ListMachine.TestCase
TestListMachine.settings = settings(
    max_examples=examples(60), stateful_step_count=25, deadline=None
)


@given(st.integers(0, 300), st.data())
def test_indexes_and_slices_are_those_of_a_list(count: int, data: st.DataObject) -> None:
    model = records(count)
    items = RecordList(model)
    for number in data.draw(st.sets(st.integers(1, max(count, 1)), max_size=70)):
        if number <= count:
            items = items.remove(number)
            model = [record for record in model if record["id"] != number]
    cut = data.draw(st.slices(max(len(model), 1)))
    assert items[cut] == model[cut]
    for index in {0, len(model) // 2, len(model) - 1, -1, -len(model)} if model else ():
        assert items[index] == model[index]
    for index in (len(model), -len(model) - 1):
        with pytest.raises(IndexError):
            items[index]


def test_a_list_over_many_branches_is_found_changed_and_left() -> None:
    count = CHUNK * BRANCH * 2 + 5
    items = RecordList(records(count))
    grown = items.append({"id": count + 1})
    changed = grown.replace({"id": CHUNK * BRANCH + 1, "text": "changed"}).remove(3)
    assert (len(items), len(grown), len(changed)) == (count, count + 1, count)
    assert changed.find(CHUNK * BRANCH + 1) == ({"id": CHUNK * BRANCH + 1, "text": "changed"},)
    assert items.find(CHUNK * BRANCH + 1)[0]["text"] == f"note {CHUNK * BRANCH + 1}"
    assert (changed.find(3), items.find(count + 1)) == ((), ())
    assert list(items) == records(count)
    for number in range(count, count - CHUNK * 3, -1):
        items = items.remove(number)
    assert list(items.append({"id": 9**9}))[-2:] == [
        records(count)[count - CHUNK * 3 - 1],
        {"id": 9**9},
    ]


def test_removals_leave_no_superfluous_chunks() -> None:
    items = RecordList(records(CHUNK * BRANCH))
    for number in range(1, CHUNK * BRANCH + 1):
        if number % CHUNK:
            items = items.remove(number)
    assert [record["id"] for record in items] == list(range(CHUNK, CHUNK * BRANCH + 1, CHUNK))
    assert len(list(items._chunks())) <= BRANCH // 4
    assert items.highest_id == CHUNK * BRANCH


def test_a_list_that_is_used_as_a_queue_keeps_nothing_of_the_past() -> None:
    items, most_chunks, most_ids = RecordList(records(BRANCH)), 0, 0
    for number in range(1, 10_000):
        items = items.append({"id": items.highest_id + 1}).remove(number)
        most_chunks = max(most_chunks, len(list(items._chunks())))
        most_ids = max(most_ids, len(items._index.places) if items._index else 0)
    assert items == [{"id": 9_999 + number} for number in range(1, BRANCH + 1)]
    assert most_chunks <= BRANCH // 4 + 1
    assert most_ids <= 5_000


def test_emptied_list_still_knows_its_highest_id() -> None:
    items = RecordList(records(CHUNK * BRANCH))
    for number in range(CHUNK * BRANCH, 0, -1):
        items = items.remove(number)
    assert (list(items), items.highest_id) == ([], CHUNK * BRANCH)
    assert items.append({"id": 1}).find(1) == ({"id": 1},)


def test_an_id_is_not_known_as_the_highest_for_what_another_version_added() -> None:
    items = RecordList(records(3))
    assert items.append({"id": 9}).highest_id == 9
    assert items.highest_id == 3
    assert items.append({"id": 4}).remove(4).highest_id == 4, "it is not to be given again"


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1, KEEP_INDENTED_FROM, 1000])
def test_its_bytes_are_those_of_a_list_before_and_after_changes(count: int) -> None:
    items, model = RecordList(records(count)), records(count)
    for _ in range(2):
        for number in range(1, count + 1, 50):
            new = {"id": number, "text": "ä\n\\u00e9 \u2028", "more": [[], {}, [{"a": [1]}]]}
            items, model[number - 1] = items.replace(new), new
        assert items.json() == msgspec.json.encode(model)
        text = msgspec.json.format(msgspec.json.encode({"r": model}), indent=2)
        assert b'{\n  "r": ' + b"".join(items.indented()) + b"\n}" == text


def test_bytes_are_kept_counted_and_let_go() -> None:
    small, large = RecordList(records(10)), RecordList(records(1000))
    small.indented()
    assert small.cached_bytes == 0
    indented_bytes = len(b"".join(large.indented()))
    assert large.cached_bytes == indented_bytes
    encoded = large.json()
    assert large.cached_bytes == indented_bytes + len(encoded)
    newer = large.append({"id": 1001})
    assert newer.cached_bytes == indented_bytes + len(encoded), (
        "an estimate until it is asked for its own"
    )
    large.clear_caches()
    assert (large.cached_bytes, large.json()) == (0, encoded)


def test_each_calls_function_once_for_new_chunks() -> None:
    seen: list[int] = []

    def number(record: dict[str, Any]) -> int:
        seen.append(record["id"])
        return -int(record["id"])

    items = RecordList(records(CHUNK * 5))
    for _again in range(2):
        assert list(items.map_cached(number)) == [-n for n in range(1, CHUNK * 5 + 1)]
    assert len(seen) == CHUNK * 5
    changed = items.replace({"id": 7, "text": "changed"}).append({"id": 1000}).remove(CHUNK * 3)
    assert list(changed.map_cached(number)) == [-record["id"] for record in changed]
    assert len(seen) < CHUNK * 5 + 3 * CHUNK
    assert list(items.map_cached(len)) == [2] * CHUNK * 5, "each function has its own"
    assert items.cached_bytes > 0
    items.clear_caches()
    assert items.cached_bytes == 0
    seen.clear()
    assert list(items.map_cached(number)) == [-n for n in range(1, CHUNK * 5 + 1)]
    assert seen, "it was let go of"


def test_a_part_of_a_long_list_encodes_and_keeps_no_more_than_the_part() -> None:
    items = RecordList(records(CHUNK * 100))
    part = items.json_of(CHUNK * 2 - 1, CHUNK * 3 + 1)
    assert json.loads(part) == records(CHUNK * 100)[CHUNK * 2 - 1 : CHUNK * 3 + 1]
    assert [chunk.keeps_compact for chunk in items._chunks()].count(True) == 1
    assert 0 < items.cached_bytes < len(part)
    items.json_of(CHUNK * 2 - 1, CHUNK * 3 + 1)
    assert items.cached_bytes < len(part), "what was kept already, is counted once"


def test_the_digest_is_that_of_the_content_and_of_nothing_else() -> None:
    complete = RecordList(records(CHUNK * 3))
    grown = RecordList(records(CHUNK * 2))
    for record in records(CHUNK * 3)[CHUNK * 2 :]:
        grown = grown.append(record)
    shrunk = RecordList([{"id": 9999}, *records(CHUNK * 3)]).remove(9999)
    assert complete.digest() == grown.digest() == shrunk.digest()
    changed = complete.replace({"id": 5, "text": "changed"})
    assert changed.digest() != complete.digest()
    assert changed.replace(records(5)[4]).digest() == complete.digest()
    assert complete.remove(CHUNK * 3).digest() != complete.digest() != RecordList().digest()


def test_readers_of_old_versions_are_never_disturbed() -> None:
    items, faults, done = RecordList(records(70)), [], threading.Event()

    def read(version: RecordList) -> None:
        while not done.is_set():
            if version.find(70) != ({"id": 70, "text": "note 70"},) or version.find(71):
                faults.append(version)

    readers = [threading.Thread(target=read, args=(items,)) for _ in range(2)]
    for reader in readers:
        reader.start()
    newest = items
    for number in range(71, 1500):
        newest = newest.append({"id": number}).replace({"id": 70, "text": str(number)})
        if number % 3 == 0:
            newest = newest.remove(number).append({"id": number})
    done.set()
    for reader in readers:
        reader.join()
    assert not faults
    assert all(len(newest.find(number)) == 1 for number in range(1, 1500))


def test_it_passes_for_a_list() -> None:
    items = RecordList([{"id": 1}, "x"])
    assert items == [{"id": 1}, "x"]
    assert items != [{"id": 1}]
    assert items != ({"id": 1}, "x")
    assert items == RecordList([{"id": 1}, "x"]) != RecordList()
    assert repr(items) == "RecordList([{'id': 1}, 'x'])"
    assert ("x" in items, items.index("x"), items.count("x")) == (True, 1, 1)
    assert copy.deepcopy(items) == items
    assert RecordList.of(items) is items
    assert RecordList.of(None) == []
    assert json.loads(items.json()) == items
    with pytest.raises(TypeError):
        hash(items)


def test_whole_calls_function_once_per_version() -> None:
    calls: list[int] = []

    def count(records: RecordList) -> int:
        calls.append(len(records))
        return len(records)

    records = RecordList({"id": number} for number in range(1, 101))
    empty = records.cached_bytes
    assert records.derive_cached(count) == records.derive_cached(count) == 100
    assert records.cached_bytes > empty
    longer = records.append({"id": 101})
    assert (longer.derive_cached(count), records.derive_cached(count), calls) == (
        101,
        100,
        [100, 101],
    )
    records.clear_caches()
    assert records.cached_bytes == empty
    assert (records.derive_cached(count), calls) == (100, [100, 101, 100])
