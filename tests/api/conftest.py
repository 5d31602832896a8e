"""The cast with tokens in hand, and a real server."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.tokens import create_token
from tests.server import Server, running_server
from utils.json_storage import json_storage


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
        self,
        method: str,
        path: str,
        data: Any,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        address = f"/accounts/api/{path}"
        return self.client.generic(method, address, body, content_type, headers=headers)

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
        json_storage.commit_counts()  # of calls that only read
        document = json_storage.get_user_data(self.id)
        assert document is not None
        return document

    def allow(self, calls: int) -> None:
        """Sets how many calls the person may make in an hour."""
        self.user.api_calls_limit = calls
        self.user.save()
        json_storage.save_user_data(self.user)

    @property
    def latest(self) -> dict[str, Any]:
        """The latest activity."""
        activity: dict[str, Any] = self.document["activities"][-1]
        return activity


@pytest.fixture(autouse=True)
def no_burst(settings: Any) -> None:
    """Tests call as often as they like; those of the burst set their own."""
    settings.NEURALFLOW_BURST = (1_000_000, 60)


@pytest.fixture
def alice(alice: User) -> Caller:
    return Caller(alice)


@pytest.fixture
def charlie(charlie: User) -> Caller:
    return Caller(charlie)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server, as `make run` starts it, over a folder and a database of its own."""
    with running_server(tmp_path_factory.mktemp("server")) as server:
        yield server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the real server go to one process, so that it is started once."""
    for item in items:
        if (
            "server" in getattr(item, "fixturenames", ())
            and Path(__file__).parent in item.path.parents
        ):
            item.add_marker(pytest.mark.xdist_group("api server"))
