"""What a server that faces the world says and refuses, with the settings of one."""

import os
import re
import subprocess
import sys
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from django.test import Client

from accounts.models import User
from tests.server import PROJECT, Server, prepared_server, started

PRODUCTION = {
    "NEURALFLOW_HTTPS": "true",
    "NEURALFLOW_ALLOWED_HOSTS": "127.0.0.1,flow.example",
    "NEURALFLOW_TRUSTED_PROXIES": "127.0.0.1",
    "NEURALFLOW_SECRET_KEY": "TqXc3vJ8sW0uRk5nZfYb1LhGe7mPd9AiOxSt2wEoCjVy4QaUzN6rKB",
}


def check(tmp_path: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "NEURALFLOW_STORE": (tmp_path / "data").as_uri(),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        **PRODUCTION,
        **changed,
    }
    command = ["manage.py", "check", "--deploy", "--fail-level", "DEBUG"]
    return subprocess.run(
        [sys.executable, *command], cwd=PROJECT, env=environment, capture_output=True, text=True
    )


def test_django_has_nothing_to_say_about_production_settings(tmp_path: Path) -> None:
    ran = check(tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("NEURALFLOW_HTTPS", "false", "security.W004"),
        ("NEURALFLOW_DEBUG", "true", "security.W018"),
        ("NEURALFLOW_SECRET_KEY", "short", "security.W009"),
    ],
)
def test_deploy_check_unsafe_setting_fails(
    tmp_path: Path, name: str, value: str, found: str
) -> None:
    ran = check(tmp_path, **{name: value})
    assert ran.returncode == 1
    assert found in ran.stderr


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Server:
    server = prepared_server(tmp_path_factory.mktemp("production"))
    server.environment |= PRODUCTION
    return server


def get(server: Server, path: str, method: str = "GET", **headers: str) -> HTTPResponse:
    link = HTTPConnection("127.0.0.1", server.port, timeout=60)
    link.request(method, path, headers={"X-Forwarded-Proto": "https", **headers})
    response = link.getresponse()
    response.read()
    return response


def test_tls_responses_have_security_headers(production: Server) -> None:
    with started(production) as process:
        try:
            login = get(production, "/accounts/login/")
            static = get(production, "/static/css/neuralflow.css")
            plain = get(production, "/accounts/login/", **{"X-Forwarded-Proto": "http"})
            traced = get(production, "/", "TRACE")
        finally:
            process.terminate()
            process.wait(30)
    assert plain.status == 301
    assert plain.headers["Location"].startswith("https://")
    assert traced.status == 405
    assert (login.status, static.status) == (200, 200)
    for answer in (login, static):
        said = answer.headers
        assert said["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
        assert said["X-Content-Type-Options"] == "nosniff"
        assert said["Referrer-Policy"] == "same-origin"
        assert said["Cross-Origin-Opener-Policy"] == "same-origin"
        assert said["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "camera=()" in said["Permissions-Policy"]
        assert "Server" not in said or "gunicorn/" not in said["Server"]
    directives = login.headers["Content-Security-Policy"].split(";")
    policy = {
        name: value for name, _, value in (part.strip().partition(" ") for part in directives)
    }
    assert policy["default-src"] == "'self'"
    assert policy["script-src"] == "'self'"
    for directive in ("object-src", "base-uri", "frame-ancestors"):
        assert policy[directive] == "'none'"
    assert "upgrade-insecure-requests" in policy
    assert "unsafe" not in login.headers["Content-Security-Policy"]
    (cookie,) = login.headers.get_all("Set-Cookie") or []
    assert cookie.startswith("__Host-csrftoken=")
    kinds = {part.strip().partition("=")[0].lower() for part in cookie.split(";")[1:]}
    assert {"secure", "httponly", "samesite", "path"} <= kinds
    assert "domain" not in kinds
    assert login.headers["Cache-Control"] == "no-store, private"


def test_every_cookie_is_bound_to_the_host(production: Server) -> None:
    names = "print(*(getattr(settings, name) for name in dir(settings) if 'COOKIE_NAME' in name))"
    said = production.run("-c", f"from django.conf import settings; {names}")
    names = {"csrftoken", "django_language", "known", "sessionid"}
    assert set(said.split()) == {f"__Host-{name}" for name in names}
    script = (PROJECT / "web/static/js/time_zone.js").read_text("utf-8")
    assert 'overTls ? "__Host-" : ""}timezone=' in script


@pytest.mark.django_db
def test_no_page_has_a_script_or_a_style_of_its_own(client: Client, alice: User) -> None:
    client.force_login(alice)
    addresses = ["/", "/dashboard/", "/tasks/", "/tasks/new/", "/models/new/"]
    addresses += [
        "/accounts/profile/",
        "/accounts/tokens/",
        "/accounts/2fa/",
        "/accounts/sessions/",
    ]
    for address in addresses:
        page = client.get(address).content.decode()
        assert re.findall(r"<script(?![^>]*\b(?:src|nonce)=)|<style|\son\w+=|\sstyle=", page) == []


@pytest.mark.django_db
def test_a_script_that_carries_the_nonce_is_allowed_in_this_answer_only(client: Client) -> None:
    from csp.middleware import CSPMiddleware
    from django.http import HttpRequest, HttpResponse
    from django.template import engines

    template = engines["django"].from_string('<script nonce="{{ CSP_NONCE }}"></script>')
    seen = set()
    for _ in range(2):
        request = HttpRequest()
        answer = CSPMiddleware(lambda r: HttpResponse(template.render({}, r)))(request)
        nonce = answer.content.decode().split('"')[1]
        assert f"script-src 'self' 'nonce-{nonce}'" in answer.headers["Content-Security-Policy"]
        seen.add(nonce)
    assert len(seen) == 2
