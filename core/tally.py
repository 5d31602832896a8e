"""Figures that the processes of a server count, and their sum over all of them.

Counting costs less than a microsecond: numbers in memory under a lock. Each worker process writes
its figures into a folder of the server once a second, and any of them answers with the sum. The
figures of a process that ended are folded into one file, so that the sums never decrease and the
folder does not grow (docs/decisions/0054).
"""

from __future__ import annotations

import fcntl
import os
import threading
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from docstore import Observer

# Upper bounds, in seconds and in frames.
REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SYNC_SECONDS: Final = (0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
SYNC_FRAMES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)

_NONE: Final = {"reads_cached": 0.0, "reads_from_files": 0.0}
_LOCK: Final = "lock"
_ENDED: Final = "ended.json"
_SUFFIX: Final = ".json"


def _histogram(bounds: tuple[float, ...]) -> list[float]:
    """Return the empty counts of a histogram: one a bound, one above all, and the sum."""
    return [0.0] * (len(bounds) + 2)


class Figures(msgspec.Struct):
    """Counters and histograms. A histogram has a count per bound, one beyond them, and a sum.

    The key of `requests` is "METHOD STATUS ROUTE".
    """

    counts: dict[str, float] = msgspec.field(default_factory=lambda: dict(_NONE))
    requests: dict[str, list[float]] = {}
    sync_seconds: list[float] = msgspec.field(default_factory=lambda: _histogram(SYNC_SECONDS))
    sync_frames: list[float] = msgspec.field(default_factory=lambda: _histogram(SYNC_FRAMES))

    def add(self, other: Figures) -> None:
        """Add the figures of another process."""
        for name, number in other.counts.items():
            self.counts[name] = self.counts.get(name, 0.0) + number
        for key, row in other.requests.items():
            self.requests[key] = _added(self.requests.get(key), row)
        self.sync_seconds = _added(self.sync_seconds, other.sync_seconds)
        self.sync_frames = _added(self.sync_frames, other.sync_frames)


def _added(first: list[float] | None, second: list[float]) -> list[float]:
    if first is None:
        return list(second)
    return [one + two for one, two in zip(first, second, strict=True)]


_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder(Figures).decode


class Tally(Observer):
    """The figures of this process. Thread-safe. It observes the store."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures = Figures()
        self.changes = 0  # grows with each figure, so that a writer notices whether there is news

    def count(self, name: str, number: float = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._count(name, number)

    def _count(self, name: str, number: float = 1) -> None:
        counts = self._figures.counts
        counts[name] = counts.get(name, 0.0) + number
        self.changes += 1

    def request(self, method: str, status: int, route: str, seconds: float) -> None:
        """Count a request and its duration."""
        key = f"{method} {status} {route}"
        with self._lock:
            row = self._figures.requests.get(key)
            if row is None:
                row = self._figures.requests[key] = _histogram(REQUEST_SECONDS)
            row[bisect_left(REQUEST_SECONDS, seconds)] += 1
            row[-1] += seconds
            self.changes += 1

    def on_read(self, *, is_cached: bool) -> None:
        name = "reads_cached" if is_cached else "reads_from_files"
        with self._lock:
            self._figures.counts[name] += 1
            self.changes += 1

    def on_commit(self, changes: int) -> None:
        with self._lock:
            self._count("commits")
            self._count("changes", changes)

    def on_sync(self, seconds: float, frames: int) -> None:
        with self._lock:
            for row, bounds, value in (
                (self._figures.sync_seconds, SYNC_SECONDS, seconds),
                (self._figures.sync_frames, SYNC_FRAMES, float(frames)),
            ):
                row[bisect_left(bounds, value)] += 1
                row[-1] += value
            self.changes += 1

    def on_conflict(self) -> None:
        with self._lock:
            self._count("conflicts")

    def copy(self) -> Figures:
        """Return the figures as of now."""
        return _decode(self.encoded())

    def encoded(self) -> bytes:
        """Return the figures as JSON."""
        with self._lock:
            return _encode(self._figures)

    def clear(self) -> None:
        """Begin again at zero, as in a forked process."""
        with self._lock:
            self._figures = Figures()


class SharedFigures:
    """The folder in which the processes of one server share their figures.

    Raises `OSError` if it cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written = 0

    def write(self, tally: Tally) -> None:
        """Write this process's figures if there is news."""
        changes = tally.changes
        if changes == self._written:
            return
        self._replace(f"{os.getpid()}{_SUFFIX}", tally.encoded())
        self._written = changes

    def total(self, tally: Tally) -> Figures:
        """Return the sum over all processes, with those of this one as of now."""
        own = f"{os.getpid()}{_SUFFIX}"
        total = tally.copy()
        with self._locked(fcntl.LOCK_SH):
            for path in self._folder.glob(f"*{_SUFFIX}"):
                if path.name != own:
                    total.add(_decode(path.read_bytes()))
        return total

    def end(self, process_id: int) -> None:
        """Fold the figures of a process that ended into the common file."""
        path = self._folder / f"{process_id}{_SUFFIX}"
        # Without the lock, a reader between the two steps would count these figures twice, and
        # Prometheus would take the decrease that follows for a restart.
        with self._locked(fcntl.LOCK_EX), suppress(FileNotFoundError):
            ended = _decode(path.read_bytes())
            with suppress(FileNotFoundError):
                ended.add(_decode((self._folder / _ENDED).read_bytes()))
            self._replace(_ENDED, _encode(ended))
            path.unlink()

    def _replace(self, name: str, content: bytes) -> None:
        draft = self._folder / f"{name}.draft"
        draft.write_bytes(content)
        draft.replace(self._folder / name)

    @contextmanager
    def _locked(self, operation: int) -> Iterator[None]:
        with (self._folder / _LOCK).open("wb") as lock:
            fcntl.flock(lock, operation)
            yield


tally: Final = Tally()
_shared: list[SharedFigures] = []


def share_in(folder: Path) -> SharedFigures:
    """Share the figures of this process, and of those that it forks, in a folder."""
    _shared[:] = [SharedFigures(folder)]
    return _shared[0]


def write_figures() -> None:
    """Write this process's figures for the others, if it shares them."""
    for shared in _shared:
        with suppress(OSError):  # the folder of temporary files was cleaned, or is full
            shared.write(tally)


def end_of(process_id: int) -> None:
    """Note that a process that shared its figures ended."""
    for shared in _shared:
        with suppress(OSError, msgspec.DecodeError):
            shared.end(process_id)


def total() -> Figures:
    """Return the figures of all processes of this server."""
    for shared in _shared:
        with suppress(OSError, msgspec.DecodeError):
            return shared.total(tally)
    return tally.copy()


def _begin_again(*_: Any) -> None:
    tally.clear()


os.register_at_fork(after_in_child=_begin_again)
