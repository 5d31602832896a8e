"""JSONStorageManager: users' tasks, projects and models on top of the document store.

Every change, by page, API or Python, goes through `_change`. `utils.records` validates records.
`docstore` stores documents.

    from utils.json_storage import json_storage

    task = json_storage.save_task_data(7, {"title": "Train the baseline", "priority": "high"})
    json_storage.update("tasks", 7, task["id"], {"status": "completed"})

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

import atexit
import builtins
import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar, cast

from django.conf import settings

from docstore import (
    COUNTED_ID_MAX,
    UNBOUNDED,
    Bounds,
    Conflict,
    DocumentStore,
    Entry,
    History,
    NotFound,
    Observer,
    RecordList,
    StoreError,
    Transaction,
    Unavailable,
    folder_of,
    has_folder,
    id_of,
    open_store,
    read_from_snapshots,
    utc_now,
)
from docstore.backends.files.backend import FilesBackend
from docstore.merging import FILE_ACTOR
from utils.bounds import (
    HISTORY_KEEP_SECONDS,
    HISTORY_SHARE,
    HOURLY_BYTES_MIN,
    HOURLY_SHARE,
    IMPORT_TRIES,
    ORDINARY_BOUNDS,
)
from utils.bulk import Bulk, Patch, refuse_misshapen
from utils.caller import Caller
from utils.documents import (
    UnknownCollection,
    key_of,
    own_copy,
    require_id,
    require_records,
)
from utils.edits import Changed, Changes, Expect, create_record, delete_record, update_record
from utils.file_edits import discard_all, merge_file
from utils.once import Once, keep, replay
from utils.people.call_counts import COMMIT_SECONDS, NOTHING_HELD, READS, CallCounts, Held
from utils.people.dropping import drop_person
from utils.people.past import Past, past_of
from utils.people.person import (
    Activity,
    account_of,
    checked_activity,
    log,
    meter,
    mirror,
    prefer,
    quota_now,
    take_counts,
    tell,
)
from utils.people.preferences import Change, Preferences, preferences_in
from utils.people.quota import (
    BURST_UNTIL,
    BY_TOKEN,
    PERIOD,
    Quota,
    QuotaExceeded,
    TooManyCalls,
    after_one_more,
    period_of,
)
from utils.people.retention import CHECKED, Limits, retain
from utils.people.storage import Storage, StorageCheck, storage_of
from utils.people.written_bytes import WrittenBytes
from utils.portability.exporting import Export
from utils.portability.importing import Arrival, Mode, judge
from utils.portability.package import Package
from utils.records import COLLECTIONS, RECORD_COLLECTIONS, Record, Unknown
from utils.sharing.access import ORDINARY, Access, Forbidden, Licence, access_to, check
from utils.sharing.index import follow, mend_index
from utils.statistics import statistics
from utils.times import parse_time
from utils.undo import Touched, Undoing

__all__ = [
    "Activity",
    "Caller",
    "Changed",
    "Forbidden",
    "JSONStorageManager",
    "Once",
    "Quota",
    "QuotaExceeded",
    "TooManyCalls",
    "Touched",
    "json_storage",
    "latest_commit",
    "latest_quota",
    "request_id",
]

Result = TypeVar("Result")

log_messages = logging.getLogger(__name__)

# The id of the current web request, recorded in its commits. The middleware sets it.
request_id: ContextVar[str] = ContextVar("request_id", default="")

# The number of the latest commit in this context, or 0. The middleware resets it.
latest_commit: ContextVar[int] = ContextVar("latest_commit", default=0)

# The folder of the backups, within the data folder.
BACKUPS: Final = "backups"

# The caller's quota after the latest metered change in this context. The middleware resets it.
latest_quota: ContextVar[Quota | None] = ContextVar("latest_quota", default=None)

# Fields of a user document that the dashboard omits.
_NOT_TOLD = {"activities", BY_TOKEN, BURST_UNTIL, READS, CHECKED}

# The activity of a change, or a function of the resulting record, which it must not modify.
ActivityOf = Activity | Callable[[Record], Activity] | None


class JSONStorageManager:
    """The storage of a NeuralFlow installation. Thread-safe and fork-safe.

    It uses the given `store`, or the one in the settings. `clock` returns the current time, also
    for its commits.
    """

    def __init__(
        self, store: DocumentStore | None = None, *, commit_seconds: float = COMMIT_SECONDS
    ) -> None:
        self._given = self._store = store
        if store is not None:
            store.merge_files_with(merge_file)
            read_from_snapshots(store, BACKUPS)
        self.clock: Callable[[], datetime] = store.clock if store is not None else utc_now
        self._opening = threading.Lock()
        self._observer = Observer()
        self._counts, self.commit_seconds = CallCounts(), commit_seconds
        self._timer: threading.Timer | None = None
        self._written, self._space = WrittenBytes(), StorageCheck(_history_bytes)
        self._overfull: set[int] = set()  # users with activities that remain to be moved
        _managers.add(self)

    def __repr__(self) -> str:
        return f"<JSONStorageManager {self._store or 'not opened yet'}>"

    @property
    def store(self) -> DocumentStore:
        """The store. At first use it is opened from the setting NEURALFLOW_STORE, unless given."""
        if self._store is None:
            with self._opening:
                if self._store is None:
                    self._store = self._open()
        return self._store

    def _open(self) -> DocumentStore:
        store = open_store(
            settings.NEURALFLOW_STORE,
            [spec.layout for spec in COLLECTIONS.values()],
            clock=lambda: self.clock(),
            history=History(
                settings.NEURALFLOW_HISTORY_DAYS,
                settings.NEURALFLOW_HISTORY_BYTES,
                HISTORY_SHARE,
                HISTORY_KEEP_SECONDS,
            ),
            cache_bytes=settings.NEURALFLOW_CACHE_BYTES,
        )
        store.merge_files_with(merge_file)
        read_from_snapshots(store, BACKUPS)
        store.observe(self._observer)
        return store

    def observe(self, observer: Observer) -> None:
        """Report what the store does in this process to the observer, such as for metrics."""
        self._observer = observer
        if self._store is not None:
            self._store.observe(observer)

    @property
    def folder(self) -> Path | None:
        """The data folder, or None if documents are not files. Does not open the store.

        Raises `Unavailable` if NEURALFLOW_STORE is not understood.
        """
        if self._store is not None:
            backend = self._store.backend
            return backend.root if isinstance(backend, FilesBackend) else None
        url: str = settings.NEURALFLOW_STORE
        try:
            return folder_of(url) if has_folder(url) else None
        except ValueError as fault:
            raise Unavailable(f"NEURALFLOW_STORE is not understood: {fault}") from fault

    def close(self) -> None:
        """Close the store. The next use opens it again.

        A given store is reopened. Otherwise the store that NEURALFLOW_STORE then names is opened.
        Uncommitted counts of API calls are committed first.
        """
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self.commit_counts()
        self._written, self._space = WrittenBytes(), StorageCheck(_history_bytes)
        store, self._store = self._store, self._given
        if store is not None:
            store.close()

    # Records

    def create(
        self,
        collection: str,
        owner: int,
        data: Mapping[str, Any],
        *,
        caller: Caller | None = None,
        once: Once | None = None,
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

        return self._change(
            owner, edit, caller=caller, once=once, activity=activity, metered=metered
        )

    def get(
        self, collection: str, owner: int, record_id: int, *, caller: Caller | None = None
    ) -> Record:
        """Return the owner's record with this id. Raises `NotFound` if it is not visible."""
        access = self.access(collection, owner, caller)
        require_id(COLLECTIONS[collection].singular, record_id)
        matches = self._records(collection, owner).find(record_id)
        if not matches or access.role(collection, matches[0]) is None:
            raise NotFound(f"there is no {COLLECTIONS[collection].singular} {record_id}")
        return cast(Record, own_copy(matches[0]))

    def list(
        self, collection: str, owner: int, *, caller: Caller | None = None
    ) -> builtins.list[Record]:
        """Return copies of all visible records of the owner, in the order of the file.

        Return [] without a document. Raises `NotFound` if the owner shares nothing with the caller.
        """
        return [own_copy(record) for record in self.view(collection, owner, caller=caller)]

    def view(
        self, collection: str, owner: int, *, caller: Caller | None = None
    ) -> Sequence[Mapping[str, Any]]:
        """Return the records of `list` without copying. They are shared, and must not be modified.

        Copying thousands of records would cost more than most uses of them.
        """
        access = self.access(collection, owner, caller)
        records = self._records(collection, owner)
        if access.roles is not None:
            return access.seen(collection, records)
        if records.only_objects:
            return records
        return [item for item in records if isinstance(item, dict)]

    def access(self, collection: str, owner: int, caller: Caller | None = None) -> Access:
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
        caller: Caller | None = None,
        once: Once | None = None,
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

        result = self._change(
            owner, edit, caller=caller, once=once, activity=activity, metered=metered
        )
        replayed = once is not None and once.replayed
        if report_next is not None and added is not None and not replayed:
            report_next(own_copy(added))
        return result

    def delete(
        self,
        collection: str,
        owner: int,
        record_id: int,
        *,
        expect: Expect = None,
        caller: Caller | None = None,
        once: Once | None = None,
        activity: ActivityOf = None,
        metered: bool = False,
    ) -> Record:
        """Delete a record and return it. References to it become null."""
        require_records(collection)

        def edit(transaction: Transaction) -> Record:
            access = access_to(transaction, collection, owner, caller)
            return delete_record(transaction, access, collection, record_id, expect)

        return self._change(
            owner, edit, caller=caller, once=once, activity=activity, metered=metered
        )

    def bulk(
        self,
        collection: str,
        owner: int,
        operations: object,
        *,
        patch: Patch | None = None,
        caller: Caller | None = None,
        once: Once | None = None,
        activity: ActivityOf = None,
        metered: bool = False,
        unknown: Unknown = "refuse_unknown",
    ) -> builtins.list[Record]:
        """Apply bulk operations (`utils.bulk`) in one commit, as one call. Return their results."""
        require_records(collection)
        wanted = refuse_misshapen(operations)

        def edit(transaction: Transaction) -> Record:
            access = access_to(transaction, collection, owner, caller)
            run = Bulk(transaction, access, collection, unknown, patch)
            return {"results": run.run(wanted)}

        done = self._change(
            owner, edit, caller=caller, once=once, activity=activity, metered=metered
        )
        return cast(builtins.list[Record], done["results"])

    def undo(
        self,
        person: int,
        commit: int,
        request: str = "",
        *,
        not_before: datetime | None = None,
        caller: Caller | None = None,
        once: Once | None = None,
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
            undoing.set_back(transaction)
            return undoing.told()

        return self._change(
            undoing.owner,
            edit,
            caller=caller or Caller(person),
            once=once,
            activity=activity,
            metered=metered,
            # Restoring an own project restores its member entries.
            licence=Licence(members=undoing.owner == person),
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

        return self._change(user.pk, edit, activity=activity)

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
                log(transaction, user_id, activity)
            return record

        return self._change(user_id, edit, here=True)  # this thread has the database connection

    def get_user_data(self, user_id: int) -> Record | None:
        """Return the complete user document with recent activities, or None."""
        document = self.store.read(key_of("users", user_id))
        return own_copy(document.content) if document else None

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
            return prefer(transaction, user_id, change)

        return preferences_in({"preferences": self._change(user_id, edit)})

    def save_task_data(self, user_id: int, data: Mapping[str, Any]) -> Record:
        """Create a task, or update the one with the given `id`."""
        return self._save("tasks", user_id, data)

    def save_project_data(self, user_id: int, data: Mapping[str, Any]) -> Record:
        """Create a project, or update the one with the given `id`."""
        return self._save("projects", user_id, data)

    def save_model_data(self, user_id: int, data: Mapping[str, Any]) -> Record:
        """Create a model, or update the one with the given `id`."""
        return self._save("models", user_id, data)

    def get_user_tasks(self, user_id: int) -> builtins.list[Record]:
        """Return all tasks of the user."""
        return self.list("tasks", user_id)

    def get_user_projects(self, user_id: int) -> builtins.list[Record]:
        """Return all projects of the user."""
        return self.list("projects", user_id)

    def get_user_models(self, user_id: int) -> builtins.list[Record]:
        """Return all models of the user."""
        return self.list("models", user_id)

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
            return log(transaction, user_id, activity)

        return self._change(user_id, edit)

    def record_call(
        self, user_id: int, activity: Activity, *, caller: Caller | None = None
    ) -> Quota:
        """Count and log an API call that changed no record. Return the remaining quota.

        It counts for the caller, by default the user. The commit is relaxed: a power failure may
        undo it. Raises `QuotaExceeded` and `TooManyCalls`.
        """
        who = caller or Caller(user_id)

        def edit(transaction: Transaction) -> None:
            log(transaction, who.user_id, activity)

        self._change(who.user_id, edit, caller=who, metered=True, relaxed=True)
        return self.quota(who.user_id)

    def record_read(self, caller: Caller) -> Quota:
        """Count an API read. Return the remaining quota.

        The count stays in memory (`call_counts`). It is committed at once only if this process has
        too many uncommitted counts. Raises `QuotaExceeded` and `TooManyCalls`.
        """
        quota = self._hold(caller.user_id, caller.token)
        if quota is None:
            self._change(caller.user_id, _nothing_else, caller=caller, read=True, relaxed=True)
            quota = self.quota(caller.user_id)
        return quota

    def take_free_call(self, user_id: int, calls: int = 1) -> None:
        """Count calls in the burst only, in memory.

        For work without a change: pages, and refused calls. Raises `TooManyCalls`.
        """
        now, document = self.clock(), self.store.read(key_of("users", user_id))
        if document is None:
            return
        content = document.content

        def judge(held: Held) -> datetime | None:
            quota = quota_now(content, now, held.of_hour(now)).after_uncounted(calls)
            return now + quota.burst.busy

        self._counts.add(user_id, None, now, judge, calls)

    def _hold(self, user_id: int, token: str) -> Quota | None:
        """Count a call in memory and return the quota after it, or None if it must be committed."""
        now, document = self.clock(), self.store.read(key_of("users", user_id))
        if document is None:
            return None
        content = document.content
        committed, after = quota_now(content, now), list[Quota]()

        def judge(held: Held) -> datetime | None:
            before = quota_now(content, now, held.of_hour(now))
            after[:] = [after_one_more(before, token)]
            if held.calls + 1 > committed.may_hold_back:
                return None
            return now + after[0].burst.busy

        if not self._counts.add(user_id, token, now, judge):
            return None
        self._commit_later()
        return after[0]

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
            self.commit_counts()
        except Exception:
            log_messages.exception("API calls could not be counted")

    def commit_counts(self) -> None:
        """Commit the uncommitted counts of API calls. Counts that fail to commit stay in memory."""
        for person in self._counts.people():
            try:
                self._commit_counts_of(person)
                # Reads alone also add activities, so the document may have grown too large.
                self._overfull.add(person)
            except (StoreError, OSError) as fault:
                log_messages.warning("API calls of %s are not counted yet: %s", person, fault)

        self._move_activities()

    def _move_activities(self) -> None:
        """Move old activities that a commit left behind, in several commits."""
        for person in tuple(self._overfull):
            self._overfull.discard(person)
            try:
                while self.retain_activities(person):
                    pass
            except (StoreError, OSError) as fault:
                log_messages.warning("Activities of %s cannot be moved yet: %s", person, fault)

    def retain_activities(self, user_id: int) -> bool:
        """Move old activities to their own document, and delete expired ones.

        The user's changes do so, too. Return whether there is more to do.
        """

        def edit(transaction: Transaction) -> bool:
            return retain(transaction, user_id, _limits())

        return self.store.change(edit, actor=str(user_id), relaxed=True)

    def _commit_counts_of(self, person: int) -> None:
        held = NOTHING_HELD

        def edit(transaction: Transaction) -> None:
            nonlocal held
            held = self._counts.snapshot(person)
            take_counts(transaction, person, held)

        self.store.change(
            edit,
            actor=str(person),
            relaxed=True,
            note=lambda _number: self._counts.settle(person, held),
        )
        if self.store.read(key_of("users", person)) is None:  # the user was deleted
            self._counts.settle(person, held)

    def quota(self, user_id: int) -> Quota:
        """Return the user's quota, including uncommitted counts."""
        now, document = self.clock(), self.store.read(key_of("users", user_id))
        held = self._counts.snapshot(user_id)
        return quota_now(document.content if document else None, now, held.of_hour(now))

    def storage(self, user_id: int) -> Storage:
        """Return what counts against the user's storage limit."""
        return storage_of(self.store, user_id, _storage_bytes(), _history_bytes())

    def past(self, user_id: int) -> Past:
        """Return all retained activities, oldest first. They must not be modified."""
        return past_of(self.store, user_id)

    def activities(self, user_id: int, latest: int = 10) -> builtins.list[Record]:
        """Return copies of the newest activities, newest first."""
        newest = self.past(user_id)[-latest:] if latest > 0 else []
        return [own_copy(activity) for activity in reversed(newest)]

    def dashboard(self, user_id: int) -> dict[str, Any]:
        """Return the user, the statistics, and the ten latest activities."""
        now = self.clock()
        document = self.store.read(key_of("users", user_id))
        content = document.content if document else {"user_id": user_id}
        user = {name: value for name, value in content.items() if name not in _NOT_TOLD}
        quota = self.quota(user_id)
        user |= {"api_calls_used": quota.used, PERIOD: period_of(now)}
        if settings.NEURALFLOW_API_CALLS_LIMIT is not None:
            user["api_calls_limit"] = settings.NEURALFLOW_API_CALLS_LIMIT
        tasks, projects, models = (self.view(name, user_id) for name in RECORD_COLLECTIONS)
        return {
            "user": own_copy(user),
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
        caller: Caller | None = None,
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
        arrival = Arrival(package, stored, user_id, now)

        keys = [key_of(name, user_id) for name in RECORD_COLLECTIONS]
        for _ in range(IMPORT_TRIES):
            # Without the lock: what takes long with many records must not keep others waiting.
            trial = self.store.trial()
            report = arrival.take_in(trial, mode).told()
            if dry_run:
                return report

            def edit(transaction: Transaction, trial: Transaction = trial) -> Record:
                if not transaction.adopt(trial, keys):
                    raise Conflict("records were changed while the archive was taken in")
                return report  # noqa: B023 (it runs before the next round)

            with suppress(Conflict):
                return self._change(
                    user_id,
                    edit,
                    caller=caller,
                    activity=activity,
                    metered=metered,
                    bounds=UNBOUNDED,
                )
        raise Conflict("records were changed while the archive was taken in: try again")

    def drop_person(self, user_id: int) -> Record:
        """Delete all documents of a user, and their memberships with others, in one commit.

        Return the number of records per document, and of projects left. Nothing is logged for the
        user, whose document is deleted.
        """

        def edit(transaction: Transaction) -> Record:
            return drop_person(transaction, user_id)

        # Without bounds: a large account must not prevent its deletion.
        licence = Licence(members=True)
        dropped = self._change(user_id, edit, licence=licence, bounds=UNBOUNDED)
        discard_all(self.store, user_id)
        return dropped

    def mend_shared(self, user_id: int) -> bool:
        """Repair the index of memberships after hand edits. Return whether anything changed.

        Covers the user's memberships and the members of the user's projects.
        """

        def edit(transaction: Transaction) -> bool:
            return mend_index(transaction, user_id)

        return self._change(user_id, edit, bounds=UNBOUNDED)

    # The whole store

    def owners(self, collection: str) -> Iterator[int]:
        """Return the ids of all users with a document in the collection, sorted."""
        if collection not in COLLECTIONS:
            raise UnknownCollection(collection, tuple(COLLECTIONS))
        return (key.owner for key in self.store.keys(collection))

    def highest_owner(self) -> int:
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

    # The write path

    def _change(
        self,
        owner: int,
        edit: Callable[[Transaction], Result],
        *,
        caller: Caller | None = None,
        once: Once | None = None,
        activity: ActivityOf = None,
        metered: bool = False,
        read: bool = False,
        licence: Licence = ORDINARY,
        relaxed: bool = False,
        here: bool = False,
        bounds: Bounds = ORDINARY_BOUNDS,
    ) -> Result:
        """Run an edit with its activity and count in one commit. Every change goes through here."""
        who = caller or Caller(owner)
        held = NOTHING_HELD  # uncommitted counts that this commit includes
        has_more = False  # True if activities remain to be moved
        quota: Quota | None = None  # after the call
        size = 0  # bytes of the records put and removed
        if bounds is ORDINARY_BOUNDS:
            self._written.check(who.user_id, self.clock())

        def whole_edit(transaction: Transaction) -> Result:
            nonlocal held, has_more, quota, size
            held, has_more, quota, size = NOTHING_HELD, False, None, 0
            if once is not None and (stored := replay(transaction, who.user_id, once)):
                return cast(Result, stored[0])
            # Operations on memberships check access themselves: invited users have none yet.
            before = None if licence.members else Access.of(transaction, who.user_id, owner)
            if metered or read:
                held = self._counts.snapshot(who.user_id)
                more = held.with_read(who.token, transaction.now) if read else held
                quota = meter(transaction, who, held, more)
            result = edit(transaction)
            follow(transaction)
            if held is NOTHING_HELD and (activity is not None or transaction.changed):
                held = self._counts.snapshot(who.user_id)
                take_counts(transaction, who.user_id, held)
            if activity is not None:
                entry = activity(cast(Record, result)) if callable(activity) else activity
                tell(transaction, who.user_id, owner, entry)
            if key_of("users", who.user_id) in transaction.changed:
                transaction.lift_bounds()  # or who has a long log could change nothing any more
                has_more = retain(transaction, who.user_id, _limits())
            if once is not None:
                keep(transaction, who.user_id, once, result)
            check(transaction, who.user_id, before, licence)
            size = transaction.bytes_put
            self._space.check(self.store, transaction, who.user_id, _storage_bytes())
            return result

        def note(number: int) -> None:
            numbers.append(number)
            self._counts.settle(who.user_id, held)
            allowed = max(int(settings.NEURALFLOW_HISTORY_BYTES * HOURLY_SHARE), HOURLY_BYTES_MIN)
            self._written.add(who.user_id, self.clock(), size, allowed)

        numbers: builtins.list[int] = []
        result = self.store.change(
            whole_edit,
            actor=str(who.user_id),
            request_id=request_id.get(),
            relaxed=relaxed,
            here=here,
            bounds=bounds,
            note=note,
        )
        latest_commit.set(sum(numbers))
        latest_quota.set(quota)
        if has_more:
            self._overfull.add(who.user_id)
            self._commit_later()
        return own_copy(result) if isinstance(result, dict | list) else result

    def _save(self, collection: str, owner: int, data: Mapping[str, Any]) -> Record:
        record_id = id_of(data)
        if record_id is None:  # `create` refuses an invalid id
            return self.create(collection, owner, data)
        return self.update(collection, owner, record_id, data)


def _is_own(entry: Entry, person: int) -> bool:
    """Return whether the user made the commit, by page, by call, or by editing an own file."""
    if entry.actor == FILE_ACTOR:
        return all(change.key.owner == person for change in entry.changes)
    return entry.actor == str(person)


def _limits() -> Limits:
    return Limits(settings.NEURALFLOW_ACTIVITY_DAYS, settings.NEURALFLOW_ACTIVITY_MAX)


def _storage_bytes() -> int:
    limit: int = settings.NEURALFLOW_STORAGE_BYTES
    return limit


def _history_bytes() -> int:
    """Return a user's share of the history, in bytes."""
    return int(settings.NEURALFLOW_HISTORY_BYTES * HISTORY_SHARE)


def _nothing_else(transaction: Transaction) -> None:
    """Change nothing, in a commit that only counts the call."""


_managers: weakref.WeakSet[JSONStorageManager] = weakref.WeakSet()


def _commit_all_counts() -> None:
    for manager in tuple(_managers):
        manager.commit_counts()


atexit.register(_commit_all_counts)  # handlers run in reverse order, so before stores close

json_storage = JSONStorageManager()
"""The storage in the settings, opened at first use."""
