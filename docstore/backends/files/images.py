"""Images: compressed copies of the documents' files as of the last checkpoint.

    .neuralflow/images/<collection>/<owner>.image

A person may overwrite a document's file at any time, also while no process runs. Then only the
image and the journal after it still have the stored state: the merge compares the file with that. A
checkpoint writes the images of all documents published since the previous one durably, before it
allows the journal to delete segments. So no image is older than the checkpoint. For a document
without an image (which this version never wrote), the file itself counts.

The first line is JSON: format, frame, the file's inode, size and time, and a digest of its bytes.
The rest is the file, compressed with zlib.
"""

from __future__ import annotations

import hashlib
import secrets
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from docstore.codec import decode
from docstore.disk.filesystem import Draft, FileSystem
from docstore.document import CollectionLayout, Document, Key
from docstore.errors import Corrupt, from_os_error

_FORMAT: Final = 1
_LEVEL: Final = 1
_BATCH_BYTES: Final = 8 * 1024 * 1024
_HEADER_MAX: Final = 512


class _Header(msgspec.Struct):
    format: int
    sequence: int
    file: tuple[int, int, int]
    digest: str


_decode_header: Final = msgspec.json.Decoder(_Header).decode


def digest_of(data: bytes) -> str:
    """Return the BLAKE2b digest of a file's content: 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class Head(NamedTuple):
    """The first line of an image: the last frame in the file, its identity and its digest.

    `file` is its inode, size in bytes and mtime in nanoseconds.
    """

    sequence: int
    file: tuple[int, int, int]
    digest: str


@dataclass(frozen=True)
class Image:
    """A document's file as of the last checkpoint: the fields of `Head`, and the packed bytes."""

    sequence: int
    file: tuple[int, int, int]
    digest: str
    _packed: bytes

    def content(self) -> bytes | None:
        """Return the file's bytes; None if the image is damaged."""
        try:
            data = zlib.decompress(self._packed)
        except zlib.error:
            return None
        return data if digest_of(data) == self.digest else None

    def is_copy_of(self, data: bytes) -> bool:
        """Return whether the packed bytes are these, whatever the digest in the header says."""
        try:
            return zlib.decompress(self._packed) == data
        except zlib.error:
            return False

    def document(self, name: str, layout: CollectionLayout) -> Document | None:
        """Return the document; None if the image is damaged."""
        data = self.content()
        with suppress(Corrupt):
            return decode(data, name, layout) if data is not None else None
        return None


@dataclass(frozen=True)
class Shown:
    """A published file and its bytes, for `Images.write`."""

    key: Key
    sequence: int
    file: tuple[int, int, int]
    data: bytes


class Images:
    """The images of a data folder. To write them, hold the publishing lock."""

    def __init__(self, files: FileSystem, folder: Path, layouts: Mapping[str, object]) -> None:
        self._files, self._folder, self._layouts = files, folder, layouts

    def path(self, key: Key) -> Path:
        """Return the path of a document's image."""
        return self._folder / key.collection / f"{key.owner}.image"

    def read(self, key: Key) -> Image | None:
        """Return the image of a document; None if it is missing or its first line is invalid.

        Raises `Unavailable` if the system cannot read it now. Without that, an edited file would be
        taken for the document, unmerged.
        """
        try:
            data, _ = self._files.read(self.path(key))
            end = data.index(b"\n", 0, _HEADER_MAX)
            header = _decode_header(data[:end])
        except (FileNotFoundError, ValueError, msgspec.MsgspecError):
            return None
        except OSError as error:
            raise from_os_error(error, f"cannot read the image of {key}") from error
        if header.format != _FORMAT:
            return None
        return Image(header.sequence, header.file, header.digest, data[end + 1 :])

    def head(self, key: Key) -> Head | None:
        """Return the first line of an image, without the rest, under the conditions of `read`."""
        try:
            handle = self._files.open(self.path(key), to_write=False)
            try:
                data = self._files.read_at(handle, _HEADER_MAX, 0)
            finally:
                self._files.close(handle)
            header = _decode_header(data[: data.index(b"\n")])
        except (FileNotFoundError, ValueError, msgspec.MsgspecError):
            return None
        except OSError as error:
            raise from_os_error(error, f"cannot read the image of {key}") from error
        return (
            Head(header.sequence, header.file, header.digest) if header.format == _FORMAT else None
        )

    def write(self, shown: Iterable[Shown]) -> set[Key]:
        """Write images durably; return their keys. Raises `OSError`; then some may be missing."""
        written: set[Key] = set()
        folders: set[Path] = set()
        batch: list[tuple[Shown, bytes]] = []
        size = 0
        for file in shown:
            written.add(file.key)
            batch.append((file, _packed(file)))
            size += len(batch[-1][1])
            if size > _BATCH_BYTES or len(batch) >= 64:
                folders |= self._write(batch)
                batch, size = [], 0
        if batch:
            folders |= self._write(batch)
        for folder in folders:
            self._files.sync_folder("image-names", folder)
        return written

    def remove(self, keys: Iterable[Key]) -> None:
        """Remove images durably."""
        paths = [path for path in map(self.path, keys) if self._files.exists(path)]
        for path in paths:
            self._files.remove("image-remove", path)
        for folder in {path.parent for path in paths}:
            self._files.sync_folder("image-names", folder)

    def clear(self) -> None:
        """Remove all images durably, before the files of a backup replace the documents."""
        for collection in self._layouts:
            folder = self._folder / collection
            if not self._files.is_folder(folder):
                continue
            for name in self._files.names(folder):
                self._files.remove("image-clear", folder / name)
            self._files.sync_folder("image-names", folder)

    def sweep(self) -> None:
        """Remove the drafts of dead processes. No other process may have the folder open."""
        for collection in self._layouts:
            folder = self._folder / collection
            for name in self._files.names(folder) if self._files.is_folder(folder) else ():
                if name.endswith(".draft"):
                    self._files.remove("sweep", folder / name)

    def _write(self, batch: list[tuple[Shown, bytes]]) -> set[Path]:
        folders = {self.path(file.key).parent for file, _ in batch}
        for folder in folders:
            self._files.make_folder("lay-out", folder)
        drafts = [
            Draft(f"{self.path(file.key)}.{secrets.token_hex(8)}.draft", data, file.file[2])
            for file, data in batch
        ]
        done = 0
        try:
            self._files.create_all("image", drafts)
            for (file, _), draft in zip(batch, drafts, strict=True):
                self._files.rename("image-name", draft.path, self.path(file.key))
                done += 1
        finally:
            for draft in drafts[done:]:
                with suppress(OSError):
                    self._files.remove("image-take-back", draft.path)
        return folders


def _packed(shown: Shown) -> bytes:
    header = _Header(_FORMAT, shown.sequence, shown.file, digest_of(shown.data))
    return msgspec.json.encode(header) + b"\n" + zlib.compress(shown.data, _LEVEL)
