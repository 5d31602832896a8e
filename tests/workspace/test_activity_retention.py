"""Activities: a person's document stays small, older ones move out, and the figures stay."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from accounts.models import User
from docstore import Bounds, DocumentStore, TooMuchAtOnce, Transaction
from docstore.backends.files.backend import FilesBackend
from docstore.backends.memory import MemoryBackend
from tests.folders import exact
from tests.workspace.clocks import LAYOUTS, Clock
from utils.json_storage import JSONStorageManager
from web.dashboard.heatmap import heat_of
from workspace.actor import Actor
from workspace.documents import key_of
from workspace.timestamps import format_utc
from workspace.unit_of_work import WriteOptions
from workspace.users.activity_query import ActivityLog, newest
from workspace.users.activity_retention import RECENT_LEFT, RECENT_MAX, RetentionLimits, retain
from workspace.users.document import Activity

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


def entry(number: int, at: datetime, kind: str = "task_created") -> dict[str, Any]:
    metadata = {"id": number, "ip_address": "192.0.2.7", "user_agent": "Mozilla/5.0 " + "x" * 90}
    return {
        "type": kind,
        "description": f"Added task “{number}”",
        "timestamp": format_utc(at),
        "metadata": metadata,
    }


def lay_down(folder: Path, activities: list[dict[str, Any]]) -> Path:
    """A person's document of an old folder, with these activities."""
    path = folder / "users" / "user_7.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"user_id": 7, "username": "alice", "email": "", "api_calls_limit": 1000}
    path.write_text(json.dumps(head | {"activities": activities}))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


@pytest.fixture
def old(data_folder: Path, clock: Clock) -> Iterator[JSONStorageManager]:
    """A manager over what `lay_down` left, which opens it at first use."""
    backend = FilesBackend(data_folder, LAYOUTS, background=False)
    made = JSONStorageManager(DocumentStore(backend, LAYOUTS, clock))
    yield made
    made.close()


@pytest.fixture
def memory(clock: Clock) -> JSONStorageManager:
    """What Alice (7) has in a store without files."""
    made = JSONStorageManager(DocumentStore(MemoryBackend(LAYOUTS), LAYOUTS, clock))
    made.save_user_data(User(pk=7, username="alice"))
    return made


def numbers(past: ActivityLog) -> list[int]:
    return [activity["metadata"]["id"] for activity in past]


def test_document_stays_small_and_all_activities_stay_in_order(
    storage: JSONStorageManager, data_folder: Path
) -> None:
    largest = 0
    for number in range(800):
        activity = entry(number, NOW)
        storage.update_user_activity(
            7, activity["type"], activity["description"], activity["metadata"]
        )
        largest = max(largest, len(storage.view("users", 7)))
    assert largest == RECENT_MAX
    assert numbers(storage.past(7)) == list(range(800))
    assert [one["metadata"]["id"] for one in storage.activities(7, 3)] == [799, 798, 797]
    users = exact(data_folder / "users/user_7.json", storage)
    assert users.stat().st_size < 300_000
    older = json.loads((data_folder / "activities/activities_7.json").read_bytes())
    moved = 800 - len(storage.view("users", 7))
    assert [one["metadata"]["id"] for one in older["activities"]] == list(range(moved))


def test_document_of_large_activities_stays_below_a_megabyte(
    storage: JSONStorageManager, data_folder: Path
) -> None:
    for number in range(200):
        storage.update_user_activity(7, "note", "x" * 20_000, {"id": number})
    assert exact(data_folder / "users/user_7.json", storage).stat().st_size < 1_000_000
    assert numbers(storage.past(7)) == list(range(200))


def test_older_document_is_trimmed_by_size(
    memory: JSONStorageManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workspace.users.activity_retention.OLDER_BYTES_MAX", 1_000_000)
    for number in range(200):
        memory.update_user_activity(7, "note", "x" * 20_000, {"id": number})
    past = memory.past(7)
    assert numbers(past) == list(range(past.trimmed, 200))
    assert 30 < len(memory.view("activities", 7)) < 50


def test_activities_are_trimmed_by_number(memory: JSONStorageManager, settings: Settings) -> None:
    settings.NEURALFLOW_ACTIVITY_MAX = 700
    for number in range(2_000):
        memory.update_user_activity(7, "task_created", "Added", {"id": number})
    past = memory.past(7)
    assert 700 <= len(past) <= 700 + RECENT_MAX - RECENT_LEFT
    assert numbers(past) == list(range(past.trimmed, 2_000))
    settings.NEURALFLOW_ACTIVITY_MAX = 10
    memory.update_user_activity(7, "task_created", "Added", {"id": 2_000})
    assert numbers(memory.past(7)) == list(range(1_991, 2_001))


def test_account_events_outlast_what_others_do(
    memory: JSONStorageManager, clock: Clock, settings: Settings
) -> None:
    settings.NEURALFLOW_ACTIVITY_MAX = 600
    for number, kind in enumerate(["login", "password_changed", "login_failed", "task_created"]):
        memory.update_user_activity(7, kind, "Alice", {"id": number})
    for number in range(4, 2_000):  # a busy editor of a shared project
        metadata = {"id": number, "by": 8}
        memory.update_user_activity(7, "task_created", "Added", metadata)
    past = memory.past(7)
    assert numbers(past)[:4] == [0, 1, 2, past.trimmed + 3]
    assert len(past) <= 600 + RECENT_MAX - RECENT_LEFT
    assert past.trimmed + len(past) == 2_000
    found, _place = newest(past, [], limit=len(past))
    assert [activity["metadata"]["id"] for activity in reversed(found)] == numbers(past)
    clock.now += timedelta(days=400)
    memory.update_user_activity(7, "task_created", "Added", {"id": 2_000})
    assert numbers(memory.past(7)) == [2_000]


def test_failed_logins_of_strangers_leave_room_for_other_account_events(
    memory: JSONStorageManager, settings: Settings
) -> None:
    settings.NEURALFLOW_ACTIVITY_MAX = 800
    memory.update_user_activity(7, "password_changed", "Alice", {"id": 0})
    for number in range(1, 1_000):
        memory.update_user_activity(7, "login_failed", "A stranger", {"id": number})
    for number in range(1_000, 3_000):
        memory.update_user_activity(7, "task_created", "Added", {"id": number})
    past = numbers(memory.past(7))
    assert past[:51] == [0, *range(950, 1_000)]
    assert past[51] > 1_000


def test_activities_are_trimmed_by_age(
    memory: JSONStorageManager, clock: Clock, settings: Settings
) -> None:
    settings.NEURALFLOW_ACTIVITY_DAYS = 30
    for number in range(80):
        memory.update_user_activity(7, "login", "Signed in", {"id": number})
        clock.now += timedelta(days=1)
    kept = numbers(memory.past(7))
    assert kept == list(range(80 - len(kept), 80))
    assert len(kept) in (30, 31)


def test_older_document_is_trimmed_by_age_on_the_first_change_of_a_day(
    memory: JSONStorageManager, clock: Clock, settings: Settings
) -> None:
    for number in range(RECENT_MAX + 1):
        memory.update_user_activity(7, "login", "Signed in", {"id": number})
    assert len(memory.view("activities", 7)) == RECENT_MAX + 1 - RECENT_LEFT
    clock.now = NOW + timedelta(days=364)
    memory.update_user_activity(7, "login", "Signed in")
    assert len(memory.view("activities", 7)) == RECENT_MAX + 1 - RECENT_LEFT
    clock.now = NOW + timedelta(days=365, seconds=1)
    memory.update_user_activity(7, "login", "Signed in")
    assert len(memory.past(7)) == 2
    assert memory.past(7).trimmed == RECENT_MAX + 1


def test_removed_activities_stay_in_the_history(
    memory: JSONStorageManager, settings: Settings
) -> None:
    settings.NEURALFLOW_ACTIVITY_MAX = 3
    for number in range(5):
        memory.update_user_activity(7, "login", "Signed in", {"id": number})
    assert numbers(memory.past(7)) == [2, 3, 4]
    entries, _ = memory.store.entries(0)
    removed = [
        item["metadata"]["id"]
        for one in entries
        for change in one.changes
        for path, before, _ in change.edits
        if path == ("activities", -1)
        for item in before
    ]
    assert removed == [0, 1]


def test_place_of_a_page_holds_while_activities_move_and_go(
    memory: JSONStorageManager, settings: Settings
) -> None:
    settings.NEURALFLOW_ACTIVITY_MAX = 600
    for number in range(900):
        memory.update_user_activity(7, "login", "Signed in", {"id": number})
    found, place = newest(memory.past(7), [], limit=50)
    assert [one["metadata"]["id"] for one in found] == list(range(899, 849, -1))
    for number in range(900, 1_300):  # both documents change meanwhile
        memory.update_user_activity(7, "login", "Signed in", {"id": number})
    found, place = newest(memory.past(7), [], end=place, limit=50)
    assert [one["metadata"]["id"] for one in found] == list(range(849, 799, -1))
    for number in range(1_300, 1_900):  # and what was to come next is gone
        memory.update_user_activity(7, "login", "Signed in", {"id": number})
    assert newest(memory.past(7), [], end=place, limit=50) == ([], 0)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns"])
def test_heat_map_keeps_its_figures(data_folder: Path, old: JSONStorageManager, zone: str) -> None:
    """Of 12,000 deeds in half a year, 7,000 are removed; one in seven is no deed."""
    begin = NOW - timedelta(days=170)
    activities = [
        entry(
            number,
            begin + timedelta(minutes=20 * number),
            "login" if number % 7 == 0 else "task_updated",
        )
        for number in range(12_000)
    ]
    lay_down(data_folder, activities)
    now = NOW.astimezone(ZoneInfo(zone))
    days = [
        (begin + timedelta(minutes=20 * number)).astimezone(ZoneInfo(zone)).date()
        for number in range(12_000)
        if number % 7
    ]
    while old.retain_activities(7):
        pass
    past = old.past(7)
    assert (len(past), past.trimmed) == (5_000, 7_000)
    heat = heat_of(past, now)
    assert heat.total == len(days)
    counts = {day.date: day.count for week in heat.weeks for day in week.days if day and day.count}
    assert counts == {day: days.count(day) for day in set(days)}


def test_document_of_very_many_activities_moves_in_parts(
    data_folder: Path, old: JSONStorageManager, settings: Settings
) -> None:
    settings.NEURALFLOW_ACTIVITY_MAX = 50_000
    activities = [
        entry(number, NOW - timedelta(seconds=30_000 - number)) for number in range(30_000)
    ]
    lay_down(data_folder, activities)
    begin = old.store.sequence()
    old.create("tasks", 7, {"title": "x"}, activity=Activity("task_created", "Added"))
    assert len(old.view("users", 7)) == 25_001
    assert len(old.past(7)) == 30_001
    old.commit_counts()  # as it does by itself within 5 seconds
    assert len(old.view("users", 7)) == RECENT_LEFT
    assert len(old.past(7)) == 30_001
    assert [one["metadata"]["id"] for one in old.past(7)[:-1]] == list(range(30_000))
    old.publish()  # so that the journal is durable, and told
    moved: list[int] = []
    while begin < old.store.sequence():
        entries, begin = old.store.entries(begin)
        moved += [
            len(before)
            for one in entries
            for change in one.changes
            for path, before, _ in change.edits
            if path[:1] == ("activities",) and path[1:] and int(path[1]) < 0
        ]
    assert max(moved) == 5_000 and sum(moved) == 30_001 - RECENT_LEFT


def test_upkeep_of_a_long_log_counts_for_no_bound_of_the_change(
    data_folder: Path, old: JSONStorageManager
) -> None:
    lay_down(data_folder, [entry(number, NOW) for number in range(2_000)])
    added = Activity("task_created", "Added")
    bounds = Bounds(bytes_max=50_000)
    old.change(7, lambda transaction: None, WriteOptions(activity=added, bounds=bounds))
    assert len(old.view("users", 7)) == RECENT_LEFT
    large = {"large": "x" * 50_000}
    with pytest.raises(TooMuchAtOnce):
        old.change(
            7, lambda change: change.set(key_of("users", 7), large), WriteOptions(bounds=bounds)
        )


def test_reads_alone_make_the_document_small(data_folder: Path, old: JSONStorageManager) -> None:
    lay_down(data_folder, [entry(number, NOW) for number in range(2_000)])
    old.record_read(Actor(7))
    old.commit_counts()  # as it does by itself within 5 seconds
    assert len(old.view("users", 7)) == RECENT_LEFT
    assert len(old.past(7)) == 2_001


def test_full_document_takes_changes_again(
    data_folder: Path,
    old: JSONStorageManager,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    """As one of 256 MiB, with a limit of 1 MB that its file exceeds."""
    monkeypatch.setattr("docstore.backends.files.commits.DOCUMENT_BYTES_MAX", 1_000_000)
    settings.NEURALFLOW_ACTIVITY_MAX = 1_000
    path = lay_down(data_folder, [entry(number, NOW) for number in range(8_000)])
    assert path.stat().st_size > 2_000_000
    old.create("tasks", 7, {"title": "x"}, activity=Activity("task_created", "Added"))
    old.commit_counts()
    old.create("tasks", 7, {"title": "x"}, activity=Activity("task_created", "Added"))
    assert len(old.list("tasks", 7)) == 2
    assert len(old.past(7)) == 1_001
    assert exact(path, old).stat().st_size < 1_000_000


def test_everything_knows_of_older_activities(
    storage: JSONStorageManager, data_folder: Path
) -> None:
    for number in range(RECENT_MAX + 1):
        storage.update_user_activity(7, "login", "Signed in", {"id": number})
    with storage.export(7) as export:
        archive = zipfile.ZipFile(io.BytesIO(b"".join(export)))
    assert "activities/activities_7.json" in archive.namelist()
    assert storage.get_user_data(7)["activities"][-1]["metadata"]["id"] == RECENT_MAX  # type: ignore[index]
    dropped = storage.delete_user_documents(7)
    assert dropped["documents"]["activities"] == RECENT_MAX + 1 - RECENT_LEFT
    storage.publish()
    assert not (data_folder / "activities/activities_7.json").exists()
    assert len(storage.past(7)) == 0


@given(
    sizes=st.lists(st.integers(1, 40), max_size=12),
    days=st.integers(0, 20),
    number=st.integers(0, 60),
)
def test_nothing_is_lost_or_doubled_but_what_is_too_old_or_too_much(
    sizes: list[int], days: int, number: int
) -> None:
    clock = Clock(NOW)
    store = DocumentStore(MemoryBackend(LAYOUTS), LAYOUTS, clock)
    key, limits, logged = key_of("users", 7), RetentionLimits(days, number), list[datetime]()
    store.change(lambda t: t.create(key, {"user_id": 7, "activities": []}))
    manager = JSONStorageManager(store)
    for size in sizes:

        def edit(transaction: Transaction, size: int = size) -> None:
            for _ in range(size):
                transaction.append(key, entry(len(logged), clock.now))
                logged.append(clock.now)
            retain(transaction, 7, limits)

        store.change(edit)
        past = manager.past(7)
        assert numbers(past) == list(range(past.trimmed, len(logged)))
        assert sum(past.trimmed_deeds.values()) == past.trimmed
        assert len(manager.view("users", 7)) <= min(RECENT_MAX, number)
        for at in logged[: past.trimmed]:
            assert at < clock.now - timedelta(days=days) or len(logged) > number
        clock.now += timedelta(days=3)
