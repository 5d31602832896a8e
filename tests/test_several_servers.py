"""Two servers, each with two processes, on one PostgreSQL with documents and accounts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.postgres import Cluster
from tests.server import Person, Server, server_on_database, started

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("several servers")]


@pytest.fixture(scope="module")
def servers(
    postgres_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    postgres_cluster.execute("CREATE DATABASE several")
    url = postgres_cluster.url("several")
    shared = {"DATABASE_URL": url, "NEURALFLOW_STORE": "database", "NEURALFLOW_MAINTENANCE": "off"}
    with ExitStack() as stack:
        running = []
        for name in ("one", "two"):
            server = server_on_database(
                tmp_path_factory.mktemp(name), shared, migrate=name == "one"
            )
            process = stack.enter_context(started(server))
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
            running.append(server)
        yield running
    postgres_cluster.execute("DROP DATABASE several WITH (FORCE)")


@pytest.fixture
def person(servers: list[Server], request: pytest.FixtureRequest) -> list[Person]:
    """Return one person, as a client of each server."""
    first = servers[0].person(request.node.name[:30].replace("_", ""))
    return [replace(first, server=server) for server in servers]


def test_change_at_one_server_is_read_at_the_other(person: list[Person]) -> None:
    here, there = person
    for number in range(10):
        status, task = here.call("POST", "tasks/", {"title": f"task {number}"})
        assert status == 201
        assert there.call("GET", f"tasks/{task['id']}/") == (200, task)
        here, there = there, here
    assert len(there.call("GET", "tasks/")[1]["tasks"]) == 10


def test_long_poll_at_one_server_ends_with_a_change_at_the_other(person: list[Person]) -> None:
    here, there = person
    _, begin = there.call("GET", "changes/")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(there.call, "GET", f"changes/?since={begin['next']}&wait=20")
        _, task = here.call("POST", "tasks/", {"title": "x"})
        status, changes = waiting.result(30)
    assert status == 200
    ids = [change["id"] for entry in changes["changes"] for change in entry["changes"]]
    assert ids == [task["id"]]


def test_undo_at_another_server_than_the_change(person: list[Person]) -> None:
    here, there = person
    _, task = here.call("POST", "tasks/", {"title": "before"})
    answer = here.exchange("PATCH", f"tasks/{task['id']}/", {"title": "after"})
    assert answer.status == 200
    number = int(answer.headers["NeuralFlow-Sequence"])
    status, _ = there.call("POST", "undo/", {"sequence": number})
    assert status == 200
    assert here.call("GET", f"tasks/{task['id']}/")[1]["title"] == "before"


def test_idempotency_key_at_two_servers_has_one_effect(person: list[Person]) -> None:
    key = {"Idempotency-Key": "the-same-at-both"}
    barrier = threading.Barrier(2)

    def create(client: Person) -> tuple[int, object]:
        barrier.wait()
        answer = client.exchange("POST", "tasks/", {"title": "once"}, key)
        return answer.status, answer.value

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(create, person))
    assert [status for status, _ in answers].count(201) >= 1
    assert len(person[0].call("GET", "tasks/")[1]["tasks"]) == 1


def test_concurrent_creations_at_two_servers_all_count(person: list[Person]) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda n: person[n % 2].call("POST", "tasks/", {"title": f"{n}"}), range(24))
        )
    assert [status for status, _ in answers] == [201] * 24
    assert len({task["id"] for _, task in answers}) == 24


def test_quota_of_calls_counts_over_all_servers(servers: list[Server]) -> None:
    first = servers[0].person("counted", api_calls_limit=6)
    clients = [replace(first, server=server) for server in servers]
    statuses = [clients[n % 2].call("POST", "tasks/", {"title": str(n)})[0] for n in range(8)]
    assert statuses == [201] * 6 + [429] * 2


def test_server_that_is_stopped_is_replaced_by_the_other(
    servers: list[Server], tmp_path: Path, person: list[Person]
) -> None:
    """The other server goes on, with everything that the stopped one acknowledged."""
    extra = server_on_database(tmp_path, servers[0].environment, migrate=False)
    with started(extra) as process:
        client = replace(person[0], server=extra)
        _, task = client.call("POST", "tasks/", {"title": "acknowledged"})
        process.kill()
    assert person[1].call("GET", f"tasks/{task['id']}/") == (200, task)
