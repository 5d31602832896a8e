"""Hostile connections of every kind beside ordinary requests. In full: `make soak`."""

from collections.abc import Iterator

import pytest

from tests.harness import connections
from tests.harness.connections import World

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("attacks by connections")]
CONNECTIONS, REQUESTS = 120, 20
PATIENCE = (
    25.0  # seconds: far more than an answer takes, less than any hostile client is waited for
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with connections.world(tmp_path_factory.mktemp("attacked")) as world:
        yield world


@pytest.mark.parametrize("name", World.NAMES)
def test_hostile_connections_leave_ordinary_requests_answered(world: World, name: str) -> None:
    with connections.attacked(world, world.kinds()[name], CONNECTIONS):
        assert len(connections.times(world, REQUESTS, PATIENCE)) == REQUESTS


def test_third_account_gets_a_stream_beside_two_that_hold_all_places(world: World) -> None:
    with connections.attacked(world, world.kinds()["streams"], 40):
        assert connections.seconds_to_stream(world.people[2], PATIENCE) < PATIENCE
