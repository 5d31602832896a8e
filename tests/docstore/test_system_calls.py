"""The system calls of a commit: the simulated disk relies on the file system object alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMIT = """
import sys
from pathlib import Path
from docstore.backends.files.backend import FilesBackend
from docstore.store import DocumentStore
from tests.docstore.layouts import ALICE, ALICE_NOTES, LAYOUTS

backend = FilesBackend(Path(sys.argv[1]), LAYOUTS, background=False)
store = DocumentStore(backend, LAYOUTS)

def create(transaction):
    transaction.create(ALICE_NOTES, {"notes": []})
    transaction.create(ALICE, {"log": []})

def edit(transaction):
    transaction.append(ALICE_NOTES, "one")
    transaction.append(ALICE, "two")

store.change(create)
Path(sys.argv[1], "committing").mkdir()
store.change(edit)
Path(sys.argv[1], "publishing").mkdir()
backend.publish()
Path(sys.argv[1], "checkpoint").mkdir()
backend.checkpoint()
Path(sys.argv[1], "end").mkdir()
"""
JOURNAL = ".neuralflow/journal/SEGMENT"


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the traced calls by phase. The creation of a folder marks the begin of a phase."""
    folder = tmp_path_factory.mktemp("traced")
    data = folder / "data"
    calls = "fsync,fdatasync,pwrite64,rename,renameat,renameat2,unlink,unlinkat,mkdir"
    command = ["strace", "-fy", "-s200", "-o", folder / "trace", "-e", f"trace={calls}"]
    run = subprocess.run(
        [*command, sys.executable, "-c", COMMIT, data], capture_output=True, text=True, check=False
    )
    if run.returncode and "ptrace" in run.stderr.lower():
        pytest.skip("this machine does not allow one process to trace another")
    assert run.returncode == 0, run.stderr
    steps: dict[str, list[str]] = {}
    name = ""
    for line in (folder / "trace").read_text().splitlines():
        if made := re.search(r'mkdir\("[^"]*/(committing|publishing|checkpoint|end)"', line):
            name = made[1]
        elif step := what_it_does(line, data):
            steps.setdefault(name, []).append(step)
    return steps


def what_it_does(line: str, data: Path) -> str | None:
    """Return `sync notes`, `write …`, `rename` and so on; None for a call that changed nothing."""
    call = re.search(r"(\w+)\((?:\d+<([^>]*)>)?.*= (-?\d+)", line)
    if not call or call[3] == "-1":
        return None
    if call[1] in ("fsync", "fdatasync", "pwrite64"):
        if not Path(call[2]).is_relative_to(data):  # the folder above it, to make its name durable
            return "sync .."
        name = str(Path(call[2]).relative_to(data))
        name = re.sub(r"\.\w+\.json\.\w+\.draft$", "DRAFT", name)
        name = re.sub(r"\d{16}\.journal$", "SEGMENT", name)
        return f"{'write' if call[1] == 'pwrite64' else 'sync'} {name}"
    return re.sub(r"at2?$", "", call[1])


pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


def test_a_commit_over_two_documents_is_one_write_and_one_sync(
    trace: dict[str, list[str]],
) -> None:
    assert trace["committing"] == [f"write {JOURNAL}", f"sync {JOURNAL}"]


def test_files_are_durable_and_announced_before_they_have_their_names(
    trace: dict[str, list[str]],
) -> None:
    steps = trace["publishing"]
    drafts = ["write notes/DRAFT", "sync notes/DRAFT", "write people/DRAFT", "sync people/DRAFT"]
    assert sorted(steps[:4]) == sorted(drafts)
    assert steps[4:] == [
        f"write {JOURNAL}",
        f"sync {JOURNAL}",
        "rename",
        "rename",
        f"write {JOURNAL}",
    ]


def test_names_are_durable_before_a_checkpoint_is_noted(trace: dict[str, list[str]]) -> None:
    assert trace["checkpoint"] == [
        "sync notes",
        "sync people",
        f"write {JOURNAL}",
        f"sync {JOURNAL}",
    ]
