"""The settings as a fresh process reads them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from pytest_django.fixtures import Settings

from neuralflow import settings as project_settings

PROJECT = Path(__file__).parents[2]


def read(name: str, **environment: str) -> Any:
    """The setting as a new process has it, or the last line of what that process complained of."""
    code = f"import json; from neuralflow import settings; print(json.dumps(settings.{name}))"
    clean = {key: value for key, value in os.environ.items() if not key.startswith("NEURALFLOW_")}
    for key in ("HOST", "PORT", "DATABASE_URL", "EMAIL_URL", "WEB_CONCURRENCY"):
        clean.pop(key, None)
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=clean | {"NEURALFLOW_SECRET_KEY": "x" * 50} | environment,
        capture_output=True,
        text=True,
    )
    return json.loads(ran.stdout) if ran.returncode == 0 else ran.stderr.splitlines()[-1]


def test_a_fresh_installation_is_safe_and_local() -> None:
    assert read("DEBUG") is False
    assert read("ALLOWED_HOSTS") == ["localhost", "127.0.0.1", "[::1]"]
    assert read("NEURALFLOW_STORE") == (PROJECT / "data").as_uri()
    assert read("DATABASES['default']['NAME']") == str(PROJECT / "db.sqlite3")


@pytest.mark.parametrize(
    ("host", "added"),
    [
        ("192.0.2.5", ["192.0.2.5"]),
        ("flow.example", ["flow.example"]),
        ("2001:db8::1", ["[2001:db8::1]"]),
        ("0.0.0.0", []),
        ("::", []),
        ("127.0.0.1", []),
    ],
)
def test_the_host_that_is_served_is_allowed(host: str, added: list[str]) -> None:
    assert read("ALLOWED_HOSTS", HOST=host) == ["localhost", "127.0.0.1", "[::1]", *added]


def test_named_hosts_are_the_only_ones_allowed() -> None:
    assert read("ALLOWED_HOSTS", NEURALFLOW_ALLOWED_HOSTS="a.example,b.example") == [
        "a.example",
        "b.example",
    ]


@pytest.mark.parametrize("text", ["a.example, b.example", " a.example ,b.example,"])
def test_list_with_spaces_means_the_names_alone(text: str) -> None:
    assert read("ALLOWED_HOSTS", NEURALFLOW_ALLOWED_HOSTS=text) == ["a.example", "b.example"]


def test_every_list_is_read_without_spaces() -> None:
    networks = "[str(each) for each in settings.NEURALFLOW_TRUSTED_PROXIES]"
    lists = read(
        f"DEBUG or [{networks}, settings.NEURALFLOW_SECURITY_CONTACT]",
        NEURALFLOW_TRUSTED_PROXIES=" 127.0.0.1 , 10.0.0.0/8 ",
        NEURALFLOW_SECURITY_CONTACT="a@example.com , https://example.com/report",
    )
    assert lists == [
        ["127.0.0.1/32", "10.0.0.0/8"],
        ["mailto:a@example.com", "https://example.com/report"],
    ]


@pytest.mark.parametrize(("text", "is_on"), [("true ", True), ("On", True), ("no", False)])
def test_switch_is_read_without_spaces(text: str, is_on: bool) -> None:
    assert read("HTTPS", NEURALFLOW_HTTPS=text) is is_on


@pytest.mark.parametrize("name", ["NEURALFLOW_HTTPS", "NEURALFLOW_DEBUG"])
def test_switch_that_is_neither_on_nor_off_is_an_error(name: str) -> None:
    assert f"{name} must be true or false, not 'ture'" in read("DEBUG", **{name: "ture"})


def test_unknown_name_is_reported_with_the_nearest_known_one() -> None:
    names = read(
        "NEURALFLOW_UNKNOWN_NAMES",
        NEURALFLOW_ALOWED_HOSTS="a.example",
        NEURALFLOW_WEATHER="sunny",
        NEURALFLOW_BURST="120/60",
    )
    assert names == {
        "NEURALFLOW_ALOWED_HOSTS": "NEURALFLOW_ALLOWED_HOSTS",
        "NEURALFLOW_WEATHER": "",
    }


@pytest.mark.parametrize(("processors", "workers"), [(1, 2), (2, 2), (6, 6), (64, 16)])
def test_as_many_processes_serve_as_there_are_processors(
    processors: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(processors)))
    assert project_settings._workers("") == workers


@pytest.mark.parametrize(("text", "workers"), [("1", 1), (" 3 ", 3)])
def test_number_of_processes_can_be_chosen(text: str, workers: int) -> None:
    assert read("WORKERS", WEB_CONCURRENCY=text) == workers


@pytest.mark.parametrize("text", ["0", "-1", "many", "1000"])
def test_number_of_processes_that_is_none_is_an_error(text: str) -> None:
    assert "WEB_CONCURRENCY must be a number from 1 to 999" in read("DEBUG", WEB_CONCURRENCY=text)


def test_sqlite_waits_for_its_lock_and_keeps_what_it_acknowledged() -> None:
    options = read("DATABASES['default']['OPTIONS']", DATABASE_URL="sqlite:////tmp/other.sqlite3")
    assert options["transaction_mode"] == "IMMEDIATE"
    assert options["timeout"] == 20
    assert "journal_mode=WAL" in options["init_command"]
    assert "synchronous=FULL" in options["init_command"]


@pytest.mark.parametrize("port", ["abc", "-1", "65536", ""])
def test_a_port_that_is_none_is_told_in_a_sentence(port: str) -> None:
    assert f"PORT must be a number from 0 to 65535, not '{port}'." in read("PORT", PORT=port)


def test_proxies_that_are_no_networks_are_told_in_a_sentence() -> None:
    told = read("DEBUG", NEURALFLOW_TRUSTED_PROXIES="10.0.0.0/8,nonsense")
    assert "NEURALFLOW_TRUSTED_PROXIES: 'nonsense'" in told


@pytest.mark.parametrize("https", ["true", "false"])
def test_cookies_are_bound_to_tls_where_there_is_only_tls(https: str) -> None:
    for name in ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"):
        assert read(name, NEURALFLOW_HTTPS=https) is (https == "true")


def test_gunicorn_believes_no_header_by_itself() -> None:
    from neuralflow import gunicorn_conf

    assert gunicorn_conf.forwarded_allow_ips == ""
    assert gunicorn_conf.secure_scheme_headers == {}
    assert gunicorn_conf.preload_app is False


@pytest.mark.django_db
def test_pages_have_their_style_before_static_files_were_collected(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.STATIC_ROOT = tmp_path / "none"
    settings.STORAGES = dict(settings.STORAGES)  # makes the storage anew, with that folder
    page = client.get("/accounts/login/")
    assert page.status_code == 200
    assert 'href="/static/css/neuralflow.css"' in page.content.decode()


def test_the_body_limit_is_a_mebibyte() -> None:
    assert settings.DATA_UPLOAD_MAX_MEMORY_SIZE == 1024 * 1024
    assert settings.DATA_UPLOAD_MAX_NUMBER_FIELDS == 1000


@pytest.mark.parametrize(
    ("text", "meant"),
    [("1500000", 1_500_000), ("64k", 65_536), ("64M", 67_108_864), (" 2G ", 2**31), ("0", 0)],
)
def test_a_number_of_bytes(text: str, meant: int) -> None:
    assert read("NEURALFLOW_HISTORY_BYTES", NEURALFLOW_HISTORY_BYTES=text) == meant


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("NEURALFLOW_HISTORY_BYTES", "64MB"),
        ("NEURALFLOW_CACHE_BYTES", "-1"),
        ("NEURALFLOW_API_CALLS_LIMIT", "-1"),
        ("NEURALFLOW_HISTORY_DAYS", "-1"),
        ("NEURALFLOW_HISTORY_DAYS", "nan"),
        ("NEURALFLOW_HISTORY_DAYS", "a month"),
    ],
)
def test_setting_invalid_number_is_refused(name: str, text: str) -> None:
    assert f"{name} must be a number of" in read(name, **{name: text})


def test_history_is_kept_for_thirty_days_up_to_a_gigabyte() -> None:
    assert read("NEURALFLOW_HISTORY_DAYS") == 30
    assert read("NEURALFLOW_HISTORY_BYTES") == 2**30
    assert read("NEURALFLOW_HISTORY_DAYS", NEURALFLOW_HISTORY_DAYS="0.5") == 0.5


def test_folder_of_mail_is_the_one_that_the_url_names() -> None:
    assert read("EMAIL_FILE_PATH", EMAIL_URL="filemail:///srv/mail") == "/srv/mail"


def test_served_processes_write_files_for_their_owner_only() -> None:
    code = "import os; from neuralflow import gunicorn_conf; os.umask(0o022);"
    code += " gunicorn_conf.post_fork(None, None); print(oct(os.umask(0)))"
    environment = os.environ | {"NEURALFLOW_SECRET_KEY": "x" * 50}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=environment, capture_output=True, text=True
    )
    assert ran.stdout == "0o77\n", ran.stderr


def test_store_named_database_is_that_of_the_accounts() -> None:
    url = "postgres://u:p%40ss@db.example:5433/neuralflow?sslmode=require"
    for scheme in ("postgres", "postgresql", "pgsql"):
        address = url.replace("postgres", scheme, 1)
        assert read("NEURALFLOW_STORE", NEURALFLOW_STORE="database", DATABASE_URL=address) == url


@pytest.mark.parametrize("url", ["", "sqlite:////tmp/db.sqlite3"])
def test_store_named_database_without_postgresql_is_refused(url: str) -> None:
    message = read("NEURALFLOW_STORE", NEURALFLOW_STORE="database", DATABASE_URL=url)
    assert "NEURALFLOW_STORE=database needs a DATABASE_URL such as postgres://" in message
