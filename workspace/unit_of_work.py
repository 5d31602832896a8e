"""The write path: every change of a user's documents is one `UnitOfWork`, and one commit.

`UnitOfWork.run` lists the steps in their order. Start here to change what happens at each write.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar, cast

from docstore import Bounds, DocumentStore, Transaction
from workspace.actor import Actor
from workspace.bounds import HISTORY_SHARE, HOURLY_BYTES_MIN, HOURLY_SHARE, ORDINARY_BOUNDS
from workspace.documents import deep_copy, key_of
from workspace.idempotency import IdempotencyKey, find_response, store_response
from workspace.installation import installation
from workspace.request_context import latest_commit, latest_quota, request_id
from workspace.schema.collections import Record
from workspace.sharing.membership_index import sync_index
from workspace.sharing.permissions import NO_GRANT, Access, Grant, authorize
from workspace.users.activity_retention import retain
from workspace.users.call_counts import NOTHING_HELD, Held
from workspace.users.call_meter import CallMeter, activity_limits
from workspace.users.document import Activity, count_api_call, record_activity, take_counts
from workspace.users.quota import Quota
from workspace.users.storage_use import StorageCheck
from workspace.users.written_bytes import WrittenBytes

Result = TypeVar("Result")

# The activity of a change, or a function of the resulting record, which it must not modify.
ActivityOf = Activity | Callable[[Record], Activity] | None


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """Options of a change.

    `caller` is the actor, who is logged and metered, by default the owner. With `once` (an
    idempotency key), a repeated call returns the stored result. `activity` is logged. `metered`
    counts a call, and `counts_read` a read. `licence` permits changes of memberships. With
    `relaxed`, a power failure may undo the commit. With `here`, the edit runs in this thread, for
    example because it uses the thread's database connection.
    """

    caller: Actor | None = None
    once: IdempotencyKey | None = None
    activity: ActivityOf = None
    metered: bool = False
    counts_read: bool = False
    licence: Grant = NO_GRANT
    relaxed: bool = False
    here: bool = False
    bounds: Bounds = ORDINARY_BOUNDS


PLAIN: Final = WriteOptions()


def history_share() -> int:
    """Return a user's share of the journal's history, in bytes."""
    return int(installation.limits.history_bytes * HISTORY_SHARE)


class Services:
    """The services that all changes of a store share: the meter, and the limits of its users."""

    def __init__(self, meter: CallMeter) -> None:
        self.meter, self.written, self.space = meter, WrittenBytes(), StorageCheck(history_share)


class UnitOfWork(Generic[Result]):
    """One change: an edit, with all that belongs to it, in one commit."""

    def __init__(
        self,
        services: Services,
        owner: int,
        edit: Callable[[Transaction], Result],
        options: WriteOptions,
    ) -> None:
        self._services, self._owner, self._edit, self._options = services, owner, edit, options
        self._caller = options.caller or Actor(owner)
        self._person = self._caller.user_id
        self._number = 0  # of the commit
        self._forget_attempt()

    def commit(self, store: DocumentStore, now: Callable[[], datetime]) -> Result:
        """Run the steps in one commit, and return a copy of the edit's result."""
        options = self._options
        if options.bounds is ORDINARY_BOUNDS:
            self._services.written.check(self._person, now())
        result = store.change(
            lambda transaction: self.run(transaction, store),
            actor=str(self._person),
            request_id=request_id.get(),
            relaxed=options.relaxed,
            here=options.here,
            bounds=options.bounds,
            note=lambda number: self._committed(number, now()),
        )
        latest_commit.set(self._number)
        latest_quota.set(self._quota)
        if self._has_more_activities:
            self._services.meter.move_activities_later(self._person)
        return deep_copy(result) if isinstance(result, dict | list) else result

    def run(self, transaction: Transaction, store: DocumentStore) -> Result:
        """Run the steps of the change. The store may call it again after a conflict."""
        self._forget_attempt()
        if replayed := self._replay(transaction):
            return replayed[0]
        access = self._access_before(transaction)
        self._count_call(transaction)
        result = self._edit(transaction)
        sync_index(transaction)  # the index of memberships
        self._take_held_counts(transaction)
        self._log_activity(transaction, result)
        self._retain_activities(transaction)
        self._store_response(transaction, result)
        authorize(transaction, self._person, access, self._options.licence)
        self._check_space(transaction, store)
        return result

    def _forget_attempt(self) -> None:
        self._held: Held = NOTHING_HELD  # uncommitted counts that this commit includes
        self._has_more_activities = False  # whether activities remain to be moved
        self._quota: Quota | None = None  # after the call
        self._size = 0  # bytes of the records put and removed

    def _replay(self, transaction: Transaction) -> tuple[Result] | None:
        once = self._options.once
        stored = find_response(transaction, self._person, once) if once is not None else None
        return (cast(Result, stored[0]),) if stored else None

    def _access_before(self, transaction: Transaction) -> Access | None:
        """Return the actor's permissions before the edit, by which `authorize` authorizes it."""
        # Operations on memberships check access themselves: invited users have none yet.
        if self._options.licence.members:
            return None
        return Access.of(transaction, self._person, self._owner)

    def _count_call(self, transaction: Transaction) -> None:
        """Raises `QuotaExceeded` and `TooManyCalls`, before the edit does any work."""
        if self._options.metered or self._options.counts_read:
            held = self._held = self._services.meter.counts.snapshot(self._person)
            reads = held
            if self._options.counts_read:
                reads = held.with_read(self._caller.token, transaction.now)
            self._quota = count_api_call(transaction, self._caller, held, reads)

    def _take_held_counts(self, transaction: Transaction) -> None:
        """Commit counts of reads along with this change, unless the call was counted already."""
        if self._held is not NOTHING_HELD:
            return
        if self._options.activity is not None or transaction.changed:
            self._held = self._services.meter.counts.snapshot(self._person)
            take_counts(transaction, self._person, self._held)

    def _log_activity(self, transaction: Transaction, result: Result) -> None:
        activity = self._options.activity
        if activity is not None:
            entry = activity(cast(Record, result)) if callable(activity) else activity
            record_activity(transaction, self._person, self._owner, entry)

    def _retain_activities(self, transaction: Transaction) -> None:
        if key_of("users", self._person) in transaction.changed:
            # Without this, a user with a long log could change nothing any more.
            transaction.lift_bounds()
            self._has_more_activities = retain(transaction, self._person, activity_limits())

    def _store_response(self, transaction: Transaction, result: Any) -> None:
        if self._options.once is not None:
            store_response(transaction, self._person, self._options.once, result)

    def _check_space(self, transaction: Transaction, store: DocumentStore) -> None:
        self._size = transaction.bytes_put
        limit = installation.limits.storage_bytes
        self._services.space.check(store, transaction, self._person, limit)

    def _committed(self, number: int, now: datetime) -> None:
        """Settle the counts, once the commit has its number. Runs under the writer lock."""
        self._number = number
        self._services.meter.counts.settle(self._person, self._held)
        share = int(installation.limits.history_bytes * HOURLY_SHARE)
        self._services.written.add(self._person, now, self._size, max(share, HOURLY_BYTES_MIN))
