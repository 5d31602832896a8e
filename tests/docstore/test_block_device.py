"""A power cut on a real ext4 loses nothing that was acknowledged."""

from __future__ import annotations

import pytest

from tests.harness import block_device
from tests.harness.devices import missing

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=f"0 cases: {missing()}")]


def test_no_power_cut_on_ext4_loses_an_acknowledged_commit() -> None:
    report = block_device.run(150, seed=1)
    assert report.lost == 0, "\n".join(report.notes)


def test_the_harness_sees_the_loss_when_nothing_is_synced() -> None:
    assert block_device.run(40, seed=1, planted="tests.harness.plants:no_sync").lost > 0
