"""A full disk raises OutOfSpace on every file system.

No process dies of it, nothing acknowledged is lost, and writing continues when there is room.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from docstore import DocumentStore, OutOfSpace, StoreError, Transaction
from docstore.backends.files.backend import FilesBackend
from docstore.backends.files.publisher import History
from tests.docstore.layouts import ALICE_NOTES, LAYOUTS
from tests.harness.apart import start, wait
from tests.harness.devices import mounted, tool, unmount

KINDS = {"ext4": 32, "xfs": 320, "btrfs": 128, "tmpfs": 24}  # with the size in MiB
PATIENCE = 30.0


def missing(kind: str) -> str:
    """Return what this machine lacks; "" if nothing."""
    if os.geteuid() != 0:
        return "only root can mount a disk to fill up"
    if kind == "tmpfs":
        return "" if tool("mount") else "mount is not installed"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices here"
    return "" if tool(f"mkfs.{kind}") else f"mkfs.{kind} is not installed"


@contextmanager
def disk(kind: str, folder: Path) -> Iterator[Path]:
    """Mount a small separate disk."""
    if missing(kind):
        pytest.skip(f"0 cases: {missing(kind)}")
    place, image = folder / "disk", folder / "image"
    place.mkdir()
    if kind == "tmpfs":
        size = f"size={KINDS[kind]}m"
        subprocess.run([tool("mount"), "-t", "tmpfs", "-o", size, "tmpfs", place], check=True)
        try:
            yield place
        finally:
            unmount(place)
        return
    image.touch()
    os.truncate(image, KINDS[kind] << 20)
    options = ["-q", "-F"] if kind == "ext4" else ["-q", "-f"]
    subprocess.run([tool(f"mkfs.{kind}"), *options, image], check=True, stdout=subprocess.DEVNULL)
    with mounted(image, place, "", kind):
        yield place


def opened(folder: Path, history: History | None = None) -> DocumentStore:
    return DocumentStore(FilesBackend(folder, LAYOUTS, lock_timeout=10, history=history), LAYOUTS)


def add(transaction: Transaction) -> int:
    note = transaction.new_id(ALICE_NOTES)
    transaction.put(ALICE_NOTES, {"id": note, "text": "x" * 500})
    return note


def ids(store: DocumentStore) -> list[int]:
    document = store.read(ALICE_NOTES)
    assert document is not None
    return [note["id"] for note in document.content["notes"]]


def fill(place: Path) -> list[Path]:
    """Fill the disk to the last byte."""
    fillers = []
    for number, size in enumerate((1 << 20, 1 << 16, 4096, 512)):
        fillers.append(place / f"filler-{number}")
        with suppress(OSError), fillers[-1].open("wb", buffering=0) as file:
            while file.write(b"x" * size):
                pass
        os.sync()
    return fillers


def write(folder: Path, told: Path) -> None:
    """Write until the disk was full for some time and has room again."""
    store = opened(folder)
    acknowledged, refused, after = [], 0, 0
    deadline = time.monotonic() + PATIENCE
    while after < 20 and time.monotonic() < deadline:
        try:
            acknowledged.append(store.change(add))
            after += refused > 0
        except OutOfSpace:
            refused += 1
            assert len(ids(store)) >= len(acknowledged)  # reading continues
            told.with_suffix(".full").touch()
            time.sleep(0.01)
    told.write_text(json.dumps([acknowledged, refused, after]))
    store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_full_disk_is_out_of_space_and_loses_nothing(kind: str, tmp_path: Path) -> None:
    with disk(kind, tmp_path) as place:
        folder = place / "data"
        first = opened(folder)
        first.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
        first.close()
        reports = [tmp_path / f"told-{number}" for number in range(2)]
        fillers = fill(place)
        children = [start(lambda path=path: write(folder, path)) for path in reports]  # type: ignore[misc]
        deadline = time.monotonic() + PATIENCE / 2
        while time.monotonic() < deadline and not all(
            path.with_suffix(".full").exists() for path in reports
        ):
            time.sleep(0.01)
        time.sleep(0.5)  # on the full disk
        for filler in fillers:
            filler.unlink(missing_ok=True)
        assert [wait(child) for child in children] == [0, 0], "a process died of the full disk"
        outcomes = [json.loads(path.read_text()) for path in reports]
        assert all(refused for _, refused, _ in outcomes), outcomes
        assert all(after == 20 for _, _, after in outcomes), outcomes
        store = opened(folder)
        acknowledged = [note for outcome in outcomes for note in outcome[0]]
        assert set(acknowledged) <= set(ids(store))
        assert len(set(acknowledged)) == len(acknowledged)
        store.close()


def test_history_yields_to_writes_on_a_small_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The retention of the history exceeds the disk."""
    with disk("tmpfs", tmp_path) as place:
        folder = place / "data"
        store = opened(folder, History(bytes_max=1 << 40))
        store.change(lambda transaction: transaction.create(ALICE_NOTES, {"notes": []}))
        text = "x" * 100_000

        def edit(transaction: Transaction) -> None:
            transaction.put(ALICE_NOTES, {"id": 1, "text": text + str(transaction.now)})

        refused = 0
        for number in range(400):  # 80 MB of journal on a disk of 24
            try:
                store.change(edit)
            except StoreError:
                refused += 1
            if number % 20 == 0:
                store.backend.checkpoint()  # type: ignore[attr-defined]
        assert refused == 0
        assert "history" in caplog.text and "full" in caplog.text
        store.close()
