"""The operations that every peer performs, and how they are timed."""

from __future__ import annotations

import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.peers import Peer, task

SECONDS = 0.5  # per measurement
REPEATS_MAX = 3000
THREADS, PROCESSES = 8, 4
OWNER = 1

Figure = tuple[str, str, int]  # peer, workload, size


def seconds_of(operation: Callable[[int], object]) -> float:
    """Return the mean time of an operation, repeated for half a second after three warm-up runs."""
    for number in range(3):
        operation(number)
    count, began = 3, time.perf_counter()
    while (took := time.perf_counter() - began) < SECONDS and count < REPEATS_MAX:
        operation(count)
        count += 1
    return took / (count - 3)


def usual_seconds_of(
    operation: Callable[[int], object], prepare: Callable[[int], object] = lambda number: None
) -> float:
    """Return the median time of an operation whose disk waits vary.

    It is repeated for a second and a half, preparations included, after three warm-up runs. Those
    of `prepare` are not timed.
    """
    times = []
    began = time.perf_counter()
    for number in range(3 + REPEATS_MAX):
        prepare(number)
        before = time.perf_counter()
        operation(number)
        after = time.perf_counter()
        times.append(after - before)
        if after - began > SECONDS * 3 and number > 3:
            break
    return statistics.median(times[3:])


def append(peer: Peer, size: int) -> float:
    return usual_seconds_of(lambda number: peer.append(OWNER, task(number)))


def update(peer: Peer, size: int) -> float:
    return usual_seconds_of(
        lambda number: peer.update(OWNER, number * 37 % size + 1, {"status": f"step {number}"})
    )


def delete(peer: Peer, size: int) -> float:
    """Delete a record that was just added, so that the collection keeps its size."""
    added: list[int] = []
    return usual_seconds_of(
        lambda number: peer.delete(OWNER, added.pop()),
        prepare=lambda number: added.append(peer.append(OWNER, task(number))),
    )


def read_all(peer: Peer, size: int) -> float:
    return seconds_of(lambda number: peer.records(OWNER))


def read_json(peer: Peer, size: int) -> float:
    return seconds_of(lambda number: peer.as_json(OWNER))


def read_one(peer: Peer, size: int) -> float:
    return seconds_of(lambda number: peer.record(OWNER, number * 37 % size + 1))


def _append_until(peer: Peer, owner: int, end: float) -> int:
    count = 0
    while time.perf_counter() < end:
        peer.append(owner, task(count))
        count += 1
    return count


def _threads(peer: Peer, owners: list[int]) -> float:
    """Return seconds per append over all threads. Raises `AssertionError` if one was lost."""
    counts = [0] * THREADS
    before = {owner: len(peer.records(owner)) for owner in set(owners)} if peer.readable else {}
    began = time.perf_counter()

    def work(index: int) -> None:
        counts[index] = _append_until(peer, owners[index], began + SECONDS * 2)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    stored = sum(len(peer.records(owner)) - old for owner, old in before.items())
    if peer.readable and stored != sum(counts):
        raise AssertionError(f"{sum(counts) - stored} of {sum(counts)} acknowledged appends lost")
    return took / sum(counts)


def threads_own(peer: Peer, size: int) -> float:
    owners = list(range(1, THREADS + 1))
    for owner in owners[1:]:
        peer.fill(owner, map(task, range(size)))
    return _threads(peer, owners)


def threads_one(peer: Peer, size: int) -> float:
    return _threads(peer, [OWNER] * THREADS)


def _process(kind: type[Peer], folder: Path, owner: int, go: float, counts: object) -> None:
    peer = kind(folder)
    while time.time() < go:
        time.sleep(0.001)
    counts.put(_append_until(peer, owner, time.perf_counter() + SECONDS * 2))  # type: ignore[attr-defined]
    peer.close()


def processes_own(peer: Peer, size: int) -> float:
    for owner in range(2, PROCESSES + 1):
        peer.fill(owner, map(task, range(size)))
    spawn = multiprocessing.get_context("spawn")
    counts, go = spawn.Queue(), time.time() + 2
    workers = [
        spawn.Process(target=_process, args=(type(peer), peer.folder, owner, go, counts))
        for owner in range(1, PROCESSES + 1)
    ]
    for worker in workers:
        worker.start()
    total = sum(counts.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join()
    return SECONDS * 2 / total


WRITES = {"append": append, "update": update, "delete": delete}
READS = {"list": read_all, "list as JSON": read_json, "one record": read_one}
CONCURRENT = {
    "8 threads, own users": threads_own,
    "4 processes, own users": processes_own,
    "8 threads, one user": threads_one,
}
WORKLOADS = WRITES | READS | CONCURRENT
