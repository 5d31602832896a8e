"""How many requests of this process may wait for something to happen, and when they have to stop.

A waiting request keeps a thread from all others. So only a part of the threads may wait: gunicorn's
worker sets how many (`neuralflow/worker.py`), and tells when the process is to end. Nobody may have
more than half of the places, so that nobody keeps the others from waiting.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

LOOK: Final = 0.05  # seconds between two looks; each costs some microseconds
LIMIT_DEFAULT: Final = 2


def places_of(threads: int) -> int:
    """How many of so many threads may wait."""
    return threads // 4


class Places:
    """The places for those who wait."""

    def __init__(self, limit: int = LIMIT_DEFAULT) -> None:
        self.limit = limit
        self._taken: Counter[int] = Counter()
        self._lock = threading.Lock()
        self.is_closing = False

    def __repr__(self) -> str:
        return f"<Places {self._taken.total()} of {self.limit} taken>"

    def take(self, user_id: int) -> bool:
        """Takes a place for this person, if there is one; then `leave`."""
        with self._lock:
            half = (self.limit + 1) // 2
            is_full = self._taken.total() >= self.limit or self._taken[user_id] >= half
            if is_full or self.is_closing:
                return False
            self._taken[user_id] += 1
            return True

    def leave(self, user_id: int) -> None:
        """Gives a place back."""
        with self._lock:
            self._taken[user_id] -= 1
            if not self._taken[user_id]:
                del self._taken[user_id]

    def close(self) -> None:
        """Ends all waiting, within `LOOK`. For a signal handler: it takes no lock."""
        self.is_closing = True

    def wait(self, happened: Callable[[], bool], deadline: float) -> None:
        """Returns once it happened, at the deadline (monotonic seconds), or when all is to end."""
        while not self.is_closing and time.monotonic() < deadline and not happened():
            time.sleep(LOOK)


places = Places()
