"""Manual edits of files from states of any age, while programs write: no change is lost."""

from __future__ import annotations

import os

import django
from hypothesis import seed as seeded
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.harness.report import Report

_EXAMPLES: int = 40  # per run, so that the soak shows its progress


def run(cases: int, seed: int) -> Report:
    """Run this many steps; each example has about 50."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neuralflow.settings")
    django.setup()
    from tests.workspace.edit_machine import QUIET, STEPS, EditMachine

    report = Report("hand_edits")
    while report.cases < cases:
        examples = min(_EXAMPLES, -(-(cases - report.cases) // STEPS))
        wanted = settings(QUIET, max_examples=examples, stateful_step_count=STEPS)
        machine = seeded(seed + report.cases)(EditMachine)
        try:
            run_state_machine_as_test(machine, settings=wanted)
        except AssertionError as fault:
            report.lose("\n".join([str(fault), *getattr(fault, "__notes__", ())]))
        report.cases += examples * STEPS
    return report.finish(cases)
