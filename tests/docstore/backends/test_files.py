"""The files backend: the port's contract, and what is true of files alone."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
import signal
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from docstore import Conflict, Corrupt, Key, OutOfSpace, Unavailable
from docstore.backends.files import FilesBackend
from docstore.filesystem import FileSystem
from docstore.store import DocumentStore, Transaction
from tests.docstore.backends.conformance import BackendConformance, change, commit
from tests.docstore.layouts import ALICE, ALICE_NOTES, BOB_NOTES, LAYOUTS
from tests.docstore.test_power_cut import commit as counting_commit
from tests.docstore.test_power_cut import number_of_commit


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def backend(root: Path) -> FilesBackend:
    return FilesBackend(root, LAYOUTS)


def contents(root: Path) -> dict[str, bytes]:
    """Every document file, by its name."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("*/*.json")}


class TestFilesBackend(BackendConformance):
    @pytest.fixture
    def backend(self, root: Path) -> FilesBackend:
        return FilesBackend(root, LAYOUTS)


def test_a_document_is_a_file_that_a_person_can_read(root: Path, backend: FilesBackend) -> None:
    content = {"notes": [{"id": 1, "text": "größer"}], "revision": 1}
    commit(backend, change(backend, ALICE_NOTES, content))
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
    assert (root / "notes/notes_1.json").stat().st_mode & 0o777 == 0o600
    assert (root / "notes").stat().st_mode & 0o777 == 0o700


def test_another_backend_on_the_folder_sees_every_change(root: Path, backend: FilesBackend) -> None:
    other = FilesBackend(root, LAYOUTS)
    for number in range(200):  # faster than the clock of the file system ticks, same size
        commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": number % 10}))
        document = other.read(ALICE_NOTES).document
        assert document is not None and document.content["n"] == number % 10


def test_what_an_editor_saves_is_read(root: Path, backend: FilesBackend) -> None:
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 1}))
    backend.read(ALICE_NOTES)
    path = root / "notes/notes_1.json"
    for number in range(2, 9):
        path.write_text(path.read_text().replace(f'"n": {number - 1}', f'"n": {number}'))
        document = backend.read(ALICE_NOTES).document
        assert document is not None and document.content["n"] == number


def test_what_an_editor_saved_meanwhile_is_not_overwritten(
    root: Path, backend: FilesBackend
) -> None:
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 1}))
    late = change(backend, ALICE_NOTES, {"notes": [], "n": 2})
    (root / "notes/notes_1.json").write_text('{"notes": [], "by": "hand"}')
    with pytest.raises(Conflict):
        commit(backend, late)
    assert contents(root)["notes/notes_1.json"] == b'{"notes": [], "by": "hand"}'


class Interloper(FileSystem):
    """An editor that saves each document in the very moment after we did."""

    def rename(self, step: str, source: Path, target: Path) -> None:
        super().rename(step, source, target)
        edited = target.with_suffix(".edited")
        edited.write_text('{"notes": [], "by": "hand"}')
        edited.replace(target)


@pytest.mark.parametrize("relaxed", [False, True])
def test_what_an_editor_saved_right_after_us_is_read_and_not_overwritten(
    root: Path, relaxed: bool
) -> None:
    backend = FilesBackend(root, LAYOUTS, files=Interloper())
    DocumentStore(backend, LAYOUTS).change(
        lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}), relaxed=relaxed
    )
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
        (b'{"notes": [],\n "a": 1, "a": 2}', 2, 15),
        (b'{"notes": ["\xff"]}', 1, 13),
        (b'{"notes": ["\\ud800"]}', 1, 13),
        (b'{"notes": [' + b"9" * 5000 + b"]}", 1, 12),
        (b"[" * 100_000, 0, 0),
    ],
)
def test_what_does_not_read_is_reported_and_never_overwritten(
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
def test_what_cannot_be_read_as_a_file_is_named_and_never_overwritten(
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
    root.rename(root.with_name("elsewhere"))
    for attempt in (lambda: backend.read(ALICE_NOTES), lambda: list(backend.keys("notes"))):
        with pytest.raises(Unavailable, match="is not there"):
            attempt()
    assert not root.exists()
    root.with_name("elsewhere").rename(root)
    assert backend.read(ALICE_NOTES).document is not None


def test_reading_changes_no_file(root: Path, backend: FilesBackend) -> None:
    path = root / "notes/notes_1.json"
    path.write_bytes(b'\xef\xbb\xbf{"notes":[{"id":1}],"x":1.50}')  # as an editor of old may
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
    """Fails the nth operation and, if it is to `last`, all that come after it."""

    def __init__(self, number: int, error: int, last: bool) -> None:
        self.left, self.error, self.last = number, error, last

    def _count(self, step: str) -> None:
        self.left -= 1
        if self.left == 0 or (self.last and self.left < 0):
            raise OSError(self.error, os.strerror(self.error))

    def create(self, step: str, path: Path, data: bytes, mtime_ns: int | None = None) -> None:
        if self.left == 1:
            path.write_bytes(data[: len(data) // 2])  # as much as the disk still took
        self._count(step)
        super().create(step, path, data, mtime_ns)


def _counted(name: str) -> Callable[..., None]:
    def operation(self: FailingFileSystem, step: str, *arguments: Path) -> None:
        self._count(step)
        getattr(FileSystem, name)(self, step, *arguments)

    return operation


for _name in ("sync_folder", "link", "rename", "remove"):
    setattr(FailingFileSystem, _name, _counted(_name))


@pytest.mark.parametrize("last", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EMFILE])
def test_an_error_at_any_step_leaves_all_of_a_commit_or_nothing(
    tmp_path: Path, error: int, last: bool
) -> None:
    failures = 0
    for number in range(1, 40):
        root = tmp_path / str(number)
        first = FilesBackend(root, LAYOUTS)
        commit(
            first,
            change(first, ALICE_NOTES, {"notes": [], "n": 1}),
            change(first, ALICE, {"log": [], "n": 1}),
        )
        failing = FilesBackend(root, LAYOUTS)
        failing._files = FailingFileSystem(number, error, last)
        try:
            commit(
                failing,
                change(failing, ALICE_NOTES, {"notes": [], "n": 2}),
                change(failing, ALICE, {"log": [], "n": 2}),
            )
            acknowledged = True
        except Unavailable as fault:
            assert isinstance(fault, OutOfSpace) == (error == errno.ENOSPC)
            acknowledged, failures = False, failures + 1
            if not last:
                assert not list((root / ".neuralflow/drafts").iterdir())
        heir = FilesBackend(root, LAYOUTS)
        shown = set()
        for key in (ALICE_NOTES, ALICE):
            document = heir.read(key).document
            assert document is not None
            shown.add(document.content["n"])
        assert len(shown) == 1, f"half a commit after an error at step {number}"
        assert shown == {2} or not acknowledged
        if not last:  # who was refused, and tries again, does not do it twice
            assert shown == {2 if acknowledged else 1}
        commit(heir, change(heir, BOB_NOTES, {"notes": []}))  # and life goes on
        assert not list((root / ".neuralflow/drafts").iterdir())
        assert not list(root.glob("*/.*.draft"))
    assert failures >= 7, "the errors were never met: the test tests nothing"


def test_after_a_failed_sync_nothing_is_acknowledged_until_a_restart(
    root: Path, backend: FilesBackend
) -> None:
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 1}))
    failing = FilesBackend(root, LAYOUTS)
    failing._files = FailingFileSystem(1, errno.EIO, last=False)
    with pytest.raises(Unavailable):
        commit(failing, change(failing, ALICE_NOTES, {"notes": [], "n": 2}))
    with pytest.raises(Unavailable, match="stopped until a restart"):
        commit(failing, change(failing, ALICE_NOTES, {"notes": [], "n": 3}))
    document = failing.read(ALICE_NOTES).document
    assert document is not None and document.content["n"] == 1
    commit(backend, change(backend, ALICE_NOTES, {"notes": [], "n": 4}))


def test_a_full_disk_is_over_as_soon_as_there_is_space(root: Path) -> None:
    backend = FilesBackend(root, LAYOUTS)
    backend._files = FailingFileSystem(1, errno.ENOSPC, last=False)
    with pytest.raises(OutOfSpace):
        commit(backend, change(backend, ALICE_NOTES, {"notes": []}))
    assert contents(root) == {}
    commit(backend, change(backend, ALICE_NOTES, {"notes": []}))


class KillingFileSystem(FileSystem):
    """Ends the process at the nth operation, before it happens."""

    def __init__(self, number: int) -> None:
        self.left = number


def _deadly(name: str) -> Callable[..., None]:
    def operation(self: KillingFileSystem, step: str, *arguments: Path) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        getattr(FileSystem, name)(self, step, *arguments)

    return operation


for _name in ("create", "sync_folder", "link", "rename", "remove"):
    setattr(KillingFileSystem, _name, _deadly(_name))


def write_until_killed(root: Path, step: int, first: int, acknowledgements: int) -> None:
    backend = FilesBackend(root, LAYOUTS, files=KillingFileSystem(step))
    store = DocumentStore(backend, LAYOUTS)
    for number in itertools.count(first):
        counting_commit(store, number)
        os.write(acknowledgements, b"%d\n" % number)


def test_a_process_killed_at_any_step_loses_nothing_acknowledged(root: Path) -> None:
    """Killed again and again in the same folder, each time one step further on."""
    acknowledged = 0
    for step in range(1, 81):
        receiving, sending = os.pipe()
        writer = multiprocessing.get_context("fork").Process(
            target=write_until_killed, args=(root, step, acknowledged + 1, sending)
        )
        writer.start()
        os.close(sending)
        writer.join()
        with os.fdopen(receiving) as lines:
            acknowledged = max([acknowledged, *map(int, lines)])
        assert writer.exitcode == -signal.SIGKILL
        shown = number_of_commit(DocumentStore(FilesBackend(root, LAYOUTS), LAYOUTS))
        assert acknowledged <= shown <= acknowledged + 1
        acknowledged = shown
    print(f"kills: 80, commits kept: {acknowledged}, lost: 0")


def test_a_folder_copied_amid_a_commit_is_read_and_says_what_it_lacks(
    root: Path, backend: FilesBackend
) -> None:
    commit(backend, change(backend, ALICE_NOTES, {"notes": []}))
    intent = root / ".neuralflow/drafts/intent.json"
    intent.write_text('{"notes/notes_1.json": "0123456789abcdef.draft"}')
    copy = FilesBackend(root, LAYOUTS)
    before = contents(root)
    late = change(copy, BOB_NOTES, {"notes": []})
    with pytest.raises(
        Unavailable, match=r"the commit in \.neuralflow/drafts/intent\.json: No such"
    ):
        commit(copy, late)
    assert copy.read(ALICE_NOTES).document is not None
    assert contents(root) == before
    intent.unlink()
    commit(copy, late)
    assert copy.read(BOB_NOTES).document is not None


def test_a_key_is_never_a_path(backend: FilesBackend) -> None:
    for name in ("../x.json", "notes/../x", "notes/.hidden", "notes/a/b", "elsewhere/x", "notes/"):
        assert not backend.is_own_name(name)
    assert backend.is_own_name("notes/_index.json")
    assert backend.path(Key("notes", 7)).name == "notes_7.json"
