"""docs/api.md is true: its session runs as it is printed, and it leaves out no problem or field."""

import re
from pathlib import Path

import pytest

from api.problems import PROBLEMS, REMEDIES
from tests.documented import run_session
from tests.server import PROJECT, Server
from workspace.schema.validation import COLLECTIONS, RECORD_COLLECTIONS

DOCUMENT = (PROJECT / "docs" / "api.md").read_text()


def test_it_works(server: Server, tmp_path: Path) -> None:
    server.person("alice")
    server.person("bob")
    assert run_session(DOCUMENT, server, tmp_path) > 10


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
