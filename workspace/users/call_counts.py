"""Count API reads in memory until a commit stores them.

A read makes no commit of its own. Its count joins the user's next commit in this process, or a
commit that `JSONStorageManager` makes within `COMMIT_SECONDS` and at exit. A crash loses only the
counts of the last seconds.

A commit takes a `snapshot` and writes it with `fold`. Once it has its sequence number, `settle`
subtracts the snapshot from the counts. Both steps happen under the writer lock, so nothing is
counted twice.

The activities have one entry per token and day. The document's `api_reads` holds its id, so that
later counts of the day update that entry.
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
from workspace.timestamps import format_utc
from workspace.users.quota import Uncommitted, period_of

COMMIT_SECONDS: Final = 5.0
READS: Final = "api_reads"
READ_TYPE: Final = "api_call"


class TokenReads(NamedTuple):
    """The reads with one token in one hour: their number, and the times of the first and last."""

    number: int
    first: datetime
    last: datetime


_Reads = Mapping[tuple[str, str], TokenReads]  # by hour and token


@dataclass(frozen=True)
class Held:
    """A snapshot of one user's uncommitted counts."""

    reads: _Reads = field(default_factory=dict)
    calls: int = 0  # counted by the burst, including those that the hourly quota does not count
    until: datetime | None = None

    def of_hour(self, now: datetime) -> Uncommitted:
        """Return the counts in the hour of `now`, which the quota adds to the document's counts."""
        hour = period_of(now)
        by_token = {token: reads.number for (of, token), reads in self.reads.items() if of == hour}
        return Uncommitted(by_token, self.calls, self.until)

    def with_read(self, token: str, now: datetime) -> Held:
        """Return the counts with one more read."""
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
    """The uncommitted counts of this process, by user. Thread-safe."""

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
        """Count a call at `now` if `judge` permits it. Return whether it was counted.

        `judge` gets the counts so far, under the lock, and returns the new end of the burst, or
        None to refuse. The burst counts the call as `calls`. With a token of None, only the burst
        counts it.
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
        """Return the uncommitted counts of a user."""
        with self._lock:
            return self._held(person)

    def _held(self, person: int) -> Held:
        counts = self._people.get(person)
        if counts is None:
            return NOTHING_HELD
        return Held(dict(counts.reads), counts.calls, counts.until)

    def settle(self, person: int, committed: Held) -> None:
        """Subtract counts that a commit has stored. Calls made since then remain."""
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
        """Return the ids of users with uncommitted counts."""
        with self._lock:
            return list(self._people)

    def forked(self) -> None:
        """Reset after a fork, in the child.

        Without this, the child could wait forever for a lock that a thread of the parent held, and
        would commit the parent's counts a second time.
        """
        self._lock = threading.Lock()
        self._people = {}


_all_counts: weakref.WeakSet[CallCounts] = weakref.WeakSet()


def _renew_after_fork() -> None:
    for counts in tuple(_all_counts):
        counts.forked()


os.register_at_fork(after_in_child=_renew_after_fork)


def fold(transaction: Transaction, key: Key, held: Held) -> None:
    """Write the reads into the activities of the user document `key`."""
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
    today = format_utc(transaction.now)[:10]
    current = {
        token: line
        for token, line in known.items()
        if isinstance(line, dict) and str(line.get("day")) >= today
    }
    transaction.set(key, {READS: current})


def _by_token(reads: _Reads) -> dict[str, dict[str, TokenReads]]:
    """Return the reads by token and day, earlier days first."""
    merged: dict[str, dict[str, TokenReads]] = {}
    for (hour, token), more in sorted(reads.items()):
        days = merged.setdefault(token, {})
        before = days.get(hour[:10], TokenReads(0, more.first, more.last))
        days[hour[:10]] = TokenReads(before.number + more.number, before.first, more.last)
    return merged


def _written(
    transaction: Transaction, key: Key, token: str, number: object, reads: TokenReads
) -> int:
    """Add the reads to the activity with this id, or create one. Return its id."""
    matches = transaction.records(key).find(number) if type(number) is int else ()
    line = matches[0] if len(matches) == 1 and matches[0].get("type") == READ_TYPE else None
    metadata: dict[str, Any] = dict(line.get("metadata") or {}) if line is not None else {}
    before = metadata.get("count")
    count = reads.number + (before if type(before) is int else 0)
    metadata |= {"via": "api", **({"token": token} if token else {})}
    metadata |= {"count": count, "until": format_utc(reads.last)}
    record_id: int = line["id"] if line is not None else transaction.new_id(key)
    record = {
        "id": record_id,
        "type": READ_TYPE,
        "description": f"Read {count} times" if count > 1 else "Read once",
        "timestamp": format_utc(reads.first),
        "metadata": metadata,
    }
    if line is not None:
        record["timestamp"] = line.get("timestamp")
    transaction.put(key, record)
    return record_id
