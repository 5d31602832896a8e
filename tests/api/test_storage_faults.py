"""The disk and the files misbehave; the API says what is wrong and saves what can be saved."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from docstore import DocumentStore
from docstore.backends.files.backend import FilesBackend
from docstore.disk.filesystem import FileSystem, Status, Where
from tests.api.conftest import Caller
from tests.folders import contents, exact, forget_journal
from utils.json_storage import JSONStorageManager
from workspace.schema.validation import COLLECTIONS

TORN = '{\n  "tasks": [\n    {"id": 1, "title": "Torn",\n'


class FailingFiles(FileSystem):
    """A disk on which nothing can be written."""

    def __init__(self, number: int) -> None:
        self.number = number

    def create(self, step: str, path: Where, data: bytes, mtime_ns: int | None = None) -> Status:
        raise OSError(self.number, os.strerror(self.number))

    def write_at(self, step: str, handle: int, data: bytes, offset: int) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.fixture
def failing_disk(
    request: pytest.FixtureRequest,
    alice: Caller,
    data_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> JSONStorageManager:
    """From here on the disk of Alice, who has one task, fails with the error number given."""
    alice.post("tasks/", {"title": "A"})
    layouts = {name: spec.layout for name, spec in COLLECTIONS.items()}
    backend = FilesBackend(data_folder, layouts, files=FailingFiles(request.param))
    manager = JSONStorageManager(DocumentStore(backend, layouts))
    monkeypatch.setattr("utils.middleware.json_storage", manager)
    return manager


@pytest.fixture
def torn_tasks(alice: Caller, data_folder: Path) -> Path:
    alice.post("tasks/", {"title": "A"})
    path = exact(data_folder / "tasks" / f"tasks_{alice.id}.json")
    path.write_text(TORN)
    return path


def test_a_change_of_a_torn_document_says_where_it_is_torn(alice: Caller, torn_tasks: Path) -> None:
    answer = alice.post("tasks/", {"title": "B"})

    assert answer.status_code == 503
    problem = answer.json()
    assert problem["type"] == "/problems/document-corrupt"
    assert problem["document"] == f"tasks/{torn_tasks.name}"
    assert (problem["line"], problem["column"]) == (4, 1)
    assert f"tasks/{torn_tasks.name}, line 4, column 1" in problem["detail"]


@pytest.mark.parametrize("address", ["tasks/", "tasks/1/", "dashboard/"])
def test_a_torn_document_is_read_as_it_was_last(
    alice: Caller, torn_tasks: Path, address: str
) -> None:
    answer = alice.get(address)

    assert answer.status_code == 200
    assert answer.json().get("title", "A") == "A" and answer.json().get("total", 1) == 1
    assert exact(torn_tasks).read_text() == TORN


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("POST", "tasks/"),
        ("PUT", "tasks/1/"),
        ("PATCH", "tasks/1/"),
        ("DELETE", "tasks/1/"),
    ],
)
def test_a_torn_document_is_never_overwritten(
    alice: Caller, torn_tasks: Path, data_folder: Path, method: str, address: str
) -> None:
    before = contents(data_folder)

    answer = alice.call(method, address, {"title": "B"})

    assert answer.status_code == 503
    assert answer.json()["document"] == f"tasks/{torn_tasks.name}"
    assert contents(data_folder) == before
    assert exact(torn_tasks).read_text() == TORN


def test_all_else_goes_on(alice: Caller, charlie: Caller, torn_tasks: Path) -> None:
    assert charlie.post("tasks/", {"title": "C"}).status_code == 201
    assert charlie.get("dashboard/").status_code == 200
    assert alice.post("models/", {"name": "M"}).status_code == 201
    assert alice.get("projects/").status_code == 200


def test_a_mended_document_is_served_again(alice: Caller, data_folder: Path) -> None:
    alice.post("tasks/", {"title": "A"})
    torn_tasks = exact(data_folder / "tasks" / f"tasks_{alice.id}.json")
    whole = torn_tasks.read_text()
    torn_tasks.write_text(TORN)
    alice.get("tasks/")
    torn_tasks.write_text(whole.replace('"A"', '"Mended"'))

    assert [task["title"] for task in alice.get("tasks/").json()["tasks"]] == ["Mended"]
    assert alice.patch("tasks/1/", {"title": "B"}).status_code == 200


def test_without_the_user_document_reading_goes_on(alice: Caller, data_folder: Path) -> None:
    alice.post("tasks/", {"title": "A"})
    exact(data_folder / "users" / f"user_{alice.id}.json").write_text("{")
    before = contents(data_folder)

    assert alice.get("tasks/").json()["total"] == 1
    assert alice.get("tasks/1/").status_code == 200
    refused = [
        alice.post("tasks/", {"title": "B"}),
        alice.patch("tasks/1/", {"title": "B"}),
        alice.delete("tasks/1/"),
    ]
    assert [answer.status_code for answer in refused] == [503] * 3
    assert alice.get("dashboard/").status_code == 200
    assert {answer.json()["document"] for answer in refused} == {f"users/user_{alice.id}.json"}
    assert contents(data_folder) == before


@pytest.mark.parametrize("failing_disk", [errno.ENOSPC, errno.EDQUOT], indirect=True)
def test_a_full_disk_is_read_on(alice: Caller, failing_disk: None, data_folder: Path) -> None:
    before = contents(data_folder)

    answer = alice.post("tasks/", {"title": "B"})

    assert answer.status_code == 507
    assert answer.json()["type"] == "/problems/out-of-space"
    assert int(answer["Retry-After"]) > 0
    assert alice.delete("tasks/1/").status_code == 507
    assert alice.get("tasks/").json()["total"] == 1
    assert alice.get("dashboard/").status_code == 200
    assert contents(data_folder) == before


@pytest.mark.parametrize("failing_disk", [errno.EIO], indirect=True)
def test_after_a_failed_write_the_store_only_reads(
    alice: Caller,
    failing_disk: JSONStorageManager,
    data_folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before, manager = contents(data_folder), failing_disk

    for _ in range(2):
        answer = alice.patch("tasks/1/", {"title": "B"})
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/unavailable"
        assert int(answer["Retry-After"]) > 0
    assert alice.get("tasks/1/").json()["title"] == "A"
    manager.commit_counts()  # as it does by itself
    assert "are not counted yet" in caplog.text
    assert answer["X-Request-ID"] in caplog.text
    assert contents(data_folder) == before


def test_an_unexpected_fault_tells_nothing_but_its_number(
    alice: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **named: Any) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(JSONStorageManager, "view", fail)

    answer = alice.get("tasks/")

    assert answer.status_code == 500
    assert answer.json()["type"] == "/problems/internal-error"
    assert "secret" not in answer.content.decode()
    assert "secret of the house" in caplog.text
    assert answer["X-Request-ID"] in caplog.text


def test_documents_of_old_folders_are_served_as_they_are(alice: Caller, data_folder: Path) -> None:
    tasks = [
        {"id": 3, "title": "Old", "created_at": "2024-05-01T10:00:00.5", "mood": {"x": None}},
        {"title": "Without an id", "big": 10**25},
    ]
    path = exact(data_folder / "tasks" / f"tasks_{alice.id}.json")
    forget_journal(data_folder)
    path.write_text(json.dumps({"tasks": tasks, "updated_at": None, "group_id": None}))
    before = path.read_bytes()

    assert alice.get("tasks/").json() == {"tasks": tasks, "total": 2}
    assert alice.get("tasks/3/").json() == tasks[0]
    assert alice.get("dashboard/").json()["statistics"]["tasks_by_status"]["pending"] == 2
    assert exact(path).read_bytes() == before

    changed = alice.patch("tasks/3/", {"title": "Still old"}).json()
    assert changed["mood"] == {"x": None}
    assert alice.get("tasks/").json()["tasks"][1] == tasks[1]


def test_while_the_database_is_away_it_says_so(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(token: str) -> None:
        raise OperationalError("connection to 10.0.0.7 refused")

    monkeypatch.setattr("accounts.api_tokens.live_token", fail)

    answer = alice.get("tasks/")

    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    assert "10.0.0.7" not in answer.content.decode()


def test_a_fault_before_the_api_is_told_as_a_problem_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(
        "django.contrib.sessions.middleware.SessionMiddleware.process_request", fail
    )
    client = Client(raise_request_exception=False)

    answer = client.get("/accounts/api/tasks/")

    assert answer.status_code == 500
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Cache-Control"] == "no-store"
    assert answer.json()["instance"] == f"urn:uuid:{answer['X-Request-ID']}"
    assert client.get("/").headers["Content-Type"].startswith("text/html")
