"""Cuts the power of a real ext4, as often as wanted, at places of a recorded run.

A load runs on ext4 on a block device that writes down every write, every flush of the disk's cache,
and what the load notes of itself. Then, for places in that log, a disk is made that a power cut
there may leave: all that was flushed, and of the rest nothing, all, some writes, or some 4-KiB
pieces. (Smaller pieces break ext4 itself, which is not the question.) It is mounted, the store on
it opened, and judged. A case is such a disk.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from docstore import Key
from tests.harness.apart import in_own_process, scratch, start, wait
from tests.harness.devices import StillInUse, missing, mounted, tool, unmount
from tests.harness.recorder import FLUSH, MARK, WRITE, Entry, entries
from tests.harness.report import CannotRun, Report
from tests.harness.stamps import Judge, Writer, opened, verdict

IMAGE_BYTES: Final = 32 << 20
PIECE_BYTES: Final = 4096
CHUNK_BYTES: Final = 64 << 10
CASES_MAX: Final = 1_000  # of one recording
OPTIONS: Final = ("", "noauto_da_alloc,commit=1")
STEPS: Final = 12  # of each writer, between two openings of the store
WORKERS: Final = 2
SHARED: Final = [Key("notes", 1), Key("notes", 2)]
# Why ext4 refuses a disk. It is its own matter, and is counted apart.
_REFUSALS: Final = {errno.EBADMSG, errno.EUCLEAN, errno.EINVAL, errno.EIO}


def run(count: int, seed: int, planted: str = "") -> Report:
    """`count` disks, from at least four recordings. Raises `CannotRun` where none can be made."""
    if reason := missing():
        print(f"block device: 0 cases: {reason}", flush=True)
        raise CannotRun(reason)
    # Mounts in a space of their own end with the process, however it ends.
    through = ["unshare", "--mount"]
    return in_own_process(__name__, count, seed, planted=planted, through=through).finish(count)


def attack(count: int, seed: int) -> Report:
    report = Report("block device")
    acknowledged = recording = refused = 0
    with scratch("block-device") as folder:
        while report.cases < count:
            share = min(CASES_MAX, -(-count // 4), count - report.cases)
            (place := folder / str(recording)).mkdir()
            log = _record(place, recording, seed + recording)
            for part in _replay(place, log, share, seed + recording):
                report.cases += part.judged
                refused += part.refused
                for fault in part.faults:
                    report.lose(f"recording {recording} (seed {seed}), {fault}")
            acknowledged += sum(what == MARK and b'"acknowledged"' in said for what, _, said in log)
            recording += 1
            if report.cases == 0:
                raise AssertionError("block device: ext4 refused every disk")
    report.notes.append(
        f"{recording} recordings, {acknowledged} acknowledged writes; "
        f"ext4 itself refused {refused} more disks"
    )
    return report


# Recording


def _record(folder: Path, number: int, seed: int) -> list[Entry]:
    """Runs the load on a recorded disk; returns the log. The disk before it is in `base`."""
    base, disk, log = folder / "base", folder / "disk", folder / "log"
    device, tree = folder / "device", folder / "tree"
    with base.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    lazy = "lazy_itable_init=0,lazy_journal_init=0"
    ext4 = [tool("mkfs.ext4"), "-q", "-F", "-b", "4096", "-J", "size=4", "-E", lazy, base]
    subprocess.run(ext4, check=True)
    disk.write_bytes(base.read_bytes())
    device.mkdir()
    tree.mkdir()
    with (
        _recording(disk, log, device),
        mounted(device / "disk", tree, OPTIONS[number // 2 % 2]),
    ):
        for opening in range(3):
            processes = 1 + number % 2
            # The second load is killed, so that the third begins with a recovery.
            _load(tree, device / "mark", processes, f"{seed}.{opening}", killed=opening == 1)
    disk.unlink()
    return list(entries(log))


@contextmanager
def _recording(disk: Path, log: Path, device: Path) -> Iterator[None]:
    recorder = subprocess.Popen(
        [sys.executable, "-m", "tests.harness.recorder", disk, log, device],
    )
    try:
        while not (device / "disk").exists():
            if recorder.poll() is not None:
                raise AssertionError("block device: the recorder ended at its start")
        yield
    finally:
        unmount(device)
        recorder.wait()


def _load(tree: Path, mark: Path, processes: int, seed: str, killed: bool) -> None:
    """Opens the store in each of the processes, writes with four threads in all, closes it."""
    writers = [
        start(partial(_write, tree, mark, 4 // processes, f"{seed}.{process}", process, killed))
        for process in range(processes)
    ]
    ends = {wait(writer) for writer in writers}
    if ends != {-signal.SIGKILL if killed else 0}:
        raise AssertionError("block device: a writer failed; see what it printed")


def _write(tree: Path, mark: Path, threads: int, seed: str, process: int, killed: bool) -> None:
    store = opened(tree / "data")
    marks = os.open(mark, os.O_WRONLY)

    def say(said: bytes) -> None:
        os.pwrite(marks, said, 0)  # always in the first page: a write over two would be two marks

    def work(thread: int) -> None:
        dice = random.Random(f"{seed}.{thread}")
        writer = Writer(store, f"w{seed}.{thread}", say, dice)
        own = Key("notes", 100 + 10 * process + thread)
        for _ in range(STEPS):
            writer.step(own, dice.choice(SHARED), Key("people", 1 + process))
        if killed:  # whoever is first, and the others are in the middle of something
            os.kill(os.getpid(), signal.SIGKILL)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    store.close()
    os.close(marks)


# Replaying


@dataclass
class _Part:
    """What one process has judged."""

    judged: int
    refused: int
    faults: list[str]


@dataclass(frozen=True)
class _Cut:
    """A power cut before the log's entry of this number; `kept` is what of the writes not flushed
    the disk had taken."""

    place: int
    kept: str
    options: str

    def __str__(self) -> str:
        return f"cut at {self.place}, {self.kept} kept, mounted {self.options or 'as usual'}"


def _cuts(log: list[Entry], count: int, dice: random.Random) -> list[_Cut]:
    """`count` different cuts, spread evenly over the log, and more where ext4 may refuse some."""
    begin = next(place for place, entry in enumerate(log) if entry[0] == MARK)
    kinds = [
        _Cut(place, kept, dice.choice(OPTIONS))
        for place in range(begin, len(log) + 1)
        for kept in ("none", "all", "some", "pieces")
    ]
    return [kinds[index * len(kinds) // count] for index in range(min(count, len(kinds)))]


def _replay(folder: Path, log: list[Entry], count: int, seed: int) -> list[_Part]:
    """Judges `count` disks, in several processes."""
    cuts = _cuts(log, count, random.Random(seed))

    def work(worker: int) -> None:
        (place := folder / f"replay-{worker}").mkdir()
        replay = _Replay(folder / "base", place, f"{seed}.{worker}")
        part = replay.run(log, cuts[worker::WORKERS])
        (folder / f"part-{worker}").write_text(json.dumps(asdict(part)))

    workers = [start(partial(work, worker)) for worker in range(WORKERS)]
    ends = [wait(worker) for worker in workers]
    if any(ends):
        raise AssertionError("block device: replaying failed; see what it printed")
    return [_Part(**json.loads((folder / f"part-{w}").read_text())) for w in range(WORKERS)]


class _Disk:
    """What was flushed to a disk. Most of one is zeros, which cost nothing in a file with holes."""

    def __init__(self, base: Path) -> None:
        self._bytes = bytearray(IMAGE_BYTES)
        self._used: set[int] = set()
        self.write(0, base.read_bytes())

    def write(self, offset: int, data: bytes) -> None:
        for chunk in range(offset - offset % CHUNK_BYTES, offset + len(data), CHUNK_BYTES):
            part = data[max(chunk - offset, 0) : chunk - offset + CHUNK_BYTES]
            if part.count(0) < len(part):
                self._used.add(chunk)
        self._bytes[offset : offset + len(data)] = data

    def copy_to(self, image: int) -> None:
        """Makes the file of this descriptor hold the same."""
        os.truncate(image, 0)
        os.truncate(image, IMAGE_BYTES)
        with memoryview(self._bytes) as view:
            for chunk in self._used:
                os.pwrite(image, view[chunk : chunk + CHUNK_BYTES], chunk)


class _Replay:
    """Goes through a log once, and makes and judges the disks on the way."""

    def __init__(self, base: Path, folder: Path, seed: str) -> None:
        self._image, self._tree = folder / "image", folder / "tree"
        self._tree.mkdir()
        self._dice = random.Random(seed)
        self._flushed = _Disk(base)
        self._pending: list[tuple[int, bytes]] = []
        self._judge = Judge(forgetful=True)
        self._part = _Part(0, 0, [])

    def run(self, log: list[Entry], cuts: list[_Cut]) -> _Part:
        reached = 0
        for cut in cuts:
            for entry in log[reached : cut.place]:
                self._take(*entry)
            reached = cut.place
            self._make(cut.kept)
            self._look(cut)
        return self._part

    def _take(self, what: bytes, offset: int, data: bytes) -> None:
        if what == MARK:
            self._judge.take(data)
        elif what == WRITE:
            self._pending.append((offset, data))
        elif what == FLUSH:
            for write in self._pending:
                self._flushed.write(*write)
            self._pending.clear()

    def _make(self, kept: str) -> None:
        """Makes the disk: what was flushed, and what was kept of the rest."""
        image = os.open(self._image, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._flushed.copy_to(image)
            piece_bytes = PIECE_BYTES if kept == "pieces" else IMAGE_BYTES
            for offset, data in self._pending:
                for piece in range(0, len(data), piece_bytes):
                    if kept == "all" or (kept != "none" and self._dice.random() < 0.5):
                        os.pwrite(image, data[piece : piece + piece_bytes], offset + piece)
        finally:
            os.close(image)

    def _look(self, cut: _Cut) -> None:
        faults: list[str] = []
        try:
            with mounted(self._image, self._tree, cut.options):
                faults += verdict(self._tree / "data", self._judge)
                gc.collect()
        except StillInUse:
            faults.append("something stays open after close")
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            self._part.refused += 1
            return
        self._part.judged += 1
        if faults:
            self._part.faults.append(f"{cut}: {'; '.join(faults)}")
