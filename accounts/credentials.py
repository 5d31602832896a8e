"""A cache of credentials that authenticated in this process, for scheduling. It grants no access.

The worker queues requests before their tokens and sessions are checked. Unknown credentials must
not count as accounts there: a client could invent one per request and so take the threads of all
others (`neuralflow/fair_queue.py`).
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
        """Record that a token or session key authenticated the account."""
        key = _key(credential.encode("utf-8", "surrogatepass"))
        with self._lock:
            self._accounts[key] = account
            self._accounts.move_to_end(key)
            if len(self._accounts) > self._most:
                self._accounts.popitem(last=False)

    def account_of(self, credential: bytes) -> int | None:
        """Return the account of a header value, or None.

        The value is a session key, or a scheme and a token.
        """
        return self._accounts.get(_key(credential.rpartition(b" ")[2]))


def _key(credential: bytes) -> bytes:
    return hashlib.blake2b(credential, digest_size=16).digest()


known_credentials = KnownCredentials()
