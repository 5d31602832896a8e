"""Operations on the data folder as a whole: `DataInitializer`.

Create it, synchronize it with the accounts, validate it, back it up, restore it, count it.
`manage.py setup_data` is its command. Each method can also be called from Python:

    from utils.data_initializer import data_initializer

    for finding in data_initializer.validate_data_integrity():
        print(finding)

However large the folder is, only one user's documents are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import QuerySet, Sum

from backups.manifest import Verified
from docstore import (
    Backend,
    Corrupt,
    Finding,
    Key,
    Unavailable,
    dead_drafts,
    examine,
)
from docstore.backend import Published
from docstore.backends.files.backend import FilesBackend
from docstore.errors import from_os_error
from utils.json_storage import JSONStorageManager, json_storage
from workspace.installation import installation
from workspace.operations import backups
from workspace.operations.integrity import Account, UserRecords, findings_of
from workspace.operations.sharing_check import Agreement, MembershipState, difference_of
from workspace.schema.validation import COLLECTIONS, RECORD_COLLECTIONS
from workspace.texts import folded_name, is_reserved
from workspace.workspace import BACKUPS

COUNTED: Final = ("users", *RECORD_COLLECTIONS)
FOLDERS: Final = (*COUNTED, BACKUPS)
ADOPTED_AT_ONCE: Final = 500

# Called with the number of finished items and their total.
Progress = Callable[[int, int], None]


def _silent(done: int, total: int) -> None:
    """Ignore progress."""


def _everyone(owner: int) -> bool:
    """Accept every owner."""
    return True


@dataclass
class SyncResult:
    """The result of `sync_existing_users`.

    `findings` are the documents that were left unchanged because of a problem. `removed` counts
    users whose pending deletion was finished, and former users who came back with a backup.
    """

    accounts: int = 0
    changed: int = 0
    removed: int = 0
    findings: list[Finding] = field(default_factory=list)


@dataclass
class AdoptionResult:
    """The result of `adopt_users`: new user names, and findings about documents left over."""

    usernames: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


class DataInitializer:
    """Services for the whole store.

    `manager` is the storage, by default the one in the settings. `accounts` are its accounts, by
    default all in the database.
    """

    def __init__(
        self,
        manager: JSONStorageManager | None = None,
        accounts: QuerySet[Any] | None = None,
    ) -> None:
        self._manager = manager or json_storage
        self._given_accounts = accounts

    @property
    def _accounts(self) -> QuerySet[Any]:
        if self._given_accounts is not None:
            return self._given_accounts.all()
        return get_user_model()._default_manager.all()

    @property
    def folder(self) -> Path:
        """The data folder. Raises `Unavailable` if the store is not a folder."""
        folder = self._manager.folder
        if folder is None:
            raise Unavailable(
                "the store is not on files: it has no folder to lay out, back up or restore"
            )
        return folder

    # Creating folders

    def initialize_data_structure(self) -> list[str]:
        """Create missing folders and return their names. Changes nothing else.

        Raises `Unavailable` if a folder cannot be created.
        """
        missing = [name for name in FOLDERS if not (self.folder / name).is_dir()]
        # Opening the store creates the folders of the collections.
        published = self._manager.store.backend.published
        if published is not None:
            for name in missing:
                self._make_folder(published, self.folder / name)
        return missing

    @staticmethod
    def _make_folder(published: Published, folder: Path) -> None:
        try:
            published.make_folder(folder)
        except OSError as error:
            raise from_os_error(error, f"cannot make the folder {folder}") from error

    # Accounts

    def sync_existing_users(self, progress: Progress = _silent) -> SyncResult:
        """Update the documents of each account, and create missing ones.

        A document that cannot be parsed, or belongs to another user, is reported and left
        unchanged. Pending deletions of users are finished.
        """
        result = SyncResult(removed=self._remove_former())
        ids = sorted(self._values("pk"))
        for user_id in ids:
            # Load each account just before mirroring it. A stale copy would overwrite a change
            # that was mirrored meanwhile.
            user = self._accounts.filter(pk=user_id).first()
            if user is not None and user.leaving_at:
                installation.accounts.delete(self._manager, user)
                result.removed += 1
            elif user is not None:
                self._sync(user, result)
            result.accounts += 1
            progress(result.accounts, len(ids))
        return result

    def _remove_former(self) -> int:
        """Delete the documents of deleted users. Return the number of users."""
        former = self._former()
        for owner in former:
            self._manager.delete_user_documents(owner)
        return len(former)

    def _former(self) -> set[int]:
        """Return the ids of deleted users who still have documents."""
        owners = {owner for name in COLLECTIONS for owner in self._manager.owners(name)}
        former: set[int] = get_user_model().former_among(owners - set(self._values("pk")))
        return former

    def _sync(self, user: Any, result: SyncResult) -> None:
        try:
            self._refuse_other_person(user)
            before = self._revisions(user.pk)
            self._manager.mirror_account(user.pk, lay_out=True)
            parted = self._manager.repair_memberships(user.pk)
            result.changed += parted or before != self._revisions(user.pk)
            while self._manager.retain_activities(user.pk):
                pass
            for name in COLLECTIONS:
                if broken := self._manager.store.fault(Key(name, user.pk)):
                    raise broken
        except Corrupt as fault:
            result.findings.append(Finding(fault.document, fault.reason, fault.line, fault.column))
            return
        if user.mirror_faults:
            # Only if no fault was added since the account was read: this mirror does not cover it.
            mended = self._accounts.filter(pk=user.pk, mirror_faults=user.mirror_faults)
            mended.update(mirror_faults=0)

    def _refuse_other_person(self, user: Any) -> None:
        """Raise `Corrupt` if the document with the account's id is that of another user.

        That happens when a folder from elsewhere is used with a new database.
        """
        key = Key("users", user.pk)
        document = self._manager.store.read(key)
        account = Account(user.pk, user.get_username(), user.email)
        if document and (dispute := account.dispute(document.content)):
            raise Corrupt(self._manager.store.backend.name(key), dispute)

    def _revisions(self, owner: int) -> list[int | None]:
        documents = [self._manager.store.read(Key(name, owner)) for name in COLLECTIONS]
        return [document.revision if document else None for document in documents]

    def adopt_users(self, progress: Progress = _silent) -> AdoptionResult:
        """Create an account for each user document whose id the database does not know.

        The accounts have no password: their owners reset it by mail. Documents are not changed.
        Documents without an account are reported: their name or address is taken, or they lack what
        an account needs.
        """
        result = AdoptionResult()
        accounts = self._adoptable(result.findings, progress)
        while batch := list(islice(accounts, ADOPTED_AT_ONCE)):
            # bulk_create sends no signals, which would mirror accounts that already have documents.
            get_user_model()._default_manager.bulk_create(batch)
            result.usernames += [account.username for account in batch]
        return result

    def _adoptable(self, findings: list[Finding], progress: Progress) -> Iterator[Any]:
        names = {folded_name(name) for name in self._values("username")}
        emails = {email.lower() for email in self._values("email")} - {""}
        known = set(self._values("pk"))
        known |= self._former()
        orphans = [owner for owner in self._manager.owners("users") if owner not in known]
        for done, owner in enumerate(orphans, 1):
            examined = examine(self._manager.store.backend, *_located("users", owner))
            account = installation.accounts.from_document(examined, owner, names, emails)
            if account is None:
                findings += examined.findings
            else:
                names.add(folded_name(account.username))
                emails |= {account.email.lower()} - {""}
                yield account
            progress(done, len(orphans))

    def _values(self, name: str) -> Iterator[Any]:
        return self._accounts.values_list(name, flat=True).iterator()

    # Checking

    def validate_data_integrity(
        self, progress: Progress = _silent, wanted: Callable[[int], bool] = _everyone
    ) -> list[Finding]:
        """Check folders, documents, records and references, and compare them with the accounts.

        Changes nothing. Apparent problems are checked again under the writer lock, so that changes
        in progress are not reported. With `wanted`, only the documents of these owners are read.
        """
        folder = self._manager.folder
        if folder is not None and not folder.is_dir():
            return [Finding(f"{folder}/", "the data folder is missing: run setup_data")]
        backend = self._looking_backend()
        findings = [*backend.check(), *(self._backup_findings(folder) if folder else ())]
        accounts = {account.id: account for account in self._known_accounts(self._accounts)}
        owners = {key.owner for name in COLLECTIONS for key in backend.keys(name)}
        everyone = sorted(filter(wanted, owners | accounts.keys()))
        agreement, gone = Agreement(), self._gone(owners)
        for done, owner in enumerate(everyone, 1):
            person = UserRecords(backend, owner)
            agreement.add(person)
            if owner in gone:
                findings.append(Finding(backend.name(Key("users", owner)), gone[owner]))
            elif findings_of(person, accounts.get(owner)):
                findings += self._confirmed(backend, owner)
            progress(done, len(everyone))
        for difference in agreement.differences():
            findings += self._confirmed_difference(backend, difference, accounts)
        return [*findings, *self._name_findings(backend)]

    def _name_findings(self, backend: Backend) -> Iterator[Finding]:
        """Yield findings for names that look like addresses or the operator's, or collide."""
        fields = ("pk", "username", "name_key", "is_staff")
        for pk, name, key, is_staff in self._accounts.values_list(*fields).iterator():
            document, rename = backend.name(Key("users", pk)), "give it another one in /admin/"
            if "@" in name:
                yield Finding(document, f"the user name {name!r} reads as an address: {rename}")
            if is_reserved(name) and not is_staff:
                yield Finding(document, f"the user name {name!r} passes for the operator: {rename}")
            if key != folded_name(name):
                others = self._accounts.filter(name_key=folded_name(name)).exclude(pk=pk)
                other = others.values_list("pk", flat=True).first()
                same = f"is that of account {other} but for its form" if other else "changed"
                yield Finding(document, f"the user name {name!r} {same}: {rename}")

    def _gone(self, owners: set[int]) -> dict[int, str]:
        """Return a problem by id for users whose documents should have been deleted."""
        leaving = self._accounts.filter(leaving_at__isnull=False).values_list("pk", flat=True)
        former: set[int] = get_user_model().former_among(owners - set(self._values("pk")))
        finish = "run setup_data --sync-users, which removes what is left"
        return {owner: f"account {owner} is being deleted: {finish}" for owner in leaving} | {
            owner: f"account {owner} was deleted, and has documents: {finish}" for owner in former
        }

    @staticmethod
    def _confirmed_difference(
        backend: Backend, one: MembershipState, accounts: Collection[int]
    ) -> list[Finding]:
        def look() -> list[Finding]:
            owner, member = UserRecords(backend, one.owner), UserRecords(backend, one.member)
            return difference_of(one, owner, member, accounts)

        try:
            with backend.exclusive():
                return look()
        except Unavailable:  # a read-only folder has no writers
            return look()

    def _looking_backend(self) -> Backend:
        """Return a read-only backend, which creates nothing but includes unpublished changes."""
        folder = self._manager.folder
        if folder is None:
            return self._manager.store.backend
        layouts = {name: spec.layout for name, spec in COLLECTIONS.items()}
        return FilesBackend(folder, layouts, lay_out=False)

    def _confirmed(self, backend: Backend, owner: int) -> list[Finding]:
        def look() -> list[Finding]:
            account = next(self._known_accounts(self._accounts.filter(pk=owner)), None)
            return findings_of(UserRecords(backend, owner), account)

        try:
            with backend.exclusive():
                return look()
        except Unavailable:  # a read-only folder has no writers
            return look()

    @staticmethod
    def _known_accounts(accounts: QuerySet[Any]) -> Iterator[Account]:
        for values in accounts.values_list("pk", "username", "email").iterator():
            yield Account(*values)

    @staticmethod
    def _backup_findings(folder: Path) -> Iterator[Finding]:
        if not (folder / BACKUPS).is_dir():
            yield Finding(f"{BACKUPS}/", "the folder is missing: run setup_data")
            return
        for draft in dead_drafts(folder / BACKUPS):
            problem = "is a backup that was not finished: the next backup removes it"
            yield Finding(f"{BACKUPS}/{draft.name}", problem)

    # Backups

    def create_backup(self, progress: Progress = _silent) -> Path:
        """Create a backup of all documents and the accounts; return the path of its manifest.

        On S3, the path is the manifest's name. `back_up` returns more.
        """
        result = self.back_up(progress=progress)
        folder = Path(result.place)
        return folder / f"{result.backup}.json" if folder.is_absolute() else Path(result.backup)

    def back_up(
        self, *, to: str = "", verify: bool = False, progress: Progress = _silent
    ) -> backups.BackedUp:
        """Create a backup, and verify it if asked to.

        `to` is a folder or `s3://bucket/prefix`, by default the place in the settings. Raises
        `OutOfSpace`, `Unavailable`.
        """
        return backups.create(self._manager, self.folder, to=to, verify=verify, progress=progress)

    def verify_backup(
        self, name: str = backups.LATEST, *, source: str = "", progress: Progress = _silent
    ) -> Verified:
        """Restore a backup into a scratch folder, check everything there, and record the result."""
        return backups.verify_named(
            self._manager, self.folder, name, source=source, progress=progress
        )

    def list_backups(self, source: str = "") -> list[str]:
        """Return the names of the backups, oldest first."""
        folder = self._manager.folder
        return backups.names_in(backups.place_of(folder, source)) if folder else []

    def remove_backups(self, names: Iterable[str], source: str = "") -> int:
        """Remove backups with what no other one needs; return the freed bytes."""
        return backups.remove(self._manager, self.folder, names, source=source)

    def restore_backup(
        self,
        name: str,
        progress: Progress = _silent,
        *,
        source: str = "",
        scope: backups.Scope = backups.WHOLE,
    ) -> backups.Restored:
        """Replace documents and accounts by those of a backup, after backing up the current ones.

        `name` is that of a backup or of an archive of 0.1, its file or its path, or `latest`. The
        replacement is atomic. `scope` restores less: see `Scope`. Raises `NotFound`, which lists
        the available backups, `Corrupt` if the backup is incomplete, `OutOfSpace` and
        `Unavailable`.
        """
        if not connection.in_atomic_block:
            connection.close()  # this process's own connection must not lock the accounts
        return backups.restore(
            self._manager, self.folder, name, source=source, scope=scope, progress=progress
        )

    def finish_restore(self) -> bool:
        """Replace the accounts if a restore died before it did; return whether there was one.

        Call it before anybody is served.
        """
        folder = self._manager.folder
        return folder is not None and backups.finish(folder)

    # Counting

    def get_storage_stats(self, progress: Progress = _silent) -> dict[str, Any]:
        """Return counts of records and bytes by collection, of backups, and of account problems.

        Documents that cannot be parsed are listed in `unreadable_documents`. The totals do not
        include their records.
        """
        folder, backend = self._manager.folder, self._looking_backend()
        laid_out = COLLECTIONS if folder is None or folder.is_dir() else ()
        keys = [key for name in laid_out for key in backend.keys(name)]
        totals = dict.fromkeys([*COUNTED, "activities"], 0)
        sizes = dict.fromkeys([*COLLECTIONS, "total"], 0)
        unreadable = []
        for done, key in enumerate(keys, 1):
            examined = examine(backend, *_located(key.collection, key.owner))
            size = len(examined.data or b"")
            sizes[key.collection] += size
            sizes["total"] += size
            totals["users"] += key.collection == "users"
            if examined.document:
                if _counted(key.collection) in totals:
                    totals[_counted(key.collection)] += _length(key, examined.document.content)
            elif examined.findings:
                unreadable.append(examined.name)
            progress(done, len(keys))
        return {
            **{f"total_{name}": total for name, total in totals.items()},
            "size_bytes": sizes,
            "set_aside": self._set_aside_stats(),
            "backups": self._backup_stats(),
            **self._account_stats(),
            "unreadable_documents": unreadable,
        }

    def _set_aside_stats(self) -> dict[str, int]:
        """Return number and bytes of the versions of files that wait to be used or discarded.

        The folders are listed, and no document is read.
        """
        folder = self._manager.folder
        folders = [folder / collection for collection in COLLECTIONS] if folder else []
        versions = [path for parent in folders for path in parent.glob("*.set-aside-*.json")]
        sizes = [path.stat().st_size for path in versions]
        return {"count": len(sizes), "size_bytes": sum(sizes)}

    def _backup_stats(self) -> dict[str, Any]:
        names = self.list_backups()
        folder = self._manager.folder
        return {
            "count": len(names),
            "size_bytes": backups.stored_bytes(folder) if folder else 0,
            "latest": names[-1] if names else None,
        }

    def _account_stats(self) -> dict[str, int]:
        """Return counts of accounts with failed mirrors, of failures, and of unverified addresses.

        Accounts of older releases log in with addresses that were never verified.
        """
        unsynced = self._accounts.filter(mirror_faults__gt=0)
        faults = unsynced.aggregate(faults=Sum("mirror_faults"))["faults"] or 0
        unproved = self._accounts.filter(email_status="legacy")
        return {
            "unsynced_accounts": unsynced.count(),
            "mirror_faults": faults,
            "unproved_addresses": unproved.count(),
        }


def _located(collection: str, owner: int) -> tuple[Key, Any]:
    return Key(collection, owner), COLLECTIONS[collection].layout


def _counted(collection: str) -> str:
    """Return the name of a document's list: its records, or a user's activities."""
    return COLLECTIONS[collection].layout.records


def _length(key: Key, content: Mapping[str, Any]) -> int:
    return len(content.get(_counted(key.collection)) or [])


data_initializer = DataInitializer()
"""The services for the storage in the settings."""
