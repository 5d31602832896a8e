"""Planted bugs: each must be caught, or the harness that should have caught it is worth nothing.

A bug is planted by changing the source of one function of the engine: the text to be changed must
be there exactly once, or the planting fails. So no bug is counted as caught or as harmless because
the code around it has moved on.
"""

from __future__ import annotations

import inspect
import logging
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from docstore import filesystem, following, frames, journal, publishing, swap, writing
from docstore.backend import Change, Commit
from docstore.backends import files as files_backend
from docstore.errors import Conflict, StoreError
from docstore.store import Transaction
from tests.harness import disk_errors
from tests.harness.power_cut import KEYS, ROOT, Lost, Trial, path_of
from tests.harness.report import Report
from tests.harness.simulated_disk import Disk

CASES_MAX: Final = 15_000


class Changed(AssertionError):
    """The code that a bug was to be planted in is another one now."""


@contextmanager
def planted(where: Any, name: str, old: str, new: str) -> Iterator[None]:
    """With `old` replaced by `new` in the source of a function of a class or a module."""
    function = inspect.getattr_static(where, name)
    kind = type(function) if isinstance(function, (property, staticmethod)) else None
    plain = function.fget if isinstance(function, property) else function
    source = textwrap.dedent(inspect.getsource(getattr(plain, "__func__", plain)))
    if source.count(old) != 1:
        raise Changed(f"{where.__name__}.{name} has {old!r} {source.count(old)} times, not once")
    module = sys.modules[where.__module__] if inspect.isclass(where) else where
    made: dict[str, Any] = {}
    code = "from __future__ import annotations\n" + source.replace(old, new)
    exec(compile(code, f"<planted in {name}>", "exec"), module.__dict__, made)
    setattr(where, name, made[name])
    try:
        yield
    finally:
        setattr(where, name, function)
        assert kind is None or isinstance(inspect.getattr_static(where, name), kind)


@dataclass(frozen=True)
class Plant:
    """What is wrong, and where: `old` becomes `new` in a function of a class or a module."""

    name: str
    where: Any
    function: str
    old: str
    new: str

    def planted(self) -> AbstractContextManager[None]:
        return planted(self.where, self.function, self.old, self.new)


# The harnesses: each says after how many cases it noticed, or None.


def power_cuts(cases: int) -> int | None:
    """Power cuts and kills on the simulated disk."""
    tried, seed = 0, 1
    while tried < cases:
        trial = Trial(seed, states_max=1_500, ends=0.03)
        try:
            trial.run()
        except Exception:
            return tried + trial.states
        tried, seed = tried + trial.states, seed + 1
    return None


def openings(cases: int) -> int | None:
    """A kill after each operation of opening a new folder, and a cut after the next commit."""
    for number in range(1, 40):
        trial, left = Trial(number), []
        new = trial.disk
        new.watch = lambda _, new=new, left=left: left.append(new.kill())  # type: ignore[misc]
        trial.open()
        trial.disk = left[min(number, len(left)) - 1]
        try:
            trial.open()
            trial.do_commit()
            trial.judge(trial.disk.crash(trial.dice, "none"), trial.sure, trial.sure)
        except Exception:
            return number
    return None


def errors(cases: int) -> int | None:
    """Errors and short writes of the simulated disk."""
    for number in range(1, cases // 10):
        try:
            disk_errors.FaultyTrial(number, cuts_again=0).run()
        except Lost:
            return number
    return None


def failed_syncs(cases: int) -> int | None:
    """Errors of syncs of the simulated disk."""
    for number in range(1, cases // 10):
        try:
            disk_errors.FaultyTrial(number, cuts_again=0, faults=("EIO of a sync",)).run()
        except Lost:
            return number
    return None


def _trial() -> Trial:
    trial = Trial(7)
    trial.disk = Disk(str(ROOT))
    trial.stores = [trial._store(trial.disk) for _ in range(2)]
    return trial


def stale_versions(cases: int) -> int | None:
    """A commit on a version that is not there any more must be refused."""
    trial = _trial()
    one = trial.stores[0].backend
    trial.do_commit()
    key = next(iter(trial.history[-1]))
    stored = one.read(key)
    trial.stores[1].change(lambda transaction: transaction.set(key, {"other": 1}))
    try:
        one.commit(Commit((Change(key, stored.version, stored.document, ()),), trial.now))
    except Conflict:
        return None
    return 1


def hand_edits(cases: int) -> int | None:
    """A file that a person changed while changes were on their way to it is set aside."""
    trial = _trial()
    while not trial.history[-1]:
        trial.do_commit()
    trial.do_checkpoint()
    key = next(iter(trial.history[-1]))
    trial.stores[0].change(lambda transaction: transaction.set(key, {"other": 1}))
    trial.disk.put(path_of(key), b"{}")
    trial.stores[0].backend.publish()  # type: ignore[attr-defined]
    return None if any("set-aside" in path for path in trial.disk.paths()) else 1


def unsynced_deletions(cases: int) -> int | None:
    """What was deleted and begun anew, but not durably, is read as it was before."""

    def begin_anew(transaction: Transaction) -> None:
        transaction.drop(KEYS[0])
        transaction.create(KEYS[0], {"n": 2})

    trial = _trial()
    writer, reader = trial.stores
    writer.change(lambda transaction: transaction.create(KEYS[0], {"n": 1}))
    writer.close()
    with writer.backend.exclusive():
        writer.change(begin_anew)
        document = reader.read(KEYS[0])
    return None if document and document.content["n"] == 1 else 1


def relaxed_ones(cases: int) -> int | None:
    """A relaxed commit is not shown before an earlier one that is waited for is durable."""
    trial = _trial()
    writer, reader = trial.stores
    writer.change(lambda transaction: transaction.create(KEYS[0], {"n": 0}))
    with writer.backend.exclusive():
        writer.change(lambda transaction: transaction.set(KEYS[0], {"n": 1}))
        writer.change(lambda transaction: transaction.set(KEYS[0], {"n": 2}), relaxed=True)
        document = reader.read(KEYS[0])
    return None if document and document.content["n"] == 0 else 1


def damage(cases: int) -> int | None:
    """A damaged frame that a later one knew to be durable is no torn tail."""
    trial = _trial()
    store = trial.stores[0]
    store.change(lambda transaction: transaction.create(KEYS[0], {}))
    data = bytearray()
    while data.count(b'"changes"') < 3:  # in the last segment: of the others, the chain tells
        store.change(lambda transaction: transaction.set(KEYS[0], {"n": trial.dice.random()}))
        path = [path for path in trial.disk.paths() if path.endswith(".journal")][-1]
        data = bytearray(trial.disk.content(ROOT / path))
    data[data.index(b'"changes"')] ^= 1
    trial.disk.put(ROOT / path, bytes(data))
    try:
        trial._store(trial.disk.kill())
    except StoreError:
        return None
    return 1


@dataclass(frozen=True)
class Bug(Plant):
    """One bug, and what catches it."""

    catch: Callable[[int], int | None] = power_cuts


_J, _P, _F = journal.Journal, publishing.Publisher, filesystem.FileSystem


def _unsynced(name: str, function: str, call: str, step: str) -> Bug:
    """A sync that is left out where it belongs to one step."""
    return Bug(name, _F, function, call, f'step == "{step}" or {call}')


_CREATED, _FOLDER = "self._os.fsync(descriptor)", "self._os.fsync(descriptor)"
_DATA, _FILE = "self._os.fdatasync(handle)", "self._os.fsync(descriptor)"

BUGS: Final = (
    _unsynced("the journal is not synced before acknowledging", "sync_data", _DATA, "commit"),
    _unsynced("a draft is renamed unsynced", "create", _CREATED, "draft"),
    _unsynced("the recovered segment is renamed unsynced", "create", _CREATED, "recover-draft"),
    _unsynced("a checkpoint is noted before names", "sync_folder", _FOLDER, "settle-names"),
    _unsynced("a segment's name is not synced", "sync_folder", _FOLDER, "segment-names"),
    _unsynced("new folders are not synced", "sync_folder", _FOLDER, "lay-out"),
    _unsynced("a segment's end is not synced", "sync_data", _DATA, "seal"),
    _unsynced("a restore's drafts have no durable names", "sync_folder", _FOLDER, "settle-drafts"),
    _unsynced("a restore's commit point is not synced", "sync_folder", _FOLDER, "commit-swap"),
    Bug(
        "a restore's intent is forgotten early",
        swap.Swap,
        "finish",
        "self._publish(moves)",
        'self._files.remove("forget", self._intent); self._publish(moves)',
    ),
    Bug("checksums are not checked", frames, "decode_frame", "!= crc", "is None"),
    Bug(
        "frames behind a broken one count",
        journal._End,
        "__init__",
        "run_of_frames(self.data, None, number)",
        "whole_frames(self.data)",
    ),
    Bug(
        "a torn tail is gone on from in place",
        _J,
        "_take_stock",
        "if end.is_closed and (not repair or self._state[_CLOSED] == _mark(end.sequence)):",
        "if True:",
    ),
    Bug(
        "a seal that a dead process wrote is trusted",
        _J,
        "_repair",
        "end.refuse_loss()",
        "end.refuse_loss()\n    if end.is_sealed: return end.sequence",
        failed_syncs,
    ),
    Bug("damage passes for a torn tail", _J, "_repair", "end.refuse_loss()", "pass", damage),
    Bug(
        "what is appended is visible",
        _J,
        "visible",
        "synced if synced > relaxed else relaxed",
        "max(synced, relaxed, self.appended)",
    ),
    Bug(
        "nobody waits for the sync",
        writing.Exclusive,
        "__exit__",
        "self._journal.settle(sequence)",
        "pass",
    ),
    Bug(
        "a relaxed frame shows those before it",
        _J,
        "took",
        "relaxed and self.visible >= sequence - 1",
        "relaxed",
        relaxed_ones,
    ),
    Bug(
        "the error of a sync is swallowed",
        _J,
        "_sync_segment",
        "raise self.fail(error) from error",
        "pass",
        failed_syncs,
    ),
    Bug(
        "a failed sync is tried again",
        _J,
        "_sync_segment",
        "raise self.fail(error) from error",
        "raise from_os_error(error, 'sync') from error",
        failed_syncs,
    ),
    Bug(
        "a short write is not gone on with",
        _F,
        "_write",
        "while done",
        "while False and done",
        errors,
    ),
    Bug(
        "versions are not compared",
        files_backend.FilesBackend,
        "_rests_on_file",
        "stored.version != change.expect",
        "False",
        stale_versions,
    ),
    Bug(
        "a hand-edited file is overwritten",
        _P,
        "_name",
        "token_of(there) in live.tokens",
        "True",
        hand_edits,
    ),
    Bug(
        "half of a commit is applied",
        following.Follower,
        "_absorb",
        "decode_entry(frame.payload)",
        "decode_entry(frame.payload)[:1]",
    ),
    Bug(
        "shared numbers are trusted after a crash",
        files_backend.FilesBackend,
        "_open_journal",
        "alone or Journal.must_recover(words)",
        "Journal.must_recover(words)",
    ),
    Bug(
        "what a dead process left of drafts stays",
        files_backend.FilesBackend,
        "_sweep_drafts",
        "_DRAFT.fullmatch(entry)",
        "False",
    ),
    Bug(
        "folders of a dead process are taken for durable",
        files_backend.FilesBackend,
        "_open_journal",
        "self._settle_folders()",
        "pass",
        openings,
    ),
    Bug(
        "a document begins from a deletion that is not durable",
        following.Follower,
        "_last_reset",
        "if frame <= visible",
        "if frame",
        unsynced_deletions,
    ),
    Bug(
        "files show what the journal may lose",
        _P,
        "_publish",
        "self._journal.synced < noted",
        "False",
    ),
    Bug(
        "names of before a crash are trusted",
        following.Follower,
        "_absorb",
        "frame.kind == Kind.PUBLISHED and frame.epoch == self.journal.epoch",
        "frame.kind == Kind.PUBLISHED",
    ),
    Bug(
        "segments go before the checkpoint is durable",
        _P,
        "retire",
        "self._journal.sync()",
        "pass",
    ),
    Bug(
        "reads do not follow the journal",
        files_backend.FilesBackend,
        "_read",
        "journal.followed < visible",
        "False",
    ),
    Bug(
        "what a power cut may take back is told to those who follow",
        files_backend.FilesBackend,
        "sequence",
        "self._journal.synced",
        "self._journal.visible",
    ),
    Bug(
        "a follower stays in the old segment",
        _J,
        "_frames_until",
        "if frame.kind == Kind.SEAL:",
        "if False:",
    ),
)


def run(count: int, seed: int) -> Report:
    """Plants `count` bugs, beginning with number `seed` modulo all. A survivor raises."""
    report, survivors = Report("planted bugs"), []
    chosen = [BUGS[(seed + number) % len(BUGS)] for number in range(min(count, len(BUGS)))]
    logging.disable(logging.CRITICAL)
    try:
        for bug in chosen:
            took = try_one(bug)
            report.cases += 1
            report.lost += took is None
            report.notes.append(f"  {bug.name}: {'SURVIVED' if took is None else took}")
            survivors += [bug.name] if took is None else []
    finally:
        logging.disable(logging.NOTSET)
    caught = len(chosen) - len(survivors)
    report.notes.append(f"planted bugs: {caught} of {len(chosen)} caught")
    report.finish(len(chosen))
    if survivors:
        raise AssertionError(f"not caught: {', '.join(survivors)}")
    return report


def try_one(bug: Bug, cases: int = CASES_MAX) -> int | None:
    """After how many cases the bug was caught; None when it survived."""
    with bug.planted():
        return bug.catch(cases)
