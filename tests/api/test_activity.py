"""What a person did, newest first, chosen and page by page."""

from typing import Any

import pytest

from docstore import Key, Transaction
from tests.api.conftest import Caller
from utils.json_storage import json_storage
from workspace.users import activity_query


def log(caller: Caller, *types: str) -> None:
    for number, kind in enumerate(types):
        json_storage.update_user_activity(caller.id, kind, f"Number {number} of {kind}")


def types(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [activity["type"] for activity in answer.json()["activities"]]


def test_the_newest_comes_first(alice: Caller) -> None:
    log(alice, "one", "two", "three")
    answer = alice.get("activity/")
    assert types(answer)[:3] == ["three", "two", "one"]
    assert answer.json()["next"] is None
    assert answer.json()["total"] == len(answer.json()["activities"])
    assert set(answer.json()["activities"][0]) == {"type", "description", "timestamp", "metadata"}
    assert alice.document["api_calls_used"] == 1, "it is a call like others"


def test_pages_follow_one_another_whatever_comes_meanwhile(alice: Caller) -> None:
    log(alice, *(f"type{number}" for number in range(10)))
    seen: list[str] = []
    address = "/accounts/api/activity/?limit=3"
    while address:
        answer = alice.client.get(address)
        seen += types(answer)
        address = answer.json()["next"]
        log(alice, "meanwhile")
    assert seen[:10] == [f"type{number}" for number in reversed(range(10))]
    assert ("meanwhile" not in seen and len(seen) == len(set(seen))) or seen.count("api_call") == 0


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("type=one", ["one"]),
        ("type=one,two", ["two", "one"]),
        ("type=one&type=two", ["two", "one"]),
        ("q=NUMBER 1 of", ["two"]),
        ("type=one&q=two", []),
        ("type=one,two&after=2000-01-01", ["two", "one"]),
        ("type=one,two&before=2000-01-01", []),
    ],
)
def test_some_are_chosen(alice: Caller, query: str, expected: list[str]) -> None:
    log(alice, "one", "two", "three")
    answer = alice.get(f"activity/?{query}")
    assert types(answer) == expected
    assert "total" not in answer.json()


def test_old_times_without_a_zone_are_understood(alice: Caller) -> None:
    key = Key("users", alice.id)

    def edit(transaction: Transaction) -> None:
        for time in ("2021-05-01T12:00:00", "2021-05-02 12:00", None, 7):
            transaction.append(key, {"type": "old", "timestamp": time})

    json_storage.store.change(edit)
    answer = alice.get("activity/?type=old&after=2021-05-01&before=2021-06-01")
    assert [one["timestamp"] for one in answer.json()["activities"]] == ["2021-05-02 12:00"]


def test_activity_rare_type_takes_several_pages(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity_query, "LOOKED_AT_MAX", 4)
    log(alice, "rare", *["common"] * 10)
    found: list[str] = []
    address, pages = "/accounts/api/activity/?type=rare", 0
    while address:
        answer = alice.client.get(address)
        found, address, pages = found + types(answer), answer.json()["next"], pages + 1
    assert found == ["rare"] and pages > 2


def test_a_cursor_belongs_to_its_query(alice: Caller, charlie: Caller) -> None:
    log(alice, "one", "two")
    mine = alice.get("activity/?limit=1").json()["next"].partition("cursor=")[2]
    for caller, query in ((alice, "type=one&"), (charlie, "")):
        answer = caller.get(f"activity/?{query}cursor={mine}")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["parameter"] == "cursor"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "after=soon", "before=soon", "cursor=x", "q=" + "x" * 201]
)
def test_activity_invalid_parameter_is_refused(alice: Caller, query: str) -> None:
    answer = alice.get(f"activity/?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["parameter"] == query.partition("=")[0]


def test_nobody_sees_anothers(alice: Caller, charlie: Caller) -> None:
    log(alice, "private")
    assert "private" not in types(charlie.get("activity/"))
