"""User names: unique in whatever form, and never taken for addresses."""

import importlib
import unicodedata
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import translation

from accounts.forms import ProfileForm
from accounts.models import ApiToken, User
from tests.conftest import PASSWORD, proves
from tests.web.pages import text_of, write_document
from utils.data_initializer import data_initializer
from utils.json_storage import json_storage
from workspace.membership.members import Memberships
from workspace.schema.validation import InvalidRecord
from workspace.users.document import person_named

pytestmark = pytest.mark.django_db

ADDRESS = "bob@example.com"
SAME = [("Ärger", "ärger"), ("fina", "ﬁna"), ("Ärger", unicodedata.normalize("NFD", "ÄRGER"))]


def person(name: str, address: str | None = None) -> User:
    return User.objects.create_user(
        name, address or f"{len(name)}-{id(name)}@example.org", PASSWORD
    )


def named_by_an_older_release(account: User, name: str) -> User:
    User.objects.filter(pk=account.pk).update(username=name, name_key=None)
    account.refresh_from_db()
    return account


def sign_up(client: Client, name: str) -> Any:
    sent = {"username": name, "email": "new@example.com"}
    return client.post("/accounts/signup/", sent | {"password1": PASSWORD, "password2": PASSWORD})


def log_in(client: Client, login: str) -> bool:
    client.logout()
    answer = client.post("/accounts/login/", {"login": login, "password": PASSWORD})
    return answer.status_code == 302


@pytest.mark.parametrize(("name", "other"), SAME)
def test_names_that_differ_in_form_alone_are_one(client: Client, name: str, other: str) -> None:
    account = person(name)
    answer = sign_up(client, other)
    assert answer.status_code == 200 and "already exists" in text_of(answer)
    with pytest.raises(ValidationError, match="already exists"):
        User(username=other, email="x@example.com", password="x").full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        person(other)
    for login in (name, other):
        assert log_in(client, login), login
    assert User.objects.get_by_natural_key(other) == account


@pytest.mark.parametrize("name", [ADDRESS, "@bob", "bob\uff20example.com", "bob﹫example.com"])
def test_name_with_an_at_sign_is_refused_at_every_door(client: Client, name: str) -> None:
    answer = sign_up(client, name)
    assert answer.status_code == 200 and "without @" in text_of(answer)
    with pytest.raises(ValidationError):
        User(username=name, password="x").full_clean()
    with pytest.raises(CommandError):
        call_command(
            "createsuperuser", "--no-input", username=name, email="a@example.com", stderr=StringIO()
        )
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "name", ["support", "Support_1", "ADMIN", "\u0430dmin", "soporte", "ro.ot"]
)
def test_reserved_name_is_refused_to_who_signs_up_and_reported_of_others(
    client: Client, name: str
) -> None:
    answer = sign_up(client, name)
    assert answer.status_code == 200 and "This name is reserved." in text_of(answer)
    assert not User.objects.exists()
    account = person(name)  # by the operator, or an older release
    told = [one.problem for one in data_initializer.validate_data_integrity()]
    assert any(f"{name!r} passes for the operator" in one for one in told)
    User.objects.filter(pk=account.pk).update(is_staff=True)
    assert not [one for one in data_initializer.validate_data_integrity() if "passes" in str(one)]


@pytest.mark.parametrize("name", ["\u3164", "a\u115fb", "bob\u202e", "b\u200bob"])
def test_name_with_what_nobody_sees_is_refused(client: Client, name: str) -> None:
    assert sign_up(client, name).status_code == 200
    with pytest.raises(ValidationError):
        User(username=name, password="x").full_clean()


def test_address_reaches_the_account_with_it_and_never_a_name(client: Client) -> None:
    stranger = named_by_an_older_release(person("mallory"), ADDRESS)
    assert person_named(ADDRESS) is None and not log_in(client, ADDRESS)
    with pytest.raises(CommandError, match="no account"):
        call_command("create_token", ADDRESS)
    owner = person("alice")
    project = json_storage.save_project_data(owner.pk, {"name": "x"})["id"]
    members = Memberships(json_storage)
    with pytest.raises(InvalidRecord, match="cannot confirm email"):
        members.invite(owner.pk, project, ADDRESS, "viewer")
    bob = proves(person("bob", ADDRESS))
    assert person_named("BOB@Example.com") == (bob.pk, "bob") == person_named("Bob")
    call_command("create_token", ADDRESS, stdout=StringIO(), stderr=StringIO())
    assert [token.user for token in ApiToken.objects.all()] == [bob]
    assert log_in(client, ADDRESS) and client.session["_auth_user_id"] == str(bob.pk)
    assert stranger.pk != bob.pk


def test_verified_address_is_an_address_and_an_unverified_one_is_not() -> None:
    bob = person("bob", ADDRESS)
    for address, verified in (("second@example.com", True), ("third@example.com", False)):
        EmailAddress.objects.create(user=bob, email=address, verified=verified)
    assert person_named("second@example.com") == (bob.pk, "bob")
    assert person_named("third@example.com") is None


def test_old_names_are_kept_and_reported(client: Client) -> None:
    first, second = person("Ärger"), named_by_an_older_release(person("later"), "ärger")
    address = named_by_an_older_release(person("mallory"), ADDRESS)
    fold = importlib.import_module("accounts.migrations.0005_name_keys").fold
    User.objects.update(name_key=None)
    fold(apps, SimpleNamespace(connection=connection))
    keys = dict(User.objects.values_list("pk", "name_key"))
    assert keys == {first.pk: "ärger", second.pk: None, address.pk: ADDRESS}
    second.refresh_from_db()
    second.bio = "Saved all the same"
    second.save()
    assert ProfileForm(None, instance=second).instance.full_clean() is None
    told = [str(one) for one in data_initializer.validate_data_integrity() if "name" in one.problem]
    assert told == [
        f"users/user_{second.pk}.json: the user name 'ärger' is that of account {first.pk} but for"
        " its form: give it another one in /admin/",
        f"users/user_{address.pk}.json: the user name '{ADDRESS}' reads as an address: give it"
        " another one in /admin/",
    ]
    second.username = "later"
    second.save(update_fields=["username"])
    address.username = "mallory"
    address.save()
    assert not [one for one in data_initializer.validate_data_integrity() if "form" in one.problem]
    assert not User.objects.filter(name_key=None).exists()


def test_adopting_takes_no_name_that_is_an_address_or_anothers(data_folder: Any) -> None:
    person("Ärger")
    for number, name in ((71, "ärger"), (72, ADDRESS), (73, "fine")):
        document = {"user_id": number, "username": name, "email": f"{number}@example.com"}
        write_document(data_folder, f"users/user_{number}.json", document)
    adopted = data_initializer.adopt_users()
    assert adopted.usernames == ["fine"]
    told = [finding.problem for finding in adopted.findings]
    assert "'ärger' is taken by another account" in told[0] and "without @" in told[1]


def test_labels_of_accounts_name_what_users_know() -> None:
    labels = {
        (model, name): str(model._meta.get_field(name).verbose_name)
        for model, name in ((User, "user_type"), (User, "mirror_faults"), (ApiToken, "created_at"))
    }
    assert list(labels.values()) == ["account type", "sync errors", "created"]
    with translation.override("es"):
        assert (
            str(User._meta.get_field("mirror_faults").verbose_name) == "errores de sincronización"
        )
