"""The tests of properties and state machines with many more examples than in `make test`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.harness.report import Report

PROJECT: Final = Path(__file__).parents[2]
FILES: Final = (
    "tests/attacks/test_forms.py",
    "tests/docstore/test_model.py",
    "tests/docstore/test_record_list.py",
    "tests/workspace/test_archive.py",
    "tests/workspace/test_quick_add.py",
    "tests/workspace/test_recurrence.py",
    "tests/workspace/test_json_schema.py",
)


def run(count: int, seed: int) -> Report:
    """Run each file with `count` times as many examples, from this seed."""
    report = Report("properties")
    for file in FILES:
        options = ["-q", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}", file]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options],
            cwd=PROJECT,
            env=os.environ | {"TEST_EXAMPLES": str(count)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        report.cases += 1
        print(f"{file}: {done.stdout.rstrip().rpartition(chr(10))[2]}", flush=True)
        if done.returncode != 0:
            report.lose(f"{file}:\n{done.stdout}")
    return report.finish(len(FILES))
