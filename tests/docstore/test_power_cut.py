"""After any power cut, every acknowledged commit is there, complete, and nothing else is."""

from __future__ import annotations

import pytest

from tests.harness import power_cut


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(1_000, marks=pytest.mark.xdist_group("power-cut-1")),
        pytest.param(2_000, marks=pytest.mark.xdist_group("power-cut-2")),
    ],
)
def test_no_power_cut_loses_or_halves_an_acknowledged_commit(seed: int) -> None:
    assert power_cut.run(3_000, seed).lost == 0


def test_no_power_cut_in_the_middle_of_recovery_does(seed: int = 3_000) -> None:
    trial = power_cut.Trial(seed, states_max=1_000, cuts_again=1.0)
    trial.run()
    assert trial.in_recovery > 400
