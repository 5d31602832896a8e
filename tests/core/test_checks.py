from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from core.checks import names_check, open_files_check, storage_check


def ids() -> list[str | None]:
    faults = storage_check(None)
    assert all(fault.hint for fault in faults)
    return [fault.id for fault in faults]


def test_the_defaults_pass() -> None:
    assert ids() == []


def test_a_store_in_memory_passes(settings: Settings) -> None:
    settings.NEURALFLOW_STORE = "memory:"
    assert ids() == []


@pytest.mark.parametrize(
    "url", ["", "data", "/srv/data", "ftp://host/data", "file://host/data", "file://data"]
)
def test_a_store_that_is_not_understood(settings: Settings, url: str) -> None:
    settings.NEURALFLOW_STORE = url
    assert ids() == ["neuralflow.E001"]


def test_a_data_folder_that_cannot_be_written(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever runs the tests may be root, whom no permission stops.
    monkeypatch.setattr("core.checks.os.access", lambda path, mode: False)
    for folder in (tmp_path, tmp_path / "not" / "made"):
        settings.NEURALFLOW_STORE = folder.as_uri()
        assert ids() == ["neuralflow.E002"]


def test_a_data_folder_below_a_file(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings.NEURALFLOW_STORE = (tmp_path / "file" / "data").as_uri()
    assert ids() == ["neuralflow.E002"]


@pytest.mark.parametrize(
    ("name", "found"), [("data/db.sqlite3", ["neuralflow.E003"]), ("db.sqlite3", [])]
)
def test_a_database_inside_the_data_folder(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    found: list[str],
) -> None:
    settings.NEURALFLOW_STORE = (tmp_path / "data").as_uri()
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / name)}
    monkeypatch.setitem(settings.DATABASES, "default", database)
    assert ids() == found


def test_a_data_folder_on_a_network_file_system(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.NEURALFLOW_STORE = tmp_path.as_uri()
    monkeypatch.setattr("core.checks.mount_type", lambda folder: "nfs4")
    (fault,) = storage_check(None)
    assert fault.id == "neuralflow.E004"
    assert fault.msg == f"The data folder {tmp_path} is on a network file system (nfs4)."


def test_misspelled_name_is_a_warning_with_the_right_one(settings: Settings) -> None:
    settings.NEURALFLOW_UNKNOWN_NAMES = {"NEURALFLOW_STOR": "NEURALFLOW_STORE", "NEURALFLOW_X": ""}
    near, far = names_check(None)
    assert near.id == far.id == "neuralflow.W001"
    assert near.msg == "NEURALFLOW_STOR is no setting of NeuralFlow and has no effect."
    assert near.hint == "NEURALFLOW_STORE may be meant."
    assert far.hint == "docs/operations.md lists them all."


@pytest.mark.parametrize(("allowed", "warns"), [(90, True), (255, True), (256, False), (-1, False)])
def test_few_open_files_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, allowed: int, warns: bool
) -> None:
    monkeypatch.setattr("core.checks.resource.getrlimit", lambda what: (allowed, allowed))
    faults = open_files_check(None)
    assert [fault.id for fault in faults] == (["neuralflow.W002"] if warns else [])
