"""A person leaves: everything that is theirs goes, and nothing is left unnoticed on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts.models import ApiToken, FormerAccount, User
from accounts.tokens import create_token
from docstore import Unavailable
from tests.conftest import PASSWORD, Capture
from tests.folders import contents
from utils.data_initializer import data_initializer
from utils.json_storage import json_storage
from workspace.membership.members import Memberships

PAGE = "/accounts/delete/"


def signed_in(user: User) -> Client:
    client = Client()
    assert client.login(username=user.username, password=PASSWORD)
    return client


def documents(folder: Path, user_id: int) -> list[str]:
    return [name for name in contents(folder) if name.endswith(f"_{user_id}.json")]


def left(client: Client, password: str = PASSWORD) -> Any:
    return client.post(PAGE, {"password": password})


def findings() -> list[str]:
    return [str(finding) for finding in data_initializer.validate_data_integrity()]


@pytest.fixture
def world(alice: User, bob: User) -> User:
    """Alice with something of everything, and Bob beside her."""
    json_storage.create("projects", alice.pk, {"name": "Vision"})
    json_storage.create("tasks", alice.pk, {"title": "a", "project_id": 1})
    json_storage.create("tasks", bob.pk, {"title": "b"})
    create_token(alice, "laptop")
    data_initializer.initialize_data_structure()
    return alice


class TestThePage:
    def test_it_says_what_goes_and_what_stays(self, world: User) -> None:
        text = signed_in(world).get(PAGE).content.decode()
        assert "Tasks: 1" in text
        assert "history of all changes for 30 days" in text
        assert "Existing backups" in text
        assert reverse("export") in text

    def test_strangers_are_sent_to_sign_in(self, db: None) -> None:
        answer = Client().get(PAGE)
        assert (answer.status_code, answer["Location"]) == (302, f"/accounts/login/?next={PAGE}")

    def test_a_wrong_password_deletes_nothing(self, world: User, data_folder: Path) -> None:
        before = documents(data_folder, world.pk)
        answer = left(signed_in(world), "guessed")
        assert answer.status_code == 200
        assert User.objects.filter(pk=world.pk).exists()
        assert documents(data_folder, world.pk) == before

    def test_guessing_is_limited(self, world: User) -> None:
        client = signed_in(world)
        answers = [left(client, f"guess {n}").status_code for n in range(8)]
        assert 429 in answers
        assert User.objects.filter(pk=world.pk).exists()

    def test_it_needs_proof_of_origin(self, world: User) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(world)
        assert left(client).status_code == 403
        assert User.objects.filter(pk=world.pk).exists()


class TestAfterwards:
    def test_everything_of_the_person_is_gone_and_nothing_of_others(
        self, world: User, bob: User, data_folder: Path
    ) -> None:
        elsewhere, other, here = signed_in(world), signed_in(bob), signed_in(world)
        his = documents(data_folder, bob.pk)
        answer = left(here)
        assert (answer.status_code, answer["Location"]) == (302, "/accounts/deleted/")
        assert documents(data_folder, world.pk) == []
        assert documents(data_folder, bob.pk) == his
        assert not User.objects.filter(pk=world.pk).exists()
        assert not ApiToken.objects.filter(user_id=world.pk).exists()
        for session in Session.objects.all():
            assert session.get_decoded().get("_auth_user_id") != str(world.pk)
        assert elsewhere.get(PAGE).status_code == 302
        assert other.get(PAGE).status_code == 200
        assert findings() == []

    def test_receipt_is_in_the_language_of_its_reader(self, world: User) -> None:
        client = signed_in(world)
        json_storage.change_preferences(world.pk, lambda _: {"language": "es"})
        there = left(client)["Location"]
        text = client.get("/accounts/deleted/receipt.txt", headers={"accept-language": "es"})
        lines = [line for line in text.content.decode().splitlines() if line.startswith("  ")]
        assert [line.partition(":")[0].strip() for line in lines[-3:]] == [
            "Tokens de la API",
            "sesiones",
            "participaciones en proyectos de otras personas",
        ]
        assert "  tareas: 1" in lines
        assert client.get(there).status_code == 200

    def test_the_receipt_is_shown_sent_and_downloaded(self, world: User) -> None:
        client = signed_in(world)
        export = client.get("/accounts/api/export/")
        b"".join(export.streaming_content)
        document = json_storage.get_user_data(world.pk)
        assert document is not None
        digest = document["activities"][-1]["metadata"]["manifest_sha256"]
        answer = left(client)
        (letter,) = mail.outbox
        assert letter.to == ["alice@example.com"]
        page = client.get(answer["Location"])
        file = client.get("/accounts/deleted/receipt.txt")
        assert file["Content-Disposition"].startswith("attachment; ")
        for text in (letter.body, page.content.decode(), file.content.decode()):
            assert f"Account {world.pk} was deleted" in text
            assert "tasks: 1" in text
            assert "API tokens: 1" in text
            assert digest in text
            assert answer["X-Request-ID"] in text
            assert "30 days" in text
        assert "alice" not in file.content.decode()

    def test_memberships_go_both_ways(self, world: User, bob: User) -> None:
        members = Memberships(json_storage)
        json_storage.create("projects", bob.pk, {"name": "His"})
        for owner, guest in ((world, bob), (bob, world)):
            members.invite(owner.pk, 1, guest.username, "editor")
            members.accept(guest.pk, 1)
        client = signed_in(world)
        answer = client.get(left(client)["Location"]).content.decode()
        assert "memberships in projects of others: 1" in answer
        assert json_storage.list("shared", bob.pk) == []
        assert json_storage.get("projects", bob.pk, 1)["team_members"] == []
        assert findings() == []

    def test_nobody_else_has_the_receipt(self, world: User) -> None:
        left(signed_in(world))
        assert Client().get("/accounts/deleted/").status_code == 404
        assert Client().get("/accounts/deleted/receipt.txt").status_code == 404

    def test_mail_that_fails_keeps_nobody_from_leaving(self, world: User, settings: Any) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
        client = signed_in(world)
        page = client.get(left(client)["Location"])
        assert "could not be sent" in page.content.decode()

    def test_the_id_is_never_given_again(
        self, world: User, bob: User, django_capture_on_commit_callbacks: Capture
    ) -> None:
        left(signed_in(bob))
        left(signed_in(world))
        assert FormerAccount.objects.count() == 2
        with django_capture_on_commit_callbacks(execute=True):
            fresh = User.objects.create_user("dora", password=PASSWORD)
        assert fresh.pk > max(world.pk, bob.pk)


class TestCrashes:
    """A process dies between any two steps; what it left is found and finished."""

    def finished(self, data_folder: Path, user_id: int) -> None:
        assert any("--sync-users" in finding for finding in findings())
        assert data_initializer.sync_existing_users().removed == 1
        assert documents(data_folder, user_id) == []
        assert not User.objects.filter(pk=user_id).exists()
        assert findings() == []

    def test_after_the_intent(
        self, world: User, data_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(type(json_storage), "delete_user_documents", _die)
            with pytest.raises(_Killed):
                left(signed_in(world))
        assert signed_in(world).get(PAGE).content.count(b"is not finished") == 1
        self.finished(data_folder, world.pk)

    def test_after_the_documents(
        self, world: User, data_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(User, "delete", _die)
            with pytest.raises(_Killed):
                left(signed_in(world))
        assert documents(data_folder, world.pk) == []
        signed_in(world)  # who notes it among activities, which begins a document
        self.finished(data_folder, world.pk)

    def test_after_the_account(
        self, world: User, data_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        delete = User.delete

        def delete_and_write(user: User) -> None:
            """As a request does that was under way."""
            json_storage.create("tasks", user.pk, {"title": "too late"})
            delete(user)
            monkeypatch.setattr(type(json_storage), "delete_user_documents", _die)

        with monkeypatch.context() as patch:
            patch.setattr(User, "delete", delete_and_write)
            with pytest.raises(_Killed):
                left(signed_in(world))
        monkeypatch.undo()
        assert not User.objects.filter(pk=world.pk).exists()
        assert documents(data_folder, world.pk) != []
        self.finished(data_folder, world.pk)

    def test_a_request_that_was_under_way_leaves_nothing(
        self, world: User, data_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        delete = User.delete

        def delete_and_write(user: User) -> None:
            json_storage.create("tasks", user.pk, {"title": "too late"})
            delete(user)

        monkeypatch.setattr(User, "delete", delete_and_write)
        left(signed_in(world))
        assert documents(data_folder, world.pk) == []

    def test_a_store_that_cannot_be_written_leaves_all_as_it_was(
        self, world: User, data_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise Unavailable("for this test")

        before = documents(data_folder, world.pk)
        monkeypatch.setattr(type(json_storage), "delete_user_documents", refuse)
        answer = left(signed_in(world))
        assert answer.status_code == 503
        assert "Nothing was deleted" in answer.content.decode()
        assert User.objects.get(pk=world.pk).leaving_at is None
        assert documents(data_folder, world.pk) == before

    def test_a_backup_that_brings_them_back_is_noticed(
        self, world: User, data_folder: Path
    ) -> None:
        backup = data_initializer.create_backup().stem
        left(signed_in(world))
        data_initializer.restore_backup(backup)
        assert documents(data_folder, world.pk) != []
        assert data_initializer.adopt_users().usernames == []
        self.finished(data_folder, world.pk)


class _Killed(BaseException):
    """Not an error that anything handles."""


def _die(*_: object) -> None:
    raise _Killed


class TestTheAdministration:
    def test_it_deletes_people_in_the_same_way(
        self, world: User, bob: User, data_folder: Path, django_capture_on_commit_callbacks: Capture
    ) -> None:
        bob.is_staff = bob.is_superuser = True
        bob.save()
        client = signed_in(bob)
        page = f"/admin/accounts/user/{world.pk}/delete/"
        assert b"are deleted too" in client.get(page).content
        with django_capture_on_commit_callbacks(execute=True):
            client.post(page, {"post": "yes"})
        assert not User.objects.filter(pk=world.pk).exists()
        assert documents(data_folder, world.pk) == []
        assert FormerAccount.objects.filter(pk=world.pk).exists()

    def test_the_command_tells_of_it(self, world: User, capsys: pytest.CaptureFixture[str]) -> None:
        from django.core.management import call_command

        User.objects.filter(pk=world.pk).update(leaving_at=world.date_joined)
        call_command("setup_data", "--sync-users", "--json")
        assert json.loads(capsys.readouterr().out)["sync_users"]["removed"] == 1
