"""Checks that a folder is on a local disk with working locks, where a store is safe.

Processes coordinate through file locks and a shared memory page, and a change counts as durable
when fsync returns. On a network file system, each machine has its own locks and pages, or the
server acknowledges writes that are not durable. A store there would seem to work, and lose changes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, Protocol

from docstore.disk.descriptors import open_high
from docstore.errors import Unavailable

# fmt: off
_NETWORK: Final = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs", "lustre",
    "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb2", "smb3",
    "smbfs", "vboxsf", "vmhgfs", "wekafs",
})
# FUSE file systems that reach another machine. Others are accepted if their locks work.
_NETWORK_FUSE: Final = frozenset({
    "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "curlftpfs", "davfs", "davfs2", "gcsfuse",
    "glusterfs", "goofys", "hdfs", "juicefs", "lizardfs", "mfs", "moosefs", "mountpoint-s3",
    "rclone", "s3fs", "seaweedfs", "smbnetfs", "sshfs", "vmhgfs-fuse",
})
# fmt: on
REMEDY: Final = (
    "Keep the data folder on a local disk (ext4, XFS, btrfs), or use a backend that is made for"
    " several machines."
)


class FilesystemProbe(Protocol):
    """The checks of a file system before a store opens on it. See `FileSystem`."""

    def mount_type(self, path: Path) -> str: ...
    def lock_excludes(self, path: Path) -> bool: ...
    def mmap_is_shared(self, path: Path) -> bool: ...


def mount_type(path: Path) -> str:
    """Return the type of the file system that the path is on, or will be; "" if unknown."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        descriptor = open_high(path, os.O_PATH)
        try:
            number = mount_id_of(Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii"))
        finally:
            os.close(descriptor)
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
    return type_of_mount(mounts, number)


def type_of_mount(mountinfo: str, mount_id: str) -> str:
    """Return the type of a mount in `/proc/self/mountinfo`, such as `nfs4`; "" if it is not listed.

    The fields after the separator are type, source and options (proc_pid_mountinfo(5)).
    """
    for line in mountinfo.splitlines():
        fields, separator, described = line.partition(" - ")
        if separator and fields.split(" ", 1)[0] == mount_id:
            return described.split(" ", 1)[0]
    return ""


def mount_id_of(fdinfo: str) -> str:
    """Return the id of an open file's mount, from `/proc/self/fdinfo/<number>`; "" if none."""
    match = re.search(r"^mnt_id:\s*(\d+)$", fdinfo, re.MULTILINE)
    return match[1] if match else ""


def is_network(kind: str) -> bool:
    """Return whether a file system of this type holds its files on another machine."""
    name, _, below = kind.partition(".")
    return name in _NETWORK or (name in {"fuse", "fuseblk"} and below in _NETWORK_FUSE)


def refuse_network(files: FilesystemProbe, folder: Path) -> None:
    """Raise `Unavailable` if the folder, or its nearest existing parent, is on a network."""
    kind = files.mount_type(folder)
    if is_network(kind):
        raise Unavailable(
            f"{folder} is on a network file system ({kind}), where locks and syncs"
            f" cannot be relied on. {REMEDY}"
        )


def require_shared_memory(files: FilesystemProbe, locked: Path, shared: Path) -> None:
    """Raise `Unavailable` if locks do not exclude or memory is not shared.

    `locked` is a file on which this process holds a lock; `shared` is a file to map into memory.
    """
    kind = files.mount_type(shared.parent) or "unknown"
    if not files.lock_excludes(locked):
        raise Unavailable(
            f"{locked.parent} is on a file system ({kind}) that gave a lock to two holders at once."
            f" {REMEDY}"
        )
    if not files.mmap_is_shared(shared):
        raise Unavailable(
            f"{shared.parent} is on a file system ({kind}) where processes cannot share memory."
            f" {REMEDY}"
        )
