"""Encryption to age recipients (https://age-encryption.org), by pyrage.

A backup is encrypted to recipients, which are public. To read it takes the identity of one of them.
The server that writes backups need not have any identity. The command `age -d -i FILE` decrypts the
same files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyrage

from docstore import Corrupt, InvalidValue, Unavailable

PLAIN: Final = ".tar.zst"
SEALED: Final = ".tar.zst.age"


class Envelope:
    """The encryption of a backup's packs. Without recipients, packs are not encrypted."""

    def __init__(self, recipients: Sequence[str] = (), identities: Sequence[Any] = ()) -> None:
        self.recipients = tuple(recipients)
        self._recipients = [_recipient(text) for text in recipients]
        self._identities = list(identities)

    @property
    def suffix(self) -> str:
        """Return how the names of packs end."""
        return SEALED if self.recipients else PLAIN

    @property
    def can_open(self) -> bool:
        """Return whether packs can be read: they are not encrypted, or an identity is here."""
        return not self.recipients or bool(self._identities)

    def seal(self, data: bytes) -> bytes:
        """Return the bytes to store."""
        return pyrage.encrypt(data, self._recipients) if self.recipients else data

    def open(self, name: str, data: bytes) -> bytes:
        """Return the bytes that `seal` was given. Raises `Corrupt`, and `Unavailable` if no
        identity fits."""
        if not self.recipients:
            return data
        if not self._identities:
            raise Unavailable("the backup is encrypted: name the file of an age identity")
        try:
            return pyrage.decrypt(data, self._identities)
        except pyrage.DecryptError as error:
            if "No matching keys" in str(error):
                raise Unavailable(
                    f"no identity opens the backup, which is encrypted to"
                    f" {', '.join(self.recipients)}"
                ) from error
            raise Corrupt(name, f"cannot be decrypted: {error}") from error


def _recipient(text: str) -> Any:
    kind = pyrage.ssh if text.startswith("ssh-") else pyrage.x25519
    try:
        return kind.Recipient.from_str(text)
    except (pyrage.RecipientError, ValueError) as error:
        raise InvalidValue(f"{text!r} is no age recipient (age1… or ssh-…): {error}") from error


def read_identities(path: Path) -> list[Any]:
    """Return the identities in a file as `age-keygen` writes it, or in an SSH private key.

    Raises `Unavailable` if it cannot be read, and `InvalidValue` if it holds none.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Unavailable(f"cannot read the identity {path}: {error.strerror}") from error
    try:
        if data.startswith(b"-----BEGIN"):
            return [pyrage.ssh.Identity.from_buffer(data)]
        lines = [line.strip() for line in data.decode("utf-8").splitlines()]
        keys = [line for line in lines if line and not line.startswith("#")]
        identities = [pyrage.x25519.Identity.from_str(key) for key in keys]
    except (pyrage.IdentityError, ValueError) as error:
        raise InvalidValue(f"{path} holds no age identity: {error}") from error
    if not identities:
        raise InvalidValue(f"{path} holds no age identity")
    return identities
