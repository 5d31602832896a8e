"""The contract of docstore/backend.py as tests that every backend must pass.

A backend's own test inherits this class and provides the fixture `backend`.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from docstore import (
    ABSENT,
    Backend,
    Change,
    Commit,
    Conflict,
    Document,
    DocumentStore,
    Edit,
    Entries,
    Entry,
    EntryChange,
    HistoryGone,
    Key,
)
from tests.docstore.layouts import ALICE, ALICE_NOTES, BOB_NOTES, LAYOUTS

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def change(backend: Backend, key: Key, content: dict[str, object] | None) -> Change:
    """Return a change from the stored state to this content."""
    stored = backend.read(key)
    before = stored.document.content if stored.document else ABSENT
    after = Document(content) if content is not None else None
    edit = Edit((), before, content if content is not None else ABSENT)
    return Change(key, stored.version, after, (edit,))


def commit(backend: Backend, *changes: Change, relaxed: bool = False) -> None:
    backend.commit(Commit(changes, NOW, relaxed=relaxed))


def everything(key: Key) -> bool:
    return True


def written(entry: Entry) -> object:
    """Return the value of `n` that the commit left in its only document."""
    ((_, edits),) = entry.changes
    return edits[-1].after["n"]


class BackendConformance:
    def test_a_document_that_is_not_there_reads_as_absent(self, backend: Backend) -> None:
        stored = backend.read(ALICE_NOTES)
        assert stored.document is None
        assert stored.version is ABSENT
        assert backend.raw(ALICE_NOTES) is None

    def test_committed_document_is_read(self, backend: Backend) -> None:
        content = {"notes": [{"id": 1, "text": "ü \U0001f600 \u2028"}], "revision": 1, "x": None}
        commit(backend, change(backend, ALICE_NOTES, content))
        document = backend.read(ALICE_NOTES).document
        assert document is not None
        assert document.content == content
        assert list(document.content) == list(content), "the order of the keys is kept"

    def test_every_change_gives_a_new_version(self, backend: Backend) -> None:
        seen = {backend.read(ALICE_NOTES).version}
        for number in range(50):
            commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": number % 2}))
            seen.add(backend.read(ALICE_NOTES).version)
        assert len(seen) == 51

    def test_the_version_stays_while_nothing_changes(self, backend: Backend) -> None:
        commit(backend, change(backend, ALICE_NOTES, {"notes": []}))
        version = backend.read(ALICE_NOTES).version
        commit(backend, change(backend, BOB_NOTES, {"notes": []}))
        assert backend.read(ALICE_NOTES).version == version

    @pytest.mark.parametrize("relaxed", [False, True])
    def test_a_commit_at_a_stale_version_is_refused_whole(
        self, backend: Backend, relaxed: bool
    ) -> None:
        commit(backend, change(backend, ALICE_NOTES, {"notes": [], "by": "first"}))
        stale = change(backend, ALICE_NOTES, {"notes": [], "by": "late"})
        commit(backend, change(backend, ALICE_NOTES, {"notes": [], "by": "second"}))
        with pytest.raises(Conflict):
            commit(backend, change(backend, ALICE, {"log": []}), stale, relaxed=relaxed)
        document = backend.read(ALICE_NOTES).document
        assert document is not None and document.content["by"] == "second"
        assert backend.read(ALICE).document is None

    def test_creating_what_exists_is_a_conflict(self, backend: Backend) -> None:
        late = change(backend, ALICE_NOTES, {"notes": [], "by": "late"})
        commit(backend, change(backend, ALICE_NOTES, {"notes": []}))
        with pytest.raises(Conflict):
            commit(backend, late)

    def test_several_documents_change_together(self, backend: Backend) -> None:
        commit(backend, change(backend, BOB_NOTES, {"notes": []}))
        commit(
            backend,
            change(backend, ALICE_NOTES, {"notes": []}),
            change(backend, ALICE, {"log": []}),
            change(backend, BOB_NOTES, None),
        )
        assert list(backend.keys("notes")) == [ALICE_NOTES]
        assert list(backend.keys("people")) == [ALICE]

    def test_a_deleted_document_is_gone_and_can_begin_again(self, backend: Backend) -> None:
        commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 1}))
        commit(backend, change(backend, ALICE_NOTES, None))
        assert backend.read(ALICE_NOTES).version is ABSENT
        commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 2}))
        assert backend.read(ALICE_NOTES).version is not ABSENT

    def test_keys_come_by_owner(self, backend: Backend) -> None:
        for owner in (10, 9, 2**40, 1):
            commit(backend, change(backend, Key("notes", owner), {"notes": []}))
        assert [key.owner for key in backend.keys("notes")] == [1, 9, 10, 2**40]
        assert list(backend.keys("people")) == []

    def test_racing_writers_exactly_one_wins(self, backend: Backend) -> None:
        commit(backend, change(backend, ALICE_NOTES, {"notes": []}))
        rivals = [change(backend, ALICE_NOTES, {"notes": [], "by": n}) for n in range(8)]
        winners: list[int] = []

        def write(number: int) -> None:
            try:
                commit(backend, rivals[number])
            except Conflict:
                return
            winners.append(number)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        document = backend.read(ALICE_NOTES).document
        assert document is not None and [document.content["by"]] == winners

    def test_its_name_tells_a_person_which_document_it_is(self, backend: Backend) -> None:
        assert backend.name(ALICE) == "people/person_1.json"

    def test_copies_are_of_one_moment_and_stay(self, backend: Backend) -> None:
        with backend.copies([ALICE_NOTES]) as copies:
            assert not copies
        for number in range(2):
            commit(
                backend,
                change(backend, ALICE_NOTES, {"notes": [{"id": 1}], "n": number}),
                change(backend, BOB_NOTES, {"notes": [], "n": number}),
            )
        with backend.copies([ALICE_NOTES, BOB_NOTES]) as copies:
            commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 2}))
            commit(backend, change(backend, BOB_NOTES, None))
            backend.publish()
            contents = {key: (copy.file.read(), copy.document) for key, copy in copies.items()}
        assert contents.keys() == {ALICE_NOTES, BOB_NOTES}
        for data, document in contents.values():
            assert document is not None
            assert document.content["n"] == 1
            assert b'"n": 1' in data

    def test_copies_are_of_one_moment_while_others_write(self, backend: Backend) -> None:
        commit(
            backend,
            change(backend, ALICE_NOTES, {"notes": [], "n": 0}),
            change(backend, BOB_NOTES, {"notes": [], "n": 0}),
        )
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                with backend.exclusive():
                    commit(
                        backend,
                        change(backend, ALICE_NOTES, {"notes": [], "n": number}),
                        change(backend, BOB_NOTES, {"notes": [], "n": number}),
                    )

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(20):
                with backend.copies([ALICE_NOTES, BOB_NOTES]) as copies:
                    assert len({copy.file.read() for copy in copies.values()}) == 1
        finally:
            stop.set()
            writer.join()

    # History

    def test_the_history_tells_commits_in_their_order(self, backend: Backend) -> None:
        begin = backend.sequence()
        assert backend.entries(begin, everything) == Entries((), begin)
        for number in range(20):
            commit(backend, change(backend, Key("notes", 1 + number % 3), {"n": number}))
            assert backend.sequence() > begin
        end = backend.sequence()  # which a publication may raise at any time
        entries, through = backend.entries(begin, everything)
        assert end <= through <= backend.sequence()
        assert [written(entry) for entry in entries] == list(range(20))
        numbers = [entry.sequence for entry in entries]
        assert numbers == sorted(set(numbers)) and begin < numbers[0] and numbers[-1] <= through
        first = entries[0]
        assert (first.at, first.actor, first.request_id) == ("2026-11-23T12:00:00.000000Z", "", "")
        assert first.changes == (EntryChange(Key("notes", 1), (Edit((), ABSENT, {"n": 0}),)),)

    def test_a_commit_is_told_under_its_number(self, backend: Backend) -> None:
        store = DocumentStore(backend, LAYOUTS)
        for number in range(3):
            made = backend.commit(Commit((change(backend, ALICE_NOTES, {"n": number}),), NOW))
            backend.commit(Commit((change(backend, BOB_NOTES, {"n": number}),), NOW))
            entry = store.entry(made)
            assert entry is not None and entry.sequence == made and written(entry) == number
        numbers: list[int] = []
        store.change(lambda transaction: transaction.set(BOB_NOTES, {"n": 7}), note=numbers.append)
        store.change(lambda transaction: transaction.set(BOB_NOTES, {"n": 7}), note=numbers.append)
        (made,) = numbers
        entry = store.entry(made)
        assert entry is not None and entry.changes[0].edits == (Edit(("n",), 2, 7),)

    def test_returning_follower_gets_later_entries(self, backend: Backend) -> None:
        begin = backend.sequence()
        for number in range(20):
            commit(backend, change(backend, ALICE_NOTES, {"n": number}))
        entries = backend.entries(begin, everything).told
        for number, entry in enumerate(entries):
            after = backend.entries(entry.sequence, everything).told
            assert [written(later) for later in after] == list(range(number + 1, 20))

    def test_it_is_told_piece_by_piece(self, backend: Backend) -> None:
        through = backend.sequence()
        for number in range(20):
            commit(backend, change(backend, ALICE_NOTES, {"n": number, "text": "x" * 500}))
        values = []
        while through < backend.sequence():
            entries, through = backend.entries(through, everything, bytes_max=2_000)
            assert len(entries) <= 4
            values += [written(entry) for entry in entries]
        assert values == list(range(20))

    def test_only_what_is_wanted_is_told(self, backend: Backend) -> None:
        begin = backend.sequence()
        commit(backend, change(backend, ALICE_NOTES, {"n": 1}), change(backend, ALICE, {"n": 1}))
        commit(backend, change(backend, BOB_NOTES, {"n": 2}))
        entries, through = backend.entries(begin, lambda key: key == ALICE)
        assert [[item.key for item in entry.changes] for entry in entries] == [[ALICE]]
        assert through == backend.sequence()

    def test_refused_commit_has_no_entry(self, backend: Backend) -> None:
        stale = change(backend, ALICE_NOTES, {"n": 1})
        commit(backend, change(backend, ALICE_NOTES, {"n": 2}))
        begin = backend.sequence()
        with pytest.raises(Conflict):
            commit(backend, stale)
        assert backend.entries(begin, everything).told == ()

    def test_a_relaxed_commit_is_told_once_it_is_durable(self, backend: Backend) -> None:
        begin = backend.sequence()
        commit(backend, change(backend, ALICE_NOTES, {"n": 0}), relaxed=True)
        commit(backend, change(backend, BOB_NOTES, {"n": 1}))
        entries = backend.entries(begin, everything).told
        assert [written(entry) for entry in entries] == [0, 1]

    def test_nobody_goes_on_from_what_is_yet_to_come(self, backend: Backend) -> None:
        commit(backend, change(backend, ALICE_NOTES, {"n": 0}))
        with pytest.raises(HistoryGone):
            backend.entries(backend.sequence() + 1, everything)
