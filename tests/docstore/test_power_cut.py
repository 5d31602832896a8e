"""Whenever the power fails, every acknowledged commit is there, whole, and nothing invented is.

The workload counts: commit number n writes n into two documents at once. So a recovered folder
tells by itself which commit it shows, and whether that commit is whole.
"""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from docstore import Transaction
from docstore.backends.files import FilesBackend, _Moves
from docstore.store import DocumentStore
from tests.docstore.layouts import ALICE, ALICE_NOTES, BOB_NOTES, LAYOUTS
from tests.docstore.power_cut import ForgetfulFileSystem, Image

COMMITS = 6
RANDOM_IMAGES = 6


def number_of_commit(store: DocumentStore) -> int:
    """Which commit the store shows; fails where two documents tell different ones."""
    shown = set()
    for key in (ALICE_NOTES, ALICE):
        document = store.read(key)
        shown.add(document.content["n"] if document else 0)
    assert len(shown) == 1, f"half a commit: {shown}"
    return int(shown.pop())


def commit(store: DocumentStore, n: int) -> None:
    def edit(transaction: Transaction) -> None:
        for key, name in ((ALICE_NOTES, "notes"), (ALICE, "log")):
            if transaction.document(key) is None:
                transaction.create(key, {name: []})
            transaction.set(key, {"n": n})
        # A third document comes and goes, so that removals are among the changes.
        if n % 2:
            transaction.create(BOB_NOTES, {"notes": [], "n": n})
        else:
            transaction.drop(BOB_NOTES)

    store.change(edit)


class Caught(Exception):
    """A planted bug was found; there is no need to look on."""


@dataclass
class Trial:
    """One run of the workload, with the power cut after every step of it."""

    folder: Path
    backend_class: type[FilesBackend] = FilesBackend
    forgetting: frozenset[str] = frozenset()
    seed: int = 1
    states: int = 0
    acknowledged: int = 0
    seen: int = 0
    stop_at_fault: bool = False
    faults: list[str] = field(default_factory=list)

    def run(self) -> None:
        self.dice = random.Random(self.seed)
        root = self.folder / "live"
        root.mkdir(parents=True)
        self.files = ForgetfulFileSystem(root, self.forgetting)
        backend = self.backend_class(root, LAYOUTS, files=self.files)
        store = DocumentStore(backend, LAYOUTS)
        reader = DocumentStore(FilesBackend(root, LAYOUTS), LAYOUTS)

        def cut(step: str) -> None:
            if step.startswith("publish"):
                self.note_what_readers_see(reader)
            for image in self.files.images(self.dice, RANDOM_IMAGES):
                self.check(image, step)

        self.files.watch = cut
        for n in range(1, COMMITS + 1):
            commit(store, n)
            self.acknowledged = n

    def note_what_readers_see(self, reader: DocumentStore) -> None:
        """Whoever has read a commit relies on it: from now on no cut may take it back."""
        document = reader.read(ALICE_NOTES)
        self.seen = max(self.seen, document.content["n"] if document else 0)

    def check(self, image: Image, step: str) -> None:
        self.states += 1
        root = self.folder / f"cut-{self.states}"
        files = ForgetfulFileSystem(root)
        files.adopt(image)
        second_cuts: list[Image] = []
        if self.dice.random() < 0.1:
            files.watch = lambda _: second_cuts.extend(files.images(self.dice, 1))
        try:
            self.judge(root, files)
            for number, second in enumerate(second_cuts):
                again = ForgetfulFileSystem(root / f"again-{number}")
                again.adopt(second)
                self.states += 1
                self.judge(again.root, again)
        except Exception as fault:
            self.faults.append(f"cut after {step}: {fault!r}")
            if self.stop_at_fault:
                raise Caught from fault

    def judge(self, root: Path, files: ForgetfulFileSystem) -> None:
        store = DocumentStore(FilesBackend(root, LAYOUTS, files=files), LAYOUTS)
        shown = number_of_commit(store)
        least = max(self.acknowledged, self.seen)
        assert least <= shown <= self.acknowledged + 1, f"{shown} shown, {least} relied on"
        bob = store.read(BOB_NOTES)
        assert (bob.content["n"] if bob else 0) == (shown if shown % 2 else 0)
        assert not list((root / ".neuralflow/drafts").iterdir()), "left-overs after recovery"


def test_no_power_cut_loses_or_halves_an_acknowledged_commit(tmp_path: Path) -> None:
    trial = Trial(tmp_path)
    trial.run()
    assert trial.faults == []
    assert trial.states > 500
    print(f"power cuts: {trial.states} states, 0 lost")


class PublishesBeforeDeciding(FilesBackend):
    def _decide(self, moves: _Moves) -> None:
        self._publish(moves)
        super()._decide(moves)


class ForgetsBeforePublishing(FilesBackend):
    def _publish(self, moves: _Moves) -> None:
        if self._intent.exists():
            self._files.remove("forget", self._intent)
            self._files.sync_folder("forget", self._drafts)
        super()._publish(moves)


class NeverDecides(FilesBackend):
    def replace(self, contents, *, relaxed=False):  # type: ignore[no-untyped-def]
        with self.exclusive():
            moves: _Moves = {}
            self._draft_all(contents, moves)
            self._publish(moves)


PLANTED = {
    "content of drafts not synced": {"forgetting": frozenset({"draft"})},
    "names of drafts not synced": {"forgetting": frozenset({"settle-drafts"})},
    "content of the intent not synced": {"forgetting": frozenset({"intent"})},
    "commit point not synced": {"forgetting": frozenset({"commit"})},
    "names of documents not synced": {"forgetting": frozenset({"settle-names"})},
    "published before it is durable": {"backend_class": PublishesBeforeDeciding},
    "intent forgotten too early": {"backend_class": ForgetsBeforePublishing},
    "no intent at all": {"backend_class": NeverDecides},
}


@pytest.mark.parametrize("bug", PLANTED)
def test_the_harness_catches_a_planted_bug(tmp_path: Path, bug: str) -> None:
    for seed in range(1, 6):
        folder = tmp_path / str(seed)
        trial = Trial(folder, seed=seed, stop_at_fault=True, **PLANTED[bug])  # type: ignore[arg-type]
        with suppress(Caught):
            trial.run()
        if trial.faults:
            return
    pytest.fail(f"survived {trial.states} cuts: {bug}")
