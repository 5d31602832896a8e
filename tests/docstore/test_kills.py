"""Killing writers under load loses nothing that was acknowledged."""

from __future__ import annotations

import pytest

from tests.harness import kills

pytestmark = pytest.mark.slow


def test_killing_16_writers_loses_no_acknowledged_commit() -> None:
    report = kills.run(8, seed=1)
    assert report.lost == 0, "\n".join(report.notes)


def test_the_harness_sees_the_loss_when_there_is_no_lock() -> None:
    plant = "tests.harness.plants:no_lock"
    # A loss needs two writers in the same moment, which few kills on a busy machine may not meet.
    assert any(kills.run(8, seed, planted=plant).lost for seed in range(1, 7))
