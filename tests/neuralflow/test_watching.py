"""A real server with two workers, as load balancers and Prometheus see it."""

import json
import re
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.server import Person, Server, running_server

TOKEN = "a-token-of-this-test"
JOBS = ("checkpoint", "expired", "scrub", "statistics", "backup", "verify", "prune")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"NEURALFLOW_METRICS_TOKEN": TOKEN, "NEURALFLOW_ALLOWED_HOSTS": "example.com"}
    environment |= {"NEURALFLOW_MAINTENANCE": "on"}
    folder = tmp_path_factory.mktemp("server")
    work = folder / "data" / ".neuralflow"
    work.mkdir(parents=True)
    (folder / "data" / "backups").mkdir()  # as `make run` lays it out
    # As if the server had been off for days: what should have run meanwhile runs now.
    (work / "maintenance.json").write_text(
        json.dumps({"jobs": {name: {"seen_at": "2026-01-01T00:00:00Z"} for name in JOBS}})
    )
    with running_server(folder, environment) as server:
        yield server


@pytest.fixture(scope="module")
def person(server: Server) -> Person:
    return server.person("ada")


def _get(
    server: Server, path: str, token: str = "", host: str = "10.0.0.7:80"
) -> tuple[int, str, str]:
    """Status, content type and text of a GET by an address that is not allowed."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Host": host} | ({"Authorization": f"Bearer {token}"} if token else {})
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, response.headers.get("Content-Type", ""), text


def _call(server: Server, person: Person, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Host": "example.com", "Authorization": f"Bearer {person.token}"}
    connection.request("GET", f"/accounts/api/{path}", headers=headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def _samples(server: Server) -> dict[str, float]:
    status, content_type, text = _get(server, "/metrics", TOKEN)
    assert status == 200, text
    assert content_type.startswith("text/plain; version=")
    return {
        sample.name + json.dumps(sample.labels, sort_keys=True): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _eventually(look: Callable[[], float], expected: float) -> float:
    """The figure, once it is what is expected; the last one if it never is."""
    deadline = time.monotonic() + 60
    while (figure := look()) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    return figure


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probe_by_foreign_host_is_answered(server: Server, path: str) -> None:
    status, _type, text = _get(server, path)
    assert (status, text.split()[0]) == (200, "ok" if path == "/livez" else "{")


def test_figures_without_token_are_refused(server: Server) -> None:
    assert _get(server, "/metrics")[0] == 400  # a host that is not allowed is not told why
    assert _get(server, "/metrics", "wrong-token-of-this-test", "example.com")[0] == 401


def test_health_names_checks_and_figures(server: Server) -> None:
    status, content_type, text = _get(server, "/healthz", TOKEN)
    report = json.loads(text)
    assert (status, content_type, report["status"]) == (200, "application/json", "ok")
    assert {name: check["ok"] for name, check in report["checks"].items()} == dict.fromkeys(
        ("store", "database", "disk", "publishing"), True
    )


def test_metrics_count_requests_of_all_workers(server: Server, person: Person) -> None:
    name = (
        "neuralflow_http_request_duration_seconds_count"
        '{"method": "GET", "route": "/accounts/api/tasks/", "status": "200"}'
    )
    before = _samples(server).get(name, 0.0)
    for _ in range(20):  # new connections, which both workers accept
        assert _call(server, person, "tasks/") == 200
    assert _eventually(lambda: _samples(server).get(name, 0.0) - before, 20) == 20


def test_request_is_one_json_line_without_its_address(server: Server, person: Person) -> None:
    assert _call(server, person, "tasks/?q=a-secret") == 200
    text = server.log.read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    line = [line for line in lines if line.get("route") == "/accounts/api/tasks/"][-1]
    assert (line["method"], line["status"], line["user_id"]) == ("GET", 200, person.id)
    assert re.fullmatch("[0-9a-f-]{36}", line["request_id"])
    assert line["duration_ms"] > 0
    assert "a-secret" not in text
    assert "livez" not in text and "readyz" not in text and "/metrics 200" not in text


def test_server_catches_up_on_maintenance_by_itself(server: Server) -> None:
    def failures() -> float:
        jobs = json.loads(_get(server, "/healthz", TOKEN)[2])["maintenance"]
        return sum(job["failures"] for job in jobs.values() if job["finished_at"]) or float(
            len([job for job in jobs.values() if job["finished_at"]])
        )

    assert _eventually(failures, len(JOBS)) == len(JOBS)
    samples = _samples(server)
    assert samples["neuralflow_backups{}"] == 1
    assert samples["neuralflow_backup_age_seconds{}"] < 600
    assert samples['neuralflow_maintenance_failures{"maintenance_job": "verify"}'] == 0
    lines = [
        line for line in server.log.read_text().splitlines() if "neuralflow.maintenance" in line
    ]
    assert len([line for line in lines if '"INFO"' in line]) == len(JOBS)
