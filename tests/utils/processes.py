"""Processes of their own that begin at the same moment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that runs the code, has said that it is ready, and waits for a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=PROJECT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "neuralflow.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def told_by(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    """What each printed, after all of them were let go and have ended well."""
    for process in processes:
        go(process)
    told = []
    for process in processes:
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        told.append(out)
    return told
