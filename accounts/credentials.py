"""Credentials that opened an account in this process, for scheduling: they grant nothing.

The worker queues requests before anybody has looked at their tokens and sessions. Texts that open
nothing must not count as accounts: a stranger could make up one for each request and take the
threads of everybody (`neuralflow/fair_queue.py`).
"""

import hashlib
import threading
from collections import OrderedDict
from typing import Final

CREDENTIALS_MAX: Final = 10_000


class KnownCredentials:
    """The accounts of tokens and session keys that were valid, by digest. Thread-safe."""

    def __init__(self, most: int = CREDENTIALS_MAX) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._accounts: OrderedDict[bytes, int] = OrderedDict()

    def note(self, credential: str, account: int) -> None:
        """Note that the text of a token, or a session key, opened the account."""
        key = _key(credential.encode("utf-8", "surrogatepass"))
        with self._lock:
            self._accounts[key] = account
            self._accounts.move_to_end(key)
            if len(self._accounts) > self._most:
                self._accounts.popitem(last=False)

    def account_of(self, credential: bytes) -> int | None:
        """Return the account of a header's value: a session key, or a scheme and a token."""
        return self._accounts.get(_key(credential.rpartition(b" ")[2]))


def _key(credential: bytes) -> bytes:
    return hashlib.blake2b(credential, digest_size=16).digest()


known_credentials = KnownCredentials()
