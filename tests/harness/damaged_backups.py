"""Damage of backups: flipped bits, truncations, zeroed blocks, removed and swapped files.

A case damages one file of a target with two backups, then reads both as a restore does. Every
damage of a file that a backup needs must be detected, and nothing may be restored that differs from
what was backed up. A case is one damage.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from backups.create import create_backup, files_backend
from backups.manifest import Backup, read_verified
from backups.targets import FolderTarget
from backups.unpack import DATABASE, scratch_folder, unpack
from backups.verify import verify_backup
from docstore import Corrupt, DocumentStore, Key, NotFound, open_store, utc_now
from tests.docstore.layouts import LAYOUTS
from tests.harness import online_backups
from tests.harness.apart import in_own_process, scratch
from tests.harness.report import Report

OWNERS: Final = 20
_WHOLE_EVERY: Final = 50
Contents = dict[str, bytes]


class MemoryTarget:
    """The files of a target in memory, so that damage costs no disk."""

    url = "memory"

    def __init__(self, files: Contents) -> None:
        self.files = files

    def names(self, under: str = "") -> dict[str, int]:
        begin = f"{under}/" if under else ""
        return {
            name: len(data)
            for name, data in self.files.items()
            if name.startswith(begin) and (under or "/" not in name)
        }

    def read(self, name: str) -> bytes:
        if name not in self.files:
            raise NotFound(name)
        return self.files[name]

    def write(self, name: str, data: bytes) -> None:
        self.files[name] = data

    def remove(self, name: str) -> None:
        self.files.pop(name, None)


def run(count: int, seed: int, planted: str = "") -> Report:
    """Damage backups `count` times. Raises `AssertionError` if fewer were, or none was noticed."""
    return in_own_process(__name__, count, seed, planted=planted).finish(count)


def attack(count: int, seed: int) -> Report:
    report, dice = Report("damaged backups"), random.Random(seed)
    with scratch("damage") as folder:
        store = open_store((folder / "data").as_uri(), LAYOUTS.values())
        files, expected = _two_backups(folder, store)
        detected = 0
        while report.cases < count:
            damage, needed_by, target = _damaged(files, dice)
            report.cases += 1
            found = [name for name in expected if _is_refused(store, target, name, report)]
            detected += bool(found)
            if missed := needed_by - set(found):
                report.lose(f"{damage}: not detected in {', '.join(sorted(missed))}")
            if report.cases % _WHOLE_EVERY == 0:
                _restore_all(store, target, expected, damage, report)
        store.close()
    report.notes.append(f"{detected} of {report.cases} damages concerned a backup")
    if not detected:
        raise AssertionError("damaged backups: nothing was detected")
    return report


def _two_backups(folder: Path, store: DocumentStore) -> tuple[Contents, dict[str, Contents]]:
    """Return the files of a target, and the contents of each backup by its name."""
    place, accounts = FolderTarget(folder / "backups"), online_backups.sqlite_accounts(folder)
    expected: dict[str, Contents] = {}
    for text in ("first", "second"):
        for owner in range(1, OWNERS + 1, 1 if text == "first" else 5):
            key = Key("notes", owner)
            with suppress(NotFound):
                store.change(lambda transaction, key=key: transaction.drop(key))  # type: ignore[misc]
            store.change(
                lambda transaction, key=key, text=text: transaction.create(  # type: ignore[misc]
                    key, {"notes": [{"id": 1, "text": f"{text} of {key.owner}"}]}
                )
            )
        created = create_backup(store, place, program="test", clock=utc_now, accounts=accounts)
        expected[created.name] = _contents(store, Backup(place, created.name))
    names = [path for path in (folder / "backups").rglob("*") if path.is_file()]
    return {str(path.relative_to(place.root)): path.read_bytes() for path in names}, expected


def _contents(store: DocumentStore, backup: Backup) -> Contents:
    with scratch_folder(files_backend(store)) as folder:
        unpack(backup, folder, files_backend(store), lambda done, total: None)
        paths = [*folder.glob("*/*"), folder / DATABASE]
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def _is_refused(store: DocumentStore, target: MemoryTarget, name: str, report: Report) -> bool:
    """Read every content of a backup, as a restore does first; return whether it was refused."""
    try:
        backup = Backup(target, name)
        if backup.manifest.name != name:
            return True  # its name tells the swap
        for file in backup.files():
            backup.content(file)
        for _ in backup.database_parts():
            pass
    except (Corrupt, NotFound):
        return True
    return False


def _restore_all(
    store: DocumentStore,
    target: MemoryTarget,
    expected: dict[str, Contents],
    damage: str,
    report: Report,
) -> None:
    """Verify and restore each backup as a whole: refused, or exactly what was backed up."""
    for name, contents in expected.items():
        try:
            backup = Backup(target, name)
            result = verify_backup(store, backup, program="test", clock=utc_now)
        except (Corrupt, NotFound):
            continue
        if read_verified(target, name) != result:
            report.lose(f"{damage}: the result of the verification is not recorded")
        if result.problem or backup.manifest.name != name:
            continue
        if _contents(store, backup) != contents:
            report.lose(f"{damage}: {name} is verified, and restores something else")


def _damaged(files: Contents, dice: random.Random) -> tuple[str, set[str], MemoryTarget]:
    """Return a description, the backups that need the damaged files, and the damaged target."""
    name = dice.choice(sorted(files))
    how, damage = dice.choice(sorted(_DAMAGES.items()))
    target = MemoryTarget(dict(files))
    changed = {name}
    if how == "swap":
        other = dice.choice(sorted(files.keys() - {name}))
        target.files[name], target.files[other] = files[other], files[name]
        changed |= {other}
    elif how == "removal":
        del target.files[name]
    else:
        target.files[name] = damage(files[name], dice)
    changed = {one for one in changed if target.files.get(one) != files[one]}
    manifests = [one for one in files if one.endswith(".json")]
    needed_by = set()
    for manifest in manifests:
        content = Backup(MemoryTarget(files), manifest.removesuffix(".json")).manifest
        needed = {manifest, *(one for one in files if one.split("/")[-1][:64] in content.packs)}
        if needed & changed:
            needed_by.add(manifest.removesuffix(".json"))
    return f"{how} of {name}", needed_by, target


def _flipped(data: bytes, dice: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 8))):
        damaged[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def _truncated(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data))]


def _zeroed(data: bytes, dice: random.Random) -> bytes:
    begin = dice.randrange(len(data))
    size = min(dice.choice((1, 16, 512, 4096)), len(data) - begin)
    return data[:begin] + bytes(size) + data[begin + size :]


def _extended(data: bytes, dice: random.Random) -> bytes:
    return data + dice.randbytes(dice.choice((1, 100)))


def _unchanged(data: bytes, dice: random.Random) -> bytes:
    return data


_DAMAGES: Final[dict[str, Callable[[bytes, random.Random], bytes]]] = {
    "flip": _flipped,
    "truncation": _truncated,
    "zeroed block": _zeroed,
    "extension": _extended,
    "removal": _unchanged,
    "swap": _unchanged,
}
