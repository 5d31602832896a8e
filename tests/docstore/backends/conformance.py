"""What every backend must do: the contract of docstore/backend.py, as tests.

A backend's own test inherits this class and provides the fixture `backend`.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from docstore import ABSENT, Backend, Change, Commit, Conflict, Document, Edit, Key
from tests.docstore.layouts import ALICE, ALICE_NOTES, BOB_NOTES

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def change(backend: Backend, key: Key, content: dict[str, object] | None) -> Change:
    """From what is stored to this content."""
    stored = backend.read(key)
    before = stored.document.content if stored.document else ABSENT
    after = Document(content) if content is not None else None
    edit = Edit((), before, content if content is not None else ABSENT)
    return Change(key, stored.version, after, (edit,))


def commit(backend: Backend, *changes: Change, relaxed: bool = False) -> None:
    backend.commit(Commit(changes, NOW, relaxed=relaxed))


class BackendConformance:
    def test_a_document_that_is_not_there_reads_as_absent(self, backend: Backend) -> None:
        stored = backend.read(ALICE_NOTES)
        assert stored.document is None
        assert stored.version is ABSENT
        assert backend.raw(ALICE_NOTES) is None

    def test_what_was_committed_is_read(self, backend: Backend) -> None:
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

    def test_of_many_racing_writers_exactly_one_wins(self, backend: Backend) -> None:
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
            told = {key: (copy.file.read(), copy.document) for key, copy in copies.items()}
        assert told.keys() == {ALICE_NOTES, BOB_NOTES}
        for data, document in told.values():
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
