import os
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from core.checks import names_check, open_files_check, private_files_check, storage_check
from core.management.commands.prepare import _make_databases


def ids() -> list[str | None]:
    faults = storage_check(None)
    assert all(fault.hint for fault in faults)
    return [fault.id for fault in faults]


def test_the_defaults_pass() -> None:
    assert ids() == []


@pytest.mark.parametrize("url", ["memory:", "postgres://user@a:5432,b:5432/name?schema=flow"])
def test_a_store_without_a_folder_passes(settings: Settings, url: str) -> None:
    settings.NEURALFLOW_STORE = url
    assert ids() == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "data",
        "/srv/data",
        "ftp://host/data",
        "file://host/data",
        "file://data",
        "postgres://host",
        "postgres://host/name?schema=Flow",
        "postgres://host/name?pool=0",
        "postgres://host/name?no_such_option=1",
    ],
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
    assert far.hint == "docs/configure.md lists them all."


@pytest.mark.parametrize(("allowed", "warns"), [(90, True), (255, True), (256, False), (-1, False)])
def test_few_open_files_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, allowed: int, warns: bool
) -> None:
    monkeypatch.setattr("core.checks.resource.getrlimit", lambda what: (allowed, allowed))
    faults = open_files_check(None)
    assert [fault.id for fault in faults] == (["neuralflow.W002"] if warns else [])


@pytest.fixture
def installation(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that is private, with the modes it should have."""
    settings.BASE_DIR = tmp_path
    settings.NEURALFLOW_STORE = (tmp_path / "data").as_uri()
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path / "mail")
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db.sqlite3")}
    monkeypatch.setitem(settings.DATABASES, "default", database)
    for folder in ("data", "data/backups", "mail"):
        (tmp_path / folder).mkdir(mode=0o700)
    for name in (".secret_key", ".env", "db.sqlite3", "db.sqlite3-wal"):
        (tmp_path / name).touch(mode=0o600)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [".secret_key", ".env", "db.sqlite3", "db.sqlite3-wal", "data", "data/backups", "mail"],
)
def test_private_file_open_to_others_is_reported_before_deployment(
    installation: Path, name: str
) -> None:
    assert private_files_check(None) == []
    path = installation / name
    path.chmod(path.stat().st_mode | 0o040)
    (warning,) = private_files_check(None)
    assert warning.id == "neuralflow.W003"
    assert warning.hint == f"chmod {'0700' if path.is_dir() else '0600'} {path}"
    path.unlink() if path.is_file() else path.chmod(0o700)
    assert private_files_check(None) == []


def test_new_database_is_readable_by_its_owner_only(installation: Path) -> None:
    (installation / "db.sqlite3").unlink()
    before = os.umask(0o022)
    try:
        _make_databases()
    finally:
        os.umask(before)
    assert (installation / "db.sqlite3").stat().st_mode & 0o777 == 0o600
    (installation / "db.sqlite3").write_bytes(b"kept")
    _make_databases()
    assert (installation / "db.sqlite3").read_bytes() == b"kept"
