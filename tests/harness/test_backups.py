"""Backups under attack, briefly; `make soak` has the long runs."""

from __future__ import annotations

from tests.harness import damaged_backups, online_backups


def test_online_backups_under_16_writers_show_one_moment() -> None:
    assert online_backups.run(20, 1).lost == 0


def test_damaged_backups_are_detected_and_never_restored() -> None:
    assert damaged_backups.run(1_000, 1).lost == 0
