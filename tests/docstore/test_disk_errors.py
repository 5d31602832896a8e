"""After any error of the disk, the store reports the truth, loses nothing and goes on."""

from __future__ import annotations

import pytest

from tests.harness import disk_errors


@pytest.mark.parametrize("name", disk_errors.FAULTS)
def test_disk_with_errors_is_reported_truthfully(name: str) -> None:
    struck = 0
    for seed in range(60):
        trial = disk_errors.FaultyTrial(seed, cuts_again=0, faults=(name,))
        trial.run()
        struck += trial.fault.struck > 0
    assert struck > 20
