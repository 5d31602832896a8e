"""Content-addressed objects, gathered in packs.

A pack is a tar archive (ustar) whose members are named by the SHA-256 of their content, compressed
with zstd and, with recipients, encrypted with age. The pack itself is named by the SHA-256 of its
stored bytes: `packs/3f/3f0c….tar.zst`. So `sha256sum` checks a pack without any key, and no pack is
ever written twice or changed.
"""

from __future__ import annotations

import hashlib
import sys
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import msgspec

from backups.encryption import Envelope
from backups.targets import Target
from docstore import Corrupt, NotFound

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACK_BYTES: Final = 8 * 1024 * 1024
LEVEL: Final = 3
_BLOCK: Final = 512
_PENDING_MAX: Final = 3
_CACHED_MAX: Final = 4


class Place(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The position of an object: its pack, the offset of its content in the tar, its size."""

    pack: str
    offset: int
    size: int


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of the data in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def pack_name(pack: str, suffix: str) -> str:
    """Return the name of a pack under the target."""
    return f"packs/{pack[:2]}/{pack}{suffix}"


def pack_of(name: str) -> str:
    """Return the id of the pack with this name."""
    return name.rpartition("/")[2].partition(".")[0]


def _header_template() -> tuple[bytes, bytes, bytes, int]:
    """Return the constant parts of a tar header, around size and checksum, and their sum.

    Members have mode 0600, owner 0 and time 0, so equal contents make equal packs.
    """
    before = b"\0" * 36 + b"0000600\0" + b"0000000\0" * 2
    middle = b"00000000000\0"
    after = b"0" + b"\0" * 100 + b"ustar\0" + b"00" + b"\0" * 247
    return before, middle, after, sum(before) + sum(middle) + sum(after) + 8 * ord(" ")


_BEFORE, _MIDDLE, _AFTER, _SUM = _header_template()


def tar_header(name: str, size: int) -> bytes:
    """Return the ustar header of a member: a name of 64 characters, and less than 8 GiB."""
    encoded, length = name.encode("ascii"), b"%011o\0" % size
    checksum = _SUM + sum(encoded) + sum(length)
    return b"".join((encoded, _BEFORE, length, _MIDDLE, b"%06o\0 " % checksum, _AFTER))


class PackWriter:
    """A writer of objects that the target does not have yet.

    `known` holds the position of every object in the target, and `sizes` the stored bytes of every
    pack. They are complete for all added objects after `flush`. A second thread compresses and
    writes packs while the caller goes on.
    """

    def __init__(
        self, target: Target, envelope: Envelope, known: dict[str, Place], sizes: dict[str, int]
    ) -> None:
        self._target, self._envelope, self.known = target, envelope, known
        self.sizes = sizes
        self._parts: list[bytes] = []
        self._size = 0
        self._waiting: dict[str, tuple[int, int]] = {}
        self._pending: list[tuple[dict[str, tuple[int, int]], Future[str]]] = []
        self._in_flight: set[str] = set()
        self._thread = ThreadPoolExecutor(1, "backup")
        self.bytes_written = 0

    def close(self) -> None:
        """Stop the thread. What was not flushed is given up."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def add(self, digest: str, data: bytes) -> None:
        """Add an object, unless the target has it already. `digest` is its SHA-256."""
        if digest in self.known or digest in self._in_flight:
            return
        if self._parts and self._size + len(data) > PACK_BYTES:
            self._seal()
        self._in_flight.add(digest)
        self._parts.append(tar_header(digest, len(data)))
        self._waiting[digest] = self._size + _BLOCK, len(data)
        self._parts.append(data)
        padding = -len(data) % _BLOCK
        if padding:
            self._parts.append(bytes(padding))
        self._size += _BLOCK + len(data) + padding

    def flush(self) -> None:
        """Write the last pack, and wait until the target has all of them. Raises its errors."""
        if self._parts:
            self._seal()
        while self._pending:
            self._collect()

    def _seal(self) -> None:
        if len(self._pending) >= _PENDING_MAX:
            self._collect()
        parts, waiting = self._parts, self._waiting
        self._parts, self._size, self._waiting = [], 0, {}
        self._pending.append((waiting, self._thread.submit(self._write, parts)))

    def _write(self, parts: list[bytes]) -> str:
        plain = b"".join((*parts, bytes(2 * _BLOCK)))
        data = self._envelope.seal(zstd.compress(plain, LEVEL))
        pack = digest_of(data)
        self._target.write(pack_name(pack, self._envelope.suffix), data)
        self.sizes[pack] = len(data)
        self.bytes_written += len(data)
        return pack

    def _collect(self) -> None:
        waiting, future = self._pending.pop(0)
        pack = future.result()
        for digest, (offset, size) in waiting.items():
            self.known[digest] = Place(pack, offset, size)


@contextmanager
def pack_writer(
    target: Target, envelope: Envelope, known: dict[str, Place], sizes: dict[str, int]
) -> Iterator[PackWriter]:
    """Yield a writer of packs, and stop its thread afterwards."""
    writer = PackWriter(target, envelope, known, sizes)
    try:
        yield writer
    finally:
        writer.close()


class PackReader:
    """A reader of objects. Each pack and each object is checked against its SHA-256."""

    def __init__(self, target: Target, envelope: Envelope) -> None:
        self._target, self._envelope = target, envelope
        self._cached: OrderedDict[str, bytes] = OrderedDict()

    def read(self, digest: str, place: Place) -> bytes:
        """Return an object. Raises `Corrupt` if it is missing or damaged, `Unavailable`."""
        plain = self._pack(place.pack)
        data = plain[place.offset : place.offset + place.size]
        if len(data) != place.size or digest_of(data) != digest:
            name = pack_name(place.pack, self._envelope.suffix)
            raise Corrupt(name, f"does not hold {digest} at byte {place.offset}")
        return data

    def _pack(self, pack: str) -> bytes:
        plain = self._cached.get(pack)
        if plain is None:
            plain = self._cached[pack] = self._load(pack)
            if len(self._cached) > _CACHED_MAX:
                self._cached.popitem(last=False)
        else:
            self._cached.move_to_end(pack)
        return plain

    def _load(self, pack: str) -> bytes:
        name = pack_name(pack, self._envelope.suffix)
        try:
            data = self._target.read(name)
        except NotFound:
            raise Corrupt(name, "is missing") from None
        if digest_of(data) != pack:
            raise Corrupt(name, "is damaged: its SHA-256 is not its name")
        opened = self._envelope.open(name, data)
        try:
            return zstd.decompress(opened)
        except zstd.ZstdError as error:
            raise Corrupt(name, f"cannot be decompressed: {error}") from error
