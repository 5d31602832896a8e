"""A call made again under its Idempotency-Key is answered as before, and has one effect."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from tests.api.conftest import Caller
from tests.api.test_bad_input import check_problem
from tests.folders import contents
from tests.server import Server
from utils.json_storage import json_storage


def add(caller: Caller, key: str, data: Any = None, **headers: str) -> Any:
    headers |= {"idempotency_key": key}
    return caller.call("POST", "tasks/", data or {"title": "A"}, headers=headers)


def test_it_works(alice: Caller) -> None:
    first = add(alice, "4f2a")
    again = add(alice, "4f2a")

    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    for name in ("Location", "ETag", "Content-Location"):
        assert first[name] == again[name]
    assert "Idempotency-Replayed" not in first
    assert again["Idempotency-Replayed"] == "true"
    assert len(json_storage.list("tasks", alice.id)) == 1
    assert alice.document["api_calls_used"] == 1
    assert alice.latest["type"] == "task_created"


def test_a_patch_is_made_once(alice: Caller) -> None:
    alice.post("tasks/", {"title": "A", "tags": []})
    patch = [{"op": "add", "path": "/tags/-", "value": "ml"}]
    headers = {"idempotency-key": "k", "if-match": alice.get("tasks/1/")["ETag"]}

    answers = [
        alice.call("PATCH", "tasks/1/", patch, "application/json-patch+json", headers)
        for _ in range(3)
    ]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert {answer.content for answer in answers} == {answers[0].content}
    assert json_storage.get("tasks", alice.id, 1)["tags"] == ["ml"]


def test_another_call_under_the_same_key_is_refused(alice: Caller, data_folder: Path) -> None:
    add(alice, "k")
    before = contents(data_folder)
    others = [
        add(alice, "k", {"title": "B"}),
        add(alice, "k", b'{"title":  "A"}'),
        alice.call("POST", "projects/", {"title": "A"}, headers={"idempotency-key": "k"}),
        alice.call("PATCH", "tasks/1/", {"title": "A"}, headers={"idempotency-key": "k"}),
    ]

    for answer in others:
        assert check_problem(answer, 422)["type"] == "/problems/idempotency-key-reused"
    assert contents(data_folder) == before


def test_a_refused_call_may_be_made_again(alice: Caller) -> None:
    check_problem(add(alice, "k", {"titel": "A"}), 422)

    assert add(alice, "k", {"title": "A"}).status_code == 201


def test_keys_are_each_persons_own(alice: Caller, charlie: Caller) -> None:
    assert add(alice, "k").status_code == add(charlie, "k").status_code == 201
    assert "Idempotency-Replayed" not in add(charlie, "k2")
    assert len(json_storage.list("tasks", charlie.id)) == 2


def test_the_kept_answer_is_given_past_the_limit(alice: Caller) -> None:
    add(alice, "k")
    alice.allow(1)

    check_problem(add(alice, "other"), 429)
    assert add(alice, "k")["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize(
    ("one", "same"), [('"4f2a"', "4f2a"), (" 4f2a ", "4f2a"), (r'"a\"b\\"', r'"a\"b\\"')]
)
def test_quotes_are_not_part_of_the_key(alice: Caller, one: str, same: str) -> None:
    assert add(alice, one).status_code == 201
    assert add(alice, same)["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("key", ["x", "~", '"!"', "x" * 255, f'"{"x" * 255}"', "a,b;c=d"])
def test_keys_that_are_taken(alice: Caller, key: str) -> None:
    assert add(alice, key).status_code == 201


@pytest.mark.parametrize(
    "key",
    [
        *("", " ", '""', "x" * 256, "a b", '"a b"', '"a', 'a"', '"a"b', "é", "a\x7f"),
        *('"\\n"', '"a\\"'),
    ],
)
def test_keys_that_are_none(alice: Caller, data_folder: Path, key: str) -> None:
    before = contents(data_folder)

    assert check_problem(add(alice, key), 400)["type"] == "/problems/bad-header"
    assert contents(data_folder) == before


def test_a_preference_holds_for_a_kept_answer_too(alice: Caller) -> None:
    add(alice, "k")
    again = add(alice, "k", prefer="return=minimal")

    assert again.status_code == 201
    assert again.content == b""
    assert again["Location"] == "/accounts/api/tasks/1/"


def test_idempotency_key_concurrent_requests_have_one_effect(server: Server) -> None:
    person = server.person("hasty")

    def send(number: int) -> tuple[int, str, int]:
        headers = {"Idempotency-Key": f"round {number // 8}".replace(" ", "-")}
        answer = person.exchange("POST", "tasks/", {"title": str(number // 8)}, headers)
        replayed = answer.headers.get("Idempotency-Replayed", "")
        return answer.status, replayed, answer.value["id"]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(send, range(40)))

    assert {status for status, _, _ in answers} == {201}
    assert Counter(replayed for _, replayed, _ in answers) == {"": 5, "true": 35}
    assert len({task_id for _, _, task_id in answers}) == 5
    assert person.document("users", "user")["api_calls_used"] == 5
    assert person.call("GET", "tasks/")[1]["total"] == 5


def test_a_burst_ends(alice: Caller, data_folder: Path) -> None:
    with override_settings(NEURALFLOW_BURST=(3, 900)):
        assert [alice.get("tasks/").status_code for _ in range(3)] == [200] * 3
        before = contents(data_folder)
        answer = alice.post("tasks/", {"title": "A"})

        assert check_problem(answer, 429)["type"] == "/problems/too-many-calls"
        assert 0 < int(answer["Retry-After"]) <= 300
        assert contents(data_folder) == before


def test_every_answer_to_a_known_caller_tells_what_is_left(alice: Caller) -> None:
    with override_settings(NEURALFLOW_BURST=(120, 60)):
        answers = [
            alice.get("tasks/"),
            alice.post("tasks/", {"title": "A"}),
            alice.post("tasks/", {}),
            alice.get("nowhere/"),
            alice.get("tasks/1/", headers={"if-none-match": "*"}),
            alice.client.options("/accounts/api/tasks/"),
            alice.get("quota/"),
        ]

    statuses = [answer.status_code for answer in answers]
    assert statuses == [200, 201, 422, 404, 304, 204, 200]
    for answer in answers:
        policy = '"burst";q=120;w=60, "quota";q=1000;w=3600'
        assert answer["RateLimit-Policy"] == policy
        assert answer["RateLimit"].startswith('"burst";r=')
    left = [int(answer["RateLimit"].partition('"quota";r=')[2].split(";")[0]) for answer in answers]
    assert left == [999, 998, 998, 998, 997, 997, 997]


def test_nobody_else_is_told(alice: Caller) -> None:
    answer = alice.client.get("/accounts/api/tasks/", headers={"authorization": "Bearer nf_no"})

    assert answer.status_code == 401
    assert "RateLimit" not in answer


def test_the_quota_can_be_read_for_nothing(alice: Caller) -> None:
    alice.get("tasks/")
    alice.client.logout()
    told = [alice.get("quota/").json() for _ in range(2)]

    assert told[0] == told[1] | {"burst": told[0]["burst"], "resets_in": told[0]["resets_in"]}
    assert told[1]["limit"] == 1000
    assert (told[1]["used"], told[1]["remaining"]) == (1, 999)
    assert sum(told[1]["by_token"].values()) == 1
    assert "" not in told[1]["by_token"]
