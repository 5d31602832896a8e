"""Loop devices and mounts through system calls: a harness needs thousands, too many for `mount`."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_GET_FREE: Final = 0x4C82
_CONFIGURE: Final = 0x4C0A
_AUTOCLEAR: Final = 4  # the device detaches when it is unmounted
_DETACH: Final = 2
_ATTEMPTS: Final = 100
_libc = ctypes.CDLL(None, use_errno=True)


def tool(name: str) -> str:
    """Return the path of a program, "" if there is none.

    Administrators' folders are searched, too.
    """
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin") or ""


def missing() -> str:
    """Return what this machine lacks to record a block device; "" if nothing."""
    if os.geteuid() != 0:
        return "a block device can only be recorded by root"
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not Path(device).exists():
            return f"there is no {device} here"
    for name in ("fusermount3", "mkfs.ext4", "unshare"):
        if not tool(name):
            return f"{name} is not installed"
    try:
        import mfusepy  # noqa: F401
    except (ImportError, OSError) as error:
        return f"mfusepy cannot be used: {error}"
    return ""


def _attach(image: Path) -> tuple[str, int]:
    """Attach a loop device to the image; return its path and its descriptor, to be closed."""
    backing = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_ATTEMPTS):  # another process may take the device first
            path = f"/dev/loop{fcntl.ioctl(control, _GET_FREE)}"
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                settings = struct.pack("<II52xI176x64x", backing, 0, _AUTOCLEAR)
                fcntl.ioctl(device, _CONFIGURE, settings)
                return path, device
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:
                    raise
        raise OSError(errno.EBUSY, "no loop device is free")
    finally:
        os.close(backing)
        os.close(control)


@contextmanager
def mounted(image: Path, folder: Path, options: str, kind: str = "ext4") -> Iterator[None]:
    """Mount the file system in an image during the block.

    Raises `OSError` if the kernel refuses.
    """
    path, device = _attach(image)
    try:
        source, target = os.fsencode(path), os.fsencode(folder)
        if _libc.mount(source, target, kind.encode(), 0, options.encode()):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(device)
    try:
        yield
    finally:
        unmount(folder)


class StillInUse(OSError):
    """A file is open in the folder to unmount."""


def unmount(folder: Path) -> None:
    """Unmount the folder.

    Raises `StillInUse` if a file is open there, after detaching it lazily.
    """
    for _ in range(_ATTEMPTS):
        if not _libc.umount2(os.fsencode(folder), 0):
            return
        if ctypes.get_errno() != errno.EBUSY:
            raise OSError(ctypes.get_errno(), f"cannot unmount {folder}")
        time.sleep(0.01)  # the kernel itself may hold it for a moment
    _libc.umount2(os.fsencode(folder), _DETACH)
    raise StillInUse(errno.EBUSY, f"{folder} is still in use")
