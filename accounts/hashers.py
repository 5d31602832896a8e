"""Password hashing, with a limit on concurrent hashes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.hashers import Argon2PasswordHasher

AT_ONCE = 2  # concurrent hashes per process
WAITING_MAX = 2  # threads that may wait for a turn; the others stay free for other requests
WAIT = 5.0  # the longest wait for a turn, in seconds


class TooBusy(Exception):
    """Too many passwords are being hashed. Nothing was checked. Retry after `RETRY_AFTER` s."""

    RETRY_AFTER = 5


_turns = threading.BoundedSemaphore(AT_ONCE)
_places = threading.BoundedSemaphore(AT_ONCE + WAITING_MAX)


@contextmanager
def _turn() -> Iterator[None]:
    """Limit the block to `AT_ONCE` threads. Raises `TooBusy`.

    Without this limit, a flood of log-ins could exhaust memory and processors.
    """
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
    """Argon2id with the parameters of the OWASP Password Storage Cheat Sheet.

    With Django's parameters, each log-in takes 100 MiB, so a few could exhaust the memory.
    """

    time_cost = 2
    memory_cost = 19_456  # KiB
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with _turn():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _turn():
            return super().verify(password, encoded)
