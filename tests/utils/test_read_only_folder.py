"""A folder that belongs to someone else, as a backup or a mount shows it: all can be read."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docstore import DocumentStore, Unavailable
from docstore.backends.files.backend import FilesBackend
from tests.folders import contents
from utils.data_initializer import DataInitializer
from utils.json_storage import JSONStorageManager
from workspace.schema.validation import COLLECTIONS

LAYOUTS = {name: spec.layout for name, spec in COLLECTIONS.items()}
NOBODY = 65534

DIES_BEFORE_PUBLISHING = """
import os, sys
from docstore import DocumentStore
from docstore.backends.files.backend import FilesBackend
from pathlib import Path
from types import SimpleNamespace
from utils.json_storage import JSONStorageManager
from workspace.schema.validation import COLLECTIONS

layouts = {name: spec.layout for name, spec in COLLECTIONS.items()}
backend = FilesBackend(Path(sys.argv[1]), layouts, background=False)
storage = JSONStorageManager(DocumentStore(backend, layouts))
storage.save_user_data(SimpleNamespace(pk=7))
storage.save_task_data(7, {"title": "in the file"})
storage.publish()
storage.save_task_data(7, {"title": "in the journal"})
os._exit(0)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of a dead writer that may be looked at by all, and changed by nobody but root."""
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above) / "data"
        Path(above).chmod(0o755)
        subprocess.run(
            [sys.executable, "-c", DIES_BEFORE_PUBLISHING, folder],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "neuralflow.settings"},
            cwd=Path(__file__).resolve().parents[2],
            check=True,
        )
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield folder
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755)


@pytest.fixture
def powerless() -> Iterator[None]:
    """Root may write everywhere; it becomes somebody who may not."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    yield
    if is_root:
        os.seteuid(0)


def titles(storage: JSONStorageManager) -> list[Any]:
    return [task["title"] for task in storage.list("tasks", 7)]


@pytest.mark.django_db
def test_read_only_folder_includes_unpublished_changes(folder: Path, powerless: None) -> None:
    before = contents(folder, but=())
    storage = JSONStorageManager(DocumentStore(FilesBackend(folder, LAYOUTS), LAYOUTS))
    assert titles(storage) == ["in the file", "in the journal"]
    with pytest.raises(Unavailable):
        storage.save_task_data(7, {"title": "refused"})
    assert titles(storage) == ["in the file", "in the journal"]

    looking = DataInitializer(storage)
    assert looking.get_storage_stats()["total_tasks"] == 2
    problem = "users/user_7.json: user 7 has no account in the database: run setup_data"
    problem += " --adopt-users"
    assert problem in map(str, looking.validate_data_integrity())
    storage.close()
    assert contents(folder, but=()) == before
