"""Counting API calls: by hour, by token, in bursts; in memory, and over several processes."""

from __future__ import annotations

import json
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from accounts.models import User
from docstore import NotFound, open_store
from tests.folders import contents, exact
from tests.utils.processes import go, started, told_by
from tests.workspace.clocks import Clock
from utils.json_storage import JSONStorageManager, json_storage
from workspace.actor import Actor
from workspace.schema.validation import COLLECTIONS, record_version
from workspace.users.document import Activity
from workspace.users.quota import QuotaExceeded, TooManyCalls

ALICE = Actor(7)


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 11, 30, 12, 0, 0, 123_456, tzinfo=UTC))


def call(storage: JSONStorageManager, caller: Actor = ALICE) -> None:
    storage.create("tasks", 7, {"title": "x"}, caller=caller, metered=True)


def test_calls_are_split_by_token_and_belong_to_the_hour(
    storage: JSONStorageManager, clock: Clock
) -> None:
    for token in ("", "12", "", "34", "12", ""):
        call(storage, Actor(7, token))
    storage.record_read(Actor(7, "34"))
    quota = storage.record_read(ALICE)
    assert quota.by_token == {"": 4, "12": 2, "34": 2}
    assert quota.used == sum(quota.by_token.values()) == 8
    assert quota.resets_in == 3600
    clock.now += timedelta(hours=1)
    assert storage.quota(7).used == 0
    call(storage, Actor(7, "12"))
    document = storage.get_user_data(7)
    assert document is not None
    assert document["api_calls_by_token"] == {"12": 1}
    assert (document["api_calls_used"], document["api_calls_period"]) == (1, "2026-11-30T13")


def test_agent_that_reads_once_a_minute_is_never_refused(
    storage: JSONStorageManager, clock: Clock
) -> None:
    storage.save_user_data(User(pk=7, username="alice"))  # 1,000 calls, as by default
    for _minute in range(60 * 24 * 2):
        storage.quota(7).check()
        assert storage.record_read(ALICE).used <= 60
        clock.now += timedelta(minutes=1)


@pytest.mark.parametrize(
    ("setting", "own", "limit"), [(None, 3, 3), (5, 3, 5), (2, 1_000, 2), (0, 3, None)]
)
def test_setting_is_the_limit_of_all_accounts_and_0_is_none(
    storage: JSONStorageManager, settings: Settings, setting: int | None, own: int, limit: int
) -> None:
    settings.NEURALFLOW_API_CALLS_LIMIT = setting
    storage.save_user_data(User(pk=7, username="alice", api_calls_limit=own))
    for done in range(1, (limit or 20) + 1):
        quota = storage.record_read(ALICE)
        assert (quota.used, quota.limit) == (done, limit)
        assert quota.remaining == (None if limit is None else limit - done)
    shown = storage.dashboard(7)["user"]["api_calls_limit"]
    assert shown == (own if setting is None else setting)
    assert (storage.get_user_data(7) or {})["api_calls_limit"] == own
    if limit is not None:
        for refused in (lambda: storage.record_read(ALICE), lambda: call(storage)):
            with pytest.raises(QuotaExceeded):
                refused()


@pytest.mark.parametrize("burst", [(3, 60), (7, 60), (120, 60), (1, 1), (1_000, 1)])
def test_a_burst_takes_as_many_as_it_says_and_fills_up_again_one_by_one(
    storage: JSONStorageManager, clock: Clock, settings: Settings, burst: tuple[int, int]
) -> None:
    settings.NEURALFLOW_BURST = burst
    for left in range(burst[0] - 1, -1, -1):
        assert storage.record_read(ALICE).burst.remaining == left
    with pytest.raises(TooManyCalls) as caught:
        call(storage)
    worth = burst[1] / burst[0]
    assert caught.value.retry_after == max(round(worth + 0.499), 1)
    clock.now += timedelta(seconds=worth * 1.01)
    call(storage)
    with pytest.raises(TooManyCalls):
        call(storage)
    clock.now += timedelta(seconds=burst[1])
    assert storage.record_read(ALICE).burst.remaining == burst[0] - 1


def test_a_refused_call_writes_nothing_whichever_kind_it_was(
    storage: JSONStorageManager, data_folder: Path, settings: Settings
) -> None:
    settings.NEURALFLOW_BURST = (2, 60)
    call(storage)
    call(storage)
    storage.publish()
    before = contents(data_folder)
    version = record_version(storage.get("tasks", 7, 1))
    for refused in (
        lambda: call(storage),
        lambda: storage.update("tasks", 7, 1, {"title": "y"}, metered=True),
        lambda: storage.delete("tasks", 7, 1, expect=version, metered=True),
        lambda: storage.record_read(ALICE),
        lambda: storage.take_free_call(7),
        lambda: storage.create("tasks", 8, {"title": "y"}, caller=ALICE, metered=True),
    ):
        with pytest.raises((TooManyCalls, NotFound)):
            refused()
        storage.publish()
        assert contents(data_folder) == before


def test_hour_is_refused_before_the_burst(storage: JSONStorageManager, settings: Settings) -> None:
    settings.NEURALFLOW_BURST = (1, 60)
    storage.save_user_data(User(pk=7, username="alice", api_calls_limit=1))
    call(storage)
    with pytest.raises(QuotaExceeded):
        call(storage)
    storage.save_user_data(User(pk=7, username="alice", api_calls_limit=2))
    with pytest.raises(TooManyCalls):
        call(storage)


@pytest.mark.parametrize("until", ["2999-01-01T00:00:00Z", "soon", None, 7])
def test_counts_edited_by_hand_lock_nobody_out(
    storage: JSONStorageManager, data_folder: Path, until: object
) -> None:
    path = exact(data_folder / "users/user_7.json", storage)
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps(document | {"api_burst_until": until, "api_calls_by_token": until}))
    call(storage)


def test_clock_set_back_locks_nobody_out_for_longer_than_the_window(
    storage: JSONStorageManager, clock: Clock
) -> None:
    ahead = timedelta(days=365)
    clock.now += ahead
    call(storage)
    clock.now -= ahead
    quota = storage.quota(7)
    assert quota.burst.remaining == 0 and quota.burst.resets_in == 60
    with pytest.raises(TooManyCalls):
        call(storage)
    clock.now += ahead
    call(storage)


CALLER = """
import sys
from django.conf import settings
from docstore import open_store
from workspace.actor import Actor
from utils.json_storage import JSONStorageManager
from workspace.users.quota import (QuotaExceeded, TooManyCalls)
from workspace.schema.validation import COLLECTIONS

url, name, calls, burst = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
settings.NEURALFLOW_BURST = (burst, 900_000)
storage = JSONStorageManager(open_store(url, [spec.layout for spec in COLLECTIONS.values()]))
print("ready", flush=True)
sys.stdin.readline()
done = 0
for number in range(calls):
    try:
        if number % 2:
            storage.record_read(Actor(7, name))
        else:
            storage.create("tasks", 7, {"title": name}, caller=Actor(7, name), metered=True)
        done += 1
    except (QuotaExceeded, TooManyCalls):
        pass
storage.close()
print(done)
"""


@pytest.mark.parametrize(("limit", "burst"), [(1_000, 37), (31, 100)])
def test_processes_together_exceed_a_limit_by_no_more_than_they_may_hold_back(
    data_folder: Path, limit: int, burst: int
) -> None:
    json_storage.save_user_data(User(pk=7, username="alice", api_calls_limit=limit))
    callers = [started(CALLER, data_folder.as_uri(), name, 30, burst) for name in "abc"]
    done = [int(answer) for answer in told_by(callers)]
    document = json_storage.get_user_data(7)
    assert document is not None
    # The window is so long that no call comes back while the processes run.
    assert sum(done) == document["api_calls_used"]
    held_back = min(limit // 10, burst // 5)
    assert min(limit, burst) <= sum(done) <= min(limit, burst) + 2 * held_back
    assert document["api_calls_by_token"] == {
        name: count for name, count in zip("abc", done, strict=True) if count
    }


# Reads


def reads_of(storage: JSONStorageManager) -> list[tuple[str, str, int]]:
    """The activities that tell of reads: day, token, and how many."""
    return [
        (
            activity["timestamp"][:10],
            activity["metadata"].get("token", ""),
            activity["metadata"]["count"],
        )
        for activity in (storage.get_user_data(7) or {})["activities"]
        if activity["type"] == "api_call"
    ]


def test_reads_write_nothing_until_they_are_committed(
    storage: JSONStorageManager, data_folder: Path
) -> None:
    storage.publish()
    before, sequence = contents(data_folder), storage.store.sequence()
    for _ in range(100):
        storage.record_read(ALICE)
    assert storage.quota(7).used == storage.dashboard(7)["user"]["api_calls_used"] == 100
    storage.publish()
    assert contents(data_folder) == before
    assert storage.store.sequence() == sequence
    storage.commit_counts()
    assert (storage.get_user_data(7) or {})["api_calls_used"] == 100
    assert storage.quota(7).used == 100


def test_reads_join_the_next_commit_of_the_person(storage: JSONStorageManager) -> None:
    alice = User(pk=7, username="alice", api_calls_limit=2_000)
    storage.save_user_data(alice)
    for _ in range(3):
        storage.record_read(Actor(7, "12"))
    storage.save_user_data(alice)  # which changes nothing
    assert reads_of(storage) == []
    before = storage.store.sequence()
    storage.create("tasks", 7, {"title": "x"}, activity=Activity("task_created", "Added"))
    entries, _ = storage.store.entries(before)
    assert len(entries) == 1
    assert reads_of(storage) == [("2026-11-30", "12", 3)]
    assert storage.activities(7)[0]["type"] == "task_created"
    call(storage)
    assert storage.quota(7).by_token == {"12": 3, "": 1}


def test_reads_are_one_activity_for_each_token_and_day(
    storage: JSONStorageManager, clock: Clock
) -> None:
    for _ in range(3):
        for token in ("", "12", "12"):
            storage.record_read(Actor(7, token))
        storage.commit_counts()
        storage.update_user_activity(7, "login", "Signed in")
        clock.now += timedelta(hours=5)
    assert reads_of(storage) == [
        ("2026-11-30", "", 3),
        ("2026-11-30", "12", 6),
    ]
    line = (storage.get_user_data(7) or {})["activities"][0]
    assert (line["timestamp"], line["metadata"]["until"]) == (
        "2026-11-30T12:00:00.123456Z",
        "2026-11-30T22:00:00.123456Z",
    )
    storage.record_read(Actor(7, "12"))  # on the next day, at 03:00
    assert clock.now.day == 1
    storage.commit_counts()
    storage.commit_counts()
    assert reads_of(storage)[2:] == [("2026-12-01", "12", 1)]


def test_reads_of_two_hours_that_are_committed_together_count_for_their_own(
    storage: JSONStorageManager, clock: Clock
) -> None:
    clock.now = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    storage.record_read(ALICE)
    storage.record_read(ALICE)
    clock.now += timedelta(seconds=2)
    storage.record_read(ALICE)
    storage.commit_counts()
    assert storage.quota(7).used == 1
    assert reads_of(storage) == [("2026-11-30", "", 2), ("2026-12-01", "", 1)]


def test_reads_are_committed_by_themselves_after_a_while(data_folder: Path) -> None:
    store = open_store(data_folder.as_uri(), [spec.layout for spec in COLLECTIONS.values()])
    storage = JSONStorageManager(store, commit_seconds=0.01)
    storage.save_user_data(User(pk=7, username="alice", api_calls_limit=2_000))
    for used in (1, 2):
        storage.record_read(ALICE)
        deadline = time.monotonic() + 30
        while (storage.get_user_data(7) or {})["api_calls_used"] < used:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    storage.close()


READER = """
import os, signal, sys
from docstore import open_store
from workspace.actor import Actor
from utils.json_storage import JSONStorageManager
from workspace.schema.validation import COLLECTIONS

url, how = sys.argv[1:]
storage = JSONStorageManager(open_store(url, [spec.layout for spec in COLLECTIONS.values()]))
for _ in range(3):
    storage.record_read(Actor(7))
if how == "fork":
    child = os.fork()
    storage.record_read(Actor(7))  # each of the two counts its own
    if child:
        os.waitpid(child, 0)
    else:
        storage.close()
        os._exit(0)
print("ready", flush=True)
sys.stdin.readline()
if how == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
print(0)
"""


@pytest.mark.parametrize(("how", "used"), [("exit", 3), ("kill", 0), ("fork", 5)])
def test_reads_are_committed_at_exit_and_a_crash_loses_nothing_else(
    data_folder: Path, how: str, used: int
) -> None:
    json_storage.save_user_data(User(pk=7, username="alice", api_calls_limit=2_000))
    process = started(READER, data_folder.as_uri(), how)
    go(process)
    _, error = process.communicate(timeout=120)
    assert process.returncode == (-signal.SIGKILL if how == "kill" else 0), error
    assert (json_storage.get_user_data(7) or {})["api_calls_used"] == used


def test_counts_of_a_person_who_left_are_dropped(storage: JSONStorageManager) -> None:
    storage.record_read(ALICE)
    storage.delete_user_documents(7)
    storage.commit_counts()
    assert storage.get_user_data(7) is None
    assert storage.quota(7).used == 0


def test_counts_that_cannot_be_written_stay_and_are_written_later(
    storage: JSONStorageManager, data_folder: Path
) -> None:
    path = exact(data_folder / "users/user_7.json", storage)
    storage.record_read(ALICE)
    good = path.read_bytes()
    path.write_bytes(b"{")
    storage.commit_counts()
    path.write_bytes(good)
    assert storage.quota(7).used == 1
    storage.commit_counts()
    assert (storage.get_user_data(7) or {})["api_calls_used"] == 1
