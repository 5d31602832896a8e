"""The test suite under other clocks and zones: no test may depend on the day of its writing.

Every process of a run, including servers and commands, has the same clock, at a fixed offset from
the machine's, and sees file times with that offset (`tests/clock`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from tests.harness.report import Report

PROJECT: Final = Path(__file__).parents[2]
CLOCK: Final = PROJECT / "tests/clock"
AHEAD: Final = "TEST_CLOCK_AHEAD"  # how many seconds the clock of a process is ahead
LINES_SHOWN: Final = 400


class Setting(NamedTuple):
    """A time on the clocks of a zone, which is the machine's zone as well."""

    moment: str
    zone: str

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that set the clock and the zone of a process and its children.

        The clock shows the setting's time at the moment of this call, also if this process itself
        runs under another clock.
        """
        there = datetime.fromisoformat(self.moment).replace(tzinfo=ZoneInfo(self.zone))
        now = time.time() - round(float(os.environ.get(AHEAD) or 0))  # by the machine's clock
        path = [str(CLOCK), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            AHEAD: str(there.timestamp() - now),
            "TZ": self.zone,
            "PYTHONPATH": os.pathsep.join(path),
        }


SETTINGS: Final = (
    Setting("2026-12-31T23:59:30", "America/Los_Angeles"),
    Setting("2028-02-29T12:00:00", "Asia/Tokyo"),
    Setting("2027-02-28T23:40:00", "UTC"),
    Setting("2026-12-31T23:59:30", "UTC"),
    Setting("2026-12-31T23:59:30", "Asia/Tokyo"),
    Setting("2027-03-14T01:58:00", "America/Los_Angeles"),  # two minutes before summer time
)


def run_tests(setting: Setting, options: Iterable[str]) -> subprocess.CompletedProcess[str]:
    """Run pytest with these options in the setting, isolated from a pytest that calls this."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=PROJECT,
        env=outside | setting.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(count: int, seed: int) -> Report:
    """Run all tests that need no browser in the first `count` settings."""
    report = Report("clocks")
    for setting in SETTINGS[:count]:
        print(f"{setting.moment} in {setting.zone}", flush=True)
        done = run_tests(setting, ["-n", "2", "--dist", "loadgroup", "-m", "not browser"])
        report.cases += 1
        print(done.stdout.rstrip().rpartition("\n")[2], flush=True)
        if done.returncode != 0:
            lines = done.stdout.splitlines()[-LINES_SHOWN:]
            report.lose(f"{setting.moment} in {setting.zone}:\n" + "\n".join(lines))
    return report.finish(min(count, len(SETTINGS)))
