"""Whom to tell of a weakness, and where a password is changed."""

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from pytest_django.fixtures import Settings

from neuralflow.settings import _contact, _public_url
from tests.web.pages import text_of


def fields(client: Client) -> dict[str, list[str]]:
    answer = client.get("/.well-known/security.txt")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    found: dict[str, list[str]] = {}
    for line in answer.content.decode().splitlines():
        name, _, value = line.partition(": ")
        found.setdefault(name, []).append(value)
    return found


def test_the_file_names_whom_to_tell(client: Client, settings: Settings) -> None:
    settings.NEURALFLOW_SECURITY_CONTACT = ["mailto:a@example.com", "https://example.com/report"]

    told = fields(client)

    assert told["Contact"] == ["mailto:a@example.com", "https://example.com/report"]
    (expires,) = told["Expires"]
    left = datetime.fromisoformat(expires) - datetime.now(UTC)
    assert 30 < left.days < 366
    assert told["Canonical"] == ["http://testserver/.well-known/security.txt"]
    assert client.get(told["Policy"][0]).status_code == 200
    assert told["Preferred-Languages"] == ["en"]


@pytest.mark.parametrize(
    ("host", "served", "address"),
    [
        ("localhost:31337", "8000", "http://localhost:8000"),
        ("localhost:8000", "8000", "http://localhost:8000"),
        ("localhost.", "8000", "http://localhost"),
        ("localhost", "8000", "http://localhost"),  # a proxy in front, on the usual port
        ("[::1]:31337", "8000", "http://[::1]:8000"),
        ("localhost:31337", "80", "http://localhost"),
    ],
)
def test_links_name_the_port_that_is_served_and_no_other(
    client: Client, settings: Settings, host: str, served: str, address: str
) -> None:
    settings.NEURALFLOW_SECURITY_CONTACT = ["mailto:a@example.com"]
    settings.ALLOWED_HOSTS = ["localhost", "[::1]"]
    answer = client.get("/.well-known/security.txt", headers={"host": host}, SERVER_PORT=served)
    assert f"Policy: {address}/security/\n" in answer.content.decode()


def test_links_name_the_public_address_that_is_set(client: Client, settings: Settings) -> None:
    settings.NEURALFLOW_SECURITY_CONTACT = ["mailto:a@example.com"]
    settings.NEURALFLOW_PUBLIC_URL = "https://neuralflow.example.com"
    policy = fields(client)["Policy"]
    assert policy == ["https://neuralflow.example.com/security/"]


@pytest.mark.parametrize("text", ["example.com", "https://example.com/path", "ftp://a.example"])
def test_public_address_is_a_scheme_and_a_host(text: str) -> None:
    assert _public_url("https://a.example:8443/") == "https://a.example:8443"
    with pytest.raises(ImproperlyConfigured, match="NEURALFLOW_PUBLIC_URL"):
        _public_url(text)


def test_without_a_contact_there_is_no_file(client: Client, settings: Settings) -> None:
    settings.NEURALFLOW_SECURITY_CONTACT = []

    assert client.get("/.well-known/security.txt").status_code == 404
    assert "No security contact is set" in text_of(client.get("/security/"))


def test_the_page_names_them_too(client: Client, settings: Settings) -> None:
    settings.NEURALFLOW_SECURITY_CONTACT = ["mailto:a@example.com"]

    page = client.get("/security/").content.decode()

    assert '<a href="mailto:a@example.com">a@example.com</a>' in page


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("a@example.com", "mailto:a@example.com"),
        ("mailto:a@example.com", "mailto:a@example.com"),
        ("https://example.com/report", "https://example.com/report"),
        ("tel:+49-30-1234", "tel:+49-30-1234"),
    ],
)
def test_contacts(text: str, uri: str) -> None:
    assert _contact(text) == uri


@pytest.mark.parametrize("text", ["alice", "javascript:x()", "http://a", "a@b\nExpires: x", ""])
def test_contacts_that_are_none(text: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        _contact(text)


def test_password_managers_are_sent_to_the_form(client: Client) -> None:
    answer = client.get("/.well-known/change-password")

    assert (answer.status_code, answer["Location"]) == (302, "/accounts/password/change/")


def test_a_picture_is_found_where_browsers_look_for_it(client: Client) -> None:
    answer = client.get("/favicon.ico")
    assert answer.status_code == 302 and answer["Location"].endswith("favicon.svg")
