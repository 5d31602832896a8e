"""Zip archives that mean harm, made by hand: what no zip program writes."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

MIB = 1024 * 1024


class Part(NamedTuple):
    """An entry as it is to be told, true or not; None stands for what is true."""

    name: bytes
    content: bytes = b""
    method: int = 8
    flags: int = 0
    crc: int | None = None
    size: int | None = None
    packed: bytes | None = None
    packed_size: int | None = None
    mode: int = 0
    local_name: bytes | None = None
    header: int | None = None


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def archive(*parts: Part, comment: bytes = b"", count: int | None = None) -> bytes:
    """An archive of these entries."""
    body, directory = b"", b""
    for part in parts:
        packed = part.packed
        if packed is None:
            packed = deflated(part.content) if part.method == 8 else part.content
        size = len(part.content) if part.size is None else part.size
        crc = zlib.crc32(part.content) if part.crc is None else part.crc
        told = len(packed) if part.packed_size is None else part.packed_size
        local_name = part.name if part.local_name is None else part.local_name
        header = len(body) if part.header is None else part.header
        stamps = (20, part.flags, part.method, 0, 0x21, crc, told, size)
        if part.header is None:
            body += struct.pack("<4s5H3L2H", b"PK\x03\x04", *stamps, len(local_name), 0)
            body += local_name + packed
        name_length = len(part.name)
        central = (20, *stamps, name_length, 0, 0, 0, 0, part.mode << 16, header)
        directory += struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *central) + part.name
    total = len(parts) if count is None else count
    end = (0, 0, total, total, len(directory), len(body), len(comment))
    return body + directory + struct.pack("<4s4H2LH", b"PK\x05\x06", *end) + comment


def honest(files: Iterable[tuple[str, bytes]]) -> bytes:
    """What a zip program would make."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files:
            zipped.writestr(name, content)
    return made.getvalue()


def overlapped() -> bytes:
    """Each entry is the whole rest of the archive, as in a "better zip bomb": 1 GiB of 30 KB."""
    kernel = deflated(bytes(20 * MIB))
    crc = zlib.crc32(bytes(20 * MIB))
    first = Part(b"tasks/tasks_7.json", packed=kernel, size=20 * MIB, crc=crc)
    again = [
        first._replace(name=f"models/models_{n}.json".encode(), header=0) for n in range(1, 50)
    ]
    return archive(first, *again)


def zip64_lies() -> bytes:
    """Sizes that only a zip64 record tells, which is not there."""
    return archive(Part(b"tasks/tasks_7.json", b"{}", size=0xFFFFFFFF, packed_size=0xFFFFFFFF))


def wide_record() -> bytes:
    """JSON that takes thirty times its size once it is parsed."""
    content = b'{"tasks":[{"id":1,"title":"x","metadata":{"a":[' + b"[]," * (4 * MIB) + b"[]]}}]}"
    return _slightly_packed(b"tasks/tasks_7.json", content)


def many_records() -> bytes:
    """Millions of records that are none."""
    return _slightly_packed(b"tasks/tasks_7.json", b'{"tasks":[' + b"{}," * (4 * MIB) + b"{}]}")


def many_fields() -> bytes:
    """A document that is nothing but head."""
    head = b"".join(b'"%x":1,' % number for number in range(1_000_000))
    return archive(Part(b"tasks/tasks_7.json", b"{" + head + b'"tasks":[]}'))


def _slightly_packed(name: bytes, content: bytes) -> bytes:
    """Packed so badly that the ratio gives nothing away."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, strategy=zlib.Z_HUFFMAN_ONLY)
    packed = packer.compress(content) + packer.flush()
    return archive(Part(name, content, packed=packed))


BOMBS: dict[str, Callable[[], bytes]] = {
    "a ratio above 100": lambda: archive(Part(b"tasks/tasks_7.json", bytes(80 * MIB))),
    "a total above the limit": lambda: archive(
        *(
            Part(b"tasks/tasks_%d.json" % n, packed=b"x" * 30_000, size=2_900_000)
            for n in range(1, 900)
        )
    ),
    "a ratio that is not told": lambda: archive(
        Part(b"tasks/tasks_7.json", bytes(80 * MIB), size=1000)
    ),
    "too many entries": lambda: archive(*(Part(b"%d.json" % n) for n in range(20_000))),
    "overlapped": overlapped,
    "a quine's way: an archive in an archive": lambda: archive(
        Part(b"tasks/tasks_7.json", b"{}"), Part(b"x", archive(Part(b"y", b"{}")))
    ),
    "zip64 lies": zip64_lies,
    "one wide record": wide_record,
    "many records": many_records,
    "many fields": many_fields,
}
"""Archives to be refused within a little memory."""
