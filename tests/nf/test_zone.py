"""The time zone of this machine."""

import time
from collections.abc import Iterator

import pytest

from nf.zone import zone_here


@pytest.fixture(autouse=True)
def zone_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("setting", "zone"),
    [
        ("Europe/Madrid", "Europe/Madrid"),
        (":/usr/share/zoneinfo/America/Port-au-Prince", "America/Port-au-Prince"),
        ("UTC", "UTC"),
        ("JST-9", "Etc/GMT-9"),  # a rule of POSIX, which has no name
        ("PST8", "Etc/GMT+8"),
        ("IST-5:30", None),
        ("", "UTC"),
    ],
)
def test_the_zone_of_this_machine(
    setting: str, zone: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", setting)
    time.tzset()
    assert zone_here() == zone
