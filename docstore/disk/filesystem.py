"""The engine's file operations. Each one that changes the disk has the name of its step.

The files backend does all file access through this object. So a test can stop, fail, record or drop
exactly one operation, or simulate a disk that retains only what POSIX guarantees: content that was
synced, and names whose folder was synced. Files are opened on high descriptors: see
`docstore.disk.descriptors`.
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

from docstore.disk.descriptors import low_numbers_taken, move_up, open_high
from docstore.disk.locks import FolderLock, OpenProcesses, is_in_use
from docstore.disk.mount_checks import mount_type
from docstore.disk.shared_words import COPY_ON_WRITE, WrittenWords, write_in_place

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700
_READS_MAX: Final = 100
_PAGE: Final = 4096
_NO_MAPPING: Final = {errno.ENODEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
_ZEROS: Final = bytes(1 << 20)

Where = str | os.PathLike[str]


class Status(Protocol):
    """File metadata: the part of `os.stat_result` that the engine uses."""

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
    """A file to create: its path, content and mtime in nanoseconds."""

    path: str
    data: bytes
    mtime_ns: int


class FileSystem:
    """The real file system. Each method raises `OSError` like its system call.

    Operations that change the disk call `_os`, so that a simulated disk replaces system calls only
    and can fail between the calls of one operation.
    """

    _os: ModuleType = os

    # Reading

    def status(self, path: Where) -> Status:
        """Return the metadata of the file that the name leads to."""
        return os.stat(path)  # noqa: PTH116

    def identity(self, path: Where) -> tuple[int, int] | None:
        """Return device and inode of the file with this name; None if it does not exist."""
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def exists(self, path: Where) -> bool:
        """Return whether the name leads to a file or folder."""
        return os.path.exists(path)  # noqa: PTH110 (a `Path` costs more than the look-up)

    def is_folder(self, path: Where) -> bool:
        """Return whether the name leads to a folder."""
        return os.path.isdir(path)  # noqa: PTH112

    def is_link(self, path: Where) -> bool:
        """Return whether the name itself is a symbolic link."""
        return os.path.islink(path)  # noqa: PTH114

    def names(self, folder: Where) -> list[str]:
        """Return the names in a folder, unordered."""
        return os.listdir(folder)  # noqa: PTH208

    def read(self, path: Where) -> tuple[bytes, Status]:
        """Return content and metadata of one state of the file; read again if it changed meanwhile.

        Raises `OSError` with EBUSY if it changes at every attempt.
        """
        for _ in range(_READS_MAX):
            with open(path, "rb", opener=open_high) as file:
                before = os.fstat(file.fileno())
                data = file.read()
                after = os.fstat(file.fileno())
            if _same_state(before, after):
                return data, after
        raise OSError(errno.EBUSY, "is being written in place all the time", os.fspath(path))

    def read_unstable(self, path: Where) -> bytes:
        """Return the content of a file that others may be writing: parts of it may be older."""
        with open(path, "rb", opener=open_high) as file:
            return file.read()

    # Names and whole files

    def make_folder(self, step: str, path: Path) -> None:
        """Create a folder and all missing folders above it, each one durably."""
        if self.is_folder(path):
            return
        self.make_folder(step, path.parent)
        try:
            self._os.mkdir(path, PRIVATE_FOLDER)
        except FileExistsError:
            if not self.is_folder(path):  # a file has the name
                raise
        self.sync_folder(step, path.parent)

    def create(self, step: str, path: Where, data: bytes, mtime_ns: int | None = None) -> Status:
        """Write a new file, make its content durable, and return its metadata.

        Its name is not durable yet. Raises `FileExistsError` if the name is taken.
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
        """Create several files like `create`, at little more than the cost of one."""
        descriptors: list[int] = []
        try:
            for draft in drafts:
                descriptors.append(self._opened(draft.path, _NEW))
                self._write(descriptors[-1], draft.data, 0)
                self._os.utime(descriptors[-1], ns=(draft.mtime_ns, draft.mtime_ns))
            for descriptor in descriptors:
                # This starts writing all files to the disk. So the first sync waits for all of
                # them, and the others have almost nothing left to do.
                self._os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            for descriptor in descriptors:
                self._os.fsync(descriptor)
            return [self._os.fstat(descriptor) for descriptor in descriptors]
        finally:
            for descriptor in descriptors:
                self._os.close(descriptor)

    def create_zeroed(self, step: str, path: Where, size: int) -> None:
        """Write a new file of `size` zero bytes and make its content durable.

        The blocks are written and not only allocated: the first write into an allocated block
        changes file system metadata, and would cost the commit a second flush.
        """
        descriptor = self._opened(path, _NEW)
        try:
            for offset in range(0, size, len(_ZEROS)):
                self._write(descriptor, _ZEROS[: size - offset], offset)
            self._os.fsync(descriptor)
        finally:
            self._os.close(descriptor)

    def sync_folder(self, step: str, path: Where) -> None:
        """Make the names in a folder durable."""
        descriptor = self._opened(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._os.fsync(descriptor)
        finally:
            self._os.close(descriptor)

    def sync_file(self, step: str, path: Where) -> None:
        """Make durable the content of a file that another program wrote."""
        descriptor = self._opened(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._os.fsync(descriptor)
        finally:
            self._os.close(descriptor)

    def link(self, step: str, source: Where, target: Where) -> None:
        """Add a second name to a file. Raises `FileExistsError` if it is taken."""
        self._os.link(source, target)

    def rename(self, step: str, source: Where, target: Where) -> None:
        """Rename a file atomically, replacing the file that had the name."""
        self._os.replace(source, target)

    def exchange(self, step: str, one: Where, other: Where) -> bool:
        """Exchange two files' names atomically; return False if the system cannot.

        The file that had the name at that very moment is then under the other name, and not lost.
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
        """Remove a name. A missing name is no error."""
        try:
            self._os.unlink(path)
        except FileNotFoundError:
            return

    # A file that stays open and is written in place

    def open(self, path: Where, *, to_write: bool = True) -> int:
        """Open an existing file for reading and, if `to_write`, for writing in place."""
        mode = os.O_RDWR if to_write else os.O_RDONLY
        return self._opened(path, mode | os.O_CLOEXEC)

    def status_of(self, handle: int) -> Status:
        """Return the metadata of an open file, whatever its name leads to now."""
        status: Status = self._os.fstat(handle)
        return status

    def read_at(self, handle: int, size: int, offset: int) -> bytes:
        """Return `size` bytes at the offset; fewer only at the end of the file."""
        data: bytes = self._os.pread(handle, size, offset)
        return data

    def write_at(self, step: str, handle: int, data: bytes, offset: int) -> None:
        """Write all bytes at the offset. They are not durable yet."""
        self._write(handle, data, offset)

    def sync_data(self, step: str, handle: int) -> None:
        """Make durable what any process wrote into the open file."""
        self._os.fdatasync(handle)

    def close(self, handle: int) -> None:
        """Close an open file."""
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
        """Map the first `count` 64-bit numbers of a file into memory that all processes share.

        Each number is read and written atomically. None of it is durable.
        """
        size = count * 8
        descriptor = open_high(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        try:
            there = os.fstat(descriptor).st_size
            copies = self.mount_type(Path(path)) in COPY_ON_WRITE
            if copies and not there:
                write_in_place(descriptor)
            if there < size:  # written: on a full disk, a hole would raise SIGBUS later
                self._write(descriptor, bytes(max(size, _PAGE) - there), there)
            if copies:
                words = WrittenWords(descriptor, count)
                descriptor = -1
                return words
            with low_numbers_taken():  # the mapping duplicates the descriptor
                return memoryview(mmap.mmap(descriptor, size)).cast("Q")
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    # Checks of the file system; see `docstore.disk.mount_checks`

    def mount_type(self, path: Path) -> str:
        """Return the type of the file system that the path is on, or will be; "" if unknown."""
        return mount_type(path)

    def lock_excludes(self, path: Path) -> bool:
        """Return whether another opener is refused the lock that this process holds on the file."""
        return is_in_use(path)

    def mmap_is_shared(self, path: Path) -> bool:
        """Return whether a number written through one mapping of a file is seen through another.

        The number is the last of the file's first page, which is unused.
        """
        number = int.from_bytes(os.urandom(8), "little")
        try:
            first, other = (self.shared_words(path, _PAGE // 8) for _ in range(2))
        except OSError as error:
            if error.errno not in _NO_MAPPING:
                raise
            return False
        first[-1] = number
        return other[-1] == number

    def lock(self, path: Path, timeout: float) -> FolderLock:
        """Return a lock across threads and processes; see `docstore.disk.locks`."""
        return FolderLock(path, timeout)

    def membership(self, path: Path) -> OpenProcesses:
        """Return the set of processes that have the folder open."""
        return OpenProcesses(path)


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
