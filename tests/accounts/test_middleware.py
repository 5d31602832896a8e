"""What every request is given, and what comes back when the store fails."""

import logging
from io import BytesIO
from ipaddress import ip_network
from uuid import UUID

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import include, path
from pytest_django.fixtures import Settings

from accounts.models import User
from api.problems import problem_of
from docstore import (
    Conflict,
    Corrupt,
    InvalidValue,
    NotFound,
    OutOfSpace,
    StoreError,
    TooLarge,
    Unavailable,
)
from utils.json_storage import json_storage
from utils.middleware import JSONStorageMiddleware, StorageRequest, client_address

PROXIES = [ip_network("10.0.0.0/8"), ip_network("2001:db8:ff::/48")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        # nobody in between
        ("192.0.2.1", "", "192.0.2.1"),
        ("2001:db8::1", "", "2001:db8::1"),
        # a stranger says who they are
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("192.0.2.1", "10.0.0.1", "192.0.2.1"),
        # a trusted proxy says who it was
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("2001:db8:ff::1", "2001:db8::7", "2001:db8::7"),
        # what the client wrote itself stands on the left
        ("10.0.0.1", "203.0.113.66, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.9, 198.51.100.7", "198.51.100.7"),
        # several proxies
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.66, 198.51.100.7, 10.0.0.3, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        # garbage ends the walk at the last address that is known
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, <script>, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "198.51.100.7,", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, 999.1.1.1", "10.0.0.1"),
        ("10.0.0.1", "127.1", "10.0.0.1"),
        # as proxies write them
        ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("10.0.0.1", "[2001:db8::7]", "2001:db8::7"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.1", " 198.51.100.7 ", "198.51.100.7"),
        ("10.0.0.1", "2001:DB8:0:0::7", "2001:db8::7"),
        ("10.0.0.1", "fe80::1%eth0<script>", "fe80::1"),
        # IPv4 as a socket of both families shows it
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("::ffff:192.0.2.1", "198.51.100.7", "192.0.2.1"),
        # a Unix socket has no address
        ("", "198.51.100.7", ""),
    ],
)
def test_the_address_of_the_client(peer: str, forwarded: str, address: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == address


@pytest.mark.django_db(transaction=True)
def test_without_trusted_proxies_no_header_is_believed(client: Client, alice: User) -> None:
    spoofed = {
        "HTTP_X_FORWARDED_FOR": "198.51.100.7",
        "HTTP_X_REAL_IP": "198.51.100.7",
        "HTTP_FORWARDED": "for=198.51.100.7",
        "HTTP_CLIENT_IP": "198.51.100.7",
        "HTTP_X_FORWARDED_PROTO": "https",
    }
    form = {"login": "alice", "password": "wrong"}
    response = client.post("/accounts/login/", form, **spoofed)  # type: ignore[arg-type]
    metadata = json_storage.activities(alice.pk)[0]["metadata"]
    assert metadata["ip_address"] == "127.0.0.1"
    assert not response.wsgi_request.is_secure()


@pytest.mark.parametrize(
    ("peer", "said", "secure"),
    [
        ("10.0.0.1", "https", True),
        ("10.0.0.1", "http", False),
        ("10.0.0.1", "http, https", True),
        ("10.0.0.1", "https, http", False),
        ("10.0.0.1", "gopher", False),
        ("192.0.2.1", "https", False),
    ],
)
def test_only_a_trusted_proxy_makes_a_request_secure(
    settings: Settings, peer: str, said: str, secure: bool
) -> None:
    settings.NEURALFLOW_TRUSTED_PROXIES = PROXIES
    request = RequestFactory().get("/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_PROTO=said)
    assert seen(request).is_secure() is secure


def seen(request: HttpRequest) -> StorageRequest:
    """The request as a view sees it."""
    got: list[StorageRequest] = []

    def view(request: StorageRequest) -> HttpResponse:
        got.append(request)
        return HttpResponse()

    JSONStorageMiddleware(view)(request)  # type: ignore[arg-type]
    return got[0]


def test_a_request_has_the_store_and_an_id_that_comes_back(client: Client) -> None:
    request = RequestFactory().get("/", HTTP_X_REQUEST_ID="chosen-by-a-stranger")
    assert seen(request).json_storage is json_storage
    one, two = (client.get("/accounts/login/")["X-Request-ID"] for _ in range(2))
    assert UUID(one) != UUID(two)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND"])
def test_methods_that_nothing_uses_are_refused(client: Client, method: str) -> None:
    for address in ("/accounts/login/", "/accounts/api/tasks/", "/"):
        response = client.generic(method, address)
        assert response.status_code == 405
        assert "GET" in response["Allow"]
        assert "X-Request-ID" in response


@pytest.mark.django_db
def test_a_form_with_a_large_file_is_refused_before_it_is_read(client: Client) -> None:
    file = BytesIO(b"x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0))
    response = client.post("/accounts/login/", {"login": "alice", "photo": file})
    assert response.status_code == 413
    assert "X-Request-ID" in response


FAULTS: dict[str, StoreError] = {
    "corrupt": Corrupt("tasks/tasks_7.json", "unexpected end", 3, 14),
    "unavailable": Unavailable("the disk is away", retry_after=7),
    "full": OutOfSpace("no space left"),
    "conflict": Conflict("changed meanwhile"),
    "large": TooLarge("too much"),
    "missing": NotFound("no task 9"),
    "unfit": InvalidValue("NaN is not a number that JSON can carry"),
    "other": StoreError("something else"),
}


def fail(request: HttpRequest, name: str) -> HttpResponse:
    raise FAULTS[name]


urlpatterns = [path("fail/<name>/", fail), path("", include("neuralflow.urls"))]


@pytest.mark.urls(__name__)
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "status", "retry_after"),
    [
        ("corrupt", 503, False),
        ("unavailable", 503, True),
        ("full", 507, True),
        ("conflict", 409, False),
        ("large", 413, False),
        ("missing", 404, False),
        ("unfit", 422, False),
        ("other", 503, False),
    ],
)
def test_a_page_that_the_store_failed_says_so(
    client: Client, name: str, status: int, retry_after: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL, logger="utils.middleware"):
        response = client.get(f"/fail/{name}/")
    assert response.status_code == status == problem_of(FAULTS[name]).status
    assert response["Content-Type"].startswith("text/html")
    assert ("Retry-After" in response) is retry_after
    assert "Traceback" not in response.content.decode()


@pytest.mark.django_db
def test_every_page_has_the_headers_that_protect_it(client: Client) -> None:
    response = client.get("/accounts/login/")
    policy = {
        name: set(values)
        for name, *values in map(str.split, response["Content-Security-Policy"].split(";"))
    }
    assert policy["default-src"] == {"'self'"}
    assert policy["form-action"] == {"'self'"}
    for name in ("object-src", "base-uri", "frame-ancestors"):
        assert policy[name] == {"'none'"}
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db
def test_csp_of_non_page_allows_nothing(client: Client) -> None:
    for address in ("/accounts/api/tasks/", "/accounts/api/nowhere", "/static/css/neuralflow.css"):
        response = client.get(address)
        policy = response["Content-Security-Policy"]
        assert policy == "default-src 'none'; frame-ancestors 'none'", address
        assert response["X-Frame-Options"] == "DENY"
    assert "default-src 'self'" in client.get("/nowhere")["Content-Security-Policy"]


def test_a_strange_host_is_refused(client: Client) -> None:
    assert client.get("/accounts/login/", HTTP_HOST="evil.example").status_code == 400


@pytest.mark.django_db
def test_a_part_of_a_page_is_never_the_log_in(client: Client) -> None:
    """The browser leaves the page, and comes back to it: not to the part, nor to the change."""
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/tasks/?status=review"}
    answer = client.post("/tasks/3/complete/", headers=headers)
    assert answer.status_code == 204
    assert answer["HX-Redirect"] == "/accounts/login/?next=%2Ftasks%2F%3Fstatus%3Dreview"
    elsewhere = headers | {"HX-Current-URL": "https://elsewhere.example/"}
    assert client.get("/tasks/", headers=elsewhere)["HX-Redirect"] == "/accounts/login/?next=%2F"
    assert client.get("/tasks/").status_code == 302
