"""Create and read the installation's secret key, in a file that only its owner can read."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def read_or_make_secret_key(path: Path) -> str:
    """Return the key in *path*, creating the file if it is missing.

    Processes that start concurrently agree on one key, because the complete file is linked to its
    name atomically and only once. Raises ImproperlyConfigured if the key can be neither read nor
    created.
    """
    try:
        if not path.exists():
            _make(path)
        key = path.read_text(encoding="ascii").strip()
    except OSError as fault:
        raise ImproperlyConfigured(
            f"The secret key {path} cannot be read or made ({fault.strerror}). "
            "Make its folder writable, or set NEURALFLOW_SECRET_KEY."
        ) from fault
    if not key:
        raise ImproperlyConfigured(f"The secret key {path} is empty. Delete it to have one made.")
    return key


def _make(path: Path) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(64) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # Link, not rename: a link fails if another process was first, whose key then counts.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
