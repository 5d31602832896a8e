"""Power cuts of a real ext4 at points of a recorded run.

A load runs on ext4 on a block device that records every write, every cache flush, and the marks of
the load. Then, for points in that log, an image is made that a power cut there could leave:
everything that was flushed, and of the rest nothing, all, some writes, or some 4-KiB pieces.
(Smaller pieces corrupt ext4 itself, which is out of scope.) The image is mounted, the store on it
is opened, and the judge checks it. A case is one image.
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
CASES_MAX: Final = 1_000  # per recording
OPTIONS: Final = ("", "noauto_da_alloc,commit=1")
STEPS: Final = 12  # per writer, between two openings of the store
WORKERS: Final = 2
SHARED: Final = [Key("notes", 1), Key("notes", 2)]
# Errors with which ext4 refuses an image. That is its own matter, and is counted separately.
_REFUSALS: Final = {errno.EBADMSG, errno.EUCLEAN, errno.EINVAL, errno.EIO}


def run(count: int, seed: int, planted: str = "") -> Report:
    """Check `count` images of at least four recordings. Raises `CannotRun` if none can be made."""
    if reason := missing():
        print(f"block device: 0 cases: {reason}", flush=True)
        raise CannotRun(reason)
    # Mounts in a separate namespace end with the process, however it ends.
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
            acknowledged += sum(what == MARK and b'"acknowledged"' in data for what, _, data in log)
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
    """Run the load on a recorded disk; return the log. `base` is the disk before it."""
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
            # The second load is killed, so that the third one begins with a recovery.
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
    """Open the store in each of the processes, write with four threads in all, close it."""
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
        os.pwrite(marks, said, 0)  # a write across pages would be two marks

    def work(thread: int) -> None:
        dice = random.Random(f"{seed}.{thread}")
        writer = Writer(store, f"w{seed}.{thread}", say, dice)
        own = Key("notes", 100 + 10 * process + thread)
        for _ in range(STEPS):
            writer.step(own, dice.choice(SHARED), Key("people", 1 + process))
        if killed:  # the first thread to finish, while the others are working
            os.kill(os.getpid(), signal.SIGKILL)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    store.close()
    os.close(marks)


# Replaying


@dataclass
class _Part:
    """The results of one process."""

    judged: int
    refused: int
    faults: list[str]


@dataclass(frozen=True)
class _Cut:
    """A power cut before the log entry with this number.

    `kept` says which of the unflushed writes reached the disk.
    """

    place: int
    kept: str
    options: str

    def __str__(self) -> str:
        return f"cut at {self.place}, {self.kept} kept, mounted {self.options or 'as usual'}"


def _cuts(log: list[Entry], count: int, dice: random.Random) -> list[_Cut]:
    """Return `count` different cuts, spread evenly over the log."""
    begin = next(place for place, entry in enumerate(log) if entry[0] == MARK)
    kinds = [
        _Cut(place, part, dice.choice(OPTIONS))
        for place in range(begin, len(log) + 1)
        for part in ("none", "all", "some", "pieces")
    ]
    return [kinds[index * len(kinds) // count] for index in range(min(count, len(kinds)))]


def _replay(folder: Path, log: list[Entry], count: int, seed: int) -> list[_Part]:
    """Check `count` images in several processes."""
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
    """The flushed contents of a disk.

    They are mostly zeros, which cost nothing in a sparse file.
    """

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
        """Write the same contents to the file of this descriptor."""
        os.truncate(image, 0)
        os.truncate(image, IMAGE_BYTES)
        with memoryview(self._bytes) as view:
            for chunk in self._used:
                os.pwrite(image, view[chunk : chunk + CHUNK_BYTES], chunk)


class _Replay:
    """A replay of a log that makes and checks images on the way."""

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
        """Make the image: everything flushed, and the part of the rest that `kept` names."""
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
