"""A server that is stopped under load leaves every byte as it was. In full: `make soak`."""

import pytest

from tests.harness import stops

pytestmark = pytest.mark.slow
STOPS = 3  # SIGTERM, a killed master, SIGINT


def test_stop_under_load_leaves_every_byte() -> None:
    assert stops.run(STOPS, seed=20261130).notes[:-1] == []
