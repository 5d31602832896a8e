"""Planted bugs: each must be caught, or the harness that should catch it proves nothing.

A bug replaces one *seam* of the product, a function, a property or a constant, by a wrong one.
Seams are named as in Python, so a rename in the product renames them here as well. A missing seam
is an error and does not count as caught.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from unittest import mock

from docstore.backend import Change, Commit
from docstore.backends.files import (
    atomic_replace,
    document_cache,
    group_commit,
    lifecycle,
    publisher,
)
from docstore.backends.files.backend import FilesBackend
from docstore.backends.files.commits import Committer
from docstore.backends.files.reads import DocumentReads
from docstore.disk import filesystem
from docstore.errors import Conflict, StoreError, from_os_error
from docstore.journal import frames, segments
from docstore.journal.appender import Appender
from docstore.journal.cursor import Cursor
from docstore.journal.durability import Durability
from docstore.journal.recovery import Recovery
from docstore.journal.state import JournalState
from docstore.store import Transaction
from tests.harness import disk_errors
from tests.harness.power_cut import KEYS, ROOT, Lost, Trial, path_of
from tests.harness.report import Report
from tests.harness.simulated_disk import Disk

CASES_MAX: Final = 15_000
Wrong = Callable[[Any], Any]  # makes the wrong function from the right one


@contextmanager
def planted(owner: Any, seam: str, wrong: Wrong) -> Iterator[None]:
    """Replace an attribute of a class or a module by `wrong` of it during the block.

    For a property, the getter is replaced. Raises `AttributeError` if there is no such seam.
    """
    right = inspect.getattr_static(owner, seam)
    if isinstance(right, property):
        wronged: Any = property(wrong(right.fget), right.fset)
    elif isinstance(right, staticmethod):
        wronged = staticmethod(wrong(right.__func__))
    else:
        wronged = wrong(right)
    with mock.patch.object(owner, seam, wronged):
        yield


def returning(value: Any) -> Wrong:
    """Return a replacement that returns the value for any arguments."""
    return lambda right: lambda *arguments, **named: value


NOTHING_DONE: Final = returning(None)


def without(attribute: str, method: str) -> Wrong:
    """Return a replacement that runs the method while a method of an attribute does nothing."""

    def wrong(right: Any) -> Any:
        def method_without(owner: Any, *arguments: Any) -> Any:
            with mock.patch.object(getattr(owner, attribute), method, lambda *_: None):
                return right(owner, *arguments)

        return method_without

    return wrong


@dataclass(frozen=True)
class Plant:
    """A bug: the seam of a class or a module, and the function that makes the wrong one."""

    name: str
    owner: Any
    seam: str
    wrong: Wrong

    def planted(self) -> AbstractContextManager[None]:
        return planted(self.owner, self.seam, self.wrong)


# The harnesses. Each returns after how many cases it noticed the bug, or None.


def power_cuts(cases: int) -> int | None:
    """Cut the power and kill on the simulated disk."""
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
    """Kill after each operation of opening a new folder; cut the power after the next commit."""
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
    """Try errors and short writes of the simulated disk."""
    for number in range(1, cases // 10):
        try:
            disk_errors.FaultyTrial(number, cuts_again=0).run()
        except Lost:
            return number
    return None


def failed_syncs(cases: int) -> int | None:
    """Try errors of syncs of the simulated disk."""
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
    """Check that a commit based on an outdated version is refused."""
    trial = _trial()
    backend = trial.stores[0].backend
    trial.do_commit()
    key = next(iter(trial.history[-1]))
    stored = backend.read(key)
    trial.stores[1].change(lambda transaction: transaction.set(key, {"other": 1}))
    try:
        backend.commit(Commit((Change(key, stored.version, stored.document, ()),), trial.now))
    except Conflict:
        return None
    return 1


def hand_edits(cases: int) -> int | None:
    """Check that a file edited while changes of it were pending is set aside."""
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
    """Check that a document deleted and created again, but not durably, reads as before."""

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
    """Check that a relaxed commit is invisible until an earlier, strict one is durable."""
    trial = _trial()
    writer, reader = trial.stores
    writer.change(lambda transaction: transaction.create(KEYS[0], {"n": 0}))
    with writer.backend.exclusive():
        writer.change(lambda transaction: transaction.set(KEYS[0], {"n": 1}))
        writer.change(lambda transaction: transaction.set(KEYS[0], {"n": 2}), relaxed=True)
        document = reader.read(KEYS[0])
    return None if document and document.content["n"] == 0 else 1


def damage(cases: int) -> int | None:
    """Check that a damaged frame that a later one knew to be durable is no torn tail."""
    trial = _trial()
    store = trial.stores[0]
    store.change(lambda transaction: transaction.create(KEYS[0], {}))
    data = bytearray()
    while data.count(b'"changes"') < 3:  # in the last segment: the chain check covers the others
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
    """A bug with the harness that catches it."""

    catch: Callable[[int], int | None] = power_cuts


_P, _F = publisher.Publisher, filesystem.FileSystem


class _NoSync:
    """System calls with an `fsync` that does nothing."""

    def __init__(self, calls: Any) -> None:
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return (lambda descriptor: None) if name == "fsync" else getattr(self._calls, name)


def _unsynced(name: str, seam: str, step: str) -> Bug:
    """Return a bug that omits a sync at one step."""

    def wrong(right: Any) -> Any:
        def unsynced(files: Any, at: str, *rest: Any) -> Any:
            if at != step:
                return right(files, at, *rest)
            if seam != "create":
                return None
            with mock.patch.object(files, "_os", _NoSync(files._os)):
                return right(files, at, *rest)

        return unsynced

    return Bug(name, _F, seam, wrong)


def _forgets_intent_early(right: Any) -> Any:
    def publish(replacing: Any, moves: Any) -> None:
        replacing._files.remove("forget", replacing._intent)
        right(replacing, moves)

    return publish


def _trusts_seal(right: Any) -> Any:
    def repair(recovering: Any, tail: Any) -> Any:
        if not tail.is_sealed:
            return right(recovering, tail)
        recovering._refuse_loss(tail)
        return tail.sequence

    return repair


def _shows_relaxed(right: Any) -> Any:
    def mark_applied(appender: Any, sequence: int, *, relaxed: bool) -> None:
        right(appender, sequence, relaxed=relaxed)
        if relaxed:
            appender._state.relaxed = sequence

    return mark_applied


def _swallows_error(right: Any) -> Any:
    def sync_segment(durability: Any, step: str, segment: Any) -> None:
        with suppress(OSError):
            durability._files.sync_data(step, segment.handle)

    return sync_segment


def _tries_again(right: Any) -> Any:
    def sync_segment(durability: Any, step: str, segment: Any) -> None:
        try:
            durability._files.sync_data(step, segment.handle)
        except OSError as error:
            raise from_os_error(error, "sync") from error

    return sync_segment


def _writes_once(right: Any) -> Any:
    def write(files: Any, descriptor: int, data: bytes, offset: int) -> None:
        files._os.pwrite(descriptor, data, offset)

    return write


def _takes_any_version(right: Any) -> Any:
    def needs_file_base(committer: Any, change: Change) -> Any:
        newest = committer._cache.stored(change.key, document_cache.NEWEST).version
        return right(committer, change._replace(expect=newest))

    return needs_file_base


def _begins_from_any(right: Any) -> Any:
    def last_reset(cache: Any, live: Any) -> int:
        frames_of_resets = (frame for frame, applied in cache._changes(live) if applied.reset)
        return max(frames_of_resets, default=0)

    return last_reset


def _reads_from_memory(right: Any) -> Any:
    def read(reads: Any, key: Any) -> Any:
        reads._lifecycle.ensure_open()
        if reads._lock.held:
            return right(reads, key)
        return reads._cache.stored(key, reads._state.visible)

    return read


BUGS: Final = (
    _unsynced("the journal is not synced before acknowledging", "sync_data", "commit"),
    _unsynced("a draft is renamed unsynced", "create", "draft"),
    _unsynced("the recovered segment is renamed unsynced", "create", "recover-draft"),
    _unsynced("a checkpoint is noted before names", "sync_folder", "settle-names"),
    _unsynced("a segment's name is not synced", "sync_folder", "segment-names"),
    _unsynced("new folders are not synced", "sync_folder", "lay-out"),
    _unsynced("a segment's end is not synced", "sync_data", "seal"),
    _unsynced("a restore's drafts have no durable names", "sync_folder", "settle-drafts"),
    _unsynced("a restore's commit point is not synced", "sync_folder", "commit-swap"),
    Bug(
        "a restore's intent is forgotten early",
        *(atomic_replace.FileSetReplace, "_publish", _forgets_intent_early),
    ),
    Bug("checksums are not checked", frames, "_is_intact", returning(True)),
    Bug(
        "frames behind a broken one count",
        *(segments, "run_of_frames"),
        lambda right: lambda data, *rest: frames.whole_frames(data),
    ),
    Bug("a torn tail is gone on from in place", Recovery, "_goes_on_from", returning(True)),
    Bug(
        "a seal that a dead process wrote is trusted",
        Recovery,
        "_repair",
        _trusts_seal,
        failed_syncs,
    ),
    Bug("damage passes for a torn tail", Recovery, "_refuse_loss", NOTHING_DONE, damage),
    Bug(
        "what is appended is visible",
        *(JournalState, "visible"),
        lambda right: lambda state: max(right(state), state.appended),
    ),
    Bug(
        "nobody waits for the sync",
        *(group_commit.DurableWriterSession, "__exit__"),
        without("_journal", "wait_durable"),
    ),
    Bug(
        "a relaxed frame shows those before it",
        Appender,
        "mark_applied",
        _shows_relaxed,
        relaxed_ones,
    ),
    Bug(
        "the error of a sync is swallowed",
        Durability,
        "sync_segment",
        _swallows_error,
        failed_syncs,
    ),
    Bug("a failed sync is tried again", Durability, "sync_segment", _tries_again, failed_syncs),
    Bug("a short write is not gone on with", _F, "_write", _writes_once, errors),
    Bug(
        "versions are not compared",
        *(Committer, "_needs_file_base", _takes_any_version, stale_versions),
    ),
    Bug("a hand-edited file is overwritten", _P, "_shows_ours", returning(True), hand_edits),
    Bug(
        "half of a commit is applied",
        *(document_cache, "decode_entry"),
        lambda right: lambda payload: right(payload)[:1],
    ),
    Bug(
        "shared numbers are trusted after a crash",
        *(lifecycle.Lifecycle, "_must_recover"),
        lambda right: lambda alone, words: right(False, words),
    ),
    Bug(
        "what a dead process left of drafts stays",
        *(lifecycle, "DRAFT"),
        lambda right: re.compile(r"(?!)"),
    ),
    Bug(
        "folders of a dead process are taken for durable",
        *(lifecycle.Lifecycle, "_settle_folders", NOTHING_DONE, openings),
    ),
    Bug(
        "a document begins from a deletion that is not durable",
        *(document_cache.FileDocumentCache, "_last_reset", _begins_from_any, unsynced_deletions),
    ),
    Bug("files show what the journal may lose", _P, "_settle", NOTHING_DONE),
    Bug(
        "names of before a crash are trusted",
        *(document_cache.FileDocumentCache, "_has_names"),
        lambda right: lambda cache, frame: frame.kind == frames.Kind.PUBLISHED,
    ),
    Bug(
        "segments go before the checkpoint is durable",
        *(_P, "retire"),
        without("_journal", "sync"),
    ),
    Bug("reads do not follow the journal", DocumentReads, "read", _reads_from_memory),
    Bug(
        "what a power cut may take back is told to those who follow",
        *(FilesBackend, "sequence"),
        lambda right: lambda backend: max(right(backend), backend._journal.visible),
    ),
    Bug("a cache stays in the old segment", Cursor, "_leave_segment", NOTHING_DONE),
)


def run(count: int, seed: int) -> Report:
    """Plant `count` bugs from number `seed` modulo all. Raises `AssertionError` if one survives."""
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
    """Return after how many cases the bug was caught; None if it survived."""
    with bug.planted():
        return bug.catch(cases)
