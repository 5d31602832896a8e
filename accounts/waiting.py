"""How many requests of this process may wait for something to happen, and when they have to stop.

A waiting request keeps a thread from all others. So only a part of the threads may wait: gunicorn's
worker sets how many (`neuralflow/worker.py`), and tells when the process is to end. The places are
shared among accounts: nobody may have more than half of them, and where all are taken, an account
with fewer gets the place that was held longest. Its holder comes back and goes on where it stopped.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

LOOK: Final = 0.05  # seconds between two looks; each costs some microseconds
LIMIT_DEFAULT: Final = 2
TENURE: Final = 5.0  # seconds that a place is held at least, if its holder wants it so long


def places_of(threads: int) -> int:
    """How many of so many threads may wait."""
    return threads // 4


class Place:
    """The place of one waiting request."""

    def __init__(self, user_id: int, since: float) -> None:
        self.user_id, self.since = user_id, since
        self.is_over = False  # somebody else has it now


class Places:
    """The places for those who wait."""

    def __init__(
        self, limit: int = LIMIT_DEFAULT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit = limit
        self._clock = clock
        self._taken: list[Place] = []  # the oldest first
        self._leaving = 0  # places that are over, whose threads have yet to notice
        self._lock = threading.Lock()
        self.is_closing = False

    def __repr__(self) -> str:
        return f"<Places {len(self._taken)} of {self.limit} taken>"

    def take(self, user_id: int) -> Place | None:
        """Take a place for this person, if there is one for them; then `leave`."""
        with self._lock:
            held = Counter(place.user_id for place in self._taken)
            half = (self.limit + 1) // 2
            if self.is_closing or held[user_id] >= half:
                return None
            if len(self._taken) >= self.limit and not self._end_one(held, held[user_id]):
                return None
            place = Place(user_id, self._clock())
            self._taken.append(place)
            return place

    def _end_one(self, held: Counter[int], fewest: int) -> bool:
        """End the oldest place of an account that has more places than `fewest`."""
        before = self._clock() - TENURE
        for place in self._taken:
            if held[place.user_id] > fewest and place.since <= before:
                break
        else:
            return False
        if self._leaving >= self.limit:
            return False  # each of these still has its thread
        self._taken.remove(place)
        place.is_over = True
        self._leaving += 1
        return True

    def leave(self, place: Place) -> None:
        """Give the place back."""
        with self._lock:
            if place.is_over:
                self._leaving -= 1
            else:
                self._taken.remove(place)

    def close(self) -> None:
        """Ends all waiting, within `LOOK`. For a signal handler: it takes no lock."""
        self.is_closing = True

    def wait(self, place: Place | None, happened: Callable[[], bool], deadline: float) -> None:
        """Return once it happened, at the deadline (monotonic seconds), or when the place is over
        or all is to end."""
        while not (self.is_closing or (place and place.is_over)):
            if time.monotonic() >= deadline or happened():
                return
            time.sleep(LOOK)


places = Places()
