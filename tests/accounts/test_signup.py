import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError
from django.test import Client

from accounts.models import SignUpInvitation, User
from docstore import Key, Unavailable
from tests.conftest import proves
from tests.folders import contents, exact
from utils.json_storage import json_storage

pytestmark = pytest.mark.django_db(transaction=True)

FORM = {
    "username": "dora",
    "email": "dora@example.com",
    "password1": "Owls-hunt-at-dusk",
    "password2": "Owls-hunt-at-dusk",
}


def sign_up(client: Client, **changes: str) -> Any:
    return client.post("/accounts/signup/", FORM | changes)


def document(folder: Path, collection: str, name: str) -> Any:
    return json.loads(exact(folder / collection / name).read_text(encoding="utf-8"))


def test_it_works(client: Client, data_folder: Path) -> None:
    assert client.get("/accounts/signup/").status_code == 200
    response = sign_up(client)
    assert response.status_code == 302
    assert response["Location"] == "/dashboard/"
    user = User.objects.get(username="dora")
    assert client.session["_auth_user_id"] == str(user.pk)
    kept = document(data_folder, "users", f"user_{user.pk}.json")
    assert kept["user_id"] == user.pk
    assert kept["username"] == "dora"
    assert kept["email"] == "dora@example.com"
    assert (kept["user_type"], kept["skill_level"]) == ("individual", "beginner")
    assert (kept["subscription_plan"], kept["api_calls_limit"]) == ("free", 1000)
    assert [activity["type"] for activity in kept["activities"]] == ["account_created", "login"]


def test_the_three_empty_documents_are_laid_out(client: Client, data_folder: Path) -> None:
    sign_up(client)
    owner = User.objects.get().pk
    for collection in ("tasks", "projects", "models"):
        assert document(data_folder, collection, f"{collection}_{owner}.json")[collection] == []


def test_no_file_holds_a_password_or_a_hash(client: Client, data_folder: Path) -> None:
    sign_up(client)
    user = User.objects.get()
    json_storage.close()  # of the journal, too, nothing is on its way any more
    files = contents(data_folder, but=())
    assert f"users/user_{user.pk}.json" in files
    for content in files.values():
        for secret in (FORM["password1"], user.password, '"password'):
            assert secret.encode() not in content


def test_an_account_with_old_documents_waiting_for_its_id_steps_over_them(
    client: Client, data_folder: Path
) -> None:
    sign_up(client)
    first = User.objects.get().pk
    strangers = first + 1
    for name, owner in (("tasks", strangers), ("projects", strangers + 4)):
        exact(data_folder / name / f"{name}_{owner}.json").write_text(
            json.dumps({name: [{"id": 1, "title": "A stranger's", "name": "A stranger's"}]})
        )
    sign_up(Client(), username="eve", email="eve@example.com")
    eve = User.objects.get(username="eve")
    assert eve.pk == strangers + 5
    assert json_storage.get_user_tasks(eve.pk) == []
    sign_up(Client(), username="finn", email="finn@example.com")
    assert User.objects.get(username="finn").pk == eve.pk + 1


def test_an_id_that_was_given_explicitly_is_kept() -> None:
    json_storage.save_user_data(User(pk=12, username="old"))
    json_storage.save_task_data(12, {"title": "Of an account that is now brought back"})
    assert User.objects.create(pk=12, username="old").pk == 12


def test_people_sign_up_while_the_store_is_away_and_still_inherit_nothing(
    client: Client, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise Unavailable("the disk is away")

    json_storage.save_user_data(User(pk=42, username="stranger"))
    json_storage.save_task_data(42, {"title": "A stranger's"})
    call_command("reserve_ids")  # as each start of the server does
    monkeypatch.setattr(json_storage, "max_owner_id", refuse)
    monkeypatch.setattr(json_storage.store.backend, "commit", refuse)
    assert sign_up(client).status_code == 302
    user = User.objects.get()
    assert user.pk > 42
    assert user.mirror_faults > 0


def test_a_folder_that_is_gone_keeps_nobody_out(client: Client, data_folder: Path) -> None:
    json_storage.store.read(Key("users", 1))
    data_folder.rename(data_folder.with_name("away"))
    assert sign_up(client).status_code == 302
    user = User.objects.get()
    assert user.mirror_faults > 0
    data_folder.with_name("away").rename(data_folder)
    call_command("setup_data", "--sync-users")
    user.refresh_from_db()
    assert user.mirror_faults == 0
    document = json_storage.get_user_data(user.pk)
    assert document is not None and document["username"] == user.username


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"username": "ALICE"}, "username"),
        ({"username": "with space"}, "username"),
        ({"username": "x" * 151}, "username"),
        ({"username": ""}, "username"),
        ({"email": ""}, "email"),
        ({"email": "nowhere"}, "email"),
        ({"password1": "short", "password2": "short"}, "password1"),
        ({"password1": "12345678901", "password2": "12345678901"}, "password1"),
        ({"password1": "password123", "password2": "password123"}, "password1"),
        ({"password2": "Owls-hunt-at-dawn"}, "password2"),
    ],
)
def test_bad_input_names_the_field_and_makes_no_account(
    client: Client, alice: User, changes: dict[str, str], field: str
) -> None:
    response = sign_up(client, **changes)
    assert response.status_code == 200
    assert field in response.context["form"].errors
    assert User.objects.get() == alice


def test_two_at_once_with_one_name_get_a_word_and_no_fault(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(self: User, *args: Any, **kwargs: Any) -> None:
        raise IntegrityError("UNIQUE constraint failed")

    monkeypatch.setattr(User, "save", taken)
    response = sign_up(client)
    assert response.status_code == 302
    assert response["Location"] == "/accounts/signup/"


def test_names_and_proved_addresses_are_unique_in_the_database_too(alice: User) -> None:
    with pytest.raises(IntegrityError):
        User.objects.create(username="ALICE")
    other = User.objects.create(username="other", email="ALICE@example.com")
    with pytest.raises(IntegrityError):
        proves(other)
    User.objects.create(username="no-address")
    User.objects.create(username="no-address-either")


def test_someone_signed_in_is_sent_on(client: Client, alice: User) -> None:
    client.force_login(alice)
    response = client.get("/accounts/signup/")
    assert (response.status_code, response["Location"]) == (302, "/dashboard/")


def test_signing_up_without_a_csrf_token_is_refused() -> None:
    assert sign_up(Client(enforce_csrf_checks=True)).status_code == 403
    assert not User.objects.exists()


def test_the_form_works_with_the_token_of_its_page() -> None:
    client = Client(enforce_csrf_checks=True)
    page = client.get("/accounts/signup/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token
    assert sign_up(client, csrfmiddlewaretoken=token[1]).status_code == 302


def test_closed_sign_up_says_so_and_makes_no_account(client: Client, settings: Any) -> None:
    settings.NEURALFLOW_SIGNUP = "closed"
    for answer in (client.get("/accounts/signup/"), sign_up(client)):
        assert answer.status_code == 403
        assert "New accounts cannot be made here" in answer.content.decode()
    assert not User.objects.exists()


def test_invitation_opens_one_account(
    client: Client, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.NEURALFLOW_SIGNUP = "invite"
    for answer in (
        client.get("/accounts/signup/"),
        client.get("/accounts/signup/?invitation=ImEi:forged:code"),
        sign_up(client),
    ):
        assert answer.status_code == 403
        assert "need an invitation link" in answer.content.decode()
    call_command("invite")
    link = capsys.readouterr().out.strip()
    other = Client()
    for each in (client, other):
        assert each.get(link).status_code == 200
    assert sign_up(client, password2="Another-owl-hunts").status_code == 200  # and may try again
    assert sign_up(client).status_code == 302
    late = sign_up(other, username="eve", email="eve@example.com")
    assert late.status_code == 403
    assert "works once" in late.content.decode()
    assert User.objects.count() == 1
    for path in ("/accounts/signup/", link):
        assert other.get("/accounts/signup/").status_code == 403, path


LINK = re.compile(r"http://testserver(/accounts/signup/\?invitation=[^<\s]+)")


def member_link(member: Client) -> str:
    answer = member.post("/accounts/invitations/")
    assert answer.status_code == 201
    (link,) = LINK.findall(answer.content.decode())
    return str(link)


@pytest.fixture
def member(client: Client, alice: User, settings: Any) -> Client:
    settings.NEURALFLOW_SIGNUP = "invite"
    client.force_login(alice)
    return client


def test_member_invitation_opens_one_account(
    member: Client, alice: User, data_folder: Path
) -> None:
    link = member_link(member)
    guest, late = Client(), Client()
    for visitor in (guest, late):
        assert visitor.get(link).status_code == 200
    assert sign_up(guest, password2="Another-owl-hunts").status_code == 200
    assert sign_up(guest).status_code == 302
    assert sign_up(late, username="eve", email="eve@example.com").status_code == 403
    assert Client().get(link).status_code == 403
    assert SignUpInvitation.objects.get().account == User.objects.get(username="dora")
    page = member.get("/accounts/invitations/").content.decode()
    assert "Used" in page and "Revoke" not in page
    activities = document(data_folder, "users", f"user_{alice.pk}.json")["activities"]
    assert "account_invited" in [activity["type"] for activity in activities]


@pytest.mark.parametrize("reason", ["revoked", "inviter blocked", "setting", "expired"])
def test_member_invitation_that_ended_opens_nothing(
    member: Client, alice: User, settings: Any, reason: str
) -> None:
    link, guest = member_link(member), Client()
    assert guest.get(link).status_code == 200
    (invitation,) = SignUpInvitation.objects.all()
    if reason == "revoked":
        address = f"/accounts/invitations/{invitation.pk}/revoke/"
        assert member.post(address).status_code == 302
        assert "Revoked" in member.get("/accounts/invitations/").content.decode()
    elif reason == "inviter blocked":
        User.objects.filter(pk=alice.pk).update(is_active=False)
    elif reason == "setting":
        settings.NEURALFLOW_SIGNUP_INVITATIONS_PER_DAY = 0
    else:
        SignUpInvitation.objects.update(expires_at=invitation.created_at)
    assert guest.get(link).status_code == 403
    assert sign_up(guest).status_code == 403
    assert User.objects.count() == 1


def test_member_invitations_are_bounded_per_day(member: Client, settings: Any) -> None:
    settings.NEURALFLOW_SIGNUP_INVITATIONS_PER_DAY = 2
    answers = [member.post("/accounts/invitations/") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert 0 < int(answers[2]["Retry-After"]) <= 43_200
    assert SignUpInvitation.objects.count() == 2


def test_member_invitation_is_revoked_by_its_inviter_only(member: Client, bob: User) -> None:
    link = member_link(member)
    stranger = Client()
    stranger.force_login(bob)
    address = f"/accounts/invitations/{SignUpInvitation.objects.get().pk}/revoke/"
    assert stranger.post(address).status_code == 404
    assert Client().get(link).status_code == 200


def test_member_invitation_is_mailed(
    member: Client, settings: Any, mailoutbox: list[Any], sends_mail: None
) -> None:
    answer = member.post("/accounts/invitations/", {"address": "Dora@Example.com"})
    assert answer.status_code == 302
    (mail,) = mailoutbox
    assert mail.to == ["dora@example.com"]
    assert "alice invites you to NeuralFlow at testserver" in mail.body
    (link,) = LINK.findall(mail.body)
    assert Client().get(link).status_code == 200
    assert "dora@example.com" in member.get("/accounts/invitations/").content.decode()
    settings.NEURALFLOW_SIGNUP_INVITATIONS_PER_DAY = 10
    for _ in range(2):  # the second one is past the limit of mails to one address
        answer = member.post("/accounts/invitations/", {"address": "dora@example.com"})
    assert answer.status_code == 201
    assert "Pass the link on yourself" in answer.content.decode()
    assert len(mailoutbox) == 2


def test_page_to_invite_makes_nothing_where_nobody_needs_it(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.post("/accounts/invitations/").status_code == 200
    assert not SignUpInvitation.objects.exists()
    assert "/accounts/invitations/" not in client.get("/settings/data/").content.decode()


def test_sign_ups_of_a_network_past_the_hourly_limit_are_refused(settings: Any) -> None:
    settings.NEURALFLOW_SIGNUPS_PER_HOUR = 2
    names = ["dora", "emil", "fritz"]
    answers = [sign_up(Client(), username=n, email=f"{n}@example.com") for n in names]
    assert [answer.status_code for answer in answers] == [302, 302, 429]
    assert 0 < int(answers[2]["Retry-After"]) <= 1800
    assert User.objects.count() == 2


@pytest.mark.parametrize(
    ("addresses", "refused_at"),
    [
        (["192.0.2.1", "192.0.2.1", "198.51.100.1"], 1),
        ([*(f"192.0.2.{n}" for n in range(1, 6)), "198.51.100.1"], 4),
        (["2001:db8::1", "2001:db8::2", "2001:db8:1::1"], 1),
        (["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:1::1"], 2),
    ],
)
def test_sign_ups_of_one_network_leave_those_of_others_open(
    settings: Any, addresses: list[str], refused_at: int
) -> None:
    settings.NEURALFLOW_SIGNUPS_PER_HOUR = 1
    statuses = [
        sign_up(
            Client(REMOTE_ADDR=address), username=f"dora{n}", email=f"dora{n}@example.com"
        ).status_code
        for n, address in enumerate(addresses)
    ]
    assert statuses == [429 if n == refused_at else 302 for n in range(len(addresses))]


def test_sign_ups_of_all_networks_are_limited_together(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.NEURALFLOW_SIGNUPS_PER_HOUR = 1
    monkeypatch.setattr("accounts.guards.SIGN_UPS_OF_ALL", 2)
    statuses = [
        sign_up(
            Client(REMOTE_ADDR=f"198.51.{n}.1"), username=f"dora{n}", email=f"dora{n}@example.com"
        ).status_code
        for n in range(3)
    ]
    assert statuses == [302, 302, 429]
