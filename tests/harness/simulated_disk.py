"""A disk in memory that retains no more than POSIX guarantees, for 100,000s of power cuts.

The model: A file has durable bytes, and writes since its last sync. A folder has durable names, and
ordered operations on names since its last sync. After a cut, each of these writes is there,
missing, or torn at 512 bytes, independently of the others. Among the operations on one name, all
after the first lost one are lost. Names are independent, so that the removal of a rename may
survive and its addition may be lost, or the reverse. Only an exchange of two names is one
operation. A file whose content was not synced may thus be empty, torn or zeros.

A kill is no cut: the disk retains everything that was written, and no more of it is durable.

Files and folders are immutable: a change replaces them, so that a cut only copies a few references.
"""

from __future__ import annotations

import errno
import os
import random
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from docstore.disk.filesystem import FileSystem
from docstore.errors import Unavailable

SECTOR: Final = 512
Where = str | os.PathLike[str]

# What may be left of the pending operations after a cut.
WAYS: Final = ("none", "all", "random", "torn")


class File(NamedTuple):
    """A file: its content for programs, and the durable part of it."""

    data: bytes
    durable: bytes
    pending: tuple[tuple[int, bytes], ...]
    mtime_ns: int


class Folder(NamedTuple):
    """A folder: names with file numbers, as programs see them and as they are durable."""

    names: dict[str, int]
    durable: dict[str, int]
    pending: tuple[dict[str, int | None], ...]  # what each operation names; None removes


class Status(NamedTuple):
    """A file's metadata."""

    st_mode: int
    st_dev: int
    st_ino: int
    st_size: int
    st_mtime_ns: int


@dataclass
class Fault:
    """An error of the operation number `at`, counted among those that it can affect.

    `kinds` names system calls. A `lasting` fault affects all later ones as well. Without an error
    number, a write is short.
    """

    at: int
    kinds: frozenset[str]
    error: int = 0
    lasting: bool = False
    partial: bool = False  # a failing sync has written some of it
    struck: int = 0


class Disk:
    """The disk, with the functions of the module `os` that the engine needs."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.files: dict[int, File] = {}
        above, _, name = root.rpartition("/")
        self.folders = {above: Folder({name: 1}, {name: 1}, ()), root: Folder({}, {}, ())}
        self.open_files: dict[int, tuple[int, str]] = {}  # number of the file, path of the folder
        self.words: dict[str, list[int]] = {}
        self.members: dict[str, int] = {}
        self.holders: dict[str, _Lock] = {}
        self.clock = 1  # the mtime of files in nanoseconds: never repeated
        self.fault: Fault | None = None
        self.operations = 0
        self.watch: Callable[[str], None] | None = None
        self.before_exchange: Callable[[str], None] | None = None
        self._last = 100  # the last number of a file or descriptor

    # After a cut

    def crash(self, dice: random.Random, way: str) -> Disk:
        """Return the disk as a cut at this moment could leave it; see `WAYS`."""
        disk = self._copy()
        for path, folder in self.folders.items():
            if path not in disk.folders:
                continue
            names = _names_after(folder, dice, way) if folder.pending else folder.durable
            for lost in folder.names.keys() - names.keys():
                disk._forget_folder(f"{path}/{lost}")
            disk.folders[path] = Folder(names, names, ())
        # Files without a name remain in memory, invisibly.
        for number, file in self.files.items():
            if file.data is not file.durable:
                data = _bytes_after(file, dice, way)
                disk.files[number] = File(data, data, (), file.mtime_ns)
        for path, words in self.words.items():
            disk.words[path] = _garbage(words, dice)
        return disk

    def kill(self) -> Disk:
        """Return the disk as the next process finds it after a kill at this moment."""
        disk = self._copy()
        disk.words = {path: list(words) for path, words in self.words.items()}
        return disk

    def _copy(self) -> Disk:
        disk = Disk.__new__(Disk)
        disk.root, disk.files, disk.folders = self.root, self.files.copy(), self.folders.copy()
        disk.open_files, disk.words, disk.members, disk.holders = {}, {}, {}, {}
        disk.clock, disk.fault, disk.operations, disk.watch = self.clock, None, 0, None
        disk._last, disk.before_exchange = self._last, None
        return disk

    def _forget_folder(self, path: str) -> None:
        for below in [
            folder for folder in self.folders if folder == path or folder.startswith(path + "/")
        ]:
            del self.folders[below]

    def is_settled(self) -> bool:
        """Return whether a cut at this moment would change nothing."""
        return all(file.data is file.durable for file in self.files.values()) and not any(
            folder.pending for folder in self.folders.values()
        )

    def state(self) -> object:
        """Return a hashable value that is equal for disks with the same files and names."""
        files = self.files
        return frozenset(
            (
                path,
                frozenset((name, files.get(n, _NO_FILE).data) for name, n in folder.names.items()),
            )
            for path, folder in self.folders.items()
        )

    def _forget_files(self, numbers: set[int]) -> None:
        """Free those of the files that have neither a name nor a descriptor."""
        for folder in self.folders.values() if numbers else ():
            numbers -= {*folder.names.values(), *folder.durable.values()}
        for number in numbers - {number for number, _ in self.open_files.values()}:
            self.files.pop(number, None)

    # Reading, also for tests

    def content(self, path: Where) -> bytes:
        """Return the content of a file as a program reads it."""
        return self._file(path)[1].data

    def paths(self) -> list[str]:
        """Return the paths of all files, relative to the root."""
        cut = len(self.root) + 1
        return sorted(
            f"{path}/{name}"[cut:]
            for path, folder in self.folders.items()
            for name, number in folder.names.items()
            if number in self.files
        )

    def put(self, path: Where, data: bytes) -> None:
        """Replace a file like a careful editor: new content under the old name, durably."""
        path, (watch, fault) = os.fspath(path), (self.watch, self.fault)
        self.watch = self.fault = None
        draft = f"{path}~"
        descriptor = self.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        self.pwrite(descriptor, data, 0)
        self.fsync(descriptor)
        self.close(descriptor)
        self.replace(draft, path)
        descriptor = self.open(path.rpartition("/")[0], os.O_DIRECTORY)
        self.fsync(descriptor)
        self.close(descriptor)
        self.watch, self.fault = watch, fault

    # The system calls

    def stat(self, path: Where) -> Status:
        path = os.fspath(path)
        self._may_fail("stat")
        if path in self.folders:
            return Status(stat.S_IFDIR | 0o700, 1, 1, 0, 1)
        number, file = self._file(path)
        return Status(stat.S_IFREG | 0o600, 1, number, len(file.data), file.mtime_ns)

    def fstat(self, descriptor: int) -> Status:
        number, _ = self._descriptor(descriptor)
        file = self.files[number]
        return Status(stat.S_IFREG | 0o600, 1, number, len(file.data), file.mtime_ns)

    def listdir(self, path: Where) -> list[str]:
        self._may_fail("open")
        return list(self._folder(os.fspath(path)).names)

    def open(self, path: Where, flags: int, mode: int = 0o600) -> int:
        path = os.fspath(path)
        self._may_fail("open")
        if flags & os.O_CREAT:
            number = self._create(path, flags)
        elif flags & os.O_DIRECTORY:
            self._folder(path)
            number = 0
        else:
            number = self._file(path)[0]
        self._last += 1
        descriptor = self._last
        self.open_files[descriptor] = number, path
        if flags & os.O_CREAT:
            self._did("create", path)
        return descriptor

    def close(self, descriptor: int) -> None:
        self._descriptor(descriptor)
        del self.open_files[descriptor]

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        self._may_fail("pread")
        number, _ = self._descriptor(descriptor)
        return self.files[number].data[offset : offset + size]

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        number, path = self._descriptor(descriptor)
        file, data = self.files[number], bytes(data)
        grows = offset + len(data) > len(file.data)
        if self._may_fail("grow" if grows else "overwrite", short=True):
            data = data[: (len(data) + 1) // 2]
        if not data:
            return 0
        new, pending = _written(file.data, data, offset), (*file.pending, (offset, data))
        self.files[number] = File(new, file.durable, pending, self._now())
        self._did("write", path)
        return len(data)

    def fsync(self, descriptor: int) -> None:
        number, path = self._descriptor(descriptor)
        if number:
            self._sync_file(number, path)
            return
        self._may_fail("fsync")
        before = self._folder(path)
        self.folders[path] = Folder(before.names, before.names, ())
        self._forget_files(set(before.durable.values()) - set(before.names.values()))
        self._did("sync", path)

    fdatasync = fsync

    def posix_fadvise(self, descriptor: int, offset: int, length: int, advice: int) -> None:
        """Do nothing: advice guarantees nothing."""

    def utime(self, descriptor: int, ns: tuple[int, int]) -> None:
        number, _ = self._descriptor(descriptor)
        self.files[number] = self.files[number]._replace(mtime_ns=ns[1])

    def mkdir(self, path: Where, mode: int = 0o700) -> None:
        path = os.fspath(path)
        self._may_fail("mkdir")
        if path in self.folders or self._number(path):
            raise FileExistsError(errno.EEXIST, "exists", path)
        self._last += 1
        self._name(path, self._last)
        self.folders[path] = Folder({}, {}, ())
        self._did("mkdir", path)

    def link(self, source: Where, target: Where) -> None:
        source, target = os.fspath(source), os.fspath(target)
        self._may_fail("link")
        number, _ = self._file(source)
        if self._number(target):
            raise FileExistsError(errno.EEXIST, "exists", target)
        self._name(target, number)
        self._did("link", target)

    def replace(self, source: Where, target: Where) -> None:
        source, target = os.fspath(source), os.fspath(target)
        self._may_fail("replace")
        number, _ = self._file(source)
        if self._number(target) == number:
            return  # two names of one file: no effect
        self._name(target, number)
        self._name(source, None)
        self._did("rename", target)

    def exchange(self, one: Where, other: Where) -> None:
        """Exchange two names in one folder, which a cut does not halve: like RENAME_EXCHANGE."""
        one, other = os.fspath(one), os.fspath(other)
        if self.before_exchange:
            self.before_exchange(other)
        self._may_fail("replace")
        (first, _), (second, _) = self._file(one), self._file(other)
        above, _, one_name = one.rpartition("/")
        self._do(above, {one_name: second, other.removeprefix(f"{above}/"): first})
        self._did("exchange", other)

    def unlink(self, path: Where) -> None:
        path = os.fspath(path)
        self._may_fail("unlink")
        self._file(path)
        self._name(path, None)
        self._did("remove", path)

    # Helpers

    def _now(self) -> int:
        self.clock += 1
        return self.clock

    def _did(self, kind: str, path: str) -> None:
        self.operations += 1
        if self.watch:
            self.watch(f"{kind} {path[len(self.root) + 1 :]}")

    def _may_fail(self, kind: str, short: bool = False) -> bool:
        """Return whether the write is short. Raises `OSError` if the operation fails."""
        fault = self.fault
        if fault is None or kind not in fault.kinds:
            return False
        fault.at -= 1
        if fault.at > 0 or (fault.struck and not fault.lasting):
            return False
        fault.struck += 1
        if not fault.error:
            return short
        raise OSError(fault.error, os.strerror(fault.error))

    def _folder(self, path: str) -> Folder:
        try:
            return self.folders[path]
        except KeyError:
            kind = errno.ENOTDIR if self._number(path) else errno.ENOENT
            raise OSError(kind, os.strerror(kind), path) from None

    def _number(self, path: str) -> int:
        """Return the number of the file or folder with this name; 0 if there is none."""
        above, _, name = path.rpartition("/")
        folder = self.folders.get(above)
        return folder.names.get(name, 0) if folder else 0

    def _file(self, path: Where) -> tuple[int, File]:
        path = os.fspath(path)
        number = self._number(path)
        if not number:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if path in self.folders:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return number, self.files[number]

    def _descriptor(self, descriptor: int) -> tuple[int, str]:
        try:
            return self.open_files[descriptor]
        except KeyError:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None

    def _create(self, path: str, flags: int) -> int:
        number = self._number(path)
        if number and flags & os.O_EXCL:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        if number:
            return number
        self._may_fail("create")
        self._last += 1
        self._name(path, self._last)
        self.files[self._last] = File(b"", b"", (), self._now())
        return self._last

    def _name(self, path: str, number: int | None) -> None:
        above, _, name = path.rpartition("/")
        self._do(above, {name: number})

    def _do(self, path: str, changes: dict[str, int | None]) -> None:
        """Change names in a folder, in one operation."""
        folder = self._folder(path)
        names = _changed(folder.names, changes)
        self.folders[path] = Folder(names, folder.durable, (*folder.pending, changes))

    def _sync_file(self, number: int, path: str) -> None:
        file = self.files[number]
        try:
            self._may_fail("fsync")
        except OSError:
            # Like Linux after a failed sync: the pages that were not written count as clean. Reads
            # return them, and no later sync writes them.
            retained = file.pending[: len(file.pending) // 2] if self.fault.partial else ()
            self.files[number] = File(
                file.data, _all_written(file.durable, retained), (), file.mtime_ns
            )
            raise
        # The pending writes become durable, but nothing that an earlier failure lost.
        durable = _all_written(file.durable, file.pending)
        if durable == file.data:
            durable = file.data  # the same object: nothing can be lost
        self.files[number] = File(file.data, durable, (), file.mtime_ns)
        self._did("sync", path)


def _all_written(data: bytes, writes: tuple[tuple[int, bytes], ...]) -> bytes:
    for offset, written in writes:
        data = _written(data, written, offset)
    return data


_NO_FILE: Final = File(b"", b"", (), 0)


def _written(before: bytes, data: bytes, offset: int) -> bytes:
    if not offset and len(before) <= len(data):
        return data  # without a copy
    if offset > len(before):
        before = before.ljust(offset, b"\0")
    return before[:offset] + data + before[offset + len(data) :]


def _names_after(folder: Folder, dice: random.Random, way: str) -> dict[str, int]:
    if way == "all":
        return folder.names
    names = folder.durable
    if way == "none":
        return names
    lost: set[str] = set()
    for changes in folder.pending:
        if not lost.isdisjoint(changes) or dice.random() < 0.5:
            lost.update(changes)
        else:
            names = _changed(names, changes)
    return names


def _changed(names: dict[str, int], changes: dict[str, int | None]) -> dict[str, int]:
    left = {name: number for name, number in names.items() if name not in changes}
    return left | {name: number for name, number in changes.items() if number is not None}


def _bytes_after(file: File, dice: random.Random, way: str) -> bytes:
    if way == "none" or not file.pending:
        return file.durable
    data = file.durable
    for offset, written in file.pending:
        if way == "all":
            data = _written(data, written, offset)
        elif way == "random":
            if dice.random() < 0.5:
                data = _written(data, written, offset)
        else:
            data = _torn(data, written, offset, dice)
    return data


def _torn(before: bytes, written: bytes, offset: int, dice: random.Random) -> bytes:
    """Apply a random part of a write, by sectors."""
    data, end = bytearray(before), offset + len(written)
    if end > len(data) and dice.random() < 0.3:
        data.extend(bytes(end - len(data)))  # the size changes before the content
    start = offset
    while start < end:
        stop = min(end, start - start % SECTOR + SECTOR)
        if dice.random() < 0.5:
            if start > len(data):
                data.extend(bytes(start - len(data)))
            data[start:stop] = written[start - offset : stop - offset]
        start = stop
    return bytes(data)


def _garbage(words: list[int], dice: random.Random) -> list[int]:
    """Return what a file that was never synced may hold: zeros, its content, or garbage."""
    way = dice.randrange(4)
    if way == 0:
        return [0] * len(words)
    if way == 1:
        return list(words)
    if way == 2:
        return [dice.choice((word, 0)) for word in words]
    return [dice.choice((word + dice.randrange(9), dice.getrandbits(64))) for word in words]


class SimulatedFileSystem(FileSystem):
    """The engine's file operations on a simulated disk, for one process. See `Disk`."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self._os = cast(Any, disk)

    _moved_up = staticmethod(int)  # descriptors are simulated

    def status(self, path: Where) -> Status:
        return self.disk.stat(path)

    def identity(self, path: Where) -> tuple[int, int] | None:
        path = os.fspath(path)
        if path in self.disk.words:
            return 0, id(self.disk.words[path])
        number = self.disk._number(path)
        return (1, number) if number else None

    def exists(self, path: Where) -> bool:
        path = os.fspath(path)
        return path in self.disk.folders or self.disk._number(path) > 0

    def is_folder(self, path: Where) -> bool:
        return os.fspath(path) in self.disk.folders

    def is_link(self, path: Where) -> bool:
        return False

    def names(self, folder: Where) -> list[str]:
        return self.disk.listdir(folder)

    def read(self, path: Where) -> tuple[bytes, Status]:
        self.disk._may_fail("open")
        self.disk._may_fail("pread")
        return self.disk.content(path), self.disk.stat(path)

    def read_unstable(self, path: Where) -> bytes:
        return self.read(path)[0]

    def exchange(self, step: str, one: Where, other: Where) -> bool:
        self.disk.exchange(one, other)
        return True

    def shared_words(self, path: Where, count: int) -> Any:
        words = self.disk.words.setdefault(os.fspath(path), [])
        words.extend([0] * (count - len(words)))
        return words

    def mount_type(self, path: Path) -> str:
        return "simulated"

    def lock_excludes(self, path: Path) -> bool:
        return True

    def mmap_is_shared(self, path: Path) -> bool:
        return True

    def lock(self, path: Path, timeout: float) -> Any:
        return _Lock(self.disk.holders, os.fspath(path))

    def membership(self, path: Path) -> Any:
        return _Membership(self.disk.members, os.fspath(path))


class _Lock:
    """A lock among processes that a test interleaves in one thread: it never waits."""

    def __init__(self, holders: dict[str, _Lock], path: str) -> None:
        self._holders, self._path, self._depth = holders, path, 0
        self.times_opened = 1

    @property
    def held(self) -> bool:
        return self._depth > 0

    def hold(self) -> _Lock:
        return self

    def __enter__(self) -> bool:
        if self.held:
            self._depth += 1
            return False
        if not self.try_lock():
            raise Unavailable("another process holds the lock")
        return True

    def __exit__(self, *_: object) -> None:
        if self.held:
            self._depth -= 1
            if not self._depth:
                del self._holders[self._path]

    def abandon(self) -> None:
        while self.held:
            self.__exit__()

    def try_lock(self) -> bool:
        if self._path in self._holders:
            return False
        self._holders[self._path] = self
        self._depth = 1
        return True

    def release(self) -> None:
        self.__exit__()

    def close(self) -> None:
        """Do nothing: no file is open."""


class _Membership:
    """The processes that have the folder open on this disk."""

    def __init__(self, members: dict[str, int], path: str) -> None:
        self._members, self._path, self._joined = members, path, False

    def join(self) -> bool:
        if not self._joined:
            self._joined = True
            self._members[self._path] = self._members.get(self._path, 0) + 1
        return self.alone()

    def alone(self) -> bool:
        return self._members.get(self._path, 0) == 1

    def leave(self) -> None:
        if self._joined:
            self._joined = False
            self._members[self._path] -= 1
