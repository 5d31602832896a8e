"""How passwords are hashed, and how many at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.hashers import Argon2PasswordHasher

AT_ONCE = 2  # in one process
WAITING_MAX = 2  # threads that wait for a turn; the others must be there for everybody else
WAIT = 5.0  # seconds that they do


class TooBusy(Exception):
    """Too many passwords are being checked. Nothing was; try again after `RETRY_AFTER` seconds."""

    RETRY_AFTER = 5


_turns = threading.BoundedSemaphore(AT_ONCE)
_places = threading.BoundedSemaphore(AT_ONCE + WAITING_MAX)


@contextmanager
def _turn() -> Iterator[None]:
    """Within it, no more than `AT_ONCE` threads hash: more would only slow each other down and
    take memory, and whoever sends log-ins could keep all others from the processor."""
    if not _places.acquire(blocking=False):
        raise TooBusy
    try:
        if not _turns.acquire(timeout=WAIT):
            raise TooBusy
        try:
            yield
        finally:
            _turns.release()
    finally:
        _places.release()


class Argon2idHasher(Argon2PasswordHasher):
    """Argon2id with OWASP's figures. Django's own would take 100 MiB for each login, so that a
    few at once could exhaust the machine."""

    time_cost = 2
    memory_cost = 19_456  # KiB
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with _turn():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _turn():
            return super().verify(password, encoded)
