"""The browser tests in all four looks, with screenshots; `make test` runs two looks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.harness.report import Report

PROJECT: Final = Path(__file__).parents[2]
LOOKS: Final = ("phone-light", "phone-dark", "wide-light", "wide-dark")


def run(count: int, seed: int) -> Report:
    """Run them in the first `count` looks."""
    report = Report("looks")
    for look in LOOKS[:count]:
        print(look, flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-n", "2", "-q", "tests/browser", "-k", look],
            cwd=PROJECT,
            env=os.environ | {"TEST_LOOKS": "all"},
        )
        report.cases += 1
        if done.returncode != 0:
            report.lose(f"{look}: pytest ended with {done.returncode}; see above")
    return report.finish(min(count, len(LOOKS)))
