import hashlib
import io
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.models import ApiToken, User
from accounts.tokens import TOKENS_MAX, create_token, live_token, revoke
from api.operation import Operation
from tests.conftest import PASSWORD, prove_who_asks
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


@pytest.mark.parametrize("door", ["login", "signup"])
def test_token_right_after_log_in_needs_no_password_again(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    if door == "login":
        client.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
    else:
        form = {"username": "dora", "email": "dora@example.com"}
        client.post("/accounts/signup/", form | dict.fromkeys(["password1", "password2"], PASSWORD))
    form = {"name": "Notebook", "scopes": ["read"], "lifetime": "30d"}
    assert client.post("/accounts/tokens/", form).status_code == 201
    later = time.time() + 301
    monkeypatch.setattr(time, "time", lambda: later)
    answer = client.post("/accounts/tokens/", form)
    assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert ApiToken.objects.count() == 1


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


def api(text: str, method: str, path: str) -> Any:
    client = Client(headers={"authorization": f"Bearer {text}"})
    body = '{"title": "Made"}' if path.startswith("tasks") else '{"name": "Made"}'
    return client.generic(method, f"/accounts/api/{path}", body, "application/json")


def test_a_token_ends_at_the_moment_that_it_was_given(alice: User) -> None:
    token, text = create_token(alice, lifetime=timedelta(days=90))
    assert token.expires_at is not None
    assert timedelta(days=89) < token.expires_at - timezone.now() <= timedelta(days=90)
    assert not tokens.is_valid(token, token.expires_at)
    assert tokens.is_valid(token, token.expires_at - timedelta(microseconds=1))
    assert api(text, "GET", "tasks/").status_code == 200
    ApiToken.objects.update(expires_at=timezone.now())
    assert api(text, "GET", "tasks/").status_code == 401


def test_a_revoked_token_opens_nothing_and_is_revoked_once(alice: User) -> None:
    token, text = create_token(alice, "laptop")
    assert revoke(token)
    assert api(text, "GET", "tasks/").status_code == 401
    assert not revoke(token)
    told = [activity["type"] for activity in json_storage.activities(alice.pk)]
    assert told == ["token_revoked", "token_created", "account_created"]
    assert text not in str(json_storage.get_user_data(alice.pk))


@pytest.mark.parametrize("planted", ["expiry ignored", "revocation ignored", "scopes ignored"])
def test_the_tests_would_notice(alice: User, planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if planted == "scopes ignored":
        monkeypatch.setattr(Operation, "allowed_by", lambda *_: True)
        with pytest.raises(AssertionError):
            test_scopes_are_held(alice, "read", "POST", "tasks/", False)
        return

    def is_valid(token: ApiToken, now: datetime) -> bool:
        without = {
            "expiry ignored": {"expires_at": None},
            "revocation ignored": {"revoked_at": None},
        }
        return right(
            ApiToken(
                **{"expires_at": token.expires_at, "revoked_at": token.revoked_at}
                | without[planted]
            ),
            now,
        )

    right = tokens.is_valid
    monkeypatch.setattr(tokens, "is_valid", is_valid)
    test = (
        test_a_token_ends_at_the_moment_that_it_was_given
        if planted == "expiry ignored"
        else test_a_revoked_token_opens_nothing_and_is_revoked_once
    )
    with pytest.raises(AssertionError):
        test(alice)


@pytest.mark.parametrize(
    ("scopes", "method", "path", "allowed"),
    [
        ("read", "GET", "tasks/", True),
        ("read", "GET", "dashboard/", True),
        ("read", "HEAD", "tasks/", True),
        ("read", "POST", "tasks/", False),
        ("write", "POST", "tasks/", True),
        ("write", "GET", "dashboard/", True),
        ("tasks:read", "GET", "tasks/", True),
        ("tasks:read", "POST", "tasks/", False),
        ("tasks:read", "GET", "projects/", False),
        ("tasks:read", "GET", "dashboard/", False),
        ("tasks:write", "GET", "tasks/", True),
        ("tasks:write", "POST", "tasks/", True),
        ("tasks:write", "POST", "projects/", False),
        ("tasks:write", "DELETE", "models/1/", False),
        ("tasks:write models:read", "GET", "models/", True),
        ("tasks:write models:read", "POST", "models/", False),
    ],
)
def test_scopes_are_held(alice: User, scopes: str, method: str, path: str, allowed: bool) -> None:
    _, text = create_token(alice, scopes=scopes.split())
    answer = api(text, method, path)
    assert (answer.status_code in {200, 201}) is allowed
    if not allowed:
        assert answer.status_code == 403
        assert answer.json()["type"] == "/problems/insufficient-scope"
        assert 'error="insufficient_scope"' in answer["WWW-Authenticate"]
        assert alice.api_tokens.count() == 1


def test_the_command_limits_what_it_makes(alice: User) -> None:
    out, err = run("alice", "--scope", "tasks:write", "--scope", "models:read", "--expires", "90d")
    token = live_token(out.strip())
    assert token is not None
    assert token.scopes == ["tasks:write", "models:read"]
    assert "valid until" in err
    for expires in ("0d", "90", "-1d", "9000w", "\u0661d", "1y", "999999999d"):
        with pytest.raises(CommandError, match="12h, 90d or 52w"):
            run("alice", f"--expires={expires}")
    with pytest.raises(CommandError, match="invalid choice"):
        run("alice", "--scope", "admin")


def test_the_operator_lists_and_revokes(alice: User, bob: User) -> None:
    kept, revoked = create_token(alice, "kept"), create_token(alice, "gone")
    foreign = create_token(bob)

    def told(*arguments: str) -> str:
        out = io.StringIO()
        call_command("tokens", *arguments, stdout=out)
        return out.getvalue()

    assert told("alice", "--revoke", str(revoked[0].pk)) == "Revoked 1 token.\n"
    gone, still = told("alice").splitlines()
    assert "revoked  write" in gone
    assert still.startswith(f"{kept[0].pk}  {kept[0].prefix}…  valid  write")
    with pytest.raises(CommandError, match="no token"):
        told("alice", "--revoke", str(foreign[0].pk))
    assert told("alice", "--revoke", "all") == "Revoked 1 token.\n"
    assert live_token(kept[1]) is None
    assert live_token(foreign[1]) is not None


def test_the_page_makes_shows_once_and_revokes(client: Client, alice: User) -> None:
    client.force_login(alice)
    prove_who_asks(client)
    form = {"name": "Notebook", "scopes": ["tasks:write"], "lifetime": "30d"}
    page = client.post("/accounts/tokens/", form)
    assert page.status_code == 201
    assert "no-store" in page["Cache-Control"]
    text = page.context["text"]
    assert text in page.content.decode()
    assert api(text, "POST", "tasks/").status_code == 201
    again = client.get("/accounts/tokens/").content.decode()
    assert text not in again
    assert "Notebook" in again
    token = ApiToken.objects.get()
    address = f"/accounts/tokens/{token.pk}/revoke/"
    assert client.get(address).status_code == 405
    assert client.post(address).status_code == 302
    assert api(text, "GET", "tasks/").status_code == 401
    assert "Revoked" in client.get("/accounts/tokens/").content.decode()


@pytest.mark.parametrize(
    "spoilt",
    [{"name": ""}, {"name": "a\x1bb"}, {"scopes": []}, {"scopes": ["admin"]}, {"lifetime": "9y"}],
)
def test_the_page_refuses(client: Client, alice: User, spoilt: dict[str, Any]) -> None:
    client.force_login(alice)
    prove_who_asks(client)
    form = {"name": "Notebook", "scopes": ["read"], "lifetime": "30d"} | spoilt
    assert client.post("/accounts/tokens/", form).status_code == 200
    assert not ApiToken.objects.exists()


def test_nobody_sees_or_revokes_the_tokens_of_another(
    client: Client, alice: User, bob: User
) -> None:
    token, text = create_token(alice, "Of alice")
    assert client.get("/accounts/tokens/").status_code == 302
    assert client.post(f"/accounts/tokens/{token.pk}/revoke/").status_code == 302
    client.force_login(bob)
    assert "Of alice" not in client.get("/accounts/tokens/").content.decode()
    for number in (token.pk, token.pk + 1):
        assert client.post(f"/accounts/tokens/{number}/revoke/").status_code == 404
    assert live_token(text) is not None


def test_a_person_has_only_so_many(client: Client, alice: User) -> None:
    ApiToken.objects.bulk_create(
        ApiToken(user=alice, prefix="nf_", digest=str(number)) for number in range(TOKENS_MAX)
    )
    client.force_login(alice)
    prove_who_asks(client)
    form = {"name": "One more", "scopes": ["read"], "lifetime": "30d"}
    assert "Revoke one first" in client.post("/accounts/tokens/", form).content.decode()
    with pytest.raises(CommandError, match="Revoke one first"):
        run("alice")
    ApiToken.objects.filter(digest="1").update(expires_at=timezone.now())
    assert client.post("/accounts/tokens/", form).status_code == 201


def test_a_call_costs_the_database_one_small_query_and_what_is_missing_is_read(
    alice: User, django_assert_num_queries: Any
) -> None:
    made, text = create_token(alice, name="laptop")
    assert live_token(text) is not None  # notes the time of its use, once a minute
    with django_assert_num_queries(1):
        token = live_token(text)
        assert token is not None
        found = (token.pk, token.user_id, token.user.pk, token.scopes, token.expires_at)
    assert found == (made.pk, alice.pk, alice.pk, made.scopes, None)
    assert token.user.username == "alice"
    assert token.last_used_at is not None
    assert token.last_used_at.tzinfo is not None
