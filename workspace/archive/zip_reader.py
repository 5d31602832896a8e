"""Read zip archives from untrusted sources with bounded memory.

`zipfile` builds its list of entries before a caller can limit their number, and in Python 3.11.7 it
unpacks entries that overlap. This module therefore parses the format itself (PKWARE APPNOTE.TXT
6.3.10), limited to the subset that archives of JSON files need: one disk, stored or deflated
entries, no zip64.

`Archive` validates the directory before it unpacks a byte. `Archive.chunks` checks each entry
against its announced size and checksum while it unpacks, and never returns more than was announced.
Names are only displayed and compared. Neither this module nor its callers use a name as a path.
"""

from __future__ import annotations

import re
import stat
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, NamedTuple

KIB: Final = 1024
MIB: Final = 1024 * KIB

CHUNK: Final = 64 * KIB
RATIO_MAX: Final = 100
RATIO_IS_JUDGED_FROM: Final = 64 * KIB  # below it, a text of one repeated letter is harmless
_NAME_BYTES_MAX: Final = 255

_END, _CENTRAL, _LOCAL = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
_END_FIELDS: Final = struct.Struct("<4s4H2LH")
_CENTRAL_FIELDS: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL_FIELDS: Final = struct.Struct("<4s5H3L2H")
_COMMENT_MAX: Final = 0xFFFF
_ZIP64: Final = 0xFFFFFFFF

_STORED, _DEFLATED = 0, 8
_ENCRYPTED: Final = 0x0001 | 0x0040 | 0x2000
_UTF8: Final = 0x0800
# Control characters, lone surrogates, line and paragraph separators.
_REFUSED_IN_NAMES: Final = {"Cc", "Cs", "Zl", "Zp"}
_ORDERS: Final = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
# Magic numbers of archives and compressed files: zip, gzip, 7z, xz, bzip2, zstd, rar. The name of
# an entry proves nothing, so its first bytes are compared.
_NESTED: Final = re.compile(
    rb"PK\x03\x04|PK\x05\x06|\x1f\x8b|7z\xbc\xaf|\xfd7zXZ|BZh|\x28\xb5\x2f\xfd|Rar!"
)

_NESTED_BYTES: Final = 8


class ArchiveFault(ValueError):
    """Base class of refusals. The message states the reason."""


class MalformedArchive(ArchiveFault):
    """The file is not a zip archive, is truncated, or contradicts itself."""


class UnsafeArchive(ArchiveFault):
    """The archive could do harm when unpacked, or uses a feature that an export never needs."""


class ArchiveTooLarge(ArchiveFault):
    """The archive would unpack to more than the limits allow."""


@dataclass(frozen=True)
class ArchiveLimits:
    """Upper bounds for an archive. `total_bytes` counts unpacked bytes of all entries."""

    entries: int = 10_000
    total_bytes: int = 256 * MIB


class ArchiveEntry(NamedTuple):
    """A file in an archive, as its central directory describes it."""

    name: str
    size: int
    packed: int
    crc: int
    method: int
    header: int  # offset of its local header
    raw_name: bytes

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


class Archive:
    """The validated entries of a zip archive. Raises `ArchiveFault`.

    `file` must be seekable and stay open as long as the archive is used.
    """

    def __init__(self, file: BinaryIO, limits: ArchiveLimits | None = None) -> None:
        self._file, self._limits = file, limits or ArchiveLimits()
        count, self._directory, length = self._end()
        self.entries = tuple(self._central(count, length))
        _refuse_same_names(self.entries)
        self._starts = self._places()
        self._refuse_bombs()

    def chunks(self, entry: ArchiveEntry) -> Iterator[bytes]:
        """Yield the unpacked content of an entry in chunks.

        Raises `MalformedArchive` as soon as the content differs from the announced size or
        checksum, at the latest after the last chunk. Do not trust the content before the iterator
        ends.
        """
        crc, unpacked, beginning = 0, 0, b""
        for piece in self._unpacked(entry):
            if unpacked < _NESTED_BYTES:
                beginning += piece[:_NESTED_BYTES]
                if _NESTED.match(beginning):
                    raise UnsafeArchive(f"{entry.name} is an archive itself; leave it out")
            unpacked += len(piece)
            if unpacked > entry.size:
                raise MalformedArchive(f"{entry.name} unpacks to more than it says")
            crc = zlib.crc32(piece, crc)
            yield piece
        if unpacked != entry.size or crc != entry.crc:
            raise MalformedArchive(f"{entry.name} is damaged: size or checksum differ")

    def _unpacked(self, entry: ArchiveEntry) -> Iterator[bytes]:
        left, at = entry.packed, self._starts[entry.header]
        inflater = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == _DEFLATED else None
        while left:
            self._file.seek(at)
            packed = self._file.read(min(CHUNK, left))
            if not packed:
                raise MalformedArchive("the archive ends too early")
            left, at = left - len(packed), at + len(packed)
            if inflater is None:
                yield packed
            else:
                yield from _inflated(inflater, packed, entry.name)
        if inflater is not None and not inflater.eof:
            raise MalformedArchive(f"{entry.name} is damaged: its data ends too early")

    # End record and central directory

    def _end(self) -> tuple[int, int, int]:
        """Return the number of entries, the offset of the central directory and its length."""
        length = self._file.seek(0, 2)
        tail_at = max(length - _END_FIELDS.size - _COMMENT_MAX, 0)
        self._file.seek(tail_at)
        tail = self._file.read()
        at = tail.rfind(_END)
        while at >= 0:
            if len(tail) - at >= _END_FIELDS.size:
                fields = _END_FIELDS.unpack_from(tail, at)
                if at + _END_FIELDS.size + fields[7] == len(tail):
                    return self._judged_end(fields, tail_at + at)
            at = tail.rfind(_END, 0, at)
        raise MalformedArchive("this is no zip archive, or its end is missing")

    def _judged_end(self, fields: tuple[int, ...], end_at: int) -> tuple[int, int, int]:
        _, disk, first_disk, count_here, count, length, start, _ = fields
        if _ZIP64 in (length, start) or 0xFFFF in (count_here, count):
            raise UnsafeArchive("it is a zip64 archive; none of the size taken here has to be")
        if disk or first_disk or count_here != count:
            raise UnsafeArchive("it is a part of an archive on several disks")
        if count > self._limits.entries:
            raise ArchiveTooLarge(f"it has {count} entries; {self._limits.entries} is most")
        if start + length != end_at:
            raise MalformedArchive("its directory is not where its end says")
        return count, start, length

    def _central(self, count: int, length: int) -> Iterator[ArchiveEntry]:
        at, end = self._directory, self._directory + length
        for _ in range(count):
            fields = _CENTRAL_FIELDS.unpack(self._read(at, _CENTRAL_FIELDS.size))
            if fields[0] != _CENTRAL:
                raise MalformedArchive("its directory is damaged")
            name = self._read(at + _CENTRAL_FIELDS.size, fields[10])
            at += _CENTRAL_FIELDS.size + sum(fields[10:13])
            if at > end:
                raise MalformedArchive("its directory is damaged")
            yield _entry(fields, name)
        if at != end:
            raise MalformedArchive("its directory holds more than its entries")

    def _places(self) -> dict[int, int]:
        """Return the offset of each entry's data by header offset.

        Raises `UnsafeArchive` if entries overlap, `MalformedArchive` if a local header contradicts
        the directory.
        """
        starts: dict[int, int] = {}
        taken = 0
        for entry in sorted(self.entries, key=lambda one: one.header):
            if entry.header < taken:
                raise UnsafeArchive(f"{entry.name} overlaps another entry")
            fields = _LOCAL_FIELDS.unpack(self._read(entry.header, _LOCAL_FIELDS.size))
            name = self._read(entry.header + _LOCAL_FIELDS.size, fields[9])
            if fields[0] != _LOCAL or name != entry.raw_name or fields[3] != entry.method:
                raise MalformedArchive(f"{entry.name} is told of in two ways")
            if fields[2] & _ENCRYPTED:
                raise UnsafeArchive(f"{entry.name} is encrypted")
            start = entry.header + _LOCAL_FIELDS.size + fields[9] + fields[10]
            taken = start + entry.packed
            starts[entry.header] = start
            if taken > self._directory:
                raise UnsafeArchive(f"{entry.name} overlaps the directory")
        return starts

    def _refuse_bombs(self) -> None:
        total = sum(entry.size for entry in self.entries)
        if total > self._limits.total_bytes:
            raise ArchiveTooLarge(
                f"it unpacks to {total} bytes; {self._limits.total_bytes} is most"
            )
        for entry in self.entries:
            if entry.size > max(entry.packed * RATIO_MAX, RATIO_IS_JUDGED_FROM):
                raise ArchiveTooLarge(
                    f"{entry.name} unpacks to more than {RATIO_MAX} times its packed size"
                )

    def _read(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        data = self._file.read(length)
        if len(data) != length:
            raise MalformedArchive("the archive ends too early")
        return data


def _inflated(inflater: zlib._Decompress, packed: bytes, name: str) -> Iterator[bytes]:
    """Yield the inflated bytes in pieces of at most `CHUNK` bytes."""
    if inflater.eof:
        raise MalformedArchive(f"{name} is damaged: something follows its data")
    try:
        while True:
            piece = inflater.decompress(packed, CHUNK)
            packed = inflater.unconsumed_tail
            if piece:
                yield piece
            # A full chunk can leave output pending in the inflater, even with all input consumed.
            if inflater.eof or (not packed and len(piece) < CHUNK):
                break
    except zlib.error:
        raise MalformedArchive(f"{name} is damaged: it does not unpack") from None
    if inflater.unused_data:
        raise MalformedArchive(f"{name} is damaged: something follows its data")


def _entry(fields: tuple[int, ...], raw_name: bytes) -> ArchiveEntry:
    _, _, _, flags, method, _, _, crc, packed, size, _, _, _, disk, _, attributes, header = fields
    name = _judged_name(raw_name, flags)
    if flags & _ENCRYPTED:
        raise UnsafeArchive(f"{name} is encrypted")
    if _ZIP64 in (packed, size, header):
        raise UnsafeArchive(f"{name} is told of by zip64; nothing of the size taken here has to be")
    if method not in (_STORED, _DEFLATED):
        raise UnsafeArchive(f"{name} is packed by method {method}; store or deflate it")
    if disk:
        raise UnsafeArchive(f"{name} is on another disk")
    # The upper 16 bits hold the Unix mode. Archives made on other systems have 0 there.
    if stat.S_IFMT(attributes >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UnsafeArchive(f"{name} is a link or a device")
    if (method == _STORED and packed != size) or (name.endswith("/") and size):
        raise MalformedArchive(f"{name} has sizes that contradict each other")
    return ArchiveEntry(name, size, packed, crc, method, header, raw_name)


def _judged_name(raw: bytes, flags: int) -> str:
    """Return the decoded name, or raise `UnsafeArchive` if unpacking it as a path could escape.

    A leading "./", which some programs write, is dropped. Unprintable characters, such as a narrow
    space, are replaced by escapes. The result stays unambiguous because a name that contains a
    backslash is refused.
    """
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError:
        raise UnsafeArchive("a name in it is not UTF-8") from None
    shown = name[:100].encode("unicode_escape").decode("ascii")
    if not name or len(raw) > _NAME_BYTES_MAX:
        raise UnsafeArchive(f"a name in it is empty or too long: {shown}")
    if "\\" in name or any(_commands(character) for character in name):
        raise UnsafeArchive(f"a name in it holds a control character or a backslash: {shown}")
    steps = name.removesuffix("/").split("/")
    if any(step in ("", "..") for step in steps) or re.match("[A-Za-z]:", name):
        raise UnsafeArchive(f"a name in it leads out of its folder: {shown}")
    below = "/".join(step for step in steps if step != ".")
    plain = "".join(
        character if character.isprintable() else _escaped(character) for character in below
    )
    return f"{plain or '.'}/" if name.endswith("/") or not plain else plain


def _commands(character: str) -> bool:
    """Return True for control characters and for characters that reorder bidirectional text."""
    if unicodedata.category(character) in _REFUSED_IN_NAMES:
        return True
    return unicodedata.bidirectional(character) in _ORDERS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _refuse_same_names(entries: tuple[ArchiveEntry, ...]) -> None:
    """Raise `UnsafeArchive` if names collide on file systems that ignore case or accent form."""
    seen: set[str] = set()
    for entry in entries:
        name = unicodedata.normalize("NFC", entry.name.removesuffix("/")).casefold()
        if name in seen:
            raise UnsafeArchive(f"{entry.name} is in it twice")
        seen.add(name)
