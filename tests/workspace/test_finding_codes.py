"""Each finding has a code and a remedy."""

import re
from pathlib import Path

import pytest

from docstore import Finding
from workspace.operations.finding_codes import KINDS, OTHER, described, kind_of

MANUAL = Path(__file__).parents[2] / "docs/troubleshoot.md"


def _documented() -> list[str]:
    """The findings in the manual's table, with its ellipses filled in."""
    table = MANUAL.read_text("utf-8").partition("| Finding |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (.*?) \| ", table, re.M)
    return [text.replace("…", "7") for row in rows for text in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize("problem", _documented())
def test_documented_finding_has_a_code(problem: str) -> None:
    if problem != "“My files”":
        assert kind_of(Finding("tasks/tasks_7.json", problem))[0] != OTHER


def test_codes_are_distinct_and_the_manual_has_more_than_twenty_findings() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS)
    assert len(_documented()) > 20


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        ("Expecting ',' delimiter", "unreadable"),
        ("Unterminated string starting at", "unreadable"),
        ("Extra data", "unreadable"),
        ('task 3: "priority" must be one of low, high', "value"),
        ("differs from its checksum, although nobody edited it", "damaged"),
        ('task 3: "project_id" is 9, but there is no project 9', "reference"),
        ("is something new", "other"),
    ],
)
def test_finding_is_described_with_code_and_remedy(problem: str, code: str) -> None:
    values = described(Finding("tasks/tasks_7.json", problem, 3, 9))
    assert (values["code"], values["line"], values["column"]) == (code, 3, 9)
    assert values["remedy"].endswith(".")
