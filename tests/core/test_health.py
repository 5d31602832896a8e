"""Probes and figures: what each check notices, and who may read what."""

import json
import os
from pathlib import Path

import pytest
from django.test import Client, RequestFactory
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from accounts.models import User
from core.health import readiness as module
from core.health import views
from core.health.readiness import Check, Readiness, Recent, readiness
from core.metrics import exposition
from utils.json_storage import JSONStorageManager, json_storage

TOKEN = "a-token-of-this-test"


def _problems(ready: Readiness) -> dict[str, str]:
    return {check.name: check.problem for check in ready.checks if check.problem}


@pytest.fixture
def every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check again at each request."""
    fresh = Recent(clock=iter(range(0, 1_000_000, 10)).__next__)
    monkeypatch.setattr(views, "recent", fresh)


@pytest.mark.django_db
def test_all_checks_pass_on_a_working_server() -> None:
    assert _problems(readiness()) == {}


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["10.0.0.7", "evil.example"])
def test_probe_is_answered_for_any_host_and_over_http(
    client: Client, settings: Settings, every_second: None, address: str
) -> None:
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["example.com"], True
    response = client.get("/readyz", headers={"host": address})
    assert (response.status_code, response.json()["status"]) == (200, "ready")
    assert client.get("/livez", headers={"host": address}).content == b"ok\n"


@pytest.mark.django_db
def test_store_that_cannot_be_opened_is_not_ready_and_keeps_its_path_to_itself(
    client: Client, settings: Settings, tmp_path: Path, every_second: None
) -> None:
    json_storage.close()
    (tmp_path / "file").write_text("")
    settings.NEURALFLOW_STORE = (tmp_path / "file" / "data").as_uri()
    settings.NEURALFLOW_METRICS_TOKEN = TOKEN
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["store"] == "failed"
    assert str(tmp_path) not in response.text
    report = client.get("/healthz", headers={"authorization": f"Bearer {TOKEN}"})
    assert (report.status_code, report.json()["status"]) == (503, "failing")
    assert str(tmp_path) in report.json()["checks"]["store"]["problem"]


@pytest.mark.django_db
def test_full_disk_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    json_storage.store.sequence()
    monkeypatch.setattr(module, "FREE_BYTES_MIN", 1 << 60)
    assert list(_problems(readiness())) == ["disk"]


@pytest.mark.django_db
def test_disk_mounted_read_only_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    json_storage.store.sequence()
    assert module._read_only(Path("/")) == ""
    monkeypatch.setattr(module.os, "statvfs", lambda path: _read_only(os.statvfs_result))
    assert "read-only" in module._read_only(Path("/"))


def _read_only(kind: type[os.statvfs_result]) -> os.statvfs_result:
    return kind((4096, 4096, 9, 9, 9, 9, 9, 9, os.ST_RDONLY, 255))


def test_probes_in_a_row_check_once_a_second() -> None:
    times, calls = iter([0.0, 0.5, 0.9, 1.1]), []

    def check() -> Readiness:
        calls.append(1)
        return Readiness((Check("store", ""),))

    recent = Recent(check, times.__next__)
    for expected in (1, 1, 1, 2):
        recent.get()
        assert len(calls) == expected


@pytest.mark.django_db
def test_figures_are_for_staff_and_the_token_only(
    client: Client, alice: User, settings: Settings
) -> None:
    settings.NEURALFLOW_METRICS_TOKEN = TOKEN
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"authorization": "Bearer x"}).status_code == 401
    client.force_login(alice)
    assert client.get("/metrics").status_code == 404
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    assert client.get("/metrics").status_code == 200
    settings.NEURALFLOW_METRICS_TOKEN = ""
    empty = RequestFactory().get("/metrics", headers={"authorization": "Bearer "})
    assert views.metrics(empty).status_code == 401


@pytest.mark.django_db
def test_metrics_tell_of_store_disk_and_backups(manager_with_backup: JSONStorageManager) -> None:
    content, content_type = exposition("application/openmetrics-text", manager_with_backup)
    assert content_type.startswith("application/openmetrics-text")
    text = exposition("", manager_with_backup)[0].decode()
    values = {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert values["neuralflow_backups"] == 1
    assert 0 <= values["neuralflow_backup_age_seconds"] < 3600
    assert values["neuralflow_journal_segments"] >= 1
    assert values["neuralflow_disk_free_bytes"] > 0
    assert values["neuralflow_publishing_lag_seconds"] >= 0
    assert content.endswith(b"# EOF\n")


@pytest.fixture
def manager_with_backup(alice: User) -> JSONStorageManager:
    from utils.data_initializer import data_initializer

    data_initializer.create_backup()
    return json_storage


@pytest.mark.django_db
def test_health_lists_problems_with_remedies(client: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True, mirror_faults=1)
    client.force_login(alice)
    report = json.loads(client.get("/healthz").content)
    assert report["status"] == "degraded"
    (problem,) = report["problems"]
    assert problem["name"] == "accounts" and "--sync-users" in problem["remedy"]
