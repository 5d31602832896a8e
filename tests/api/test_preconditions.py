"""Lost updates cannot happen: entity tags, and what a call may demand of them (RFC 9110)."""

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


@pytest.fixture
def tag(alice: Caller) -> str:
    """The entity tag of Alice's one task."""
    etag: str = alice.post("tasks/", {"title": "A"})["ETag"]
    return etag


def send(caller: Caller, method: str, data: Any = None, **headers: str) -> Any:
    """The answer to a call about the first task."""
    body = b"" if data is None else None
    return caller.call(method, "tasks/1/", data if body is None else body, headers=headers)


def test_it_works(alice: Caller, tag: str) -> None:
    read = alice.get("tasks/1/")
    assert read["ETag"] == tag
    changed = send(alice, "PATCH", {"title": "B"}, if_match=tag)
    assert changed.status_code == 200
    assert changed["ETag"] == alice.get("tasks/1/")["ETag"] != tag

    lost = send(alice, "PATCH", {"title": "C"}, if_match=tag)

    problem = check_problem(lost, 412)
    assert problem["type"] == "/problems/precondition-failed"
    assert problem["current"] == changed.json()
    assert alice.get("tasks/1/").json() == changed.json()


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_stale_state_is_not_changed(
    alice: Caller, data_folder: Path, tag: str, method: str
) -> None:
    alice.patch("tasks/1/", {"title": "B"})
    before = contents(data_folder)

    check_problem(send(alice, method, {"title": "C"}, if_match=tag), 412)

    assert contents(data_folder) == before


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_the_state_there_is_changed(alice: Caller, tag: str, method: str) -> None:
    answer = send(alice, method, {"title": "C"}, if_match=tag)

    assert answer.status_code == (204 if method == "DELETE" else 200)


# `{}` is the tag of what is there.
@pytest.mark.parametrize(
    "field",
    [
        "{}",
        '"x", {}',
        '{},"x"',
        '"",\t{}',
        " {} ",
        "*",
        " * ",
        ',, {} , ,"y"',
        'W/"x", {}',
        '"a,b", {}',
    ],
)
def test_conditions_that_hold(alice: Caller, tag: str, field: str) -> None:
    assert send(alice, "PATCH", {"title": "B"}, if_match=field.format(tag)).status_code == 200


@pytest.mark.parametrize("field", ['"x"', "W/{}", '"x", "y"', 'W/"x", W/{}', '"é"'])
def test_conditions_that_do_not_hold(alice: Caller, tag: str, field: str) -> None:
    check_problem(send(alice, "PATCH", {"title": "B"}, if_match=field.format(tag)), 412)


@pytest.mark.parametrize(
    "field",
    [
        *("", " ", ",", "x", "{}x", "\"x\" \"y\"", "w/\"x\"", "W/ \"x\"", "\"x"),
        *("x\"", "*, {}", "**", "'x'", "\"a b\"", "\"\x7f\""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["if_match", "if_none_match"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_conditions_that_are_none(
    alice: Caller, tag: str, method: str, name: str, field: str
) -> None:
    answer = send(alice, method, {"title": "B"}, **{name: field.replace("{}", tag)})

    assert check_problem(answer, 400)["type"] == "/problems/bad-header"


@pytest.mark.parametrize("field", ["{}", "W/{}", '"x", {}', "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_if_none_match_known_etag_responds_304(
    alice: Caller, tag: str, method: str, field: str
) -> None:
    used = alice.document["api_calls_used"]
    answer = send(alice, method, if_none_match=field.format(tag))

    assert answer.status_code == 304
    assert answer["ETag"] == tag
    assert answer.content == b""
    assert "Content-Type" not in answer
    assert alice.document["api_calls_used"] == used + 1


def test_if_none_match_old_etag_sends_the_record(alice: Caller, tag: str) -> None:
    alice.patch("tasks/1/", {"title": "B"})

    assert send(alice, "GET", if_none_match=tag).json()["title"] == "B"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("field", ["*", "{}", "W/{}"])
def test_only_if_there_is_none(
    alice: Caller, data_folder: Path, tag: str, method: str, field: str
) -> None:
    before = contents(data_folder)

    check_problem(send(alice, method, {"title": "B"}, if_none_match=field.format(tag)), 412)

    assert contents(data_folder) == before


@pytest.mark.parametrize("name", ["if_match", "if_none_match"])
def test_precondition_on_missing_record_responds_404(alice: Caller, name: str) -> None:
    """RFC 9110, section 13.2.1: a condition does not turn a 404 into a 412."""
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        check_problem(send(alice, method, {"title": "B"}, **{name: "*"}), 404)


@pytest.mark.parametrize("name", ["if_match", "if_none_match"])
def test_a_new_record_has_no_state(alice: Caller, name: str) -> None:
    answer = alice.call("POST", "tasks/", {"title": "A"}, headers={name: "*"})

    assert check_problem(answer, 400)["type"] == "/problems/bad-header"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_the_operator_may_want_every_change_to_say_its_state(
    alice: Caller, data_folder: Path, tag: str, method: str
) -> None:
    before = contents(data_folder)
    with override_settings(NEURALFLOW_REQUIRE_IF_MATCH=True):
        problem = check_problem(send(alice, method, {"title": "B"}), 428)
        assert problem["type"] == "/problems/precondition-required"
        check_problem(send(alice, method, {"title": "B"}, if_none_match='"x"'), 428)
        assert contents(data_folder) == before
        assert send(alice, method, {"title": "B"}, if_match="*").status_code < 300
        assert alice.post("tasks/", {"title": "B"}).status_code == 201


def test_a_tag_is_of_what_is_sent(alice: Caller, tag: str) -> None:
    """Where the answer to a PUT has a tag, it says that it is the record as it is now (9.3.4)."""
    answer = alice.put("tasks/1/", {"title": "B"})

    assert answer["Content-Location"] == "/accounts/api/tasks/1/"
    assert answer["ETag"] == alice.get("tasks/1/")["ETag"]


@pytest.mark.parametrize(
    ("prefer", "minimal"),
    [
        ("return=minimal", True),
        ('Return = "minimal"', True),
        ("respond-async, return=minimal; x=y, wait=10", True),
        ("return=minimal, return=representation", True),
        ("return=representation, return=minimal", False),
        ("return=representation", False),
        ("return", False),
        ("=", False),
        ("", False),
    ],
)
def test_preferences(alice: Caller, prefer: str, minimal: bool) -> None:
    headers = {"prefer": prefer}
    added = alice.call("POST", "tasks/", {"title": "A"}, headers=headers)
    changed = alice.call("PATCH", "tasks/1/", {"title": "B"}, headers=headers)
    replaced = alice.call("PUT", "tasks/1/", {"title": "C"}, headers=headers)

    assert added.status_code == 201
    assert added["Location"] == "/accounts/api/tasks/1/"
    for answer in (added, changed, replaced):
        assert answer.get("Preference-Applied") == ("return=minimal" if minimal else None)
        assert (answer.content == b"") == minimal
    assert changed.status_code == replaced.status_code == (204 if minimal else 200)
    assert alice.get("tasks/1/").json()["title"] == "C"
    # Without a body to be the tag of, a PUT's would be taken for that of what was sent.
    assert ("ETag" in replaced) != minimal


def test_concurrent_if_match_exactly_one_succeeds(server: Server) -> None:
    person = server.person("racer")
    assert person.call("POST", "tasks/", {"title": "0"})[0] == 201

    for round_ in range(5):
        tag = person.exchange("GET", "tasks/1/").headers["ETag"]

        def change(number: int, tag: str = tag) -> int:
            answer = person.exchange("PATCH", "tasks/1/", {"title": f"{number}"}, {"If-Match": tag})
            return answer.status

        with ThreadPoolExecutor(8) as racers:
            assert Counter(racers.map(change, range(8))) == {200: 1, 412: 7}, round_
