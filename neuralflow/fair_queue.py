"""The order in which requests get a thread: by turns among those who ask, and never all of them.

Requests stand in line by their *subject*: the account that the token or session stands for, else
the address. The subjects take turns, so that who sends hundreds at once waits for them alone.
Forms, and among them those of strangers, which may have passwords hashed, have a part of the
threads: reading and the API go on beside any number of log-ins.
"""

from collections import Counter, OrderedDict, deque
from enum import IntEnum
from typing import Generic, TypeVar

Waiting = TypeVar("Waiting")

AHEAD = 2  # requests handed over beyond the threads, so that none has to wait for the loop


class Lane(IntEnum):
    """Kinds of requests."""

    OTHER = 0  # reads, and calls with a token
    FORM = 1  # changes by forms, with a session
    STRANGER = 2  # and without


class FairQueue(Generic[Waiting]):
    """Requests that wait for a thread. For one thread only, the loop's."""

    def __init__(self, threads: int) -> None:
        self._free = threads + AHEAD
        self._subject_max = max(1, threads * 3 // 4)
        self._lane_max = (threads + AHEAD, max(1, threads // 2), max(1, threads // 4))
        self._lanes: tuple[OrderedDict[bytes, deque[Waiting]], ...] = tuple(
            OrderedDict() for _ in Lane
        )
        self._running: dict[Waiting, tuple[Lane, bytes]] = {}
        self._of_lane: Counter[Lane] = Counter()
        self._of_subject: Counter[bytes] = Counter()
        self._turn = 0

    def add(self, request: Waiting, lane: Lane, subject: bytes) -> None:
        """Put the request at the end of its subject's line."""
        self._lanes[lane].setdefault(subject, deque()).append(request)

    def next(self) -> Waiting | None:
        """Take the request whose turn it is. Returns None if no thread is free for any."""
        if not self._free:
            return None
        for step in range(len(Lane)):
            lane = Lane((self._turn + step) % len(Lane))
            if self._of_lane[lane] >= self._lane_max[lane]:
                continue
            subject = self._next_subject(lane)
            if subject is not None:
                self._turn = lane + 1
                return self._start(lane, subject)
        return None

    def done(self, request: Waiting) -> None:
        """Free the thread that the request had."""
        lane, subject = self._running.pop(request)
        self._free += 1
        self._of_lane[lane] -= 1
        self._of_subject[subject] -= 1
        if not self._of_subject[subject]:
            del self._of_subject[subject]

    def _next_subject(self, lane: Lane) -> bytes | None:
        for subject in self._lanes[lane]:
            if self._of_subject[subject] < self._subject_max:
                return subject
        return None

    def _start(self, lane: Lane, subject: bytes) -> Waiting:
        lines = self._lanes[lane]
        line = lines[subject]
        request = line.popleft()
        if line:
            lines.move_to_end(subject)
        else:
            del lines[subject]
        self._running[request] = lane, subject
        self._free -= 1
        self._of_lane[lane] += 1
        self._of_subject[subject] += 1
        return request
