"""Every planted bug is caught by its harness."""

from __future__ import annotations

import pytest

from docstore.journal.log import Journal
from tests.harness.planted import BUGS, planted, returning, run

HALF = (len(BUGS) + 1) // 2


def test_there_are_as_many_as_was_said() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "count"),
    [
        pytest.param(0, HALF, marks=pytest.mark.xdist_group("planted-1")),
        pytest.param(HALF, len(BUGS) - HALF, marks=pytest.mark.xdist_group("planted-2")),
    ],
)
def test_planted_bugs_are_caught(first: int, count: int) -> None:
    assert run(count, first).lost == 0


def test_a_bug_that_cannot_be_planted_any_more_is_no_bug_caught() -> None:
    with pytest.raises(AttributeError), planted(Journal, "_renamed", returning(None)):
        pass
