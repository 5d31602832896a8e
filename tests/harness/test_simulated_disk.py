"""The simulated disk loses everything that POSIX allows, and nothing that was synced."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from tests.harness.simulated_disk import WAYS, Disk, Fault, SimulatedFileSystem

ROOT = Path("/sim/data")
ONE, TWO = ROOT / "one", ROOT / "two"


@pytest.fixture
def disk() -> Disk:
    return Disk(str(ROOT))


@pytest.fixture
def files(disk: Disk) -> SimulatedFileSystem:
    return SimulatedFileSystem(disk)


def after_cuts(disk: Disk, way: str, tries: int = 200) -> set[tuple[tuple[str, bytes], ...]]:
    """Return all states found after many cuts: the names with their contents."""
    states = set()
    for seed in range(tries):
        image = disk.crash(random.Random(seed), way)
        states.add(tuple((name, image.content(ROOT / name)) for name in image.paths()))
    return states


def settled(files: SimulatedFileSystem, path: Path, data: bytes) -> None:
    files.create("", path, data)
    files.sync_folder("", ROOT)


def test_synced_content_stays(disk: Disk, files: SimulatedFileSystem) -> None:
    settled(files, ONE, b"x" * 2000)
    for way in WAYS:
        assert after_cuts(disk, way) == {(("one", b"x" * 2000),)}


def test_a_name_is_forgotten_until_its_folder_is_synced(
    disk: Disk, files: SimulatedFileSystem
) -> None:
    files.create("", ONE, b"1")
    assert after_cuts(disk, "none") == {()}
    assert after_cuts(disk, "random") == {(), (("one", b"1"),)}


def test_a_removal_is_forgotten_until_its_folder_is_synced(
    disk: Disk, files: SimulatedFileSystem
) -> None:
    settled(files, ONE, b"1")
    files.remove("", ONE)
    assert not files.exists(ONE)
    assert after_cuts(disk, "random") == {(), (("one", b"1"),)}
    files.sync_folder("", ROOT)
    assert after_cuts(disk, "random") == {()}


def test_rename_may_lose_either_half(disk: Disk, files: SimulatedFileSystem) -> None:
    settled(files, ONE, b"1")
    files.rename("", ONE, TWO)
    assert after_cuts(disk, "random") == {
        (),
        (("one", b"1"),),
        (("two", b"1"),),
        (("one", b"1"), ("two", b"1")),
    }


def test_exchange_is_lost_or_kept_as_one(disk: Disk, files: SimulatedFileSystem) -> None:
    settled(files, ONE, b"1")
    settled(files, TWO, b"2")
    assert files.exchange("", ONE, TWO)
    files.remove("", ONE)
    assert after_cuts(disk, "random") == {
        (("one", b"1"), ("two", b"2")),
        (("one", b"2"), ("two", b"1")),
        (("two", b"1"),),
    }


def test_operations_on_one_name_are_lost_from_the_end(
    disk: Disk, files: SimulatedFileSystem
) -> None:
    settled(files, ONE, b"1")
    files.create("", TWO, b"2")
    files.rename("", TWO, ONE)
    files.remove("", ONE)
    images = after_cuts(disk, "random")
    assert {dict(image).get("one") for image in images} == {b"1", b"2", None}


def test_a_new_folder_takes_what_is_in_it_along(disk: Disk, files: SimulatedFileSystem) -> None:
    disk.mkdir(ROOT / "folder")
    files.create("", ROOT / "folder" / "one", b"1")
    files.sync_folder("", ROOT / "folder")
    assert after_cuts(disk, "random") == {(), (("folder/one", b"1"),)}
    image = disk.crash(random.Random(1), "none")
    assert not SimulatedFileSystem(image).is_folder(ROOT / "folder")
    files.sync_folder("", ROOT)
    assert after_cuts(disk, "random") == {(("folder/one", b"1"),)}


def test_the_engine_makes_folders_durable(disk: Disk, files: SimulatedFileSystem) -> None:
    files.make_folder("", ROOT / "a" / "b")
    assert disk.is_settled()


def test_unsynced_writes_are_lost_reordered_and_torn(
    disk: Disk, files: SimulatedFileSystem
) -> None:
    settled(files, ONE, bytes(2048))
    handle = files.open(ONE)
    files.write_at("", handle, b"a" * 1024, 0)
    files.write_at("", handle, b"b" * 1024, 1024)
    assert files.read_at(handle, 2048, 0) == b"a" * 1024 + b"b" * 1024

    def parts(way: str) -> set[bytes]:
        """Return the first byte of each sector, for every state."""
        return {dict(image)["one"][::512] for image in after_cuts(disk, way, 1000)}

    assert parts("none") == {b"\0\0\0\0"}
    assert parts("all") == {b"aabb"}
    assert parts("random") == {b"\0\0\0\0", b"aa\0\0", b"\0\0bb", b"aabb"}
    assert len(parts("torn")) == 16
    files.sync_data("", handle)
    assert parts("torn") == {b"aabb"}


def test_a_file_whose_content_was_not_synced_may_be_empty_torn_or_zeros(
    disk: Disk, files: SimulatedFileSystem
) -> None:
    settled(files, ONE, b"old")
    draft = disk.open(TWO, 0o301)  # O_WRONLY | O_CREAT | O_EXCL
    disk.pwrite(draft, b"x" * 1024, 0)
    files.rename("", TWO, ONE)
    files.sync_folder("", ROOT)
    contents = {dict(image)["one"] for image in after_cuts(disk, "torn")}
    assert {b"", bytes(1024), b"x" * 512, b"x" * 1024} <= contents
    assert b"old" not in contents


def test_a_kill_loses_nothing_and_syncs_nothing(disk: Disk, files: SimulatedFileSystem) -> None:
    files.create("", ONE, b"1")
    killed = disk.kill()
    assert killed.content(ONE) == b"1"
    assert after_cuts(killed, "none") == {()}


def test_changes_after_a_cut_leave_the_disk_before_it(
    disk: Disk, files: SimulatedFileSystem
) -> None:
    settled(files, ONE, b"1")
    image = SimulatedFileSystem(disk.crash(random.Random(1), "none"))
    handle = image.open(ONE)
    image.write_at("", handle, b"2", 0)
    image.remove("", ONE)
    image.sync_folder("", ROOT)
    assert disk.content(ONE) == b"1"


def test_after_a_failed_sync_the_pages_are_clean_and_lost(
    disk: Disk, files: SimulatedFileSystem
) -> None:
    settled(files, ONE, b"old")
    handle = files.open(ONE)
    files.write_at("", handle, b"new", 0)
    disk.fault = Fault(1, frozenset({"fsync"}), errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        files.sync_data("", handle)
    files.sync_data("", handle)  # reports success
    assert files.read_at(handle, 3, 0) == b"new"
    assert after_cuts(disk, "all") == {(("one", b"old"),)}


def test_a_fault_strikes_the_operation_it_is_for(disk: Disk, files: SimulatedFileSystem) -> None:
    full = Fault(2, frozenset({"grow"}), errno.ENOSPC, lasting=True)
    disk.fault = full
    files.create("", ONE, b"1")
    for name in ("two", "three"):
        with pytest.raises(OSError, match="No space"):
            files.create("", ROOT / name, b"2")
    assert full.struck == 2
    disk.fault = None
    files.create("", ROOT / "four", b"4")


def test_short_writes_are_gone_on_with(disk: Disk, files: SimulatedFileSystem) -> None:
    disk.fault = Fault(1, frozenset({"grow"}), lasting=True)
    files.create("", ONE, b"0123456789")
    assert disk.fault.struck > 2
    assert disk.content(ONE) == b"0123456789"


def test_an_operation_of_several_calls_can_be_cut_between_them(
    disk: Disk, files: SimulatedFileSystem
) -> None:
    states: list[tuple[str, bool]] = []
    disk.watch = lambda operation: states.append((operation, disk.is_settled()))
    settled(files, ONE, b"1")
    assert states == [
        ("create one", False),
        ("write one", False),
        ("sync one", False),
        ("sync ", True),
    ]
