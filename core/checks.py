"""System checks of the settings, each with a remedy."""

import os
import resource
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from docstore import folder_of, has_folder, is_database, is_network, mount_type, open_store

OPEN_FILES_MIN = 256


@register
def storage_check(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the store can be opened and written, and that the database is outside of it."""
    url: str = settings.NEURALFLOW_STORE
    if is_database(url):
        return _postgres_faults(url)
    if not has_folder(url):
        return []
    try:
        folder = folder_of(url)
    except ValueError as fault:
        return [
            Error(
                f"NEURALFLOW_STORE is not understood: {fault}.",
                hint="Leave it out to keep the data folder beside manage.py.",
                id="neuralflow.E001",
            )
        ]
    return [*_folder_faults(folder), *_mount_faults(folder), *_database_faults(folder)]


def _postgres_faults(url: str) -> list[CheckMessage]:
    """Check that the address is understood and the driver installed. Connects to nothing."""
    try:
        open_store(url, [])
    except ValueError as fault:
        return [
            Error(
                f"NEURALFLOW_STORE is not understood: {fault}.",
                hint="Write postgres://user:password@host:5432/database, or database.",
                id="neuralflow.E001",
            )
        ]
    return []


@register
def names_check(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of unknown NEURALFLOW_… variables, which may be misspelled settings."""
    return [
        Warning(
            f"{name} is no setting of NeuralFlow and has no effect.",
            hint=f"{nearest} may be meant." if nearest else "docs/configure.md lists them all.",
            id="neuralflow.W001",
        )
        for name, nearest in settings.NEURALFLOW_UNKNOWN_NAMES.items()
    ]


def _folder_faults(folder: Path) -> list[CheckMessage]:
    """Check that the folder, or its nearest existing parent, is writable."""
    nearest = next(path for path in [folder, *folder.absolute().parents] if path.exists())
    if nearest.is_dir() and os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        return []
    what = "cannot be written" if nearest == folder else f"cannot be made in {nearest}"
    if not nearest.is_dir():
        what = f"cannot be a folder: {nearest} is a file"
    return [
        Error(
            f"The data folder {folder} {what}.",
            hint="Give it to the user that runs NeuralFlow, or set NEURALFLOW_STORE.",
            id="neuralflow.E002",
        )
    ]


def _mount_faults(folder: Path) -> list[CheckMessage]:
    """Refuse network file systems, where locks and syncs do not guarantee what the store needs."""
    kind = mount_type(folder)
    if not is_network(kind):
        return []
    return [
        Error(
            f"The data folder {folder} is on a network file system ({kind}).",
            hint="Keep it on a local disk (ext4, XFS, btrfs), and set NEURALFLOW_STORE.",
            id="neuralflow.E004",
        )
    ]


@register
def open_files_check(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn if the limit of open files is so low that connections and documents compete for it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= OPEN_FILES_MIN:
        return []
    return [
        Warning(
            f"A process may have only {soft} files open.",
            hint=f"Allow at least {OPEN_FILES_MIN}: `ulimit -n 1024`, or LimitNOFILE= of systemd.",
            id="neuralflow.W002",
        )
    ]


@register(deploy=True)
def private_files_check(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn of secrets and of people's data that other users of the machine may read or change."""
    warnings: list[CheckMessage] = []
    for path in _private_paths():
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue  # it is not there, or not ours to see
        if mode & 0o077:
            own = mode & 0o700
            warnings.append(
                Warning(
                    f"{path} is open to other users of this machine (mode {mode:04o}).",
                    hint=f"chmod {own:04o} {path}",
                    id="neuralflow.W003",
                )
            )
    return warnings


def _private_paths() -> Iterator[Path]:
    """The key, the settings, databases, the data folder with its backups, and mail in files."""
    yield settings.BASE_DIR / ".secret_key"
    yield settings.BASE_DIR / ".env"
    for database in settings.DATABASES.values():
        name = str(database.get("NAME") or "")
        if database["ENGINE"].endswith("sqlite3") and name not in {"", ":memory:"}:
            yield from (Path(f"{name}{end}") for end in ("", "-wal", "-shm"))
    with suppress(ValueError):  # storage_check reports a URL that is not understood
        folder = folder_of(settings.NEURALFLOW_STORE)
        yield folder
        yield folder / "backups"
    if settings.EMAIL_BACKEND == "django.core.mail.backends.filebased.EmailBackend":
        yield Path(settings.EMAIL_FILE_PATH)  # links that open accounts


def _database_faults(folder: Path) -> list[CheckMessage]:
    """Refuse a database inside the data folder, where backups would copy it inconsistently."""
    faults: list[CheckMessage] = []
    for alias, database in settings.DATABASES.items():
        name = str(database.get("NAME") or "")
        if not database["ENGINE"].endswith("sqlite3") or name in {"", ":memory:"}:
            continue
        if Path(name).resolve().is_relative_to(folder.resolve()):
            faults.append(
                Error(
                    f"The database {alias!r} lies inside the data folder: {name}.",
                    hint="Move the file elsewhere and say so in DATABASE_URL.",
                    id="neuralflow.E003",
                )
            )
    return faults
