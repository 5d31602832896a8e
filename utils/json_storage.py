"""JSONStorageManager: people's tasks, projects and models, over the document store.

Every change goes through `_change`, whichever door it came through. What a record may hold is
said in `utils.records`; how a document is kept is the business of `docstore`.

    from utils.json_storage import json_storage

    task = json_storage.save_task_data(7, {"title": "Train the baseline", "priority": "high"})
    json_storage.update("tasks", 7, task["id"], {"status": "completed"})

All methods but `view` return plain dicts that are the caller's own. They raise `InvalidRecord` for
data that breaks the rules, `UnknownCollection`, `NotFound` (of a record, or a person who does not
exist), `Conflict`, `Corrupt`, and `Unavailable` or `OutOfSpace` when the store cannot be written;
then nothing has changed.

`caller` is who acts: whose calls are metered and under whom it is logged; by default the owner.
With `metered`, the call is counted, or refused with `QuotaExceeded` or `TooManyCalls`. With `once`,
a call that was made before is answered as it was then and has no further effect; `once.replayed`
tells, and `KeyReused` and `TooManyKeys` refuse.
"""

from __future__ import annotations

import atexit
import builtins
import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar, cast

from django.conf import settings

from docstore import (
    COUNTED_ID_MAX,
    UNBOUNDED,
    Bounds,
    DocumentStore,
    Entry,
    History,
    NotFound,
    RecordList,
    StoreError,
    Transaction,
    Unavailable,
    folder_of,
    id_of,
    open_store,
    read_from_snapshots,
    utc_now,
)
from docstore.backends.files import FilesBackend
from docstore.merging import FILE_ACTOR
from utils.bounds import (
    HISTORY_KEEP_SECONDS,
    HISTORY_SHARE,
    HOURLY_SHARE,
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

# The id of the web request that a change belongs to; the middleware sets it.
request_id: ContextVar[str] = ContextVar("request_id", default="")

# The number of the latest commit that was made in this context, and 0 where it made none; the
# middleware sets it to 0.
latest_commit: ContextVar[int] = ContextVar("latest_commit", default=0)

# The folder of the backups, within the data folder.
BACKUPS: Final = "backups"

# The caller's quota after the latest metered change in this context; the middleware resets it.
latest_quota: ContextVar[Quota | None] = ContextVar("latest_quota", default=None)

# Of a person's document, what the dashboard leaves to others.
_NOT_TOLD = {"activities", BY_TOKEN, BURST_UNTIL, READS, CHECKED}

# What happened, or how to tell it from the record that came of it, which it may only read.
ActivityOf = Activity | Callable[[Record], Activity] | None


class JSONStorageManager:
    """The storage of one NeuralFlow; safe to share between threads and over a fork.

    It works on the `store` that it is given and on no other, or on the one that the settings name.
    `clock` is where it takes the time from, that of its commits included.
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
        self._counts, self.commit_seconds = CallCounts(), commit_seconds
        self._timer: threading.Timer | None = None
        self._written, self._space = WrittenBytes(), StorageCheck()
        self._overfull: set[int] = set()  # people of whom activities are left to be moved
        _managers.add(self)

    def __repr__(self) -> str:
        return f"<JSONStorageManager {self._store or 'not opened yet'}>"

    @property
    def store(self) -> DocumentStore:
        """The store: the given one, or at first use opened from the setting NEURALFLOW_STORE."""
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
        return store

    @property
    def folder(self) -> Path | None:
        """The data folder, where documents are files. Opens nothing.

        Raises `Unavailable` when NEURALFLOW_STORE names neither a folder nor `memory:`.
        """
        if self._store is not None:
            backend = self._store.backend
            return backend.root if isinstance(backend, FilesBackend) else None
        url: str = settings.NEURALFLOW_STORE
        try:
            return None if url == "memory:" else folder_of(url)
        except ValueError as fault:
            raise Unavailable(f"NEURALFLOW_STORE is not understood: {fault}") from fault

    def close(self) -> None:
        """Close the store. The next use opens it again.

        A manager that was given a store reopens that one. A manager over the settings opens what
        NEURALFLOW_STORE names by then. Counts of calls held in memory are committed first.
        """
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self.commit_counts()
        self._written, self._space = WrittenBytes(), StorageCheck()
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
        """Stores a new record and returns it, complete, with its id.

        `activity` is logged and `metered` counts one API call, in the same commit. Fields that the
        collection does not have are refused, and stored with `unknown="keep"`.
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
        """The owner's record with this id, as the caller may see it. Raises `NotFound`."""
        access = self.access(collection, owner, caller)
        require_id(COLLECTIONS[collection].singular, record_id)
        found = self._records(collection, owner).find(record_id)
        if not found or access.role(collection, found[0]) is None:
            raise NotFound(f"there is no {COLLECTIONS[collection].singular} {record_id}")
        return cast(Record, own_copy(found[0]))

    def list(
        self, collection: str, owner: int, *, caller: Caller | None = None
    ) -> builtins.list[Record]:
        """All records of the owner that the caller may see, in the order of the file.

        Empty where there is no document. Raises `NotFound` where the owner shares nothing with
        the caller.
        """
        return [own_copy(record) for record in self.view(collection, owner, caller=caller)]

    def view(
        self, collection: str, owner: int, *, caller: Caller | None = None
    ) -> Sequence[Mapping[str, Any]]:
        """What `list` copies, for those who only read: shared with all readers, never to change.

        Of thousands of records, the copy would cost more than most of what is done with them.
        """
        access = self.access(collection, owner, caller)
        records = self._records(collection, owner)
        if access.roles is not None:
            return access.seen(collection, records)
        if records.only_objects:
            return records
        return [item for item in records if isinstance(item, dict)]

    def access(self, collection: str, owner: int, caller: Caller | None = None) -> Access:
        """What the caller, by default the owner, may see of the owner's records.

        Raises `NotFound` where that is nothing, before any document of the owner is read.
        """
        return access_to(self.store, collection, owner, caller)

    def _records(self, collection: str, owner: int) -> RecordList:
        """What the document lists; of an old folder also what is no object."""
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
        """Changes some fields of a record, or with `replace` all of them; returns the record.

        With `expect`, raises `Changed` when the record is no longer so. `report_next` is called
        after the commit with the next task, if this change completed a repeating one and added it.
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
        """Removes a record and returns it. What referred to it, refers to nothing afterwards."""
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
        """Does many operations (`utils.bulk`) in one commit, as one call; returns their results.

        `patch` makes the changes of an update of the record and of what the operation says. An
        `activity` that is a function is given {"results": [...]}.
        """
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
        """Sets back what the person changed in a commit of theirs, if it is still as they left it.

        With `request`, the commit must be one of that request, and with `not_before` it must not
        be older. Returns what an activity can tell
        of it (`Undoing.told`). Raises `Touched` for what was changed since, and `HistoryGone`,
        `NotFound`, `Forbidden` where there is nothing that the person may set back.
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
            # Who is a member comes back with a project of one's own.
            licence=Licence(members=undoing.owner == person),
        )

    # People

    def save_user_data(
        self, user: Any, *, lay_out: bool = False, activity: ActivityOf = None
    ) -> Record:
        """Mirrors a Django user into their document and returns it.

        Activities, the count of API calls and unknown keys stay. Nothing is written when
        nothing differs. With `lay_out`, their other documents are begun in the same commit.
        """

        def edit(transaction: Transaction) -> Record:
            return mirror(transaction, user, lay_out=lay_out)

        return self._change(user.pk, edit, activity=activity)

    def mirror_account(
        self, user_id: int, *, lay_out: bool = False, activity: Activity | None = None
    ) -> Record | None:
        """Mirrors the account with this id as the database has it; None when it is gone.

        The account is read while writers wait: of two who mirror it at once, neither writes a
        state that is older than the other's. The rest is as with `save_user_data`.
        """

        def edit(transaction: Transaction) -> Record | None:
            user = account_of(user_id)
            if user is None:
                return None
            record = mirror(transaction, user, lay_out=lay_out)
            if activity is not None:
                log(transaction, user_id, activity)
            return record

        return self._change(user_id, edit, here=True)  # where the database's connection is

    def get_user_data(self, user_id: int) -> Record | None:
        """The user's whole document, activities included; None where there is none."""
        document = self.store.read(key_of("users", user_id))
        return own_copy(document.content) if document else None

    def preferences(self, user_id: int) -> Preferences:
        """How the person wants pages to be; what they never chose is as the table says."""
        document = self.store.read(key_of("users", user_id))
        return preferences_in(document.content if document else {})

    def change_preferences(self, user_id: int, change: Change) -> Preferences:
        """Changes some of the person's preferences. Raises `InvalidRecord`.

        `change` is what to set, or makes that from what is stored: then of two who change at once,
        neither loses what the other did.
        """

        def edit(transaction: Transaction) -> Record:
            return prefer(transaction, user_id, change)

        return preferences_in({"preferences": self._change(user_id, edit)})

    def save_task_data(self, user_id: int, data: Mapping[str, Any]) -> Record:
        """Stores a task: a new one, or changes to the one whose `id` is given."""
        return self._save("tasks", user_id, data)

    def save_project_data(self, user_id: int, data: Mapping[str, Any]) -> Record:
        """Stores a project: a new one, or changes to the one whose `id` is given."""
        return self._save("projects", user_id, data)

    def save_model_data(self, user_id: int, data: Mapping[str, Any]) -> Record:
        """Stores a model: a new one, or changes to the one whose `id` is given."""
        return self._save("models", user_id, data)

    def get_user_tasks(self, user_id: int) -> builtins.list[Record]:
        """All tasks of the user."""
        return self.list("tasks", user_id)

    def get_user_projects(self, user_id: int) -> builtins.list[Record]:
        """All projects of the user."""
        return self.list("projects", user_id)

    def get_user_models(self, user_id: int) -> builtins.list[Record]:
        """All models of the user."""
        return self.list("models", user_id)

    def update_user_activity(
        self,
        user_id: int,
        type: str,
        description: str,
        metadata: Mapping[str, Any] | None = None,
    ) -> Record:
        """Logs an activity and returns it as stored. Raises `InvalidRecord`, `NotFound`."""
        activity = checked_activity(type, description, {} if metadata is None else metadata)

        def edit(transaction: Transaction) -> Record:
            return log(transaction, user_id, activity)

        return self._change(user_id, edit)

    def record_call(
        self, user_id: int, activity: Activity, *, caller: Caller | None = None
    ) -> Quota:
        """Counts and logs an API call that changed no record; returns what is left.

        It is the caller's, by default the user's. A power cut may take the count back. Raises
        `QuotaExceeded`, `TooManyCalls`.
        """
        who = caller or Caller(user_id)

        def edit(transaction: Transaction) -> None:
            log(transaction, who.user_id, activity)

        self._change(who.user_id, edit, caller=who, metered=True, relaxed=True)
        return self.quota(who.user_id)

    def record_read(self, caller: Caller) -> Quota:
        """Counts an API call that only reads; returns what is left.

        The count is held in memory (`call_counts`), and committed only where the process holds
        back too many. Raises `QuotaExceeded`, `TooManyCalls`.
        """
        quota = self._hold(caller.user_id, caller.token)
        if quota is None:
            self._change(caller.user_id, _nothing_else, caller=caller, read=True, relaxed=True)
            quota = self.quota(caller.user_id)
        return quota

    def take_free_call(self, user_id: int, calls: int = 1) -> None:
        """Takes calls from the burst and none from the hour, in memory: nothing is written for it.

        For what costs work and changes nothing: pages, and calls that are refused. Raises
        `TooManyCalls`.
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
        """Counts a call in memory and returns the quota after it.

        Returns None if it must be committed instead.
        """
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
        if timer is None or not timer.is_alive():  # not alive: of the process that forked this one
            timer = threading.Timer(self.commit_seconds, self._commit_in_time)
            timer.daemon = True
            self._timer = timer
            timer.start()

    def _commit_in_time(self) -> None:
        self._timer = None  # first: a call counted from now on starts another one
        try:
            self.commit_counts()
        except Exception:
            log_messages.exception("API calls could not be counted")

    def commit_counts(self) -> None:
        """Commits the counts of API calls that are held in memory; what cannot be, stays there."""
        for person in self._counts.people():
            try:
                self._commit_counts_of(person)
                self._overfull.add(person)  # perhaps: who only reads has a large document, too
            except (StoreError, OSError) as fault:
                log_messages.warning("API calls of %s are not counted yet: %s", person, fault)

        self._move_activities()

    def _move_activities(self) -> None:
        """Moves what a commit left of too many activities, a part at a time."""
        for person in tuple(self._overfull):
            self._overfull.discard(person)
            try:
                while self.retain_activities(person):
                    pass
            except (StoreError, OSError) as fault:
                log_messages.warning("Activities of %s cannot be moved yet: %s", person, fault)

    def retain_activities(self, user_id: int) -> bool:
        """Moves old activities to their own document, and removes those that are too old.

        It happens by itself with the person's changes. Returns whether there is more to do.
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
        if self.store.read(key_of("users", person)) is None:  # they left
            self._counts.settle(person, held)

    def quota(self, user_id: int) -> Quota:
        """How many API calls the user has used and may make."""
        now, document = self.clock(), self.store.read(key_of("users", user_id))
        held = self._counts.snapshot(user_id)
        return quota_now(document.content if document else None, now, held.of_hour(now))

    def storage(self, user_id: int) -> Storage:
        """How many bytes the user's files have, and may have."""
        return storage_of(self.store, user_id, _storage_bytes())

    def past(self, user_id: int) -> Past:
        """All activities that are retained, oldest first; to read, never to change."""
        return past_of(self.store, user_id)

    def activities(self, user_id: int, latest: int = 10) -> builtins.list[Record]:
        """The newest activities, newest first."""
        newest = self.past(user_id)[-latest:] if latest > 0 else []
        return [own_copy(activity) for activity in reversed(newest)]

    def dashboard(self, user_id: int) -> dict[str, Any]:
        """The person, the figures, and the ten latest activities."""
        now = self.clock()
        document = self.store.read(key_of("users", user_id))
        told = document.content if document else {"user_id": user_id}
        user = {name: value for name, value in told.items() if name not in _NOT_TOLD}
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

    # In and out

    def export(self, user_id: int) -> Export:
        """All files of the person in one zip archive, to be read piece by piece and closed.

        Raises `Unavailable`, and `Corrupt` for what cannot be read as bytes.
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
        """Takes in the records of an archive, all or nothing; returns a report (`Report.told`).

        `owner` chooses among the people that the archive has files of. With `dry_run`, nothing is
        changed, logged or counted. Raises `ArchiveFault`, `InvalidImport`.
        """
        here = {name: self._records(name, user_id) for name in RECORD_COLLECTIONS}
        now = self.clock()
        package = Package(file, judge(here, user_id, now), owner=owner)
        arrival = Arrival(package, here, user_id, now)

        def edit(transaction: Transaction) -> Record:
            report = arrival.take_in(transaction, mode).told()
            if dry_run:
                raise _OnlyLooked(report)
            return report

        try:
            return self._change(
                user_id,
                edit,
                caller=caller,
                activity=activity,
                metered=metered,
                bounds=UNBOUNDED,
            )
        except _OnlyLooked as looked:
            return looked.report

    def drop_person(self, user_id: int) -> Record:
        """Removes all documents of a person, and what names them in those of others; one commit.

        Returns how many records went with each document, and from how many projects of others
        the person was taken out. Nothing is logged for them: there is nothing left to log it in.
        """

        def edit(transaction: Transaction) -> Record:
            return drop_person(transaction, user_id)

        # In one commit, however much it is: nobody is kept from leaving.
        licence = Licence(members=True)
        dropped = self._change(user_id, edit, licence=licence, bounds=UNBOUNDED)
        discard_all(self.store, user_id)
        return dropped

    def mend_shared(self, user_id: int) -> bool:
        """Makes what people are told is shared agree with the projects, where a hand parted them.

        Of what is shared with the person, and of what they share; whether anything was wrong.
        """

        def edit(transaction: Transaction) -> bool:
            return mend_index(transaction, user_id)

        return self._change(user_id, edit, bounds=UNBOUNDED)

    # The whole store

    def owners(self, collection: str) -> Iterator[int]:
        """The ids of all who have a document in the collection, in order."""
        if collection not in COLLECTIONS:
            raise UnknownCollection(collection, tuple(COLLECTIONS))
        return (key.owner for key in self.store.keys(collection))

    def highest_owner(self) -> int:
        """The highest id that has a document; 0 in an empty store.

        The number of a file that a hand named does not count where no account could get the next.
        """
        owners = (owner for name in COLLECTIONS for owner in self.owners(name))
        return max((owner for owner in owners if owner <= COUNTED_ID_MAX), default=0)

    def publish(self) -> None:
        """Makes every file exact: by themselves they are up to a tenth of a second behind.

        Raises `Unavailable`, `OutOfSpace`.
        """
        self.store.publish()

    # How it is done

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
        """The one way to change anything: the edit, its activity and its count, in one commit.

        And the one place where rights are decided: whatever the edit did, and whichever method
        made it, is refused unless it is the caller's to do. Raises `Forbidden`, and `NotFound`
        where the owner shares nothing with the caller.
        """
        who = caller or Caller(owner)
        held = NOTHING_HELD  # calls held in memory that this commit takes along
        has_more = False  # activities to move out of the person's document
        quota: Quota | None = None  # after the call
        size = 0  # of the records put and removed
        if bounds is ORDINARY_BOUNDS:
            self._written.check(who.user_id, self.clock())

        def whole_edit(transaction: Transaction) -> Result:
            nonlocal held, has_more, quota, size
            held, has_more, quota = NOTHING_HELD, False, None
            if once is not None and (kept := replay(transaction, who.user_id, once)):
                return cast(Result, kept[0])
            # An operation on memberships looks for itself: who is invited has no access yet.
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
                told = activity(cast(Record, result)) if callable(activity) else activity
                tell(transaction, who.user_id, owner, told)
            if key_of("users", who.user_id) in transaction.changed:
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
            allowed = max(int(settings.NEURALFLOW_HISTORY_BYTES * HOURLY_SHARE), 1)
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
        if record_id is None:  # an id that is none is refused
            return self.create(collection, owner, data)
        return self.update(collection, owner, record_id, data)


def _is_own(entry: Entry, person: int) -> bool:
    """Return whether the person made a change, by a page or call or in a file of theirs."""
    if entry.actor == FILE_ACTOR:
        return all(change.key.owner == person for change in entry.changes)
    return entry.actor == str(person)


class _OnlyLooked(Exception):
    """Ends a transaction that was to be tried only."""

    def __init__(self, report: Record) -> None:
        super().__init__()
        self.report = report


def _limits() -> Limits:
    return Limits(settings.NEURALFLOW_ACTIVITY_DAYS, settings.NEURALFLOW_ACTIVITY_MAX)


def _storage_bytes() -> int:
    limit: int = settings.NEURALFLOW_STORAGE_BYTES
    return limit


def _nothing_else(transaction: Transaction) -> None:
    """An edit of which the count of the call is all."""


_managers: weakref.WeakSet[JSONStorageManager] = weakref.WeakSet()


def _commit_all_counts() -> None:
    for manager in tuple(_managers):
        manager.commit_counts()


atexit.register(_commit_all_counts)  # runs before the one that closes the stores

json_storage = JSONStorageManager()
"""The storage that the settings name; opened at first use."""
