"""People with tokens, calls in their name, and the bytes of the data folder."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from accounts.tokens import create_token
from tests.accounts.api.server import Server, running_server
from utils.json_storage import Activity, json_storage


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, settings: Settings, db: None) -> Iterator[Path]:
    json_storage.close()
    settings.NEURALFLOW_STORE = (tmp_path / "data").as_uri()
    yield tmp_path / "data"
    json_storage.close()


class Caller:
    """Calls the API in one person's name, with a token of theirs."""

    def __init__(self, user: User) -> None:
        self.id: int = user.pk
        self.user = user
        self.token = create_token(user)[1]
        self.client = Client(headers={"authorization": f"Bearer {self.token}"})

    def get(self, path: str, **extra: Any) -> Any:
        return self.client.get(f"/accounts/api/{path}", **extra)

    def call(
        self, method: str, path: str, data: Any, content_type: str = "application/json"
    ) -> Any:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        return self.client.generic(method, f"/accounts/api/{path}", body, content_type)

    def post(self, path: str, data: Any) -> Any:
        return self.call("POST", path, data)

    def put(self, path: str, data: Any) -> Any:
        return self.call("PUT", path, data)

    def patch(self, path: str, data: Any, content_type: str = "application/json") -> Any:
        return self.call("PATCH", path, data, content_type)

    def delete(self, path: str) -> Any:
        return self.client.delete(f"/accounts/api/{path}")

    @property
    def document(self) -> dict[str, Any]:
        """What is stored of the person: the profile, the count of calls, the activities."""
        document = json_storage.get_user_data(self.id)
        assert document is not None
        return document

    def allow(self, calls: int) -> None:
        """Sets how many calls the person may make in a month."""
        self.user.api_calls_limit = calls
        self.user.save()
        json_storage.save_user_data(self.user)

    @property
    def latest(self) -> dict[str, Any]:
        """The latest activity."""
        activity: dict[str, Any] = self.document["activities"][-1]
        return activity


@pytest.fixture
def person(data_folder: Path) -> Callable[[str], Caller]:
    def register(name: str) -> Caller:
        user = User.objects.create_user(name, f"{name}@example.org", "a long Passphrase 7")
        json_storage.register_user(user, Activity("account_created", "Account created"))
        return Caller(user)

    return register


@pytest.fixture
def alice(person: Callable[[str], Caller]) -> Caller:
    return person("alice")


@pytest.fixture
def charlie(person: Callable[[str], Caller]) -> Caller:
    return person("charlie")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server, as `make run` starts it, over a folder and a database of its own."""
    with running_server(tmp_path_factory.mktemp("server")) as server:
        yield server
