"""Run the harnesses: `python -m tests.harness [NAME ...]`; all of them without a name.

SOAK_SCALE is the fraction of the full count to run: 1 by default. SOAK_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import sys
import time
from importlib import import_module
from typing import Final

from tests.harness.report import CannotRun, Report

# The modules, with the number of cases of a full run.
FULL: Final = {
    "block_device": 20_000,
    "system_calls": 20_000,
    "kills": 500,
    "stops": 200,
    "history": 1_000_000,
    "power_cut": 1_000_000,
    "disk_errors": 20_000,
    "interruptions": 81_000,
    "hand_edits": 200_000,
    "online_backups": 1_000,
    "damaged_backups": 100_000,
    "planted": 100,
    "many_servers": 100_000,
    "api_cases": 20_000,
    "malformed_bodies": 100_000,
    "connections": 39,
    "clocks": 6,
    "properties": 20,
    "looks": 4,
}


def run(name: str, scale: float, seed: int) -> bool:
    """Run one harness; return whether nothing was lost."""
    count = max(1, round(FULL[name] * scale))
    print(f"\n{name}: {count} cases asked for, seed {seed}", flush=True)
    began = time.monotonic()
    try:
        report: Report = import_module(f"tests.harness.{name}").run(count, seed)
    except (AssertionError, CannotRun) as fault:
        print(f"{name} FAILED: {fault}")
        return False
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return report.lost == 0


def main(names: list[str]) -> int:
    unknown = set(names) - set(FULL)
    if unknown:
        print(f"no such harness: {', '.join(sorted(unknown))}. There are {', '.join(FULL)}.")
        return 2
    scale = float(os.environ.get("SOAK_SCALE", "1"))
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(1, 10**6))
    failed = [name for name in names or FULL if not run(name, scale, seed)]
    print(f"\nFAILED: {', '.join(failed)}" if failed else "\nNothing was lost.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
