"""The world of the tests: a store of its own for each, and the cast.

Alice owns, Bob shares, Charlie must see nothing.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.test import Client
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django.fixtures import Settings

from accounts.models import User
from tests.attacks.counting import (  # noqa: F401  hooks of pytest, and a fixture
    count,
    pytest_runtest_logreport,
    pytest_sessionfinish,
    pytest_terminal_summary,
)
from tests.postgres import postgres_cluster, postgres_url  # noqa: F401  fixtures
from utils.json_storage import json_storage

# How fast values are made up, and an example runs, is the machine's business and not the product's.
hypothesis_settings.register_profile(
    "suite", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("suite")

TESTS = Path(__file__).parent
ABOVE_THE_STORE = {"accounts", "api", "attacks", "web"}
MEMORY, MEMORY_BYTES = Path("/dev/shm"), 2 << 30  # a file system in memory, and its least room

PASSWORD = "Owls-hunt-at-dusk"

Capture = Callable[..., AbstractContextManager[Any]]


@pytest.hookimpl(trylast=True)  # when every folder has marked its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take long: the last tests are short, and no worker waits long."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    long |= {item.path for item in items if item.get_closest_marker("browser")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture
def store_place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The folder of the data folder: in memory for tests of what is above the store.

    Their commits do not wait for a disk. Those of the store and of whole servers do.
    """
    above = request.path.is_relative_to(TESTS) and (
        request.path.relative_to(TESTS).parts[0] in ABOVE_THE_STORE
    )
    if not (above and MEMORY.is_dir() and disk_usage(MEMORY).free > MEMORY_BYTES):
        yield tmp_path
        return
    with TemporaryDirectory(prefix="neuralflow-", dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def data_folder(
    store_place: Path, settings: Settings, request: pytest.FixtureRequest
) -> Iterator[Path]:
    """The data folder of this test, empty and not made yet. No test touches a real one.

    With TEST_STORE=postgres the store is in PostgreSQL, and the folder stays empty.
    """
    folder = store_place / "data"
    settings.NEURALFLOW_STORE = folder.as_uri()
    if os.environ.get("TEST_STORE") == "postgres":
        settings.NEURALFLOW_STORE = request.getfixturevalue("postgres_url")
    json_storage.close()
    yield folder
    json_storage.close()


@pytest.fixture(autouse=True)
def quick_and_apart(tmp_path: Path, settings: Settings) -> None:
    """Cheap password hashes, limits that start afresh, static files looked up when asked for."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "LOCATION": str(tmp_path),
            "OPTIONS": settings.CACHES["default"]["OPTIONS"],
        }
    }
    settings.STATIC_ROOT = tmp_path / "static"  # not what an earlier `make run` collected
    settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture
def still_clock() -> Iterator[None]:
    """Stop this process's clock: no midnight passes between what a test and the product call today.

    For tests that compare with the present. Those with a date of their own inject a clock instead.
    """
    with time_machine.travel(time.time(), tick=False):
        yield


def proves(user: User) -> User:
    """Note that the user has proved their address, as the code in a mail does."""
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def _person(name: str, capture: Capture) -> User:
    with capture(execute=True):
        return proves(User.objects.create_user(name, f"{name}@example.com", PASSWORD))


@pytest.fixture
def sends_mail(settings: Settings) -> None:
    """Let mail reach people, as a server with EMAIL_URL does: addresses can be proved."""
    settings.NEURALFLOW_SENDS_MAIL = True
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True


@pytest.fixture
def alice(db: None, django_capture_on_commit_callbacks: Capture) -> User:
    return _person("alice", django_capture_on_commit_callbacks)


@pytest.fixture
def bob(db: None, django_capture_on_commit_callbacks: Capture) -> User:
    return _person("bob", django_capture_on_commit_callbacks)


@pytest.fixture
def charlie(db: None, django_capture_on_commit_callbacks: Capture) -> User:
    return _person("charlie", django_capture_on_commit_callbacks)


def prove_who_asks(client: Client) -> None:
    """Gives the password once more, as guarded pages ask for."""
    answer = client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert answer.status_code == 302
