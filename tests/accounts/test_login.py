from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.conftest import PASSWORD
from utils.json_storage import json_storage

pytestmark = pytest.mark.django_db(transaction=True)


def sign_in(client: Client, login: str, password: str = PASSWORD, **more: Any) -> Any:
    return client.post("/accounts/login/", {"login": login, "password": password}, **more)


def types(user: User) -> list[str]:
    return [activity["type"] for activity in json_storage.activities(user.pk)]


@pytest.mark.parametrize("login", ["alice", "Alice", "alice@example.com", "ALICE@Example.com"])
def test_it_works_with_user_name_or_address(client: Client, alice: User, login: str) -> None:
    assert client.get("/accounts/login/").status_code == 200
    response = sign_in(client, login)
    assert (response.status_code, response["Location"]) == (302, "/dashboard/")
    assert client.session["_auth_user_id"] == str(alice.pk)


def test_it_is_mirrored_with_time_address_and_browser(client: Client, alice: User) -> None:
    sign_in(client, "alice", REMOTE_ADDR="192.0.2.9", HTTP_USER_AGENT="Lynx\x01" + "x" * 400)
    newest = json_storage.activities(alice.pk)[0]
    assert newest["type"] == "login"
    assert newest["metadata"]["ip_address"] == "192.0.2.9"
    assert newest["metadata"]["user_agent"] == "Lynx " + "x" * 295
    document = json_storage.get_user_data(alice.pk)
    assert document is not None
    alice.refresh_from_db()
    assert alice.last_login is not None
    assert document["last_login"] == f"{alice.last_login:%Y-%m-%dT%H:%M:%S.%f}Z"


def test_a_sign_in_is_one_change_of_the_document(client: Client, alice: User) -> None:
    before = json_storage.get_user_data(alice.pk)
    sign_in(client, "alice")
    after = json_storage.get_user_data(alice.pk)
    assert before is not None
    assert after is not None
    assert after["revision"] == before["revision"] + 1


def test_a_wrong_password_is_told_to_the_one_it_was_tried_on(
    client: Client, alice: User, bob: User
) -> None:
    response = sign_in(client, "alice", "wrong", REMOTE_ADDR="192.0.2.9")
    assert response.status_code == 200
    newest = json_storage.activities(alice.pk)[0]
    assert newest["type"] == "login_failed"
    assert newest["metadata"]["ip_address"] == "192.0.2.9"
    assert "wrong" not in str(newest)
    assert types(bob) == ["account_created"]


def test_a_wrong_password_with_the_address_is_told_too_and_once(
    client: Client, alice: User
) -> None:
    sign_in(client, "Alice@example.com", "wrong")
    assert types(alice) == ["login_failed", "account_created"]


def test_the_answer_does_not_tell_whether_the_account_exists(client: Client, alice: User) -> None:
    wrong = sign_in(client, "alice", "wrong")
    unknown = sign_in(client, "nobody", "wrong")
    assert wrong.context["form"].errors == unknown.context["form"].errors
    assert wrong.status_code == unknown.status_code


def test_the_sixth_wrong_password_is_refused_unseen(client: Client, alice: User) -> None:
    for _ in range(5):
        assert sign_in(client, "alice", "wrong").status_code == 200
    response = sign_in(client, "alice", PASSWORD)
    assert response.status_code == 429
    assert int(response["Retry-After"]) > 0
    assert "_auth_user_id" not in client.session


def test_another_name_of_the_server_is_no_new_count(client: Client, alice: User) -> None:
    for port in range(5):
        sign_in(client, "alice", "wrong", HTTP_HOST=f"localhost:{port}")
    assert sign_in(client, "alice", PASSWORD, HTTP_HOST="127.0.0.1").status_code == 429


def test_an_inactive_account_is_told_so_only_with_its_password(client: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert sign_in(client, "alice", "wrong").status_code == 200
    response = sign_in(client, "alice")
    assert response["Location"] == "/accounts/inactive/"
    assert client.get("/accounts/inactive/").status_code == 200
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        ("/accounts/profile/", "/accounts/profile/"),
        ("https://evil.example/", "/dashboard/"),
        ("//evil.example/", "/dashboard/"),
        ("/\\evil.example/", "/dashboard/"),
        ("javascript:alert(1)", "/dashboard/"),
    ],
)
def test_it_leads_back_but_never_elsewhere(
    client: Client, alice: User, wanted: str, sent: str
) -> None:
    response = client.post(
        "/accounts/login/", {"login": "alice", "password": PASSWORD, "next": wanted}
    )
    assert response["Location"] == sent


def test_someone_signed_in_is_sent_on(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.get("/accounts/login/")["Location"] == "/dashboard/"


def test_the_session_gets_a_new_key(client: Client, alice: User) -> None:
    sign_in(client, "alice")
    first = client.session.session_key
    client.post("/accounts/logout/")
    sign_in(client, "alice")
    assert client.session.session_key != first


def test_signing_out_needs_a_post_and_is_told(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.get("/accounts/logout/").status_code == 200
    assert "_auth_user_id" in client.session
    response = client.post("/accounts/logout/")
    assert (response.status_code, response["Location"]) == (302, "/")
    assert "_auth_user_id" not in client.session
    assert types(alice)[0] == "logout"


def test_the_administration_signs_in_by_the_same_page(client: Client, alice: User) -> None:
    response = client.get("/admin/login/?next=/admin/")
    assert response["Location"].startswith("/accounts/login/?next=")
    client.force_login(alice)
    assert client.get("/admin/login/").status_code == 403


def test_cookies_cannot_be_read_by_scripts_nor_sent_from_elsewhere(
    client: Client, alice: User
) -> None:
    sign_in(client, "alice")
    cookie = client.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
