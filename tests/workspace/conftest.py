"""A store whose time tests move on by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from accounts.models import User
from docstore import DocumentStore
from docstore.backends.files.backend import FilesBackend
from tests.workspace.clocks import LAYOUTS, Clock
from utils.json_storage import JSONStorageManager


@pytest.fixture(autouse=True)
def accounts_up_to_99(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for the database, which these tests do without: accounts 1 to 99 exist."""
    monkeypatch.setattr("workspace.users.document.has_account", lambda user_id: user_id < 100)


@pytest.fixture
def clock() -> Clock:
    """Noon in the midst of a month; a module that needs another moment has its own."""
    return Clock(datetime(2026, 11, 23, 12, 0, tzinfo=UTC))


@pytest.fixture
def storage(data_folder: Path, clock: Clock) -> Iterator[JSONStorageManager]:
    """What Alice (7) has, by that clock."""
    made = JSONStorageManager(DocumentStore(FilesBackend(data_folder, LAYOUTS), LAYOUTS, clock))
    made.save_user_data(User(pk=7, username="alice", api_calls_limit=2_000))
    yield made
    made.close()
