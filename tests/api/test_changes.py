"""The change feed, as JSON and as server-sent events: what a client may rely on."""

import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import ApiToken, User
from accounts.tokens import revoke
from api import long_poll as waiting
from api.long_poll import TENURE, WaitSlots
from api.views import changes as api_changes
from tests.api.conftest import Caller
from tests.api.events import PATIENCE, Stream
from tests.server import Person, Server, prepared_server, started
from utils.json_storage import json_storage

STREAM = {"headers": {"accept": "text/event-stream"}}


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch) -> WaitSlots:
    places = WaitSlots(limit=2)
    monkeypatch.setattr(api_changes, "places", places)
    return places


def shortened(entries: list[Any]) -> list[tuple[str, int, str]]:
    return [
        (change["collection"], change["id"], change["change"])
        for entry in entries
        for change in entry["changes"]
    ]


# JSON


def test_a_client_begins_with_a_number_and_goes_on_with_the_next(alice: Caller) -> None:
    begin = alice.get("changes/").json()
    assert begin["changes"] == []
    task = alice.post("tasks/", {"title": "One"}).json()
    alice.delete("tasks/1/")
    answer = alice.get(f"changes/?since={begin['next']}")
    assert answer.headers["Content-Type"] == "application/json"
    assert shortened(answer.json()["changes"]) == [("tasks", 1, "created"), ("tasks", 1, "deleted")]
    first = answer.json()["changes"][0]
    assert first["changes"][0]["record"] == task
    assert first["actor"] == alice.id and first["at"] == task["created_at"]
    assert alice.get(f"changes/?since={answer.json()['next']}").json()["changes"] == []
    assert shortened(alice.get(f"changes/?since={first['sequence']}").json()["changes"]) == [
        ("tasks", 1, "deleted")
    ]


def test_it_costs_nothing(alice: Caller) -> None:
    used = alice.document["api_calls_used"]
    alice.get("changes/?since=0")
    assert alice.document["api_calls_used"] == used


@pytest.mark.parametrize("extra", [{}, STREAM], ids=["json", "events"])
def test_changes_beyond_burst_limit_responds_429(
    alice: Caller, settings: Settings, extra: Any
) -> None:
    settings.NEURALFLOW_BURST = (2, 3600)
    assert [alice.get("changes/").status_code for _ in range(2)] == [200, 200]
    answer = alice.get("changes/", **extra)
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) > 0
    assert answer.json()["type"] == "/problems/too-many-calls"


def test_a_stranger_is_told_nothing(alice: Caller, charlie: Caller) -> None:
    begin = charlie.get("changes/").json()["next"]
    alice.post("tasks/", {"title": "One"})
    assert charlie.get(f"changes/?since={begin}").json()["changes"] == []
    assert charlie.get("changes/?since=0").json()["changes"] == []


@pytest.mark.parametrize(
    "query", ["since=-1", "since=x", "since=01", "since=", "wait=31", "wait=1.5", f"since={10**16}"]
)
def test_changes_invalid_number_is_refused(alice: Caller, query: str) -> None:
    answer = alice.get(f"changes/?{query}")
    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/bad-parameter"


@pytest.mark.parametrize("extra", [{}, STREAM], ids=["json", "events"])
def test_a_number_that_no_history_reaches_is_gone(alice: Caller, extra: Any) -> None:
    ahead = json_storage.store.sequence() + 1
    answer = alice.get(f"changes/?since={ahead}", **extra)
    assert answer.status_code == 410
    assert answer.json()["type"] == "/problems/history-gone"


def test_a_wait_ends_without_news(alice: Caller) -> None:
    begin = alice.get("changes/").json()["next"]
    assert alice.get(f"changes/?since={begin}&wait=1").json()["changes"] == []


def test_all_places_taken_is_no_reason_to_refuse_an_answer(
    alice: Caller, places: WaitSlots
) -> None:
    assert places.take(alice.id)
    begin = alice.get("changes/").json()["next"]
    assert alice.get(f"changes/?since={begin}&wait=30").json()["changes"] == []
    answer = alice.get(f"changes/?since={begin}", **STREAM)
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
    assert answer.json()["type"] == "/problems/too-many-wait"


@pytest.mark.parametrize("ended", ["token", "session", "account"])
def test_wait_begun_before_access_ended_tells_nothing(
    alice: Caller, places: WaitSlots, monkeypatch: pytest.MonkeyPatch, ended: str
) -> None:
    client = alice.client
    if ended == "session":
        client = Client()
        client.force_login(alice.user)
    address = f"/accounts/api/changes/?since={json_storage.store.sequence()}&wait=30"

    def wait(place: object, happened: object, deadline: float) -> None:
        if ended == "token":
            revoke(ApiToken.objects.get())
        elif ended == "session":
            client.session.delete()
        else:
            User.objects.filter(pk=alice.id).update(is_active=False)
        json_storage.create("tasks", alice.id, {"title": "Later"})

    monkeypatch.setattr(places, "wait", wait)
    answer = client.get(address)
    assert answer.status_code == 401
    assert "Later" not in answer.content.decode()


def test_two_accounts_cannot_hold_all_places_for_ever() -> None:
    now = 100.0
    places = WaitSlots(limit=2, clock=lambda: now)
    first, second = places.take(1), places.take(2)
    assert first and second
    assert places.take(3) is None  # each has its place for a while
    now += TENURE
    third = places.take(3)
    assert third and first.is_over and not second.is_over
    assert places.take(3) is None  # whoever has a place gets no second one that way
    assert places.take(1) and second.is_over
    now += TENURE
    assert places.take(4) is None  # the threads of two have not noticed yet
    places.leave(first)
    assert places.take(4) and third.is_over
    places.leave(third)
    places.leave(second)


def test_wait_ends_when_its_place_goes_to_another_account(
    alice: Caller, places: WaitSlots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "TENURE", 0)
    begin = alice.get("changes/").json()["next"]
    assert places.take(1_000_001)
    stream = alice.get(f"changes/?since={begin}", **STREAM)
    parts = iter(stream.streaming_content)
    next(parts)
    assert places.take(1_000_002) and places.take(1_000_003)
    assert list(parts) == []
    stream.close()


@pytest.mark.parametrize("extra", [{}, STREAM], ids=["json", "events"])
def test_head_waits_for_nothing(alice: Caller, places: WaitSlots, extra: Any) -> None:
    begin = json_storage.store.sequence()
    answer = alice.client.head(f"/accounts/api/changes/?since={begin}&wait=30", **extra)
    assert answer.status_code == 200 and not answer.content
    assert answer.headers["Content-Type"] == extra.get("headers", {}).get(
        "accept", "application/json"
    )
    assert places.take(1) and places.take(2)


# Events, within this process


def test_events_have_the_numbers_to_go_on_with(alice: Caller, places: WaitSlots) -> None:
    begin = json_storage.store.sequence()
    alice.post("tasks/", {"title": "One", "description": "Line\nbreak"})
    answer = alice.get(f"changes/?since={begin}", **STREAM)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    parts = iter(answer.streaming_content)
    assert next(parts).decode() == (
        f'retry: 2000\nevent: position\nid: {begin}\ndata: {{"next":{begin}}}\n\n'
    )
    number, data, comment = next(parts).decode().replace("\n\n", "\n").splitlines()
    entry = json.loads(data.removeprefix("data: "))
    assert entry["changes"][0]["record"]["description"] == "Line\nbreak"
    assert number == f"id: {entry['sequence']}"
    assert comment == ": alive"
    answer.close()
    assert places.take(alice.id), "a closed stream keeps its place"


def test_the_header_tells_better_than_the_address_where_to_go_on(alice: Caller) -> None:
    begin = json_storage.store.sequence()
    alice.post("tasks/", {"title": "One"})
    headers = STREAM["headers"] | {"last-event-id": str(json_storage.store.sequence())}
    answer = alice.get(f"changes/?since={begin}", headers=headers)
    parts = iter(answer.streaming_content)
    assert b"changes" not in next(parts) + next(parts)
    answer.close()


def test_stream_has_json_data_in_every_event(alice: Caller, charlie: Caller) -> None:
    answer = alice.get("changes/", **STREAM)
    parts = iter(answer.streaming_content)
    text = next(parts) + next(parts)
    charlie.post("tasks/", {"title": "None of Alice's business"})
    moved = next(parts)
    alice.post("tasks/", {"title": "One"})
    text += moved + next(parts)
    answer.close()
    blocks = [block for block in text.decode().split("\n\n") if block]
    events = [block for block in blocks if not block.startswith(":")]
    data = [json.loads(block.partition("\ndata: ")[2]) for block in events]
    assert [sorted(one)[-1] for one in data] == ["next", "next", "sequence"], text
    assert blocks.count(": alive") == len(blocks) - len(events) > 0
    assert b"event: position\n" in moved


@pytest.mark.parametrize("end", ["the token", "the account", "the time", "the server"])
def test_a_stream_ends(
    alice: Caller, places: WaitSlots, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(api_changes, "HEARTBEAT", 0.05)
    monkeypatch.setattr(api_changes, "STREAM_SECONDS", 1.0 if end == "the time" else 30.0)
    answer = alice.get("changes/", **STREAM)
    parts = iter(answer.streaming_content)
    beats = [next(parts) for _ in range(4)][1:]
    assert all(beat.startswith((b": alive\n\n", b"event: position\n")) for beat in beats)
    if end == "the token":
        revoke(ApiToken.objects.get(user=alice.user))
    elif end == "the account":
        alice.user.is_active = False
        alice.user.save()
    elif end == "the server":
        places.close()
    assert sum(1 for _ in parts) <= 40


# A real server


@pytest.fixture
def quick(server: Server) -> Person:
    return server.person(f"quick{time.monotonic_ns()}")


def test_a_wait_ends_with_the_first_change(server: Server, quick: Person) -> None:
    begin = quick.call("GET", "changes/")[1]["next"]
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(quick.call, "GET", f"changes/?since={begin}&wait=30")
        assert quick.call("POST", "tasks/", {"title": "One"})[0] == 201
        status, answer = waiting.result(PATIENCE)
    assert (status, shortened(answer["changes"])) == (200, [("tasks", 1, "created")])


def test_two_people_and_each_their_own(server: Server, quick: Person) -> None:
    other = server.person(f"other{time.monotonic_ns()}")
    with Stream(quick).begun() as mine, Stream(other).begun() as theirs:
        assert quick.call("POST", "tasks/", {"title": "Mine"})[0] == 201
        assert other.call("POST", "models/", {"name": "Theirs"})[0] == 201
        assert shortened([next(iter(mine))]) == [("tasks", 1, "created")]
        assert shortened([next(iter(theirs))]) == [("models", 1, "created")]


_SHARE = """
import sys
import django
django.setup()
from utils.json_storage import json_storage
from workspace.membership.members import Memberships
memberships = Memberships(json_storage)
memberships.invite(int(sys.argv[1]), 1, sys.argv[2], "viewer")
memberships.accept(int(sys.argv[3]), 1)
json_storage.close()
"""


def test_a_member_hears_of_the_project_and_a_stranger_of_nothing(
    server: Server, quick: Person
) -> None:
    name = f"member{time.monotonic_ns()}"
    member, stranger = server.person(name), server.person(f"stranger{time.monotonic_ns()}")
    assert quick.call("POST", "projects/", {"name": "Shared"})[0] == 201
    begin = stranger.call("GET", "changes/")[1]["next"]
    server.run("-c", _SHARE, str(quick.id), name, str(member.id))
    with Stream(member).begun() as stream:
        assert quick.call("POST", "tasks/", {"title": "Mine"})[0] == 201
        task = quick.call("POST", "tasks/", {"title": "Ours", "project_id": 1})[1]
        (change,) = next(iter(stream))["changes"]
    assert (change["owner"], change["change"], change["record"]) == (quick.id, "created", task)
    assert stranger.call("GET", f"changes/?since={begin}")[1]["changes"] == []


def test_many_who_wait_do_not_keep_the_others_from_work(server: Server, quick: Person) -> None:
    people = [server.person(f"crowd{number}{time.monotonic_ns()}") for number in range(2)]
    streams = [Stream(person) for person in people for _ in range(6)]
    try:
        statuses = [stream.status for stream in streams]
        assert set(statuses) == {200, 503} and statuses.count(200) <= 4
        refused = next(stream for stream in streams if stream.status == 503)
        assert int(refused.response.headers["Retry-After"]) > 0
        with ThreadPoolExecutor(16) as threads:
            calls = [
                threads.submit(person.call, "GET", "changes/?since=0&wait=8") for person in people
            ]
            done = threads.map(
                lambda n: quick.call("POST", "tasks/", {"title": str(n)})[0], range(40)
            )
            assert set(done) == {201}
            assert {call.result(PATIENCE)[0] for call in calls} == {200}
    finally:
        for stream in streams:
            stream.__exit__(None, None, None)


def test_stream_closed_by_client_frees_its_slot(server: Server, quick: Person) -> None:
    deadline = time.monotonic() + PATIENCE
    for _ in range(6):  # more than there are places
        while time.monotonic() < deadline:
            with Stream(quick) as stream:
                if stream.status == 200:
                    stream.begun()
                    break
        else:
            raise AssertionError("nobody left")


@pytest.mark.slow
def test_client_after_server_kill_misses_no_change(tmp_path: Path) -> None:
    """The server is killed under load, three times; the client goes on from its last number."""
    server = prepared_server(tmp_path)
    acknowledged: set[int] = set()
    told: list[int] = []
    latest: int | None = None
    for life in range(4):
        with started(server) as process:
            if life == 0:
                person = server.person("persistent", api_calls_limit=10**6)
                latest = person.call("GET", "changes/")[1]["next"]
            stop = threading.Event()
            writers = [
                threading.Thread(target=_write, args=(person, acknowledged, stop)) for _ in range(4)
            ]
            for writer in writers:
                writer.start()
            with Stream(person, latest) as stream:
                assert stream.status == 200
                with_kill = threading.Timer(1.5, os.killpg, (process.pid, signal.SIGKILL))
                with_kill.start()
                try:
                    for entry in stream:
                        told += [change["id"] for change in entry["changes"]]
                except (OSError, HTTPException):
                    pass
                latest = stream.latest
            stop.set()
            for writer in writers:
                writer.join()
            process.wait(PATIENCE)
    with started(server) as process:
        while (answer := person.call("GET", f"changes/?since={latest}")[1])["next"] != latest:
            told += [change["id"] for entry in answer["changes"] for change in entry["changes"]]
            latest = answer["next"]
        tasks = [task["id"] for task in person.call("GET", "tasks/")[1]["tasks"]]
        process.terminate()
        process.wait(PATIENCE)
    assert told == list(range(1, len(told) + 1)), "in order, none missing, none twice"
    assert told[: len(tasks)] == tasks
    assert acknowledged and acknowledged <= set(told)


def _write(person: Person, acknowledged: set[int], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            status, task = person.call("POST", "tasks/", {"title": "One"})
        except (OSError, HTTPException, ValueError):
            continue
        if status == 201:
            acknowledged.add(task["id"])
