"""A server that is stopped under load leaves every byte as it was. In full: `make soak`."""

import random
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest

from tests.harness.stops import Attack

pytestmark = pytest.mark.slow
TRIES = 10  # a stop at which no request ends late shows nothing


def test_stop_under_load_leaves_every_byte_and_planted_bug_is_noticed(tmp_path: Path) -> None:
    attack = Attack(tmp_path, random.Random(20261130))
    for number in (SIGTERM, SIGKILL):
        assert attack.stop(number) == []
    assert attack.acknowledged

    attack.server.environment["CLOSES_PIPE"] = "1"
    faults = next(filter(None, (attack.stop(SIGTERM) for _ in range(TRIES))))
    assert any("late wake-up bytes went to" in fault for fault in faults), faults
