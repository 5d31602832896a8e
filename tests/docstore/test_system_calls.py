"""What the kernel is really asked for: the disk that forgets believes our file system object."""

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
from docstore.backends.files import FilesBackend
from docstore.store import DocumentStore
from tests.docstore.layouts import ALICE, ALICE_NOTES, LAYOUTS

store = DocumentStore(FilesBackend(Path(sys.argv[1]), LAYOUTS), LAYOUTS)
Path(sys.argv[1], "begin").mkdir()

def edit(transaction):
    transaction.create(ALICE_NOTES, {"notes": []})
    transaction.create(ALICE, {"log": []})

store.change(edit)
Path(sys.argv[1], "end").mkdir()
"""


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_commit_syncs_each_file_and_folder_in_its_place(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    data = tmp_path / "data"
    calls = "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir"
    run = subprocess.run(
        ["strace", "-fy", "-s200", "-o", trace, "-e", calls, sys.executable, "-c", COMMIT, data],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode and "ptrace" in run.stderr.lower():
        pytest.skip("this machine does not allow one process to trace another")
    assert run.returncode == 0, run.stderr
    between = re.search(r'mkdir\("[^"]*/begin".*?\n(.*)mkdir\("[^"]*/end"', trace.read_text(), re.S)
    assert between
    steps = [step for line in between[1].splitlines() if (step := what_it_does(line, data))]
    draft, drafts = "sync .neuralflow/drafts/DRAFT", "sync .neuralflow/drafts"
    assert steps[:5] == [draft, draft, drafts, "sync .neuralflow/drafts/intent.json", drafts]
    assert steps[5:9] == ["link", "link", "rename", "rename"]
    assert sorted(steps[9:11]) == ["sync notes", "sync people"]
    assert steps[11:13] == ["unlink", drafts], "the intent is forgotten, durably"
    assert steps[13:] == ["unlink", "unlink"]


def what_it_does(line: str, data: Path) -> str | None:
    """`sync tasks`, `rename` and so on; None for a call that changed nothing."""
    call = re.search(r"(\w+)\((?:\d+<([^>]*)>)?.*= (-?\d+)", line)
    if not call or call[3] != "0":
        return None
    if call[1] in ("fsync", "fdatasync"):
        name = str(Path(call[2]).relative_to(data))
        return "sync " + re.sub(r"\w+\.draft$", "DRAFT", name)
    return re.sub(r"at2?$", "", call[1])
