"""The world that is attacked, a new one for each test."""

from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from tests.attacks.world import World


@pytest.fixture
def world(data_folder: Path, db: None, settings: Settings) -> World:
    settings.NEURALFLOW_SECURITY_CONTACT = ["mailto:security@example.com"]
    return World.copied(data_folder)
