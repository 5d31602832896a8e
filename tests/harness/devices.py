"""Loop devices and mounts, without a process for each: a harness needs thousands of them."""

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
_AUTOCLEAR: Final = 4  # the device goes when what is mounted on it does
_DETACH: Final = 2
_ATTEMPTS: Final = 100
_libc = ctypes.CDLL(None, use_errno=True)


def tool(name: str) -> str:
    """Where a program is; "" where there is none. Those of administrators are not in every PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin") or ""


def missing() -> str:
    """What this machine lacks for recording a block device; "" where nothing is missing."""
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
    """A loop device on the image, and its descriptor, which is to be closed once it is mounted."""
    backing = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_ATTEMPTS):  # another process may be quicker than we are
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
    """The file system in an image. Raises `OSError` where the kernel refuses to mount it."""
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
    """What was to be unmounted has a file open."""


def unmount(folder: Path) -> None:
    """Raises `StillInUse` where somebody has a file open there; it is taken off all the same."""
    for _ in range(_ATTEMPTS):
        if not _libc.umount2(os.fsencode(folder), 0):
            return
        if ctypes.get_errno() != errno.EBUSY:
            raise OSError(ctypes.get_errno(), f"cannot unmount {folder}")
        time.sleep(0.01)  # the kernel itself may hold it for a moment
    _libc.umount2(os.fsencode(folder), _DETACH)
    raise StillInUse(errno.EBUSY, f"{folder} is still in use")
