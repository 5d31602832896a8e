"""Wait slots for long polls and event streams: a limited share of a process's threads.

A waiting request blocks a thread, so only a part of the threads may wait. The worker sets the limit
and closes the slots at shutdown (`neuralflow/worker.py`). An account may hold at most half of the
slots. When all are taken, an account with fewer slots takes over the one held longest by an account
with more. The client that loses its slot reconnects and resumes at its last cursor.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

LOOK: Final = 0.05  # seconds between two polls; each costs some microseconds
LIMIT_DEFAULT: Final = 2
TENURE: Final = 5.0  # seconds before another account may take over a slot


def places_of(threads: int) -> int:
    """Return the number of wait slots for a worker with this many threads."""
    return threads // 4


class WaitSlot:
    """The slot of one waiting request."""

    def __init__(self, user_id: int, since: float) -> None:
        self.user_id, self.since = user_id, since
        self.is_over = False  # True once another account has taken over the slot


class WaitSlots:
    """The wait slots of a process. Thread-safe."""

    def __init__(
        self, limit: int = LIMIT_DEFAULT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit = limit
        self._clock = clock
        self._taken: list[WaitSlot] = []  # oldest first
        self._leaving = 0  # slots taken over whose former threads still run
        self._lock = threading.Lock()
        self.is_closing = False

    def __repr__(self) -> str:
        return f"<Places {len(self._taken)} of {self.limit} taken>"

    def take(self, user_id: int) -> WaitSlot | None:
        """Take a slot for the user, or return None. The caller must `leave` it."""
        with self._lock:
            held = Counter(place.user_id for place in self._taken)
            half = (self.limit + 1) // 2
            if self.is_closing or held[user_id] >= half:
                return None
            if len(self._taken) >= self.limit and not self._end_one(held, held[user_id]):
                return None
            place = WaitSlot(user_id, self._clock())
            self._taken.append(place)
            return place

    def _end_one(self, held: Counter[int], fewest: int) -> bool:
        """End the oldest slot of an account that holds more than `fewest`.

        Return False if there is none, or if too many former holders still run.
        """
        before = self._clock() - TENURE
        for place in self._taken:
            if held[place.user_id] > fewest and place.since <= before:
                break
        else:
            return False
        if self._leaving >= self.limit:
            return False  # each former holder still blocks a thread
        self._taken.remove(place)
        place.is_over = True
        self._leaving += 1
        return True

    def leave(self, place: WaitSlot) -> None:
        """Release the slot."""
        with self._lock:
            if place.is_over:
                self._leaving -= 1
            else:
                self._taken.remove(place)

    def close(self) -> None:
        """End all waits within `LOOK` seconds. Takes no lock, so a signal handler may call it."""
        self.is_closing = True

    def wait(self, place: WaitSlot | None, happened: Callable[[], bool], deadline: float) -> None:
        """Block until `happened` returns True, or until the deadline in monotonic seconds.

        Returns early when the slot is taken over or the process shuts down.
        """
        while not (self.is_closing or (place and place.is_over)):
            if time.monotonic() >= deadline or happened():
                return
            time.sleep(LOOK)


places = WaitSlots()
