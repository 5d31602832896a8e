"""What one request may cost the others is bounded before it is paid, through every door."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from docstore import UNBOUNDED, Bounds, TooMuchAtOnce
from tests.folders import contents, exact
from tests.web.pages import version_in
from tests.workspace.bombs import honest
from tests.workspace.clocks import Clock
from utils.json_storage import JSONStorageManager, json_storage
from workspace.archive.package import InvalidImport
from workspace.bounds import COMMIT_BYTES_MAX, RECORD_BYTES_MAX
from workspace.documents import key_of
from workspace.schema.validation import InvalidRecord
from workspace.users.written_bytes import TooManyBytes

# 600 KB, which no archive packs to less than a hundredth
LARGE = {"text": "".join(random.Random(12).choices("éñüß", k=300_000))}


@pytest.fixture
def owner(alice: User, data_folder: Path) -> int:
    json_storage.create("models", alice.pk, {"name": "large", "parameters": LARGE})
    return alice.pk


def stored(owner: int) -> list[dict[str, Any]]:
    return json_storage.list("models", owner)


@pytest.mark.parametrize(
    "write",
    [
        lambda owner: json_storage.create(
            "models", owner, {"name": "x", "parameters": LARGE, "hyperparameters": LARGE}
        ),
        lambda owner: json_storage.update("models", owner, 1, {"hyperparameters": LARGE}),
        lambda owner: json_storage.update(
            "models", owner, 1, lambda before: {"hyperparameters": LARGE}
        ),
        lambda owner: json_storage.update(
            "models",
            owner,
            1,
            {"name": "x", "mine": LARGE, "hyperparameters": LARGE},
            unknown="keep",
            replace=True,
        ),
        lambda owner: json_storage.save_model_data(owner, {"id": 1, "hyperparameters": LARGE}),
        lambda owner: json_storage.bulk(
            "models", owner, [{"op": "update", "id": 1, "changes": {"hyperparameters": LARGE}}]
        ),
    ],
    ids=["create", "update", "patch", "replace", "save", "bulk"],
)
def test_record_of_more_than_a_mebibyte_is_a_fault_of_the_record(
    owner: int, write: Callable[[int], object]
) -> None:
    before = stored(owner)
    with pytest.raises(InvalidRecord, match=f"at most {RECORD_BYTES_MAX} bytes as JSON"):
        write(owner)
    assert stored(owner) == before


def test_archive_with_a_record_too_large_is_refused_at_its_place(owner: int) -> None:
    record = {"id": 5, "name": "x", "parameters": LARGE, "hyperparameters": LARGE}
    document = json.dumps({"models": [record]}, ensure_ascii=False).encode()
    with pytest.raises(InvalidImport) as caught:
        json_storage.import_archive(
            owner, BytesIO(honest([(f"models/models_{owner}.json", document)]))
        )
    assert caught.value.faults[0].pointer == "/models/0"


def test_file_edited_to_hold_a_record_too_large_is_not_merged(
    owner: int, data_folder: Path
) -> None:
    before = stored(owner)
    path = exact(data_folder / f"models/models_{owner}.json")
    content = json.loads(path.read_text())
    content["models"][0]["hyperparameters"] = LARGE
    path.write_text(json.dumps(content))
    assert stored(owner)[0]["hyperparameters"] == before[0]["hyperparameters"]
    assert "at most" in next(data_folder.glob("models/*.txt")).read_text()


def test_form_says_what_is_wrong_with_a_record_too_large(
    owner: int, client: Client, alice: User
) -> None:
    client.force_login(alice)
    json_storage.update("models", owner, 1, {"mine": "x" * 400_000}, unknown="keep")
    page = client.get("/models/1/edit/")
    form = {bound.name: bound.value() for bound in page.context["form"] if bound.value()}
    form |= {"version": version_in(page), "parameters": "{}"}
    form |= {"hyperparameters": json.dumps({"text": "x" * 700_000})}
    answer = client.post("/models/1/edit/", form)
    assert answer.status_code == 422
    assert f"at most {RECORD_BYTES_MAX} bytes" in answer.content.decode()


def test_record_that_is_too_large_already_may_be_changed_and_shrunk(owner: int) -> None:
    key = key_of("models", owner)
    huge = stored(owner)[0] | {"notes": "x" * 2 * RECORD_BYTES_MAX}
    document = {"models": [huge], "revision": 1, "last_id": 1}
    json_storage.store.change(lambda transaction: transaction.drop(key))
    json_storage.store.change(lambda transaction: transaction.create(key, document))
    json_storage.update("models", owner, 1, {"description": "n"})
    with pytest.raises(InvalidRecord):
        json_storage.update("models", owner, 1, {"description": "n" * 2_000})
    json_storage.update("models", owner, 1, {"parameters": {}})
    assert json_storage.get("models", owner, 1)["parameters"] == {}


def test_change_of_a_field_shares_the_others_with_the_record_before(owner: int) -> None:
    before = json_storage.view("models", owner)[0]
    json_storage.update("models", owner, 1, {"description": "n"})
    assert json_storage.view("models", owner)[0]["parameters"] is before["parameters"]


def test_call_that_changes_too_many_bytes_is_refused(owner: int, data_folder: Path) -> None:
    count = 2 * COMMIT_BYTES_MAX // 600_000
    for _ in range(count):
        json_storage.create("models", owner, {"name": "large", "parameters": LARGE})
    operations = [
        {"op": "update", "id": number, "changes": {"description": "n"}}
        for number in range(1, count + 1)
    ]
    before = stored(owner)
    with pytest.raises(TooMuchAtOnce, match=str(COMMIT_BYTES_MAX)):
        json_storage.bulk("models", owner, operations)
    assert stored(owner) == before
    json_storage.bulk("models", owner, operations[: count // 3])


def test_edit_that_takes_too_long_under_the_lock_is_given_up(owner: int) -> None:
    before = stored(owner)
    key = key_of("models", owner)

    def edit(transaction: Any) -> None:
        while True:
            record = transaction.records(key)[0]
            transaction.put(key, record | {"description": "x"})

    with pytest.raises(TooMuchAtOnce, match="longer than others may have to wait"):
        json_storage.store.change(edit, bounds=Bounds(seconds_max=0.02))
    assert stored(owner) == before
    json_storage.store.change(lambda transaction: transaction.records(key), bounds=UNBOUNDED)


def test_page_past_the_burst_is_answered_429(
    client: Client, alice: User, settings: Any, data_folder: Path
) -> None:
    settings.NEURALFLOW_BURST = (3, 3600)
    client.force_login(alice)
    before = contents(data_folder)
    statuses = [client.get(path).status_code for path in ("/tasks/", "/nowhere/", "/tasks/9/")]
    assert statuses == [200, 404, 404]
    refused = client.post("/tasks/new/", {"title": "x"})
    assert (refused.status_code, refused["Retry-After"]) == (429, "1200")
    assert contents(data_folder) == before


def test_person_who_wrote_an_hours_bytes_waits_and_others_do_not(
    storage: JSONStorageManager, clock: Clock, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workspace.unit_of_work.HOURLY_BYTES_MIN", 1)
    settings.NEURALFLOW_HISTORY_BYTES = 8_000_000  # of which one may write an eighth in an hour
    for person in (7, 8):
        storage.save_user_data(User(pk=person, username=f"p{person}"), lay_out=True)
    storage.create("models", 7, {"name": "x", "parameters": {"text": "x" * 900_000}})
    storage.update("models", 7, 1, {"description": "n"})
    with pytest.raises(TooManyBytes) as caught:
        storage.update("models", 7, 1, {"description": "m"})
    assert 0 < caught.value.retry_after <= 3600
    storage.create("tasks", 8, {"title": "x"})
    clock.now += timedelta(seconds=caught.value.retry_after)
    storage.update("models", 7, 1, {"description": "m"})
