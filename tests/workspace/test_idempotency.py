"""Calls with an idempotency key: one effect, one count, one answer, whoever asks and how often."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from docstore import DocumentStore
from docstore.backends.files.backend import FilesBackend
from tests.folders import contents, exact
from tests.harness.planted import NOTHING_DONE, planted, returning
from tests.utils.processes import started, told_by
from tests.workspace.clocks import LAYOUTS, Clock
from utils.json_storage import JSONStorageManager, json_storage
from workspace import idempotency as once_module
from workspace import unit_of_work
from workspace.actor import Actor
from workspace.idempotency import KEPT_MAX, IdempotencyKey, KeyReused, TooManyKeys
from workspace.schema.validation import InvalidRecord
from workspace.users.document import Activity
from workspace.users.quota import QuotaExceeded


def create(storage: JSONStorageManager, once: IdempotencyKey, title: str = "x") -> dict[str, Any]:
    return storage.create(
        "tasks", 7, {"title": title}, once=once, metered=True, activity=Activity("x", title)
    )


def test_a_call_made_again_is_answered_as_it_was_and_changes_nothing(
    storage: JSONStorageManager, data_folder: Path
) -> None:
    first = create(storage, once := IdempotencyKey("k1", "f1"))
    assert not once.replayed
    changed = storage.update(
        "tasks", 7, 1, {"title": "y"}, once=IdempotencyKey("k2", "f2"), metered=True
    )
    removed = storage.delete("tasks", 7, 1, once=IdempotencyKey("k3", "f3"), metered=True)
    storage.publish()
    before = contents(data_folder)
    storage.close()  # a restart
    calls: list[tuple[Any, Callable[[IdempotencyKey], Any], IdempotencyKey]] = [
        (first, lambda once: create(storage, once), IdempotencyKey("k1", "f1")),
        (
            changed,
            lambda once: storage.update("tasks", 7, 1, {"title": "y"}, once=once, metered=True),
            IdempotencyKey("k2", "f2"),
        ),
        (
            removed,
            lambda once: storage.delete("tasks", 7, 1, once=once, metered=True),
            IdempotencyKey("k3", "f3"),
        ),
    ]
    for answer, again, once in calls:
        assert again(once) == answer
        assert once.replayed
    storage.publish()
    assert contents(data_folder) == before
    assert storage.quota(7).used == 3


def test_the_key_of_another_call_is_refused_and_another_persons_is_not_it(
    storage: JSONStorageManager, data_folder: Path
) -> None:
    storage.save_user_data(User(pk=8, username="bob"))
    create(storage, IdempotencyKey("k", "f"))
    storage.publish()
    before = contents(data_folder)
    with pytest.raises(KeyReused):
        create(storage, IdempotencyKey("k", "other"))
    storage.publish()
    assert contents(data_folder) == before
    bobs = storage.create("tasks", 8, {"title": "bob's"}, once=IdempotencyKey("k", "f"))
    assert bobs["title"] == "bob's"


def test_idempotency_key_refused_request_is_not_stored(storage: JSONStorageManager) -> None:
    with pytest.raises(InvalidRecord):
        create(storage, IdempotencyKey("k", "f"), title="")
    storage.save_user_data(User(pk=7, username="alice", api_calls_limit=0))
    with pytest.raises(QuotaExceeded):
        create(storage, IdempotencyKey("k", "f"))
    storage.save_user_data(User(pk=7, username="alice", api_calls_limit=1))
    create(storage, IdempotencyKey("k", "f"))
    create(storage, once := IdempotencyKey("k", "f"))  # no call is left for it, and none is needed
    assert once.replayed


def test_answers_are_kept_for_a_day_and_let_go_of_at_the_next_write(
    storage: JSONStorageManager, clock: Clock, data_folder: Path
) -> None:
    create(storage, IdempotencyKey("early", "f"))
    clock.now += timedelta(hours=23)
    create(storage, IdempotencyKey("late", "f"))
    clock.now += timedelta(minutes=59)
    create(storage, once := IdempotencyKey("early", "f"))
    assert once.replayed
    clock.now += timedelta(minutes=1)
    create(storage, once := IdempotencyKey("early", "g"))
    assert not once.replayed
    file = exact(data_folder / "requests/requests_7.json", storage)
    kept = json.loads(file.read_bytes())["requests"]
    assert [entry["key"] for entry in kept] == ["late", "early"]


def test_rather_than_forget_a_promise_no_more_are_made(
    storage: JSONStorageManager, clock: Clock, data_folder: Path
) -> None:
    create(storage, IdempotencyKey("first", "f"))
    path = exact(data_folder / "requests/requests_7.json", storage)
    document = json.loads(path.read_bytes())
    entry = document["requests"][0]
    document["requests"] += [entry | {"id": n, "key": f"k{n}"} for n in range(2, KEPT_MAX + 1)]
    path.write_text(json.dumps(document))
    clock.now += timedelta(hours=1)
    before = storage.quota(7)
    with pytest.raises(TooManyKeys) as caught:
        create(storage, IdempotencyKey("one more", "f"))
    assert 82_800 <= caught.value.retry_after <= 82_801
    assert storage.quota(7).used == before.used
    create(storage, once := IdempotencyKey(f"k{KEPT_MAX}", "f"))
    assert once.replayed
    clock.now += timedelta(seconds=caught.value.retry_after)
    create(storage, once := IdempotencyKey("one more", "f"))
    assert not once.replayed


def test_expired_record_edited_by_hand_does_not_prevent_further_keys(
    storage: JSONStorageManager, clock: Clock, data_folder: Path
) -> None:
    expired = {"key": "first", "at": "2020-01-01T00:00:00Z", "answer": {}}
    strange = [expired, expired | {"id": "x"}, expired | {"id": 8}, expired | {"id": 8}, None]
    path = data_folder / "requests/requests_7.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"requests": [expired | {"id": 1}, *strange]}))
    create(storage, IdempotencyKey("second", "f"))
    create(storage, once := IdempotencyKey("second", "f"))
    assert once.replayed
    stored = json.loads(exact(path, storage).read_bytes())["requests"]
    assert stored[:-1] == strange and stored[-1]["key"] == "second"


CALLER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from docstore import open_store
from workspace.actor import Actor
from utils.json_storage import JSONStorageManager
from workspace.idempotency import IdempotencyKey
from workspace.schema.validation import COLLECTIONS

url, name, keys = sys.argv[1], sys.argv[2], int(sys.argv[3])
storage = JSONStorageManager(open_store(url, [spec.layout for spec in COLLECTIONS.values()]))

def call(number):
    once = IdempotencyKey(f"key {number}", f"call {number}")
    task = storage.create("tasks", 7, {"title": name}, once=once, metered=True)
    return f"{number} {task['id']} {task['title']} {once.replayed}"

print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(4) as pool:
    told = list(pool.map(call, [number for number in range(keys) for _ in range(3)]))
storage.close()
print(*told, sep="\\n")
"""


def test_idempotency_key_concurrent_processes_have_one_effect(
    data_folder: Path,
) -> None:
    keys = 12
    json_storage.save_user_data(User(pk=7, username="alice"))
    callers = [started(CALLER, data_folder.as_uri(), name, keys) for name in "abcd"]
    told = [line.split() for out in told_by(callers) for line in out.splitlines()]
    assert len(told) == 4 * 3 * keys
    first = [line for line in told if line[3] == "False"]
    assert len(first) == len({line[0] for line in first}) == keys
    answers = {(number, task, title) for number, task, title, _ in told}
    assert len(answers) == keys, "two who used one key were told different things"
    tasks = json_storage.list("tasks", 7)
    assert {(str(task["id"]), task["title"]) for task in tasks} == {one[1:] for one in answers}
    assert json_storage.quota(7).used == keys


def test_threads_of_one_process_too(storage: JSONStorageManager) -> None:
    def call(number: int) -> bool:
        create(storage, once := IdempotencyKey("one key", "f"), title=f"by {number}")
        return once.replayed

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(call, range(16))) == [False] + 15 * [True]
    assert len(storage.list("tasks", 7)) == storage.quota(7).used == 1


def test_planted_bugs_are_caught(data_folder: Path, clock: Clock) -> None:
    """A promise not kept, one kept for another's key, and one that is counted twice."""
    for owner, seam, wrong in (
        (unit_of_work, "store_response", NOTHING_DONE),
        (once_module, "_refuse_other_call", NOTHING_DONE),
        (once_module, "_is_kept", returning(False)),
    ):
        store = DocumentStore(FilesBackend(data_folder / seam, LAYOUTS), LAYOUTS, clock)
        manager = JSONStorageManager(store)
        manager.save_user_data(User(pk=7, username="alice"))
        with planted(owner, seam, wrong), pytest.raises(AssertionError):
            check_promises(manager)
        manager.close()


def check_promises(storage: JSONStorageManager) -> None:
    caller = Actor(7)
    for _ in range(2):
        storage.create(
            "tasks", 7, {"title": "x"}, caller=caller, once=IdempotencyKey("k", "f"), metered=True
        )
    assert storage.quota(7).used == 1
    try:
        storage.create("tasks", 7, {"title": "y"}, once=IdempotencyKey("k", "g"))
    except KeyReused:
        return
    raise AssertionError("the key of another call was taken")


def test_the_promises_hold_without_a_bug(storage: JSONStorageManager) -> None:
    check_promises(storage)
