"""The maintenance page: for staff who authenticated recently; jobs are requested and run later."""

import logging
from collections.abc import Callable
from datetime import time
from pathlib import Path

import pytest
from django.test import Client

from accounts.models import User
from core.error_log import BYTES_MAX, ErrorLogHandler, latest_errors
from core.maintenance.runner import Runner
from tests.conftest import prove_who_asks
from utils.json_storage import json_storage
from workspace.operations.maintenance_history import requested_jobs

PAGE = "/operator/maintenance/"


@pytest.fixture
def staff(client: Client, alice: User) -> Client:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    client.force_login(alice)
    return client


def test_page_is_for_staff_who_authenticated_recently(client: Client, bob: User) -> None:
    client.force_login(bob)
    prove_who_asks(client)
    assert client.get(PAGE).status_code == 404
    User.objects.filter(pk=bob.pk).update(is_staff=True)
    assert client.get(PAGE).status_code == 200
    client.force_login(bob)  # a session that did not authenticate
    session = client.session
    session.pop("account_authentication_methods", None)
    session.save()
    response = client.get(PAGE)
    assert response.status_code == 302 and "reauthenticate" in response["Location"]
    assert client.post(PAGE, {"job": "backup"}).status_code == 302
    assert json_storage.folder is not None and requested_jobs(json_storage.folder) == set()


def test_requested_job_runs_next_and_its_run_is_shown(staff: Client) -> None:
    prove_who_asks(staff)
    json_storage.store.sequence()
    assert staff.post(PAGE, {"job": "nothing"}).status_code == 404
    assert staff.post(PAGE, {"job": "statistics"}).status_code == 302
    assert "Requested" in staff.get(PAGE).text
    runner = Runner(json_storage, at=time(3, 30))
    assert [run.job for run in runner.run_due()] == ["statistics"]
    assert runner.run_due() == []
    text = staff.get(PAGE).text
    assert "1 user, " in text and "Count records" in text


def test_failed_job_is_shown_on_the_status_page_too(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    json_storage.store.sequence()
    Runner(json_storage).run(["verify"])
    assert "there is no backup" in staff.get("/operator/").text


def _record(text: str, error: Exception | None = None) -> logging.LogRecord:
    info = (type(error), error, None) if error else None
    return logging.LogRecord("core", logging.ERROR, "", 1, text, None, info)


def test_latest_errors_are_shown_newest_first_and_without_secrets(
    tmp_path: Path, staff: Client
) -> None:
    (tmp_path / ".neuralflow").mkdir()
    clean: Callable[[str], str] = lambda text: text.replace("secret", "...")  # noqa: E731
    handler = ErrorLogHandler(tmp_path, clean)
    handler.emit(_record("first with a secret"))
    handler.emit(_record("second", ValueError("bad")))
    newest, oldest = latest_errors(tmp_path)
    assert newest["text"] == "second: ValueError: bad"
    assert oldest["text"] == "first with a ..."


def test_error_log_is_bounded_and_never_raises(tmp_path: Path) -> None:
    ErrorLogHandler(tmp_path / "nowhere").emit(_record("lost"))
    (tmp_path / ".neuralflow").mkdir()
    handler = ErrorLogHandler(tmp_path)
    for number in range(400):
        handler.emit(_record(f"{number} " + "x" * 2_000))
    sizes = [path.stat().st_size for path in (tmp_path / ".neuralflow").iterdir()]
    assert sum(sizes) < 2 * (BYTES_MAX + 4_096)
    assert [error["text"].split()[0] for error in latest_errors(tmp_path, 2)] == ["399", "398"]
    (tmp_path / ".neuralflow/errors.log").write_bytes(b'{"torn')
    assert latest_errors(tmp_path, 2)
