"""Sessions in documents: what stands in ```console blocks is run, and must print what it says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.server import PROJECT, Server

# In the order of reading, in which the commands of one page work on what those before it left.
OPERATOR_PAGES = (
    "install",
    "configure",
    "accounts",
    "commands",
    "backup",
    "maintenance",
    "monitoring",
    "scale",
    "troubleshoot",
)
END = "-- end of output --"
BIN = Path(sys.executable).parent


def operator_manual() -> str:
    """Return the pages for operators as one text."""
    return "\n".join((PROJECT / f"docs/{page}.md").read_text("utf-8") for page in OPERATOR_PAGES)


def session(document: str) -> list[tuple[str, str]]:
    """The commands of a document, and what it says they print; `...` is anything."""
    blocks = "".join(re.findall(r"^```console\n(.*?)^```", document, re.DOTALL | re.MULTILINE))
    steps = re.split(r"^\$ ", blocks, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (step.partition("\n") for step in steps)]


def run_session(document: str, server: Server, folder: Path) -> int:
    """Runs them in one shell, in a folder of their own; returns how many there were."""
    assert shutil.which("curl"), "the documented sessions need curl"
    steps = session(document)
    script = "\n".join(f"{command}\necho '{END}'" for command, _ in steps)
    script = script.replace("http://127.0.0.1:8000", server.address)
    script = script.replace(".venv/bin/python manage.py", f"{sys.executable} {PROJECT}/manage.py")
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env={
            **server.environment,
            "PATH": f"{BIN}:{server.environment['PATH']}",
            "XDG_CONFIG_HOME": str(folder),
            "XDG_STATE_HOME": str(folder),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    printed = done.stdout.replace("\r\n", "\n").split(f"{END}\n")[:-1]
    assert len(printed) == len(steps), done.stderr
    for (command, expected), output in zip(steps, printed, strict=True):
        told = expected.strip().replace("http://127.0.0.1:8000", server.address)
        pattern = re.escape(told).replace(r"\.\.\.", ".*")
        assert re.fullmatch(pattern, output.strip(), re.DOTALL), (
            f"{command}\n{output}\n{done.stderr}"
        )
    return len(steps)
