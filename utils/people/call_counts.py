"""Counts of API calls that only read, in memory until a commit takes them along.

A read writes nothing of its own. Its count joins the person's next commit in this process, or one
that `JSONStorageManager` makes within `COMMIT_SECONDS`, and at exit. A crash loses the counts of
the last seconds, and nothing else.

A commit takes a `snapshot`, writes it (`fold`), and once it has its number, `settle` forgets what
it held. Both happen while no other writer has the store, so nothing is counted twice.

The activities hold one line a token and day. Its id is in `api_reads`, so that a later count of the
day is added to it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from docstore import Key, Transaction
from utils.people.quota import Uncommitted, period_of
from utils.times import utc_text

COMMIT_SECONDS: Final = 5.0
READS: Final = "api_reads"
READ_TYPE: Final = "api_call"


class TokenReads(NamedTuple):
    """The reads with one token in one hour: how many, and the first and the last of them."""

    number: int
    first: datetime
    last: datetime


_Reads = Mapping[tuple[str, str], TokenReads]  # by hour and token


@dataclass(frozen=True)
class Held:
    """The counts of one person at one moment."""

    reads: _Reads = field(default_factory=dict)
    calls: int = 0  # that moved the burst on, those that the hour does not count included
    until: datetime | None = None

    def of_hour(self, now: datetime) -> Uncommitted:
        """The counts of the hour of `now`, as the quota adds them to those in the document."""
        hour = period_of(now)
        by_token = {token: reads.number for (of, token), reads in self.reads.items() if of == hour}
        return Uncommitted(by_token, self.calls, self.until)

    def with_read(self, token: str, now: datetime) -> Held:
        """These, and one more read."""
        reads = dict(self.reads)
        _count_read(reads, token, now)
        return replace(self, reads=reads)


NOTHING_HELD: Final = Held()


@dataclass
class _Counts:
    reads: dict[tuple[str, str], TokenReads] = field(default_factory=dict)
    calls: int = 0
    until: datetime | None = None


def _count_read(reads: dict[tuple[str, str], TokenReads], token: str, now: datetime) -> None:
    place = period_of(now), token
    before = reads.get(place, TokenReads(0, now, now))
    reads[place] = TokenReads(before.number + 1, before.first, now)


class CallCounts:
    """The counts that this process holds, by person. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._people: dict[int, _Counts] = {}
        _all_counts.add(self)

    def add(
        self,
        person: int,
        token: str | None,
        now: datetime,
        judge: Callable[[Held], datetime | None],
        calls: int = 1,
    ) -> bool:
        """Counts a call at `now`, if `judge` lets it; returns whether it did.

        The burst counts it as `calls`.

        `judge` is given the counts so far, while nobody changes them, and returns where the call
        moves the end of the burst, or None. With a token of None, only the burst counts it.
        """
        with self._lock:
            until = judge(self._held(person))
            if until is None:
                return False
            counts = self._people.setdefault(person, _Counts())
            counts.calls += calls
            counts.until = until
            if token is not None:
                _count_read(counts.reads, token, now)
            return True

    def snapshot(self, person: int) -> Held:
        """The counts of the person so far."""
        with self._lock:
            return self._held(person)

    def _held(self, person: int) -> Held:
        counts = self._people.get(person)
        if counts is None:
            return NOTHING_HELD
        return Held(dict(counts.reads), counts.calls, counts.until)

    def settle(self, person: int, committed: Held) -> None:
        """Forgets what a commit took along; calls made since then stay."""
        with self._lock:
            counts = self._people.get(person)
            if counts is None or committed is NOTHING_HELD:
                return
            counts.calls -= committed.calls
            for place, reads in committed.reads.items():
                left = counts.reads[place].number - reads.number
                if left:
                    counts.reads[place] = counts.reads[place]._replace(number=left)
                else:
                    del counts.reads[place]
            if not counts.calls:
                del self._people[person]

    def people(self) -> list[int]:
        """The ids of all whose counts are held."""
        with self._lock:
            return list(self._people)

    def forked(self) -> None:
        """In a forked child: another thread may have held the lock, and the parent commits its
        own counts."""
        self._lock = threading.Lock()
        self._people = {}


_all_counts: weakref.WeakSet[CallCounts] = weakref.WeakSet()


def _renew_after_fork() -> None:
    for counts in tuple(_all_counts):
        counts.forked()


os.register_at_fork(after_in_child=_renew_after_fork)


def fold(transaction: Transaction, key: Key, held: Held) -> None:
    """Writes the reads into the activities of the person whose document this is."""
    if not held.reads:
        return
    stored = (transaction.document(key) or {}).get(READS)
    known = dict(stored) if isinstance(stored, dict) else {}
    for token, days in _by_token(held.reads).items():
        for day, reads in days.items():
            line = known.get(token)
            same_day = isinstance(line, dict) and line.get("day") == day
            number = line.get("id") if isinstance(line, dict) and same_day else None
            known[token] = {"day": day, "id": _written(transaction, key, token, number, reads)}
    today = utc_text(transaction.now)[:10]
    kept = {
        token: line
        for token, line in known.items()
        if isinstance(line, dict) and str(line.get("day")) >= today
    }
    transaction.set(key, {READS: kept})


def _by_token(reads: _Reads) -> dict[str, dict[str, TokenReads]]:
    """The reads by token and day, the earlier days first."""
    merged: dict[str, dict[str, TokenReads]] = {}
    for (hour, token), more in sorted(reads.items()):
        days = merged.setdefault(token, {})
        before = days.get(hour[:10], TokenReads(0, more.first, more.last))
        days[hour[:10]] = TokenReads(before.number + more.number, before.first, more.last)
    return merged


def _written(
    transaction: Transaction, key: Key, token: str, number: object, reads: TokenReads
) -> int:
    """Adds the reads to the line with this id, or writes a new one; returns its id."""
    found = transaction.records(key).find(number) if type(number) is int else ()
    line = found[0] if len(found) == 1 and found[0].get("type") == READ_TYPE else None
    metadata: dict[str, Any] = dict(line.get("metadata") or {}) if line is not None else {}
    before = metadata.get("count")
    count = reads.number + (before if type(before) is int else 0)
    metadata |= {"via": "api", **({"token": token} if token else {})}
    metadata |= {"count": count, "until": utc_text(reads.last)}
    record_id: int = line["id"] if line is not None else transaction.new_id(key)
    record = {
        "id": record_id,
        "type": READ_TYPE,
        "description": f"Read {count} times" if count > 1 else "Read once",
        "timestamp": utc_text(reads.first),
        "metadata": metadata,
    }
    if line is not None:
        record["timestamp"] = line.get("timestamp")
    transaction.put(key, record)
    return record_id
