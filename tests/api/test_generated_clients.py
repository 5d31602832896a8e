"""Clients that public generators make of the running server's document can do what it describes."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from api.openapi import document
from tests.server import PROJECT, Person, Server

TYPESCRIPT = Path(__file__).parent / "typescript"

_ROUND_TRIP = """
import datetime, json, sys
from made.api.tasks import get_task, get_tasks, patch_task, post_tasks, put_task
from made.client import AuthenticatedClient
from made.models import TaskInput, TaskPatch, TaskPatchStatus, TaskReplacement

client = AuthenticatedClient(sys.argv[1], token=sys.argv[2], raise_on_unexpected_status=True)
record = {"title": "Train the baseline", "tags": ["ml"], "metadata": {"seed": {"start": 7}}}
made = post_tasks.sync(client=client, body=TaskInput.from_dict(record))
assert isinstance(made.created_at, datetime.datetime), made
changes = TaskPatch(status=TaskPatchStatus.COMPLETED)
changed = patch_task.sync(made.id, client=client, body=changes)
assert changed.tags == ["ml"], changed
again = TaskReplacement.from_dict(changed.to_dict())
again.title = "Train the baseline again"
assert put_task.sync(made.id, client=client, body=again).title == again.title
(listed,) = get_tasks.sync(client=client, status="completed").tasks
assert listed.id == made.id, listed
assert listed.metadata["seed"] == {"start": 7}, listed
assert get_task.sync(made.id, client=client).completed_at == listed.completed_at
print(json.dumps({"id": made.id, "title": listed.title}))
"""


@pytest.fixture
def caller(server: Server) -> Person:
    return server.person(f"generated{time.monotonic_ns()}")


@pytest.fixture(scope="session")
def openapi(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document as the server sends it."""
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    with urlopen(f"{server.address}/accounts/api/openapi.json") as answer:
        path.write_bytes(answer.read())
    return path


def _output(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=os.environ | environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_python_client_has_every_operation_and_changes_a_task(
    server: Server, openapi: Path, caller: Person, tmp_path: Path
) -> None:
    generator = Path(sys.executable).with_name("openapi-python-client")
    options = ["--path", openapi, "--config", PROJECT / "openapi-python-client.yaml"]
    options += ["--output-path", tmp_path / "made", "--meta", "none", "--fail-on-warning"]
    _output(generator, "generate", *options)
    names = {path.stem for path in (tmp_path / "made" / "api").glob("*/*.py")} - {"__init__"}
    assert names == {
        operation["operationId"]
        for path in document()["paths"].values()
        for method, operation in path.items()
        if method != "parameters"
    }
    arguments = ("-c", _ROUND_TRIP, server.address, caller.token)
    printed = json.loads(_output(sys.executable, *arguments, PYTHONPATH=str(tmp_path)))
    _status, task = caller.call("GET", f"tasks/{printed['id']}/")
    assert task["title"] == printed["title"] == "Train the baseline again"


@pytest.mark.skipif(
    not (shutil.which("node") and (TYPESCRIPT / "node_modules").is_dir()),
    reason="Node.js or its packages are missing: run scripts/test-tools",
)
def test_typescript_client_compiles_and_changes_a_task(
    server: Server, openapi: Path, caller: Person, tmp_path: Path
) -> None:
    for name in ("package.json", "round_trip.ts", "tsconfig.json"):
        shutil.copy(TYPESCRIPT / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(TYPESCRIPT / "node_modules")
    modules = tmp_path / "node_modules"
    _output("node", modules / "openapi-typescript/bin/cli.js", openapi, "-o", tmp_path / "api.ts")
    _output("node", modules / "typescript/bin/tsc", "--project", tmp_path)
    script = tmp_path / "round_trip.js"
    printed = json.loads(_output("node", script, server.address, caller.token))
    _status, task = caller.call("GET", f"tasks/{printed['id']}/")
    assert (task["status"], task["tags"]) == ("completed", ["ml"])
    assert task["completed_at"] == printed["completed_at"]
