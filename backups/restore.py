"""Restore a backup: everything, one owner's documents, or one record; also as of a later moment.

**Everything**: the backup is unpacked into a scratch folder and checked completely. Then all
documents are replaced in one atomic step (`docstore.swap`), together with the file
`.neuralflow/backups/accounts-to-restore`, a copy of the accounts database. While that file is
there, the accounts are still to be replaced: `finish_accounts` does so in one transaction of the
database, and removes it. A process that dies before the swap is committed leaves everything as it
was. After that, the next one finishes both: the swap when it opens the folder, the accounts when it
calls `finish_accounts`, before it serves anybody.

**One owner or one record**: a commit like any other, so other people's work goes on, and it can be
undone from the history.

**A moment**: the newest backup before it, and the changes after that from the journal. Changes are
applied only where they fit exactly; otherwise nothing is restored.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from backups.accounts import Accounts
from backups.create import files_backend
from backups.manifest import Backup, File, backup_names, group_of, read_manifest
from backups.targets import FolderTarget, Target
from backups.unpack import DATABASE, Progress, scratch_folder, unpack
from docstore import (
    ABSENT,
    CollectionLayout,
    Corrupt,
    Document,
    DocumentStore,
    Edit,
    EntryChange,
    HistoryGone,
    Key,
    NotFound,
    Transaction,
    Unavailable,
    decode,
    format_utc,
)
from docstore.backend import WORK_FOLDER, Snapshots
from docstore.backup import contents_in_snapshots
from docstore.codec import encode
from docstore.disk.filesystem import PRIVATE_FILE
from docstore.document import LAST_ID, REVISION, UPDATED_AT
from docstore.errors import from_os_error
from docstore.journal.replay import replay
from docstore.record_list import RecordList

# How many of the newest backups to search for a document that nothing else has.
_SEARCHED_MAX: Final = 10
TO_RESTORE: Final = f"{WORK_FOLDER}/backups/accounts-to-restore"
_OWN_FIELDS: Final = (REVISION, UPDATED_AT, LAST_ID)


@dataclass(frozen=True)
class Difference:
    """A file that a restore adds, changes or removes. Records are None for other files."""

    file: str
    change: str
    records_before: int | None
    records_after: int | None


def newest_backup(target: Target, before: datetime | None = None) -> str:
    """Return the backup that shows the latest moment, not after `before`. Raises `NotFound`."""
    for name in reversed(backup_names(target)):
        with suppress(Corrupt, NotFound):  # a damaged manifest must not hide the others
            if before is None or read_manifest(target, name)[0].moment <= before:
                return name
    raise NotFound(
        f"there is no backup in {target.url}"
        + (f" of {format_utc(before)} or before" if before else "")
    )


# Everything


def restore_backup(
    store: DocumentStore,
    backup: Backup,
    *,
    accounts: Accounts | None = None,
    until: datetime | None = None,
    progress: Progress = lambda done, total: None,
) -> int:
    """Replace all documents, and with `accounts` the accounts; return the number of files.

    With `until`, the documents are those of that moment. All or nothing, also if the process dies.
    Raises `NotFound`, `Corrupt`, `OutOfSpace` and `Unavailable`. Then nothing has changed.
    """
    backend = files_backend(store)
    with scratch_folder(backend) as folder:
        names = {file.name for file in unpack(backup, folder, backend, progress)}
        if until is not None:
            names = _bring_forward(store, backup, folder, names, until)
        contents = {name: folder / name for name in names}
        database = backup.manifest.database
        if accounts is not None and database is not None:
            if accounts.kind != database.kind:
                raise Unavailable(
                    f"the backup has accounts of {database.kind}, and the database here is"
                    f" {accounts.kind}: restore the documents only (--keep-accounts)"
                )
            accounts.check(folder / DATABASE)
            contents[TO_RESTORE] = folder / DATABASE
        with backend.still():
            backend.replace(_Replacement(contents, [*backend.document_names(), TO_RESTORE]))
    if accounts is not None:
        finish_accounts(backend.root, accounts)
    return len(names)


def finish_accounts(root: Path, accounts: Accounts) -> bool:
    """Replace the accounts if a restore left that to do; return whether it did.

    Call it before anybody is served. Idempotent. Raises `Unavailable`.
    """
    path = root / TO_RESTORE
    if not path.is_file():
        return False
    accounts.restore(path)
    try:
        path.unlink()
    except OSError as error:
        raise from_os_error(error, f"cannot remove {path}") from error
    return True


class _Replacement(Mapping[str, bytes | None]):
    """The contents of unpacked files, and None for each other document. Raises `OSError` only."""

    def __init__(self, paths: Mapping[str, Path], present: Sequence[str]) -> None:
        self._paths = paths
        self._names = [*paths, *(name for name in present if name not in paths)]

    def __getitem__(self, name: str) -> bytes | None:
        path = self._paths.get(name)
        return path.read_bytes() if path is not None else None

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def differences(
    store: DocumentStore, backup: Backup, until: datetime | None = None
) -> list[Difference]:
    """Return what a restore of everything would change, without changing anything."""
    backend = files_backend(store)
    after: dict[str, File | Document | None] = {file.name: file for file in backup.files()}
    if until is not None:
        after |= {backend.name(key): state for key, state in _states(store, backup, until).items()}
    result = []
    for name in sorted(after.keys() | set(backend.document_names())):
        difference = _difference(backend, name, after.get(name), backup)
        if difference is not None:
            result.append(difference)
    return result


def _difference(
    backend: Snapshots, name: str, after: File | Document | None, backup: Backup
) -> Difference | None:
    layout, before = backend.layout_of(name), _current(backend, name)
    if isinstance(after, File):
        data: bytes | None = backup.content(after)
    else:
        data = encode(after) if after is not None else None
    if before == data:
        return None
    change = "added" if before is None else "removed" if data is None else "changed"
    return Difference(name, change, _count(name, before, layout), _count(name, data, layout))


def _current(backend: Snapshots, name: str) -> bytes | None:
    key = key_of(backend, name)
    if key is not None:
        return backend.raw(key)
    try:
        return (backend.root / name).read_bytes()
    except FileNotFoundError:
        return None


def _count(name: str, data: bytes | None, layout: CollectionLayout | None) -> int | None:
    if data is None or layout is None:
        return None
    with suppress(Corrupt):
        return len(decode(data, name, layout).list_of(layout.records))
    return None


def key_of(backend: Snapshots, name: str) -> Key | None:
    """Return the key of the document with this name; None for any other file."""
    layout = backend.layout_of(name)
    if layout is None:
        return None
    owner = name.rpartition("_")[2].removesuffix(".json")
    return Key(layout.name, int(owner))


# A moment


def _states(
    store: DocumentStore,
    backup: Backup,
    until: datetime,
    wanted: Callable[[Key], bool] = lambda key: True,
) -> dict[Key, Document | None]:
    """Return the documents that were changed between the backup and the moment, as of then.

    Raises `Unavailable` if the journal does not have all changes, or they do not fit the backup.
    """
    backend, limit = files_backend(store), format_utc(until)
    states: dict[Key, Document | None] = {}
    since, end = backup.manifest.sequence, backend.sequence()
    try:
        while since < end:
            entries = backend.entries(since, wanted)
            for entry in entries.told:
                if entry.at > limit:
                    return states
                if entry.restored:
                    raise Unavailable(
                        f"a backup was restored at {entry.at}, after {backup.name}: the journal"
                        " does not lead across that. Choose a moment before it"
                    )
                for change in entry.changes:
                    if change.key not in states:
                        states[change.key] = document_in(backend, backup, change.key)
                    states[change.key] = _applied(backend, states[change.key], change, entry.at)
            if entries.through == since:
                break
            since = entries.through
    except (HistoryGone, ValueError) as error:
        raise Unavailable(
            f"the journal does not lead from {backup.name} to {limit}: {error}."
            " Restore the backup itself, without --at"
        ) from error
    return states


def _applied(
    backend: Snapshots, document: Document | None, change: EntryChange, at: str
) -> Document | None:
    """Return the document after a change. Raises `ValueError` if it was made to another state."""
    layout = backend.layouts[change.key.collection]
    for edit in change.edits:
        if not edit.path:
            if edit.after is ABSENT:
                return None
            content = dict(edit.after)
            if isinstance(content.get(layout.records), list):
                content[layout.records] = RecordList(content[layout.records])
            return Document(content)
    name, state = backend.name(change.key), document
    if document is None:
        raise ValueError(f"{name} was changed, and the backup does not have it")
    for edit in change.edits:
        if state is None or _before(state, edit, layout) != edit.before:
            raise ValueError(f"{name} was changed at {at} from another state than the backup's")
        state = replay(state, [edit], at, document.revision, layout)
    return replay(document, change.edits, at, document.revision + 1, layout)


def _before(document: Document, edit: Edit, layout: CollectionLayout) -> Any:
    """Return the value in the document that an edit replaces."""
    if len(edit.path) != 2:
        return document.content.get(str(edit.path[0]), ABSENT)
    records, number = document.list_of(layout.records), int(edit.path[1])
    if number < 0:
        return list(records[:-number])
    if edit.before is ABSENT and edit.path[0] == layout.records:
        return ABSENT  # an item that is added at the end
    matches = records.find(number)
    return matches[0] if len(matches) == 1 else ABSENT


def _bring_forward(
    store: DocumentStore, backup: Backup, folder: Path, names: set[str], until: datetime
) -> set[str]:
    """Write the documents as of a moment into the folder; return the names of the files there."""
    backend = files_backend(store)
    for key, document in _states(store, backup, until).items():
        name = backend.name(key)
        if document is None:
            names.discard(name)
        else:
            (folder / name).write_bytes(encode(document))
            names.add(name)
    return names


# One owner, one record


def document_in(backend: Snapshots, backup: Backup, key: Key) -> Document | None:
    """Return a document in a backup; None if it has none. Raises `Corrupt` if it is unreadable."""
    name = backend.name(key)
    for file in backup.files(group_of(name)):
        if file.name == name:
            return decode(backup.content(file), name, backend.layouts[key.collection])
    return None


def documents_of(
    store: DocumentStore, backup: Backup, owner: int, until: datetime | None = None
) -> dict[Key, Document | None]:
    """Return an owner's documents in a backup, or as of a later moment; None for absent ones.

    Raises `NotFound` if the owner has none at all.
    """
    backend = files_backend(store)
    keys = [Key(collection, owner) for collection in backend.layouts]
    states = {key: document_in(backend, backup, key) for key in keys}
    if until is not None:
        states |= _states(store, backup, until, lambda key: key.owner == owner)
    if not any(states.values()):
        raise NotFound(f"the backup {backup.name} has no documents of user {owner}")
    return states


def owner_differences(
    store: DocumentStore, states: Mapping[Key, Document | None]
) -> list[Difference]:
    """Return what `restore_documents` would change."""
    backend, result = files_backend(store), []
    for key, after in states.items():
        before = None
        with suppress(Corrupt):
            before = store.read(key)
        if _fault(store, key) is None and _same(before, after):
            continue
        change = "removed" if after is None else "added" if before is None else "changed"
        records = backend.layouts[key.collection].records
        counts = [len(state.list_of(records)) if state else None for state in (before, after)]
        result.append(Difference(backend.name(key), change, counts[0], counts[1]))
    return result


def _same(before: Document | None, after: Document | None) -> bool:
    if before is None or after is None:
        return before is after
    contents = [
        {name: value for name, value in state.content.items() if name not in _OWN_FIELDS}
        for state in (before, after)
    ]
    return bool(contents[0] == contents[1])


def restore_documents(
    store: DocumentStore, states: Mapping[Key, Document | None], actor: str = ""
) -> list[str]:
    """Make documents what they were, in one commit; return the names of those that changed.

    Ids that were assigned since are not assigned again. A file that cannot be read is set aside.
    """
    backend = files_backend(store)
    for key, state in states.items():
        if fault := _fault(store, key):
            store.set_aside(key, [f"{fault}: replaced by the state of a backup"])
            _replace_file(backend.path(key), state)

    def restore(transaction: Transaction) -> list[str]:
        changed = []
        for key, state in states.items():
            before = transaction.document(key)
            if _same(Document(before) if before is not None else None, state):
                continue
            changed.append(backend.name(key))
            last = transaction.new_id(key) - 1
            transaction.drop(key)
            if state is not None:
                transaction.create(key, state.content)
                if last:
                    transaction.reserve_ids(key, last)
        return changed

    return store.change(restore, actor=actor)


def _fault(store: DocumentStore, key: Key) -> Corrupt | None:
    try:
        store.read(key)
    except Corrupt as fault:
        return fault
    return store.fault(key)


def _replace_file(path: Path, document: Document | None) -> None:
    """Replace a file that cannot be read, as a person would. The next read accepts or merges it."""
    try:
        if document is None:
            path.unlink()
            return
        draft = path.with_name(f".{secrets.token_hex(8)}.draft")
        draft.write_bytes(encode(document))
        draft.chmod(PRIVATE_FILE)
        draft.replace(path)
    except OSError as error:
        raise from_os_error(error, f"cannot replace {path.name}") from error


def read_from_backups(store: DocumentStore, folder: str) -> None:
    """Have documents with broken files read from the newest backups in a folder of the store.

    That is done if nothing else has the document. Changes of it are still refused. Archives of 0.1
    come last, and backups that are encrypted are not read.
    """
    files = store.backend.snapshots
    if files is not None:
        files.fall_back_on(partial(_contents_in, files, folder))


def _contents_in(backend: Snapshots, folder: str, name: str) -> Iterator[bytes]:
    """Yield the contents of a file in the newest backups, newest first."""
    target = FolderTarget(backend.root / folder)
    for backup_name in backup_names(target)[: -_SEARCHED_MAX - 1 : -1]:
        with suppress(Corrupt, NotFound, Unavailable):
            backup = Backup(target, backup_name)
            for file in backup.files(group_of(name)):
                if file.name == name:
                    yield backup.content(file)
    yield from contents_in_snapshots(backend.root / folder, name)


def record_in(states: Mapping[Key, Document | None], key: Key, record_id: int, records: str) -> Any:
    """Return a record of a document in a backup. Raises `NotFound`."""
    document = states.get(key)
    matches = document.list_of(records).find(record_id) if document else []
    if len(matches) != 1:
        raise NotFound(f"the backup has no record {record_id} in {key}")
    return matches[0]


def restore_record(
    store: DocumentStore, key: Key, record: Mapping[str, Any], actor: str = ""
) -> bool:
    """Add a record again, or replace it, with its id; return whether that changes anything."""

    def restore(transaction: Transaction) -> bool:
        if transaction.document(key) is None:
            transaction.create(key, {store.layout(key).records: []})
        before = transaction.records(key).find(record["id"])
        if len(before) == 1 and before[0] == record:
            return False
        transaction.put(key, dict(record))
        return True

    return store.change(restore, actor=actor)
