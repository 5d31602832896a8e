"""The engine without Django, as docs/engine.md tells it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
_WITHOUT_DJANGO = "import runpy, sys; sys.modules['django'] = None; "


def run(code: str, *arguments: str) -> list[str]:
    """What the program prints in a process that could not import Django."""
    ran = subprocess.run(
        [sys.executable, "-c", _WITHOUT_DJANGO + code, *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr == ""
    return ran.stdout.splitlines()


def test_the_example_runs_again_and_again(tmp_path: Path) -> None:
    code = "runpy.run_module('examples.notes', run_name='__main__')"
    assert run(code, str(tmp_path), "Buy milk")[:3] == [
        "note 1 is durable",
        "1 Buy milk",
        "nothing was changed: there is no 999 in notes/notes_1.json",
    ]
    lines = run(code, str(tmp_path), "Read a book")
    assert lines[:3] == ["note 2 is durable", "1 Buy milk", "2 Read a book"]
    assert lines[4] == "{" and '  "revision": 2' in lines


def test_the_manual_runs_as_it_stands(tmp_path: Path) -> None:
    manual = (PROJECT / "docs/engine.md").read_text("utf-8").replace("/tmp/notes", str(tmp_path))
    first, *others = re.findall(r"```python\n(.*?)```", manual, re.DOTALL)
    program = tmp_path / "program.py"
    program.write_text("".join([first, *others]))
    code = f"sys.path.insert(0, '.'); runpy.run_path({str(program)!r})"
    shown = re.findall(r"# (1): it is|# (\(\{.*)", first)
    lines = run(code)
    assert lines[:2] == ["".join(groups) for groups in shown]
    assert lines[2].startswith("2 20") and "'collection': 'notes'" in lines[2]
