"""If any system call fails or is the last one, the store keeps its promises."""

from __future__ import annotations

import shutil

import pytest

from tests.harness import system_calls

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("cc"), reason="0 cases: there is no C compiler"),
]


def test_the_store_keeps_its_word_whichever_system_call_fails() -> None:
    report = system_calls.run(200, seed=1)
    assert report.lost == 0, "\n".join(report.notes)


@pytest.mark.parametrize(
    ("bug", "mode"), [("swallowed_sync_errors", "EIO once"), ("no_write_loop", "short write")]
)
def test_the_harness_catches_a_planted_bug(bug: str, mode: str) -> None:
    plant = f"tests.harness.plants:{bug}"
    # About one in ten of the calls is of the kind that the bug needs.
    assert any(system_calls.run(80, seed, plant, only=mode).lost for seed in range(1, 9))
