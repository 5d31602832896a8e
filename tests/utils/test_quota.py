"""Counting API calls: by month, by token, in bursts; and over several processes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from accounts.models import User
from docstore import NotFound
from tests.folders import contents, exact
from tests.utils.clocks import Clock
from tests.utils.processes import started, told_by
from utils.json_storage import (
    Activity,
    Caller,
    JSONStorageManager,
    QuotaExceeded,
    TooManyCalls,
    json_storage,
)
from utils.records import record_version

ALICE = Caller(7)
CALL = Activity("api_call", "GET /accounts/api/tasks/")


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 11, 30, 12, 0, 0, 123_456, tzinfo=UTC))


def call(storage: JSONStorageManager, caller: Caller = ALICE) -> None:
    storage.create("tasks", 7, {"title": "x"}, caller=caller, metered=True)


def test_calls_are_split_by_token_and_the_split_belongs_to_the_month(
    storage: JSONStorageManager, clock: Clock
) -> None:
    for token in ("", "12", "", "34", "12", ""):
        call(storage, Caller(7, token))
    storage.record_call(7, CALL, caller=Caller(7, "34"))
    quota = storage.record_call(7, CALL)
    assert quota.by_token == {"": 4, "12": 2, "34": 2}
    assert quota.used == sum(quota.by_token.values()) == 8
    clock.now += timedelta(days=1)
    call(storage, Caller(7, "12"))
    document = storage.get_user_data(7)
    assert document is not None
    assert document["api_calls_by_token"] == {"12": 1}
    assert (document["api_calls_used"], document["api_calls_period"]) == (1, "2026-12")


@pytest.mark.parametrize("burst", [(3, 60), (7, 60), (120, 60), (1, 1), (1_000, 1)])
def test_a_burst_takes_as_many_as_it_says_and_fills_up_again_one_by_one(
    storage: JSONStorageManager, clock: Clock, settings: Settings, burst: tuple[int, int]
) -> None:
    settings.NEURALFLOW_BURST = burst
    for left in range(burst[0] - 1, -1, -1):
        assert storage.record_call(7, CALL).burst.remaining == left
    with pytest.raises(TooManyCalls) as caught:
        call(storage)
    worth = burst[1] / burst[0]
    assert caught.value.retry_after == max(round(worth + 0.499), 1)
    clock.now += timedelta(seconds=worth * 1.01)
    call(storage)
    with pytest.raises(TooManyCalls):
        call(storage)
    clock.now += timedelta(seconds=burst[1])
    assert storage.record_call(7, CALL).burst.remaining == burst[0] - 1


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
        lambda: storage.record_call(7, CALL),
        lambda: storage.create("tasks", 8, {"title": "y"}, caller=ALICE, metered=True),
    ):
        with pytest.raises((TooManyCalls, NotFound)):
            refused()
        storage.publish()
        assert contents(data_folder) == before


def test_the_month_is_told_before_the_burst(
    storage: JSONStorageManager, settings: Settings
) -> None:
    settings.NEURALFLOW_BURST = (1, 60)
    storage.save_user_data(User(pk=7, username="alice", api_calls_limit=1))
    call(storage)
    with pytest.raises(QuotaExceeded):
        call(storage)
    storage.save_user_data(User(pk=7, username="alice", api_calls_limit=2))
    with pytest.raises(TooManyCalls):
        call(storage)


@pytest.mark.parametrize("until", ["2999-01-01T00:00:00Z", "soon", None, 7])
def test_a_wrong_clock_or_hand_locks_nobody_out_for_longer_than_the_window(
    storage: JSONStorageManager, clock: Clock, data_folder: Path, until: object
) -> None:
    path = exact(data_folder / "users/user_7.json", storage)
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps(document | {"api_burst_until": until, "api_calls_by_token": until}))
    clock.now += timedelta(seconds=61)
    quota = storage.quota(7)
    if until != "2999-01-01T00:00:00Z":
        call(storage)
        return
    assert quota.burst.remaining == 0 and quota.burst.resets_in == 60
    with pytest.raises(TooManyCalls):
        call(storage)


CALLER = """
import sys
from django.conf import settings
from docstore import open_store
from utils.json_storage import Activity, Caller, JSONStorageManager, QuotaExceeded, TooManyCalls
from utils.records import COLLECTIONS

url, name, calls, burst = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
settings.NEURALFLOW_BURST = (burst, 900_000)
storage = JSONStorageManager(open_store(url, [spec.layout for spec in COLLECTIONS.values()]))
print("ready", flush=True)
sys.stdin.readline()
done = 0
for number in range(calls):
    try:
        if number % 2:
            storage.record_call(7, Activity("x", name), caller=Caller(7, name))
        else:
            storage.create("tasks", 7, {"title": name}, caller=Caller(7, name), metered=True)
        done += 1
    except (QuotaExceeded, TooManyCalls):
        pass
storage.close()
print(done)
"""


@pytest.mark.parametrize(("limit", "burst"), [(1_000, 37), (31, 100)])
def test_processes_together_never_make_more_calls_than_there_are(
    data_folder: Path, limit: int, burst: int
) -> None:
    json_storage.save_user_data(User(pk=7, username="alice", api_calls_limit=limit))
    callers = [started(CALLER, data_folder.as_uri(), name, 30, burst) for name in "abc"]
    done = [int(answer) for answer in told_by(callers)]
    document = json_storage.get_user_data(7)
    assert document is not None
    # The window is so long that no call comes back while the processes run.
    assert sum(done) == document["api_calls_used"]
    assert sum(done) == min(limit, burst)
    assert document["api_calls_by_token"] == {
        name: count for name, count in zip("abc", done, strict=True) if count
    }
