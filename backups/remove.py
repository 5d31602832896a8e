"""Remove backups, and the packs that no other backup needs."""

from __future__ import annotations

from collections.abc import Iterable

from backups.create import files_backend, only_one
from backups.manifest import SUFFIX, VERIFIED, backup_names, read_manifest
from backups.objects import pack_of
from backups.targets import Target
from docstore import DocumentStore


def remove_backups(store: DocumentStore, target: Target, names: Iterable[str]) -> int:
    """Remove these backups, and the packs that no manifest names any more; return their bytes.

    Manifests go first: a process that dies leaves packs too many, and no backup with packs missing.
    Raises `Corrupt` if a remaining manifest is damaged, since its packs are unknown.
    """
    backend = files_backend(store)
    with only_one(backend.root, backend):
        leaving = set(names)
        manifests = [
            read_manifest(target, name)[0] for name in backup_names(target) if name not in leaving
        ]
        for name in leaving:
            target.remove(name + SUFFIX)
            target.remove(f"{VERIFIED}/{name}{SUFFIX}")
        needed = {pack for manifest in manifests for pack in manifest.packs}
        freed = 0
        for name, size in target.names("packs").items():
            if pack_of(name) not in needed:
                target.remove(name)
                freed += size
        return freed
