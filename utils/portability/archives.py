"""Zip archives from strangers: read in little memory, and only when they are what they say.

`zipfile` builds its list of entries before anybody can count them, and in Python 3.11.7 unpacks
entries that overlap. So this module reads the format itself (APPNOTE.TXT 6.3.10 of PKWARE), as
much of it as an archive of JSON files needs: one disk, stored or deflated entries, no zip64.

An archive is judged whole before a byte is unpacked (`Archive`), and each entry against its own
figures while it is unpacked (`Archive.chunks`): never more is unpacked than was announced. Names
are told and compared; nothing here or above uses one as a path.
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
RATIO_IS_JUDGED_FROM: Final = 64 * KIB  # a short text of one letter is no bomb
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
# Control characters, halves of surrogate pairs, line and paragraph separators.
_REFUSED_IN_NAMES: Final = {"Cc", "Cs", "Zl", "Zp"}
_ORDERS: Final = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
# What begins so is an archive, or a compressed file, whatever its name: zip, gzip, 7z, xz, bzip2,
# zstd, rar.
_NESTED: Final = re.compile(
    rb"PK\x03\x04|PK\x05\x06|\x1f\x8b|7z\xbc\xaf|\xfd7zXZ|BZh|\x28\xb5\x2f\xfd|Rar!"
)

_NESTED_BYTES: Final = 8


class ArchiveFault(ValueError):
    """An archive that is refused; the message says why."""


class MalformedArchive(ArchiveFault):
    """It is no zip archive, or not whole, or its figures contradict each other."""


class UnsafeArchive(ArchiveFault):
    """It is made so that unpacking it could do harm, or uses what an honest one has no need of."""


class ArchiveTooLarge(ArchiveFault):
    """It would unpack to more than is taken."""


@dataclass(frozen=True)
class Limits:
    """How much an archive may be; bytes are those of its entries, unpacked."""

    entries: int = 10_000
    total_bytes: int = 256 * MIB


class Entry(NamedTuple):
    """A file in an archive, as its central directory tells of it."""

    name: str
    size: int
    packed: int
    crc: int
    method: int
    header: int  # where its local header is
    raw_name: bytes

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


class Archive:
    """The entries of a zip archive, judged as a whole; raises `ArchiveFault`.

    `file` can be sought in and stays open while the archive is used.
    """

    def __init__(self, file: BinaryIO, limits: Limits | None = None) -> None:
        self._file, self._limits = file, limits or Limits()
        count, self._directory, length = self._end()
        self.entries = tuple(self._central(count, length))
        _refuse_same_names(self.entries)
        self._starts = self._places()
        self._refuse_bombs()

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """What is in an entry, piece by piece.

        Raises `MalformedArchive` as soon as it is not what was announced, at the latest after the
        last piece: nothing is to be believed before.
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

    def _unpacked(self, entry: Entry) -> Iterator[bytes]:
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

    # The end, and what it leads to

    def _end(self) -> tuple[int, int, int]:
        """How many entries there are, where their directory is and how long it is."""
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
        _, disk, first_disk, here, count, length, start, _ = fields
        if _ZIP64 in (length, start) or 0xFFFF in (here, count):
            raise UnsafeArchive("it is a zip64 archive; none of the size taken here has to be")
        if disk or first_disk or here != count:
            raise UnsafeArchive("it is a part of an archive on several disks")
        if count > self._limits.entries:
            raise ArchiveTooLarge(f"it has {count} entries; {self._limits.entries} is most")
        if start + length != end_at:
            raise MalformedArchive("its directory is not where its end says")
        return count, start, length

    def _central(self, count: int, length: int) -> Iterator[Entry]:
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
        """Where the data of each entry begins, by its header; refuses entries that overlap."""
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
    """What the packed bytes stand for, never more than a chunk at a time."""
    if inflater.eof:
        raise MalformedArchive(f"{name} is damaged: something follows its data")
    try:
        while True:
            piece = inflater.decompress(packed, CHUNK)
            packed = inflater.unconsumed_tail
            if piece:
                yield piece
            # Where a whole chunk came, more may come of what was taken in already.
            if inflater.eof or (not packed and len(piece) < CHUNK):
                break
    except zlib.error:
        raise MalformedArchive(f"{name} is damaged: it does not unpack") from None
    if inflater.unused_data:
        raise MalformedArchive(f"{name} is damaged: something follows its data")


def _entry(fields: tuple[int, ...], raw_name: bytes) -> Entry:
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
    # The upper half holds the mode where a Unix made the archive, and other systems leave it 0.
    if stat.S_IFMT(attributes >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UnsafeArchive(f"{name} is a link or a device")
    if (method == _STORED and packed != size) or (name.endswith("/") and size):
        raise MalformedArchive(f"{name} has sizes that contradict each other")
    return Entry(name, size, packed, crc, method, header, raw_name)


def _judged_name(raw: bytes, flags: int) -> str:
    """Return the name, if no program that unpacks it as a path is led elsewhere by it.

    A leading "./", as some programs write it, is dropped. Characters that show nothing, such as a
    narrow space, stand in it as escapes: a backslash of its own is refused.
    """
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError:
        raise UnsafeArchive("a name in it is not UTF-8") from None
    shown = name[:100].encode("unicode_escape").decode("ascii")
    if not name or len(raw) > _NAME_BYTES_MAX:
        raise UnsafeArchive(f"a name in it is empty or too long: {shown}")
    if "\\" in name or any(_commands(one) for one in name):
        raise UnsafeArchive(f"a name in it holds a control character or a backslash: {shown}")
    steps = name.removesuffix("/").split("/")
    if any(step in ("", "..") for step in steps) or re.match("[A-Za-z]:", name):
        raise UnsafeArchive(f"a name in it leads out of its folder: {shown}")
    below = "/".join(step for step in steps if step != ".")
    plain = "".join(one if one.isprintable() else _escaped(one) for one in below)
    return f"{plain or '.'}/" if name.endswith("/") or not plain else plain


def _commands(character: str) -> bool:
    """Whether the character commands a terminal, or turns round the order of what follows."""
    if unicodedata.category(character) in _REFUSED_IN_NAMES:
        return True
    return unicodedata.bidirectional(character) in _ORDERS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _refuse_same_names(entries: tuple[Entry, ...]) -> None:
    """Names that differ in capitals or in the form of accents alone are one on many a system."""
    seen: set[str] = set()
    for entry in entries:
        name = unicodedata.normalize("NFC", entry.name.removesuffix("/")).casefold()
        if name in seen:
            raise UnsafeArchive(f"{entry.name} is in it twice")
        seen.add(name)
