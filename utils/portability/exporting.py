"""Everything that one person owns, in one zip archive: their files as they are, and a manifest.

    with json_storage.export(7) as export, open(export.name, "wb") as file:
        file.writelines(export)

The files are of one moment, byte for byte as NeuralFlow publishes them, readable or not. What is
to be told of them is found out before the first byte of the archive is made, so that what goes
wrong goes wrong then; afterwards no more than a piece of a file at a time is in memory.

    manifest.json: {"format": 1, "created_at": ..., "version": ..., "owner": 7,
                    "files": {name: {"bytes", "sha256", "revision", "records"}}}
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from types import TracebackType
from typing import Any, BinaryIO, Final, NamedTuple

from docstore import Copy, Corrupt, DocumentStore, Key, utc_text
from utils.portability.archives import CHUNK, RATIO_IS_JUDGED_FROM, RATIO_MAX
from utils.table import COLLECTIONS

VERSION: Final = "0.1.0"
FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MANIFEST_DIGEST: Final = "manifest_sha256"  # in the metadata of the activity of an export


class _File(NamedTuple):
    """A file of the archive: its name, where to read it, what is told of it, and how it is kept."""

    name: str
    file: BinaryIO
    told: dict[str, Any]
    method: int


class Export:
    """An archive of a person's files, piece by piece. To be closed, or used in a `with`.

    Raises `Unavailable`, and `Corrupt` for what cannot even be read as bytes.
    """

    def __init__(self, store: DocumentStore, owner: int, now: datetime) -> None:
        self.owner, self._now = owner, now
        self.name = f"neuralflow_{owner}_{now:%Y-%m-%dT%H-%M-%SZ}.zip"
        with ExitStack() as stack:
            keys = [Key(collection, owner) for collection in COLLECTIONS]
            copies = stack.enter_context(store.backend.copies(keys))
            self._files = [
                _measured(store.backend.name(key), key, copy) for key, copy in copies.items()
            ]
            self._stack = stack.pop_all()
        self.manifest = self._manifest()

    @property
    def manifest_digest(self) -> str:
        """The SHA-256 of the manifest, and through it of every file of the archive."""
        return hashlib.sha256(self.manifest).hexdigest()

    def _manifest(self) -> bytes:
        told = {
            "format": FORMAT,
            "created_at": utc_text(self._now),
            "version": VERSION,
            "owner": self.owner,
            "files": {file.name: file.told for file in self._files},
        }
        return json.dumps(told, indent=2).encode() + b"\n"

    def __iter__(self) -> Iterator[bytes]:
        """The archive. Raises `Corrupt` when a file was changed in place meanwhile: what came so
        far is then no whole archive."""
        pipe = _Pipe()
        with zipfile.ZipFile(pipe, "w") as archive:  # type: ignore[call-overload]  # no more than write
            for file in self._files:
                with archive.open(self._entry(file.name, file.method), "w") as entry:
                    for piece in _checked(file):
                        entry.write(piece)
                        yield pipe.taken()
            archive.writestr(self._entry(MANIFEST, zipfile.ZIP_DEFLATED), self.manifest)
        yield pipe.taken()

    def _entry(self, name: str, method: int) -> zipfile.ZipInfo:
        entry = zipfile.ZipInfo(name, self._now.timetuple()[:6])
        entry.compress_type = method
        entry.external_attr = 0o600 << 16
        return entry

    def close(self) -> None:
        """Lets go of the files."""
        self._stack.close()

    def __enter__(self) -> Export:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Pipe:
    """A file that can only be written, and gives what was written to whoever takes it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Nothing is kept back."""

    def taken(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(CHUNK):
        yield piece


def _measured(name: str, key: Key, copy: Copy) -> _File:
    """A file, looked through once."""
    digest, size, packed = hashlib.sha256(), 0, 0
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)  # as zipfile does it
    for piece in _pieces(copy.file):
        digest.update(piece)
        size += len(piece)
        packed += len(packer.compress(piece))
    packed += len(packer.flush())
    told: dict[str, Any] = {"bytes": size, "sha256": digest.hexdigest()}
    told |= {"revision": None, "records": None}
    if copy.document is not None:
        records = copy.document.list_of(COLLECTIONS[key.collection].layout.records)
        told |= {"revision": copy.document.revision, "records": len(records)}
    # Whoever reads archives of strangers refuses what looks like a bomb; a person may well have
    # written one letter ten thousand times.
    is_bomb = size > max(packed * RATIO_MAX, RATIO_IS_JUDGED_FROM)
    return _File(name, copy.file, told, zipfile.ZIP_STORED if is_bomb else zipfile.ZIP_DEFLATED)


def _checked(file: _File) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for piece in _pieces(file.file):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != file.told["sha256"]:
        raise Corrupt(file.name, "was written in place while it was exported")
