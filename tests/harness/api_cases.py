"""A running server held to its OpenAPI document by schemathesis, with its own default settings
and the configuration that the project ships.

It makes calls that fit the document and calls that do not, single ones and chains in which one
answer leads to the next call (a record made is read, changed, deleted, and asked for again). Each
answer must be one that the document tells of: its status, its headers, its media type, its schema;
good data must be taken, bad data refused, and no status may be 5xx.
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

CALLS: Final = 10**9  # so many are allowed: limits are not what is looked at here
ENVIRONMENT: Final = {"NEURALFLOW_BURST": "1000000/1"}
DEFAULT: Final = "examples,coverage,fuzzing,stateful"  # as anybody runs it
EXPLORING: Final = "fuzzing,stateful"
CONFIGURATION: Final = PROJECT / "schemathesis.toml"  # the one that everybody gets
EXAMPLES: Final = 100  # of each operation, in one exploring run of many


def run(count: int, seed: int) -> Report:
    """Lets at least `count` cases run against a server of its own."""
    report = Report("api_cases")
    with tempfile.TemporaryDirectory() as folder:
        with running_server(Path(folder), ENVIRONMENT) as server:
            hold(server, report, count, seed)
            said = server.log.read_text()
        if "Traceback" in said:
            report.lose(f"the server's log holds a traceback:\n{said[-4000:]}")
    return report.finish(count)


def hold(
    server: Server,
    report: Report,
    count: int,
    seed: int,
    options: Sequence[str] = ("--max-examples", str(EXAMPLES)),
) -> None:
    """Runs schemathesis, two of it at a time, until `count` cases ran: once as anybody would,
    and to explore as often as it takes. Each run is another person with another seed."""
    phases = (DEFAULT, EXPLORING)
    while report.cases < count and not report.lost:
        runs = []
        for one in phases:
            seed += 1
            token = server.person(f"caller{seed}", CALLS).token
            at = Path(tempfile.mkdtemp(dir=server.folder))
            chosen = ["--phases", one, "--seed", str(seed), *options]
            runs.append((at, _started(server, at, token, chosen)))
        for at, process in runs:
            _count(report, at, process)
        phases = (EXPLORING, EXPLORING)


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
    with (at / "said").open("wb") as said:
        return subprocess.Popen(
            command, cwd=at, env=environment, stdout=said, stderr=subprocess.STDOUT
        )


def _count(report: Report, at: Path, process: subprocess.Popen[bytes]) -> None:
    process.wait()
    said = (at / "said").read_text("utf-8", "replace")
    try:
        found: dict[str, Any] = json.loads((at / "report.json").read_bytes())
    except FileNotFoundError:
        raise AssertionError(f"schemathesis made no report:\n{said[-4000:]}") from None
    report.cases += found["test_cases"]["generated"]
    passed = sum(found["phases"][name]["status"] == "success" for name in found["phases"])
    if process.returncode or found["failures"] or found["errors"] or not passed:
        report.lose(said)
    report.notes.append(
        f"seed {found['seed']}: {found['test_cases']['generated']} cases of "
        f"{found['operations']['tested']} operations in {found['running_time']:.0f} s, "
        f"{found['filtered']} refused by a named rule"
    )
