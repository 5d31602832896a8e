"""Repair of damaged files: from the journal, else from a backup, else set aside; dry by default."""

import json
import os
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from docstore import Corrupt
from utils.data_initializer import data_initializer
from utils.json_storage import json_storage
from workspace.operations.repair import Repair, repairs

OWNER = 7


@pytest.fixture
def file(db: None) -> Path:
    data_initializer.initialize_data_structure()
    json_storage.create("tasks", OWNER, {"title": "amount 100"})
    _restart()
    folder = json_storage.folder
    assert folder is not None
    return folder / "tasks" / f"tasks_{OWNER}.json"


def _restart() -> None:
    json_storage.close()
    json_storage.store.sequence()


def _damage(path: Path, data: bytes) -> None:
    """Change a file as a disk does: inode and time stay."""
    status = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    _restart()


def _titles() -> list[str]:
    return [task["title"] for task in json_storage.list("tasks", OWNER)]


def _repairs(*, apply: bool) -> list[Repair]:
    return list(repairs(json_storage, apply=apply))


@pytest.mark.parametrize("kind", ["flipped", "torn", "zeroed", "empty"])
def test_damaged_file_is_healed_from_the_journal_and_kept_aside(file: Path, kind: str) -> None:
    good = file.read_bytes()
    data = {
        "flipped": good.replace(b"100", b"900"),
        "torn": good[: len(good) // 2],
        "zeroed": good[:20] + bytes(30) + good[50:],
        "empty": b"",
    }[kind]
    _damage(file, data)
    (planned,) = _repairs(apply=False)
    assert (planned.document, planned.source, planned.aside) == (
        f"tasks/{file.name}",
        "journal",
        "",
    )
    assert file.read_bytes() == data  # dry
    (done,) = _repairs(apply=True)
    assert done.failure == "" and (file.parent / done.aside).read_bytes() == data
    assert _titles() == ["amount 100"]
    json_storage.create("tasks", OWNER, {"title": "more"})
    _restart()
    assert _titles() == ["amount 100", "more"]
    assert _repairs(apply=True) == []


def _remove(pattern: str) -> None:
    folder = json_storage.folder
    assert folder is not None
    json_storage.close()
    for path in (folder / ".neuralflow").rglob(pattern):
        path.unlink()


def test_file_without_image_is_rebuilt_from_the_history(file: Path) -> None:
    for number in range(5):
        json_storage.update("tasks", OWNER, 1, {"title": f"amount {number}"})
    _remove("*.image")
    _damage(file, file.read_bytes()[:-20])
    (done,) = _repairs(apply=True)
    assert (done.source, done.failure) == ("journal", "")
    assert _titles() == ["amount 4"]


def test_file_without_image_and_history_is_healed_from_the_newest_backup(file: Path) -> None:
    data_initializer.create_backup()
    _remove("*.image")
    _remove("*.journal")
    _damage(file, file.read_bytes()[:-20])
    (done,) = _repairs(apply=True)
    assert (done.source, done.failure) == ("backup", "")
    assert _titles() == ["amount 100"]


def test_file_without_any_good_copy_is_set_aside_only(file: Path) -> None:
    _remove("*.image")
    _remove("*.journal")
    data = file.read_bytes()[:-20]
    _damage(file, data)
    with pytest.raises(Corrupt):
        _titles()
    (done,) = _repairs(apply=True)
    assert (done.source, done.failure) == ("", "")
    assert (file.parent / done.aside).read_bytes() == data and not file.exists()
    assert _titles() == []


def test_command_shows_repairs_and_heals_with_apply(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = file.read_bytes().replace(b"100", b"900")
    _damage(file, data)
    with pytest.raises(CommandError) as caught:
        call_command("setup_data", "--repair")
    assert caught.value.returncode == 1
    assert "add --apply" in capsys.readouterr().out and file.read_bytes() == data
    with pytest.raises(CommandError) as caught:
        call_command("setup_data", "--validate", "--json")
    (finding,) = json.loads(capsys.readouterr().out)["validate"]["findings"][:1]
    assert (finding["code"], finding["document"]) == ("damaged", f"tasks/{file.name}")
    call_command("setup_data", "--repair", "--apply")
    assert "healed from the journal" in capsys.readouterr().out
    assert _titles() == ["amount 100"]
