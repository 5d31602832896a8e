"""Whether a folder is where a store can be safe: on a disk of this machine, with working locks.

Processes agree over locks and a page of memory that they share, and a change is durable when the
system says that it is. On a network file system each machine has locks and pages of its own, or the
server has its own idea of what is written; there a store would seem to work, and lose changes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, Protocol

from docstore.descriptors import open_high
from docstore.errors import Unavailable

# fmt: off
_NETWORK: Final = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs", "lustre",
    "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb2", "smb3",
    "smbfs", "vboxsf", "vmhgfs", "wekafs",
})
# FUSE file systems of which the far end is another machine. Others may do, if their locks work.
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


class Asked(Protocol):
    """What is asked of a file system before a store is opened on it."""

    def mount_type(self, path: Path) -> str: ...
    def excludes(self, path: Path) -> bool: ...
    def shares(self, path: Path) -> bool: ...


def mount_type(path: Path) -> str:
    """The type of the file system that the path is on or is to be on; "" where none is told."""
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
    """The type that `/proc/self/mountinfo` tells of a mount: `ext4`, `nfs4`; "" where it does not.

    After a separator, a line ends with the type, the source and the options.
    """
    for line in mountinfo.splitlines():
        fields, separator, described = line.partition(" - ")
        if separator and fields.split(" ", 1)[0] == mount_id:
            return described.split(" ", 1)[0]
    return ""


def mount_id_of(fdinfo: str) -> str:
    """The number of the mount that an open file is on, from `/proc/self/fdinfo/<number>`."""
    found = re.search(r"^mnt_id:\s*(\d+)$", fdinfo, re.MULTILINE)
    return found[1] if found else ""


def is_network(kind: str) -> bool:
    """Whether files on a file system of this type are another machine's."""
    name, _, below = kind.partition(".")
    return name in _NETWORK or (name in {"fuse", "fuseblk"} and below in _NETWORK_FUSE)


def refuse_network(files: Asked, folder: Path) -> None:
    """Raises `Unavailable` where the folder, or the one it is to be made in, is on a network."""
    kind = files.mount_type(folder)
    if is_network(kind):
        raise Unavailable(
            f"{folder} is on a network file system ({kind}), where locks and syncs"
            f" cannot be relied on. {REMEDY}"
        )


def refuse_unshared(files: Asked, locked: Path, shared: Path) -> None:
    """Raises `Unavailable` where locks do not exclude, or memory is not shared.

    `locked` is a file that this process holds a lock on; `shared` is one to map into memory.
    """
    kind = files.mount_type(shared.parent) or "unknown"
    if not files.excludes(locked):
        raise Unavailable(
            f"{locked.parent} is on a file system ({kind}) that gave a lock to two holders at once."
            f" {REMEDY}"
        )
    if not files.shares(shared):
        raise Unavailable(
            f"{shared.parent} is on a file system ({kind}) where processes cannot share memory."
            f" {REMEDY}"
        )
