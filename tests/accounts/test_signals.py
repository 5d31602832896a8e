"""The mirror: told after commit, never losing what the store knows, never in a person's way."""

import logging
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db import connection, transaction
from django.test import Client

from accounts.models import User
from docstore import NotFound, OutOfSpace, Unavailable
from tests.conftest import PASSWORD
from tests.folders import exact
from utils.json_storage import json_storage
from workspace.schema.validation import COLLECTIONS

pytestmark = pytest.mark.django_db(transaction=True)


def stored(user: User) -> dict[str, Any]:
    document = json_storage.get_user_data(user.pk)
    assert document is not None
    return document


def test_a_save_keeps_activities_quota_and_unknown_keys(alice: User, data_folder: Path) -> None:
    json_storage.update_user_activity(alice.pk, "task_created", "Made a task")
    for _ in range(3):
        json_storage.create("tasks", alice.pk, {"title": "Count me"}, metered=True)
    before = stored(alice)
    alice.first_name = "Alice"
    alice.save()
    after = stored(alice)
    assert after["first_name"] == "Alice"
    assert after["activities"] == before["activities"]
    assert after["api_calls_used"] == 3


def test_the_account_and_the_table_agree_on_choices_and_defaults() -> None:
    shared = 0
    for field in COLLECTIONS["users"].fields:
        try:
            of_account: Any = User._meta.get_field(field.name)
        except FieldDoesNotExist:
            continue
        choices = tuple(value for value, _ in of_account.choices or ())
        assert choices == field.choices, field.name
        if not field.read_only or field.name == "api_calls_limit":
            assert of_account.get_default() == field.default, field.name
        shared += 1
    assert shared > 20


def test_nothing_is_told_before_commit_nor_after_a_rollback(alice: User) -> None:
    with transaction.atomic():
        alice.first_name = "Uncommitted"
        alice.save()
        assert stored(alice)["first_name"] == ""
        transaction.set_rollback(True)
    assert stored(alice)["first_name"] == ""


def test_an_account_that_was_not_committed_leaves_no_documents(data_folder: Path) -> None:
    with transaction.atomic():
        user = User.objects.create_user("ghost", "ghost@example.com", PASSWORD)
        transaction.set_rollback(True)
    assert json_storage.get_user_data(user.pk) is None
    assert not exact(data_folder / "tasks" / f"tasks_{user.pk}.json").exists()


def test_the_mirror_shows_the_newest_state_not_the_copy_in_hand(alice: User) -> None:
    old_copy = User.objects.get(pk=alice.pk)
    User.objects.filter(pk=alice.pk).update(location="Oxford")
    old_copy.save(update_fields=["first_name"])
    assert stored(alice)["location"] == "Oxford"


def test_a_mirror_that_waited_for_its_turn_shows_what_was_saved_meanwhile(alice: User) -> None:
    def mirror() -> None:
        json_storage.mirror_account(alice.pk)
        connection.close()

    with json_storage.store.backend.exclusive():
        late = Thread(target=mirror)
        late.start()
        late.join(0.3)  # long enough to have read the account, had it not waited
        User.objects.filter(pk=alice.pk).update(location="Oxford")
    late.join()
    assert stored(alice)["location"] == "Oxford"


@pytest.mark.parametrize(
    "fault", [Unavailable("the disk is away"), OutOfSpace("full"), OSError(5, "input/output")]
)
def test_a_failing_store_keeps_nobody_out(
    client: Client,
    alice: User,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: Exception,
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise fault

    monkeypatch.setattr(json_storage, "mirror_account", refuse)
    form = {"login": "alice", "password": PASSWORD}
    with caplog.at_level(logging.ERROR):
        assert client.post("/accounts/login/", form).status_code == 302
    alice.refresh_from_db()
    assert alice.mirror_faults == 1
    assert client.session["_auth_user_id"] == str(alice.pk)
    record = next(record for record in caplog.records if record.name == "accounts.signals")
    assert record.exc_info


def test_an_account_made_while_the_store_fails_is_whole_once_it_is_back(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise Unavailable("the disk is away")

    with monkeypatch.context() as patch:
        patch.setattr(json_storage, "mirror_account", refuse)
        user = User.objects.create_user("late", "late@example.com", PASSWORD)
    assert json_storage.get_user_data(user.pk) is None
    client.post("/accounts/login/", {"login": "late", "password": PASSWORD})
    assert stored(user)["username"] == "late"


def test_a_corrupt_document_is_left_and_the_person_gets_in(
    client: Client, alice: User, data_folder: Path
) -> None:
    path = exact(data_folder / "users" / f"user_{alice.pk}.json")
    path.write_text("{ broken")
    form = {"login": "alice", "password": PASSWORD}
    assert client.post("/accounts/login/", form).status_code == 302
    assert exact(path).read_text() == "{ broken"


def test_deleting_an_account_leaves_its_documents_to_nobody(alice: User, data_folder: Path) -> None:
    owner = alice.pk
    json_storage.save_task_data(owner, {"title": "Left behind"})
    alice.delete()
    assert exact(data_folder / "tasks" / f"tasks_{owner}.json").exists()
    assert User.objects.create_user("heir", "heir@example.com", PASSWORD).pk > owner


def test_the_administration_says_that_documents_go_too(client: Client, alice: User) -> None:
    root = User.objects.create_superuser("root", "root@example.com", PASSWORD)
    client.force_login(root)
    page = client.get(f"/admin/accounts/user/{alice.pk}/delete/").content.decode()
    assert "Their tasks, projects, models" in page
    chosen = {"action": "delete_selected", "_selected_action": [str(alice.pk)]}
    page = client.post("/admin/accounts/user/", chosen).content.decode()
    assert "are deleted too" in page


def test_the_administration_can_make_and_change_accounts(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root", "root@example.com", PASSWORD))
    form = {
        "username": "made",
        "email": "made@example.com",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
    }
    assert client.post("/admin/accounts/user/add/", form).status_code == 302
    made = User.objects.get(username="made")
    assert stored(made)["activities"][0]["type"] == "account_created"
    for page in (f"user/{made.pk}/change/", "user/", "apitoken/"):
        assert client.get(f"/admin/accounts/{page}").status_code == 200


def test_account_whose_documents_were_not_begun_can_store_tasks(data_folder: Path) -> None:
    user = User.objects.create_user("dora", "dora@example.com", PASSWORD)
    for document in data_folder.glob("*/*_*.json"):
        document.unlink()
    json_storage.close()
    assert json_storage.save_task_data(user.pk, {"title": "First"})["id"] == 1
    with pytest.raises(NotFound, match="there is no person 999"):
        json_storage.save_task_data(999, {"title": "Nobody's"})
    assert not list(data_folder.glob("*/*_999.json"))
