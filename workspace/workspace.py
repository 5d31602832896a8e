"""A workspace: users' tasks, projects and models on top of the document store.

Every change, by page, API or Python, goes through `change`, which is one `UnitOfWork`.
`workspace.schema.validation` validates records. `docstore` stores documents.

All methods except `view` return plain dicts that the caller may modify. They raise `InvalidRecord`
for invalid data, `UnknownCollection`, `NotFound` (a record, or the user), `Conflict`, `Corrupt`,
and `Unavailable` or `OutOfSpace` if the store cannot be written. After an error nothing has
changed.

`caller` is the actor, whose calls are metered and who is logged, by default the owner. With
`metered`, the call is counted, or refused with `QuotaExceeded` or `TooManyCalls`. With `once` (an
idempotency key), a repeated call returns the stored result and has no further effect.
`once.replayed` then is True. `KeyReused` and `TooManyKeys` refuse a key.
"""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar, cast

from backups.restore import read_from_backups
from docstore import (
    COUNTED_ID_MAX,
    UNBOUNDED,
    Conflict,
    DocumentStore,
    Entry,
    NotFound,
    Observer,
    RecordList,
    Transaction,
    utc_now,
)
from docstore.merging import FILE_ACTOR
from workspace.actor import Actor
from workspace.archive.exporter import Export
from workspace.archive.importer import Mode, PreparedImport, judge
from workspace.archive.package import Package
from workspace.bounds import IMPORT_TRIES
from workspace.documents import UnknownCollection, deep_copy, key_of, require_id, require_records
from workspace.file_edits import discard_all, merge_file
from workspace.idempotency import IdempotencyKey
from workspace.installation import installation
from workspace.records.bulk import Bulk, Patch, refuse_misshapen
from workspace.records.crud import Changes, Expect, create_record, delete_record, update_record
from workspace.records.undo import Undoing
from workspace.schema.validation import COLLECTIONS, RECORD_COLLECTIONS, Record, Unknown
from workspace.sharing.membership_index import repair_index
from workspace.sharing.permissions import Access, Grant, access_to
from workspace.tasks.statistics import statistics
from workspace.timestamps import parse_time
from workspace.unit_of_work import (
    PLAIN,
    ActivityOf,
    Services,
    UnitOfWork,
    WriteOptions,
    history_share,
)
from workspace.user_deletion import delete_user_documents
from workspace.users.activity_query import ActivityLog, activity_log
from workspace.users.activity_retention import CHECKED
from workspace.users.call_counts import COMMIT_SECONDS, READS
from workspace.users.call_meter import CallMeter
from workspace.users.document import (
    Activity,
    account_of,
    add_activity,
    checked_activity,
    mirror,
    set_preferences,
)
from workspace.users.preferences import Change, Preferences, preferences_in
from workspace.users.quota import BURST_UNTIL, BY_TOKEN, PERIOD, Quota, period_of
from workspace.users.storage_use import Storage, storage_of

Result = TypeVar("Result")

# The folder of the backups, within the data folder.
BACKUPS: Final = "backups"

# Fields of a user document that the dashboard omits.
_HIDDEN_FIELDS = {"activities", BY_TOKEN, BURST_UNTIL, READS, CHECKED}


class Workspace:
    """The documents of all users in one store. Thread-safe and fork-safe.

    `clock` returns the current time, also for its commits. A subclass that gets no `store` opens
    one at first use (`open_store`).
    """

    def __init__(
        self, store: DocumentStore | None = None, *, commit_seconds: float = COMMIT_SECONDS
    ) -> None:
        self._given = self._store = store
        if store is not None:
            _prepare(store)
        self.clock: Callable[[], datetime] = store.clock if store is not None else utc_now
        self._opening = threading.Lock()
        self.meter = CallMeter(
            lambda: self.store, lambda: self.clock(), commit_seconds=commit_seconds
        )
        self._services = Services(self.meter)
        self._observer = Observer()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._store or 'not opened yet'}>"

    @property
    def store(self) -> DocumentStore:
        """The store. Unless given, it is opened at first use."""
        if self._store is None:
            with self._opening:
                if self._store is None:
                    store = self.open_store()
                    _prepare(store)
                    store.observe(self._observer)
                    self._store = store
        return self._store

    def observe(self, observer: Observer) -> None:
        """Report what the store does in this process to the observer, such as for metrics."""
        self._observer = observer
        if self._store is not None:
            self._store.observe(observer)

    def open_store(self) -> DocumentStore:
        """Open the store that was not given. A subclass knows which."""
        raise NotImplementedError("give a store, or use a subclass that opens one")

    @property
    def folder(self) -> Path | None:
        """The data folder, or None if documents are not files."""
        published = self.store.backend.published
        return published.root if published else None

    def close(self) -> None:
        """Close the store. The next use opens it again.

        Uncommitted counts of API calls are committed first.
        """
        self.meter.stop()
        self._services = Services(self.meter)
        store, self._store = self._store, self._given
        if store is not None:
            store.close()

    # The write path

    def change(
        self,
        owner: int,
        edit: Callable[[Transaction], Result],
        options: WriteOptions = PLAIN,
    ) -> Result:
        """Run an edit of the owner's documents in one commit. Every change goes through here."""
        return UnitOfWork(self._services, owner, edit, options).commit(self.store, self.clock)

    # Records

    def create(
        self,
        collection: str,
        owner: int,
        data: Mapping[str, Any],
        *,
        caller: Actor | None = None,
        once: IdempotencyKey | None = None,
        activity: ActivityOf = None,
        metered: bool = False,
        unknown: Unknown = "refuse_unknown",
    ) -> Record:
        """Create a record and return it, complete, with its id.

        `activity` is logged and `metered` counts an API call, in the same commit. Unknown fields
        are refused, or stored with `unknown="keep"`.
        """
        require_records(collection)

        def edit(transaction: Transaction) -> Record:
            access = access_to(transaction, collection, owner, caller)
            return create_record(transaction, access, collection, data, unknown)

        return self.change(
            owner, edit, WriteOptions(caller=caller, once=once, activity=activity, metered=metered)
        )

    def get(
        self, collection: str, owner: int, record_id: int, *, caller: Actor | None = None
    ) -> Record:
        """Return the owner's record with this id. Raises `NotFound` if it is not visible."""
        access = self.access(collection, owner, caller)
        require_id(COLLECTIONS[collection].singular, record_id)
        matches = self._records(collection, owner).find(record_id)
        if not matches or access.role(collection, matches[0]) is None:
            raise NotFound(f"there is no {COLLECTIONS[collection].singular} {record_id}")
        return cast(Record, deep_copy(matches[0]))

    def list(
        self, collection: str, owner: int, *, caller: Actor | None = None
    ) -> builtins.list[Record]:
        """Return copies of all visible records of the owner, in the order of the file.

        Return [] without a document. Raises `NotFound` if the owner shares nothing with the caller.
        """
        return [deep_copy(record) for record in self.view(collection, owner, caller=caller)]

    def view(
        self, collection: str, owner: int, *, caller: Actor | None = None
    ) -> Sequence[Mapping[str, Any]]:
        """Return the records of `list` without copying. They are shared, and must not be modified.

        Copying thousands of records would cost more than most uses of them.
        """
        access = self.access(collection, owner, caller)
        records = self._records(collection, owner)
        if access.roles is not None:
            return access.seen(collection, records)
        if records.all_objects:
            return records
        return [item for item in records if isinstance(item, dict)]

    def access(self, collection: str, owner: int, caller: Actor | None = None) -> Access:
        """Return the caller's permissions on the owner's records. The default caller is the owner.

        Raises `NotFound` without any permission, before it reads a document of the owner.
        """
        return access_to(self.store, collection, owner, caller)

    def _records(self, collection: str, owner: int) -> RecordList:
        """Return the list of a document. In old files it may have items that are not objects."""
        return self.store.records(key_of(collection, owner))

    def update(
        self,
        collection: str,
        owner: int,
        record_id: int,
        changes: Changes,
        *,
        replace: bool = False,
        expect: Expect = None,
        caller: Actor | None = None,
        once: IdempotencyKey | None = None,
        activity: ActivityOf = None,
        metered: bool = False,
        unknown: Unknown = "refuse_unknown",
        report_next: Callable[[Record], None] | None = None,
    ) -> Record:
        """Change some fields of a record, or with `replace` all, and return the record.

        Raises `Changed` if the precondition `expect` fails. `report_next` is called after the
        commit with the next occurrence, if the change completed a repeating task.
        """
        require_records(collection)
        added: Record | None = None

        def edit(transaction: Transaction) -> Record:
            nonlocal added
            access = access_to(transaction, collection, owner, caller)
            record, added = update_record(
                transaction,
                access,
                collection,
                record_id,
                changes,
                expect=expect,
                replace=replace,
                unknown=unknown,
            )
            return record

        result = self.change(
            owner, edit, WriteOptions(caller=caller, once=once, activity=activity, metered=metered)
        )
        replayed = once is not None and once.replayed
        if report_next is not None and added is not None and not replayed:
            report_next(deep_copy(added))
        return result

    def delete(
        self,
        collection: str,
        owner: int,
        record_id: int,
        *,
        expect: Expect = None,
        caller: Actor | None = None,
        once: IdempotencyKey | None = None,
        activity: ActivityOf = None,
        metered: bool = False,
    ) -> Record:
        """Delete a record and return it. References to it become null."""
        require_records(collection)

        def edit(transaction: Transaction) -> Record:
            access = access_to(transaction, collection, owner, caller)
            return delete_record(transaction, access, collection, record_id, expect)

        return self.change(
            owner, edit, WriteOptions(caller=caller, once=once, activity=activity, metered=metered)
        )

    def bulk(
        self,
        collection: str,
        owner: int,
        operations: object,
        *,
        patch: Patch | None = None,
        caller: Actor | None = None,
        once: IdempotencyKey | None = None,
        activity: ActivityOf = None,
        metered: bool = False,
        unknown: Unknown = "refuse_unknown",
    ) -> builtins.list[Record]:
        """Apply bulk operations in one commit, as one call, and return their results."""
        require_records(collection)
        wanted = refuse_misshapen(operations)

        def edit(transaction: Transaction) -> Record:
            access = access_to(transaction, collection, owner, caller)
            run = Bulk(transaction, access, collection, unknown, patch)
            return {"results": run.run(wanted)}

        done = self.change(
            owner, edit, WriteOptions(caller=caller, once=once, activity=activity, metered=metered)
        )
        return cast(builtins.list[Record], done["results"])

    def undo(
        self,
        person: int,
        commit: int,
        request: str = "",
        *,
        not_before: datetime | None = None,
        caller: Actor | None = None,
        once: IdempotencyKey | None = None,
        activity: ActivityOf = None,
        metered: bool = False,
    ) -> Record:
        """Undo a commit of the user, if its records did not change since.

        With `request`, the commit must belong to that request. With `not_before`, it must not be
        older. Return a description for activities (`Undoing.told`). Raises `Touched` if records
        changed since, and `HistoryGone`, `NotFound` or `Forbidden` if there is nothing that the
        user may undo.
        """
        entry = self.store.entry(commit)
        if entry is None or not _is_own(entry, person) or request not in ("", entry.request_id):
            raise NotFound("there is no such change of yours")
        if not_before is not None and parse_time(entry.at) < not_before:
            raise NotFound("this cannot be undone any more")
        undoing = Undoing(entry, person)

        def edit(transaction: Transaction) -> Record:
            undoing.revert(transaction)
            return undoing.told()

        return self.change(
            undoing.owner,
            edit,
            WriteOptions(
                caller=caller or Actor(person),
                once=once,
                activity=activity,
                metered=metered,
                licence=Grant(members=undoing.owner == person),
            ),
        )

    # People

    def save_user_data(
        self, user: Any, *, lay_out: bool = False, activity: ActivityOf = None
    ) -> Record:
        """Mirror a Django user into their document and return it.

        Activities, API counts and unknown keys remain. If nothing differs, nothing is written.
        `lay_out` creates missing record documents in the same commit.
        """

        def edit(transaction: Transaction) -> Record:
            return mirror(transaction, user, lay_out=lay_out)

        return self.change(user.pk, edit, WriteOptions(activity=activity))

    def mirror_account(
        self, user_id: int, *, lay_out: bool = False, activity: Activity | None = None
    ) -> Record | None:
        """Mirror the account with this id from the database. Return None if it was deleted.

        The account is read under the writer lock. Otherwise, of two concurrent mirrors, the one
        with the older state could win. The rest is as in `save_user_data`.
        """

        def edit(transaction: Transaction) -> Record | None:
            user = account_of(user_id)
            if user is None:
                return None
            record = mirror(transaction, user, lay_out=lay_out)
            if activity is not None:
                add_activity(transaction, user_id, activity)
            return record

        return self.change(
            user_id, edit, WriteOptions(here=True)
        )  # this thread has the database connection

    def get_user_data(self, user_id: int) -> Record | None:
        """Return the complete user document with recent activities, or None."""
        document = self.store.read(key_of("users", user_id))
        return deep_copy(document.content) if document else None

    def preferences(self, user_id: int) -> Preferences:
        """Return the user's preferences, with defaults for those never chosen."""
        document = self.store.read(key_of("users", user_id))
        return preferences_in(document.content if document else {})

    def change_preferences(self, user_id: int, change: Change) -> Preferences:
        """Change some of the user's preferences. Raises `InvalidRecord`.

        `change` has the new values, or computes them from the stored ones, so that concurrent
        changes are not lost.
        """

        def edit(transaction: Transaction) -> Record:
            return set_preferences(transaction, user_id, change)

        return preferences_in({"preferences": self.change(user_id, edit)})

    def update_user_activity(
        self,
        user_id: int,
        type: str,
        description: str,
        metadata: Mapping[str, Any] | None = None,
    ) -> Record:
        """Log an activity and return it as stored. Raises `InvalidRecord` and `NotFound`."""
        activity = checked_activity(type, description, {} if metadata is None else metadata)

        def edit(transaction: Transaction) -> Record:
            return add_activity(transaction, user_id, activity)

        return self.change(user_id, edit)

    def count_call(self, user_id: int, activity: Activity, *, caller: Actor | None = None) -> Quota:
        """Count and log an API call that changed no record. Return the remaining quota.

        It counts for the caller, by default the user. The commit is relaxed: a power failure may
        undo it. Raises `QuotaExceeded` and `TooManyCalls`.
        """
        who = caller or Actor(user_id)

        def edit(transaction: Transaction) -> None:
            add_activity(transaction, who.user_id, activity)

        self.change(who.user_id, edit, WriteOptions(caller=who, metered=True, relaxed=True))
        return self.quota(who.user_id)

    def record_read(self, caller: Actor) -> Quota:
        """Count an API read. Return the remaining quota.

        The count stays in memory (`call_counts`). It is committed at once only if this process has
        too many uncommitted counts. Raises `QuotaExceeded` and `TooManyCalls`.
        """
        quota = self.meter.hold(caller.user_id, caller.token)
        if quota is None:
            self.change(
                caller.user_id,
                _nothing_else,
                WriteOptions(caller=caller, counts_read=True, relaxed=True),
            )
            quota = self.quota(caller.user_id)
        return quota

    def take_free_call(self, user_id: int, calls: int = 1) -> None:
        """Count calls in the burst only, in memory.

        For work without a change: pages, and refused calls. Raises `TooManyCalls`.
        """
        self.meter.count_burst(user_id, calls)

    def commit_counts(self) -> None:
        """Commit the uncommitted counts of API calls. Counts that fail to commit stay in memory."""
        self.meter.commit()

    def retain_activities(self, user_id: int) -> bool:
        """Move old activities to their own document. Return whether there is more to do."""
        return self.meter.retain_activities(user_id)

    def quota(self, user_id: int) -> Quota:
        """Return the user's quota, including uncommitted counts."""
        return self.meter.quota(user_id)

    def storage(self, user_id: int) -> Storage:
        """Return what counts against the user's storage limit."""
        limits = installation.limits
        return storage_of(self.store, user_id, limits.storage_bytes, history_share())

    def past(self, user_id: int) -> ActivityLog:
        """Return all retained activities, oldest first. They must not be modified."""
        return activity_log(self.store, user_id)

    def activities(self, user_id: int, latest: int = 10) -> builtins.list[Record]:
        """Return copies of the newest activities, newest first."""
        newest = self.past(user_id)[-latest:] if latest > 0 else []
        return [deep_copy(activity) for activity in reversed(newest)]

    def dashboard(self, user_id: int) -> dict[str, Any]:
        """Return the user, the statistics, and the ten latest activities."""
        now = self.clock()
        document = self.store.read(key_of("users", user_id))
        content = document.content if document else {"user_id": user_id}
        user = {name: value for name, value in content.items() if name not in _HIDDEN_FIELDS}
        quota = self.quota(user_id)
        user |= {"api_calls_used": quota.used, PERIOD: period_of(now)}
        if installation.limits.api_calls is not None:
            user["api_calls_limit"] = installation.limits.api_calls
        tasks, projects, models = (self.view(name, user_id) for name in RECORD_COLLECTIONS)
        return {
            "user": deep_copy(user),
            "statistics": statistics(tasks, projects, models, now),
            "recent_activities": self.activities(user_id),
        }

    # Export and import

    def export(self, user_id: int) -> Export:
        """Return a zip archive of all files of the user, to iterate over and to close.

        Raises `Unavailable`, and `Corrupt` if a file cannot be read even as bytes.
        """
        return Export(self.store, user_id, self.clock())

    def import_archive(
        self,
        user_id: int,
        file: BinaryIO,
        *,
        mode: Mode = "merge",
        owner: int | None = None,
        dry_run: bool = False,
        caller: Actor | None = None,
        activity: Callable[[Record], Activity] | None = None,
        metered: bool = False,
    ) -> Record:
        """Import the records of an archive in one commit. Return a report (`Report.told`).

        `owner` selects a user if the archive has files of several. With `dry_run`, nothing is
        changed, logged or counted. Raises `ArchiveFault` and `InvalidImport`.
        """
        stored = {name: self._records(name, user_id) for name in RECORD_COLLECTIONS}
        now = self.clock()
        package = Package(file, judge(stored, user_id, now), owner=owner)
        arrival = PreparedImport(package, stored, user_id, now)

        keys = [key_of(name, user_id) for name in RECORD_COLLECTIONS]
        for _ in range(IMPORT_TRIES):
            # Without the lock: what takes long with many records must not keep others waiting.
            trial = self.store.trial()
            report = arrival.apply_to(trial, mode).told()
            if dry_run:
                return report

            def edit(transaction: Transaction, trial: Transaction = trial) -> Record:
                if not transaction.adopt(trial, keys):
                    raise Conflict("records were changed while the archive was taken in")
                return report  # noqa: B023 (it runs before the next round)

            with suppress(Conflict):
                return self.change(
                    user_id,
                    edit,
                    WriteOptions(
                        caller=caller, activity=activity, metered=metered, bounds=UNBOUNDED
                    ),
                )
        raise Conflict("records were changed while the archive was taken in: try again")

    def delete_user_documents(self, user_id: int) -> Record:
        """Delete all documents of a user, and their memberships with others, in one commit.

        Return the number of records per document, and of projects left. Nothing is logged for the
        user, whose document is deleted.
        """

        def edit(transaction: Transaction) -> Record:
            return delete_user_documents(transaction, user_id)

        # Without bounds: a large account must not prevent its deletion.
        licence = Grant(members=True)
        dropped = self.change(user_id, edit, WriteOptions(licence=licence, bounds=UNBOUNDED))
        discard_all(self.store, user_id)
        return dropped

    def repair_memberships(self, user_id: int) -> bool:
        """Repair the index of memberships after hand edits. Return whether anything changed.

        Covers the user's memberships and the members of the user's projects.
        """

        def edit(transaction: Transaction) -> bool:
            return repair_index(transaction, user_id)

        return self.change(user_id, edit, WriteOptions(bounds=UNBOUNDED))

    # The whole store

    def owners(self, collection: str) -> Iterator[int]:
        """Return the ids of all users with a document in the collection, sorted."""
        if collection not in COLLECTIONS:
            raise UnknownCollection(collection, tuple(COLLECTIONS))
        return (key.owner for key in self.store.keys(collection))

    def max_owner_id(self) -> int:
        """Return the highest id with a document, or 0.

        Ids above COUNTED_ID_MAX, from files named by hand, are ignored: no account could get the
        next id.
        """
        owners = (owner for name in COLLECTIONS for owner in self.owners(name))
        return max((owner for owner in owners if owner <= COUNTED_ID_MAX), default=0)

    def publish(self) -> None:
        """Write all pending changes to the files, which otherwise lag by up to 0.1 s.

        Raises `Unavailable` and `OutOfSpace`.
        """
        self.store.publish()


def _prepare(store: DocumentStore) -> None:
    store.merge_files_with(merge_file)
    read_from_backups(store, BACKUPS)


def _is_own(entry: Entry, person: int) -> bool:
    """Return whether the user made the commit, by page, by call, or by editing an own file."""
    if entry.actor == FILE_ACTOR:
        return all(change.key.owner == person for change in entry.changes)
    return entry.actor == str(person)


def _nothing_else(transaction: Transaction) -> None:
    """Change nothing, in a commit that only counts the call."""
