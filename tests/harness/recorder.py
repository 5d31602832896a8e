"""A block device that records its writes: `python -m tests.harness.recorder ...`.

It is a file system in user space with two files: `disk`, the backing file of a loop device, and
`mark`, to which a program writes its marks. The log holds, in order, the writes to the disk, the
flushes of its cache, and the marks.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_HEAD: Final = struct.Struct("<cQI")  # kind, offset, number of bytes that follow
WRITE, FLUSH, MARK = b"W", b"F", b"M"
Entry = tuple[bytes, int, bytes]


def entries(log: Path) -> Iterator[Entry]:
    """Yield the kind, the offset and the bytes of each entry."""
    data, place = log.read_bytes(), 0
    while place < len(data):
        what, offset, size = _HEAD.unpack_from(data, place)
        place += _HEAD.size + size
        yield what, offset, data[place - size : place]


def serve(image: Path, log: Path, folder: Path) -> None:
    """Serve until the folder is unmounted."""
    import mfusepy

    class Device(mfusepy.Operations):
        use_ns = True

        def __init__(self) -> None:
            self.disk = os.open(image, os.O_RDWR)
            self.log = log.open("wb", buffering=1 << 20)

        def note(self, what: bytes, offset: int = 0, data: bytes = b"") -> None:
            self.log.write(_HEAD.pack(what, offset, len(data)) + data)

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            if path == "/":
                return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
            if path == "/disk":
                size = os.fstat(self.disk).st_size
                return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": size}
            if path == "/mark":
                return {"st_mode": stat.S_IFREG | 0o666, "st_nlink": 1, "st_size": 0}
            raise mfusepy.FuseOSError(errno.ENOENT)

        def readdir(self, path: str, fh: int) -> list[str]:
            return [".", "..", "disk", "mark"]

        def open(self, path: str, flags: int) -> int:
            return 0

        def truncate(self, path: str, length: int, fh: int | None = None) -> int:
            return 0

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return os.pread(self.disk, size, offset)

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            if path == "/mark":
                self.note(MARK, 0, data)
            else:
                self.note(WRITE, offset, data)
                os.pwrite(self.disk, data, offset)
            return len(data)

        def fsync(self, path: str, datasync: int, fh: int) -> int:
            self.note(FLUSH)
            return 0

        def destroy(self, path: str) -> None:
            self.log.close()

    mfusepy.FUSE(Device(), str(folder), foreground=True, nothreads=True)


if __name__ == "__main__":
    serve(*map(Path, sys.argv[1:]))
