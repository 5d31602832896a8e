"""The engine without Django, as in docs/engine.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.documented import session

PROJECT = Path(__file__).resolve().parents[2]
_WITHOUT_DJANGO = "import runpy, sys; sys.modules['django'] = None; "


def run(code: str, *arguments: str) -> list[str]:
    """Return the output of the program in a process that cannot import Django."""
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


_SHELL = """
import subprocess
print(subprocess.run({command!r}, shell=True, check=True, capture_output=True, text=True).stdout)
"""


def test_the_manual_runs_as_it_stands_from_top_to_end(tmp_path: Path) -> None:
    manual = (PROJECT / "docs/engine.md").read_text("utf-8")
    manual = manual.replace("/tmp/notes", str(tmp_path / "notes"))
    blocks = re.findall(r"```(python|console)\n(.*?)```", manual, re.DOTALL)
    shown = "".join("".join(groups) for groups in re.findall(r"# (1): it is|# (\(\{.*)", manual))
    parts, printed = [], ""
    for kind, block in blocks:
        if kind == "python":
            parts.append(block)
            continue
        ((command, output),) = session(f"```console\n{block}```")
        command = command.replace(".venv/bin/python", sys.executable)
        parts.append(_SHELL.format(command=command))
        printed = output.removesuffix("...\n")
    program = tmp_path / "program.py"
    program.write_text("".join(parts))
    lines = run(f"sys.path.insert(0, '.'); runpy.run_path({str(program)!r})")
    assert "".join(lines[:2]) == shown
    assert printed.splitlines() == lines[2:6]
    assert [line for line in lines if line.startswith("2 20") and "'collection': 'notes'" in line]
    assert "'text': 'Buy milk'" in lines[-1]
    assert len(blocks) == 6
