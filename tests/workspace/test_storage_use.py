"""The space of one person: full for what makes files larger, open for all else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from docstore.backends.files.backend import FilesBackend
from tests.api.conftest import Caller as Program
from tests.web.pages import text_of
from utils.json_storage import json_storage
from workspace.actor import Actor
from workspace.documents import key_of
from workspace.idempotency import IdempotencyKey, TooManyKeys
from workspace.membership.members import Memberships
from workspace.users.storage_use import StorageFull

LIMIT = 4_000_000
LARGE = {"parameters": {"text": "x" * 900_000}}


@pytest.fixture
def owner(alice: User, data_folder: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    settings.NEURALFLOW_STORAGE_BYTES = LIMIT
    # The history is counted in the background, at some time.
    monkeypatch.setattr("workspace.users.storage_use.HISTORY_OF_LIMIT", 0)
    json_storage.create("tasks", alice.pk, {"title": "Train"})
    return alice.pk


def fill(write: Callable[[], object], most: int = 10) -> int:
    """How often it could be written; files are exact before each."""
    for count in range(most):
        json_storage.publish()
        try:
            write()
        except StorageFull:
            return count
    return most


def test_full_space_takes_what_makes_it_smaller_and_a_few_bytes(owner: int) -> None:
    assert fill(lambda: json_storage.create("models", owner, {"name": "x", **LARGE})) == 4
    storage = json_storage.storage(owner)
    assert storage.limit == LIMIT
    assert LIMIT - 500_000 < storage.used < LIMIT
    with pytest.raises(StorageFull, match=f"your files have {storage.used} of {LIMIT} bytes"):
        json_storage.bulk("models", owner, [{"op": "create", "record": {"name": "x", **LARGE}}] * 2)
    json_storage.update("tasks", owner, 1, {"status": "completed"})
    json_storage.update("models", owner, 1, {"parameters": {}})
    json_storage.delete("models", owner, 2)
    assert fill(lambda: json_storage.create("models", owner, {"name": "x", **LARGE})) == 2


def test_editor_cannot_fill_the_owners_space(owner: int, bob: User) -> None:
    json_storage.create("projects", owner, {"name": "Shared"})
    members = Memberships(json_storage)
    members.invite(owner, 1, bob.username, "editor")
    members.accept(bob.pk, 1)
    large = {"title": "x", "project_id": 1, "metadata": {"text": "x" * 700_000}}

    def write() -> None:
        json_storage.create("tasks", owner, large, caller=Actor(bob.pk))

    assert fill(write) == 4
    with pytest.raises(StorageFull, match="the owner's files"):
        write()
    json_storage.create("models", owner, {"name": "mine", **LARGE})


def test_api_and_pages_tell_the_space_and_that_it_is_full(
    owner: int, alice: User, client: Client, settings: Any
) -> None:
    program = Program(alice)
    storage = program.get("quota/").json()["storage"]
    assert storage["used"] + storage["remaining"] == storage["limit"] == LIMIT
    settings.NEURALFLOW_STORAGE_BYTES = 10
    problem = program.post("tasks/", {"title": "x"})
    assert problem.status_code == 507
    assert problem.json()["type"] == "/problems/storage-full"
    assert "delete records" in problem.json()["detail"]
    assert "Retry-After" not in problem
    client.force_login(alice)
    assert "10 bytes used" in text_of(client.get("/files/")).replace("\xa0", " ")
    refused = client.post("/tasks/new/", {"title": "x", "priority": "medium", "status": "pending"})
    assert refused.status_code == 507
    assert "ask the operator for more space" in text_of(refused)
    settings.NEURALFLOW_STORAGE_BYTES = 0
    assert program.get("quota/").json()["storage"]["limit"] is None


def test_retained_answers_are_bounded_by_their_bytes(
    owner: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workspace.idempotency.KEPT_BYTES_MAX", 2_000_000)
    json_storage.create("models", owner, {"name": "x", **LARGE})

    def write(number: int) -> None:
        changes = {"description": str(number)}
        json_storage.update("models", owner, 1, changes, once=IdempotencyKey(str(number), "same"))

    write(1)
    write(2)
    with pytest.raises(TooManyKeys) as caught:
        write(3)
    assert 0 < caught.value.retry_after <= 24 * 3600 + 1
    assert json_storage.get("models", owner, 1)["description"] == "2"


def count_usage() -> None:
    json_storage.publish()
    backend = json_storage.store.backend
    assert isinstance(backend, FilesBackend)
    backend.count_usage()


def test_history_share_counts_up_to_half_of_the_space(
    owner: int, alice: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workspace.users.storage_use.HISTORY_OF_LIMIT", 1 / 2)
    json_storage.create("models", owner, {"name": "x", **LARGE})
    count_usage()
    storage = Program(alice).get("quota/").json()["storage"]
    assert 900_000 < storage["history"] < 1_100_000
    assert storage["used"] == storage["files"] + storage["set_aside"] + storage["history"]
    for text in ("y", "z"):
        json_storage.update("models", owner, 1, {"parameters": {"text": text * 900_000}})
    count_usage()
    assert json_storage.storage(owner).history == LIMIT // 2
    assert fill(lambda: json_storage.create("models", owner, {"name": "x", **LARGE})) == 1
    with pytest.raises(StorageFull, match="wait until older changes leave the history"):
        json_storage.create("models", owner, {"name": "x", **LARGE})
    json_storage.create("tasks", owner, {"title": "A few bytes"})
    client.force_login(alice)
    page = text_of(client.get("/files/")).replace("\xa0", " ")
    assert "history of your changes 1.9 MB" in page


def test_history_share_excludes_the_changes_of_others(owner: int, bob: User) -> None:
    json_storage.create("models", bob.pk, {"name": "x", **LARGE})
    count_usage()
    backend = json_storage.store.backend
    assert backend.history_bytes(str(bob.pk)) > 900_000
    assert backend.history_bytes(str(owner)) < 10_000


def test_set_aside_version_counts_until_discarded(
    owner: int, alice: User, bob: User, client: Client
) -> None:
    json_storage.create("models", owner, {"name": "x", **LARGE})
    json_storage.publish()
    key = key_of("models", owner)
    name = json_storage.store.set_aside(key, ["not applied"])
    count_usage()
    storage = json_storage.storage(owner)
    size = json_storage.store.backend.size(key)
    assert storage.asides == size + len("not applied\n")
    assert storage.used == storage.files + storage.asides
    assert json_storage.storage(bob.pk).asides == 0
    assert fill(lambda: json_storage.create("models", owner, {"name": "x", **LARGE})) == 2
    client.force_login(alice)
    page = text_of(client.get("/files/")).replace("\xa0", " ")
    assert "Nearly full: delete records or discard set-aside versions" in page
    json_storage.store.discard_aside(key, name)
    assert json_storage.storage(owner).asides < 100
    json_storage.create("models", owner, {"name": "x", **LARGE})
    count_usage()
    assert json_storage.storage(owner).asides == 0
