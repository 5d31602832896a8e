"""Every address with the largest valid and the most expensive refused input: what it costs.

The bounds are far above what is measured on an idle machine and do not depend on its load: the
processor time of the call and of the work under the lock of all writers, bytes of the answer, and
the memory of the process. A new route is called with what its row in `rows` says, made as large as
it can be, and with the inputs of its media type; what is special to it stands in `SPECIAL`.
"""

from __future__ import annotations

import json
import resource
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django.fixtures import Settings

from docstore.disk.locks import FolderLock
from tests.attacks.counting import Count
from tests.attacks.routes import routes
from tests.attacks.rows import API, Row, row_of
from tests.attacks.world import OWNER, World
from utils.json_storage import json_storage
from workspace.records.bulk import OPERATIONS_MAX

SECONDS_MAX = 3.0  # of the processor, for one call
LOCK_SECONDS_MAX = 1.0  # of the processor, while other writers wait
ANSWER_BYTES_MAX = 64 * 1024 * 1024
MEMORY_BYTES_MAX = 1024 * 1024 * 1024  # that all calls together may add to the process
TASKS = 300
BODY = 1_000_000  # bytes: nearly as many as are read

_WIDE = {str(number): number for number in range(60_000)}  # the keys cost more than the bytes
_UNKNOWN = {f"unknown{number}": number for number in range(20_000)}
_LINES = "\r\n".join(["x" * 98] * (BODY // 100))


def heavy(world: World) -> None:
    """Give the owner a large workspace, shared in part, and a record of nearly a mebibyte."""
    owner, project = world.owner, world.shared_project
    tasks = [
        {"title": f"Task {n}", "project_id": project, "description": "x" * 500, "tags": ["a"]}
        for n in range(TASKS)
    ]
    for collection, records in (
        ("tasks", tasks),
        ("projects", [{"name": f"Project {n}"} for n in range(200)]),
        ("models", [{"name": "large", "parameters": _WIDE}] * 8),
    ):
        operations = [{"op": "create", "record": record} for record in records]
        json_storage.bulk(collection, owner, operations)


def _bulk_updates(world: World) -> dict[str, Any]:
    """Each operation on the same large record, and a last one that is refused."""
    model = json_storage.list("models", world.owner)[-1]["id"]
    update = {"op": "update", "id": model, "changes": {"description": "n"}}
    missing = {"op": "delete", "id": 999_999}
    return {"operations": [*[update] * (OPERATIONS_MAX - 1), missing]}


def _bulk_of_large(world: World) -> dict[str, Any]:
    """Each large record once, with a change that is refused at the last one."""
    models = [r["id"] for r in json_storage.list("models", world.owner) if r["parameters"]]
    updates = [{"op": "update", "id": i, "changes": {"description": "n"}} for i in models]
    return {"operations": [*updates, {"op": "create", "record": {"name": ""}}]}


def _many(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"operations": [{"op": "create", "record": record}] * OPERATIONS_MAX}


def _all_tasks(world: World) -> dict[str, Any]:
    return {
        "operations": [
            {"op": "update", "id": task["id"], "changes": {"status": "completed"}}
            for task in json_storage.list("tasks", world.owner)[:OPERATIONS_MAX]
        ]
    }


# By route and method, beside what holds for all: inputs that only this route understands.
SPECIAL: dict[tuple[str, str], list[Any]] = {
    (f"{API}tasks/bulk/", "POST"): [_many({"title": "x"}), _many({"titel": "x"}), _all_tasks],
    (f"{API}models/bulk/", "POST"): [_bulk_updates, _bulk_of_large],
    (f"{API}tasks/quick/", "POST"): [{"text": "every 3rd friday at 9 !high #a " * 30}],
    ("<tasks:spec>/bulk/", "POST"): [
        {"do": "complete", "all": "1"},
        {"do": "delete", "id": [str(n) for n in range(1, 900)]},
    ],
    ("<tasks:spec>/quick/", "POST"): [{"text": "every day until tomorrow " * 40}],
    ("tasks/views/", "POST"): [{"do": "save", "name": "x" * 900_000}],
}
# Of the query, for whatever reads it.
QUERIES = ("", "?sort=-title&limit=1000&q=" + "a%20" * 60 + "&tag=a" * 100)


def inputs(world: World, route: str, row: Row, method: str) -> Iterator[Any]:
    """What is sent: what is special, what the row says with its objects as large as they may be,
    and what costs most before it is refused."""
    sent = world.filled(row.sends.get(method))
    yield from (world.filled(special) for special in SPECIAL.get((route, method), ()))
    if route.startswith(API):
        base = sent if isinstance(sent, dict) else {}
        # Routes to records of others lead to the same code: no need to parse as much there.
        large = {"text": "x" * 900_000} if "users/" in route else _WIDE
        yield base | {"parameters" if "models" in route else "metadata": large}
        yield base | _UNKNOWN
    else:
        yield (sent or {}) | {"description": _LINES}
        yield {f"field{number}": "x" * 900 for number in range(990)}


def test_every_call_is_bounded(
    world: World, settings: Settings, count: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.NEURALFLOW_BURST = (1_000_000, 1)
    settings.NEURALFLOW_STORAGE_BYTES = 0
    settings.NEURALFLOW_HISTORY_BYTES = 1 << 40
    heavy(world)
    held = measured_lock(monkeypatch)
    faults, calls = [], 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for route in sorted(routes()):
        row = row_of(route)
        assert row is not None, f"{route} has no row: see tests/attacks/rows.py"
        for client, method, address, data in calls_of(world, route, row):
            held.clear()
            cache.clear()
            with processor() as spent:
                answer = send_as(client, method, address, data, is_api=route.startswith(API))
                size = sum(map(len, answer)) if answer.streaming else len(answer.content)
            told = f"{method} {address[:80]} -> {answer.status_code}"
            for what, value, most in (
                ("seconds of the processor", spent[0], SECONDS_MAX),
                ("seconds under the lock", max(held, default=0.0), LOCK_SECONDS_MAX),
                ("bytes of the answer", size, ANSWER_BYTES_MAX),
            ):
                if value > most:
                    faults.append(f"{told}: {value:.2f} {what}")
            if answer.status_code >= 500 and answer.status_code != 507:
                faults.append(told)
            calls += 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - peak
    assert grown < MEMORY_BYTES_MAX
    assert not faults, "\n".join(faults)
    count("calls whose cost is bounded", calls)


def calls_of(world: World, route: str, row: Row) -> Iterator[tuple[Client, str, str, Any]]:
    """The calls of the owner by all methods that the route takes from them."""
    for method in ("GET", "PUT", "PATCH", "POST"):
        # Of the administration, which is Django's and for staff, one look is enough.
        is_admin = route.startswith("admin/") and method != "GET"
        if is_admin or row.shape[OWNER][method] in ("405", "404", "401"):
            continue
        if method == "GET":
            for query in ("",) if route.startswith("admin/") else QUERIES:
                address = world.address(row.address)
                joined = address + (query.replace("?", "&", 1) if "?" in address else query)
                yield world.client(OWNER, address), method, joined, None
            continue
        for data in inputs(world, route, row, method):
            address = world.address(row.address)
            yield world.client(OWNER, address), method, address, data


def send_as(client: Client, method: str, address: str, data: Any, *, is_api: bool) -> Any:
    """Send JSON to the API and a form to pages."""
    if method == "GET":
        return client.get(address)
    headers = {"If-Match": "*"} if method in ("PUT", "PATCH") else {}
    if is_api:
        body = json.dumps(data, separators=(",", ":")).encode()
        return client.generic(method, address, body, "application/json", headers=headers)
    return client.post(address, data or {})


@contextmanager
def processor() -> Iterator[list[float]]:
    """The processor time of this thread, once it has ended."""
    spent: list[float] = []
    begun = time.thread_time()
    yield spent
    spent.append(time.thread_time() - begun)


def measured_lock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each writer of this process works while it has the lock of the store."""
    held: list[float] = []
    begun: dict[int, float] = {}
    enter, release = FolderLock.__enter__, FolderLock.release

    def entering(self: FolderLock) -> bool:
        taken = enter(self)
        if taken and self._path.name == "lock":
            begun[threading.get_ident()] = time.thread_time()
        return taken

    def releasing(self: FolderLock) -> None:
        start = begun.pop(threading.get_ident(), None) if self._path.name == "lock" else None
        if start is not None:
            held.append(time.thread_time() - start)
        release(self)

    monkeypatch.setattr(FolderLock, "__enter__", entering)
    monkeypatch.setattr(FolderLock, "release", releasing)
    return held
