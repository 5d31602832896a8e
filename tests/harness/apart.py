"""Separate processes for harnesses, which fork, kill and mount, apart from the tests."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from tests.harness.report import Report

_PROJECT = Path(__file__).resolve().parents[2]
_IN_MEMORY = Path("/dev/shm")
_ROOM = 1 << 30


def in_own_process(
    module: str,
    count: int,
    seed: int,
    *,
    planted: str = "",
    environment: Mapping[str, str] | None = None,
    through: Sequence[str] = (),
) -> Report:
    """Run `attack(count, seed)` of a module in a separate interpreter; return its report.

    `planted` names a function, `module:name`, that is called there first to break something.
    `through` is a command that runs the interpreter, such as `unshare`. Raises `AssertionError` if
    it died.
    """
    command = [*through, sys.executable, "-m", "tests.harness.apart", module]
    command += [str(count), str(seed), planted]
    run = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=_PROJECT,
        env={**os.environ, **(environment or {})},
    )
    if run.returncode:
        raise AssertionError(f"{module} ended with {run.returncode}:\n{run.stdout}")
    return Report(**json.loads(run.stdout.splitlines()[-1]))


def start(work: Callable[[], None]) -> int:
    """Run `work` in a forked process; return its id. The caller must `wait` for it."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return child


def wait(child: int) -> int:
    """Wait for the process; return its exit code as in `subprocess`: negative if it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Yield a temporary folder, in memory if there is room."""
    roomy = _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free > _ROOM
    with tempfile.TemporaryDirectory(
        prefix=f"{name}-", dir=_IN_MEMORY if roomy else None, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _main(module: str, count: str, seed: str, planted: str) -> None:
    logging.disable(logging.CRITICAL)  # the faults are intended
    if planted:
        place, _, name = planted.partition(":")
        getattr(import_module(place), name)()
    report = import_module(module).attack(int(count), int(seed))
    print(json.dumps(asdict(report)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
