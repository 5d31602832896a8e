"""Verify a backup: restore it into a scratch folder, and check everything there.

Every content is compared with its SHA-256, the root hash with the listings, every document is
decoded and examined, and the accounts database is opened and checked. The result is written beside
the backup.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from backups.accounts import Accounts
from backups.create import files_backend
from backups.manifest import (
    SUFFIX,
    VERIFIED,
    Backup,
    Verified,
    root_hash,
    with_checksum,
)
from backups.objects import digest_of, pack_name
from backups.unpack import DATABASE, Progress, scratch_folder, unpack
from docstore import Corrupt, DocumentStore, Finding, NotFound, examine, format_utc
from docstore.backend import Snapshots
from docstore.backends.files.backend import FilesBackend


def verify_backup(
    store: DocumentStore,
    backup: Backup,
    *,
    program: str,
    clock: Callable[[], datetime],
    accounts: Accounts | None = None,
    progress: Progress = lambda done, total: None,
) -> Verified:
    """Verify a backup, write the result beside it, and return it.

    An encrypted backup of which no identity is here cannot be restored; then only the stored bytes
    are compared with their SHA-256, and the result is not `complete`. Raises `OutOfSpace`,
    `Unavailable`.
    """
    problem, findings = "", list[Finding]()
    backup.forget()
    try:
        if backup.envelope.can_open:
            with scratch_folder(files_backend(store)) as folder:
                findings = _restored(files_backend(store), backup, folder, accounts, progress)
        else:
            _check_packs(backup, progress)
            findings = backup.manifest.findings
    except Corrupt as fault:
        problem = str(fault)
    result = Verified(
        name=backup.name,
        manifest=backup.checksum,
        verified_at=format_utc(clock()),
        program=program,
        complete=backup.envelope.can_open,
        problem=problem,
        files=backup.manifest.files,
        bytes=backup.manifest.bytes,
        findings=findings,
    )
    backup.target.write(f"{VERIFIED}/{backup.name}{SUFFIX}", with_checksum(result)[0])
    return result


def _restored(
    backend: Snapshots,
    backup: Backup,
    folder: Path,
    accounts: Accounts | None,
    progress: Progress,
) -> list[Finding]:
    """Restore the backup into the folder and return the documents with problems."""
    files = unpack(backup, folder, backend, progress)
    lines = [(file.name, hashlib.sha256((folder / file.name).read_bytes())) for file in files]
    pairs = [(name, digest.hexdigest()) for name, digest in lines]
    database = backup.manifest.database
    if database is not None:
        with (folder / DATABASE).open("rb") as copy:
            pairs.append((database.name, hashlib.file_digest(copy, "sha256").hexdigest()))
        if accounts is not None and accounts.kind == database.kind:
            accounts.check(folder / DATABASE)
    if root_hash(sorted(pairs)) != backup.manifest.root:
        raise Corrupt(backup.name + SUFFIX, "the restored files have another root hash")
    return list(_findings(FilesBackend(folder, backend.layouts, lay_out=False)))


def _findings(backend: Snapshots) -> Iterator[Finding]:
    for collection, layout in backend.layouts.items():
        for key in backend.keys(collection):
            yield from examine(backend, key, layout).findings


def _check_packs(backup: Backup, progress: Progress) -> None:
    """Compare the stored bytes of each pack with its name. Raises `Corrupt`."""
    packs = backup.manifest.packs
    for done, (pack, size) in enumerate(packs.items(), 1):
        name = pack_name(pack, backup.envelope.suffix)
        try:
            data = backup.target.read(name)
        except NotFound:
            raise Corrupt(name, "is missing") from None
        if len(data) != size or digest_of(data) != pack:
            raise Corrupt(name, "is damaged: its SHA-256 is not its name")
        progress(done, len(packs))
