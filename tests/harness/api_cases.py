"""A running server checked against its OpenAPI document by schemathesis.

The server has its default settings, and schemathesis the configuration that the project ships. It
makes calls that fit the document and calls that do not, single ones and chains in which one
response leads to the next call (a new record is read, changed, deleted, and requested again). Each
response must be documented: its status, headers, media type and schema. Valid data must be
accepted, invalid data refused, and no status may be 5xx.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.harness.report import Report
from tests.server import PROJECT, Server, running_server

CALLS: Final = 10**9  # a quota that is never reached: limits are not tested here
ENVIRONMENT: Final = {"NEURALFLOW_BURST": "1000000/1"}
DEFAULT: Final = "examples,coverage,fuzzing,stateful"  # as in a run with defaults
EXPLORING: Final = "fuzzing,stateful"
CONFIGURATION: Final = PROJECT / "schemathesis.toml"  # the configuration that users get
EXAMPLES: Final = 100  # per operation, in one exploring run of many


def run(count: int, seed: int) -> Report:
    """Run at least `count` cases against a separate server."""
    report = Report("api_cases")
    with tempfile.TemporaryDirectory() as folder:
        with running_server(Path(folder), ENVIRONMENT) as server:
            hold(server, report, count, seed)
            log = server.log.read_text()
        if "Traceback" in log:
            report.lose(f"the server's log holds a traceback:\n{log[-4000:]}")
    return report.finish(count)


def hold(server: Server, report: Report, count: int, seed: int) -> None:
    """Run schemathesis, two processes at a time, until `count` cases ran.

    The first runs have the default phases, all others explore.
    """
    phases = (DEFAULT, EXPLORING)
    while report.cases < count and not report.lost:
        runs = [("--phases", phase, "--max-examples", str(EXAMPLES)) for phase in phases]
        run_together(server, report, seed, runs)
        seed += len(runs)
        phases = (EXPLORING, EXPLORING)


def run_together(server: Server, report: Report, seed: int, runs: Sequence[Sequence[str]]) -> None:
    """Run schemathesis once with each list of options, at the same time.

    Each run has a user and a seed of its own. It has no limit of time: its calls are the same on
    a slow machine.
    """
    processes = []
    for number, options in enumerate(runs, seed + 1):
        token = server.person(f"caller{number}", CALLS).token
        at = Path(tempfile.mkdtemp(dir=server.folder))
        processes.append((at, _started(server, at, token, ["--seed", str(number), *options])))
    for at, process in processes:
        _count(report, at, process)


def _started(
    server: Server, at: Path, token: str, options: Sequence[str]
) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)),
        *("run", f"{server.address}/accounts/api/openapi.json"),
        *("--header", f"Authorization: Bearer {token}"),
        *("--report", "json", "--report-json-path", str(at / "report.json"), *options),
    ]
    path = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    with (at / "said").open("wb") as output:
        return subprocess.Popen(
            command, cwd=at, env=environment, stdout=output, stderr=subprocess.STDOUT
        )


def _count(report: Report, at: Path, process: subprocess.Popen[bytes]) -> None:
    process.wait()
    output = (at / "said").read_text("utf-8", "replace")
    try:
        results: dict[str, Any] = json.loads((at / "report.json").read_bytes())
    except FileNotFoundError:
        raise AssertionError(f"schemathesis made no report:\n{output[-4000:]}") from None
    report.cases += results["test_cases"]["generated"]
    passed = sum(results["phases"][name]["status"] == "success" for name in results["phases"])
    if process.returncode or results["failures"] or results["errors"] or not passed:
        report.lose(output)
    report.notes.append(
        f"seed {results['seed']}: {results['test_cases']['generated']} cases of "
        f"{results['operations']['tested']} operations in {results['running_time']:.0f} s, "
        f"{results['filtered']} refused by a named rule"
    )
