"""The one change function: transactions, ids, revisions, and competing writers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from docstore import (
    ABSENT,
    Bounds,
    CollectionLayout,
    Commit,
    Conflict,
    Corrupt,
    DocumentStore,
    Edit,
    InvalidValue,
    Key,
    NotFound,
    RecordTooLarge,
    TooMuchAtOnce,
    Transaction,
    open_store,
    verify,
)
from docstore.backends.memory import MemoryBackend
from tests.docstore.layouts import ALICE, ALICE_NOTES, LAYOUTS, NOTES

NOW = datetime(2026, 11, 23, 12, 4, 5, 60, tzinfo=UTC)


class KeepingBackend(MemoryBackend):
    """A backend that records its commits, and may let a rival write first."""

    def __init__(self) -> None:
        super().__init__(LAYOUTS)
        self.commits: list[Commit] = []
        self.rivals = 0

    def commit(self, commit: Commit) -> int:
        if self.rivals:
            self.rivals -= 1
            raise Conflict("a rival was first")
        self.commits.append(commit)
        return super().commit(commit)


@pytest.fixture
def backend() -> KeepingBackend:
    return KeepingBackend()


@pytest.fixture
def store(backend: KeepingBackend) -> DocumentStore:
    store = DocumentStore(backend, LAYOUTS, clock=lambda: NOW)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
    return store


def add(transaction: Transaction, text: str = "x") -> int:
    note = transaction.new_id(ALICE_NOTES)
    transaction.put(ALICE_NOTES, {"id": note, "text": text})
    return note


def content(store: DocumentStore) -> dict[str, object]:
    document = store.read(ALICE_NOTES)
    assert document is not None
    return dict(document.content)


def test_a_change_counts_the_revision_and_tells_the_time(store: DocumentStore) -> None:
    store.change(add)
    assert content(store) == {
        "notes": [{"id": 1, "text": "x"}],
        "updated_at": "2026-11-23T12:04:05.000060Z",
        "revision": 2,
        "last_id": 1,
    }


def test_ids_count_up_and_are_never_given_again(store: DocumentStore) -> None:
    assert [store.change(add) for _ in range(3)] == [1, 2, 3]
    for note in (3, 1):
        store.change(lambda transaction, note=note: transaction.remove(ALICE_NOTES, note))
    assert store.change(add) == 4
    assert [note["id"] for note in content(store)["notes"]] == [2, 4]  # type: ignore[attr-defined]


def test_ids_go_on_above_those_of_a_document_that_never_counted() -> None:
    backend = KeepingBackend()
    store = DocumentStore(backend, LAYOUTS)
    old = {"notes": [{"id": 7}, {"id": "9"}, {}, None, {"id": True}]}
    store.change(lambda transaction: transaction.create(ALICE_NOTES, old))
    assert store.change(add) == 8


def test_an_edit_that_raises_changes_nothing(store: DocumentStore) -> None:
    before = content(store)

    def edit(transaction: Transaction) -> None:
        add(transaction)
        raise LookupError

    with pytest.raises(LookupError):
        store.change(edit)
    assert content(store) == before


def test_an_edit_that_changes_nothing_is_no_commit(
    store: DocumentStore, backend: KeepingBackend
) -> None:
    commits = len(backend.commits)
    store.change(lambda transaction: transaction.set(ALICE_NOTES, {}))
    store.change(lambda transaction: transaction.set(ALICE_NOTES, {"revision": 1}))
    assert len(backend.commits) == commits


def test_transaction_reads_its_own_changes(store: DocumentStore) -> None:
    def edit(transaction: Transaction) -> list[object]:
        first, second = add(transaction, "a"), add(transaction, "b")
        transaction.put(ALICE_NOTES, {"id": first, "text": "c"})
        transaction.remove(ALICE_NOTES, second)
        return transaction.records(ALICE_NOTES)

    assert store.change(edit) == [{"id": 1, "text": "c"}]


def test_records_may_be_changed_while_one_goes_through_them(store: DocumentStore) -> None:
    def edit(transaction: Transaction) -> int:
        for note in [add(transaction) for _ in range(3)]:
            assert transaction.records(ALICE_NOTES).find(note)
        seen = 0
        for record in transaction.records(ALICE_NOTES):
            transaction.put(ALICE_NOTES, record | {"text": "seen"})
            transaction.remove(ALICE_NOTES, record["id"])
            add(transaction)
            seen += 1
        return seen

    assert store.change(edit) == 3
    assert [note["id"] for note in store.records(ALICE_NOTES)] == [4, 5, 6]


def test_the_store_hands_out_records_by_id_and_as_json(store: DocumentStore) -> None:
    store.change(add)
    records = store.records(ALICE_NOTES)
    assert (records.find(1), records.find(2)) == (({"id": 1, "text": "x"},), ())
    assert records.json() == b'[{"id":1,"text":"x"}]'
    assert store.records(ALICE) == []


def test_a_list_of_records_is_a_list(store: DocumentStore) -> None:
    store.change(lambda transaction: transaction.set(ALICE_NOTES, {"notes": [{"id": 3}]}))
    assert store.records(ALICE_NOTES).find(3)
    assert store.change(add) == 4
    for wrong in ("text", {"id": 1}, 7):
        with pytest.raises(InvalidValue, match="must be a list"):
            store.change(
                lambda transaction, wrong=wrong: transaction.set(ALICE_NOTES, {"notes": wrong})
            )
        with pytest.raises(InvalidValue, match="must be a list"):
            store.change(lambda transaction, wrong=wrong: transaction.create(ALICE, {"log": wrong}))


def test_new_document_entry_separates_initial_content_from_additions(
    store: DocumentStore, backend: KeepingBackend
) -> None:
    def edit(transaction: Transaction) -> None:
        transaction.create(ALICE, {"log": ["a"]})
        transaction.append(ALICE, "b")
        transaction.set(ALICE, {"x": 1})

    store.change(edit)
    assert backend.commits[-1].changes[0].edits == (
        Edit((), ABSENT, {"log": ["a"]}),
        Edit(("log", 1), ABSENT, "b"),
        Edit(("x",), ABSENT, 1),
    )


def test_readers_keep_the_document_they_have(store: DocumentStore) -> None:
    store.change(add)
    before = store.read(ALICE_NOTES)
    assert before is not None
    copy = repr(before.content)
    store.change(add)
    store.change(lambda transaction: transaction.remove(ALICE_NOTES, 1))
    assert repr(before.content) == copy


def test_stored_values_share_nothing_with_the_caller(store: DocumentStore) -> None:
    record = {"id": 1, "tags": ["a"]}
    store.change(lambda transaction: transaction.put(ALICE_NOTES, record))
    record["tags"].append("b")  # type: ignore[attr-defined]
    assert content(store)["notes"] == [{"id": 1, "tags": ["a"]}]


def test_the_edits_of_a_commit_tell_what_differs(
    store: DocumentStore, backend: KeepingBackend
) -> None:
    store.change(add, actor="7", request_id="abc")
    store.change(lambda transaction: transaction.remove(ALICE_NOTES, 1))
    added, removed = backend.commits[-2:]
    assert (added.actor, added.request_id, added.at) == ("7", "abc", NOW)
    record = {"id": 1, "text": "x"}
    assert added.changes[0].edits == (
        Edit(("notes", 1), ABSENT, record),
        Edit(("last_id",), ABSENT, 1),
    )
    assert removed.changes[0].edits == (Edit(("notes", 1), record, ABSENT),)


def test_a_writer_who_lost_the_race_runs_again(
    store: DocumentStore, backend: KeepingBackend
) -> None:
    backend.rivals = 3
    assert store.change(add) == 1
    backend.rivals = 1000
    with pytest.raises(Conflict):
        store.change(add)


def test_errors_say_what_is_missing(store: DocumentStore) -> None:
    with pytest.raises(NotFound, match="there is no 9 in notes/notes_1"):
        store.change(lambda transaction: transaction.record(ALICE_NOTES, 9))
    with pytest.raises(NotFound, match="there is no people/person_1"):
        store.change(lambda transaction: transaction.append(ALICE, {}))
    with pytest.raises(Conflict, match="exists already"):
        store.change(lambda transaction: transaction.create(ALICE_NOTES, {}))
    with pytest.raises(InvalidValue, match="needs an id"):
        store.change(lambda transaction: transaction.put(ALICE_NOTES, {"text": "x"}))


def test_record_with_repeated_id_is_refused() -> None:
    store = DocumentStore(KeepingBackend(), LAYOUTS)
    twins = {"notes": [{"id": 1, "a": 1}, {"id": 1, "a": 2}]}
    store.change(lambda transaction: transaction.create(ALICE_NOTES, twins))
    with pytest.raises(Corrupt, match="2 records have the id 1"):
        store.change(lambda transaction: transaction.put(ALICE_NOTES, {"id": 1}))
    assert content(store)["notes"] == twins["notes"]


def test_threads_that_meet_lose_nothing() -> None:
    store = open_store("memory:", [NOTES])
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))

    def write() -> None:
        for _ in range(50):
            store.change(add)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(note["id"] for note in content(store)["notes"]) == list(range(1, 401))  # type: ignore[attr-defined]


@pytest.mark.parametrize("url", ["data", "http://x/y", "file:", "file://host/data", "s3://b/p"])
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="does not name a folder"):
        open_store(url, [NOTES])


@pytest.mark.parametrize("content", [{"last_id": 2**53 - 1}, {"notes": [{"id": 2**60}]}])
def test_id_that_a_hand_made_too_large_does_not_count(content: dict[str, object]) -> None:
    store = DocumentStore(KeepingBackend(), LAYOUTS)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []} | content))
    for wanted in (1, 2):
        assert store.change(lambda transaction: transaction.new_id(ALICE_NOTES)) == wanted
        store.change(lambda transaction, n=wanted: transaction.put(ALICE_NOTES, {"id": n}))


def test_an_id_too_large_is_found_by_the_check(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/notes_1.json").write_text(f'{{"notes": [], "last_id": {2**53}}}')
    store = open_store(tmp_path.as_uri(), LAYOUTS.values())
    assert [finding.problem for finding in verify(store.backend, LAYOUTS)] == [
        f'"last_id" must be at most {10**15}'
    ]


def test_conflict_of_the_note_ends_the_change_and_repeats_no_commit(
    store: DocumentStore,
) -> None:
    numbers = []

    def note(number: int) -> None:
        numbers.append(number)
        raise Conflict("of the caller")

    with pytest.raises(Conflict, match="of the caller"):
        store.change(lambda transaction: transaction.append(ALICE_NOTES, {"text": "x"}), note=note)
    assert len(store.records(ALICE_NOTES)) == len(numbers) == 1


@pytest.mark.parametrize(
    "write",
    [
        lambda transaction: transaction.append(ALICE_NOTES, "x" * 100),
        lambda transaction: transaction.set(ALICE_NOTES, {"text": "x" * 100}),
        lambda transaction: transaction.set(ALICE_NOTES, {"notes": [{"id": 1, "text": "x" * 100}]}),
        lambda transaction: transaction.create(Key("notes", 9), {"text": "x" * 100}),
        lambda transaction: transaction.put(ALICE_NOTES, {"id": 1, "text": "x" * 100}),
    ],
    ids=["append", "set", "set list", "create", "put"],
)
def test_every_way_to_write_counts_for_the_bounds(
    store: DocumentStore, write: Callable[[Transaction], None]
) -> None:
    with pytest.raises(TooMuchAtOnce):
        store.change(write, bounds=Bounds(bytes_max=100))
    store.change(write, bounds=Bounds(bytes_max=200))


def test_shortening_a_list_is_not_bounded(store: DocumentStore) -> None:
    store.change(lambda t: t.set(ALICE_NOTES, {"notes": ["x" * 100, "y" * 100]}))
    bounds = Bounds(bytes_max=10)
    assert len(store.change(lambda t: t.cut(ALICE_NOTES, 1), bounds=bounds)) == 1


def test_appended_item_is_bounded_like_a_record() -> None:
    notes = CollectionLayout("notes", "notes", "notes", record_bytes_max=50)
    store = DocumentStore(MemoryBackend({"notes": notes}), {"notes": notes})
    store.change(lambda t: t.create(ALICE_NOTES, {"notes": []}))
    with pytest.raises(RecordTooLarge):
        store.change(lambda t: t.append(ALICE_NOTES, {"text": "x" * 50}))


def test_time_of_a_short_edit_is_bounded_without_reading_the_processor_clock(
    store: DocumentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each such read is a system call, and each read and write of a record looks at the time."""
    processor, clock, reads = 0.0, 100.0, list[float]()

    def thread_time() -> float:
        reads.append(processor)
        return processor

    monkeypatch.setattr("docstore.store.time.thread_time", thread_time)
    monkeypatch.setattr("docstore.store.time.perf_counter", lambda: clock)

    def edit(transaction: Transaction) -> None:
        nonlocal processor, clock
        for number in range(100):
            transaction.put(ALICE_NOTES, {"id": 1, "text": str(number)})
        assert len(reads) == 1
        clock += 5  # it waited for others
        transaction.put(ALICE_NOTES, {"id": 1, "text": "late"})
        processor += 2
        transaction.put(ALICE_NOTES, {"id": 1, "text": "too late"})

    with pytest.raises(TooMuchAtOnce):
        store.change(edit, bounds=Bounds(seconds_max=1.0))
