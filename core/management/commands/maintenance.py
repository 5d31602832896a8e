"""Run maintenance: the jobs that are due, or those that are named."""

import json
import logging
import os
import signal
import sys
import threading
from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError

from core.console import escape_control, hint_for
from core.error_log import record_errors
from core.maintenance.jobs import JOBS
from core.maintenance.runner import AlreadyRunning, Runner
from docstore import StoreError
from utils.json_storage import json_storage
from workspace.operations.maintenance_history import JobRun
from workspace.timestamps import format_utc

_NICENESS = 10


class Command(BaseCommand):
    help = (
        "Runs maintenance. With --once the jobs that are due, with names these jobs now, otherwise "
        "shows when each ran and will run. Exit code 1 when a job failed, 2 when maintenance "
        "cannot run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "jobs", nargs="*", metavar="JOB", help=", ".join(job.name for job in JOBS)
        )
        parser.add_argument("--once", action="store_true", help="run the jobs that are due")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--watch-stdin",
            action="store_true",
            help="for the server: end with standard input, at a low priority",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        runner = Runner()
        unknown = sorted({*options["jobs"]} - {*runner.names})
        if unknown:
            raise CommandError(
                f"There is no job {unknown[0]!r}: there are {', '.join(runner.names)}.",
                returncode=2,
            )
        if options["watch_stdin"]:
            os.nice(_NICENESS)
            record_errors(json_storage.folder)
            threading.Thread(target=_end_with_stdin, daemon=True).start()
        try:
            if options["jobs"] or options["once"]:
                self._run(runner, options)
            else:
                self._show(runner, options)
        except (StoreError, OSError, AlreadyRunning) as fault:
            text = hint_for(fault) if not isinstance(fault, AlreadyRunning) else str(fault)
            raise CommandError(text, returncode=2) from fault

    def _run(self, runner: Runner, options: dict[str, Any]) -> None:
        logger = logging.getLogger("neuralflow.maintenance")
        logger.disabled = not options["watch_stdin"]  # the lines below show the same
        try:
            runs = runner.run(options["jobs"]) if options["jobs"] else runner.run_due()
        finally:
            logger.disabled = False
        if options["json"]:
            self.stdout.write(json.dumps({"runs": msgspec.to_builtins(runs)}, indent=2))
        else:
            for run in runs:
                self.stdout.write(_line(run))
            if not runs:
                self.stdout.write("Nothing is due.")
        failed = [run.job for run in runs if not run.is_ok]
        if failed:
            raise CommandError(f"Failed: {', '.join(failed)}. See docs/maintenance.md.")

    def _show(self, runner: Runner, options: dict[str, Any]) -> None:
        jobs, upcoming = runner.history().jobs, runner.upcoming()
        if options["json"]:
            states = {
                name: {
                    **(msgspec.to_builtins(jobs[name]) if name in jobs else {}),
                    "next_at": format_utc(at),
                }
                for name, at in upcoming.items()
            }
            self.stdout.write(json.dumps({"jobs": states}, indent=2))
            return
        for name, at in upcoming.items():
            state = jobs.get(name)
            if state is None or state.finished_at is None:
                last = "never ran"
            else:
                word = "FAILED" if state.failures else "done"
                last = f"{word} {format_utc(state.finished_at)}: {state.result}"
            self.stdout.write(escape_control(f"{name}: {last}; next {format_utc(at)}"))


def _line(run: JobRun) -> str:
    word = "done" if run.is_ok else "FAILED"
    return escape_control(f"{run.job}: {word} in {run.seconds:.1f} s: {run.result}")


def _end_with_stdin() -> None:
    """End this process when standard input does: the server that started it has ended."""
    while sys.stdin.buffer.read(1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
