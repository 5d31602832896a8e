"""Pages in the person's language, time zone and theme."""

from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone, translation

from accounts.models import User
from tests.core.pages import write_document
from utils.json_storage import json_storage

pytestmark = pytest.mark.django_db(transaction=True)


def html_tag(client: Client, address: str = "/tasks/", **headers: str) -> str:
    body = client.get(address, headers=headers).content.decode()
    return body[body.index("<html") :].partition(">")[0]


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def test_a_theme_is_what_the_system_says_until_one_is_chosen(
    signed_in: Client, alice: User
) -> None:
    assert html_tag(signed_in) == '<html lang="en"'
    json_storage.change_preferences(alice.pk, {"theme": "dark"})
    assert html_tag(signed_in) == '<html lang="en" data-theme="dark"'


def test_the_language_is_the_browsers_until_one_is_chosen(signed_in: Client, alice: User) -> None:
    asked = {"accept-language": "es-MX,es;q=0.9,en;q=0.5"}
    assert html_tag(signed_in, **asked) == '<html lang="es"'
    assert html_tag(Client(), "/", **asked) == '<html lang="es"'
    assert html_tag(Client(), "/", **{"accept-language": "tlh"}) == '<html lang="en"'
    json_storage.change_preferences(alice.pk, {"language": "en"})
    assert html_tag(signed_in, **asked) == '<html lang="en"'
    answer = signed_in.get("/tasks/", headers=asked)
    assert answer["Content-Language"] == "en"


def test_the_next_request_of_the_thread_begins_afresh(signed_in: Client, alice: User) -> None:
    json_storage.change_preferences(alice.pk, {"language": "es", "time_zone": "Asia/Tokyo"})
    assert html_tag(signed_in) == '<html lang="es"'
    assert translation.get_language() == "en"
    assert str(timezone.get_current_timezone()) == "UTC"


def test_the_api_speaks_english(signed_in: Client, alice: User) -> None:
    json_storage.change_preferences(alice.pk, {"language": "es"})
    answer = signed_in.get("/accounts/api/tasks/", headers={"accept-language": "es"})
    assert "Content-Language" not in answer


def test_a_document_that_cannot_be_read_costs_the_preferences_only(
    signed_in: Client, alice: User, data_folder: Path
) -> None:
    json_storage.change_preferences(alice.pk, {"theme": "dark"})
    json_storage.close()
    write_document(data_folder, f"users/user_{alice.pk}.json", "{ this is no JSON")
    assert html_tag(signed_in) == '<html lang="en"'


def test_a_refusal_before_all_else_needs_no_preferences(signed_in: Client) -> None:
    answer = signed_in.get("/tasks/", CONTENT_LENGTH=str(2 * 1024 * 1024))
    assert answer.status_code == 413
