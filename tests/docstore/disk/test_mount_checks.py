"""A store opens only where it can be safe: on a local disk, with locks and shared memory."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from docstore import Unavailable
from docstore.backends.files.backend import FilesBackend
from docstore.disk.filesystem import FileSystem, Where
from docstore.disk.mount_checks import is_network, mount_id_of, type_of_mount
from tests.docstore.layouts import ALICE_NOTES, LAYOUTS

MOUNTINFO = """\
24 30 0:22 / /proc rw,relatime shared:14 - proc proc rw
30 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
31 30 0:44 / /srv/with\\040space rw,relatime shared:20 master:3 - nfs4 server:/export rw,vers=4.2
310 30 0:45 / /mnt/s rw - fuse.sshfs me@there:/ rw,user_id=0
"""


class Pretending(FileSystem):
    """A file system of a given type, on which some feature may not work."""

    def __init__(self, kind: str, *, excludes: bool = True, shares: bool = True) -> None:
        self._kind, self._excludes, self._shares = kind, excludes, shares

    def mount_type(self, path: Path) -> str:
        return self._kind

    def lock_excludes(self, path: Path) -> bool:
        return self._excludes and super().lock_excludes(path)

    def mmap_is_shared(self, path: Path) -> bool:
        return self._shares and super().mmap_is_shared(path)


def test_the_type_of_a_mount_is_what_the_system_tells() -> None:
    assert type_of_mount(MOUNTINFO, "30") == "ext4"
    assert type_of_mount(MOUNTINFO, "31") == "nfs4"
    assert type_of_mount(MOUNTINFO, "310") == "fuse.sshfs"
    assert type_of_mount(MOUNTINFO, "3") == ""
    assert mount_id_of("pos:\t0\nflags:\t0100000\nmnt_id:\t31\nino:\t3\n") == "31"
    assert mount_id_of("pos:\t0\n") == ""


def test_this_folder_is_on_what_findmnt_says(tmp_path: Path) -> None:
    reported = subprocess.run(
        ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert FileSystem().mount_type(tmp_path / "not" / "made") == reported.stdout.split("\n")[0]
    assert FileSystem().mount_type(Path("/proc")) == "proc"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs"])
def test_a_network_file_system_is_refused_and_nothing_is_made(tmp_path: Path, kind: str) -> None:
    assert is_network(kind)
    with pytest.raises(Unavailable) as refused:
        FilesBackend(tmp_path / "data", LAYOUTS, files=Pretending(kind))
    assert str(refused.value) == (
        f"{tmp_path}/data is on a network file system ({kind}), where locks and syncs cannot be"
        " relied on. Keep the data folder on a local disk (ext4, XFS, btrfs), or use a backend"
        " that is made for several machines."
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "overlay", "tmpfs", "fuse.ntfs-3g", ""])
def test_local_or_unknown_file_system_with_working_locks_is_accepted(
    tmp_path: Path, kind: str
) -> None:
    assert not is_network(kind)
    FilesBackend(tmp_path, LAYOUTS, files=Pretending(kind)).close()


def test_a_folder_where_two_get_one_lock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"\(fuse\.own\) that gave a lock to two holders at once"):
        FilesBackend(tmp_path, LAYOUTS, files=Pretending("fuse.own", excludes=False))


def test_a_folder_where_memory_is_not_shared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="processes cannot share memory"):
        FilesBackend(tmp_path, LAYOUTS, files=Pretending("fuse.own", shares=False))


def test_only_looking_is_possible_anywhere(tmp_path: Path) -> None:
    FilesBackend(tmp_path, LAYOUTS).close()
    looking = FilesBackend(tmp_path, LAYOUTS, files=Pretending("nfs4"), lay_out=False)
    assert looking.read(ALICE_NOTES).document is None


def test_a_full_disk_is_no_reason_to_say_that_memory_is_not_shared(tmp_path: Path) -> None:
    class Full(FileSystem):
        def shared_words(self, path: Where, count: int) -> memoryview:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        Full().mmap_is_shared(tmp_path / "state")


def test_shared_numbers_survive_growth_of_their_file(tmp_path: Path) -> None:
    files, path = FileSystem(), tmp_path / "state"
    words = files.shared_words(path, 2)
    words[0] = 7
    assert files.mmap_is_shared(path)
    assert words[0] == 7 and path.stat().st_size == 4096
