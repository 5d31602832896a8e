"""Disk errors at each operation, transient or permanent.

A workload runs on a simulated disk that refuses one operation, or that and all later ones, or
writes less than requested. The store must report the truth: acknowledged commits stay, refused ones
happened as a whole or not at all, and reads continue. After the fault it writes again by itself or,
after a failed write or sync, once it was opened again.
"""

from __future__ import annotations

import errno
import logging
from dataclasses import dataclass
from typing import Final

from docstore.errors import StoreError, Unavailable
from tests.harness.power_cut import Lost, Trial
from tests.harness.report import Report
from tests.harness.simulated_disk import Fault

_WRITES: Final = frozenset({"grow", "create", "mkdir", "link", "replace"})
# The errors, each with the system calls that can fail with it.
FAULTS: Final = {
    "EIO of a sync": (errno.EIO, frozenset({"fsync"})),
    "EIO of a write": (errno.EIO, frozenset({"grow", "overwrite"})),
    "a full disk": (errno.ENOSPC, _WRITES),
    "a full disk that copies on write": (errno.ENOSPC, _WRITES | {"overwrite"}),
    "too many open files": (errno.EMFILE, frozenset({"open"})),
    "short writes": (0, frozenset({"grow", "overwrite"})),
}


@dataclass
class FaultyTrial(Trial):
    """A workload on a disk with one of the named faults."""

    faults: tuple[str, ...] = tuple(FAULTS)

    def run(self) -> None:
        name = self.dice.choice(self.faults)
        error, kinds = FAULTS[name]
        lasting, partial = self.dice.random() < 0.5, self.dice.random() < 0.5
        self.fault = Fault(self.dice.randrange(1, 30), kinds, error, lasting, partial)
        what = f"{name}{' that stays' if lasting else ''}"
        try:
            self._work()
        except Exception as wrong:
            raise Lost(f"seed {self.seed}: {what}, while {self.doing}: {wrong!r}"[:3000]) from wrong

    def _work(self) -> None:
        self.open()
        for _ in range(4):
            self.do_commit()
        self.disk.fault = self.fault
        for _ in range(self.dice.randrange(2, 12)):
            self._one_more()
        self.disk.fault = None
        self._write_again()
        self._look_after_a_cut()

    def open(self) -> None:
        self.stores = [self._store(self.disk)]

    def _one_more(self) -> None:
        self.doing = self.dice.choice(("commit", "commit", "together", "publish", "checkpoint"))
        self.doing = self.dice.choice((self.doing, self.doing, "relaxed"))
        try:
            getattr(self, f"do_{self.doing}")()
        except (Unavailable, OSError) as refused:
            if isinstance(refused, OSError):
                raise Lost(f"an error of the system got through: {refused!r}") from refused
        if self.fault.error != errno.EMFILE:
            self._note_seen(self.stores[0])

    def _write_again(self) -> None:
        """Check that writing works after the fault, if the disk failed in a new process."""
        self.doing = "writing after the fault"
        store = self.stores[0]
        if self.fault.error == errno.EIO and self.fault.struck:
            self._refuse_or_keep(store)
            store.backend._release()  # type: ignore[attr-defined]
            self.open()
        else:
            store.backend._writer._tried_to_publish = 0.0  # type: ignore[attr-defined]
        self._rely_on(self._shown(self.stores[0], self.sure, len(self.history) - 1))
        self.do_commit()

    def _refuse_or_keep(self, store: object) -> None:
        try:
            self.do_commit()
        except StoreError:
            return

    def _look_after_a_cut(self) -> None:
        self.doing = "recovering after the fault"
        for way in ("none", "torn"):
            self.judge(self.disk.crash(self.dice, way), self.sure, len(self.history) - 1)
        self.do_checkpoint()
        for store in self.stores:
            store.close()
        self._check_files(self.disk, self.history[self.sure])


def run(count: int, seed: int) -> Report:
    """Try `count` faults. Raises `Lost` at the first one after which the store was wrong."""
    report, struck = Report("disk_errors"), 0
    logging.disable(logging.CRITICAL)  # the store logs each error
    try:
        for number in range(count):
            trial = FaultyTrial(seed + number, cuts_again=0)
            trial.run()
            report.cases += 1
            struck += trial.fault.struck > 0
    finally:
        logging.disable(logging.NOTSET)
    report.notes.append(f"disk_errors: {struck} faults struck")
    return report.finish(count)
