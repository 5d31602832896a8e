"""The suite is green on any day: a sample of it, in two settings of `make soak ARGS=clocks`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.harness.clocks import SETTINGS, Setting, run_tests

# The files that say most about days: due dates, repeats, months of calls, sessions, plain words.
SAMPLE = (
    "tests/api/test_quick.py",
    "tests/accounts/test_tokens.py",
    "tests/web/test_agenda.py",
    "tests/web/test_dashboard.py",
    "tests/web/test_localization.py",
    "tests/web/test_calendar.py",
    "tests/nf/test_zone.py",
    "tests/workspace/test_next_occurrence.py",
    "tests/workspace/test_idempotency.py",
    "tests/workspace/test_quota.py",
)
CLOCK = """
import os, subprocess, sys
from datetime import datetime
print(datetime.now().isoformat()[:16], end=" ", flush=True)
if sys.argv[1:]:
    subprocess.run([sys.executable, "-c", sys.argv[1]], check=True)
"""


def test_clock_is_the_same_in_child_processes() -> None:
    setting = Setting("2028-02-29T12:00:00", "Asia/Tokyo")
    done = subprocess.run(
        [sys.executable, "-c", CLOCK, CLOCK],
        env=os.environ | setting.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    # Each process sets its clock when it starts, so theirs may be a little apart.
    assert {moment[:14] for moment in done.stdout.split()} <= {"2028-02-29T11:", "2028-02-29T12:"}


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS[:2], ids=lambda setting: setting.moment)
def test_sample_of_the_suite_passes_on_another_day(setting: Setting) -> None:
    done = run_tests(setting, ["-n", "0", "-m", "not slow", "-k", "not process", *SAMPLE])
    assert done.returncode == 0, done.stdout
