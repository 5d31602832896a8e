"""The meter of API calls: reads are counted in memory and committed within seconds.

A change commits its own count (`workspace.unit_of_work`), and with it the counts of reads that this
process still holds.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from docstore import DocumentStore, StoreError, Transaction
from workspace.documents import key_of
from workspace.installation import installation
from workspace.users.activity_retention import RetentionLimits, retain
from workspace.users.call_counts import COMMIT_SECONDS, NOTHING_HELD, CallCounts, Held
from workspace.users.document import quota_from, take_counts
from workspace.users.quota import Quota, StoredCounts, after_one_more, may_hold_back

log = logging.getLogger(__name__)

_PARSED_MAX: Final = 10_000  # users whose counts stay parsed
_NO_DOCUMENT: Final = StoredCounts.of({})
_NOT_PARSED: Final[tuple[Mapping[str, Any] | None, StoredCounts]] = (None, _NO_DOCUMENT)


class CallMeter:
    """Counts the calls of users. Thread-safe.

    `store` and `clock` are functions, because the manager may replace either.
    """

    def __init__(
        self,
        store: Callable[[], DocumentStore],
        clock: Callable[[], datetime],
        *,
        commit_seconds: float = COMMIT_SECONDS,
    ) -> None:
        self._store, self._clock = store, clock
        self.counts, self.commit_seconds = CallCounts(), commit_seconds
        self._timer: threading.Timer | None = None
        self._parsed: dict[int, tuple[Mapping[str, Any] | None, StoredCounts]] = {}
        self._overfull: set[int] = set()  # users with activities that remain to be moved

    def quota(self, user_id: int) -> Quota:
        """Return the user's quota, including uncommitted counts."""
        now, stored = self._clock(), self._stored(user_id) or _NO_DOCUMENT
        return quota_from(stored, now, self.counts.snapshot(user_id).of_hour(now))

    def _stored(self, user_id: int) -> StoredCounts | None:
        """Return the counts in the user's document, or None if there is no document."""
        document = self._store().read(key_of("users", user_id))
        if document is None:
            return None
        content, stored = self._parsed.get(user_id, _NOT_PARSED)
        if content is not document.content:
            stored = StoredCounts.of(document.content)
            if len(self._parsed) >= _PARSED_MAX:
                self._parsed.clear()
            self._parsed[user_id] = document.content, stored
        return stored

    def count_burst(self, user_id: int, calls: int) -> None:
        """Count calls in the burst only. Raises `TooManyCalls`."""
        now, stored = self._clock(), self._stored(user_id)
        if stored is None:
            return

        def judge(held: Held) -> datetime | None:
            quota = quota_from(stored, now, held.of_hour(now)).after_uncounted(calls)
            return now + quota.burst.busy

        self.counts.add(user_id, None, now, judge, calls)

    def hold(self, user_id: int, token: str) -> Quota | None:
        """Count a call in memory and return the quota after it, or None if it must be committed."""
        now, stored = self._clock(), self._stored(user_id)
        if stored is None:
            return None
        after = list[Quota]()

        def judge(held: Held) -> datetime | None:
            uncommitted = held.of_hour(now)
            before = quota_from(stored, now, uncommitted)
            after[:] = [after_one_more(before, token)]
            committed = stored.burst(now, installation.limits.burst)
            if held.calls + 1 > may_hold_back(before, committed, uncommitted):
                return None
            return now + after[0].burst.busy

        if not self.counts.add(user_id, token, now, judge):
            return None
        self._commit_later()
        return after[0]

    def commit(self) -> None:
        """Commit the uncommitted counts. Counts that fail to commit stay in memory."""
        for user_id in self.counts.people():
            try:
                self._commit_of(user_id)
                # Reads alone also add activities, so the document may have grown too large.
                self._overfull.add(user_id)
            except (StoreError, OSError) as fault:
                log.warning("API calls of %s are not counted yet: %s", user_id, fault)
        self._move_activities()

    def move_activities_later(self, user_id: int) -> None:
        """Move the rest of the user's old activities after this commit, in commits of its own."""
        self._overfull.add(user_id)
        self._commit_later()

    def retain_activities(self, user_id: int) -> bool:
        """Move old activities to their own document, and delete expired ones.

        The user's changes do so, too. Return whether there is more to do.
        """

        def edit(transaction: Transaction) -> bool:
            return retain(transaction, user_id, activity_limits())

        return self._store().change(edit, actor=str(user_id), relaxed=True)

    def stop(self) -> None:
        """Cancel the timer and commit the counts."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self.commit()

    def _commit_of(self, user_id: int) -> None:
        held = NOTHING_HELD

        def edit(transaction: Transaction) -> None:
            nonlocal held
            held = self.counts.snapshot(user_id)
            take_counts(transaction, user_id, held)

        store = self._store()
        store.change(
            edit,
            actor=str(user_id),
            relaxed=True,
            note=lambda _number: self.counts.settle(user_id, held),
        )
        if store.read(key_of("users", user_id)) is None:  # the user was deleted
            self.counts.settle(user_id, held)

    def _commit_later(self) -> None:
        timer = self._timer
        if timer is None or not timer.is_alive():  # after a fork, the parent's timer is dead
            timer = threading.Timer(self.commit_seconds, self._commit_in_time)
            timer.daemon = True
            self._timer = timer
            timer.start()

    def _commit_in_time(self) -> None:
        self._timer = None  # reset first, so that a concurrent call starts another timer
        try:
            self.commit()
        except Exception:
            log.exception("API calls could not be counted")

    def _move_activities(self) -> None:
        """Move old activities that a commit left behind, in several commits."""
        for user_id in tuple(self._overfull):
            self._overfull.discard(user_id)
            try:
                while self.retain_activities(user_id):
                    pass
            except (StoreError, OSError) as fault:
                log.warning("Activities of %s cannot be moved yet: %s", user_id, fault)


def activity_limits() -> RetentionLimits:
    """Return how many activities are retained, and for how long."""
    return RetentionLimits(installation.limits.activity_days, installation.limits.activity_max)
