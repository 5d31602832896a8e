import hashlib
import io
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.models import ApiToken, User
from accounts.tokens import create_token, live_token
from tests.folders import contents
from utils.json_storage import json_storage

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("create_token", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def owner_of(text: str) -> User:
    token = live_token(text)
    assert token is not None
    return token.user


def test_the_command_prints_a_token_that_works(alice: User) -> None:
    out, err = run("alice", "--name", "notebook")
    assert out.startswith("nf_")
    assert out.count("\n") == 1
    assert "cannot be shown again" in err
    assert owner_of(out.strip()) == alice
    token = ApiToken.objects.get()
    assert (token.name, token.prefix) == ("notebook", out[:8])


@pytest.mark.parametrize("name", ["Alice", "alice@example.com"])
def test_the_command_knows_names_as_the_sign_in_does(alice: User, name: str) -> None:
    assert owner_of(run(name)[0].strip()) == alice


def test_the_command_says_what_is_wrong(alice: User) -> None:
    with pytest.raises(CommandError, match="no account with the name or address 'nobody'"):
        run("nobody")
    with pytest.raises(CommandError, match="100 characters"):
        run("alice", "--name", "x" * 101)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    with pytest.raises(CommandError, match="not active"):
        run("alice")
    assert not ApiToken.objects.exists()


def test_only_the_digest_is_kept(alice: User, data_folder: Path) -> None:
    token, text = create_token(alice, "laptop")
    assert token.digest == hashlib.sha256(text.encode()).hexdigest()
    row = str(ApiToken.objects.values().get())
    assert text not in row
    assert text[8:] not in row


def test_no_file_of_the_data_folder_holds_a_token(alice: User, data_folder: Path) -> None:
    token, text = create_token(alice, "laptop")
    alice.save()
    json_storage.close()  # of the journal, too, nothing is on its way any more
    files = contents(data_folder, but=())
    assert f"users/user_{alice.pk}.json" in files
    for content in files.values():
        assert text[3:].encode() not in content
        assert token.digest.encode() not in content


@pytest.mark.parametrize(
    "text", ["", "nf_", "nf_unknown", "Bearer", "nf_" + "x" * 1000, "nf_\ud800"]
)
def test_anything_else_opens_nothing(alice: User, text: str) -> None:
    create_token(alice)
    assert live_token(text) is None


def test_tokens_of_inactive_accounts_open_nothing(alice: User) -> None:
    _, text = create_token(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert live_token(text) is None


def test_a_deleted_token_opens_nothing(alice: User) -> None:
    token, text = create_token(alice)
    token.delete()
    assert live_token(text) is None


def test_the_last_use_is_written_at_most_once_a_minute(alice: User) -> None:
    token, text = create_token(alice)
    for used, written in ((None, True), (timedelta(seconds=50), False), (timedelta(61), True)):
        before = used and timezone.now() - used
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=before)
        live_token(text)
        token.refresh_from_db()
        assert (token.last_used_at != before) is written


def test_the_administration_shows_neither_token_nor_digest(client: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    token, text = create_token(alice, "laptop")
    client.force_login(alice)
    for address in ("/admin/accounts/apitoken/", f"/admin/accounts/apitoken/{token.pk}/change/"):
        page = client.get(address).content.decode()
        assert "laptop" in page
        assert token.digest not in page
        assert text not in page
    assert client.get("/admin/accounts/apitoken/add/").status_code == 403
