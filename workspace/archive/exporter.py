"""Export all documents of a user as one zip archive with a manifest.

    with json_storage.export(7) as export, open(export.name, "wb") as file:
        file.writelines(export)

The archive is a consistent snapshot: its files are byte for byte those that NeuralFlow publishes,
including unreadable ones. Sizes and digests are computed before the first byte of output, so most
errors occur before a response starts. Afterwards at most one chunk of a file is in memory.

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

from docstore import Copy, Corrupt, DocumentStore, Key, format_utc
from workspace.archive.zip_reader import CHUNK, RATIO_IS_JUDGED_FROM, RATIO_MAX
from workspace.schema.collections import COLLECTIONS

VERSION: Final = "0.1.0"
FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MANIFEST_DIGEST: Final = "manifest_sha256"  # in the metadata of the activity of an export


class _File(NamedTuple):
    """A file of the archive. `told` is its manifest entry, `method` its compression method."""

    name: str
    file: BinaryIO
    told: dict[str, Any]
    method: int


class Export:
    """An iterable over the bytes of an export archive. Close it, or use it in a `with`.

    Raises `Unavailable`, and `Corrupt` if a file cannot be read even as bytes.
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
        """The SHA-256 of the manifest, which covers the digest of every file of the archive."""
        return hashlib.sha256(self.manifest).hexdigest()

    def _manifest(self) -> bytes:
        manifest = {
            "format": FORMAT,
            "created_at": format_utc(self._now),
            "version": VERSION,
            "owner": self.owner,
            "files": {file.name: file.told for file in self._files},
        }
        return json.dumps(manifest, indent=2).encode() + b"\n"

    def __iter__(self) -> Iterator[bytes]:
        """Yield the archive in pieces.

        Raises `Corrupt` if a file was modified in place since it was measured. The bytes yielded so
        far are then an incomplete archive.
        """
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
        """Release the snapshot's files."""
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
    """A write-only file that buffers bytes until `taken` removes them."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Do nothing: `taken` returns all bytes that were written."""

    def taken(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(CHUNK):
        yield piece


def _measured(name: str, key: Key, copy: Copy) -> _File:
    """Read a file once to compute its manifest entry and its compression method."""
    digest, size, packed = hashlib.sha256(), 0, 0
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)  # same parameters as zipfile
    for piece in _pieces(copy.file):
        digest.update(piece)
        size += len(piece)
        packed += len(packer.compress(piece))
    packed += len(packer.flush())
    entry: dict[str, Any] = {"bytes": size, "sha256": digest.hexdigest()}
    entry |= {"revision": None, "records": None}
    if copy.document is not None:
        records = copy.document.list_of(COLLECTIONS[key.collection].layout.records)
        entry |= {"revision": copy.document.revision, "records": len(records)}
    # `Archive` refuses entries with a high compression ratio as bombs. A user may legitimately have
    # written one letter ten thousand times, so such a file is stored uncompressed.
    is_bomb = size > max(packed * RATIO_MAX, RATIO_IS_JUDGED_FROM)
    return _File(name, copy.file, entry, zipfile.ZIP_STORED if is_bomb else zipfile.ZIP_DEFLATED)


def _checked(file: _File) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for piece in _pieces(file.file):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != file.told["sha256"]:
        raise Corrupt(file.name, "was written in place while it was exported")
