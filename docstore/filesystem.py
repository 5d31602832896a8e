"""Every file operation of the engine, each that changes something named by its step.

The files backend does all its work through this object, so that a test can stop, fail, record or
forget exactly one operation, and so that a test can put a disk in its place that keeps no more than
POSIX promises: content is durable once it was synced, a name once its folder was. All files are
opened on high descriptors: see `docstore.descriptors`.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple, Protocol

from docstore.descriptors import low_numbers_taken, move_up, open_high
from docstore.locking import FolderLock, Membership, is_in_use
from docstore.mounts import mount_type
from docstore.words import COPY_ON_WRITE, WrittenWords, write_in_place

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700
_READS_MAX: Final = 100
_PAGE: Final = 4096
_NO_MAPPING: Final = {errno.ENODEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
_ZEROS: Final = bytes(1 << 20)

Where = str | os.PathLike[str]


class Status(Protocol):
    """What is asked of a file without reading it: the part of `os.stat_result` that we use."""

    @property
    def st_mode(self) -> int: ...
    @property
    def st_dev(self) -> int: ...
    @property
    def st_ino(self) -> int: ...
    @property
    def st_size(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...


class Draft(NamedTuple):
    """A file that is to be made: its name, its content and its time in nanoseconds."""

    path: str
    data: bytes
    mtime_ns: int


class FileSystem:
    """The real one. Each method raises `OSError` as the system does.

    What changes the disk is asked of `_os`, so that a simulated disk has to know system calls only
    and can fail between the calls of which one operation consists.
    """

    _os: ModuleType = os

    # Looking

    def status(self, path: Where) -> Status:
        """What the file is that the name leads to."""
        return os.stat(path)  # noqa: PTH116

    def identity(self, path: Where) -> tuple[int, int] | None:
        """Return what tells the file of that name from every other; None if there is none."""
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def exists(self, path: Where) -> bool:
        """Whether the name leads to anything."""
        return os.path.exists(path)  # noqa: PTH110 (a `Path` costs more than the question)

    def is_folder(self, path: Where) -> bool:
        """Whether the name leads to a folder."""
        return os.path.isdir(path)  # noqa: PTH112

    def is_link(self, path: Where) -> bool:
        """Whether the name itself is a symbolic link."""
        return os.path.islink(path)  # noqa: PTH114

    def names(self, folder: Where) -> list[str]:
        """The names in a folder, in no order."""
        return os.listdir(folder)  # noqa: PTH208

    def read(self, path: Where) -> tuple[bytes, Status]:
        """Content and status of one and the same file, read again while someone writes in it.

        Raises `OSError` with EBUSY when it is being written all the time.
        """
        for _ in range(_READS_MAX):
            with open(path, "rb", opener=open_high) as file:
                before = os.fstat(file.fileno())
                data = file.read()
                after = os.fstat(file.fileno())
            if _same_state(before, after):
                return data, after
        raise OSError(errno.EBUSY, "is being written in place all the time", os.fspath(path))

    def glance(self, path: Where) -> bytes:
        """The content of a file that others may be writing in: parts of it may be older."""
        with open(path, "rb", opener=open_high) as file:
            return file.read()

    # Names and whole files

    def make_folder(self, step: str, path: Path) -> None:
        """Creates a folder and every missing one above it, each made durable in its parent."""
        if self.is_folder(path):
            return
        self.make_folder(step, path.parent)
        try:
            self._os.mkdir(path, PRIVATE_FOLDER)
        except FileExistsError:
            if not self.is_folder(path):  # but a file in its place
                raise
        self.sync_folder(step, path.parent)

    def create(self, step: str, path: Where, data: bytes, mtime_ns: int | None = None) -> Status:
        """Writes a new file and makes its content durable; returns what the file is.

        Its name is not durable yet. Raises `FileExistsError` where there is one.
        """
        descriptor = self._opened(path, _NEW)
        try:
            self._write(descriptor, data, 0)
            if mtime_ns is not None:
                self._os.utime(descriptor, ns=(mtime_ns, mtime_ns))
            self._os.fsync(descriptor)
            status: Status = self._os.fstat(descriptor)
            return status
        finally:
            self._os.close(descriptor)

    def create_all(self, step: str, drafts: Sequence[Draft]) -> list[Status]:
        """Like `create` for several files, at little more than the cost of one."""
        descriptors: list[int] = []
        try:
            for draft in drafts:
                descriptors.append(self._opened(draft.path, _NEW))
                self._write(descriptors[-1], draft.data, 0)
                self._os.utime(descriptors[-1], ns=(draft.mtime_ns, draft.mtime_ns))
            for descriptor in descriptors:
                # The system begins to write them all. So the first sync finds everything on its
                # way and takes it along, and those after it have next to nothing left to do.
                self._os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            for descriptor in descriptors:
                self._os.fsync(descriptor)
            return [self._os.fstat(descriptor) for descriptor in descriptors]
        finally:
            for descriptor in descriptors:
                self._os.close(descriptor)

    def create_zeroed(self, step: str, path: Where, size: int) -> None:
        """Writes a new file of so many zero bytes and makes its content durable.

        Written, not reserved: the first write into a reserved block would have to change what the
        file system knows of it, and so cost a second flush.
        """
        descriptor = self._opened(path, _NEW)
        try:
            for offset in range(0, size, len(_ZEROS)):
                self._write(descriptor, _ZEROS[: size - offset], offset)
            self._os.fsync(descriptor)
        finally:
            self._os.close(descriptor)

    def sync_folder(self, step: str, path: Where) -> None:
        """Makes the names in a folder durable."""
        descriptor = self._opened(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._os.fsync(descriptor)
        finally:
            self._os.close(descriptor)

    def sync_file(self, step: str, path: Where) -> None:
        """Makes the content of a file durable that somebody else wrote."""
        descriptor = self._opened(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._os.fsync(descriptor)
        finally:
            self._os.close(descriptor)

    def link(self, step: str, source: Where, target: Where) -> None:
        """Gives a file a second name, which must be free."""
        self._os.link(source, target)

    def rename(self, step: str, source: Where, target: Where) -> None:
        """Gives a file its name, replacing what had it, in one indivisible step."""
        self._os.replace(source, target)

    def exchange(self, step: str, one: Where, other: Where) -> bool:
        """Swap two files' names in one indivisible step; return False where that is not possible.

        What had the name at that very moment is then under the other one, and not lost.
        """
        if _renameat2 is None or self._os is not os:
            return False
        if _renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), 2) == 0:
            return True
        number = ctypes.get_errno()
        if number in _NO_EXCHANGE:
            return False
        raise OSError(number, os.strerror(number), os.fspath(other))

    def remove(self, step: str, path: Where) -> None:
        """Takes a name away; a name that is not there is no fault."""
        try:
            self._os.unlink(path)
        except FileNotFoundError:
            return

    # A file that stays open and is written in place

    def open(self, path: Where, *, to_write: bool = True) -> int:
        """Opens an existing file for reading and, if so wanted, writing in place."""
        mode = os.O_RDWR if to_write else os.O_RDONLY
        return self._opened(path, mode | os.O_CLOEXEC)

    def read_at(self, handle: int, size: int, offset: int) -> bytes:
        """At most `size` bytes; fewer only at the end of the file."""
        data: bytes = self._os.pread(handle, size, offset)
        return data

    def write_at(self, step: str, handle: int, data: bytes, offset: int) -> None:
        """Writes all of the bytes. They are not durable yet."""
        self._write(handle, data, offset)

    def sync_data(self, step: str, handle: int) -> None:
        """Makes durable what was written into an open file, by whomever."""
        self._os.fdatasync(handle)

    def close(self, handle: int) -> None:
        """Lets go of an open file."""
        self._os.close(handle)

    def _opened(self, path: Where, flags: int) -> int:
        return self._moved_up(self._os.open(path, flags, PRIVATE_FILE))

    _moved_up = staticmethod(move_up)

    def _write(self, descriptor: int, data: bytes, offset: int) -> None:
        done = self._os.pwrite(descriptor, data, offset)
        while done < len(data):  # a short write is the first sign of a full disk
            done += self._os.pwrite(descriptor, memoryview(data)[done:], offset + done)

    # What processes share

    def shared_words(self, path: Where, count: int) -> memoryview | WrittenWords:
        """A file's first `count` 64-bit numbers as memory that all processes share.

        Each number is read and written whole. Nothing of it is durable.
        """
        size = count * 8
        descriptor = open_high(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        try:
            there = os.fstat(descriptor).st_size
            copies = self.mount_type(Path(path)) in COPY_ON_WRITE
            if copies and not there:
                write_in_place(descriptor)
            if there < size:  # written, or a full disk would be told of by a signal, later
                self._write(descriptor, bytes(max(size, _PAGE) - there), there)
            if copies:
                words = WrittenWords(descriptor, count)
                descriptor = -1
                return words
            with low_numbers_taken():  # the mapping has a descriptor of its own
                return memoryview(mmap.mmap(descriptor, size)).cast("Q")
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    # What it can be relied on for; see `docstore.mounts`

    def mount_type(self, path: Path) -> str:
        """The type of the file system that the path is on or is to be on; "" where none is told."""
        return mount_type(path)

    def excludes(self, path: Path) -> bool:
        """Whether the lock that this process holds on the file is refused to another opener."""
        return is_in_use(path)

    def shares(self, path: Path) -> bool:
        """Whether a number written through one mapping of the file is seen through another.

        The number is the last of the file's first page, which nobody uses.
        """
        number = int.from_bytes(os.urandom(8), "little")
        try:
            one, other = (self.shared_words(path, _PAGE // 8) for _ in range(2))
        except OSError as error:
            if error.errno not in _NO_MAPPING:
                raise
            return False
        one[-1] = number
        return other[-1] == number

    def lock(self, path: Path, timeout: float) -> FolderLock:
        """A lock over threads and processes; see `docstore.locking`."""
        return FolderLock(path, timeout)

    def membership(self, path: Path) -> Membership:
        """How the processes that have the folder open know of one another."""
        return Membership(path)


_AT_FDCWD: Final = -100
_NO_EXCHANGE: Final = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOENT, errno.EPERM}
_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def _same_state(one: Status, other: Status) -> bool:
    return (one.st_ino, one.st_size, one.st_mtime_ns) == (
        other.st_ino,
        other.st_size,
        other.st_mtime_ns,
    )
