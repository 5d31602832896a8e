"""Archives from strangers are read in little memory, and only when they are what they say."""

from __future__ import annotations

import io
import random
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workspace.bombs import Part, archive, deflated, honest, overlapped, zip64_lies
from workspace.archive.zip_reader import (
    Archive,
    ArchiveFault,
    ArchiveLimits,
    ArchiveTooLarge,
    MalformedArchive,
    UnsafeArchive,
)

NAME = b"tasks/tasks_7.json"
TEXT = b'{"tasks": []}'
GOOD = archive(Part(NAME, TEXT))


def contents(data: bytes, limits: ArchiveLimits | None = None) -> dict[str, bytes]:
    opened = Archive(io.BytesIO(data), limits)
    return {entry.name: b"".join(opened.chunks(entry)) for entry in opened.entries}


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}/[a-zé]{1,8}", fullmatch=True), st.binary()))
def test_zipfile_archive_is_read(files: dict[str, bytes]) -> None:
    files = {name: b"." + content for name, content in files.items()}
    assert contents(honest(files.items())) == files


def test_streamed_stored_and_commented_archives_are_read() -> None:
    class OnlyForward(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, piece: bytes) -> int:  # type: ignore[override]
            self.data += bytes(piece)
            return len(piece)

    streamed = OnlyForward()
    with zipfile.ZipFile(streamed, "w", zipfile.ZIP_DEFLATED) as zipped:  # type: ignore[arg-type]
        zipped.comment = b"made by PK\x05\x06 and others"
        zipped.mkdir("tasks")
        zipped.writestr(NAME.decode(), TEXT * 4_000)
        zipped.writestr("stored", TEXT, zipfile.ZIP_STORED)
    found = contents(streamed.data)
    assert found == {"tasks/": b"", NAME.decode(): TEXT * 4_000, "stored": TEXT}


def test_an_entry_that_ends_on_a_chunk_is_whole() -> None:
    for size in (64 * 1024, 64 * 1024 + 200, 128 * 1024):
        content = random.Random(size).randbytes(size)
        assert contents(archive(Part(NAME, content)))[NAME.decode()] == content


@pytest.mark.parametrize(
    "name",
    [
        b"../tasks_7.json",
        b"tasks/../../x",
        b"/etc/passwd",
        b"C:/x",
        b"c:x",
        b"C:\\x",
        b"tasks\\tasks_7.json",
        b"tasks/tasks_7.json\0.png",
        b"tasks//x",
        b"./../x",
        "a\u0085b".encode(),
        b"a\nb",
        b"",
        b"x" * 300,
        "tasks/\u202etasks".encode(),
    ],
)
def test_names_that_could_lead_elsewhere_are_refused(name: bytes) -> None:
    with pytest.raises(UnsafeArchive):
        contents(archive(Part(name, TEXT, flags=0x800)))


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("./data/tasks/tasks_7.json", "data/tasks/tasks_7.json"),
        ("a/./b", "a/b"),
        ("./", "./"),
        ("Screenshot 9.41\u202fAM.png", "Screenshot 9.41\\u202fAM.png"),
        ("no\u00a0break", "no\\xa0break"),
        ("👩\u200d💻.txt", "👩\\u200d💻.txt"),
        ("שלום\u200f.txt", "שלום\\u200f.txt"),
    ],
)
def test_names_that_ordinary_programs_write_are_taken(name: str, read: str) -> None:
    content = b"" if name.endswith("/") else TEXT
    assert contents(archive(Part(name.encode(), content, flags=0x800))) == {read: content}


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (archive(Part(NAME, TEXT), Part(NAME, TEXT)), UnsafeArchive),
        (archive(Part(NAME, TEXT), Part(NAME.upper(), TEXT)), UnsafeArchive),
        (archive(Part(NAME, TEXT, mode=0o120777)), UnsafeArchive),
        (archive(Part(NAME, TEXT, flags=1)), UnsafeArchive),
        (archive(Part(NAME, TEXT, method=12)), UnsafeArchive),
        (archive(Part(b"\xff/x", TEXT, flags=0x800)), UnsafeArchive),
        (archive(Part(b"x.json", GOOD)), UnsafeArchive),
        (archive(Part(b"x.json", GOOD, method=0)), UnsafeArchive),
        (overlapped(), UnsafeArchive),
        (zip64_lies(), UnsafeArchive),
        (archive(Part(NAME, TEXT), count=0xFFFF), UnsafeArchive),
        (archive(Part(NAME, bytes(10_000_000))), ArchiveTooLarge),
        (archive(Part(NAME, TEXT, crc=1)), MalformedArchive),
        (archive(Part(NAME, TEXT, size=5)), MalformedArchive),
        (archive(Part(NAME, TEXT, size=500)), MalformedArchive),
        (archive(Part(NAME, TEXT, method=0, size=5)), MalformedArchive),
        (archive(Part(NAME, TEXT, packed=deflated(TEXT) + b"more")), MalformedArchive),
        (archive(Part(NAME, TEXT, packed=deflated(TEXT)[:-3])), MalformedArchive),
        (archive(Part(NAME, TEXT, packed=b"\xff" * 20)), MalformedArchive),
        (archive(Part(NAME, TEXT, packed_size=10**6)), UnsafeArchive),
        (archive(Part(NAME, TEXT, local_name=b"tasks/tasks_8.json")), MalformedArchive),
        (archive(Part(NAME, TEXT, header=10**6)), MalformedArchive),
        (archive(Part(NAME, TEXT), count=2), MalformedArchive),
        (archive(Part(NAME, TEXT), Part(b"x", TEXT), count=1), MalformedArchive),
        (b"prefix" + GOOD, MalformedArchive),
        (GOOD + b"x", MalformedArchive),
        (b"", MalformedArchive),
        (b"PK\x05\x06", MalformedArchive),
    ],
)
def test_inconsistent_archive_is_refused(data: bytes, fault: type[ArchiveFault]) -> None:
    with pytest.raises(fault):
        contents(data)


def test_more_than_the_limits_is_refused() -> None:
    with pytest.raises(ArchiveTooLarge):
        contents(archive(Part(b"a"), Part(b"b")), ArchiveLimits(entries=1))
    with pytest.raises(ArchiveTooLarge):
        contents(archive(Part(b"a", b"12"), Part(b"b", b"34")), ArchiveLimits(total_bytes=3))


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_changed_byte_is_noticed_or_harmless(place: int, value: int) -> None:
    data = bytearray(GOOD)
    data[place] = value
    try:
        found = contents(bytes(data))
    except ArchiveFault:
        return
    assert list(found.values()) in ([TEXT], [])


@given(st.integers(0, len(GOOD) - 1))
def test_a_truncated_archive_is_refused(length: int) -> None:
    with pytest.raises(MalformedArchive):
        contents(GOOD[:length])


@given(st.binary(max_size=400))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveFault):
        contents(data + b"\0")


def test_no_more_is_unpacked_than_was_announced() -> None:
    opened = Archive(io.BytesIO(archive(Part(NAME, bytes(10_000_000), size=100))))
    came = 0
    with pytest.raises(MalformedArchive):
        for piece in opened.chunks(opened.entries[0]):
            came += len(piece)
    assert came == 0
