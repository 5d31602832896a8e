"""How often somebody may be wrong about a password or a code; `accounts.guards` says what counts.

The counts are rows of the database, so they hold over all threads, processes and restarts, and each
attempt is counted before it is looked at, so that guesses made at once count as if made in turn. An
attempt that succeeds is given back.

The rule is a leaking bucket (GCRA): a limit of 5 in 300 seconds allows five attempts at once, and
then one for each minute that has passed.
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

_TRIES = 50  # at a row that others change in the same moment
PURGE_MAX = 500  # rows in one go


@dataclass(frozen=True)
class Limit:
    """At most `most` failures at once of one subject, and `most` in each further `seconds`."""

    name: str
    most: int
    seconds: int

    @property
    def step(self) -> timedelta:
        return timedelta(seconds=self.seconds / self.most)


class TooManyAttempts(Exception):
    """Nothing was tried. The next attempt may be made after `wait` seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"wait {wait:.0f} seconds")
        self.wait = math.ceil(wait)


class Attempt:
    """One attempt, counted against each of `counts` as a failure until it is given back.

    Raises `TooManyAttempts`, and counts nothing, where any of them is used up.
    """

    def __init__(self, *counts: tuple[Limit, str]) -> None:
        self._taken: list[tuple[Limit, str]] = []
        refused = 0.0
        _purge()
        with transaction.atomic():  # one sync of the disk for all of them
            for limit, subject in counts:
                refused = _take(limit, subject)
                if refused:
                    self.give_back()
                    break
                self._taken.append((limit, subject))
        if refused:
            raise TooManyAttempts(refused)

    def give_back(self) -> None:
        """The attempt succeeded, or could not be made: it does not count."""
        taken, self._taken = self._taken, []
        with transaction.atomic():
            for limit, subject in taken:  # in the order of taking: nobody waits in a circle
                _give_back(limit, subject)


def add(limit: Limit, subject: str) -> None:
    """Count one failure, also past the limit, up to twice of it."""
    key = _key(limit, subject)
    for _ in range(_TRIES):
        now = timezone.now()
        before = _full_until(key)
        most = now + timedelta(seconds=2 * limit.seconds)
        after = min(max(before or now, now) + limit.step, most)
        if after == before or _put(key, before, after):
            return


def is_used_up(limit: Limit, subject: str) -> bool:
    """Return whether more was counted than the limit says."""
    until = _full_until(_key(limit, subject))
    return until is not None and until - timezone.now() > timedelta(seconds=limit.seconds)


def forget(limit: Limit, subject: str) -> None:
    """Lets the subject begin anew."""
    FailedAttempts.objects.filter(pk=_key(limit, subject)).delete()


def subject_of(name: str) -> str:
    """A name as it was typed, in the one form under which all databases would find its account."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def _key(limit: Limit, subject: str) -> str:
    # A digest: what strangers type, sometimes a password, is kept nowhere.
    return hashlib.sha256(f"{limit.name}:{subject}".encode("utf-8", "surrogatepass")).hexdigest()


def _take(limit: Limit, subject: str) -> float:
    """Counts one failure and returns 0; or the seconds to wait, and counts nothing."""
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
    """When all that was counted will have leaked away; None where nothing was."""
    return FailedAttempts.objects.filter(pk=key).values_list("until", flat=True).first()


def _put(key: str, before: datetime | None, after: datetime) -> bool:
    """Whether the row could be changed from what was read to what is to be."""
    if before is not None:
        return FailedAttempts.objects.filter(pk=key, until=before).update(until=after) == 1
    try:
        with transaction.atomic():
            FailedAttempts.objects.create(pk=key, until=after)
    except IntegrityError:
        return False
    return True


def _purge() -> None:
    """Delete rows that say nothing any more, but for those that others hold just now."""
    rows = FailedAttempts.objects.filter(until__lt=timezone.now())
    if not rows.exists():
        return
    with transaction.atomic():
        locked = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)
        FailedAttempts.objects.filter(pk__in=list(locked[:PURGE_MAX])).delete()


class BadTokens:
    """Counts calls with bad tokens by address, in this process and roughly.

    Nobody guesses 256 bits. This only tells a client that repeats itself to wait, at no cost: no
    row is written, and good tokens from the same address go on.
    """

    MOST, SECONDS, ADDRESSES_MAX = 100, 60, 10_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait(self, address: str) -> int:
        """Counts one, and returns the seconds to wait, or 0."""
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
