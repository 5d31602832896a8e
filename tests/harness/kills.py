"""Kills of a server with 16 writers at random times, over the same folder.

Four processes with four threads each change their own documents and shared ones. At a random time
all are killed, or first one of them, while the others continue and a new one replaces it. Then a
new process opens the store. Every acknowledged commit must be there, in order and complete,
including relaxed ones (the power stayed on), and the files must equal what reads return. A case is
a kill.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from docstore import Key, StoreError
from tests.harness.apart import in_own_process, scratch, start, wait
from tests.harness.report import Report
from tests.harness.stamps import Judge, Writer, opened, verdict

PROCESSES: Final = 4
THREADS: Final = 4
SHARED: Final = [Key("notes", 1), Key("notes", 2)]


def run(count: int, seed: int, planted: str = "") -> Report:
    """Kill `count` times. Raises `AssertionError` if fewer happened or nothing was written.

    It ends at the first loss, which later rounds would only repeat.
    """
    report = in_own_process(__name__, count, seed, planted=planted)
    return report.finish(0 if report.lost else count)


def attack(count: int, seed: int) -> Report:
    dice = random.Random(seed)
    report = Report("kills")
    judge = Judge(forgetful=False)
    with scratch("kills") as folder:
        while report.cases < count:
            before = report.cases
            report.cases += _round(folder, dice, min(2, count - before))
            faults = _judge(folder, judge)
            if faults:
                report.lose(f"after kill {report.cases}: {'; '.join(faults)}")
                break
    report.notes.append(f"{judge.acknowledgements} acknowledged writes")
    if not judge.acknowledgements:
        raise AssertionError("kills: no write was acknowledged, so none could be lost")
    return report


def _round(folder: Path, dice: random.Random, kills: int) -> int:
    """Start the writers and kill them; return the number of kills."""

    def begin(number: int) -> int:
        return start(partial(_write, folder, number, dice.getrandbits(32)))

    writers = [begin(number) for number in range(PROCESSES)]
    alone = kills > 1 and dice.random() < 0.5
    time.sleep(dice.uniform(0.05, 0.4))
    if alone:  # the others meet what it left behind
        _kill([writers.pop(dice.randrange(PROCESSES))])
        writers.append(begin(PROCESSES))
        time.sleep(dice.uniform(0.05, 0.4))
    _kill(writers)
    return 1 + alone


def _kill(writers: list[int]) -> None:
    for writer in writers:
        os.kill(writer, signal.SIGKILL)
    for writer in writers:
        wait(writer)


def _write(folder: Path, number: int, seed: int) -> None:
    """Write until killed."""
    try:
        store = opened(folder / "data")
    except StoreError as fault:
        (folder / f"fault-{seed}").write_text(f"opening raised {fault!r}")
        return

    def work(thread: int) -> None:
        marks = os.open(folder / f"marks-{number}-{thread}", os.O_WRONLY | os.O_CREAT, 0o600)
        dice = random.Random(seed + thread)
        writer = Writer(store, f"w{seed}-{thread}", lambda mark: _say(marks, mark), dice)
        own = Key("notes", 100 + THREADS * number + thread)
        try:
            while True:
                # One host per process, so that its threads compete for it.
                writer.step(own, dice.choice(SHARED), Key("people", 1 + number))
        except BaseException as fault:
            (folder / f"fault-{writer.name}").write_text(f"{writer.name} raised {fault!r}")
            os._exit(1)

    threads = [threading.Thread(target=work, args=[thread]) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _say(marks: int, mark: bytes) -> None:
    if os.write(marks, mark) != len(mark):
        raise OSError("the folder for marks is full")


def _judge(folder: Path, judge: Judge) -> list[str]:
    """Judge what the last round left, and make it the base of the next."""
    for marks in sorted(folder.glob("marks-*")):
        judge.take(marks.read_bytes())
        marks.unlink()
    data = folder / "data"

    faults = [fault.read_text() for fault in sorted(folder.glob("fault-*"))]
    faults += verdict(data, judge)
    try:
        with closing(opened(data)) as store:
            judge.start_from(store)
    except StoreError as fault:
        faults.append(f"the store cannot be read: {fault}")
    return faults
