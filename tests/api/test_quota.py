from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.api.conftest import Caller
from tests.folders import contents
from tests.server import Server
from utils.json_storage import json_storage
from workspace.documents import key_of


def test_it_works(alice: Caller, data_folder: Path) -> None:
    alice.allow(2)
    assert alice.get("tasks/").status_code == 200
    assert alice.post("tasks/", {"title": "A"}).status_code == 201
    before = contents(data_folder)

    answer = alice.get("tasks/")

    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 3600 + 1
    assert answer.json()["type"] == "/problems/quota-exceeded"
    assert contents(data_folder) == before


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("HEAD", "tasks/"),
        ("GET", "tasks/1/"),
        ("GET", "tasks/99/"),
        ("GET", "dashboard/"),
        ("POST", "tasks/"),
        ("PUT", "tasks/1/"),
        ("PATCH", "tasks/1/"),
        ("DELETE", "tasks/1/"),
    ],
)
def test_past_the_limit_nothing_is_done(
    alice: Caller, data_folder: Path, method: str, address: str
) -> None:
    alice.post("tasks/", {"title": "A"})
    alice.allow(1)
    before = contents(data_folder)

    assert alice.call(method, address, {"title": "B"}).status_code == 429
    assert contents(data_folder) == before


def test_options_is_answered_past_the_limit(alice: Caller) -> None:
    alice.allow(0)

    assert alice.client.options("/accounts/api/tasks/").status_code == 204


def test_refused_calls_are_free(alice: Caller, data_folder: Path) -> None:
    alice.allow(1)
    before = contents(data_folder)
    refused = [
        alice.get("tasks/7/"),
        alice.delete("tasks/7/"),
        alice.post("tasks/", {}),
        alice.post("tasks/", b"{"),
        alice.get("tasks/?a=b"),
        alice.call("PUT", "tasks/", {}),
    ]

    assert [answer.status_code for answer in refused] == [404, 404, 422, 400, 400, 405]
    assert contents(data_folder) == before
    assert alice.get("tasks/").status_code == 200


def test_new_hour_starts_at_nought(alice: Caller) -> None:
    alice.allow(1)
    alice.get("tasks/")
    assert alice.get("tasks/").status_code == 429
    earlier = {"api_calls_period": "2020-01-01T00"}
    person = key_of("users", alice.id)
    json_storage.store.change(lambda transaction: transaction.set(person, earlier))

    assert alice.get("tasks/").status_code == 200
    assert alice.document["api_calls_used"] == 1
    assert alice.get("tasks/").status_code == 429


def test_calls_are_counted_exactly_over_threads_and_processes(server: Server) -> None:
    person = server.person("counted", api_calls_limit=9)  # too few to hold any back in memory

    def call(number: int) -> int:
        method, data = ("POST", {"title": f"Task {number}"}) if number % 2 else ("GET", None)
        return person.call(method, "tasks/", data)[0]

    with ThreadPoolExecutor(8) as threads:
        statuses = Counter(threads.map(call, range(30)))

    assert statuses[200] + statuses[201] == 9
    assert statuses[429] == 21
    document = person.document("users", "user")
    assert document["api_calls_used"] == 9
    counts: Counter[str] = Counter()
    for activity in document["activities"]:
        counts[activity["type"]] += activity["metadata"].get("count", 1)
    assert counts == {
        "account_created": 1,
        "token_created": 1,
        "api_call": statuses[200],
        "task_created": statuses[201],
    }
    assert len(person.document("tasks", "tasks")["tasks"]) == statuses[201]
