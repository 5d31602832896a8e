"""Export and import over HTTP."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from accounts.tokens import create_token
from api.views import export_import
from tests.api.conftest import Caller
from tests.folders import contents
from tests.server import Person, Server
from tests.workspace.bombs import Part, archive, honest
from utils.json_storage import json_storage

ZIP = "application/zip"


def taken(alice: Caller) -> bytes:
    answer = alice.get("export/")
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)


def sent(alice: Caller, data: bytes, query: str = "", content_type: str = ZIP) -> Any:
    return alice.call("POST", f"import/{query}", data, content_type)


def tasks(*records: dict[str, Any]) -> bytes:
    return honest([("tasks/tasks_7.json", json.dumps({"tasks": records}).encode())])


def test_few_threads_wait_for_a_turn_at_importing(alice: Caller) -> None:
    with ExitStack() as places:
        for _ in range(2):  # the one that goes on, and the one that waits
            assert export_import._places.acquire(timeout=60)
            places.callback(export_import._places.release)
        answer = sent(alice, tasks({"id": 1, "title": "One"}))  # at once, not after ten seconds
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
    assert sent(alice, tasks({"id": 1, "title": "One"})).status_code == 200


class TestExport:
    def test_it_is_an_attachment_of_ones_own_files(self, alice: Caller, charlie: Caller) -> None:
        alice.post("tasks/", {"title": "mine"})
        charlie.post("tasks/", {"title": "not mine"})
        answer = alice.get("export/")
        name = answer["Content-Disposition"]
        assert name.startswith(f'attachment; filename="neuralflow_{alice.id}_')
        assert answer["Content-Type"] == ZIP
        assert answer["Cache-Control"] == "no-store"
        with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as found:
            names = found.namelist()
            assert f"users/user_{alice.id}.json" in names
            assert all(name == "manifest.json" or f"_{alice.id}.json" in name for name in names)
            digest = hashlib.sha256(found.read("manifest.json")).hexdigest()
        assert alice.latest["metadata"]["manifest_sha256"] == digest
        assert alice.latest["type"] == "account_exported"
        assert alice.latest["metadata"]["path"] == "/accounts/api/export/"
        assert alice.document["api_calls_used"] == 2

    def test_its_head_says_the_same_without_it(self, alice: Caller) -> None:
        answer = alice.client.head("/accounts/api/export/")
        assert answer["Content-Type"] == ZIP
        assert answer.content == b""

    def test_a_token_for_tasks_is_not_enough(self, alice: Caller) -> None:
        for scopes, status in ((["tasks:read"], 403), (["read"], 200)):
            token = create_token(alice.user, scopes=scopes)[1]
            answer = alice.get("export/", headers={"authorization": f"Bearer {token}"})
            assert answer.status_code == status

    def test_past_the_limit_it_is_refused(self, alice: Caller) -> None:
        alice.allow(0)
        assert alice.get("export/").status_code == 429


class TestImport:
    def test_import_of_own_export_restores_records(self, alice: Caller, charlie: Caller) -> None:
        alice.post("projects/", {"name": "A"})
        alice.post("tasks/", {"title": "B", "project_id": 1})
        answer = sent(charlie, taken(alice), "?mode=replace")
        assert answer.status_code == 200
        report = answer.json()
        assert (report["mode"], report["dry_run"], report["owner"]) == ("replace", False, alice.id)
        assert report["collections"]["tasks"]["added"] == 1
        assert charlie.get("tasks/1/").json()["project_id"] == 1
        assert charlie.latest["type"] == "api_call"  # the look at the task
        activity = charlie.document["activities"][-2]
        assert activity["type"] == "account_imported"
        assert activity["metadata"]["records"]["tasks"]["added"] == 1
        assert charlie.document["username"] == "charlie"

    def test_a_dry_run_counts_as_a_read_and_changes_nothing(self, alice: Caller) -> None:
        answer = sent(alice, tasks({"title": "a"}), "?dry_run=true")
        assert answer.json()["dry_run"] is True
        assert answer.json()["collections"]["tasks"]["added"] == 1
        assert json_storage.list("tasks", alice.id) == []
        assert alice.document["api_calls_used"] == 1
        assert alice.latest["type"] == "api_call"

    @pytest.mark.parametrize(
        ("data", "status", "slug"),
        [
            (b"PK, or not", 400, "malformed-archive"),
            (tasks({"title": "a"})[:-5], 400, "malformed-archive"),
            (archive(Part(b"tasks/tasks_7.json", b"{}", crc=1)), 400, "malformed-archive"),
            (archive(Part(b"x", bytes(10_000_000))), 413, "archive-too-large"),
            (archive(Part(b"../x")), 422, "unsafe-archive"),
            (tasks({"title": ""}), 422, "invalid-import"),
            (honest([("x", b"x")]), 422, "invalid-import"),
        ],
    )
    def test_refused_import_changes_and_costs_nothing(
        self, alice: Caller, data_folder: Path, data: bytes, status: int, slug: str
    ) -> None:
        before = contents(data_folder)
        for query in ("", "?dry_run=true"):
            answer = sent(alice, data, query)
            assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}")
        assert contents(data_folder) == before

    def test_faults_are_told_by_file_and_place(self, alice: Caller) -> None:
        data = honest(
            [
                ("tasks/tasks_7.json", b'{"tasks": [{"title": "a", "priority": 1}]}'),
                ("models/models_7.json", b'{"models": [\n{]}'),
            ]
        )
        answer = sent(alice, data)
        first, second = answer.json()["errors"]
        assert (first["file"], first["pointer"]) == ("tasks/tasks_7.json", "/tasks/0/priority")
        assert (second["file"], second["pointer"], second["line"]) == (
            "models/models_7.json",
            "",
            2,
        )
        assert answer.json()["detail"].startswith("tasks/tasks_7.json, /tasks/0/priority: must be")

    @pytest.mark.parametrize(
        "query", ["?mode=both", "?dry_run=yes", "?owner=0", "?owner=x", "?a=b"]
    )
    def test_parameters_are_judged(self, alice: Caller, query: str) -> None:
        assert sent(alice, tasks(), query).status_code == 400

    def test_import_with_several_owners_requires_owner(self, alice: Caller) -> None:
        files = [(f"tasks/tasks_{n}.json", b'{"tasks": [{"title": "%d"}]}' % n) for n in (1, 2)]
        assert sent(alice, honest(files)).status_code == 422
        assert sent(alice, honest(files), "?owner=2").status_code == 200
        assert alice.get("tasks/1/").json()["title"] == "2"

    def test_a_body_of_another_kind_or_too_long_is_refused(
        self, alice: Caller, settings: Any
    ) -> None:
        assert sent(alice, tasks(), content_type="application/json").status_code == 415
        settings.NEURALFLOW_IMPORT_BYTES = 10
        assert sent(alice, tasks()).status_code == 413

    def test_reading_tokens_may_not(self, alice: Caller) -> None:
        token = create_token(alice.user, scopes=["read", "tasks:write"])[1]
        headers = {"authorization": f"Bearer {token}"}
        answer = alice.client.post(
            "/accounts/api/import/", tasks(), content_type=ZIP, headers=headers
        )
        assert answer.status_code == 403

    def test_a_session_needs_proof_of_origin(self, bob: User, client: Any) -> None:
        client.handler.enforce_csrf_checks = True
        client.force_login(bob)
        assert client.post("/accounts/api/import/", tasks(), content_type=ZIP).status_code == 403


def _exchange(person: Person, method: str, path: str, body: bytes | None = None) -> Any:
    connection = HTTPConnection("127.0.0.1", person.server.port, timeout=60)
    headers = {"Authorization": f"Bearer {person.token}", "Content-Type": ZIP}
    connection.request(method, f"/accounts/api/{path}", body, headers)
    return connection.getresponse()


def test_archives_larger_than_a_body_of_json_pass_a_real_server(server: Server) -> None:
    anna, ben = server.person("anna"), server.person("ben")
    noise = [hashlib.sha512(str(n).encode()).hexdigest() * 300 for n in range(60)]
    for text in noise:
        assert anna.call("POST", "tasks/", {"title": "x", "description": text[:38_400]})[0] == 201
    answer = _exchange(anna, "GET", "export/")
    assert answer.status == 200
    assert answer.getheader("Transfer-Encoding") == "chunked"
    first = answer.read(100)
    data = first + answer.read()
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert found.testzip() is None
        files = [(name, found.read(name)) for name in found.namelist()]
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as large:
        for name, content in files:
            large.writestr(name, content)
    assert len(stored.getvalue()) > 2 * 1024 * 1024
    imported = _exchange(ben, "POST", "import/", stored.getvalue())
    assert imported.status == 200
    assert json.loads(imported.read())["collections"]["tasks"]["added"] == 60
    assert len(ben.document("tasks", "tasks")["tasks"]) == 60


def test_a_server_goes_on_where_a_client_goes_away(server: Server) -> None:
    carl = server.person("carl")
    carl.call("POST", "tasks/", {"title": "x", "description": "y" * 40_000})
    for _ in range(5):
        answer = _exchange(carl, "GET", "export/")
        answer.read(10)
        answer.close()
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest("POST", "/accounts/api/import/")
    connection.putheader("Authorization", f"Bearer {carl.token}")
    connection.putheader("Content-Type", ZIP)
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"PK\x03\x04")
    connection.close()
    assert carl.call("GET", "tasks/")[0] == 200
