"""Rate limits for failed attempts at passwords and codes. `accounts.guards` defines the limits.

The counts are database rows, shared by all processes and kept across restarts. Each attempt is
counted before its password is checked, so parallel guesses cannot exceed a limit. A successful
attempt is refunded.

The algorithm is a leaky bucket (GCRA): a limit of 5 in 300 seconds allows five attempts at once,
then one per minute.
"""

import hashlib
import math
import threading
import time
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import FailedAttempts

_TRIES = 50  # compare-and-swap attempts at a contended row
PURGE_MAX = 500  # rows deleted at once


@dataclass(frozen=True)
class Limit:
    """A limit per subject: a burst of `most` failures, refilled evenly over `seconds`."""

    name: str
    most: int
    seconds: int

    @property
    def step(self) -> timedelta:
        return timedelta(seconds=self.seconds / self.most)


class TooManyAttempts(Exception):
    """The attempt was refused and not made. Try again after `wait` seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"wait {wait:.0f} seconds")
        self.wait = math.ceil(wait)


class Attempt:
    """One attempt, counted as a failure against all `counts` unless it is given back.

    Raises `TooManyAttempts`, and counts nothing, if any limit is used up.
    """

    def __init__(self, *counts: tuple[Limit, str]) -> None:
        self._taken: list[tuple[Limit, str]] = []
        refused = 0.0
        _purge()
        with transaction.atomic():  # one disk sync for all counts
            for limit, subject in counts:
                refused = _take(limit, subject)
                if refused:
                    self.give_back()
                    break
                self._taken.append((limit, subject))
        if refused:
            raise TooManyAttempts(refused)

    def give_back(self) -> None:
        """Refund an attempt that succeeded or was not made."""
        taken, self._taken = self._taken, []
        with transaction.atomic():
            for limit, subject in taken:  # the same order as in `__init__`, to prevent deadlocks
                _give_back(limit, subject)


def add(limit: Limit, subject: str) -> None:
    """Count a failure, even past the limit, up to twice the limit."""
    key = _key(limit, subject)
    for _ in range(_TRIES):
        now = timezone.now()
        before = _full_until(key)
        most = now + timedelta(seconds=2 * limit.seconds)
        after = min(max(before or now, now) + limit.step, most)
        if after == before or _put(key, before, after):
            return


def is_used_up(limit: Limit, subject: str) -> bool:
    """Return whether more failures were counted than the limit allows."""
    until = _full_until(_key(limit, subject))
    return until is not None and until - timezone.now() > timedelta(seconds=limit.seconds)


def forget(limit: Limit, subject: str) -> None:
    """Reset the count of the subject."""
    FailedAttempts.objects.filter(pk=_key(limit, subject)).delete()


def subject_of(name: str) -> str:
    """Return the typed name in a normal form (NFKC, case-folded), as spellings share one count."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def _key(limit: Limit, subject: str) -> str:
    # A digest, because users sometimes type their password as the name.
    return hashlib.sha256(f"{limit.name}:{subject}".encode("utf-8", "surrogatepass")).hexdigest()


def _take(limit: Limit, subject: str) -> float:
    """Count a failure and return 0, or return the seconds to wait and count nothing."""
    key = _key(limit, subject)
    for _ in range(_TRIES):
        now = timezone.now()
        before = _full_until(key)
        after = max(before or now, now) + limit.step
        wait = (after - now).total_seconds() - limit.seconds
        if wait > 0:
            return wait
        if _put(key, before, after):
            return 0
    return limit.step.total_seconds()  # fail closed


def _give_back(limit: Limit, subject: str) -> None:
    key = _key(limit, subject)
    for _ in range(_TRIES):
        before = _full_until(key)
        if before is None or _put(key, before, before - limit.step):
            return


def _full_until(key: str) -> datetime | None:
    """Return the time at which the bucket will be empty, or None if there is no row."""
    return FailedAttempts.objects.filter(pk=key).values_list("until", flat=True).first()


def _put(key: str, before: datetime | None, after: datetime) -> bool:
    """Compare and swap: store `after` if the row is still `before`. Return whether it was."""
    if before is not None:
        return FailedAttempts.objects.filter(pk=key, until=before).update(until=after) == 1
    try:
        with transaction.atomic():
            FailedAttempts.objects.create(pk=key, until=after)
    except IntegrityError:
        return False
    return True


def _purge() -> None:
    """Delete up to `PURGE_MAX` expired rows, except rows that other transactions have locked."""
    rows = FailedAttempts.objects.filter(until__lt=timezone.now())
    if not rows.exists():
        return
    with transaction.atomic():
        locked = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)
        FailedAttempts.objects.filter(pk__in=list(locked[:PURGE_MAX])).delete()


class BadTokens:
    """Approximate counts of calls with invalid tokens, by client address, in this process.

    256-bit tokens cannot be guessed, so this only slows down clients that repeat a bad call. It
    writes no rows, and valid tokens from the same address are not limited.
    """

    MOST, SECONDS, ADDRESSES_MAX = 100, 60, 10_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, address: str) -> int:
        """Count a call. Return the seconds to wait, or 0."""
        now = time.monotonic()
        with self._lock:
            since, count = self._counts.pop(address, (now, 0))
            if now - since >= self.SECONDS:
                since, count = now, 0
            self._counts[address] = since, count + 1
            if len(self._counts) > self.ADDRESSES_MAX:
                self._counts.popitem(last=False)
        return int(self.SECONDS - (now - since)) + 1 if count >= self.MOST else 0


bad_tokens = BadTokens()
