"""`manage.py store_copy` and `store_export`, as an operator runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from accounts.models import User
from docstore import Key
from tests.folders import contents
from tests.harness.many_servers import PROJECT
from utils.json_storage import json_storage


def run(*arguments: object) -> str:
    out = StringIO()
    call_command(*map(str, arguments), stdout=out)
    return out.getvalue()


def test_server_moves_to_postgresql_with_everything(
    alice: User, data_folder: Path, settings: Settings, postgres_url: str, tmp_path: Path
) -> None:
    task = json_storage.create("tasks", alice.pk, {"title": "größer"})
    before = contents(data_folder)
    number = json_storage.store.sequence()
    output = run("store_copy", data_folder.as_uri(), postgres_url)
    assert f"{len(before)} documents copied" in output
    root = output.split()[-1].rstrip(".")
    json_storage.close()
    settings.NEURALFLOW_STORE = postgres_url
    assert json_storage.get("tasks", alice.pk, task["id"])["title"] == "größer"
    assert json_storage.store.sequence() == number
    back = tmp_path / "back"
    assert root in run("store_copy", postgres_url, back.as_uri())
    assert contents(back) == before


def test_copy_that_is_refused_says_why(
    alice: User, data_folder: Path, postgres_url: str, tmp_path: Path
) -> None:
    json_storage.create("tasks", alice.pk, {"title": "x"})
    with pytest.raises(CommandError, match="does not name a folder"):
        run("store_copy", "ftp://host", postgres_url)
    (tmp_path / "used").mkdir()
    (tmp_path / "used/file").touch()
    with pytest.raises(CommandError, match="is not empty: name another folder"):
        run("store_copy", data_folder.as_uri(), (tmp_path / "used").as_uri())


def test_export_is_what_files_would_be(
    alice: User, data_folder: Path, settings: Settings, postgres_url: str, tmp_path: Path
) -> None:
    json_storage.create("tasks", alice.pk, {"title": "x"})
    before = contents(data_folder)
    run("store_copy", data_folder.as_uri(), postgres_url)
    json_storage.close()
    settings.NEURALFLOW_STORE = postgres_url
    folder = tmp_path / "export"
    assert run("store_export", folder) == f"{len(before)} files written, 0 removed.\n"
    assert contents(folder) == before
    assert run("store_export", folder) == "0 files written, 0 removed.\n"
    with pytest.raises(CommandError, match="is a data folder"):
        run("store_export", data_folder)


def test_export_follows_until_it_is_stopped(
    alice: User, settings: Settings, postgres_url: str, tmp_path: Path
) -> None:
    json_storage.close()
    settings.NEURALFLOW_STORE = postgres_url
    json_storage.create("tasks", alice.pk, {"title": "first"})
    folder = tmp_path / "export"
    command = [sys.executable, "manage.py", "store_export", str(folder), "--follow"]
    environment = os.environ | {"NEURALFLOW_STORE": postgres_url, "NEURALFLOW_SECRET_KEY": "x" * 50}
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "written" in process.stdout.readline()
        json_storage.create("tasks", alice.pk, {"title": "second"})
        path = folder / f"tasks/tasks_{alice.pk}.json"
        deadline = time.monotonic() + 60
        while '"second"' not in path.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert path.read_bytes() == json_storage.store.backend.raw(Key("tasks", alice.pk))
