"""The world that is attacked, made anew for each test."""

from pathlib import Path

import pytest

from tests.attacks.world import World


@pytest.fixture
def world(data_folder: Path, db: None) -> World:
    return World(data_folder)
