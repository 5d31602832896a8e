"""Backups of this installation: documents and accounts, in the place of the settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from backups.create import create_backup
from backups.encryption import read_identities
from backups.manifest import SUFFIX, Backup, Verified, backup_names, read_manifest
from backups.remove import remove_backups
from backups.restore import (
    Difference,
    differences,
    documents_of,
    finish_accounts,
    newest_backup,
    owner_differences,
    record_in,
    restore_backup,
    restore_documents,
    restore_record,
)
from backups.targets import FolderTarget, Target, target_of
from backups.verify import verify_backup
from docstore import (
    Corrupt,
    Finding,
    InvalidValue,
    Key,
    NotFound,
    check_snapshot,
    restore_snapshot,
    snapshot_findings,
    snapshots,
)
from workspace.installation import installation
from workspace.operations.run_reports import LastBackup, keep_backup, keep_verified
from workspace.schema.validation import COLLECTIONS
from workspace.workspace import Workspace

LATEST: Final = "latest"
_MOMENT: Final = re.compile(r"_(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)", re.ASCII)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BackedUp:
    """A new backup: its name, place, bytes, those of them that were added, and files read.

    `findings` are the documents in it that cannot be read, and `problem` is what its verification
    found wrong with the backup itself.
    """

    backup: str
    place: str
    files: int
    read: int
    size_bytes: int
    added_bytes: int
    accounts: bool
    verified: bool
    problem: str = ""
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class Restored:
    """The result of a restore. `before` is the backup of the state that it replaced.

    `files` counts the files restored, and `changes` what differed before. `findings` are the
    documents of the backup that cannot be parsed. After a dry run, `before` is empty and nothing
    has changed.
    """

    backup: str
    files: int
    before: str
    findings: list[Finding] = field(default_factory=list)
    accounts: bool = False
    changes: list[Difference] = field(default_factory=list)


@dataclass(frozen=True)
class Scope:
    """The part of a backup to restore: everything, one user's documents, or one record of theirs.

    `at` is a moment after the backup: the journal has the changes up to it.
    """

    user: int | None = None
    record: tuple[str, int, int] | None = None
    at: datetime | None = None
    keep_accounts: bool = False
    dry_run: bool = False


WHOLE: Final = Scope()


def program() -> str:
    """Return the name and version of this program, for manifests."""
    return f"neuralflow {version('neuralflow')}"


def place_of(folder: Path, url: str = "") -> Target:
    """Return the place for backups: the URL or folder, by default the one in the settings."""
    return target_of(url or installation.backups().place, folder)


def create(
    manager: Workspace,
    folder: Path,
    *,
    to: str = "",
    verify: bool = False,
    progress: Progress,
) -> BackedUp:
    """Create a backup, and verify it if asked to; return what it holds."""
    target, options = place_of(folder, to), installation.backups()
    created = create_backup(
        manager.store,
        target,
        program=program(),
        clock=manager.clock,
        accounts=options.accounts,
        recipients=options.recipients,
        progress=progress,
    )
    manifest = created.manifest
    size, problem, findings = sum(manifest.packs.values()), "", manifest.findings
    keep_backup(folder, LastBackup(created.name, target.url, size, manifest.created_at))
    if verify:
        result = verify_named(manager, folder, created.name, source=to, progress=progress)
        problem, findings = result.problem, result.findings
    return BackedUp(
        backup=created.name,
        place=target.url,
        files=manifest.files,
        read=created.read,
        size_bytes=size,
        added_bytes=created.added,
        accounts=manifest.database is not None,
        verified=verify and not problem,
        problem=problem,
        findings=findings,
    )


def opened(folder: Path, name: str, source: str = "") -> Backup:
    """Return a backup by its name, or the newest for `latest`. Raises `NotFound`, `Corrupt`."""
    target = place_of(folder, source)
    identity = installation.backups().identity
    identities = read_identities(Path(identity)) if identity else []
    if name == LATEST:
        return Backup(target, newest_backup(target), identities)
    file = _file_name(target, name)
    if file not in backup_names(target):
        raise _no_backup(folder, target, name)
    return Backup(target, file, identities)


def _file_name(target: Target, name: str) -> str:
    """Return the name of a backup from what an operator typed: a name, or the path of a file."""
    path = Path(name)
    is_inside = path.name == name or (
        isinstance(target, FolderTarget) and path.parent.resolve() == target.root.resolve()
    )
    return path.name.removesuffix(SUFFIX) if is_inside else ""


def _no_backup(folder: Path, target: Target, name: str) -> NotFound:
    available = names_in(target)
    there_are = f"there are {', '.join(available)}" if available else "there is none yet"
    return NotFound(f"there is no backup {name} in {target.url}: {there_are}")


def names_in(target: Target) -> list[str]:
    """Return the names of all backups, oldest first; archives of 0.1 come before all others."""
    archives = snapshots(target.root) if isinstance(target, FolderTarget) else []
    return [*archives, *backup_names(target)]


def dated(folder: Path, source: str = "") -> list[tuple[str, datetime]]:
    """Return name and moment of all backups, oldest first; damaged renamed ones are left out."""
    place = place_of(folder, source)
    moments: list[tuple[str, datetime]] = []
    for name in names_in(place):
        if match := _MOMENT.search(name):
            with suppress(ValueError):  # the digits are not a valid date
                moment = datetime.strptime(match[1], "%Y-%m-%dT%H-%M-%S").replace(tzinfo=UTC)
                moments.append((name, moment))
                continue
        with suppress(Corrupt, NotFound):
            moments.append((name, read_manifest(place, name)[0].moment))
    return moments


def remove(manager: Workspace, folder: Path, names: Iterable[str], *, source: str = "") -> int:
    """Remove backups with what no other one needs; return the freed bytes."""
    place, freed = place_of(folder, source), 0
    leaving = set(names)
    if isinstance(place, FolderTarget):
        for name in leaving.intersection(snapshots(place.root)):
            freed += (place.root / name).stat().st_size
            (place.root / name).unlink()
            leaving.remove(name)
    return freed + (remove_backups(manager.store, place, leaving) if leaving else 0)


def stored_bytes(folder: Path) -> int:
    """Return the bytes of the backups in a folder, or 0 for another target."""
    target = place_of(folder)
    if not isinstance(target, FolderTarget):
        return 0
    manifests = [size for name, size in target.names().items() if name.endswith(SUFFIX)]
    archives = [(target.root / name).stat().st_size for name in snapshots(target.root)]
    return sum(target.names("packs").values()) + sum(manifests) + sum(archives)


def finish(folder: Path) -> bool:
    """Replace the accounts if a restore died before it did; return whether there was one."""
    accounts = installation.backups().accounts
    return accounts is not None and finish_accounts(folder, accounts)


def archive_of(folder: Path, name: str, source: str = "") -> Path | None:
    """Return the archive of 0.1 with this name, with or without ".zip", or None."""
    target = place_of(folder, source)
    if not isinstance(target, FolderTarget) or name == LATEST:
        return None
    file = _file_name(target, name)
    for file_name in (file, f"{file}.zip"):
        is_archive = file_name.lower().endswith(".zip") and not file_name.startswith(".")
        if is_archive and (target.root / file_name).is_file():
            return target.root / file_name
    return None


def verify_named(
    manager: Workspace,
    folder: Path,
    name: str,
    *,
    source: str = "",
    progress: Progress,
) -> Verified:
    """Verify a backup and record the result."""
    backup = opened(folder, name, source)
    result = verify_backup(
        manager.store,
        backup,
        program=program(),
        clock=manager.clock,
        accounts=installation.backups().accounts,
        progress=progress,
    )
    if result.complete or result.problem:
        keep_verified(folder, backup.name, result.verified_at, result.problem)
    return result


def restore_archive(
    manager: Workspace, folder: Path, path: Path, scope: Scope, progress: Progress
) -> Restored:
    """Replace all documents by those of an archive of 0.1, after a backup of the current state."""
    if scope != Scope(keep_accounts=scope.keep_accounts):
        raise InvalidValue(
            f"{path.name} is an archive of 0.1, which is restored as a whole only:"
            " without --user, --record, --at and --dry-run"
        )
    check_snapshot(manager.store, path)
    before = create(manager, folder, progress=progress).backup
    files = restore_snapshot(manager.store, path)
    return Restored(path.name, files, before, snapshot_findings(manager.store, path))


def restore(
    manager: Workspace,
    folder: Path,
    name: str,
    *,
    source: str = "",
    scope: Scope,
    progress: Progress,
) -> Restored:
    """Restore a backup or a part of it, after a backup of the current state."""
    if (archive := archive_of(folder, name, source)) is not None:
        return restore_archive(manager, folder, archive, scope, progress)
    if scope.at is not None and name == LATEST:
        name = newest_backup(place_of(folder, source), scope.at)
    backup = opened(folder, name, source)
    if scope.at is not None and scope.at < backup.manifest.moment:
        raise InvalidValue(f"{backup.name} is newer than --at: name an older one, or `latest`")
    if scope.record is not None:
        return _restore_record(manager, folder, backup, scope, progress)
    if scope.user is not None:
        return _restore_user(manager, folder, backup, scope, progress)
    return _restore_all(manager, folder, backup, scope, progress)


def _restore_all(
    manager: Workspace, folder: Path, backup: Backup, scope: Scope, progress: Progress
) -> Restored:
    store, manifest = manager.store, backup.manifest
    accounts = None if scope.keep_accounts else installation.backups().accounts
    has_accounts = accounts is not None and manifest.database is not None
    if scope.dry_run:
        changes = differences(store, backup, scope.at)
        return Restored(backup.name, manifest.files, "", manifest.findings, has_accounts, changes)
    backup.files()  # a damaged backup is refused before anything is written
    before = create(manager, folder, progress=progress).backup
    files = restore_backup(store, backup, accounts=accounts, until=scope.at, progress=progress)
    return Restored(backup.name, files, before, manifest.findings, has_accounts)


def _restore_user(
    manager: Workspace, folder: Path, backup: Backup, scope: Scope, progress: Progress
) -> Restored:
    assert scope.user is not None
    states = documents_of(manager.store, backup, scope.user, scope.at)
    changes = owner_differences(manager.store, states)
    if scope.dry_run:
        return Restored(backup.name, len(changes), "", changes=changes)
    before = create(manager, folder, progress=progress).backup
    changed = restore_documents(manager.store, states)
    manager.mirror_account(scope.user)
    manager.repair_memberships(scope.user)
    return Restored(backup.name, len(changed), before, changes=changes)


def _restore_record(
    manager: Workspace, folder: Path, backup: Backup, scope: Scope, progress: Progress
) -> Restored:
    assert scope.record is not None
    collection, owner, record_id = scope.record
    key, layout = Key(collection, owner), COLLECTIONS[collection].layout
    states = documents_of(manager.store, backup, owner, scope.at)
    record = dict(record_in(states, key, record_id, layout.records))
    project = record.get("project_id")
    if project is not None and not manager.store.records(Key("projects", owner)).find(project):
        record["project_id"] = None  # the project was deleted since
    current = manager.store.records(key).find(record_id)
    changes = []
    if list(current) != [record]:
        change = "changed" if current else "added"
        name = f"{manager.store.backend.name(key)}, record {record_id}"
        changes = [Difference(name, change, len(current), 1)]
    if scope.dry_run:
        return Restored(backup.name, len(changes), "", changes=changes)
    before = create(manager, folder, progress=progress).backup
    restore_record(manager.store, key, record)
    if collection == "projects":
        manager.repair_memberships(owner)
    return Restored(backup.name, len(changes), before, changes=changes)


def moment_from(text: str) -> datetime:
    """Return a moment from a text of RFC 3339. Raises `InvalidValue`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue(f"{text!r} is no time: write 2026-11-20T09:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def record_from(text: str) -> tuple[str, int, int]:
    """Return collection, owner and id from `tasks/7/12`. Raises `InvalidValue`."""
    match = re.fullmatch(r"([a-z]+)/([1-9][0-9]{0,17})/([1-9][0-9]{0,17})", text, re.ASCII)
    if match is None or match[1] not in COLLECTIONS:
        raise InvalidValue(
            f"{text!r} is no record: write COLLECTION/USER/ID such as tasks/7/12;"
            f" collections are {', '.join(COLLECTIONS)}"
        )
    return match[1], int(match[2]), int(match[3])
