"""Hand edits from states of any age beside writing programs; the full run is in the soak."""

from __future__ import annotations

from tests.harness import hand_edits


def test_no_write_and_no_edit_is_lost() -> None:
    assert hand_edits.run(2_000, 20261130).lost == 0
