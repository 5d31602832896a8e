"""The nginx block of the manual, served by the real nginx in front of the real server."""

import io
import json
import os
import re
import socket
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.client import HTTPResponse
from http.cookies import SimpleCookie

import pytest

from tests.nginx import NAME, Proxy, program, running_nginx
from tests.server import Person, Server, prepared_server, started

pytestmark = pytest.mark.skipif(
    program() is None, reason="no nginx to test with: apt-get install nginx, or make test-tools"
)

PASSWORD = "Owls-hunt-at-dusk"
BODY_SECONDS = 1
_IMPATIENT = f"""
from neuralflow import request_buffer
request_buffer.BODY_SECONDS = {BODY_SECONDS}
from neuralflow.gunicorn_conf import *
"""
_WITH_PASSWORD = """
import sys, django
django.setup()
from accounts.models import User
from accounts.tokens import create_token
user = User.objects.get(username=sys.argv[1])
user.set_password(sys.argv[2])
user.save()
print(create_token(user)[1])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("proxied")
    server = prepared_server(folder)
    server.environment |= {
        "NEURALFLOW_HTTPS": "true",
        "NEURALFLOW_ALLOWED_HOSTS": NAME,
        "NEURALFLOW_TRUSTED_PROXIES": "127.0.0.1",
    }
    impatient = folder / "impatient.py"
    impatient.write_text(_IMPATIENT)
    with started(server, options=["--config", str(impatient)]) as process:
        try:
            yield server
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def proxy(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running_nginx(tmp_path_factory.mktemp("nginx"), server) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def dora(server: Server) -> Person:
    person = server.person("dora")
    token = server.run("-c", _WITH_PASSWORD, "dora", PASSWORD)  # which revokes the first one
    return replace(person, token=token.strip())


class Browser:
    """What a browser does with cookies and forms, without the pages."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy, self.cookies = proxy, SimpleCookie()

    def ask(
        self, method: str, path: str, body: bytes = b"", content_type: str = ""
    ) -> tuple[HTTPResponse, str]:
        headers = {"Host": self.proxy.host, "Origin": f"https://{self.proxy.host}"}
        headers["Cookie"] = "; ".join(f"{name}={m.value}" for name, m in self.cookies.items())
        headers["Content-Type"] = content_type or "application/x-www-form-urlencoded"
        link = self.proxy.connection()
        link.request(method, path, body or None, headers)
        answer = link.getresponse()
        text = answer.read().decode()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            self.cookies.load(cookie)
        link.close()
        return answer, text

    def post(self, page: str, fields: Mapping[str, str], file: bytes = b"") -> tuple[int, str]:
        """Sends the form of a page."""
        _answer, text = self.ask("GET", page)
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', text)[0]
        edge, parts = "---edge", []
        for name, value in {**fields, "csrfmiddlewaretoken": token}.items():
            head = f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
            parts.append(f"{head}{value}\r\n".encode())
        if file:
            head = f'--{edge}\r\nContent-Disposition: form-data; name="archive"; filename="a.zip"'
            parts.append(f"{head}\r\nContent-Type: application/zip\r\n\r\n".encode() + file)
            parts.append(b"\r\n")
        body = b"".join([*parts, f"--{edge}--\r\n".encode()])
        answer, text = self.ask("POST", page, body, f"multipart/form-data; boundary={edge}")
        return answer.status, text if answer.status != 302 else answer.headers["Location"]


@pytest.fixture(scope="module")
def browser(proxy: Proxy, dora: Person) -> Browser:
    browser = Browser(proxy)
    fields = {"login": "dora", "password": PASSWORD}
    assert browser.post("/accounts/login/", fields) == (302, "/dashboard/")
    return browser


def archive(megabytes: int) -> bytes:
    """An archive of so many megabytes that nothing compresses."""
    texts = [os.urandom(20_000).hex() for _ in range(megabytes * 1024 * 1024 // 20_000)]
    tasks = [
        {"id": n, "title": f"Task {n}", "description": text} for n, text in enumerate(texts, 1)
    ]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("tasks/tasks_1.json", json.dumps({"tasks": tasks}))
    return file.getvalue()


def call(proxy: Proxy, person: Person, method: str, path: str, body: bytes, kind: str) -> int:
    link = proxy.connection()
    headers = {"Host": proxy.host, "Authorization": f"Bearer {person.token}", "Content-Type": kind}
    link.request(method, f"/accounts/api/{path}", body, headers)
    answer = link.getresponse()
    answer.read()
    link.close()
    return answer.status


def test_form_on_another_port_is_taken(browser: Browser) -> None:
    fields = {"title": "Over TLS", "priority": "medium", "status": "pending"}
    assert browser.post("/tasks/new/", fields) == (302, "/tasks/")
    answer, page = browser.ask("GET", "/tasks/")
    assert answer.status == 200
    assert "Over TLS" in page


def test_archive_of_three_megabytes_is_taken_by_api_and_form(
    proxy: Proxy, dora: Person, browser: Browser
) -> None:
    body = archive(3)
    assert len(body) > 3_000_000
    assert call(proxy, dora, "POST", "import/?dry_run=true", body, "application/zip") == 200
    status, page = browser.post("/settings/data/", {"mode": "merge"}, body)
    assert (status, "157" in page) == (200, True)


def test_archive_that_is_too_large_is_refused(proxy: Proxy, dora: Person) -> None:
    link = proxy.connection()
    link.putrequest("POST", "/accounts/api/import/", skip_host=True)
    for name, value in {
        "Host": proxy.host,
        "Authorization": f"Bearer {dora.token}",
        "Content-Type": "application/zip",
        "Content-Length": str(34 * 1024 * 1024),
    }.items():
        link.putheader(name, value)
    link.endheaders()
    assert link.getresponse().status == 413
    link.close()


def test_stream_of_changes_is_not_held_back(proxy: Proxy, dora: Person) -> None:
    link = proxy.connection()
    headers = {"Host": proxy.host, "Authorization": f"Bearer {dora.token}"}
    path = "/accounts/api/changes/"
    link.request("GET", path, headers={**headers, "Accept": "text/event-stream"})
    stream = link.getresponse()
    assert stream.headers["Content-Type"].startswith("text/event-stream")
    stream.readline()  # it has begun
    body = json.dumps({"title": "Streamed"}).encode()
    assert call(proxy, dora, "POST", "tasks/", body, "application/json") == 201
    line = b""
    while b"Streamed" not in line:  # the answer goes on; a proxy that waits would time out
        line = stream.readline()
        assert line, "the stream ended"
    link.close()


def test_body_that_comes_slowly_is_the_proxys_to_wait_for(
    server: Server, proxy: Proxy, dora: Person
) -> None:
    body = json.dumps({"title": "Slow"}).encode()
    head = (
        f"POST /accounts/api/tasks/ HTTP/1.1\r\nHost: {proxy.host}\r\n"
        f"Authorization: Bearer {dora.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nX-Forwarded-Proto: https\r\n\r\n"
    ).encode()
    link = proxy.connection()
    link.connect()
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as direct:
        for connection in (direct, link.sock):
            connection.sendall(head + body[:5])
        assert direct.recv(1000).startswith(b"HTTP/1.1 408")  # so long no server of ours waits
        link.sock.sendall(body[5:])
        assert link.sock.recv(1000).startswith(b"HTTP/1.1 201")
    link.close()


def test_activities_show_the_address_of_people(
    proxy: Proxy, dora: Person, browser: Browser
) -> None:
    _answer, page = browser.ask("GET", "/accounts/sessions/")
    assert "127.0.0.1" in page
