"""Fair scheduling of requests to threads, with a reserve of threads for each kind of request.

Requests are queued by *subject*: the account of the token or session, otherwise the address.
Subjects take turns, so a client that sends hundreds of requests only delays itself. Forms,
especially those without a session, which can require password hashing, are limited to a part of the
threads. Reads and API calls continue during any number of log-ins.
"""

from collections import OrderedDict, deque
from enum import IntEnum
from typing import Generic, TypeVar

Waiting = TypeVar("Waiting")

AHEAD = 2  # requests handed over beyond the threads, so that no thread waits for the loop


class Lane(IntEnum):
    """The kinds of requests."""

    OTHER = 0  # reads, and calls with a token
    FORM = 1  # form submissions with a session
    STRANGER = 2  # form submissions without a session


_LANES = len(Lane)


class FairQueue(Generic[Waiting]):
    """The requests that wait for a thread. Not thread-safe: only the event loop uses it."""

    def __init__(self, threads: int) -> None:
        self._free = threads + AHEAD
        self._subject_max = max(1, threads * 3 // 4)
        self._lane_max = (threads + AHEAD, max(1, threads // 2), max(1, threads // 4))
        self._lanes: tuple[OrderedDict[bytes, deque[Waiting]], ...] = tuple(
            OrderedDict() for _ in Lane
        )
        self._running: dict[Waiting, tuple[int, bytes]] = {}
        self._of_lane = [0] * len(Lane)
        self._of_subject: dict[bytes, int] = {}
        self._turn = self._size = 0

    def add(self, request: Waiting, lane: Lane, subject: bytes) -> None:
        """Append the request to the queue of its subject."""
        self._lanes[lane].setdefault(subject, deque()).append(request)
        self._size += 1

    def next(self) -> Waiting | None:
        """Remove and return the next request, or None if no thread is free for any."""
        if not self._size or not self._free:
            return None
        for step in range(_LANES):
            lane = (self._turn + step) % _LANES
            if self._lanes[lane] and self._of_lane[lane] < self._lane_max[lane]:
                subject = self._next_subject(lane)
                if subject is not None:
                    self._turn = lane + 1
                    return self._start(lane, subject)
        return None

    def done(self, request: Waiting) -> None:
        """Release the thread of a request."""
        lane, subject = self._running.pop(request)
        self._free += 1
        self._of_lane[lane] -= 1
        left = self._of_subject.pop(subject) - 1
        if left:
            self._of_subject[subject] = left

    def _next_subject(self, lane: int) -> bytes | None:
        for subject in self._lanes[lane]:
            if self._of_subject.get(subject, 0) < self._subject_max:
                return subject
        return None

    def _start(self, lane: int, subject: bytes) -> Waiting:
        lines = self._lanes[lane]
        line = lines[subject]
        request = line.popleft()
        if line:
            lines.move_to_end(subject)
        else:
            del lines[subject]
        self._running[request] = lane, subject
        self._size -= 1
        self._free -= 1
        self._of_lane[lane] += 1
        self._of_subject[subject] = self._of_subject.get(subject, 0) + 1
        return request
