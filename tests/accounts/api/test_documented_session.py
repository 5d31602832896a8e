"""docs/api.md is true: its session runs as it is printed, and it leaves out no problem or field."""

import re
import shutil
import subprocess
import sys

import pytest

from accounts.api_problems import PROBLEMS, REMEDIES
from tests.server import PROJECT, Server
from utils.records import COLLECTIONS, RECORD_COLLECTIONS

DOCUMENT = (PROJECT / "docs" / "api.md").read_text()
END = "-- end of output --"


def session() -> list[tuple[str, str]]:
    """The commands of the document, and what it says they print; `...` is anything."""
    blocks = "".join(re.findall(r"^```console\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE))
    steps = re.split(r"^\$ ", blocks, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (step.partition("\n") for step in steps)]


@pytest.mark.skipif(not shutil.which("curl"), reason="the documented session needs curl")
def test_it_works(server: Server) -> None:
    server.person("alice")
    server.person("bob")
    script = "\n".join(f"{command}\necho '{END}'" for command, _ in session())
    script = script.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{server.port}")
    script = script.replace(".venv/bin/python", sys.executable)

    done = subprocess.run(
        ["sh", "-c", script],
        cwd=PROJECT,
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    printed = done.stdout.replace("\r\n", "\n").split(f"{END}\n")[:-1]
    assert len(printed) == len(session()) > 10, done.stderr
    for (command, expected), output in zip(session(), printed, strict=True):
        pattern = re.escape(expected.strip()).replace(r"\.\.\.", ".*")
        assert re.fullmatch(pattern, output.strip(), re.DOTALL), f"{command}\n{output}"


def test_the_table_of_problems_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| `/problems/([a-z-]+)` \| (.+) \|$", DOCUMENT, re.MULTILINE)
    kinds = {(problem.status, problem.slug) for problem in PROBLEMS.values()}

    assert {(int(status), slug) for status, slug, _ in rows} == kinds
    assert {slug: remedy for _, slug, remedy in rows} == REMEDIES
    assert len(rows) == len(REMEDIES)


@pytest.mark.parametrize("collection", RECORD_COLLECTIONS)
def test_every_field_is_documented(collection: str) -> None:
    paragraph = re.search(rf"^\*\*{collection.title()}\*\*.*?\n\n", DOCUMENT, re.DOTALL | re.M)
    assert paragraph
    named = set(re.findall(r"`(\w+)`", paragraph[0]))
    wanted = {field.name for field in COLLECTIONS[collection].fields}
    assert wanted <= named
    read_only = set(re.findall(r"\*`(\w+)`\*", paragraph[0]))
    assert read_only == {field.name for field in COLLECTIONS[collection].fields if field.read_only}
