"""The installation's secret key: made once, kept in a file that only its owner can read."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def read_or_make_secret_key(path: Path) -> str:
    """The key kept in *path*; made first when the file is absent.

    Processes that start together agree: the key is written to a draft and appears under its
    name whole, and only once. Raises ImproperlyConfigured when it can be neither read nor made.
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
        # A link, not a rename: it fails when another process was first, whose key then counts.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
