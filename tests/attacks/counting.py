"""Counts what the attacks have done, over all processes of a test run, and prints it at its end.

A run of all attacks that counts less than `LEAST` fails: an attack that found nothing to attack
must not look like one that nothing gave way to.
"""

from collections import Counter
from collections.abc import Callable

import pytest

Count = Callable[[str, int], None]

LEAST = {
    "cells of the matrix": 3_000,
    "forged calls": 3_500,
    "hostile addresses": 1_900,
    "hostile bodies": 600,
    "hostile forms": 1_000,
    "disputed messages": 100,
    "pages that show an injection": 200,
    "pairs of hidden and missing": 30,
}

_MARK = "attacks: "
_done: Counter[str] = Counter()


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Count:
    """Adds to the number of things of a kind that were tried."""

    def add(kind: str, number: int) -> None:
        record_property(_MARK + kind, number)

    return add


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call":
        for name, number in report.user_properties:
            if name.startswith(_MARK):
                _done[name.removeprefix(_MARK)] += int(str(number))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _of_all_attacks(session.config) and _missing():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for kind, number in sorted(_done.items()):
        terminalreporter.write_line(f"attacks: {number:,} {kind}")
    if _of_all_attacks(config):
        for fault in _missing():
            terminalreporter.write_line(f"attacks: {fault}", red=True)


def _of_all_attacks(config: pytest.Config) -> bool:
    """Whether nothing was left out of this run's attacks by choice."""
    options = config.option
    chosen = options.keyword or options.markexpr or options.collectonly
    whole = {"tests", "tests/", "tests/attacks", "tests/attacks/"} & {*config.args}
    return bool(_done and whole and not chosen and not hasattr(config, "workerinput"))


def _missing() -> list[str]:
    return [
        f"only {_done[kind]:,} {kind}, where {least:,} are the least"
        for kind, least in LEAST.items()
        if _done[kind] < least
    ]
