"""The files backend: the port's contract, and what applies to files only."""

from __future__ import annotations

import errno
import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from docstore import Conflict, Corrupt, Key, OutOfSpace, Unavailable
from docstore.backends.files.backend import FilesBackend
from docstore.disk.filesystem import FileSystem, Where
from docstore.store import DocumentStore, Transaction
from tests.docstore.backends.conformance import BackendConformance, change, commit
from tests.docstore.layouts import ALICE_NOTES, BOB_NOTES, LAYOUTS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def backend(root: Path) -> FilesBackend:
    return FilesBackend(root, LAYOUTS)


def contents(root: Path) -> dict[str, bytes]:
    """Return the content of every document file by name."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("*/*.json")}


class TestFilesBackend(BackendConformance):
    @pytest.fixture
    def backend(self, root: Path) -> FilesBackend:
        return FilesBackend(root, LAYOUTS)


def test_a_document_is_a_file_that_a_person_can_read(root: Path, backend: FilesBackend) -> None:
    content = {"notes": [{"id": 1, "text": "größer"}], "revision": 1}
    commit(backend, change(backend, ALICE_NOTES, content))
    backend.publish()
    assert (root / "notes/notes_1.json").read_text("utf-8") == textwrap.dedent("""\
        {
          "notes": [
            {
              "id": 1,
              "text": "größer"
            }
          ],
          "revision": 1
        }
        """)


def test_files_and_folders_are_private(root: Path, backend: FilesBackend) -> None:
    commit(backend, change(backend, ALICE_NOTES, {"notes": []}))
    backend.publish()
    assert (root / "notes/notes_1.json").stat().st_mode & 0o777 == 0o600
    assert (root / "notes").stat().st_mode & 0o777 == 0o700


def test_another_backend_on_the_folder_sees_every_change(root: Path, backend: FilesBackend) -> None:
    other = FilesBackend(root, LAYOUTS)
    for number in range(200):  # faster than a tick of the file system's clock, with the same size
        commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": number % 10}))
        document = other.read(ALICE_NOTES).document
        assert document is not None and document.content["n"] == number % 10


def test_file_saved_by_editor_is_read(root: Path, backend: FilesBackend) -> None:
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 1}))
    backend.publish()
    backend.read(ALICE_NOTES)
    path = root / "notes/notes_1.json"
    for number in range(2, 9):
        path.write_text(path.read_text().replace(f'"n": {number - 1}', f'"n": {number}'))
        document = backend.read(ALICE_NOTES).document
        assert document is not None and document.content["n"] == number


def test_file_saved_meanwhile_is_not_overwritten(root: Path, backend: FilesBackend) -> None:
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 1}))
    backend.publish()
    late = change(backend, ALICE_NOTES, {"notes": [], "n": 2})
    (root / "notes/notes_1.json").write_text('{"notes": [], "by": "hand"}')
    with pytest.raises(Conflict):
        commit(backend, late)
    assert contents(root)["notes/notes_1.json"] == b'{"notes": [], "by": "hand"}'


class Interloper(FileSystem):
    """An editor that saves each document directly after the store did."""

    def rename(self, step: str, source: Where, target: Where) -> None:
        super().rename(step, source, target)
        if step != "publish":
            return
        edited = Path(target).with_suffix(".edited")
        edited.write_text('{"notes": [], "by": "hand"}')
        edited.replace(target)


@pytest.mark.parametrize("relaxed", [False, True])
def test_file_saved_right_after_publication_is_read_and_not_overwritten(
    root: Path, relaxed: bool
) -> None:
    backend = FilesBackend(root, LAYOUTS, files=Interloper())
    DocumentStore(backend, LAYOUTS).change(
        lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}), relaxed=relaxed
    )
    backend.publish()
    stored = backend.read(ALICE_NOTES)
    assert stored.document is not None and stored.document.content["by"] == "hand"


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b"", 1, 1),
        (b'{\n  "notes": [}\n', 2, 13),
        (b"[]", 1, 1),
        (b'{"notes": {}}', 1, 11),
        (b'{"notes": [], "a": NaN}', 1, 20),
        (b'{"notes": [], "a": 1e999}', 1, 20),
        (b'{"notes": [],\n "a": 1, "a": 2}', 2, 10),
        (b'{"notes": ["\xff"]}', 1, 13),
        (b'{"notes": ["\\ud800"]}', 1, 13),
        (b'{"notes": [' + b"9" * 5000 + b"]}", 1, 12),
        (b"[" * 100_000, 1, 65),
    ],
)
def test_unreadable_document_is_reported_and_never_overwritten(
    root: Path, backend: FilesBackend, data: bytes, line: int, column: int
) -> None:
    path = root / "notes/notes_1.json"
    path.write_bytes(data)
    store = DocumentStore(backend, LAYOUTS)

    def overwrite(transaction: Transaction) -> None:
        if transaction.document(ALICE_NOTES) is None:
            transaction.create(ALICE_NOTES, {"notes": []})
        transaction.put(ALICE_NOTES, {"id": 1})

    for attempt in (lambda: backend.read(ALICE_NOTES), lambda: store.change(overwrite)):
        with pytest.raises(Corrupt) as caught:
            attempt()
        assert caught.value.document == "notes/notes_1.json"
        assert (caught.value.line, caught.value.column) == (line, column)
    assert path.read_bytes() == data


def _folder(path: Path) -> None:
    path.mkdir()


def _link_to_nothing(path: Path) -> None:
    path.symlink_to("elsewhere.json")


def _link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("put", [_folder, _link_to_nothing, _link_to_itself, _pipe])
def test_path_that_is_no_readable_file_is_reported_and_never_overwritten(
    root: Path, backend: FilesBackend, put: Callable[[Path], None]
) -> None:
    path = root / "notes/notes_1.json"
    put(path)
    before = path.lstat()
    store = DocumentStore(backend, LAYOUTS)

    def begin(transaction: Transaction) -> None:
        transaction.create(ALICE_NOTES, {"notes": []})

    for attempt in (lambda: backend.read(ALICE_NOTES), lambda: store.change(begin)):
        with pytest.raises(Corrupt) as caught:
            attempt()
        assert caught.value.document == "notes/notes_1.json"
    assert os.path.samestat(path.lstat(), before)


def test_nobody_has_an_empty_list_because_the_folder_is_away(
    root: Path, backend: FilesBackend
) -> None:
    commit(backend, change(backend, ALICE_NOTES, {"notes": []}))
    backend.publish()
    root.rename(root.with_name("elsewhere"))
    for attempt in (lambda: backend.read(ALICE_NOTES), lambda: list(backend.keys("notes"))):
        with pytest.raises(Unavailable, match="is not there"):
            attempt()
    assert not root.exists()
    root.with_name("elsewhere").rename(root)
    assert backend.read(ALICE_NOTES).document is not None


def test_reading_changes_no_file(root: Path, backend: FilesBackend) -> None:
    path = root / "notes/notes_1.json"
    path.write_bytes(b'\xef\xbb\xbf{"notes":[{"id":1}],"x":1.50}')  # as an old editor may save it
    os.utime(path, ns=(1, 1))
    assert backend.read(ALICE_NOTES).document is not None
    assert path.stat().st_mtime_ns == 1
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")


def test_names_that_are_no_documents_are_left_alone_and_reported(
    root: Path, backend: FilesBackend
) -> None:
    commit(backend, change(backend, ALICE_NOTES, {"notes": []}))
    for name in ("notes_1 (conflicted copy).json", "notes_01.json", "notes_x.json", "_index.json"):
        (root / "notes" / name).write_text("not json")
    assert list(backend.keys("notes")) == [ALICE_NOTES]
    assert [finding.document for finding in backend.check()] == [
        "notes/notes_01.json",
        "notes/notes_1 (conflicted copy).json",
        "notes/notes_x.json",
    ]


class FailingFileSystem(FileSystem):
    """A file system whose operations with one of these steps fail."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.error = errno.EIO

    def fail(self, error: int, *steps: str) -> None:
        self.error, self.failing = error, set(steps)


def _failing(name: str) -> Callable[..., object]:
    def operation(self: FailingFileSystem, step: str, *arguments: object) -> object:
        if step in self.failing:
            raise OSError(self.error, os.strerror(self.error))
        return getattr(FileSystem, name)(self, step, *arguments)

    return operation


for _name in (
    "create",
    "create_all",
    "create_zeroed",
    "write_at",
    "sync_data",
    "sync_folder",
    "rename",
):
    setattr(FailingFileSystem, _name, _failing(_name))


@pytest.fixture
def failing() -> FailingFileSystem:
    return FailingFileSystem()


def n_of(backend: FilesBackend) -> object:
    document = backend.read(ALICE_NOTES).document
    return document.content["n"] if document else None


@pytest.mark.parametrize("step", ["commit", "draft", "append"])
def test_after_a_failed_sync_nothing_is_acknowledged_until_a_restart(
    root: Path, failing: FailingFileSystem, step: str
) -> None:
    backend = FilesBackend(root, LAYOUTS, files=failing, background=False)
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 1}))
    failing.fail(errno.EIO, step)
    with pytest.raises(Unavailable, match="stopped until a restart"):
        commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 2}))
        backend.publish()
    failing.fail(0)
    shown = n_of(backend)
    assert shown in (1, 2), "reading goes on"
    other = FilesBackend(root, LAYOUTS, background=False)  # a new process beside the old one
    assert n_of(other) == 2 or shown == 1
    for _ in range(2):
        with pytest.raises(Unavailable, match="stopped until a restart"):
            commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 3}))
    commit(other, change(other, ALICE_NOTES, {"notes": [], "n": 4}))
    other.close()
    backend.close()
    assert n_of(FilesBackend(root, LAYOUTS)) == 4


def test_a_full_disk_stops_writing_only_and_only_until_there_is_space(
    root: Path, failing: FailingFileSystem
) -> None:
    backend = FilesBackend(root, LAYOUTS, files=failing, background=False)
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 1}))
    failing.fail(errno.ENOSPC, "draft", "reserve")
    with pytest.raises(OutOfSpace):
        backend.publish()
    with pytest.raises(OutOfSpace, match="No space left"):
        commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 2}))
    assert n_of(backend) == 1
    failing.fail(0)
    backend._writer._tried_to_publish = 0
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 3}))
    backend.publish()
    assert n_of(FilesBackend(root, LAYOUTS)) == 3


def test_acknowledged_change_reaches_its_file_on_a_full_disk(
    root: Path, failing: FailingFileSystem
) -> None:
    """The reserve makes room for it. No more is written until there is a reserve again."""
    backend = FilesBackend(root, LAYOUTS, files=failing, background=False)
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 1}))

    class Full(FailingFileSystem):
        def remove(self, step: str, path: Where) -> None:
            super().remove(step, path)
            if step == "reserve-used":
                failing.failing.discard("draft")

    failing.__class__ = Full
    failing.fail(errno.ENOSPC, "draft", "reserve")
    backend.publish()
    assert b'"n": 1' in contents(root)["notes/notes_1.json"]
    with pytest.raises(OutOfSpace):
        commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 2}))
    failing.fail(0)
    backend._writer._tried_to_publish = 0
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 2}))
    assert (root / ".neuralflow/reserve").stat().st_size > 0


def test_the_files_are_exact_at_the_end(root: Path, backend: FilesBackend) -> None:
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 1}))
    backend.close()
    assert b'"n": 1' in contents(root)["notes/notes_1.json"]
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 2}))  # it opens again
    backend.publish()
    assert b'"n": 2' in contents(root)["notes/notes_1.json"]


def test_file_saved_while_a_change_is_pending_is_set_aside(root: Path) -> None:
    backend = FilesBackend(root, LAYOUTS, background=False)
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 1}))
    backend.publish()
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 2}))
    for edited in ('{"notes": [], "by": "hand"}', '{"notes": ['):
        (root / "notes/notes_1.json").write_text(edited)
        assert n_of(backend) == 2
        backend.publish()
        assert n_of(backend) == 2
        (aside,) = root.glob("notes/*.set-aside-*.json")
        assert aside.read_text() == edited
        (finding,) = backend.check()
        assert finding.document == f"notes/{aside.name}"
        aside.unlink()
        commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 2}))


def test_a_change_on_top_of_an_edited_file_keeps_the_edit(root: Path) -> None:
    backend = FilesBackend(root, LAYOUTS, background=False)
    store = DocumentStore(backend, LAYOUTS)
    store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": [], "n": 1}))
    backend.publish()
    path = root / "notes/notes_1.json"
    path.write_text(path.read_text().replace('"n": 1', '"n": 1, "by": "hand"'))
    store.change(lambda transaction: transaction.put(ALICE_NOTES, {"id": 1}))
    backend._release()  # it dies; the next process has the file and the journal
    document = FilesBackend(root, LAYOUTS).read(ALICE_NOTES).document
    assert document is not None
    assert document.content["by"] == "hand" and len(document.content["notes"]) == 1


def test_a_folder_put_in_the_place_of_another_is_the_one_that_is_written(root: Path) -> None:
    backend = FilesBackend(root, LAYOUTS, background=False)
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 1}))
    backend.publish()
    old = root.with_name("old")
    root.rename(old)
    FilesBackend(root, LAYOUTS).close()
    with pytest.raises(Unavailable, match="replaced"):
        commit(backend, change(backend, BOB_NOTES, {"notes": [], "n": 2}))
    commit(backend, change(backend, BOB_NOTES, {"notes": [], "n": 2}))
    backend.close()
    assert list(contents(root)) == ["notes/notes_2.json"]
    assert list(contents(old)) == ["notes/notes_1.json"]


def test_a_folder_copied_amid_a_restore_says_what_it_lacks(root: Path) -> None:
    backend = FilesBackend(root, LAYOUTS)
    commit(backend, change(backend, ALICE_NOTES, {"notes": []}))
    backend.close()
    intent = root / ".neuralflow/drafts/intent.json"
    intent.parent.mkdir(exist_ok=True)
    intent.write_text('{"notes/notes_1.json": "0123456789abcdef.draft"}')
    before = contents(root)
    with pytest.raises(
        Unavailable, match=r"the commit in \.neuralflow/drafts/intent\.json: No such"
    ):
        FilesBackend(root, LAYOUTS)
    assert contents(root) == before
    intent.unlink()
    assert FilesBackend(root, LAYOUTS).read(ALICE_NOTES).document is not None


def test_a_key_is_never_a_path(backend: FilesBackend) -> None:
    for name in ("../x.json", "notes/../x", "notes/.hidden", "notes/a/b", "elsewhere/x", "notes/"):
        assert not backend.is_own_name(name)
    assert backend.is_own_name("notes/_index.json")
    assert backend.path(Key("notes", 7)).name == "notes_7.json"
